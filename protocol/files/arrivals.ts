// Incoming content, pushed (FILE_DATA on a new connection) or fetched: what to receive and what to keep. PURE.
// Invariants: only verified content is kept; pushes are limited by rate and quota, and never bring back a file that a
// person removed here, unless its owner sends it; at most `MAX_KEEPING` files are being written at a time.

import type { Bounded } from "../bounds/expiring.ts";
import { KeyedBuckets } from "../bounds/rate_limit.ts";
import type { Input } from "../effects.ts";
import { LIFT_AFTER_MS, offerMs } from "../limits.ts";
import { type PeerState, placeOf } from "../state.ts";
import type { Reason } from "../wire/errors.ts";
import type { PeerRecord } from "../members/membership.ts";
import type { FileRecord } from "../wire/message.ts";
import type { Downloads } from "./downloads.ts";

/** The input "arrived". */
export type Arrived = Extract<Input, { kind: "arrived" }>;
/** The input "keep-failed". */
export type KeepFailed = Extract<Input, { kind: "keep-failed" }>;
/** The input "push-offered". */
export type PushOffered = Extract<Input, { kind: "push-offered" }>;

/** Maximum number of files being written concurrently. */
const MAX_KEEPING = 1_000;
/** Maximum number of offered copies being fetched. */
const MAX_OFFERED = 1_000;

/** A copy that was offered. */
interface Offered {
  readonly sizeBytes: number;
  /** The address of the peer that offered it. */
  readonly ip: string;
  /** When it is given up, in milliseconds on the monotonic clock. */
  readonly untilMs: number;
}

/** A file that the store was told to keep and has not reported yet. */
interface Keeping {
  readonly file: FileRecord;
  readonly pushedBytes: number;
  /** Whether a download brought the same content in the meantime. */
  alsoFetched?: boolean;
}

/** Decides which incoming content to receive and keep. */
export class Arrivals {
  readonly #pushes: KeyedBuckets;
  readonly #keeping = new Map<string, Keeping>();
  /** Copies that were offered and are being fetched. They count against the push quota. */
  readonly #offered = new Map<string, Offered>();

  /** Shares `state` with the other parts of the peer. */
  constructor(readonly state: PeerState, readonly downloads: Downloads) {
    const { pushBurst, pushesPerSecond } = state.config.limits;
    this.#pushes = new KeyedBuckets(pushBurst, pushesPerSecond);
  }

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    return [
      { name: "pushing addresses", size: () => this.#pushes.size, max: () => this.#pushes.maxKeys },
      { name: "copies being fetched", size: () => this.#offered.size, max: () => MAX_OFFERED },
      { name: "files being written", size: () => this.#keeping.size, max: () => MAX_KEEPING },
    ];
  }

  /** Returns the file that is being written under this id. */
  keeping(fileId: string): FileRecord | undefined {
    return this.#keeping.get(fileId)?.file;
  }

  /** Notes that a file was written or no longer needs to be kept. Returns false if it was not being written. */
  finished(fileId: string): boolean {
    return this.#keeping.delete(fileId);
  }

  /** Decides whether to receive a push. */
  onPushOffered({ ip, connection, fileId }: PushOffered): void {
    const { state } = this;
    const { limits } = state.config;
    const refuse = (reason: Reason, text: string) => {
      state.emit({ kind: "push-verdict", connection, verdict: "refuse", reason, text });
    };
    if (!this.#pushes.take(ip, state.nowMs)) {
      refuse("push-rate", "Push refused: too many pushes from this address");
    } else if (state.catalogue.pushedBytes >= limits.pushQuotaBytes) {
      refuse("push-quota", "Push refused: --push-quota is used up");
    } else {
      const isHere = fileId !== undefined && state.catalogue.get(fileId)?.held === true;
      state.emit({ kind: "push-verdict", connection, verdict: isHere ? "skip" : "take" });
    }
  }

  /**
   * Fetches a copy that a peer offers, if a push of it would be taken. It is not retried: who offers it does so again. The
   * file is known already.
   */
  onOffered({ fileId, sizeBytes }: FileRecord, { peerId, ip }: PeerRecord): void {
    const { state, downloads } = this;
    const entry = state.catalogue.get(fileId);
    if (!entry || entry.held || downloads.isPending(fileId) || downloads.isWished(fileId)) return;
    if (this.#keeping.has(fileId) || sizeBytes === undefined || ip === undefined) return;
    if (!this.#pushes.take(ip, state.nowMs) || this.#offered.size >= MAX_OFFERED) {
      return state.refuse(peerId, "push-rate", "Copy refused: too many from this address");
    }
    const refusal = this.#refusal({ held: { file: entry.file, sizeBytes }, ip }, false);
    if (refusal) return state.refuse(peerId, refusal.reason, refusal.text);
    this.#offered.set(fileId, { sizeBytes, ip, untilMs: state.nowMs + offerMs(sizeBytes) });
    if (!downloads.wantOnce(fileId, sizeBytes)) this.#offered.delete(fileId);
  }

  /** Gives up offered copies that take too long: they are in the way of others. */
  tick(): void {
    for (const [fileId, { untilMs }] of this.#offered) {
      if (untilMs > this.state.nowMs) continue;
      this.#offered.delete(fileId);
      if (this.downloads.isOnce(fileId)) {
        this.downloads.abandon(fileId, "The copy took too long", "undelivered");
      }
    }
  }

  /** Notes that a download ended, with or without the file. */
  ended(fileId: string): void {
    this.#offered.delete(fileId);
  }

  /** Decides whether to keep content that arrived completely and was verified. */
  onArrived(arrived: Arrived): void {
    const { receipt, held, ip, source } = arrived;
    const { state } = this;
    const { fileId } = held.file;
    // A file that somebody here wants by now is not only a copy for others.
    const offered = this.#offered.get(fileId);
    this.#offered.delete(fileId);
    const copy = offered && source !== undefined && this.downloads.isOnce(fileId)
      ? { held, ip: offered.ip }
      : undefined;
    const isPush = source === undefined || copy !== undefined;
    if (this.#keeping.has(fileId) || state.catalogue.get(fileId)?.held) {
      // It arrived another way in the meantime.
      const keeping = this.#keeping.get(fileId);
      if (keeping && source !== undefined) keeping.alsoFetched = true;
      state.emit({ kind: "drop", receipt });
      return;
    }
    const isMeant = this.#isMeant(arrived);
    const refusal = this.#refusal(copy ?? arrived, isMeant);
    if (isMeant && !refusal) state.catalogue.tombstones.lift(fileId);
    if (refusal) {
      state.refuse(source ?? ip, refusal.reason, refusal.text);
      state.emit({ kind: "drop", receipt });
      if (source !== undefined) {
        if (refusal.reason === "push-rate") this.downloads.notKept(fileId, refusal.text);
        else this.downloads.abandon(fileId, refusal.text, "refused");
      }
      return;
    }
    // Content of an attempt that has been given up is welcome too, as long as the file is still wanted.
    const isWanted = this.downloads.isPending(fileId) || this.downloads.isWished(fileId);
    if (source !== undefined && !isWanted) {
      state.emit({ kind: "drop", receipt });
      return;
    }
    // The first name and owner that we heard stay; only the timestamp is proven by the content.
    const known = state.catalogue.get(fileId)?.file;
    const file = known ? { ...known, timestamp: held.file.timestamp } : held.file;
    const record = source === undefined ? undefined : state.membership.get(source);
    if (record) state.reputation.served(placeOf(record));
    this.#keeping.set(fileId, { file, pushedBytes: isPush ? held.sizeBytes : 0 });
    state.emit({
      kind: "keep",
      receipt,
      held: { ...held, file, ...(isPush ? { pushed: true } : {}) },
      ...(source === undefined ? {} : { source }),
    });
  }

  /** Handles content that the store could not keep. Another source would not help. */
  onKeepFailed({ fileId, fileName, source, text }: KeepFailed): void {
    const keeping = this.#keeping.get(fileId);
    this.#keeping.delete(fileId);
    // Ends the download attempt that brought it, or brought it too.
    if (source !== undefined || keeping?.alsoFetched) this.downloads.notKept(fileId, text);
    // No download reports a failed push, but the person here should know.
    if (source === undefined) this.state.tell({ name: "keep-failed", fileId, fileName, text });
  }

  /** Returns whether the owner pushes a file that it deleted, and started well after that: it wants the file back. */
  #isMeant({ held: { file }, ip, source, beganMs = this.state.nowMs }: Arrived): boolean {
    const { catalogue, membership, nowMs } = this.state;
    if (source !== undefined || !catalogue.tombstones.has(file.fileId, nowMs)) return false;
    return membership.get(file.owner)?.ip === ip &&
      beganMs >= catalogue.tombstones.deletedAt(file.fileId)! + LIFT_AFTER_MS;
  }

  /** Returns why verified content is not kept, or `undefined` if it is. */
  #refusal({ held, ip, source }: Pick<Arrived, "held" | "ip" | "source">, isMeant: boolean) {
    const { state } = this;
    const { file, sizeBytes } = held;
    const entry = state.catalogue.get(file.fileId);
    if (!entry && !isMeant && state.catalogue.tombstones.isEarly(file, state.nowMs)) {
      return { reason: "deleted" as const, text: "The file was just deleted by its owner" };
    }
    if (!isMeant && state.catalogue.tombstones.has(file.fileId, state.nowMs)) {
      return { reason: "deleted" as const, text: "The file was deleted by its owner" };
    }
    if (this.#keeping.size >= MAX_KEEPING) {
      return { reason: "push-rate" as const, text: "Too many files are being written at once" };
    }
    if (source !== undefined) return undefined;
    // A push does not bring back a file that a person removed here, unless it comes from its owner.
    if (state.catalogue.unwanted.has(file.fileId) && state.membership.get(file.owner)?.ip !== ip) {
      return { reason: "unwanted-push" as const, text: "Push refused: the file was removed here" };
    }
    if (
      !entry &&
      state.catalogue.heldCount + this.#keeping.size >= state.config.limits.maxCatalogueEntries
    ) {
      return {
        reason: "catalogue-limit" as const,
        text: "Push refused: the maximum number of files is stored here",
      };
    }
    let total = state.catalogue.pushedBytes + sizeBytes;
    for (const { pushedBytes } of this.#keeping.values()) total += pushedBytes;
    for (const offered of this.#offered.values()) total += offered.sizeBytes;
    return total > state.config.limits.pushQuotaBytes
      ? { reason: "push-quota" as const, text: "Push refused: --push-quota is used up" }
      : undefined;
  }
}
