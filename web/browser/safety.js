// @ts-check
// How safe a file is, by who holds it: as pips, in words, and in one of the three meanings of colour. No DOM here; the
// page as the server writes it has these words too.

import { listText, plural, visible } from "./words.js";

/** @typedef {{ readonly has_copy: boolean, readonly peers_with_file: readonly string[] }} Held */

/** So many holders are safe enough. */
export const SAFE_HOLDERS = 3;

/** One holder is one mistake away from none. @param {Held} file */
export const isAtRisk = (file) => file.peers_with_file.length < 2;

/** Returns whether the copy here is the only one that is known. @param {Held} file */
export const isLastCopy = ({ has_copy, peers_with_file }) => has_copy && peers_with_file.length < 2;

/** @param {Held} file */
export function pipsText({ peers_with_file }) {
  const full = Math.min(SAFE_HOLDERS, peers_with_file.length);
  return "●".repeat(full) + "○".repeat(SAFE_HOLDERS - full);
}

/** How safe it is, in words. @param {Held} file */
export function safetyText({ has_copy, peers_with_file }) {
  const count = peers_with_file.length;
  if (count === 0) return "Nobody has this any more";
  if (count > 1) return has_copy ? `Here and on ${count - 1} more` : `On ${plural(count, "peer")}`;
  return has_copy ? "Only here" : `Only on ${visible(peers_with_file[0] ?? "", 40)}`;
}

/** @param {Held} file */
export const safetyKind = (file) =>
  file.peers_with_file.length === 0 ? "failed" : isAtRisk(file) ? "risk" : "";

/** @param {Held} file */
export const holdersText = ({ peers_with_file }) =>
  peers_with_file.length === 0
    ? "No peer holds it"
    : `Held by ${listText(peers_with_file.map((name) => visible(name, 40)))}`;
