// @ts-check
// What the page says about what somebody did: one line each, for screen readers too. Good news leaves by itself,
// bad news stays until it is put away.

import { byId, h, icon } from "./dom.js";

const STAY_MS = 8_000;
const MAX_NOTICES = 4;

/**
 * @param {string} text
 * @param {"good" | "failed" | "plain"} [kind]
 * @param {{ words: string, act: () => void }} [offer] Something to do about it
 */
export function say(text, kind = "plain", offer) {
  const place = byId("notices");
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
      { type: "button", class: "quiet", "aria-label": "Put away", onclick: close },
      icon("close"),
    ),
  );
  place.append(notice);
  while (place.children.length > MAX_NOTICES) place.firstElementChild?.remove();
  if (kind !== "failed") setTimeout(close, STAY_MS);
}
