// @ts-check
// Dialogs that are made when somebody opens them.

import { h, icon } from "./dom.js";

/** Opens a dialog, which is removed when it is closed. @param {string} title @param {...import("./dom.js").Child} children */
export function showDialog(title, ...children) {
  /** @type {HTMLDialogElement} */
  const dialog = h(
    "dialog",
    {
      "aria-label": title,
      onclose: () => dialog.remove(),
      onclick: (event) => event.target === dialog && dialog.close(),
    },
    h("button", {
      type: "button",
      class: "quiet close",
      "aria-label": "Close",
      onclick: () => dialog.close(),
    }, icon("close")),
    h("h2", {}, title),
    ...children,
  );
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
