// GOSSIP_REPLY, both ways: what we tell others that we hold, and what their lists change here. PURE.
// Peers without extensions get the whole list each time they ask, at their pace (`oldlists.ts`). Peers that remember
// (`ext.boot`) get the whole list once, then only what was added; an empty list keeps us alive there.
// Always holds: one destination gets at most `repliesPerMinute` replies and `replyBytesPerMinute` bytes,
// and an address that has not proved itself gets one piece a reply, the first of them small.

import { KeyedWindows } from "../bounds/rate_limit.ts";
import type { Bounded } from "../bounds/expiring.ts";
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
  /** The start of the peer that it was begun for; another one begins anew. */
  readonly boot: string | undefined;
  next: number;
}

/** Our own list in pieces, made once for all who get it. */
interface Cut {
  readonly revision: number;
  readonly parts: readonly (readonly string[])[];
}

/** What a peer with extensions was told last. */
interface Told {
  readonly boot: string;
  readonly revision: number;
  readonly wholeAtMs: number;
}

/** How far we know the list of a peer with extensions. */
interface Heard {
  readonly boot: string;
  revision: number;
}

/** Pieces of one round of somebody's list that came so far. */
interface Inbox {
  readonly round: string;
  readonly n: number;
  readonly seen: Set<number>;
  readonly listed: Set<string>;
  lastMs: number;
}

/** What a reply tells of a list: which revisions, and which piece of a whole one. */
type Place = Required<Pick<Ext, "rev">> & Pick<Ext, "part">;

/** Bytes reserved in each piece for the fields around the list. */
const HEAD_BYTES = 1024;

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

  /** What is remembered, against its bounds: one of each kind per tracked peer. */
  get sizes(): Bounded[] {
    const { maxPeers: max } = this.state.config.limits;
    return [
      { name: "lists going out", size: () => this.#outboxes.size, max: () => max },
      { name: "lists coming in", size: () => this.#inboxes.size, max: () => max },
      { name: "lists told", size: () => this.#told.size, max: () => max },
      { name: "lists heard", size: () => this.#heard.size, max: () => max },
      { name: "kinds of lists", size: () => this.#cuts.size, max: () => 2 },
      { name: "reply budgets", size: () => this.#replies.size, max: () => this.#replies.maxKeys },
      { name: "byte budgets", size: () => this.#bytes.size, max: () => this.#bytes.maxKeys },
      ...this.#old.sizes,
    ];
  }

  /** Answers a gossip of this peer. `wantsAll`: it says that our list is missing there. */
  reply(record: PeerRecord, wantsAll: boolean): void {
    const { state } = this;
    if (!this.#replies.take(placeOf(record), state.nowMs)) {
      state.refuse(record.peerId, "reply-rate", "Not answered: it asks more often than it may");
      return;
    }
    if (!record.extended) {
      // It has no other sign of life of us, so it gets an empty list where a full one has to wait.
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

  /** A peer asked for a file. */
  asked(ip: string): void {
    this.#old.asked(ip);
  }

  /** Goes on with lists that had to wait for room in the budget, or for their reader. */
  tick(): void {
    for (const peerId of this.#outboxes.keys()) {
      const record = this.state.membership.get(peerId);
      if (!record) this.forget(peerId);
      else if (isProven(record)) this.#continue(record, false);
    }
    this.#old.tick();
  }

  /** A piece did not reach the peer. One with extensions asks again for what it lacks; one without is told again. */
  notDelivered(peerId: string): void {
    this.#told.delete(peerId);
    this.#outboxes.delete(peerId);
    const record = this.state.membership.get(peerId);
    if (record && !record.extended) this.#old.notDelivered(record);
  }

  /** A few of our files. */
  some(count: number): FileRecord[] {
    const files: FileRecord[] = [];
    for (const { file } of this.state.catalogue.held()) {
      if (files.length === count) break;
      files.push(file);
    }
    return files;
  }

  /** The peer is gone, or starts anew. */
  forget(peerId: string): void {
    this.#outboxes.delete(peerId);
    this.#old.forget(peerId);
    this.#inboxes.delete(peerId);
    this.#told.delete(peerId);
    this.#heard.delete(peerId);
  }

  /** Whether a peer that tells things only once has told some that got lost on their way here. */
  isMissing(record: PeerRecord): boolean {
    if (record.boot === undefined || this.#heard.get(record.peerId)?.boot === record.boot) {
      return false;
    }
    const inbox = this.#inboxes.get(record.peerId);
    return !inbox || this.state.nowMs - inbox.lastMs >= LIST_QUIET_MS;
  }

  /**
   * Notes what a peer says that it holds; `isFromThere`: the message came from where the peer is. Returns the files that
   * it was not known to hold.
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
      // Without `ext`, a list may be one of several pieces: only two in a row take a holder away.
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

  /** Pieces of a list that names these files and leaves open what else is held. */
  piecesOf(files: readonly FileRecord[]): Uint8Array<ArrayBuffer>[] {
    const { self, ext } = this.state;
    const entries = files.map((file) => this.#text(file));
    return cut(entries, PART_BYTES - HEAD_BYTES).map((piece) => {
      const text = replyText({ type: "GOSSIP_REPLY", ...self, ext }, piece);
      return new TextEncoder().encode(avoidBraceAtReadEdge(text));
    });
  }

  /** Tells a peer without extensions of these files, at the pace at which it fetches. */
  tellOf(record: PeerRecord, files: readonly FileRecord[]): void {
    this.#old.tellOf(record, files);
  }

  /**
   * Learns of one file that a peer holds; returns whether that is news. The owner of a file, speaking from where it is,
   * may give it another name.
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
          "Catalogue is full, new files are not noted",
        );
        return false;
      case "owner-conflict":
        state.refuse(
          holder?.peerId ?? "?",
          "owner-conflict",
          `Names another owner for ${file.fileId}; the first one stays`,
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

  /** What a person renamed here keeps that name, and what is ours is named by us. */
  #mayRename({ fileId, owner }: FileRecord): boolean {
    return owner !== this.state.config.peerId && !this.state.catalogue.get(fileId)?.held;
  }

  /** Changes that do not follow on what is known here: what lies between got lost. */
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
    // A list cannot name more than the catalogue holds.
    if (inbox.listed.size + listed.size <= this.state.config.limits.maxCatalogueEntries) {
      for (const fileId of listed) inbox.listed.add(fileId);
    }
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

  /** Our list in pieces for peers that proved their address, or did not; the same until the list changes. */
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

  /** Sends what the budget allows; `asked`: an unproven peer gets one piece for each time that it asks. */
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
    // Most replies between peers that remember are empty, and all alike.
    const bytes = entries.length === 0 && place && !place.part
      ? this.#empty(place)
      : this.#encode(entries, place);
    // Who has not proved itself shares the budget of all that name the same machine.
    const key = isProven(record) ? placeOf(record) : machineOf(record);
    if (!this.#bytes.take(key, state.nowMs, bytes.length)) return false;
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

/** Entries of a list in pieces of bounded size; the first piece may have a bound of its own. At least one. */
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
    // One byte for the comma and one for a space before a brace at the edge of a read.
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
