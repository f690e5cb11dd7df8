// Files: who announces, pushes, gets and deletes what, and what we do then. PURE.
// Always holds: only verified content is kept; a push is taken within rate and quota; a DELETE counts
// only from the owner at the owner's known address, and never for what we published ourselves.

import { KeyedBuckets, KeyedWindows } from "./budget.ts";
import type { Bounded } from "./expiring.ts";
import type { Input } from "./effects.ts";
import type { Reason } from "./errors.ts";
import { isBindingTimestamp } from "./fileid.ts";
import {
  DELETES_PER_MINUTE,
  LIFT_AFTER_MS,
  MAX_PUSH_TRIES,
  MAX_TOLD_AGAIN,
  TELL_AGAIN_MS,
} from "./limits.ts";
import type { Lists } from "./lists.ts";
import { isProven, type PeerRecord, shuffleFront } from "./membership.ts";
import {
  type Announce,
  type Delete,
  encodeMessage,
  type FileRecord,
  type GetFile,
  type Message,
} from "./message.ts";
import { Downloads, type Outcome } from "./downloads.ts";
import { type PeerState, placeOf } from "./state.ts";

type Held = Extract<Input, { kind: "held" }>;
type Arrived = Extract<Input, { kind: "arrived" }>;
type KeepFailed = Extract<Input, { kind: "keep-failed" }>;
type PushOffered = Extract<Input, { kind: "push-offered" }>;

/** Copies under way at once; more files than that are offered to nobody until these are through. */
const MAX_COPIES = 1_000;
/** Files that the store is about to keep at once; more come faster than it writes. */
const MAX_KEEPING = 1_000;

export class Sharing {
  readonly downloads: Downloads;
  readonly #pushes: KeyedBuckets;
  readonly #deletes = new KeyedWindows(DELETES_PER_MINUTE);
  /** Pushed files that still look for a peer to take a copy: who was asked. */
  readonly #copies = new Map<string, Set<string>>();
  /** Files that the store is about to keep. */
  readonly #keeping = new Map<
    string,
    { readonly file: FileRecord; readonly pushedBytes: number }
  >();
  /** Files that were restored right after their deletion, and when to tell of them again. */
  readonly #toldAgain = new Map<string, number>();
  /** The files of the auto-fetch that is under way. */
  #autoFetch: { readonly waiting: Set<string>; fetched: number; failed: number } | undefined;
  #keepsFetching = false;

  constructor(readonly state: PeerState, readonly lists: Lists) {
    const { pushBurst, pushesPerSecond } = state.config.limits;
    this.#pushes = new KeyedBuckets(pushBurst, pushesPerSecond);
    this.downloads = new Downloads(
      state,
      (fileId, outcome) => this.#downloadEnded(fileId, outcome),
    );
  }

  /** What is remembered, against its bounds. */
  get sizes(): Bounded[] {
    return [
      { name: "pushing addresses", size: () => this.#pushes.size, max: () => this.#pushes.maxKeys },
      { name: "deleting peers", size: () => this.#deletes.size, max: () => this.#deletes.maxKeys },
      { name: "copies under way", size: () => this.#copies.size, max: () => MAX_COPIES },
      { name: "files told again", size: () => this.#toldAgain.size, max: () => MAX_TOLD_AGAIN },
      { name: "files being kept", size: () => this.#keeping.size, max: () => MAX_KEEPING },
      ...this.downloads.sizes,
    ];
  }

  // Messages

  onAnnounce(message: Announce, ip: string): void {
    const { state } = this;
    const record = state.membership.get(message.from);
    if (record) state.membership.alive(record, ip, state.nowMs);
    if (message.from === state.config.peerId) return;
    this.#liftByOwner(message, record, ip);
    if (this.lists.learn(message.file, record)) state.save();
    this.considerFetching(message.file.fileId);
  }

  /** An owner that restored what it had deleted announces it itself, from where it is. */
  #liftByOwner({ from, file }: Announce, record: PeerRecord | undefined, ip: string): void {
    const { catalogue, nowMs } = this.state;
    const deletedAtMs = catalogue.tombstones.deletedAt(file.fileId);
    if (deletedAtMs === undefined || from !== file.owner || record?.ip !== ip) return;
    // An announcement that was on its way while the file was deleted does not count.
    if (nowMs < deletedAtMs + LIFT_AFTER_MS) return;
    catalogue.tombstones.lift(file.fileId);
    this.state.save();
  }

  onGet(message: GetFile, connection: number): void {
    const { state } = this;
    const entry = state.catalogue.get(message.fileId);
    if (entry?.held) state.emit({ kind: "serve", connection, file: entry.file });
    else {
      const absent: Message = { type: "FILE_DATA", hasContent: false, ext: state.ext };
      state.emit({ kind: "answer-absent", connection, bytes: encodeMessage(absent) });
    }
  }

  onDelete(message: Delete, ip: string): void {
    const { state } = this;
    const { from, fileId } = message;
    const record = state.membership.get(from);
    if (record) state.membership.alive(record, ip, state.nowMs);
    const entry = state.catalogue.get(fileId);
    const file = entry?.file ?? this.#keeping.get(fileId)?.file;
    if (!file) {
      const isNews = record?.ip === ip && !state.catalogue.tombstones.has(fileId, state.nowMs);
      if (isNews && this.#deletes.take(from, state.nowMs)) {
        state.catalogue.tombstones.addEarly(fileId, from, state.nowMs);
      }
      return;
    }
    const forged = this.#forgery(file, from, record, ip);
    if (forged !== undefined) {
      state.refuse(from, "forged-delete", `Not deleted: ${forged}`);
      return;
    }
    if (!this.#deletes.take(from, state.nowMs)) {
      state.refuse(from, "delete-rate", "Not deleted: it deletes more than is obeyed in a minute");
      return;
    }
    this.#remove(file, entry?.held ?? false, "deleted");
    state.catalogue.bury(fileId, state.nowMs);
    state.tell({ name: "deleted", file, by: "owner" });
    state.save();
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
      state.emit({ kind: "drop", receipt }); // it came another way meanwhile
      return;
    }
    const refusal = this.#refusal(arrived);
    if (refusal) {
      state.refuse(source ?? ip, refusal.reason, refusal.text);
      state.emit({ kind: "drop", receipt });
      if (source !== undefined) this.downloads.abandon(fileId, refusal.text);
      return;
    }
    if (source !== undefined && !this.downloads.isAsked(fileId, source)) {
      state.emit({ kind: "drop", receipt }); // nobody wants it any more
      return;
    }
    // What others said first about name and owner stays; only content can prove a timestamp.
    const known = state.catalogue.get(fileId)?.file;
    const file = known ? { ...known, timestamp: held.file.timestamp } : held.file;
    const record = source === undefined ? undefined : state.membership.get(source);
    if (record) state.standing.served(placeOf(record));
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
    this.#keeping.delete(fileId);
    this.downloads.abandon(fileId, text);
    // Nobody waits for what was pushed, but the person here should know.
    if (source === undefined) this.state.tell({ name: "keep-failed", fileId, fileName, text });
  }

  // The store

  /** Files lie in the store now. */
  onHeld({ files, how, source }: Held): void {
    const { state } = this;
    for (const held of files) {
      const { fileId } = held.file;
      const wasKept = this.#keeping.delete(fileId);
      if ((how === "fetched" || how === "pushed") && !wasKept) {
        // It was deleted while the store kept it.
        const isDeleted = state.catalogue.tombstones.has(fileId, state.nowMs);
        state.emit({ kind: "trash", fileId, why: isDeleted ? "deleted" : "unwanted" });
        continue;
      }
      const deletedAtMs = state.catalogue.tombstones.deletedAt(fileId);
      if (state.catalogue.tombstones.has(fileId, state.nowMs)) {
        state.catalogue.tombstones.lift(fileId);
      }
      if (!state.catalogue.hold(held, state.nowMs)) continue;
      const { file } = state.catalogue.get(fileId)!;
      if (how === "fetched") state.tell({ name: "downloaded", file, source: source ?? "?" });
      else if (how !== "loaded") state.tell({ name: "held", file, how });
      this.downloads.arrived(fileId);
      this.#announce(file);
      const isOurs = file.owner === state.config.peerId;
      if (how === "published" || (how === "restored" && isOurs)) this.#offerCopy(file, new Set());
      if (how === "restored" && isOurs) this.#tellAgain(fileId, deletedAtMs);
    }
    state.save();
  }

  /** Others take what comes right after a deletion for what was on its way before it. */
  #tellAgain(fileId: string, deletedAtMs = -Infinity): void {
    const dueMs = deletedAtMs + TELL_AGAIN_MS;
    if (this.state.nowMs < dueMs && this.#toldAgain.size < MAX_TOLD_AGAIN) {
      this.#toldAgain.set(fileId, dueMs);
    }
  }

  tick(): void {
    const { state } = this;
    for (const [fileId, dueMs] of this.#toldAgain) {
      if (state.nowMs < dueMs) continue;
      this.#toldAgain.delete(fileId);
      const entry = state.catalogue.get(fileId);
      if (!entry?.held) continue;
      this.#announce(entry.file);
      this.#offerCopy(entry.file, new Set());
    }
  }

  onLost(fileIds: readonly string[]): void {
    const { state } = this;
    for (const fileId of fileIds) {
      const file = state.catalogue.get(fileId)?.file;
      if (file && state.catalogue.release(fileId, state.nowMs)) state.tell({ name: "lost", file });
    }
    state.save();
  }

  // People

  /** A person wants the file here. */
  onWant(fileId: string): void {
    this.state.catalogue.unwanted.delete(fileId);
    this.downloads.want(fileId, true);
  }

  /** A person wants no more of it: it is not fetched by itself either, until somebody wants it again. */
  onCancel(fileId: string): void {
    const { catalogue } = this.state;
    this.#copies.delete(fileId);
    if (!this.downloads.isPending(fileId)) return;
    if (catalogue.get(fileId)) catalogue.unwanted.add(fileId);
    this.downloads.abandon(fileId, "It was cancelled");
    this.state.save();
  }

  /** A person deletes: everywhere what is ours, here only what is not. */
  onPersonDeletes(fileId: string): void {
    const { state } = this;
    const entry = state.catalogue.get(fileId);
    if (!entry) return;
    const { file } = entry;
    const isOurs = file.owner === state.config.peerId;
    this.#remove(file, entry.held, isOurs ? "deleted" : "unwanted");
    if (isOurs) {
      state.catalogue.bury(fileId, state.nowMs);
      const message: Message = { type: "DELETE", from: file.owner, fileId, ext: state.ext };
      state.sendToAll(state.membership.all(), message);
      state.tell({ name: "deleted", file, by: "us" });
    } else {
      state.catalogue.release(fileId, state.nowMs);
      state.catalogue.unwanted.add(fileId);
      state.tell({ name: "deleted", file, by: "us-here-only" });
    }
    state.save();
  }

  // Fetching by itself

  /** The network is known now: fetch what is missing, as many as configured. */
  startAutoFetch(alone: boolean): void {
    const { state } = this;
    const { autoFetch } = state.config;
    const done = (reason: "nothing-missing" | "no-peers" | "off") =>
      state.tell({ name: "auto-fetch-complete", fetched: 0, failed: 0, reason });
    if (autoFetch === 0) return done("off");
    this.#keepsFetching = autoFetch === Infinity;
    if (alone) return done("no-peers");
    const chosen = this.#missing(autoFetch);
    if (chosen.length === 0) return done("nothing-missing");
    this.#autoFetch = { waiting: new Set(chosen), fetched: 0, failed: 0 };
    for (const fileId of chosen) this.downloads.want(fileId);
  }

  /** With auto-fetch of everything, what appears later is fetched too. */
  considerFetching(fileId: string): void {
    if (!this.#keepsFetching || !this.#isFetchable(fileId)) return;
    if (!this.downloads.hasFreshSource(fileId) || this.downloads.isPending(fileId)) return;
    this.#autoFetch?.waiting.add(fileId);
    this.downloads.want(fileId);
  }

  onCopied(fileId: string, peerId: string): void {
    this.#copies.delete(fileId);
    const file = this.state.catalogue.get(fileId)?.file;
    if (file) this.state.tell({ name: "copied", file, peerId });
  }

  onCopyFailed(fileId: string): void {
    const asked = this.#copies.get(fileId);
    const entry = this.state.catalogue.get(fileId);
    if (asked && entry?.held) this.#offerCopy(entry.file, asked);
    else this.#copies.delete(fileId);
  }

  #missing(count: number): string[] {
    const { catalogue, membership } = this.state;
    const fetchable: string[] = [];
    for (const { file } of catalogue.all()) {
      if (this.#isFetchable(file.fileId)) fetchable.push(file.fileId);
    }
    shuffleFront(fetchable, fetchable.length, () => this.state.random());
    const atBootstrap = (fileId: string) =>
      [...catalogue.get(fileId)!.holders].some((peerId) => membership.get(peerId)?.bootstrap);
    const first = fetchable.filter(atBootstrap);
    const rest = fetchable.filter((fileId) => !atBootstrap(fileId));
    return [...first, ...rest].slice(0, count);
  }

  #isFetchable(fileId: string): boolean {
    const { catalogue } = this.state;
    const entry = catalogue.get(fileId);
    return entry !== undefined && !entry.held && entry.holders.size > 0 &&
      !catalogue.unwanted.has(fileId) &&
      [entry.file.timestamp, ...entry.otherTimestamps].some(isBindingTimestamp);
  }

  #downloadEnded(fileId: string, outcome: Outcome): void {
    const batch = this.#autoFetch;
    if (!batch?.waiting.delete(fileId)) return;
    batch[outcome]++;
    if (batch.waiting.size > 0) return;
    this.#autoFetch = undefined;
    const { fetched, failed } = batch;
    this.state.tell({ name: "auto-fetch-complete", fetched, failed, reason: "done" });
  }

  #announce(file: FileRecord): void {
    const { state } = this;
    const message: Message = { type: "ANNOUNCE", from: state.config.peerId, file, ext: state.ext };
    state.sendToAll(state.membership.all(), message);
  }

  /** One tracked peer that can take it gets a copy. */
  #offerCopy(file: FileRecord, asked: Set<string>): void {
    const { state } = this;
    const sizeBytes = file.sizeBytes ?? 0;
    const { legacyPushBytes } = state.config.limits;
    const holders = state.catalogue.get(file.fileId)?.holders;
    const [record] = asked.size >= MAX_PUSH_TRIES || this.#copies.size >= MAX_COPIES
      ? []
      : state.membership.pick(1, () =>
        state.random(), (candidate) =>
        isProven(candidate) && !state.pauseOf(candidate) && !asked.has(candidate.peerId) &&
        !holders?.has(candidate.peerId) && (candidate.extended || sizeBytes <= legacyPushBytes));
    if (!record) {
      this.#copies.delete(file.fileId);
      return;
    }
    asked.add(record.peerId);
    this.#copies.set(file.fileId, asked);
    const { peerId, address: to, voucher } = record;
    state.emit({ kind: "copy", file, to, voucher, peerId });
  }

  #remove(file: FileRecord, held: boolean, why: "deleted" | "unwanted"): void {
    const { fileId } = file;
    this.#keeping.delete(fileId);
    this.downloads.abandon(fileId, "It was deleted meanwhile");
    if (held) this.state.emit({ kind: "trash", fileId, why });
  }

  /** Why a DELETE does not count, or undefined when it does. */
  #forgery(file: FileRecord, from: string, record: PeerRecord | undefined, ip: string) {
    if (file.owner !== from) return "it is not the owner";
    if (file.owner === this.state.config.peerId) return "it is our own original";
    if (!record) return "the owner is not a peer that is known here";
    return record.ip === ip ? undefined : "it did not come from the owner's address";
  }

  #refusal({ held, ip, source, beganMs = this.state.nowMs }: Arrived) {
    const { state } = this;
    const { file, sizeBytes } = held;
    const entry = state.catalogue.get(file.fileId);
    if (!entry && state.catalogue.tombstones.isEarly(file, state.nowMs)) {
      return { reason: "deleted" as const, text: "Its owner deleted it just now" };
    }
    if (state.catalogue.tombstones.has(file.fileId, state.nowMs)) {
      const owner = state.membership.get(file.owner);
      const isMeant = source === undefined && owner?.ip === ip &&
        beganMs >= state.catalogue.tombstones.deletedAt(file.fileId)! + LIFT_AFTER_MS;
      if (isMeant) state.catalogue.tombstones.lift(file.fileId);
      else return { reason: "deleted" as const, text: "Its owner deleted it" };
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
