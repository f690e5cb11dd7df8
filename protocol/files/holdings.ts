// Holdings: changes in the store (kept, published, found, renamed, lost) and what the network hears of them. PURE.
// Invariants: a file is announced only once it is held; one that was deleted while it was being written goes to the
// trash; files that a person removed or edited here are not fetched automatically.

import type { Bounded } from "../bounds/expiring.ts";
import type { Input } from "../effects.ts";
import { MAX_TOLD_AGAIN, TELL_AGAIN_MS } from "../limits.ts";
import type { PeerState } from "../state.ts";
import type { FileRecord } from "../wire/message.ts";
import type { Arrivals } from "./arrivals.ts";
import type { Broadcasts } from "./broadcasts.ts";
import type { Deletions } from "./deletions.ts";
import type { Downloads } from "./downloads.ts";
import type { Replication } from "./replication.ts";
import type { Twins } from "./twins.ts";

/** The input "held". */
export type Held = Extract<Input, { kind: "held" }>;
/** The input "lost". */
export type Lost = Extract<Input, { kind: "lost" }>;

/** Maximum number of files found or lost at once that are named one by one. */
const MAX_NAMED = 20;

/** The parts of the peer that a change in the store concerns. */
export interface HoldingsParts {
  /** Files being written. */
  readonly arrivals: Arrivals;
  /** Announcements. */
  readonly broadcasts: Broadcasts;
  /** Deletions of our files. */
  readonly deletions: Deletions;
  /** Downloads, which end once a file is held. */
  readonly downloads: Downloads;
  /** Copies of our files at other peers. */
  readonly replication: Replication;
  /** What is said about content. */
  readonly twins: Twins;
}

/** Follows what is in the store. */
export class Holdings {
  /** Files that were restored right after their deletion, and when to announce them again. */
  readonly #toldAgain = new Map<string, number>();

  /** Shares `state` with the other parts of the peer. */
  constructor(readonly state: PeerState, readonly parts: HoldingsParts) {}

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    return [{
      name: "files to announce again",
      size: () => this.#toldAgain.size,
      max: () => MAX_TOLD_AGAIN,
    }];
  }

  /** Handles files that are now in the store: announces them, and offers a copy of those published here. */
  onHeld({ files, how, source, adopted }: Held): void {
    const { state } = this;
    if (adopted) this.parts.twins.compared(adopted.attempt);
    const toAnnounce: string[] = [];
    const isNamed = files.length <= MAX_NAMED;
    for (const held of files) {
      const { fileId } = held.file;
      // An adopted file may be kept as a push or fetched at the same time; whichever is first counts.
      const wasKept = how !== "adopted" && this.parts.arrivals.finished(fileId);
      if (state.catalogue.get(fileId)?.held) continue;
      const isExpected = how === "adopted"
        ? this.parts.downloads.isPending(fileId)
        : wasKept || (how !== "fetched" && how !== "pushed");
      if (!isExpected) {
        // It was deleted while the store was writing it.
        const isDeleted = state.catalogue.tombstones.has(fileId, state.nowMs);
        state.emit({ kind: "trash", fileIds: [fileId], why: isDeleted ? "deleted" : "unwanted" });
        continue;
      }
      const deletedAtMs = state.catalogue.tombstones.deletedAt(fileId);
      if (state.catalogue.tombstones.has(fileId, state.nowMs)) {
        state.catalogue.tombstones.lift(fileId);
      }
      this.parts.twins.judge(held);
      if (!state.catalogue.hold(held, state.nowMs)) continue;
      const { file } = state.catalogue.get(fileId)!;
      const as = adopted && state.catalogue.get(adopted.twin)?.file;
      if (as) state.tell({ name: "adopted", file, as });
      else if (isNamed && how === "fetched") {
        state.tell({ name: "downloaded", file, source: source ?? "?" });
      } else if (isNamed && how !== "loaded") state.tell({ name: "held", file, how });
      this.parts.downloads.arrived(fileId);
      toAnnounce.push(fileId);
      const isOurs = file.owner === state.config.peerId;
      if (how === "published" || (how === "restored" && isOurs)) this.parts.replication.offer(file);
      if (how === "restored" && isOurs) {
        this.parts.deletions.revoke(fileId);
        this.#tellAgain(fileId, deletedAtMs);
      }
    }
    // Peers get what was here before from our list.
    if (how !== "loaded") this.parts.broadcasts.announce(toAnnounce);
    if (!isNamed && how !== "loaded" && toAnnounce.length > 0) {
      const from = source === undefined ? {} : { source };
      state.tell({ name: "many-held", files: toAnnounce.length, how, ...from });
    }
    state.save();
  }

  /** Handles held files that a person renamed: announces the new names. */
  onRenamed(files: readonly FileRecord[]): void {
    const { state } = this;
    const renamed: string[] = [];
    for (const { fileId, name } of files) {
      const from = state.catalogue.get(fileId)?.file.name;
      if (from === undefined || !state.catalogue.rename(fileId, name)) continue;
      renamed.push(fileId);
      state.tell({ name: "renamed", file: state.catalogue.get(fileId)!.file, from });
    }
    if (renamed.length === 0) return;
    this.parts.broadcasts.announce(renamed);
    state.save();
  }

  /** Handles files that are no longer in the store; see the input. */
  onLost({ fileIds, why }: Lost): void {
    const { state } = this;
    const { catalogue, nowMs } = state;
    let lost = 0;
    for (const fileId of fileIds) {
      const entry = catalogue.get(fileId);
      if (!entry?.held) continue;
      const { file } = entry;
      const isOurs = file.owner === state.config.peerId;
      this.parts.replication.forget(fileId);
      if (isOurs && why === "edited" && this.parts.deletions.withdraw(entry)) continue;
      catalogue.release(fileId, nowMs);
      if (fileIds.length <= MAX_NAMED) state.tell({ name: "lost", file });
      lost++;
      if (why === "damaged") this.parts.downloads.want(fileId);
      if (why === "removed" || why === "edited") {
        catalogue.refuse(fileId);
        if (isOurs) catalogue.forget(fileId);
      }
    }
    if (fileIds.length > MAX_NAMED && lost > 0) state.tell({ name: "many-lost", files: lost });
    state.save();
  }

  /** Handles files that a person removed or edited while this peer was not running. */
  onUnwanted(fileIds: readonly string[]): void {
    const { catalogue } = this.state;
    for (const fileId of fileIds) if (!catalogue.get(fileId)?.held) catalogue.refuse(fileId);
  }

  /** Announces restored files again once they are due. */
  tick(): void {
    const { state } = this;
    for (const [fileId, dueMs] of this.#toldAgain) {
      if (state.nowMs < dueMs) continue;
      this.#toldAgain.delete(fileId);
      const entry = state.catalogue.get(fileId);
      if (!entry?.held) continue;
      this.parts.broadcasts.announce([fileId]);
      this.parts.replication.offer(entry.file);
    }
  }

  /**
   * Schedules a second announcement: other peers ignore one that arrives right after the deletion (`LIFT_AFTER_MS`).
   */
  #tellAgain(fileId: string, deletedAtMs = -Infinity): void {
    const dueMs = deletedAtMs + TELL_AGAIN_MS;
    if (this.state.nowMs >= dueMs) return;
    if (this.#toldAgain.size < MAX_TOLD_AGAIN) this.#toldAgain.set(fileId, dueMs);
    else this.state.overload("announcements-dropped");
  }
}
