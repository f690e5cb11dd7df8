// DELETE, incoming and by people: which ones are obeyed, and what brings a deleted file back. PURE.
// Invariants: a DELETE counts only from the owner, from the owner's known address, and never for a file published
// here; at most `DELETES_PER_MINUTE` from one peer are obeyed; other peers cannot bring back a file that its owner
// deleted.

import type { Bounded } from "../bounds/expiring.ts";
import { KeyedWindows } from "../bounds/rate_limit.ts";
import { DELETES_PER_MINUTE, LIFT_AFTER_MS, WITHDRAW_MS } from "../limits.ts";
import type { PeerRecord } from "../members/membership.ts";
import type { PeerState } from "../state.ts";
import type { Announce, Delete, FileRecord } from "../wire/message.ts";
import type { Arrivals } from "./arrivals.ts";
import type { Entry } from "./catalogue.ts";
import { DeletionNotices, type DeletionProgress } from "./deletion_notices.ts";
import type { Downloads } from "./downloads.ts";

/** Deletes files, and protects them from being deleted by others than their owner. */
export class Deletions {
  readonly #obeyed = new KeyedWindows(DELETES_PER_MINUTE);
  readonly #notices: DeletionNotices;

  /** Shares `state` with the other parts of the peer. */
  constructor(
    readonly state: PeerState,
    readonly downloads: Downloads,
    readonly arrivals: Arrivals,
  ) {
    this.#notices = new DeletionNotices(state);
  }

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    return [
      { name: "deleting peers", size: () => this.#obeyed.size, max: () => this.#obeyed.maxKeys },
      ...this.#notices.sizes,
    ];
  }

  /** Handles a DELETE: deletes the local copy and forgets the file, if the sender is its owner. */
  onDelete(message: Delete, ip: string): void {
    const { state } = this;
    const { from, fileId } = message;
    const record = state.membership.get(from);
    state.membership.alive(from, ip, state.nowMs);
    const entry = state.catalogue.get(fileId);
    const file = entry?.file ?? this.arrivals.keeping(fileId);
    if (!file) {
      const isNews = record?.ip === ip && !state.catalogue.tombstones.has(fileId, state.nowMs);
      if (isNews && this.#obeyed.take(from, state.nowMs)) {
        state.catalogue.tombstones.addEarly(fileId, from, state.nowMs);
      }
      return;
    }
    const forged = this.#forgery(file, from, record, ip);
    if (forged !== undefined) {
      state.refuse(from, "forged-delete", `DELETE ignored: ${forged}`);
      return;
    }
    if (!this.#obeyed.take(from, state.nowMs)) {
      state.refuse(from, "delete-rate", "DELETE ignored: too many from this peer per minute");
      return;
    }
    this.#remove(file, entry?.held ?? false, "deleted");
    state.catalogue.bury(fileId, state.nowMs);
    state.tell({ name: "deleted", file, by: "owner" });
    state.save();
  }

  /** Returns why a DELETE does not count, or `undefined` if it does. */
  #forgery(file: FileRecord, from: string, record: PeerRecord | undefined, ip: string) {
    if (file.owner !== from) return "its sender is not the owner of the file";
    if (file.owner === this.state.config.peerId) return "this peer is the owner of the file";
    if (!record) return "the owner is not among the tracked peers";
    return record.ip === ip ? undefined : "it did not come from the owner's address";
  }

  /** Deletes a file because a person said so: everywhere if it is ours, otherwise only here. */
  onPersonDeletes(fileId: string): void {
    const { state } = this;
    const entry = state.catalogue.get(fileId);
    if (!entry) return;
    const { file, away } = entry;
    const isOurs = file.owner === state.config.peerId;
    this.#remove(file, entry.held, isOurs ? "deleted" : "unwanted");
    if (isOurs) {
      state.catalogue.bury(fileId, state.nowMs);
      this.#notices.announce(fileId, away);
      state.tell({ name: "deleted", file, by: "us" });
    } else {
      state.catalogue.release(fileId, state.nowMs);
      state.catalogue.refuse(fileId);
      state.tell({ name: "deleted", file, by: "us-here-only" });
    }
    state.save();
  }

  /**
   * Deletes the previous version of a file of ours that a person edited, if it was shared less than `WITHDRAW_MS`
   * ago: it was probably still being written. Returns false if it was shared long enough ago to stay.
   */
  withdraw({ file, sinceMs, away }: Entry): boolean {
    const { catalogue, nowMs } = this.state;
    if (nowMs - sinceMs >= WITHDRAW_MS) return false;
    catalogue.bury(file.fileId, nowMs);
    this.#notices.announce(file.fileId, away);
    this.state.tell({ name: "deleted", file, by: "us-replaced" });
    return true;
  }

  /** Sends no more DELETEs for a file of ours, because it was restored. */
  revoke(fileId: string): void {
    this.#notices.revoke(fileId);
  }

  /** Lifts the tombstone of a file that its owner announces again, from the owner's own address. */
  liftByOwner({ from, file }: Announce, record: PeerRecord | undefined, ip: string): void {
    const { catalogue, nowMs } = this.state;
    const deletedAtMs = catalogue.tombstones.deletedAt(file.fileId);
    if (deletedAtMs === undefined || from !== file.owner || record?.ip !== ip) return;
    // An ANNOUNCE that was still on its way when the file was deleted does not count.
    if (nowMs < deletedAtMs + LIFT_AFTER_MS) return;
    catalogue.tombstones.lift(file.fileId);
    this.state.save();
  }

  /**
   * Sends the DELETE again to a peer that lists, from its own address, a file that we deleted: it missed the DELETE.
   */
  remind({ fileId, owner }: FileRecord, record: PeerRecord): void {
    const { config, catalogue, nowMs } = this.state;
    if (owner !== config.peerId || !catalogue.tombstones.has(fileId, nowMs)) return;
    this.#notices.stillListed(fileId, record);
  }

  /** Returns how far a deletion of ours has spread, or `undefined` if it is no longer tracked. */
  progress(fileId: string): DeletionProgress | undefined {
    return this.#notices.progress(fileId);
  }

  /** Notes that a send of a DELETE ended. `isTold`: the peer received it. */
  sendEnded(fileId: string, peerId: string | undefined, isTold: boolean): void {
    this.#notices.sendEnded(fileId, peerId, isTold);
  }

  /** Continues the DELETEs that are being sent. */
  tick(): void {
    this.#notices.tick();
  }

  #remove(file: FileRecord, held: boolean, why: "deleted" | "unwanted"): void {
    const { fileId } = file;
    this.arrivals.finished(fileId);
    this.downloads.abandon(fileId, "The file was deleted in the meantime");
    if (held) this.state.emit({ kind: "trash", fileId, why });
  }
}
