// @ts-check
// How safe a file is, judged by its holders: as pips, in words, and as one of the three color meanings. No DOM here;
// the server-rendered page uses the same words.

import { listText, numberText, plural, visible } from "./words.js";

/**
 * `last_holders` are the peers that held the file and are away, if nobody holds it now.
 * @typedef {{
 *   readonly has_copy: boolean,
 *   readonly peers_with_file: readonly string[],
 *   readonly last_holders: readonly string[],
 * }} Held
 */

/** Number of holders that counts as safe. */
export const SAFE_HOLDERS = 3;

/**
 * Returns whether at most one peer holds it: one holder is one mistake away from none.
 * @param {Pick<Held, "peers_with_file">} file
 */
export const isAtRisk = (file) => file.peers_with_file.length < 2;

/** Returns whether this peer has the only known copy. @param {Held} file */
export const isLastCopy = ({ has_copy, peers_with_file }) => has_copy && peers_with_file.length < 2;

/** Returns whether all its holders are away and may come back with it. @param {Held} file */
export const isAway = ({ peers_with_file, last_holders }) =>
  peers_with_file.length === 0 && last_holders.length > 0;

/** @param {Held} file */
export function pipsText({ peers_with_file }) {
  const full = Math.min(SAFE_HOLDERS, peers_with_file.length);
  return "●".repeat(full) + "○".repeat(SAFE_HOLDERS - full);
}

/** Returns how safe the file is, in words. @param {Held} file */
export function safetyText({ has_copy, peers_with_file, last_holders }) {
  const count = peers_with_file.length;
  if (count === 0) return awayText(last_holders);
  if (count > 1) return has_copy ? `Here and on ${count - 1} more` : `On ${plural(count, "peer")}`;
  return has_copy ? "Only here" : `Only on ${visible(peers_with_file[0] ?? "", 40)}`;
}

/** @param {readonly string[]} last */
function awayText(last) {
  if (last.length === 0) return "Nobody has this anymore";
  if (last.length === 1) return `${visible(last[0] ?? "", 40)} is away`;
  return last.length === 2
    ? "Both holders are away"
    : `All ${numberText(last.length)} holders are away`;
}

/** @param {Held} file */
export function safetyKind(file) {
  if (file.peers_with_file.length === 0) return isAway(file) ? "risk" : "failed";
  return isAtRisk(file) ? "risk" : "";
}

/** @param {Held} file */
export function holdersText({ peers_with_file, last_holders }) {
  const names = (/** @type {readonly string[]} */ all) =>
    listText(all.map((name) => visible(name, 40)));
  if (peers_with_file.length > 0) return `Held by ${names(peers_with_file)}`;
  return last_holders.length > 0
    ? `Last held by ${names(last_holders)}: away, but may come back with it`
    : "No peer holds it";
}
