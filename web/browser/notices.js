// @ts-check
// What the page says about what somebody did: one line each, for screen readers too. Good news leaves by itself,
// bad news stays until it is put away.

import { byId, h, icon, setText } from "./dom.js";

// A dialog that closes must not take the notices with it.
addEventListener("close", () => document.body.append(byId("notices")), { capture: true });

/** Tells screen readers what everybody else can see elsewhere on the page. @param {string} text */
export const announce = (text) => setText(byId("heard"), text);

const STAY_MS = 8_000;
const MAX_NOTICES = 4;

/**
 * @param {string} text
 * @param {"good" | "failed" | "plain"} [kind]
 * @param {{ words: string, act: () => void }} [offer] Something to do about it
 */
export function say(text, kind = "plain", offer) {
  const place = byId("notices");
  // What is outside an open dialog can neither be seen nor heard.
  (document.querySelector("dialog[open]") ?? document.body).append(place);
  for (const same of place.querySelectorAll("p")) {
    if (same.textContent === text) same.parentElement?.remove();
  }
  const close = () => notice.remove();
  const notice = h(
    "div",
    { class: `notice ${kind}` },
    kind === "plain" ? null : icon(kind === "good" ? "check" : "cross"),
    h("p", {}, text),
    offer && h("button", {
      type: "button",
      onclick: () => {
        close();
        offer.act();
      },
    }, offer.words),
    h(
      "button",
      { type: "button", class: "quiet", "aria-label": "Dismiss", onclick: close },
      icon("close"),
    ),
  );
  place.append(notice);
  while (place.children.length > MAX_NOTICES) {
    (place.querySelector(".notice:not(.failed)") ?? place.firstElementChild)?.remove();
  }
  if (kind !== "failed") setTimeout(close, STAY_MS);
}
