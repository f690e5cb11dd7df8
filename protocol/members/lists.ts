// GOSSIP_REPLY in both directions: the lists that we send, and what other peers' lists change here. PURE.
// Peers without extensions get the whole list each time they gossip, at their pace (`legacy_lists.ts`). Peers that
// remember lists (`ext.boot`) get the whole list once, then only additions; an empty list shows them that we are
// alive.
// Invariants: a destination gets at most `repliesPerMinute` replies and `replyBytesPerMinute` bytes per minute; an
// unproven address gets one piece per reply, and the first one is small.

import { KeyedWindows } from "../bounds/rate_limit.ts";
import { type Bounded, ExpiringSet } from "../bounds/expiring.ts";
import {
  FULL_LIST_MS,
  LIST_QUIET_MS,
  MAX_GONE,
  MAX_PACKED_CHARS,
  PACKED_PART_BYTES,
  PART_BYTES,
  PARTS_IN_FLIGHT,
  REPAIR_LIST_MS,
  UNPROVEN_REPLY_BYTES,
  WHOLE_LISTS_PER_MINUTE,
} from "../limits.ts";
import { LISTS } from "../wire/capabilities.ts";
import { isProven, machineOf, type PeerRecord } from "./membership.ts";
import type { Ext } from "../wire/ext.ts";
import {
  extendedFileFields,
  fileFields,
  type FileRecord,
  type GossipReply,
  replyText,
} from "../wire/message.ts";
import { LegacyLists } from "./legacy_lists.ts";
import { type PeerState, placeOf } from "../state.ts";
import { asciiJson, avoidBraceAtReadEdge } from "../wire/text.ts";

/** A list on its way to one peer. */
interface Outbox {
  readonly cut: Cut;
  readonly round: string;
  /** The run of the peer for which the list was started; after a restart, it starts over. */
  readonly boot: string | undefined;
  /** The folder was not read yet when the list was started, so it may lack files. */
  readonly isPartial: boolean;
  next: number;
  /** Number of parts that were sent and are not delivered yet. */
  inFlight: number;
  /** Whether it is outside the rate limit of bytes; undefined until it begins. */
  isFree?: boolean;
}

/** Our own list in parts, encoded once for all receivers. */
interface Cut {
  readonly revision: number;
  /** Number of parts, at least 1. */
  readonly count: number;
  /** Returns a part, by its index. */
  readonly part: (index: number) => Part;
}

/** Some entries of a list: as they are, or packed. */
interface Part {
  readonly entries: readonly string[];
  readonly packed?: string;
}

/** The revision of our list that a peer with extensions has. */
interface Told {
  readonly boot: string;
  readonly revision: number;
  readonly wholeAtMs: number;
  /** It was told a partial list, and gets the whole one once the folder is read. */
  readonly isPartial: boolean;
}

/** The revision that we have of the list of a peer with extensions. */
interface Heard {
  readonly boot: string;
  revision: number;
}

/** The pieces of one round of a peer's list received so far. */
interface Inbox {
  readonly round: string;
  readonly n: number;
  readonly seen: Set<number>;
  readonly listed: Set<string>;
  lastMs: number;
}

type ListChanges = NonNullable<ReturnType<PeerState["catalogue"]["changesSince"]>>;

/** The extensions that say which part of a list a reply contains: which revisions, and which piece. */
type Place = Required<Pick<Ext, "rev">> & Pick<Ext, "part" | "partial" | "gone">;

/** Maximum number of parts of a list that are sent at once without waiting for their delivery. */
const AT_ONCE = 16;

/** Bytes reserved in each piece for the fields around the list. */
const HEAD_BYTES = 1024;
/** Maximum number of destinations for which a delay is remembered, and for how long, in milliseconds. */
const MAX_DELAYED = 1_024;
const DELAYED_MS = 60_000;

/** Sends our list and takes in those of others. */
export class Lists {
  readonly #outboxes = new Map<string, Outbox>();
  readonly #inboxes = new Map<string, Inbox>();
  readonly #told = new Map<string, Told>();
  readonly #heard = new Map<string, Heard>();
  #emptyReply: { readonly text: string; readonly bytes: Uint8Array<ArrayBuffer> } | undefined;
  readonly #cuts = new Map<
    "plain" | "extended" | "unproven" | "unproven extended" | "packed",
    Cut
  >();
  /** Whole lists to proven peers that can `LISTS`. */
  readonly #wholes = new KeyedWindows(WHOLE_LISTS_PER_MINUTE);
  /** Names of peers that were told a partial list. */
  readonly #partly = new Set<string>();
  readonly #old: LegacyLists;
  readonly #replies: KeyedWindows;
  readonly #bytes: KeyedWindows;
  /** Destinations for which a delay was counted recently: it is noticed again with each tick. */
  readonly #delayed = new ExpiringSet(MAX_DELAYED, DELAYED_MS);

  /** Shares `state` with the other parts of the peer. */
  constructor(readonly state: PeerState) {
    const { limits } = state.config;
    this.#replies = new KeyedWindows(limits.repliesPerMinute);
    this.#bytes = new KeyedWindows(limits.replyBytesPerMinute);
    this.#old = new LegacyLists(state, {
      sizeOf: (file) => entryText(file, false).length,
      send: (record, files, isReply) =>
        this.#sendPart(record, { entries: textsOf(files, record.extended) }, undefined, {
          isBroadcast: !isReply,
        }),
    });
  }

  /** Everything remembered here, with its bounds: one of each kind per tracked peer. */
  get sizes(): Bounded[] {
    const { maxPeers: max } = this.state.config.limits;
    return [
      { name: "lists being sent", size: () => this.#outboxes.size, max: () => max },
      { name: "lists being received", size: () => this.#inboxes.size, max: () => max },
      { name: "lists sent", size: () => this.#told.size, max: () => max },
      { name: "lists received", size: () => this.#heard.size, max: () => max },
      { name: "encoded lists", size: () => this.#cuts.size, max: () => 5 },
      { name: "peers told a partial list", size: () => this.#partly.size, max: () => max },
      { name: "whole lists sent", size: () => this.#wholes.size, max: () => this.#wholes.maxKeys },
      {
        name: "reply rate limits",
        size: () => this.#replies.size,
        max: () => this.#replies.maxKeys,
      },
      { name: "lists delayed", size: () => this.#delayed.size, max: () => MAX_DELAYED },
      { name: "byte rate limits", size: () => this.#bytes.size, max: () => this.#bytes.maxKeys },
      ...this.#old.sizes,
    ];
  }

  /** Answers a gossip from this peer. `wantsAll`: it says that it is missing our list. */
  reply(record: PeerRecord, wantsAll: boolean): void {
    const { state } = this;
    if (!this.#replies.take(placeOf(record), state.nowMs)) {
      state.refuse(record.peerId, "reply-rate", "Gossips too often; not answered");
      return;
    }
    if (!record.extended) {
      // A reply is the only sign of life that it gets from us, so send an empty list if the next piece has to wait.
      if (!this.#old.reply(record)) this.#sendPart(record, { entries: [] }, { rev: [0, 0] });
      return;
    }
    const outbox = this.#outboxes.get(record.peerId);
    if (!outbox || outbox.boot !== record.boot) {
      const told = this.#told.get(record.peerId);
      const isFull = told?.isPartial === true && state.read === "folder";
      const fresh = told !== undefined && told.boot === record.boot && !wantsAll && !isFull &&
        state.nowMs - told.wholeAtMs < (canLists(record) ? REPAIR_LIST_MS : FULL_LIST_MS);
      const changes = fresh ? state.catalogue.changesSince(told.revision) : undefined;
      if (changes && changes.removed.length <= (canLists(record) ? MAX_GONE : 0)) {
        this.#sendChanges(record, changes, told!);
        return;
      }
      this.#begin(record);
    }
    this.#continue(record, true);
  }

  /** Continues with the next parts of a list, because one was delivered. */
  delivered(peerId: string | undefined): void {
    const outbox = peerId === undefined ? undefined : this.#outboxes.get(peerId);
    if (!outbox) return;
    outbox.inFlight = Math.max(0, outbox.inFlight - 1);
    const record = this.state.membership.get(peerId!);
    if (record && isProven(record)) this.#continue(record, false);
  }

  /** Notes that a peer at this address requested a file. */
  asked(ip: string): void {
    this.#old.asked(ip);
  }

  /** Continues lists that had to wait for the rate limit or for their receiver. */
  tick(): void {
    this.#completePartial();
    for (const peerId of this.#outboxes.keys()) {
      const record = this.state.membership.get(peerId);
      if (!record) this.forget(peerId);
      else if (isProven(record)) this.#continue(record, false);
    }
    this.#old.tick();
  }

  /** Notes that a piece did not reach the peer. A peer with extensions will ask again; another one gets it again. */
  notDelivered(peerId: string): void {
    this.#told.delete(peerId);
    this.#partly.delete(peerId);
    this.#outboxes.delete(peerId);
    const record = this.state.membership.get(peerId);
    if (record && !record.extended) this.#old.notDelivered(record);
  }

  /** Returns up to `count` of our files. */
  some(count: number): FileRecord[] {
    const files: FileRecord[] = [];
    for (const { file } of this.state.catalogue.held()) {
      if (files.length === count) break;
      files.push(file);
    }
    return files;
  }

  /** Forgets a peer that is gone or has restarted. */
  forget(peerId: string): void {
    this.#outboxes.delete(peerId);
    this.#old.forget(peerId);
    this.#inboxes.delete(peerId);
    this.#told.delete(peerId);
    this.#partly.delete(peerId);
    this.#heard.delete(peerId);
  }

  /** Returns whether part of the list of a peer that sends it only once was lost on its way here. */
  isMissing(record: PeerRecord): boolean {
    if (record.boot === undefined || this.#heard.get(record.peerId)?.boot === record.boot) {
      return false;
    }
    const inbox = this.#inboxes.get(record.peerId);
    return !inbox || this.state.nowMs - inbox.lastMs >= LIST_QUIET_MS;
  }

  /**
   * Notes which files a peer says it holds. `isFromThere`: the message came from the peer's own address. Returns the
   * ids of the files that it was not known to hold. Source for removals: a list takes a holder away only if it is
   * known to be complete, or, from a peer without `ext`, if two in a row lack the file.
   */
  take(record: PeerRecord, message: GossipReply, isFromThere: boolean): ReadonlySet<string> {
    const { catalogue, nowMs } = this.state;
    const listed = new Set<string>();
    const news = new Set<string>();
    for (const file of message.files) {
      if (this.learn(file, record, isFromThere)) news.add(file.fileId);
      listed.add(file.fileId);
    }
    let changed = news.size > 0 || message.ext?.gone !== undefined;
    for (const fileId of message.ext?.gone ?? []) {
      catalogue.removeHolder(fileId, record.peerId, nowMs);
    }
    const part = message.ext?.part ?? message.ext?.partial;
    const isPartial = message.ext?.part === undefined && part !== undefined;
    let whole = message.ext === undefined || part?.[1] === 1;
    let all: ReadonlySet<string> = listed;
    if (part && part[1] > 1) {
      const inbox = this.#collect(record.peerId, part, listed);
      whole = inbox.seen.size === inbox.n;
      all = inbox.listed;
    }
    if (whole) {
      // Without `ext`, a list may be one of several pieces, so a file must be missing twice in a row.
      if (!isPartial) {
        const misses = message.ext ? 1 : 2;
        changed = catalogue.wholeList(record.peerId, all, misses, nowMs) || changed;
      }
      this.#inboxes.delete(record.peerId);
      if (record.boot !== undefined) {
        const revision = message.ext?.rev?.[1] ?? 0;
        this.#heard.set(record.peerId, { boot: record.boot, revision });
      }
    } else if (!part && message.ext?.rev) {
      this.#takeChanges(record.peerId, message.ext.rev);
    }
    if (changed) this.state.save();
    return news;
  }

  /** Returns the pieces of a list, for peers with extensions, that names these files and does not claim to be complete. */
  piecesOf(files: readonly FileRecord[]): Uint8Array<ArrayBuffer>[] {
    const { self, ext } = this.state;
    return cut(textsOf(files, true), PART_BYTES - HEAD_BYTES).map((piece) => {
      const text = replyText({ type: "GOSSIP_REPLY", ...self, ext }, piece);
      return new TextEncoder().encode(avoidBraceAtReadEdge(text));
    });
  }

  /** Lists new files to a peer without extensions, at the pace at which it fetches. */
  tellLegacy(record: PeerRecord): void {
    this.#old.tell(record);
  }

  /**
   * Notes a file that a peer holds. Returns whether the file, or that it holds it, is news. The owner of a file may
   * rename it, if the message came from the owner's own address (`isFromThere`).
   */
  learn(heard: FileRecord, holder: PeerRecord | undefined, isFromThere = false): boolean {
    const { state } = this;
    // Anybody can send a message in the name of another peer.
    const file = isFromThere ? heard : withoutClaims(heard);
    const learned = state.catalogue.learn(file, state.nowMs, holder?.peerId);
    switch (learned) {
      case "deleted":
        return false;
      case "full":
        state.refuse(
          holder?.peerId ?? "?",
          "catalogue-limit",
          "Catalogue is full; new files are ignored",
        );
        return false;
      case "owner-conflict":
        state.refuse(
          holder?.peerId ?? "?",
          "owner-conflict",
          `Names another owner for ${file.fileId}; keeping the first one`,
        );
        break;
      case "new":
      case "known":
        break;
      default:
        learned satisfies never;
    }
    const isOwner = isFromThere && holder?.peerId === file.owner;
    if (isOwner && learned === "known" && this.#mayRename(file)) {
      state.catalogue.rename(file.fileId, file.name);
    }
    const news = holder !== undefined && state.catalogue.addHolder(file.fileId, holder.peerId);
    return learned === "new" || news;
  }

  /** Returns whether the owner may rename the file: not if we hold it (a person may have renamed it) or own it. */
  #mayRename({ fileId, owner }: FileRecord): boolean {
    return owner !== this.state.config.peerId && !this.state.catalogue.get(fileId)?.held;
  }

  /**
   * Advances the known revision. If the changes start at a later one, some were lost, and the list counts as missing.
   */
  #takeChanges(peerId: string, [from, to]: readonly [number, number]): void {
    const heard = this.#heard.get(peerId);
    if (!heard) return;
    if (from > heard.revision) this.#heard.delete(peerId);
    else heard.revision = Math.max(heard.revision, to);
  }

  #collect(
    peerId: string,
    [k, n, round]: readonly [number, number, string],
    listed: Set<string>,
  ): Inbox {
    let inbox = this.#inboxes.get(peerId);
    if (!inbox || inbox.round !== round || inbox.n !== n) {
      inbox = { round, n, seen: new Set(), listed: new Set(), lastMs: 0 };
      this.#inboxes.set(peerId, inbox);
    }
    inbox.lastMs = this.state.nowMs;
    inbox.seen.add(k);
    // A list cannot name more files than the catalogue holds.
    if (inbox.listed.size + listed.size <= this.state.config.limits.maxCatalogueEntries) {
      for (const fileId of listed) inbox.listed.add(fileId);
    } else this.state.overload("lists-cut");
    return inbox;
  }

  #sendChanges(record: PeerRecord, { added, removed }: ListChanges, told: Told): void {
    const { state } = this;
    const { revision } = state.catalogue;
    const place = {
      rev: [told.revision, revision],
      ...(removed.length > 0 ? { gone: removed } : {}),
    } as const;
    const files = added.map((fileId) => state.catalogue.get(fileId)!.file);
    const parts = canLists(record) && files.length > FEW_ENTRIES
      ? this.#packed(files)
      : [{ entries: textsOf(files, record.extended) }];
    for (const part of parts) if (!this.#sendPart(record, part, place)) return;
    this.#told.set(record.peerId, { ...told, revision });
  }

  #packed(files: readonly FileRecord[]): Part[] {
    const cut = this.#packedCut(files, 0);
    return Array.from({ length: cut.count }, (_, i) => cut.part(i));
  }

  /** Sends the whole list to peers that were told a partial one, now that the folder is read. */
  #completePartial(): void {
    if (this.#partly.size === 0 || this.state.read !== "folder") return;
    for (const peerId of this.#partly) {
      this.#partly.delete(peerId);
      const record = this.state.membership.get(peerId);
      if (!record || !isProven(record) || this.#outboxes.has(peerId)) continue;
      this.#begin(record);
    }
  }

  #begin(record: PeerRecord): void {
    const { state } = this;
    this.#outboxes.set(record.peerId, {
      cut: this.#cut(record),
      round: state.freshId().slice(-12),
      boot: record.boot,
      isPartial: state.read !== "folder",
      next: 0,
      inFlight: 0,
    });
  }

  /** Returns our list in parts for a peer; cached until the list changes. */
  #cut(record: PeerRecord): Cut {
    const { catalogue } = this.state;
    const { extended } = record;
    const kind = !isProven(record)
      ? extended ? "unproven extended" : "unproven"
      : canLists(record)
      ? "packed"
      : extended
      ? "extended"
      : "plain";
    const known = this.#cuts.get(kind);
    if (known?.revision === catalogue.revision) return known;
    const files = [...catalogue.held()].map(({ file }) => file);
    const made = kind === "packed"
      ? this.#packedCut(files, catalogue.revision)
      : this.#plainCut(textsOf(files, extended), !isProven(record));
    this.#cuts.set(kind, made);
    return made;
  }

  #plainCut(entries: readonly string[], isFirstSmall: boolean): Cut {
    const { revision } = this.state.catalogue;
    const firstBytes = isFirstSmall ? UNPROVEN_REPLY_BYTES - HEAD_BYTES : undefined;
    const parts = cut(entries, PART_BYTES - HEAD_BYTES, firstBytes);
    return { revision, count: parts.length, part: (index) => ({ entries: parts[index]! }) };
  }

  /** Parts are encoded and packed when they are sent: that of a hundred thousand files takes a second. */
  #packedCut(files: readonly FileRecord[], revision: number): Cut {
    const { pack } = this.state.config;
    const bounds = boundsOf(files);
    const packed = new Map<number, Part>();
    const part = (index: number): Part => {
      const known = packed.get(index);
      if (known) return known;
      const entries = textsOf(files.slice(bounds[index], bounds[index + 1]), true);
      const text = pack?.(`[${entries.join(",")}]`);
      const made = text !== undefined && text.length <= MAX_PACKED_CHARS
        ? { entries: [], packed: text }
        : { entries };
      packed.set(index, made);
      return made;
    };
    return { revision, count: bounds.length - 1, part };
  }

  /**
   * Sends as many parts as may be on their way at a time, and as the rate limit allows. `asked`: the peer gossiped; an
   * unproven one gets one part for that.
   */
  #continue(record: PeerRecord, asked: boolean): void {
    const { state } = this;
    const outbox = this.#outboxes.get(record.peerId)!;
    const { cut, round, isPartial } = outbox;
    const isProvenPeer = isProven(record);
    const inFlight = canLists(record) ? PARTS_IN_FLIGHT : AT_ONCE;
    if (cut.count > 1 && isProvenPeer && canLists(record)) {
      outbox.isFree ??= this.#wholes.take(placeOf(record), state.nowMs);
    }
    while (outbox.next < cut.count && outbox.inFlight < inFlight) {
      const k = outbox.next + 1;
      const place = placeIn([k, cut.count, round], cut.revision, isPartial, canLists(record));
      if (!this.#sendPart(record, cut.part(outbox.next), place, { isFree: outbox.isFree })) return;
      outbox.next = k;
      if (canLists(record)) outbox.inFlight++;
      if (!isProvenPeer && asked) break;
    }
    if (outbox.next < cut.count) return;
    this.#outboxes.delete(record.peerId);
    if (record.boot === undefined) return;
    const told = { boot: record.boot, revision: cut.revision, wholeAtMs: state.nowMs, isPartial };
    this.#told.set(record.peerId, told);
    if (isPartial) this.#partly.add(record.peerId);
  }

  /** Sends a part of a list. Returns false if a rate limit does not allow it now. */
  #sendPart(
    record: PeerRecord,
    part: Part,
    place: Place | undefined,
    { isBroadcast = false, isFree = false }: {
      readonly isBroadcast?: boolean;
      readonly isFree?: boolean | undefined;
    } = {},
  ): boolean {
    const { state } = this;
    const isEmpty = part.entries.length === 0 && part.packed === undefined;
    // Most replies to peers that remember lists are empty, and the same for all of them.
    const bytes = isEmpty && place && !place.part && !place.partial && !place.gone
      ? this.#empty(place)
      : this.#encode(part, place);
    // An unproven peer shares the rate limit with everyone that names the same machine.
    const key = isProven(record) ? placeOf(record) : machineOf(record);
    if (!isFree && !this.#bytes.take(key, state.nowMs, bytes.length)) {
      if (this.#delayed.add(key, state.nowMs)) state.overload("lists-delayed");
      return false;
    }
    const isCounted = place?.part !== undefined || place?.partial !== undefined;
    const ticket = isCounted && canLists(record) ? { for: "list" } as const : undefined;
    return state.sendBytes(record, "GOSSIP_REPLY", bytes, ticket, isBroadcast);
  }

  #empty(place: Place): Uint8Array<ArrayBuffer> {
    const { address, via, also } = this.state;
    const text = JSON.stringify([place.rev, address.host, via, also]);
    if (this.#emptyReply?.text !== text) {
      this.#emptyReply = { text, bytes: this.#encode({ entries: [] }, place) };
    }
    return this.#emptyReply.bytes;
  }

  #encode({ entries, packed }: Part, place: Place | undefined): Uint8Array<ArrayBuffer> {
    const { self, ext } = this.state;
    const full = { ...ext, ...place, ...(packed === undefined ? {} : { packed }) };
    const head = { type: "GOSSIP_REPLY", ...self, ext: full } as const;
    return new TextEncoder().encode(avoidBraceAtReadEdge(replyText(head, entries)));
  }
}

/** Returns an entry without what only its holder can know. */
function withoutClaims(file: FileRecord): FileRecord {
  if (file.sha256 === undefined) return file;
  const { sha256: _, ...rest } = file;
  return rest;
}

/** Returns an entry as sent to a peer that does or does not have extensions. */
function entryText(file: FileRecord, toExtended: boolean): string {
  return asciiJson(toExtended ? extendedFileFields(file) : fileFields(file));
}

function textsOf(files: readonly FileRecord[], toExtended: boolean): string[] {
  return files.map((file) => entryText(file, toExtended));
}

/** Returns whether a peer takes partial and packed lists. */
const canLists = ({ can }: PeerRecord): boolean => can.includes(LISTS);

/** Returns where a part belongs. A peer that cannot `LISTS` must not take a partial list for a whole one. */
function placeIn(
  part: readonly [number, number, string],
  revision: number,
  isPartial: boolean,
  canPartial: boolean,
): Place {
  if (!isPartial) return { part, rev: [0, revision] };
  return canPartial ? { partial: part, rev: [0, revision] } : { rev: [0, 0] };
}

/** Returns where the parts of a list begin, and where the last one ends. There is at least one part. */
function boundsOf(files: readonly FileRecord[]): number[] {
  const bounds = [0];
  let bytes = 0;
  for (const [index, { name, owner }] of files.entries()) {
    // An estimate: other characters take up to six bytes each.
    const size = ENTRY_BYTES + (isAscii(name) ? 1 : 6) * name.length + owner.length;
    if (bytes > 0 && bytes + size > PACKED_PART_BYTES) {
      bounds.push(index);
      bytes = 0;
    }
    bytes += size;
  }
  bounds.push(files.length);
  return bounds;
}

/** Length of an entry without its names, in bytes. */
const ENTRY_BYTES = 280;
/** Number of changes up to which packing them does not pay off. */
const FEW_ENTRIES = 32;

const isAscii = (text: string): boolean => /^[ -~]*$/.test(text);

/**
 * Returns the entries in pieces of at most `maxBytes`, the first of at most `firstBytes`. There is at least one
 * piece.
 */
function cut(
  entries: readonly string[],
  maxBytes: number,
  firstBytes = maxBytes,
): string[][] {
  const parts: string[][] = [[]];
  let bytes = 0;
  for (const text of entries) {
    const last = parts.at(-1)!;
    const space = parts.length === 1 ? firstBytes : maxBytes;
    // One byte for the comma, and one for the space before a brace at a read boundary.
    if (bytes + text.length + 1 > space && last.length > 0) {
      parts.push([text]);
      bytes = text.length + 2;
    } else {
      last.push(text);
      bytes += text.length + 2;
    }
  }
  return parts;
}
