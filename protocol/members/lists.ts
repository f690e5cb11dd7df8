// GOSSIP_REPLY in both directions: the lists that we send, and what other peers' lists change here. PURE.
// Peers without extensions get the whole list each time they gossip, at their pace (`legacy_lists.ts`). Peers that
// remember lists (`ext.boot`) get the whole list once, then only additions; an empty list shows them that we are
// alive.
// Invariants: a destination gets at most `repliesPerMinute` replies and `replyBytesPerMinute` bytes per minute; an
// unproven address gets one piece per reply, and the first one is small.

import { KeyedWindows } from "../bounds/rate_limit.ts";
import { type Bounded, ExpiringSet } from "../bounds/expiring.ts";
import { FULL_LIST_MS, LIST_QUIET_MS, PART_BYTES, UNPROVEN_REPLY_BYTES } from "../limits.ts";
import { isProven, machineOf, type PeerRecord } from "./membership.ts";
import {
  type Ext,
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
  readonly parts: readonly (readonly string[])[];
  readonly round: string;
  readonly revision: number;
  /** The run of the peer for which the list was started; after a restart, it starts over. */
  readonly boot: string | undefined;
  next: number;
}

/** Our own list in pieces, encoded once for all receivers. */
interface Cut {
  readonly revision: number;
  readonly parts: readonly (readonly string[])[];
}

/** The revision of our list that a peer with extensions has. */
interface Told {
  readonly boot: string;
  readonly revision: number;
  readonly wholeAtMs: number;
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

/** The extensions that say which part of a list a reply contains: which revisions, and which piece. */
type Place = Required<Pick<Ext, "rev">> & Pick<Ext, "part">;

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
  readonly #entryText = new WeakMap<FileRecord, string>();
  #emptyReply: { readonly text: string; readonly bytes: Uint8Array<ArrayBuffer> } | undefined;
  readonly #cuts = new Map<boolean, Cut>();
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
      sizeOf: (file) => this.#text(file).length,
      send: (record, files, isReply) =>
        this.#sendPart(record, files.map((file) => this.#text(file)), undefined, !isReply),
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
      { name: "encoded lists", size: () => this.#cuts.size, max: () => 2 },
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
      if (!this.#old.reply(record)) this.#sendPart(record, [], { rev: [0, 0] });
      return;
    }
    const outbox = this.#outboxes.get(record.peerId);
    if (!outbox || outbox.boot !== record.boot) {
      const told = this.#told.get(record.peerId);
      const fresh = told !== undefined && told.boot === record.boot && !wantsAll &&
        state.nowMs - told.wholeAtMs < FULL_LIST_MS;
      const changes = fresh ? state.catalogue.changesSince(told.revision) : undefined;
      if (changes && !changes.removed) {
        this.#sendChanges(record, changes.added, told!);
        return;
      }
      this.#begin(record);
    }
    this.#continue(record, true);
  }

  /** Notes that a peer at this address requested a file. */
  asked(ip: string): void {
    this.#old.asked(ip);
  }

  /** Continues lists that had to wait for the rate limit or for their receiver. */
  tick(): void {
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
    let changed = news.size > 0;
    const part = message.ext?.part;
    let whole = message.ext === undefined || (part?.[1] === 1);
    let all: ReadonlySet<string> = listed;
    if (part && part[1] > 1) {
      const inbox = this.#collect(record.peerId, part, listed);
      whole = inbox.seen.size === inbox.n;
      all = inbox.listed;
    }
    if (whole) {
      // Without `ext`, a list may be one of several pieces, so a file must be missing twice in a row.
      changed = catalogue.wholeList(record.peerId, all, message.ext ? 1 : 2, nowMs) || changed;
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

  /** Returns the pieces of a list that names these files and does not claim to be complete. */
  piecesOf(files: readonly FileRecord[]): Uint8Array<ArrayBuffer>[] {
    const { self, ext } = this.state;
    const entries = files.map((file) => this.#text(file));
    return cut(entries, PART_BYTES - HEAD_BYTES).map((piece) => {
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
  learn(file: FileRecord, holder: PeerRecord | undefined, isFromThere = false): boolean {
    const { state } = this;
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

  #sendChanges(record: PeerRecord, added: readonly string[], told: Told): void {
    const { state } = this;
    const entries = added.map((fileId) => this.#text(state.catalogue.get(fileId)!.file));
    const { revision } = state.catalogue;
    const sent = this.#sendPart(record, entries, { rev: [told.revision, revision] });
    if (sent) this.#told.set(record.peerId, { ...told, revision });
  }

  #begin(record: PeerRecord): void {
    const { state } = this;
    const { parts, revision } = this.#cut(isProven(record));
    this.#outboxes.set(record.peerId, {
      parts,
      revision,
      round: state.freshId().slice(-12),
      boot: record.boot,
      next: 0,
    });
  }

  /** Returns our list in pieces, for peers with a proven address or without; cached until the list changes. */
  #cut(proven: boolean): Cut {
    const { catalogue } = this.state;
    const known = this.#cuts.get(proven);
    if (known?.revision === catalogue.revision) return known;
    const entries: string[] = [];
    for (const { file } of catalogue.held()) entries.push(this.#text(file));
    const firstBytes = proven ? undefined : UNPROVEN_REPLY_BYTES - HEAD_BYTES;
    const parts = cut(entries, PART_BYTES - HEAD_BYTES, firstBytes);
    const made = { revision: catalogue.revision, parts };
    this.#cuts.set(proven, made);
    return made;
  }

  /**
   * Sends as many pieces as the rate limit allows. `asked`: the peer gossiped; an unproven one gets one piece for
   * that.
   */
  #continue(record: PeerRecord, asked: boolean): void {
    const { state } = this;
    const outbox = this.#outboxes.get(record.peerId)!;
    const { parts, round, revision } = outbox;
    while (outbox.next < parts.length) {
      const k = outbox.next + 1;
      const place = { part: [k, parts.length, round], rev: [0, revision] } as const;
      if (!this.#sendPart(record, parts[outbox.next]!, place)) return;
      outbox.next = k;
      if (!isProven(record) && asked) break;
    }
    if (outbox.next < parts.length) return;
    this.#outboxes.delete(record.peerId);
    if (record.boot === undefined) return;
    this.#told.set(record.peerId, { boot: record.boot, revision, wholeAtMs: state.nowMs });
  }

  #sendPart(
    record: PeerRecord,
    entries: readonly string[],
    place: Place | undefined,
    isBroadcast = false,
  ): boolean {
    const { state } = this;
    // Most replies to peers that remember lists are empty, and the same for all of them.
    const bytes = entries.length === 0 && place && !place.part
      ? this.#empty(place)
      : this.#encode(entries, place);
    // An unproven peer shares the rate limit with everyone that names the same machine.
    const key = isProven(record) ? placeOf(record) : machineOf(record);
    if (!this.#bytes.take(key, state.nowMs, bytes.length)) {
      if (this.#delayed.add(key, state.nowMs)) state.overload("lists-delayed");
      return false;
    }
    return state.sendBytes(record, "GOSSIP_REPLY", bytes, undefined, isBroadcast);
  }

  #empty(place: Place): Uint8Array<ArrayBuffer> {
    const text = place.rev.join();
    if (this.#emptyReply?.text !== text) {
      this.#emptyReply = { text, bytes: this.#encode([], place) };
    }
    return this.#emptyReply.bytes;
  }

  #encode(entries: readonly string[], place: Place | undefined): Uint8Array<ArrayBuffer> {
    const { self, ext } = this.state;
    const head = { type: "GOSSIP_REPLY", ...self, ext: { ...ext, ...place } } as const;
    return new TextEncoder().encode(avoidBraceAtReadEdge(replyText(head, entries)));
  }

  #text(file: FileRecord): string {
    let text = this.#entryText.get(file);
    if (text === undefined) this.#entryText.set(file, text = asciiJson(fileFields(file)));
    return text;
  }
}

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
