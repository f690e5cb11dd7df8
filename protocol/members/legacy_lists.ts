// Lists for peers without extensions, told at the pace at which they fetch. PURE.
// One kind of them opens a connection for each file that a list names and that it lacks, all at once, and never asks
// again for what was refused. So such a peer is told of the next piece when it has asked for the last one, or had the time
// to; and all such peers together hear of more than may wait to be served only slowly, but each of them does hear.
// Always holds: a piece names what is held when it is sent, under its name of then, in at most `LEGACY_PIECE_FILES` files
// and `LEGACY_PART_BYTES`; besides whole lists, a peer is told of at most `LEGACY_EXTRA` files.

import type { Bounded } from "../bounds/expiring.ts";
import {
  LEGACY_ASK_MS,
  LEGACY_EXTRA,
  LEGACY_OFFERED,
  LEGACY_OPEN_GETS,
  LEGACY_PART_BYTES,
  LEGACY_PIECE_FILES,
  LEGACY_PIECE_MS,
  LEGACY_QUIET_MS,
  LEGACY_RESEND_MS,
  LEGACY_RESENDS,
  UNPROVEN_REPLY_BYTES,
} from "../limits.ts";
import { isProven, machineOf, type PeerRecord } from "./membership.ts";
import type { FileRecord } from "../wire/message.ts";
import type { PeerState } from "../state.ts";

/** What the lists do for these. */
export interface PieceSender {
  /** How many bytes a file takes in a list. */
  sizeOf(file: FileRecord): number;
  /** Sends a piece; false when its budget is used up. */
  send(record: PeerRecord, files: readonly FileRecord[], isReply: boolean): boolean;
}

/** What one peer is to be told. */
interface Outbox {
  /** What was held when the whole list was begun, the same array for all. */
  ids: readonly string[];
  next: number;
  /** What it is to be told of besides. */
  readonly extra: Set<string>;
  /** When something was sent last, or since when something waits to be. */
  lastMs: number;
  /** What the last piece named. */
  last: readonly string[];
  /** Pieces that did not get there and are told again. */
  resends: number;
}

/** What a peer was told of, and may still ask for. */
interface Offer {
  readonly machine: string;
  left: number;
  readonly sinceMs: number;
  /** When it asked for something last. */
  askedMs: number;
}

/** Bytes reserved in each piece for the fields around the list. */
const HEAD_BYTES = 1024;

export class LegacyLists {
  readonly #outboxes = new Map<string, Outbox>();
  readonly #offers = new Map<string, Offer>();
  #snapshot: { readonly revision: number; readonly ids: readonly string[] } | undefined;
  #serving = { ms: -Infinity, count: 0 };

  constructor(readonly state: PeerState, readonly sender: PieceSender) {}

  get sizes(): Bounded[] {
    const { maxPeers: max } = this.state.config.limits;
    const extra = () =>
      [...this.#outboxes.values()].reduce((sum, each) => sum + each.extra.size, 0);
    return [
      { name: "lists to old peers", size: () => this.#outboxes.size, max: () => max },
      {
        name: "files for old peers",
        size: extra,
        max: () => max * (LEGACY_EXTRA + LEGACY_PIECE_FILES),
      },
      { name: "old peers offered files", size: () => this.#offers.size, max: () => max },
    ];
  }

  /** Answers a gossip: with a piece of the whole list, or none where one has to wait. True when something was sent. */
  reply(record: PeerRecord): boolean {
    const outbox = this.#outboxOf(record.peerId);
    if (outbox.next >= outbox.ids.length) this.#begin(outbox);
    return this.#continue(record, outbox, true);
  }

  /** Tells of these files. */
  tellOf(record: PeerRecord, files: readonly FileRecord[]): void {
    const outbox = this.#outboxOf(record.peerId);
    for (const { fileId } of files) outbox.extra.add(fileId);
    if (outbox.extra.size > LEGACY_EXTRA) {
      outbox.extra.clear();
      this.#begin(outbox); // all of them, then
    }
    if (isProven(record)) this.#continue(record, outbox, false);
  }

  /** Somebody at this address asked for a file. */
  asked(ip: string): void {
    let isCounted = false;
    for (const offer of this.#offers.values()) {
      if (offer.machine !== ip) continue;
      if (!isCounted && offer.left > 0) {
        offer.left--;
        isCounted = true;
      }
      offer.askedMs = this.state.nowMs; // whichever of the peers there it was
    }
  }

  /** Goes on with what had to wait, whoever waits longest first. */
  tick(): void {
    const { membership, nowMs } = this.state;
    for (const [peerId, offer] of this.#offers) {
      if (this.#isOver(offer) || !membership.get(peerId)) this.#offers.delete(peerId);
    }
    for (const [peerId, outbox] of [...this.#outboxes]) {
      const record = membership.get(peerId);
      const isDone = outbox.next >= outbox.ids.length && outbox.extra.size === 0;
      // The last piece may still fail.
      if (!record || record.extended || (isDone && nowMs - outbox.lastMs >= LEGACY_ASK_MS)) {
        this.#outboxes.delete(peerId);
      } else if (!isDone && isProven(record)) this.#continue(record, outbox, false);
    }
  }

  /** The last piece did not reach the peer: it is told again, a few times. */
  notDelivered(record: PeerRecord): void {
    const outbox = this.#outboxes.get(record.peerId);
    if (!outbox || outbox.last.length === 0 || outbox.resends >= LEGACY_RESENDS) return;
    const offer = this.#offers.get(record.peerId);
    if (offer) offer.left = Math.max(0, offer.left - outbox.last.length);
    for (const fileId of outbox.last) outbox.extra.add(fileId);
    outbox.last = [];
    outbox.resends++;
    outbox.lastMs = this.state.nowMs + LEGACY_RESEND_MS - LEGACY_PIECE_MS;
  }

  /** The peer is gone, or starts anew. */
  forget(peerId: string): void {
    this.#outboxes.delete(peerId);
    this.#offers.delete(peerId);
  }

  #outboxOf(peerId: string): Outbox {
    let outbox = this.#outboxes.get(peerId);
    if (!outbox) {
      outbox = { ids: [], next: 0, extra: new Set(), lastMs: -Infinity, last: [], resends: 0 };
      this.#outboxes.set(peerId, outbox);
    }
    return outbox;
  }

  #begin(outbox: Outbox): void {
    const { catalogue } = this.state;
    if (this.#snapshot?.revision !== catalogue.revision) {
      const ids = [...catalogue.held()].map(({ file }) => file.fileId);
      this.#snapshot = { revision: catalogue.revision, ids };
    }
    outbox.ids = this.#snapshot!.ids;
    outbox.next = 0;
    outbox.resends = 0;
  }

  #continue(record: PeerRecord, outbox: Outbox, isReply: boolean): boolean {
    const { nowMs } = this.state;
    if (!this.#isReady(record, outbox)) return false;
    const { files, next } = this.#piece(record, outbox);
    if (files.length === 0) {
      outbox.next = next; // what was left to tell is not held any more
      return false;
    }
    if (!this.sender.send(record, files, isReply)) return false;
    outbox.next = next;
    outbox.last = files.map(({ fileId }) => fileId);
    for (const fileId of outbox.last) outbox.extra.delete(fileId);
    outbox.lastMs = nowMs;
    this.#offers.set(record.peerId, {
      machine: machineOf(record),
      left: files.length,
      sinceMs: nowMs,
      askedMs: -Infinity,
    });
    // Behind the others.
    this.#outboxes.delete(record.peerId);
    this.#outboxes.set(record.peerId, outbox);
    return true;
  }

  /** What the next piece names, and how far it comes in the whole list. Forgets what is not held any more. */
  #piece(record: PeerRecord, outbox: Outbox): { files: FileRecord[]; next: number } {
    const { catalogue } = this.state;
    const files: FileRecord[] = [];
    const isFirst = outbox.next === 0;
    let left = isFirst && !isProven(record) ? UNPROVEN_REPLY_BYTES : LEGACY_PART_BYTES;
    left -= HEAD_BYTES;
    /** False where the piece is full. */
    const take = (fileId: string): boolean => {
      const entry = catalogue.get(fileId);
      if (!entry?.held) return true;
      const bytes = this.sender.sizeOf(entry.file) + 2; // a comma, and a space before a brace at the edge of a read
      if (files.length > 0 && (bytes > left || files.length >= LEGACY_PIECE_FILES)) return false;
      files.push(entry.file);
      left -= bytes;
      return true;
    };
    let { next } = outbox;
    while (next < outbox.ids.length && take(outbox.ids[next]!)) next++;
    if (next < outbox.ids.length) return { files, next };
    const named = new Set(files.map(({ fileId }) => fileId));
    for (const fileId of outbox.extra) {
      if (!catalogue.get(fileId)?.held) outbox.extra.delete(fileId);
      else if (!named.has(fileId) && !take(fileId)) break;
    }
    return { files, next };
  }

  /** Whether the peer may have the next piece now. */
  #isReady(record: PeerRecord, outbox: Outbox): boolean {
    const { nowMs, serving } = this.state;
    if (nowMs - outbox.lastMs < LEGACY_PIECE_MS) return false;
    const machine = machineOf(record);
    const offer = this.#offers.get(record.peerId);
    if (offer && !this.#isOver(offer)) return false;
    if ((serving.get(machine) ?? 0) > LEGACY_OPEN_GETS) return false;
    let open = this.#openGets();
    for (const each of this.#offers.values()) if (!this.#isOver(each)) open += each.left;
    if (open + LEGACY_PIECE_FILES <= LEGACY_OFFERED) return true;
    // Nobody waits for ever, whatever others do or leave undone.
    if (outbox.lastMs === -Infinity) outbox.lastMs = nowMs - LEGACY_PIECE_MS;
    return nowMs - outbox.lastMs >= LEGACY_ASK_MS;
  }

  /** It has asked for all that it wants, or fetches nothing. */
  #isOver({ left, sinceMs, askedMs }: Offer): boolean {
    if (left === 0) return true;
    const idleMs = this.state.nowMs - Math.max(sinceMs, askedMs);
    return idleMs >= (askedMs >= sinceMs ? LEGACY_QUIET_MS : LEGACY_ASK_MS);
  }

  /** Operations of machines with such peers that are being served or wait for it; no machine counts for more than a piece. */
  #openGets(): number {
    const { nowMs, membership, serving } = this.state;
    if (this.#serving.ms === nowMs) return this.#serving.count;
    const machines = new Set<string>();
    for (const record of membership.all()) if (!record.extended) machines.add(machineOf(record));
    let count = 0;
    for (const machine of machines) {
      count += Math.min(serving.get(machine) ?? 0, LEGACY_PIECE_FILES);
    }
    this.#serving = { ms: nowMs, count };
    return count;
  }
}
