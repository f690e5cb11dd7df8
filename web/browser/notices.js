// @ts-check
// Notices about what the user did: one line each, for screen readers too. Good news disappears automatically; bad news
// stays until dismissed.

import { byId, h, icon, setText } from "./dom.js";

// A closing dialog must not take the notices with it.
addEventListener("close", () => document.body.append(byId("notices")), { capture: true });

/** Tells screen readers what others can see elsewhere on the page. @param {string} text */
export const announce = (text) => setText(byId("heard"), text);

const STAY_MS = 8_000;
const MAX_NOTICES = 4;

/**
 * Shows a notice.
 * @param {string} text
 * @param {"good" | "failed" | "plain"} [kind]
 * @param {{ words: string, act: () => void }} [offer] An action to offer
 */
export function say(text, kind = "plain", offer) {
  const place = byId("notices");
  // Anything outside an open dialog can be neither seen nor heard.
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
