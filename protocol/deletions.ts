// Deleting what is ours, everywhere: who has been told, who has not, and who still lists it. PURE.
// Always holds: a peer that lists a file of ours that we deleted is told again, less and less often; a deletion is
// followed for `DELETION_MS`, `MAX_DELETIONS` of them at once.

import type { Broadcasts } from "./broadcasts.ts";
import type { Bounded } from "./expiring.ts";
import {
  DELETION_MS,
  FIRST_REMIND_MS,
  LAST_REMIND_MS,
  MAX_DELETIONS,
  MAX_REMINDERS,
} from "./limits.ts";
import type { PeerRecord } from "./membership.ts";
import type { Delete } from "./message.ts";
import type { PeerState } from "./state.ts";

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

interface Reminder {
  readonly dueMs: number;
  readonly waitMs: number;
}

export class Deletions {
  readonly #deletions = new Map<string, Deletion>();
  /** Per peer and file: when it may be told again. */
  readonly #reminders = new Map<string, Reminder>();
  #nextMs = 0;

  constructor(readonly state: PeerState, readonly broadcasts: Broadcasts) {}

  get sizes(): Bounded[] {
    return [
      { name: "deletions followed", size: () => this.#deletions.size, max: () => MAX_DELETIONS },
      { name: "deletion reminders", size: () => this.#reminders.size, max: () => MAX_REMINDERS },
    ];
  }

  /** Tells everybody that a file of ours is deleted. `away`: absent peers that held it. */
  announce(fileId: string, away: Iterable<string>): void {
    const { state } = this;
    const left = new Set([...away, ...[...state.membership.all()].map(({ peerId }) => peerId)]);
    if (this.#deletions.size >= MAX_DELETIONS) {
      this.#deletions.delete(this.#deletions.keys().next().value!);
    }
    this.#deletions.set(fileId, { sinceMs: state.nowMs, reached: new Set(), left });
    this.broadcasts.toAll(this.#message(fileId), { for: "delete", fileId });
  }

  /** How far the news of a deletion has come; undefined when that is not followed any more. */
  progress(fileId: string): DeletionProgress | undefined {
    const deletion = this.#deletions.get(fileId);
    return deletion && { reached: deletion.reached.size, left: deletion.left.size };
  }

  /** The file was restored: nobody is to delete it any more. */
  revoke(fileId: string): void {
    this.#deletions.delete(fileId);
  }

  /** A peer took the message. */
  told(fileId: string, peerId: string | undefined): void {
    const deletion = this.#deletions.get(fileId);
    if (!deletion || peerId === undefined) return;
    deletion.left.delete(peerId);
    deletion.reached.add(peerId);
  }

  /** A peer says that it holds a file that we own and deleted: it missed the DELETE. */
  stillListed(fileId: string, record: PeerRecord): void {
    const { nowMs } = this.state;
    const key = `${fileId} ${record.peerId}`;
    const before = this.#reminders.get(key);
    if (before && nowMs < before.dueMs) return;
    const isOver = before !== undefined && nowMs > before.dueMs + LAST_REMIND_MS;
    const waitMs = !before || isOver
      ? FIRST_REMIND_MS
      : Math.min(LAST_REMIND_MS, 2 * before.waitMs);
    this.#reminders.delete(key); // so that the order is that of time
    if (this.#reminders.size >= MAX_REMINDERS) {
      this.#reminders.delete(this.#reminders.keys().next().value!);
    }
    this.#reminders.set(key, { dueMs: nowMs + waitMs, waitMs });
    this.state.send(record, this.#message(fileId), { for: "reminder", fileId });
  }

  /** Peers that could not be told are told again while they are there. */
  tick(): void {
    const { nowMs, membership } = this.state;
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + FIRST_REMIND_MS;
    for (const [fileId, { sinceMs, left }] of this.#deletions) {
      if (nowMs - sinceMs >= DELETION_MS) this.#deletions.delete(fileId);
      else if (nowMs - sinceMs >= FIRST_REMIND_MS) {
        for (const peerId of left) {
          const record = membership.get(peerId);
          if (record) this.stillListed(fileId, record);
        }
      }
    }
  }

  #message(fileId: string): Delete {
    const { config, ext } = this.state;
    return { type: "DELETE", from: config.peerId, fileId, ext };
  }
}
