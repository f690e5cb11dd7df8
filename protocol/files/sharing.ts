// Files: who announces, pushes, gets and deletes what, and what we do then. PURE.
// Always holds: only verified content is kept; a push is taken within rate and quota; a DELETE counts
// only from the owner at the owner's known address, and never for what we published ourselves; what a person
// removed, edited or canceled here is not fetched automatically; what is wanted stays wanted.

import { AutoFetch } from "./autofetch.ts";
import { Broadcasts } from "./broadcasts.ts";
import { KeyedBuckets, KeyedWindows } from "../bounds/rate_limit.ts";
import { Copies } from "./replication.ts";
import { Deletions } from "./deletions.ts";
import type { Bounded } from "../bounds/expiring.ts";
import type { Input } from "../effects.ts";
import type { Reason } from "../wire/errors.ts";
import {
  DELETES_PER_MINUTE,
  LIFT_AFTER_MS,
  MAX_TOLD_AGAIN,
  TELL_AGAIN_MS,
  WITHDRAW_MS,
} from "../limits.ts";
import type { Lists } from "../members/lists.ts";
import type { PeerRecord } from "../members/membership.ts";
import {
  type Announce,
  type Delete,
  encodeMessage,
  type FileRecord,
  type GetFile,
  type Message,
} from "../wire/message.ts";
import { Downloads } from "./downloads.ts";
import { type PeerState, placeOf } from "../state.ts";

type Held = Extract<Input, { kind: "held" }>;
type Arrived = Extract<Input, { kind: "arrived" }>;
type Lost = Extract<Input, { kind: "lost" }>;
type KeepFailed = Extract<Input, { kind: "keep-failed" }>;
type PushOffered = Extract<Input, { kind: "push-offered" }>;

/** Maximum number of files being written concurrently. */
const MAX_KEEPING = 1_000;

export class Sharing {
  readonly downloads: Downloads;
  readonly #pushes: KeyedBuckets;
  readonly #deletes = new KeyedWindows(DELETES_PER_MINUTE);
  readonly #broadcasts: Broadcasts;
  readonly deletions: Deletions;
  readonly #copies: Copies;
  readonly #autoFetch: AutoFetch;
  /** Files that the store is about to keep. */
  readonly #keeping = new Map<
    string,
    {
      readonly file: FileRecord;
      readonly pushedBytes: number;
      /** A download brought the same meanwhile. */
      alsoFetched?: boolean;
    }
  >();
  /** Files that were restored right after their deletion, and when to tell of them again. */
  readonly #toldAgain = new Map<string, number>();
  constructor(readonly state: PeerState, readonly lists: Lists) {
    const { pushBurst, pushesPerSecond } = state.config.limits;
    this.#pushes = new KeyedBuckets(pushBurst, pushesPerSecond);
    this.#broadcasts = new Broadcasts(state, lists);
    this.deletions = new Deletions(state);
    this.#copies = new Copies(state);
    this.downloads = new Downloads(
      state,
      (fileId, outcome) => this.#autoFetch.ended(fileId, outcome),
    );
    this.#autoFetch = new AutoFetch(state, this.downloads);
  }

  /** What is remembered, against its bounds. */
  get sizes(): Bounded[] {
    return [
      { name: "pushing addresses", size: () => this.#pushes.size, max: () => this.#pushes.maxKeys },
      { name: "deleting peers", size: () => this.#deletes.size, max: () => this.#deletes.maxKeys },
      { name: "files told again", size: () => this.#toldAgain.size, max: () => MAX_TOLD_AGAIN },
      { name: "files being kept", size: () => this.#keeping.size, max: () => MAX_KEEPING },
      ...this.#copies.sizes,
      ...this.downloads.sizes,
      ...this.#broadcasts.sizes,
      ...this.deletions.sizes,
    ];
  }

  // Messages

  onAnnounce(message: Announce, ip: string): void {
    const { state } = this;
    const record = state.membership.get(message.from);
    if (record) state.membership.alive(record, ip, state.nowMs);
    if (message.from === state.config.peerId) return;
    this.#liftByOwner(message, record, ip);
    const isNews = this.lists.learn(message.file, record, record?.ip === ip);
    if (isNews) state.save();
    this.considerFetching(message.file.fileId, isNews);
    if (record && record.ip === ip) this.remindOfDeletion(message.file, record);
  }

  /** A peer, from where it is, lists a file: if that is one of ours that we deleted, it missed the DELETE. */
  remindOfDeletion({ fileId, owner }: FileRecord, record: PeerRecord): void {
    const { config, catalogue, nowMs } = this.state;
    if (owner !== config.peerId || !catalogue.tombstones.has(fileId, nowMs)) return;
    this.deletions.stillListed(fileId, record);
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

  onGet(message: GetFile, connection: number, ip: string): void {
    const { state } = this;
    this.lists.asked(ip);
    const entry = state.catalogue.get(message.fileId);
    if (entry?.held) {
      state.serving.set(ip, (state.serving.get(ip) ?? 0) + 1);
      state.emit({ kind: "serve", connection, file: entry.file, ip });
    } else {
      const absent: Message = { type: "FILE_DATA", hasContent: false, ext: state.ext };
      state.emit({ kind: "answer-absent", connection, bytes: encodeMessage(absent) });
    }
  }

  /** A file was sent to this machine, or not. */
  onServed(ip: string): void {
    const { serving } = this.state;
    const left = (serving.get(ip) ?? 0) - 1;
    if (left > 0) serving.set(ip, left);
    else serving.delete(ip);
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
    const keeping = this.#keeping.get(fileId);
    this.#keeping.delete(fileId);
    // The attempt of a download that brought it, or brought it as well, is over.
    if (source !== undefined || keeping?.alsoFetched) this.downloads.notKept(fileId, text);
    // Nobody waits for what was pushed, but the person here should know.
    if (source === undefined) this.state.tell({ name: "keep-failed", fileId, fileName, text });
  }

  // The store

  /** Files are in the store now. */
  onHeld({ files, how, source }: Held): void {
    const { state } = this;
    const toAnnounce: string[] = [];
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
      toAnnounce.push(fileId);
      const isOurs = file.owner === state.config.peerId;
      if (how === "published" || (how === "restored" && isOurs)) this.#copies.offer(file);
      if (how === "restored" && isOurs) {
        this.deletions.revoke(fileId);
        this.#tellAgain(fileId, deletedAtMs);
      }
    }
    this.#broadcasts.announce(toAnnounce);
    state.save();
  }

  /** A person gave held files other names: the network hears of them. */
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
    this.#broadcasts.announce(renamed);
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
      this.#broadcasts.announce([fileId]);
      this.#copies.offer(entry.file);
    }
    this.#copies.tick();
    this.#autoFetch.tick();
    this.downloads.tick();
    this.deletions.tick();
    this.#broadcasts.tick();
  }

  /** Files are not here any more; see the input. */
  onLost({ fileIds, why }: Lost): void {
    const { state } = this;
    const { catalogue, nowMs } = state;
    for (const fileId of fileIds) {
      const entry = catalogue.get(fileId);
      if (!entry?.held) continue;
      const { file, sinceMs, away } = entry;
      const isOurs = file.owner === state.config.peerId;
      this.#copies.forget(fileId);
      if (isOurs && why === "edited" && nowMs - sinceMs < WITHDRAW_MS) {
        // Nobody is to keep a version that was shared while the file was still being written.
        catalogue.bury(fileId, nowMs);
        this.deletions.announce(fileId, away);
        state.tell({ name: "deleted", file, by: "us-replaced" });
        continue;
      }
      catalogue.release(fileId, nowMs);
      state.tell({ name: "lost", file });
      if (why === "damaged") this.downloads.want(fileId);
      if (why === "removed" || why === "edited") {
        catalogue.refuse(fileId);
        if (isOurs) catalogue.forget(fileId);
      }
    }
    state.save();
  }

  /** There is space in the store again. */
  onSpace(): void {
    this.downloads.spaceCame();
    this.downloads.tick();
  }

  /** A peer is there, or there anew. */
  onPeerCame(record: PeerRecord): void {
    this.downloads.peerCame(record.peerId);
    this.#copies.peerCame();
  }

  onSendEnded(): void {
    this.#broadcasts.sendEnded();
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
    this.#copies.forget(fileId);
    if (!this.downloads.isPending(fileId) && !this.downloads.isWished(fileId)) return;
    if (catalogue.get(fileId)) catalogue.refuse(fileId);
    this.downloads.abandon(fileId, "It was canceled");
    this.state.save();
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
      this.deletions.announce(fileId, away);
      state.tell({ name: "deleted", file, by: "us" });
    } else {
      state.catalogue.release(fileId, state.nowMs);
      state.catalogue.refuse(fileId);
      state.tell({ name: "deleted", file, by: "us-here-only" });
    }
    state.save();
  }

  // What follows by itself

  /** The network is known now. `alone`: nobody else is there. */
  startAutoFetch(alone: boolean): void {
    this.#autoFetch.start(alone);
  }

  /** A file was told of; `isNews`: or another holder of it. What is wanted is tried again then. */
  considerFetching(fileId: string, isNews = false): void {
    if (isNews) this.downloads.holderCame(fileId);
    this.#autoFetch.consider(fileId);
  }

  onCopied(fileId: string, peerId: string): void {
    this.#copies.taken(fileId, peerId);
  }

  onCopyFailed(fileId: string): void {
    this.#copies.failed(fileId);
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
