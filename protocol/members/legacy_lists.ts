// Lists for peers without extensions, sent at the pace at which they fetch. PURE.
// One implementation opens a connection for each listed file that it lacks, all at once, and never retries one that
// was refused. So such a peer gets the next piece of a list once it has requested the files of the last one, or has
// had time to. When all such peers together know of more files than may wait to be served, each still gets pieces,
// only slowly.
// Invariants: a piece names files held when it is sent, under their current names, at most `LEGACY_PIECE_FILES` of
// them and `LEGACY_PART_BYTES`; in addition to the whole list, at most `LEGACY_EXTRA` files wait to be sent to a
// peer.

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

/** Encodes and sends the pieces. */
export interface PieceSender {
  /** Returns the size of a file's entry in a list, in bytes. */
  sizeOf(file: FileRecord): number;
  /** Sends a piece. Returns false if a rate limit does not allow it now. */
  send(record: PeerRecord, files: readonly FileRecord[], isReply: boolean): boolean;
}

/** What is still to be sent to one peer. */
interface Outbox {
  /** Ids of the files held when the whole list was started; peers share the array. */
  ids: readonly string[];
  /** Index of the first of `ids` that has not been sent. */
  next: number;
  /** Ids of further files to send. */
  readonly extra: Set<string>;
  /** When the last piece was sent, or since when the first one has been waiting. */
  lastMs: number;
  /** Ids of the files in the last piece. */
  last: readonly string[];
  /** Number of pieces that were not delivered and are sent again. */
  resends: number;
}

/** The files of the last piece, which the peer may still request. */
interface Offer {
  readonly machine: string;
  left: number;
  readonly sinceMs: number;
  /** When the peer last requested a file. */
  askedMs: number;
}

/** Bytes reserved in each piece for the fields around the list. */
const HEAD_BYTES = 1024;

/** Sends lists to peers without extensions. */
export class LegacyLists {
  readonly #outboxes = new Map<string, Outbox>();
  readonly #offers = new Map<string, Offer>();
  #snapshot: { readonly revision: number; readonly ids: readonly string[] } | undefined;
  #serving = { ms: -Infinity, count: 0 };

  /** Shares `state` with the other parts of the peer. */
  constructor(readonly state: PeerState, readonly sender: PieceSender) {}

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    const { maxPeers: max } = this.state.config.limits;
    const extra = () =>
      [...this.#outboxes.values()].reduce((sum, each) => sum + each.extra.size, 0);
    return [
      { name: "lists to legacy peers", size: () => this.#outboxes.size, max: () => max },
      {
        name: "files for legacy peers",
        size: extra,
        max: () => max * (LEGACY_EXTRA + LEGACY_PIECE_FILES),
      },
      { name: "legacy peers offered files", size: () => this.#offers.size, max: () => max },
    ];
  }

  /**
   * Answers a gossip with the next piece of the whole list. Returns false if that has to wait, and nothing was sent.
   */
  reply(record: PeerRecord): boolean {
    const outbox = this.#outboxOf(record.peerId);
    if (outbox.next >= outbox.ids.length) this.#begin(outbox);
    return this.#continue(record, outbox, true);
  }

  /** Lists these files to a peer in addition to the whole list. */
  tellOf(record: PeerRecord, files: readonly FileRecord[]): void {
    const outbox = this.#outboxOf(record.peerId);
    for (const { fileId } of files) outbox.extra.add(fileId);
    if (outbox.extra.size > LEGACY_EXTRA) {
      outbox.extra.clear();
      this.#begin(outbox); // too many: send the whole list instead
    }
    if (isProven(record)) this.#continue(record, outbox, false);
  }

  /** Notes that a peer at this address requested a file. */
  asked(ip: string): void {
    let isCounted = false;
    for (const offer of this.#offers.values()) {
      if (offer.machine !== ip) continue;
      if (!isCounted && offer.left > 0) {
        offer.left--;
        isCounted = true;
      }
      offer.askedMs = this.state.nowMs; // it may have been any of the peers there
    }
  }

  /** Sends pieces that had to wait, first to the peers that have waited longest. */
  tick(): void {
    const { membership, nowMs } = this.state;
    for (const [peerId, offer] of this.#offers) {
      if (this.#isOver(offer) || !membership.get(peerId)) this.#offers.delete(peerId);
    }
    for (const [peerId, outbox] of [...this.#outboxes]) {
      const record = membership.get(peerId);
      const isDone = outbox.next >= outbox.ids.length && outbox.extra.size === 0;
      // Keep the outbox for a while after the last piece, which may still turn out not to be delivered.
      if (!record || record.extended || (isDone && nowMs - outbox.lastMs >= LEGACY_ASK_MS)) {
        this.#outboxes.delete(peerId);
      } else if (!isDone && isProven(record)) this.#continue(record, outbox, false);
    }
  }

  /** Schedules the last piece again because it did not reach the peer, up to `LEGACY_RESENDS` times. */
  notDelivered(record: PeerRecord): void {
    const outbox = this.#outboxes.get(record.peerId);
    if (!outbox || outbox.last.length === 0) return;
    if (outbox.resends >= LEGACY_RESENDS) {
      outbox.last = [];
      return this.state.overload("lists-given-up");
    }
    const offer = this.#offers.get(record.peerId);
    if (offer) offer.left = Math.max(0, offer.left - outbox.last.length);
    for (const fileId of outbox.last) outbox.extra.add(fileId);
    outbox.last = [];
    outbox.resends++;
    outbox.lastMs = this.state.nowMs + LEGACY_RESEND_MS - LEGACY_PIECE_MS;
  }

  /** Forgets a peer that is gone or has restarted. */
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
      outbox.next = next; // the remaining files are no longer held
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
    // To the end of the line.
    this.#outboxes.delete(record.peerId);
    this.#outboxes.set(record.peerId, outbox);
    return true;
  }

  /** Returns the files of the next piece and the new position in the whole list. Forgets files no longer held. */
  #piece(record: PeerRecord, outbox: Outbox): { files: FileRecord[]; next: number } {
    const { catalogue } = this.state;
    const files: FileRecord[] = [];
    const isFirst = outbox.next === 0;
    let left = isFirst && !isProven(record) ? UNPROVEN_REPLY_BYTES : LEGACY_PART_BYTES;
    left -= HEAD_BYTES;
    /** Adds a held file. Returns false if the piece is full. */
    const take = (fileId: string): boolean => {
      const entry = catalogue.get(fileId);
      if (!entry?.held) return true;
      const bytes = this.sender.sizeOf(entry.file) + 2; // for a comma and the space before a brace at a read boundary
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

  /** Returns whether the peer may get the next piece now. */
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
    // No peer waits forever, whatever others do.
    if (outbox.lastMs === -Infinity) outbox.lastMs = nowMs - LEGACY_PIECE_MS;
    return nowMs - outbox.lastMs >= LEGACY_ASK_MS;
  }

  /** Returns whether the peer has requested everything it wants of a piece, or does not fetch at all. */
  #isOver({ left, sinceMs, askedMs }: Offer): boolean {
    if (left === 0) return true;
    const idleMs = this.state.nowMs - Math.max(sinceMs, askedMs);
    return idleMs >= (askedMs >= sinceMs ? LEGACY_QUIET_MS : LEGACY_ASK_MS);
  }

  /** Returns the number of open GET_FILEs from machines with such peers, counting at most one piece per machine. */
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
