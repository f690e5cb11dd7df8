// DELETE, incoming and by people: which ones are obeyed, and what brings a deleted file back. PURE.
// Invariants: a DELETE counts only from the owner, from the owner's known address, and never for a file published
// here; at most `DELETES_PER_MINUTE` from one peer are obeyed, or `BATCH_DELETES_BURST` from one that names many per
// DELETE; other peers cannot bring back a file that its owner deleted; one DELETE is one effect for the store.

import type { Bounded } from "../bounds/expiring.ts";
import { KeyedBuckets, KeyedWindows } from "../bounds/rate_limit.ts";
import {
  BATCH_DELETES_BURST,
  BATCH_DELETES_PER_SECOND,
  DELETES_PER_MINUTE,
  EARLY_DELETE_MS,
  LIFT_AFTER_MS,
  MAX_EARLY_DELETES_PER_ADDRESS,
  WITHDRAW_MS,
} from "../limits.ts";
import { isFrom, isProven, type PeerRecord } from "../members/membership.ts";
import type { PeerState } from "../state.ts";
import { BATCH_DELETE } from "../wire/capabilities.ts";
import type { Announce, Delete, FileRecord } from "../wire/message.ts";
import type { Arrivals } from "./arrivals.ts";
import type { Entry } from "./catalogue.ts";
import { DeletionNotices, type DeletionProgress } from "./deletion_notices.ts";
import type { Downloads } from "./downloads.ts";

/** Deletes files, and protects them from being deleted by others than their owner. */
export class Deletions {
  readonly #obeyed = new KeyedWindows(DELETES_PER_MINUTE);
  readonly #obeyedInBatches = new KeyedBuckets(BATCH_DELETES_BURST, BATCH_DELETES_PER_SECOND);
  readonly #early = new KeyedWindows(MAX_EARLY_DELETES_PER_ADDRESS, EARLY_DELETE_MS);
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
      {
        name: "peers deleting many files",
        size: () => this.#obeyedInBatches.size,
        max: () => this.#obeyedInBatches.maxKeys,
      },
      {
        name: "addresses deleting early",
        size: () => this.#early.size,
        max: () => this.#early.maxKeys,
      },
      ...this.#notices.sizes,
    ];
  }

  /** Handles a DELETE: deletes the local copies and forgets the files, if the sender is their owner. */
  onDelete({ from, fileId, ext }: Delete, ip: string): void {
    const { state } = this;
    const { catalogue, nowMs } = state;
    const record = state.membership.get(from);
    state.membership.alive(from, ip, nowMs);
    const isBatch = record && isFrom(record, ip) && isProven(record) &&
      record.can.includes(BATCH_DELETE);
    const mayDelete = () =>
      isBatch ? this.#obeyedInBatches.take(from, nowMs) : this.#obeyed.take(from, nowMs);
    const removed: FileRecord[] = [];
    const toTrash: string[] = [];
    let [forged, forgery, refused] = [0, "", 0];
    for (const each of isBatch ? [fileId, ...ext?.more ?? []] : [fileId]) {
      const entry = catalogue.get(each);
      const file = entry?.file ?? this.arrivals.keeping(each);
      if (!file) {
        const isNews = record && isFrom(record, ip) && !catalogue.tombstones.has(each, nowMs);
        if (!isNews) continue;
        if (isBatch ? this.#early.take(ip, nowMs) : this.#obeyed.take(from, nowMs)) {
          catalogue.tombstones.addEarly(each, from, nowMs);
        } else refused++;
        continue;
      }
      const why = this.#forgery(file, from, record, ip);
      if (why !== undefined) {
        forged++;
        forgery = why;
      } else if (!mayDelete()) refused++;
      else {
        if (entry?.held) toTrash.push(each);
        this.#end(file);
        catalogue.bury(each, nowMs, ip);
        removed.push(file);
      }
    }
    if (forged > 0) state.refuse(from, "forged-delete", `DELETE ignored: ${forgery}`, forged);
    if (refused > 0) {
      const text = "DELETE ignored: too many from this peer per minute";
      state.refuse(from, "delete-rate", text, refused);
    }
    this.#trash(toTrash, "deleted");
    this.#tellDeleted(from, removed);
  }

  #tellDeleted(owner: string, removed: readonly FileRecord[]): void {
    const { state } = this;
    const [file] = removed;
    if (!file) return;
    state.tell(
      removed.length === 1
        ? { name: "deleted", file, by: "owner" }
        : { name: "many-deleted", owner, files: removed.length },
    );
    state.save();
  }

  /** Returns why a DELETE does not count, or `undefined` if it does. */
  #forgery(file: FileRecord, from: string, record: PeerRecord | undefined, ip: string) {
    if (file.owner !== from) return "its sender is not the owner of the file";
    if (file.owner === this.state.config.peerId) return "this peer is the owner of the file";
    if (!record) return "the owner is not among the tracked peers";
    return isFrom(record, ip) ? undefined : "it did not come from the owner's address";
  }

  /** Deletes a file because a person said so: everywhere if it is ours, otherwise only here. */
  onPersonDeletes(fileId: string): void {
    const { state } = this;
    const entry = state.catalogue.get(fileId);
    if (!entry) return;
    const { file, away } = entry;
    const isOurs = file.owner === state.config.peerId;
    this.#end(file);
    if (entry.held) this.#trash([fileId], isOurs ? "deleted" : "unwanted");
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
   * Notes that a peer lists, from its own address, a file that we deleted: it missed the DELETE, and gets it again.
   */
  remind({ fileId, owner }: FileRecord, record: PeerRecord): void {
    const { config, catalogue, nowMs } = this.state;
    if (owner !== config.peerId || !catalogue.tombstones.has(fileId, nowMs)) return;
    this.#notices.stillListed(fileId, record);
  }

  /** Sends a peer the DELETEs that `remind` noted. */
  sendReminders(record: PeerRecord): void {
    this.#notices.remind(record);
  }

  /** Returns how far a deletion of ours has spread, or `undefined` if it is no longer tracked. */
  progress(fileId: string): DeletionProgress | undefined {
    return this.#notices.progress(fileId);
  }

  /** Notes that a send of DELETEs ended. `isTold`: the peer received it. */
  sendEnded(batch: number, isTold: boolean): void {
    this.#notices.sendEnded(batch, isTold);
  }

  /** Continues the DELETEs that are being sent. */
  tick(): void {
    this.#notices.tick();
  }

  /** Ends what is being done with a file that is deleted. */
  #end({ fileId }: FileRecord): void {
    this.arrivals.finished(fileId);
    this.downloads.abandon(fileId, "The file was deleted in the meantime", "gone");
  }

  #trash(fileIds: readonly string[], why: "deleted" | "unwanted"): void {
    if (fileIds.length > 0) this.state.emit({ kind: "trash", fileIds, why });
  }
}
