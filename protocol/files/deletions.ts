// Deleting: which DELETE is obeyed, what a person deletes, and what brings a deleted file back. PURE.
// Invariants: a DELETE counts only from the owner, at the owner's known address, and never for what this peer published;
// at most `DELETES_PER_MINUTE` of one peer are obeyed; a file that its owner deleted does not come back by hearsay.

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

export class Deletions {
  readonly #obeyed = new KeyedWindows(DELETES_PER_MINUTE);
  readonly #notices: DeletionNotices;

  constructor(
    readonly state: PeerState,
    readonly downloads: Downloads,
    readonly arrivals: Arrivals,
  ) {
    this.#notices = new DeletionNotices(state);
  }

  /** What is remembered, against its bounds. */
  get sizes(): Bounded[] {
    return [
      { name: "deleting peers", size: () => this.#obeyed.size, max: () => this.#obeyed.maxKeys },
      ...this.#notices.sizes,
    ];
  }

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
      state.refuse(from, "forged-delete", `Not deleted: ${forged}`);
      return;
    }
    if (!this.#obeyed.take(from, state.nowMs)) {
      state.refuse(from, "delete-rate", "Not deleted: it deletes more than is obeyed in a minute");
      return;
    }
    this.#remove(file, entry?.held ?? false, "deleted");
    state.catalogue.bury(fileId, state.nowMs);
    state.tell({ name: "deleted", file, by: "owner" });
    state.save();
  }

  /** Why a DELETE does not count, or undefined when it does. */
  #forgery(file: FileRecord, from: string, record: PeerRecord | undefined, ip: string) {
    if (file.owner !== from) return "it is not the owner";
    if (file.owner === this.state.config.peerId) return "it is our own original";
    if (!record) return "the owner is not a peer that is known here";
    return record.ip === ip ? undefined : "it did not come from the owner's address";
  }

  /** A person deletes: everywhere what is ours, here only what is not. */
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
   * A person edited a file of ours. What was shared while it was still being written is withdrawn, for nobody is to keep
   * that version. Returns false when it was shared long enough ago to stay.
   */
  withdraw({ file, sinceMs, away }: Entry): boolean {
    const { catalogue, nowMs } = this.state;
    if (nowMs - sinceMs >= WITHDRAW_MS) return false;
    catalogue.bury(file.fileId, nowMs);
    this.#notices.announce(file.fileId, away);
    this.state.tell({ name: "deleted", file, by: "us-replaced" });
    return true;
  }

  /** A file of ours was restored: nobody is to delete it any more. */
  revoke(fileId: string): void {
    this.#notices.revoke(fileId);
  }

  /** An owner that restored what it had deleted announces it itself, from where it is. */
  liftByOwner({ from, file }: Announce, record: PeerRecord | undefined, ip: string): void {
    const { catalogue, nowMs } = this.state;
    const deletedAtMs = catalogue.tombstones.deletedAt(file.fileId);
    if (deletedAtMs === undefined || from !== file.owner || record?.ip !== ip) return;
    // An announcement that was on its way while the file was deleted does not count.
    if (nowMs < deletedAtMs + LIFT_AFTER_MS) return;
    catalogue.tombstones.lift(file.fileId);
    this.state.save();
  }

  /** A peer, from where it is, lists a file: if that is one of ours that we deleted, it missed the DELETE. */
  remind({ fileId, owner }: FileRecord, record: PeerRecord): void {
    const { config, catalogue, nowMs } = this.state;
    if (owner !== config.peerId || !catalogue.tombstones.has(fileId, nowMs)) return;
    this.#notices.stillListed(fileId, record);
  }

  /** Returns how far the news of a deletion of ours has come; undefined when it is no longer followed. */
  progress(fileId: string): DeletionProgress | undefined {
    return this.#notices.progress(fileId);
  }

  /** A send of a DELETE ended; `isTold`: the peer took it. */
  sendEnded(fileId: string, peerId: string | undefined, isTold: boolean): void {
    this.#notices.sendEnded(fileId, peerId, isTold);
  }

  tick(): void {
    this.#notices.tick();
  }

  #remove(file: FileRecord, held: boolean, why: "deleted" | "unwanted"): void {
    const { fileId } = file;
    this.arrivals.finished(fileId);
    this.downloads.abandon(fileId, "It was deleted meanwhile");
    if (held) this.state.emit({ kind: "trash", fileId, why });
  }
}
