// DELETE, outgoing: which peers were notified that a file of ours is deleted, and which still list it. PURE.
// Invariants: an address is sent at most `DELETES_SENT_PER_MINUTE`, fewer than peers obey, and each DELETE once no
// matter how many names it has; at most `MAX_BROADCAST_SENDS` are in progress; a peer that could not be reached or
// still lists the file is notified again, with increasing delays; at most `MAX_DELETIONS` are tracked, each for
// `DELETION_MS`.

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

/** How far a deletion has spread. */
export interface DeletionProgress {
  /** Number of peers that received the DELETE. */
  readonly reached: number;
  /** Number of tracked peers that have not received it yet, and of absent peers that held the file. */
  readonly left: number;
}

interface Deletion {
  readonly sinceMs: number;
  readonly reached: Set<string>;
  readonly left: Set<string>;
}

/** When a peer may be sent a DELETE again, and the delay that led there. */
interface Reminder {
  readonly dueMs: number;
  readonly waitMs: number;
}

/** Sends the DELETEs of our files and repeats them where necessary. */
export class DeletionNotices {
  readonly #deletions = new Map<string, Deletion>();
  readonly #reminders = new Map<string, Reminder>();
  /** For each peer: ids to send it DELETEs for. */
  readonly #queues = new Map<string, Set<string>>();
  readonly #sent = new KeyedWindows(DELETES_SENT_PER_MINUTE);
  #queued = 0;
  #underWay = 0;
  #nextMs = 0;

  /** Shares `state` with the other parts of the peer. */
  constructor(readonly state: PeerState) {}

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    return [
      { name: "deletions tracked", size: () => this.#deletions.size, max: () => MAX_DELETIONS },
      { name: "deletion reminders", size: () => this.#reminders.size, max: () => MAX_REMINDERS },
      { name: "deletions to send", size: () => this.#queued, max: () => MAX_REMINDERS },
      {
        name: "deletion sends in progress",
        size: () => this.#underWay,
        max: () => MAX_BROADCAST_SENDS,
      },
      { name: "delete rate limits", size: () => this.#sent.size, max: () => this.#sent.maxKeys },
    ];
  }

  /** Notifies all peers that a file of ours is deleted. `away`: absent peers that held it. */
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

  /** Returns how far a deletion has spread, or `undefined` if it is no longer tracked. */
  progress(fileId: string): DeletionProgress | undefined {
    const deletion = this.#deletions.get(fileId);
    return deletion && { reached: deletion.reached.size, left: deletion.left.size };
  }

  /** Sends no more DELETEs for a file, because it was restored. */
  revoke(fileId: string): void {
    this.#deletions.delete(fileId);
    for (const peerId of [...this.#queues.keys()]) this.#dequeue(peerId, fileId);
  }

  /** Notes that a send of a DELETE ended. `isTold`: the peer received it. */
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
   * Sends the DELETE again to a peer that still lists a file of ours. The caller must have checked that the list came
   * from the peer's own address; otherwise anybody could make us open connections to it.
   */
  stillListed(fileId: string, { peerId }: PeerRecord): void {
    const before = this.#reminders.get(`${fileId} ${peerId}`);
    if (before && this.state.nowMs < before.dueMs) return;
    this.#enqueue(peerId, fileId);
    this.#pump();
  }

  /** Sends what had to wait, and repeats the DELETE to tracked peers that have not received it. */
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
    if (queue.has(fileId) || this.#queued >= MAX_REMINDERS) return; // sent later, if still listed
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
    this.#reminders.delete(key); // keeps insertion order chronological
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
