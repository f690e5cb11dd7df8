// Content that arrives, pushed to us or fetched: whether it is taken, and whether it is kept. PURE.
// Invariants: only verified content is kept; a push is accepted within its rate and quota, and never brings back what a
// person removed here unless its owner sends it; at most `MAX_KEEPING` files are being written at a time.

import type { Bounded } from "../bounds/expiring.ts";
import { KeyedBuckets } from "../bounds/rate_limit.ts";
import type { Input } from "../effects.ts";
import { LIFT_AFTER_MS } from "../limits.ts";
import { type PeerState, placeOf } from "../state.ts";
import type { Reason } from "../wire/errors.ts";
import type { FileRecord } from "../wire/message.ts";
import type { Downloads } from "./downloads.ts";

type Arrived = Extract<Input, { kind: "arrived" }>;
type KeepFailed = Extract<Input, { kind: "keep-failed" }>;
type PushOffered = Extract<Input, { kind: "push-offered" }>;

/** Maximum number of files being written concurrently. */
const MAX_KEEPING = 1_000;

/** A file that the store has been told to keep, and has not reported yet. */
interface Keeping {
  readonly file: FileRecord;
  readonly pushedBytes: number;
  /** A download brought the same content meanwhile. */
  alsoFetched?: boolean;
}

export class Arrivals {
  readonly #pushes: KeyedBuckets;
  readonly #keeping = new Map<string, Keeping>();

  constructor(readonly state: PeerState, readonly downloads: Downloads) {
    const { pushBurst, pushesPerSecond } = state.config.limits;
    this.#pushes = new KeyedBuckets(pushBurst, pushesPerSecond);
  }

  /** What is remembered, against its bounds. */
  get sizes(): Bounded[] {
    return [
      { name: "pushing addresses", size: () => this.#pushes.size, max: () => this.#pushes.maxKeys },
      { name: "files being kept", size: () => this.#keeping.size, max: () => MAX_KEEPING },
    ];
  }

  /** Returns the file that is being written under this id. */
  keeping(fileId: string): FileRecord | undefined {
    return this.#keeping.get(fileId)?.file;
  }

  /** The file was written, or is no longer to be kept. Returns false when it was not being written. */
  finished(fileId: string): boolean {
    return this.#keeping.delete(fileId);
  }

  /** Somebody begins to send content that nobody asked for. */
  onPushOffered({ ip, connection, fileId }: PushOffered): void {
    const { state } = this;
    const { limits } = state.config;
    const refuse = (reason: Reason, text: string) => {
      state.emit({ kind: "push-verdict", connection, verdict: "refuse", reason, text });
    };
    if (!this.#pushes.take(ip, state.nowMs)) {
      refuse("push-rate", "Push refused: more of them than are taken from one address");
    } else if (state.catalogue.pushedBytes >= limits.pushQuotaBytes) {
      refuse("push-quota", "Push refused: --push-quota is used up");
    } else {
      const isHere = fileId !== undefined && state.catalogue.get(fileId)?.held === true;
      state.emit({ kind: "push-verdict", connection, verdict: isHere ? "skip" : "take" });
    }
  }

  /** Content is whole and verified: keep it, or not. */
  onArrived(arrived: Arrived): void {
    const { receipt, held, ip, source } = arrived;
    const { state } = this;
    const { fileId } = held.file;
    if (this.#keeping.has(fileId) || state.catalogue.get(fileId)?.held) {
      // It came another way meanwhile.
      const keeping = this.#keeping.get(fileId);
      if (keeping && source !== undefined) keeping.alsoFetched = true;
      state.emit({ kind: "drop", receipt });
      return;
    }
    const isMeant = this.#isMeant(arrived);
    const refusal = this.#refusal(arrived, isMeant);
    if (isMeant && !refusal) state.catalogue.tombstones.lift(fileId);
    if (refusal) {
      state.refuse(source ?? ip, refusal.reason, refusal.text);
      state.emit({ kind: "drop", receipt });
      if (source !== undefined) {
        if (refusal.reason === "push-rate") this.downloads.notKept(fileId, refusal.text);
        else this.downloads.abandon(fileId, refusal.text);
      }
      return;
    }
    // Also what an attempt brings that was given up meanwhile is good, as long as the file is wanted.
    const isWanted = this.downloads.isPending(fileId) || this.downloads.isWished(fileId);
    if (source !== undefined && !isWanted) {
      state.emit({ kind: "drop", receipt });
      return;
    }
    // What others said first about name and owner stays; only content can prove a timestamp.
    const known = state.catalogue.get(fileId)?.file;
    const file = known ? { ...known, timestamp: held.file.timestamp } : held.file;
    const record = source === undefined ? undefined : state.membership.get(source);
    if (record) state.reputation.served(placeOf(record));
    this.#keeping.set(fileId, { file, pushedBytes: source === undefined ? held.sizeBytes : 0 });
    state.emit({
      kind: "keep",
      receipt,
      held: { ...held, file, ...(source === undefined ? { pushed: true } : {}) },
      ...(source === undefined ? {} : { source }),
    });
  }

  /** The store could not keep it: another source would not help. */
  onKeepFailed({ fileId, fileName, source, text }: KeepFailed): void {
    const keeping = this.#keeping.get(fileId);
    this.#keeping.delete(fileId);
    // The attempt of a download that brought it, or brought it as well, is over.
    if (source !== undefined || keeping?.alsoFetched) this.downloads.notKept(fileId, text);
    // Nobody waits for what was pushed, but the person here should know.
    if (source === undefined) this.state.tell({ name: "keep-failed", fileId, fileName, text });
  }

  /** The owner pushes what it had deleted, and began to well after that: it wants the file back. */
  #isMeant({ held: { file }, ip, source, beganMs = this.state.nowMs }: Arrived): boolean {
    const { catalogue, membership, nowMs } = this.state;
    if (source !== undefined || !catalogue.tombstones.has(file.fileId, nowMs)) return false;
    return membership.get(file.owner)?.ip === ip &&
      beganMs >= catalogue.tombstones.deletedAt(file.fileId)! + LIFT_AFTER_MS;
  }

  /** Why content that arrived is not kept; undefined when it is. */
  #refusal({ held, ip, source }: Arrived, isMeant: boolean) {
    const { state } = this;
    const { file, sizeBytes } = held;
    const entry = state.catalogue.get(file.fileId);
    if (!entry && !isMeant && state.catalogue.tombstones.isEarly(file, state.nowMs)) {
      return { reason: "deleted" as const, text: "Its owner deleted it just now" };
    }
    if (!isMeant && state.catalogue.tombstones.has(file.fileId, state.nowMs)) {
      return { reason: "deleted" as const, text: "Its owner deleted it" };
    }
    if (this.#keeping.size >= MAX_KEEPING) {
      return { reason: "push-rate" as const, text: "Files come faster than they can be kept" };
    }
    if (source !== undefined) return undefined;
    // A file that a person removed here does not come back by a push either, but from its owner.
    if (state.catalogue.unwanted.has(file.fileId) && state.membership.get(file.owner)?.ip !== ip) {
      return { reason: "unwanted-push" as const, text: "It was removed here" };
    }
    if (
      !entry &&
      state.catalogue.heldCount + this.#keeping.size >= state.config.limits.maxCatalogueEntries
    ) {
      return { reason: "catalogue-limit" as const, text: "As many files are here as may be" };
    }
    let total = state.catalogue.pushedBytes + sizeBytes;
    for (const { pushedBytes } of this.#keeping.values()) total += pushedBytes;
    return total > state.config.limits.pushQuotaBytes
      ? { reason: "push-quota" as const, text: "--push-quota is used up" }
      : undefined;
  }
}
