// The extensions: the key `ext` of each message, which only peers with extensions send and old peers ignore. PURE.
// Invariants: only known fields with valid values are copied, into fresh objects; an invalid field counts as missing, and
// the message still counts.

import { canonicalIp } from "./address.ts";
import { isFileId } from "./fileid.ts";
import type { Span } from "../ranges.ts";
import {
  MAX_CAPABILITIES,
  MAX_GONE,
  MAX_HOST_CHARS,
  MAX_IDS_PER_MESSAGE,
  MAX_NAME_CHARS,
  MAX_WANTED_LISTS,
} from "../limits.ts";
import { isCleanName, type Json } from "./text.ts";

/** The content of the key `ext`, which only peers with extensions send. Unknown content is ignored. */
export interface Ext {
  /** Version of the extensions, from 1. */
  readonly v: number;
  /** The peer's public key (Ed25519), base64url. Only a hint: it proves nothing until messages are signed. */
  readonly node?: string;
  /** Identifies one run of the peer. A peer that sends it remembers the lists it received until its next start. */
  readonly boot?: string;
  /** What the peer understands besides the protocol; see `capabilities.ts`. Unknown names are ignored. */
  readonly can?: readonly string[];
  /** On a gossip: names of the peers whose whole list the originator is missing. */
  readonly want?: readonly string[];
  /** On a reply: the first and last revision of the sender's list between which it lists the changes. */
  readonly rev?: readonly [number, number];
  /** On a reply: piece k of n (from 1) of one round of a list. */
  readonly part?: readonly [number, number, string];
  /**
   * On a reply to a peer that can `LISTS`: like `part`, of a list that lacks files which the sender has not read yet. It
   * takes nobody away as a holder.
   */
  readonly partial?: readonly [number, number, string];
  /** On a reply to a peer that can `LISTS`: ids of files that the sender no longer holds. */
  readonly gone?: readonly string[];
  /** On a reply to a peer that can `LISTS`: the entries of `files` as a JSON array, packed; see `Unpack`. */
  readonly packed?: string;
  /** On a reply to a peer whose name belongs to another one: the address of that other peer. */
  readonly taken?: { readonly host: string; readonly port: number };
  /**
   * On a GET_FILE to a peer that can `RAW`: the offset and length of the bytes that are wanted. On a FILE_DATA: offset and
   * length of the raw bytes after it, and the size of the whole file. Empty if it is none of these.
   */
  readonly raw?: readonly number[];
  /**
   * Ids of further files: on a DELETE to a peer that can `BATCH_DELETE`, of the same owner; on a GET_FILE with `raw` to a
   * peer that can `BATCH_GET`.
   */
  readonly more?: readonly string[];
  /** On an ANNOUNCE to a peer that can take an `OFFER`: it is asked to fetch a copy and keep it. */
  readonly offer?: true;
  /**
   * Between peers that can `PARTS`. On a GET_FILE with `raw`: which bytes of the file the requester has. It understands
   * that it may get fewer bytes than it asks for, and the fields below. On a FILE_DATA: which bytes the sender has, if not
   * all; it verified none of them.
   */
  readonly have?: readonly Span[];
  /** On a GET_FILE with `have`: the name of the requester, from which others may fetch what it has. */
  readonly peer?: string;
  /** On a FILE_DATA: names of other peers that are fetching the file. */
  readonly peers?: readonly string[];
  /** On a FILE_DATA: offset and length of what to ask the sender for next, because nobody else does. */
  readonly next?: readonly [number, number];
  /**
   * The size of chunks, in bytes. On a GET_FILE with `raw` to a peer that can `PARTS`: instead of content, the list of the
   * SHA-256 of each chunk is wanted. On a FILE_DATA: such a list follows.
   */
  readonly chunks?: number;
  /** On a GOSSIP that its originator sends itself: it takes answers on this connection too. */
  readonly here?: true;
  /** On a GOSSIP, GOSSIP_REPLY or LINK: names of the peers to which the sender keeps a LINK, and that pass on connections to it. */
  readonly via?: readonly string[];
  /** On the answer to a LINK: what became of the sender's latest dial to the address that the other peer advertises. */
  readonly seen?: Seen;
  /** On a LINK: how many other ones the sender keeps. On the answer: how many there are to its sender. */
  readonly links?: number;
  /** Further IP addresses of the sender's machine, in canonical form. It listens on the same port there. */
  readonly also?: readonly string[];
}

/**
 * What became of a dial. "refused": nobody listens there, or a firewall says no. "silent": nothing came back. "other": it was
 * answered, but the peer's own connections come from elsewhere, so it may be anybody.
 */
export type DialOutcome = "reached" | "refused" | "silent" | "other";
const DIAL_OUTCOMES: readonly unknown[] = [
  "reached",
  "refused",
  "silent",
  "other",
] satisfies DialOutcome[];

/** How a peer is seen from another one. */
export interface Seen {
  /** The address from which its connection comes. */
  readonly ip: string;
  /** What became of a dial to the address that it advertises; undefined if there was none yet. */
  readonly outcome?: DialOutcome;
}

/** Maximum number of spans in `Ext.have`: more of what a peer has is not told. (A guess: about 3 KB.) */
export const MAX_SPANS_TOLD = 128;
/** Maximum number of names in `Ext.peers`. (A guess.) */
export const MAX_PEERS_TOLD = 16;
/** Maximum number of names in `Ext.via`: more than any peer has links. (A guess.) */
export const MAX_VIA = 8;
/** Maximum length of an IP address, in characters (RFC 4291, section 2.2: eight groups of four digits). */
const MAX_IP_CHARS = 39;
/** Maximum number of addresses in `Ext.also`. (A guess: two interfaces, each with IPv4 and two IPv6 addresses.) */
export const MAX_ALSO = 6;

type Fields = Record<string, unknown>;

/** Returns the extensions in the value of the key `ext`, or `undefined` if there are none. */
export function extOf(value: unknown): Ext | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const fields = value as Fields;
  const { v, node, boot, can, want, rev, part, partial, gone, taken, raw, more, offer } = fields;
  if (typeof v !== "number" || !Number.isInteger(v) || v < 1) return undefined;
  return {
    v,
    ...(typeof node === "string" && /^[\w-]{43}$/.test(node) ? { node } : {}),
    ...(typeof boot === "string" && /^[\w-]{1,32}$/.test(boot) ? { boot } : {}),
    ...(isCapabilities(can) ? { can } : {}),
    ...(isWanted(want) ? { want } : {}),
    ...(isSpan(rev) ? { rev } : {}),
    ...(isPart(part) ? { part } : {}),
    ...(isPart(partial) ? { partial } : {}),
    ...(Array.isArray(gone) ? { gone: gone.filter(isFileId).slice(0, MAX_GONE) } : {}),
    ...(isTaken(taken) ? { taken: { host: taken[0], port: taken[1] } } : {}),
    ...(raw === undefined ? {} : { raw: isRange(raw) ? raw : [] }),
    ...moreOf(more),
    ...(offer === true ? { offer } : {}),
    ...partsOf(fields),
    ...reachOf(fields),
  };
}

/** Returns the fields about who can connect to whom. */
function reachOf({ here, via, seen, links, also }: Fields): Partial<Ext> {
  const names = Array.isArray(via) ? via.filter(isName).slice(0, MAX_VIA) : [];
  const ips = Array.isArray(also) ? also.slice(0, MAX_ALSO).filter(isIp) : [];
  return {
    ...(here === true ? { here } : {}),
    ...(names.length > 0 ? { via: names } : {}),
    ...(isSeen(seen) ? { seen: seenOf(seen) } : {}),
    ...(Number.isSafeInteger(links) && links as number >= 0 ? { links: links as number } : {}),
    ...(ips.length > 0 ? { also: [...new Set(ips)] } : {}),
  };
}

/** Returns whether this is an IP address and perhaps an outcome. The address is only ever shown. */
function isSeen(value: unknown): value is [string, DialOutcome?] {
  return Array.isArray(value) && (value.length === 1 || value.length === 2) &&
    isIp(value[0]) &&
    (value.length === 1 || DIAL_OUTCOMES.includes(value[1]));
}

const isIp = (value: unknown): value is string =>
  typeof value === "string" && value.length <= MAX_IP_CHARS && canonicalIp(value) === value;

const seenOf = ([ip, outcome]: readonly [string, DialOutcome?]): Seen =>
  outcome ? { ip, outcome } : { ip };

/** Returns the fields about parts of a file. */
function partsOf({ have, peer, peers, next, chunks }: Fields): Partial<Ext> {
  return {
    ...(isSpans(have) ? { have } : {}),
    ...(isName(peer) ? { peer } : {}),
    ...(Array.isArray(peers) ? { peers: peers.filter(isName).slice(0, MAX_PEERS_TOLD) } : {}),
    ...(isRange(next) && next.length === 2 ? { next: next as [number, number] } : {}),
    ...(Number.isSafeInteger(chunks) && chunks as number > 0 ? { chunks: chunks as number } : {}),
  };
}

function isCapabilities(value: unknown): value is string[] {
  return Array.isArray(value) && value.length >= 1 && value.length <= MAX_CAPABILITIES &&
    value.every((name) => typeof name === "string" && /^[\w-]{1,32}$/.test(name));
}

/** Returns the valid ids in a list of further files, as far as one message may name them. */
function moreOf(value: unknown): Pick<Ext, "more"> {
  if (!Array.isArray(value)) return {};
  const more = value.filter(isFileId).slice(0, MAX_IDS_PER_MESSAGE - 1);
  return more.length > 0 ? { more } : {};
}

function isTaken(value: unknown): value is [string, number] {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [host, port] = value;
  return typeof host === "string" && isCleanName(host, MAX_HOST_CHARS) &&
    Number.isInteger(port) && 1 <= port && port <= 65_535;
}

function isRange(value: unknown): value is number[] {
  return Array.isArray(value) && (value.length === 2 || value.length === 3) &&
    value.every((number) => Number.isSafeInteger(number) && number >= 0);
}

function isWanted(value: unknown): value is string[] {
  return Array.isArray(value) && value.length >= 1 && value.length <= MAX_WANTED_LISTS &&
    value.every((name) => typeof name === "string" && isCleanName(name, MAX_NAME_CHARS));
}

/** Returns whether these are sorted spans that do not overlap. */
function isSpans(value: unknown): value is Span[] {
  if (!Array.isArray(value) || value.length > MAX_SPANS_TOLD) return false;
  return value.every((span, i) =>
    isSpan(span) && span[0] < span[1] && (i === 0 || value[i - 1][1] <= span[0])
  );
}

const isName = (value: unknown): value is string =>
  typeof value === "string" && isCleanName(value, MAX_NAME_CHARS);

function isSpan(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every(Number.isSafeInteger) &&
    0 <= value[0] && value[0] <= value[1];
}

function isPart(value: unknown): value is [number, number, string] {
  if (!Array.isArray(value) || value.length !== 3) return false;
  const [k, n, round] = value;
  return Number.isInteger(k) && Number.isInteger(n) && 1 <= k && k <= n && n <= 65_536 &&
    typeof round === "string" && isCleanName(round, 64);
}

/** Returns the extensions as sent. */
export function extFields(ext: Ext | undefined): Json | undefined {
  if (!ext) return undefined;
  const { taken, v, node, boot, can, want, rev, part, partial, gone, packed, raw, ...parts } = ext;
  const { more, offer, have, peer, peers, next, chunks, here, via, seen, links, also } = parts;
  return {
    v,
    node,
    boot,
    can,
    want,
    rev,
    part,
    partial,
    gone,
    packed,
    taken: taken && [taken.host, taken.port],
    raw,
    more,
    offer,
    have,
    peer,
    peers,
    next,
    chunks,
    here,
    via,
    seen: seen && (seen.outcome ? [seen.ip, seen.outcome] : [seen.ip]),
    links,
    also,
  };
}
