// What peers with extensions can do beyond the protocol. Each names its own in `ext.can`, and uses one only with peers
// that named it too. PURE.

import { DEFAULT_LIMITS, type Limits } from "../limits.ts";

/** Takes a DELETE that names many files: the first in `file_id`, the others in `ext.more`. */
export const BATCH_DELETE = "batch-delete";

/**
 * Takes lists with `ext.partial` (files of a peer that has not read its whole folder yet), `ext.packed` (entries that
 * are compressed) and `ext.gone` (files that are no longer held).
 */
export const LISTS = "lists";

/** Answers GET_FILE with `ext.raw` by a header line and raw bytes, on a connection that stays open; see raw.ts. */
export const RAW = "raw";

/**
 * Answers GET_FILE with `ext.raw` and `ext.more` (ids of further files) by one stream: a header line and raw bytes for each
 * file.
 */
export const BATCH_GET = "batch-get";

/** Fetches a copy that it is offered by an ANNOUNCE with `ext.offer`, instead of being sent all of it unasked. */
export const OFFER = "offer";

/**
 * Passes on parts of a file that it is still fetching itself, and has lists of the hashes of chunks: GET_FILE with
 * `ext.have` or `ext.chunks`.
 */
export const PARTS = "parts";

/**
 * Takes LINK: keeps that connection open, sends messages on it, and CONNECTs over it; and takes answers to its own GOSSIP on
 * the same connection.
 */
export const LINKS = "links";

/** Passes on connections to the peers that keep a LINK to it: CONNECT with `to`. */
export const RELAY = "relay";

/** Returns what a peer with these limits can do: it must not promise to take messages that it would refuse. */
export function capabilitiesWith(
  { maxMessageBytes }: Pick<Limits, "maxMessageBytes">,
  isRelay: boolean,
): string[] {
  const links = isRelay ? [LINKS, RELAY] : [LINKS];
  return maxMessageBytes >= DEFAULT_LIMITS.maxMessageBytes
    ? [BATCH_DELETE, LISTS, RAW, BATCH_GET, OFFER, PARTS, ...links]
    : [RAW, OFFER, ...links];
}
