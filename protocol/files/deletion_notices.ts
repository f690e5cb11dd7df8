// DELETE, outgoing: which peers were notified that files of ours are deleted, and which still list them. PURE.
// A peer needs only a position in the log of our deletions, so a data set costs the same whether one peer must hear of it
// or a hundred. Peers that can (`BATCH_DELETE`) get many files per message; others one, at a pace that they obey.
// Invariants: an address whose peer takes one file at a time is sent at most `DELETES_SENT_PER_MINUTE`; each gets a
// DELETE once no matter how many names it has; at most `MAX_BROADCAST_SENDS` are in progress, `MAX_BATCHES` of them with
// many files; a peer that could not be reached or still lists the file is notified again, with increasing delays.

import { KeyedBuckets, KeyedWindows, TokenBucket } from "../bounds/rate_limit.ts";
import type { Bounded } from "../bounds/expiring.ts";
import {
  BATCH_DELETES_SENT_BURST,
  BATCH_DELETES_SENT_PER_SECOND,
  BATCHES_PER_PEER,
  DELETES_SENT_PER_MINUTE,
  DELETION_MS,
  FIRST_REMIND_MS,
  MAX_BATCHES,
  MAX_BROADCAST_SENDS,
  MAX_DELETIONS,
  MAX_IDS_PER_MESSAGE,
  MAX_REMINDERS,
} from "../limits.ts";
import { isProven, type PeerRecord } from "../members/membership.ts";
import { type PeerState, placeOf } from "../state.ts";
import { BATCH_DELETE } from "../wire/capabilities.ts";
import { encodeMessage } from "../wire/message.ts";
import { DeletionLog } from "./deletion_log.ts";
import { Reminders } from "./reminders.ts";

/** How far a deletion has spread. */
export interface DeletionProgress {
  /** Number of peers that received the DELETE. */
  readonly reached: number;
  /** Number of tracked peers that have not received it yet, and of absent peers that held the file. */
  readonly left: number;
  /** Number of those that take one file at a time and have to wait for others of our deletions. */
  readonly slow: number;
  /** Time until the last of these hears of it, in milliseconds. */
  readonly slowMs: number;
}

/** A peer that must hear of our deletions. */
interface Recipient {
  readonly peerId: string;
  /** Position in the log from which on it must hear, and the first one that it was not sent yet. */
  readonly start: number;
  next: number;
  /** Ids that it listed although they are deleted. */
  readonly again: Set<string>;
  /** Messages that are on their way to it. */
  readonly underWay: Set<Sending>;
  /** When it may be sent something again, and the last delay, which doubles with each failure. */
  dueMs: number;
  waitMs: number;
  /** Since when every attempt has failed. */
  failingMs: number | undefined;
  lastSentMs: number;
  /** Since when it has not been tracked. */
  goneMs: number | undefined;
}

/** A DELETE that is on its way. */
interface Sending {
  readonly recipient: Recipient;
  /** The part of the log that it names, and the ids that it repeats. */
  readonly from: number;
  readonly to: number;
  readonly again: readonly string[];
  readonly isBatch: boolean;
}

/** Number of encoded messages that are kept for the next peer, of at most 64 KiB each. */
const MAX_ENCODED = 8;
/** Number of deletions that are sent at once, and per second after that. Others are sent with the next tick, together. */
const ANNOUNCE_BURST = 64;
const ANNOUNCES_PER_SECOND = 4;
/** Maximum delay before the next attempt to reach a peer, in milliseconds. (A guess.) */
const LAST_ATTEMPT_MS = 60_000;
/** How long a report on many deletions waits until the peers that take many per DELETE have heard, in milliseconds. */
const REPORT_AFTER_MS = 30_000;

/** Sends the DELETEs of our files and repeats them where necessary. */
export class DeletionNotices {
  /** Number of positions, recipients and ids looked at so far. Tests limit it. */
  steps = 0;
  readonly #log = new DeletionLog();
  readonly #recipients = new Map<string, Recipient>();
  readonly #reminders = new Reminders(MAX_REMINDERS);
  readonly #sent = new KeyedWindows(DELETES_SENT_PER_MINUTE);
  readonly #sentInBatches: KeyedBuckets;
  readonly #announces = new TokenBucket(ANNOUNCE_BURST, ANNOUNCES_PER_SECOND, 0);
  readonly #sendings = new Map<number, Sending>();
  readonly #encoded = new Map<string, Uint8Array<ArrayBuffer>>();
  #serial = 0;
  #batches = 0;
  #again = 0;
  /** Number of deletions of which the log does not say yet that they are sent, and how far they have spread. */
  #unsaid = 0;
  #unreported = 0;
  #reportMs = 0;

  /** Shares `state` with the other parts of the peer. */
  constructor(readonly state: PeerState) {
    this.#sentInBatches = new KeyedBuckets(
      BATCH_DELETES_SENT_BURST,
      BATCH_DELETES_SENT_PER_SECOND,
    );
  }

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    return [
      { name: "deletions tracked", size: () => this.#log.size, max: () => MAX_DELETIONS },
      {
        name: "peers that hear of deletions",
        size: () => this.#recipients.size,
        max: () => this.#maxRecipients,
      },
      { name: "deletion reminders", size: () => this.#reminders.size, max: () => MAX_REMINDERS },
      { name: "deletions to send again", size: () => this.#again, max: () => MAX_REMINDERS },
      {
        name: "deletion sends in progress",
        size: () => this.#sendings.size,
        max: () => MAX_BROADCAST_SENDS,
      },
      { name: "deletion batches", size: () => this.#batches, max: () => MAX_BATCHES },
      { name: "encoded deletions", size: () => this.#encoded.size, max: () => MAX_ENCODED },
      { name: "delete rate limits", size: () => this.#sent.size, max: () => this.#sent.maxKeys },
      {
        name: "batch delete rate limits",
        size: () => this.#sentInBatches.size,
        max: () => this.#sentInBatches.maxKeys,
      },
    ];
  }

  /** Notifies all peers that a file of ours is deleted. `away`: absent peers that held it. */
  announce(fileId: string, away: Iterable<string>): void {
    const { membership, nowMs } = this.state;
    const isAtOnce = this.#announces.take(nowMs);
    // Whoever was there so far must hear of it, also if it leaves before the next tick.
    if (isAtOnce) this.#meet();
    if (this.#log.size >= MAX_DELETIONS && this.#isBehind(this.#log.first)) {
      this.state.overload("deletions-delayed");
    }
    const position = this.#log.add(fileId, nowMs);
    for (const peerId of away) {
      if (!membership.get(peerId)) this.#recipientOf(peerId, position, nowMs);
    }
    this.#unsaid++;
    this.#unreported++;
    this.#reportMs = nowMs + REPORT_AFTER_MS;
    if (isAtOnce) this.#pump();
  }

  /** Returns how far a deletion has spread, or `undefined` if it is no longer tracked. */
  progress(fileId: string): DeletionProgress | undefined {
    const position = this.#log.positionOf(fileId);
    if (position === undefined) return undefined;
    this.#meet();
    let [reached, left, slow, slowMs] = [0, 0, 0, 0];
    for (const recipient of this.#recipients.values()) {
      if (recipient.start > position) continue;
      if (this.#heardUpTo(recipient) > position) {
        reached++;
        continue;
      }
      left++;
      const record = this.state.membership.get(recipient.peerId);
      const before = position - recipient.next;
      if (!record || canBatch(record) || before < DELETES_SENT_PER_MINUTE) continue;
      slow++;
      slowMs = Math.max(slowMs, slowTime(before));
    }
    return { reached, left, slow, slowMs };
  }

  /** Sends no more DELETEs for a file, because it was restored. */
  revoke(fileId: string): void {
    this.#log.remove(fileId);
    this.#encoded.clear();
    for (const recipient of this.#recipients.values()) {
      if (recipient.again.delete(fileId)) this.#again--;
    }
  }

  /** Notes that a DELETE ended. `isTold`: the peer received it. */
  sendEnded(serial: number, isTold: boolean): void {
    const sending = this.#sendings.get(serial);
    if (!sending) return;
    const wasFull = this.#isFull(sending.isBatch);
    const { recipient, from, to, again, isBatch } = sending;
    this.#sendings.delete(serial);
    recipient.underWay.delete(sending);
    if (isBatch) this.#batches--;
    if (isTold) {
      recipient.waitMs = 0;
      recipient.failingMs = undefined;
    } else {
      recipient.failingMs ??= this.state.nowMs;
      if (to > from) recipient.next = Math.min(recipient.next, from);
      for (const fileId of again) this.#repeat(recipient, fileId);
      this.#delay(recipient);
    }
    this.#sendTo(recipient);
    if (wasFull && !this.#isFull(isBatch)) this.#pump();
  }

  /**
   * Sends the DELETE again to a peer that still lists a file of ours. The caller must have checked that the list came
   * from the peer's own address; otherwise anybody could make us open connections to it.
   */
  stillListed(fileId: string, { peerId }: PeerRecord): void {
    const { nowMs } = this.state;
    this.steps++;
    const recipient = this.#recipientOf(peerId, this.#log.end);
    if (!recipient) return this.state.overload("deletions-delayed");
    const position = this.#log.positionOf(fileId);
    // What it was just sent may have crossed its list.
    const isComing = position !== undefined && recipient.start <= position &&
      (position >= recipient.next || nowMs < recipient.lastSentMs + FIRST_REMIND_MS);
    if (!isComing && this.#reminders.isDue(peerId, fileId, nowMs)) this.#repeat(recipient, fileId);
  }

  /** Sends what `stillListed` noted. */
  remind({ peerId }: PeerRecord): void {
    const recipient = this.#recipients.get(peerId);
    if (recipient) this.#sendTo(recipient);
  }

  /** Sends what had to wait, and repeats the DELETE to tracked peers that have not received it. */
  tick(): void {
    const { nowMs, membership } = this.state;
    const recentFrom = this.#log.firstSince(nowMs - DELETION_MS);
    let keepFrom = recentFrom;
    for (const recipient of [...this.#recipients.values()]) {
      this.steps++;
      if (membership.get(recipient.peerId)) recipient.goneMs = undefined;
      else recipient.goneMs ??= nowMs;
      const { goneMs = nowMs, failingMs = nowMs, again, underWay } = recipient;
      // Nobody can be reached there, so it hears of older deletions once it lists the files.
      if (nowMs - failingMs >= DELETION_MS) recipient.next = Math.max(recipient.next, recentFrom);
      const isIdle = this.#log.size === 0 && again.size === 0 && underWay.size === 0;
      if (isIdle || nowMs - goneMs >= DELETION_MS) this.#forget(recipient);
      else keepFrom = Math.min(keepFrom, this.#heardUpTo(recipient));
    }
    this.#log.dropBefore(keepFrom);
    this.#reminders.expire(nowMs, (peerId) => membership.get(peerId) !== undefined);
    if (this.#log.size > 0) this.#meet();
    this.#pump();
    this.#report();
  }

  get #maxRecipients(): number {
    return 2 * this.state.config.limits.maxPeers;
  }

  /** Makes a recipient of each tracked peer, one for each address. */
  #meet(): void {
    const { membership } = this.state;
    let places: Set<string> | undefined;
    for (const record of membership.all()) {
      this.steps++;
      if (this.#recipients.has(record.peerId)) continue;
      places ??= this.#places();
      const place = placeOf(record);
      if (places.has(place)) continue;
      places.add(place);
      this.#recipientOf(record.peerId, this.#log.firstSince(record.firstHeardMs));
    }
  }

  #places(): Set<string> {
    const places = new Set<string>();
    for (const { peerId } of this.#recipients.values()) {
      const record = this.state.membership.get(peerId);
      if (record) places.add(placeOf(record));
    }
    return places;
  }

  /** Returns a recipient, if need be a new one that must hear of everything from `start` on. */
  #recipientOf(peerId: string, start: number, goneMs?: number): Recipient | undefined {
    const known = this.#recipients.get(peerId);
    if (known || this.#recipients.size >= this.#maxRecipients) return known;
    const recipient: Recipient = {
      peerId,
      start,
      next: start,
      again: new Set(),
      underWay: new Set(),
      dueMs: 0,
      waitMs: 0,
      failingMs: undefined,
      lastSentMs: -Infinity,
      goneMs,
    };
    this.#recipients.set(peerId, recipient);
    return recipient;
  }

  #forget(recipient: Recipient): void {
    this.#again -= recipient.again.size;
    recipient.again.clear();
    this.#recipients.delete(recipient.peerId);
  }

  #repeat(recipient: Recipient, fileId: string): void {
    if (recipient.again.has(fileId)) return;
    if (this.#again >= MAX_REMINDERS) return this.state.overload("deletions-delayed");
    recipient.again.add(fileId);
    this.#again++;
  }

  /** Delays the next attempt after a failure. Several that fail together count once. */
  #delay(recipient: Recipient): void {
    const { nowMs } = this.state;
    if (nowMs < recipient.dueMs) return;
    recipient.waitMs = Math.min(LAST_ATTEMPT_MS, 2 * recipient.waitMs || FIRST_REMIND_MS);
    recipient.dueMs = nowMs + recipient.waitMs;
  }

  /** Returns the position up to which a recipient has heard of everything. */
  #heardUpTo({ next, underWay }: Recipient): number {
    let position = next;
    for (const { from, to } of underWay) if (to > from) position = Math.min(position, from);
    return position;
  }

  /** Returns whether some recipient has not heard of the deletion at a position. */
  #isBehind(position: number): boolean {
    for (const { start, next } of this.#recipients.values()) {
      if (start <= position && next <= position) return true;
    }
    return false;
  }

  #isFull(isBatch: boolean): boolean {
    return this.#sendings.size >= MAX_BROADCAST_SENDS || (isBatch && this.#batches >= MAX_BATCHES);
  }

  #pump(): void {
    if (this.#recipients.size === 0) this.#unsaid = 0;
    let peers = 0;
    // In turns, so that one peer that is far behind does not use up what may be in progress.
    let isAny = true;
    for (let turn = 0; isAny; turn++) {
      isAny = false;
      for (const recipient of [...this.#recipients.values()]) {
        this.steps++;
        if (turn === 0 && recipient.next < this.#log.end && recipient.goneMs === undefined) peers++;
        if (this.#sendNext(recipient)) isAny = true;
      }
    }
    if (this.#unsaid > 0 && peers > 0) {
      this.state.tell({ name: "broadcast", what: "DELETE", peers, files: this.#unsaid });
    }
    if (peers > 0) this.#unsaid = 0;
  }

  #sendTo(recipient: Recipient): void {
    while (this.#sendNext(recipient));
  }

  /** Sends the next DELETE to a peer. Returns false if there is none, or it has to wait. */
  #sendNext(recipient: Recipient): boolean {
    const { state } = this;
    if (recipient.next < this.#log.first) recipient.next = this.#log.first;
    if (recipient.next >= this.#log.end && recipient.again.size === 0) return false;
    const record = state.membership.get(recipient.peerId);
    if (!record || state.nowMs < recipient.dueMs) return false;
    const isBatch = canBatch(record);
    if (this.#isFull(isBatch) || (isBatch && recipient.underWay.size >= BATCHES_PER_PEER)) {
      return false;
    }
    const { ids, ...what } = this.#compose(recipient, isBatch ? MAX_IDS_PER_MESSAGE : 1);
    if (ids.length === 0) {
      recipient.next = what.to; // all of them were restored
      return true;
    }
    const place = placeOf(record);
    const mayGo = isBatch
      ? this.#sentInBatches.take(place, state.nowMs, ids.length)
      : this.#sent.take(place, state.nowMs);
    if (!mayGo) return false;
    const sending: Sending = { recipient, ...what, isBatch };
    const batch = ++this.#serial;
    const bytes = this.#encode(ids, what);
    if (!state.sendBytes(record, "DELETE", bytes, { for: "delete", batch }, true)) {
      recipient.dueMs = state.nowMs + FIRST_REMIND_MS; // too many dials to unproven addresses
      return false;
    }
    recipient.next = what.to;
    recipient.lastSentMs = state.nowMs;
    recipient.underWay.add(sending);
    this.#sendings.set(batch, sending);
    if (isBatch) this.#batches++;
    for (const fileId of what.again) {
      recipient.again.delete(fileId);
      this.#again--;
      this.#reminders.sent(recipient.peerId, fileId, state.nowMs);
    }
    return true;
  }

  /** Returns the ids that come next for a peer: those that it still lists, then those of the log. Changes nothing. */
  #compose({ again, next }: Recipient, limit: number) {
    const ids: string[] = [];
    for (const fileId of again) {
      if (ids.length >= limit) break;
      ids.push(fileId);
    }
    const repeated = [...ids];
    let to = next;
    for (; to < this.#log.end && ids.length < limit; to++) {
      const fileId = this.#log.at(to);
      if (fileId !== undefined) ids.push(fileId);
    }
    this.steps += ids.length + (to - next);
    return { ids, from: next, to, again: repeated };
  }

  /** Returns the message. Peers that hear of the same part of the log share it. */
  #encode(
    [fileId, ...more]: readonly string[],
    { from: start, to, again }: Pick<Sending, "from" | "to" | "again">,
  ): Uint8Array<ArrayBuffer> {
    const key = again.length === 0 && more.length > 0 ? `${start} ${to}` : "";
    const known = this.#encoded.get(key);
    if (known) return known;
    const { config: { peerId: from }, ext } = this.state;
    const bytes = encodeMessage({
      type: "DELETE",
      from,
      fileId: fileId!,
      ext: more.length > 0 ? { ...ext, more } : ext,
    });
    if (key === "") return bytes;
    if (this.#encoded.size >= MAX_ENCODED) {
      this.#encoded.delete(this.#encoded.keys().next().value!);
    }
    this.#encoded.set(key, bytes);
    return bytes;
  }

  /** Reports how far many deletions have spread, once the peers that take many per DELETE have heard of them. */
  #report(): void {
    if (this.#unreported === 0 || this.#log.size === 0) {
      this.#unreported = 0;
      return;
    }
    const { nowMs, membership } = this.state;
    const { end } = this.#log;
    let [told, left, slow, slowMs] = [0, 0, 0, 0];
    for (const recipient of this.#recipients.values()) {
      const record = membership.get(recipient.peerId);
      if (!record) continue;
      if (this.#heardUpTo(recipient) >= end) told++;
      else if (canBatch(record)) left++;
      else {
        slow++;
        slowMs = Math.max(slowMs, slowTime(end - recipient.next));
      }
    }
    if (left > 0 && nowMs < this.#reportMs) return;
    const files = this.#unreported;
    this.#unreported = 0;
    if (files > 1) {
      this.state.tell({ name: "deletions-spread", files, told, left, slow, slowMs });
    }
  }
}

/** Returns whether a peer takes many files per DELETE, and is where it says it is. */
function canBatch(record: PeerRecord): boolean {
  return isProven(record) && record.can.includes(BATCH_DELETE);
}

/** Returns how long a peer that takes one file at a time needs for this many, in milliseconds. */
function slowTime(files: number): number {
  return Math.ceil(files / DELETES_SENT_PER_MINUTE) * 60_000;
}
