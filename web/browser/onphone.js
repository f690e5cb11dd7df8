// @ts-check
// This page on a phone: its address as a QR code. Loaded when somebody asks for it.

import { copy, forOthers } from "./actions.js";
import { urlOf } from "./api.js";
import { codeOf } from "./code.js";
import { showDialog } from "./dialogs.js";
import { h } from "./dom.js";
import { isLoopback } from "../shared/words.js";

/** Shown instead of a code that a phone could not open. */
const LOCAL =
  "This page can only be opened on this machine. To open it on a phone, start the peer with --host and an address that other machines can reach.";

export function showPhone() {
  const { href, hostname } = forOthers(urlOf("/"));
  if (isLoopback(hostname)) {
    showDialog("Open on a phone", h("p", { class: "note risk" }, LOCAL));
    return;
  }
  showDialog(
    "Open on a phone",
    codeOf(href, "QR code of this page"),
    h(
      "p",
      { class: "line" },
      h("code", {}, href),
      h("button", { type: "button", onclick: () => copy(href, "address") }, "Copy"),
    ),
    h(
      "p",
      { class: "quiet" },
      'The phone can browse, and log in with the token. For a code that logs in right away, type "qr login" at the prompt.',
    ),
  );
}
