// Deleting what is ours, everywhere: who has been told, who has not, and who still lists it. PURE.
// Always holds: a peer is sent at most `DELETES_SENT_PER_MINUTE`, fewer than it obeys, and one address once however many
// names it has; at most `MAX_BROADCAST_SENDS` are under way; a peer that lists a deleted file, or could not be told, is
// told again, less and less often; a deletion is followed for `DELETION_MS`, `MAX_DELETIONS` of them at once.

import { KeyedWindows } from "../bounds/rate_limit.ts";
import type { Bounded } from "../bounds/expiring.ts";
import {
  DELETES_SENT_PER_MINUTE,
  DELETION_MS,
  FIRST_REMIND_MS,
  LAST_REMIND_MS,
  MAX_BROADCAST_SENDS,
  MAX_DELETIONS,
  MAX_REMINDERS,
} from "../limits.ts";
import type { PeerRecord } from "../members/membership.ts";
import { encodeMessage } from "../wire/message.ts";
import { type PeerState, placeOf } from "../state.ts";

/** How far the news of a deletion has come. */
export interface DeletionProgress {
  readonly reached: number;
  /** Tracked peers that could not be told yet, and peers that are away and held the file. */
  readonly left: number;
}

interface Deletion {
  readonly sinceMs: number;
  readonly reached: Set<string>;
  readonly left: Set<string>;
}

/** When a peer may be told of a file again, and how long to wait after that. */
interface Reminder {
  readonly dueMs: number;
  readonly waitMs: number;
}

export class DeletionNotices {
  readonly #deletions = new Map<string, Deletion>();
  readonly #reminders = new Map<string, Reminder>();
  /** Per peer: files that it is to be told of. */
  readonly #queues = new Map<string, Set<string>>();
  readonly #sent = new KeyedWindows(DELETES_SENT_PER_MINUTE);
  #queued = 0;
  #underWay = 0;
  #nextMs = 0;

  constructor(readonly state: PeerState) {}

  get sizes(): Bounded[] {
    return [
      { name: "deletions followed", size: () => this.#deletions.size, max: () => MAX_DELETIONS },
      { name: "deletion reminders", size: () => this.#reminders.size, max: () => MAX_REMINDERS },
      { name: "deletions to be told", size: () => this.#queued, max: () => MAX_REMINDERS },
      { name: "deletions sent", size: () => this.#underWay, max: () => MAX_BROADCAST_SENDS },
      { name: "delete budgets", size: () => this.#sent.size, max: () => this.#sent.maxKeys },
    ];
  }

  /** Tells everybody that a file of ours is deleted. `away`: absent peers that held it. */
  announce(fileId: string, away: Iterable<string>): void {
    const { state } = this;
    const places = new Map<string, string>();
    for (const record of state.membership.all()) {
      const place = placeOf(record);
      if (!places.has(place)) places.set(place, record.peerId);
    }
    if (this.#deletions.size >= MAX_DELETIONS) {
      this.#deletions.delete(this.#deletions.keys().next().value!);
    }
    const left = new Set([...away, ...places.values()]);
    this.#deletions.set(fileId, { sinceMs: state.nowMs, reached: new Set(), left });
    for (const peerId of places.values()) this.#enqueue(peerId, fileId);
    if (places.size > 0) state.tell({ name: "broadcast", what: "DELETE", peers: places.size });
    this.#pump();
  }

  /** How far the news of a deletion has come; undefined when that is not followed any more. */
  progress(fileId: string): DeletionProgress | undefined {
    const deletion = this.#deletions.get(fileId);
    return deletion && { reached: deletion.reached.size, left: deletion.left.size };
  }

  /** The file was restored: nobody is to delete it any more. */
  revoke(fileId: string): void {
    this.#deletions.delete(fileId);
    for (const peerId of [...this.#queues.keys()]) this.#dequeue(peerId, fileId);
  }

  /** A send of a DELETE ended; `isTold`: the peer took it. */
  sendEnded(fileId: string, peerId: string | undefined, isTold: boolean): void {
    this.#underWay = Math.max(0, this.#underWay - 1);
    const deletion = this.#deletions.get(fileId);
    if (deletion && peerId !== undefined && isTold) {
      deletion.left.delete(peerId);
      deletion.reached.add(peerId);
    }
    this.#pump();
  }

  /**
   * A peer says, from where it is, that it holds a file that we own and deleted: it missed the DELETE. The caller has
   * made sure of the place: otherwise anybody could make us open connections to it.
   */
  stillListed(fileId: string, { peerId }: PeerRecord): void {
    const before = this.#reminders.get(`${fileId} ${peerId}`);
    if (before && this.state.nowMs < before.dueMs) return;
    this.#enqueue(peerId, fileId);
    this.#pump();
  }

  /** Peers that could not be told are told again while they are there. */
  tick(): void {
    const { nowMs, membership } = this.state;
    for (const peerId of this.#queues.keys()) {
      if (!membership.get(peerId)) this.#dequeueAll(peerId);
    }
    if (nowMs >= this.#nextMs) {
      this.#nextMs = nowMs + FIRST_REMIND_MS;
      for (const [fileId, { sinceMs, left }] of this.#deletions) {
        if (nowMs - sinceMs >= DELETION_MS) this.#deletions.delete(fileId);
        else {
          for (const peerId of left) {
            const record = membership.get(peerId);
            if (record) this.stillListed(fileId, record);
          }
        }
      }
    }
    this.#pump();
  }

  #enqueue(peerId: string, fileId: string): void {
    const queue = this.#queues.get(peerId) ?? new Set();
    if (queue.has(fileId) || this.#queued >= MAX_REMINDERS) return; // what is dropped is told once it is listed
    this.#queues.set(peerId, queue.add(fileId));
    this.#queued++;
  }

  #dequeue(peerId: string, fileId: string): void {
    const queue = this.#queues.get(peerId);
    if (!queue?.delete(fileId)) return;
    this.#queued--;
    if (queue.size === 0) this.#queues.delete(peerId);
  }

  #dequeueAll(peerId: string): void {
    this.#queued -= this.#queues.get(peerId)?.size ?? 0;
    this.#queues.delete(peerId);
  }

  #pump(): void {
    const { state } = this;
    for (const [peerId, queue] of this.#queues) {
      const record = state.membership.get(peerId);
      if (!record) continue;
      const place = placeOf(record);
      for (const fileId of queue) {
        if (this.#underWay >= MAX_BROADCAST_SENDS) return;
        if (!this.#sent.take(place, state.nowMs)) break;
        this.#dequeue(peerId, fileId);
        this.#send(record, fileId);
      }
    }
  }

  #send(record: PeerRecord, fileId: string): void {
    const { state } = this;
    const { nowMs } = state;
    const key = `${fileId} ${record.peerId}`;
    const before = this.#reminders.get(key);
    const isOver = before !== undefined && nowMs > before.dueMs + LAST_REMIND_MS;
    const waitMs = !before || isOver
      ? FIRST_REMIND_MS
      : Math.min(LAST_REMIND_MS, 2 * before.waitMs);
    this.#reminders.delete(key); // so that the order is that of time
    if (this.#reminders.size >= MAX_REMINDERS) {
      this.#reminders.delete(this.#reminders.keys().next().value!);
    }
    this.#reminders.set(key, { dueMs: nowMs + waitMs, waitMs });
    const { peerId: from } = state.config;
    const bytes = encodeMessage({ type: "DELETE", from, fileId, ext: state.ext });
    const ticket = { for: "delete", fileId } as const;
    if (state.sendBytes(record, "DELETE", bytes, ticket, true)) this.#underWay++;
  }
}
