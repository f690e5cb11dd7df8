// @ts-check
// Creates and updates elements. Names from peers are only ever inserted as text or attribute values, never as markup:
// this module offers no way to do that.

import { splitName } from "../shared/words.js";

/** @typedef {Node | string | number | false | null | undefined} Child */

/**
 * Creates an element. `true` sets an attribute to ""; `false`, null, and undefined omit it; functions named `on…`
 * become listeners.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} [attributes]
 * @param {...(Child | readonly Child[])} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  put(element, ...children);
  return element;
}

/** Replaces the element's children. @param {Element} element @param {...(Child | readonly Child[])} children */
export function put(element, ...children) {
  element.replaceChildren(
    ...children.flat().filter((child) => child !== false && child !== null && child !== undefined)
      .map((child) => child instanceof Node ? child : String(child)),
  );
}

/**
 * Returns a name's parts for an element of the class `whole-name`, which shortens it in the middle if it does not fit.
 * @param {string} name Visible text
 */
export function nameParts(name) {
  const [head, tail] = splitName(name);
  return [h("span", { class: "head" }, head), h("span", { class: "tail" }, tail)];
}

/** Sets the text only if it differs, to avoid a new layout. @param {Element | null} element @param {string} text */
export function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/** Returns the element with this id, which the page is known to have. @param {string} id */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** Creates an icon from the page's icon sheet. @param {string} name */
export function icon(name) {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(ns, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/**
 * Changes a list. If that removes the focused element, the focus moves to the next button, or to the list itself.
 * @param {HTMLElement} list @param {() => void} change
 */
export function keepFocus(list, change) {
  const focused = document.activeElement;
  const hadFocus = list.contains(focused);
  const at = [...list.querySelectorAll("button")].findIndex((each) => each === focused);
  change();
  if (!hadFocus || list.contains(document.activeElement)) return;
  const buttons = list.querySelectorAll("button");
  const next = buttons[Math.min(Math.max(0, at), buttons.length - 1)];
  if (!next) list.tabIndex = -1;
  (next ?? list).focus();
}

/** Distance between the pointer and the tooltip, in pixels. */
const TIP_PX = 14;

/**
 * Places a tooltip next to the pointer: below and to the right, or on the other side if the screen has no space there.
 * @param {HTMLElement} tip Placed within the parent that it shares with the canvas @param {HTMLElement} canvas
 * @param {{ clientX: number, clientY: number }} pointer
 */
export function placeTip(tip, canvas, { clientX, clientY }) {
  const { left, top, width } = canvas.getBoundingClientRect();
  const x = clientX - left;
  const y = clientY - top;
  const isLeft = x + TIP_PX + tip.offsetWidth > width;
  const isAbove = clientY + TIP_PX + tip.offsetHeight > innerHeight;
  tip.style.left = `${Math.max(0, isLeft ? x - TIP_PX - tip.offsetWidth : x + TIP_PX)}px`;
  tip.style.top = `${isAbove ? y - TIP_PX - tip.offsetHeight : y + TIP_PX}px`;
}

/** Returns whether the target is a text field, where letters are not commands. @param {EventTarget | null} target */
export const isWriting = (target) =>
  target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");

/** Returns whether the user prefers reduced motion. */
export const isStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** @type {HTMLElement | undefined} */
let probe;

/**
 * Returns a style sheet color that a canvas accepts. Read from a probe element, because a custom property itself only
 * yields its unresolved expression.
 * @param {string} name
 */
export function colour(name) {
  if (!probe) document.body.append(probe = h("span", { class: "unseen", "aria-hidden": "true" }));
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}
