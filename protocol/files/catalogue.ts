// The catalogue: all known files, their holders, which ones are here, and what was deleted. PURE.
// Invariants: a held file is verified; no deleted id has an entry; nothing that other peers say changes verified
// facts; at most `maxEntries` entries (more only if more are held) and `MAX_TOMBSTONES` tombstones.

import type { Bounded } from "../bounds/expiring.ts";
import type { HeldFile, Input } from "../effects.ts";
import { IdIndex } from "../id_index.ts";
import type { Timestamp } from "../wire/fileid.ts";
import { HOLDERLESS_MS, MAX_LIST_CHANGES, MAX_OTHER_TIMESTAMPS } from "../limits.ts";
import type { FileRecord } from "../wire/message.ts";
import { HolderSets } from "./holder_sets.ts";
import { OTHERS, Tombstones } from "./tombstones.ts";

/** The input "load". */
export type Load = Extract<Input, { kind: "load" }>;

/** Represents this peer among the holders. No peer can have this name, because it is a line break. */
const OURSELVES = "\n";
/** Maximum number of changed entries named after one input. Beyond this, the watcher is told to reload everything. */
const MAX_TOUCHED = 20_000;
/** Maximum number of the largest holder's files examined to find one that nobody else has. */
const MAX_EVICTION_TRIES = 64;

/** A known file. */
export interface Entry {
  /** What is known about it. */
  file: FileRecord;
  /** The peer that told the SHA-256 of the content; undefined if it is verified, or was told in an earlier run. */
  toldBy: string | undefined;
  /** Other timestamps that peers sent for this id, kept until the content shows which one is true. */
  otherTimestamps: readonly Timestamp[];
  /** Whether it is in the store. */
  held: boolean;
  /** Whether its content has been verified here, so that size and timestamp are known to be true. */
  verified: boolean;
  /** Whether it arrived by an unsolicited push. */
  pushed: boolean;
  /** Names of the tracked peers that say they hold it; never ourselves. Shared with other entries. */
  holders: ReadonlySet<string>;
  /** Names of absent peers that held it when last heard from, at most `MAX_AWAY`. */
  away: readonly string[];
  /** When this peer first knew of it, in milliseconds on the monotonic clock. */
  sinceMs: number;
}

/** Maximum number of absent holders remembered for a file: enough to tell people whom to wait for. */
const MAX_AWAY = 4;

/** What `Catalogue.learn` made of a file. */
export type Learned = "new" | "known" | "owner-conflict" | "deleted" | "full";

/** What changed in our own list since some revision. */
export interface ListChanges {
  /** Ids of files that were added and are still held. */
  readonly added: readonly string[];
  /** Ids of files that were removed and are not held again. */
  readonly removed: readonly string[];
}

/** The known files. Times are in milliseconds on the monotonic clock. */
export class Catalogue {
  readonly #entries = new Map<string, Entry>();
  readonly #held = new Set<string>();
  /** The held files by the SHA-256 of their content; made when it is first needed, because most peers never need it. */
  #heldBySha256: IdIndex | undefined;
  readonly #holderSets = new HolderSets();
  /** For each peer: the files it holds, and how many whole lists in a row lacked each of them. */
  readonly #holdings = new Map<string, Map<string, number>>();
  /** Entries without holders and since when; in chronological order, except right after `load`. */
  #holderless = new Map<string, number>();
  #holderlessInOrder = true;
  /** Deleted ids, which do not come back by gossip. */
  readonly tombstones = new Tombstones();
  /** Ids of files that are not fetched automatically, because a person here does not want them. */
  readonly unwanted = new Set<string>();

  /** Increases with each change to what we hold. */
  revision = 0;
  /** Increases whenever an entry that is not held is added, changed or removed. */
  unheldRevision = 0;
  #changes: { revision: number; fileId: string; added: boolean }[] = [];

  /** Ids of entries changed since the last `takeTouched`; undefined while nobody watches. */
  #touched: Set<string> | undefined;

  /** Number of entries that were forgotten to make space for others. */
  forgotten = 0;
  /** Number of unwanted files that were forgotten, because there were too many. */
  unwantedForgotten = 0;
  /** Number of further timestamps that were ignored. */
  timestampsIgnored = 0;

  /** Total size of held files that arrived by unsolicited pushes, in bytes. */
  pushedBytes = 0;
  /** Total size of held files, in bytes. */
  heldBytes = 0;

  /** Creates an empty catalogue. */
  constructor(readonly maxEntries: number) {}

  /** What this remembers besides entries, with its bounds. */
  get sizes(): Bounded[] {
    return [
      {
        name: "changes of our list",
        size: () => this.#changes.length,
        max: () => 2 * MAX_LIST_CHANGES,
      },
      {
        name: "contents held",
        size: () => this.#heldBySha256?.size ?? 0,
        max: () => this.#held.size,
      },
      {
        name: "sets of holders",
        size: () => this.#holderSets.size,
        max: () => this.#holderSets.max,
      },
      {
        name: "changed entries to report",
        size: () => this.#touched?.size ?? 0,
        max: () => MAX_TOUCHED + 1,
      },
    ];
  }

  /** Number of entries. */
  get size(): number {
    return this.#entries.size;
  }

  /** Whether a new entry would have to replace another one. */
  get isFull(): boolean {
    return this.#entries.size >= this.maxEntries;
  }

  /** Number of peers for which held files are remembered. */
  get peersWithHoldings(): number {
    return this.#holdings.size;
  }

  /** Number of held files. */
  get heldCount(): number {
    return this.#held.size;
  }

  /** Starts or stops recording which entries change. */
  watch(isWatched: boolean): void {
    this.#touched = isWatched ? new Set() : undefined;
  }

  /** Returns the ids of entries added, changed or removed since the last call, or "many" if there are too many. */
  takeTouched(): readonly string[] | "many" {
    const touched = this.#touched;
    if (!touched || touched.size === 0) return NOBODY;
    this.#touched = new Set();
    return touched.size > MAX_TOUCHED ? "many" : [...touched];
  }

  #touch(fileId: string): void {
    if (this.#touched && this.#touched.size <= MAX_TOUCHED) this.#touched.add(fileId);
  }

  /** Returns an entry, or `undefined` if the file is not known. */
  get(fileId: string): Entry | undefined {
    return this.#entries.get(fileId);
  }

  /** Returns all entries. */
  all(): IterableIterator<Entry> {
    return this.#entries.values();
  }

  /** Returns the entries of held files, oldest first. */
  *held(): IterableIterator<Entry> {
    for (const fileId of this.#held) yield this.#entries.get(fileId)!;
  }

  /** Returns the id of a held file with this content (SHA-256, hex) other than `except`, if there is one. */
  heldWith(sha256: string, except?: string): string | undefined {
    const index = this.#heldBySha256 ??= this.#indexHeld();
    for (const fileId of index.get(sha256)) if (fileId !== except) return fileId;
    return undefined;
  }

  #indexHeld(): IdIndex {
    const index = new IdIndex();
    for (const { file } of this.held()) {
      if (file.sha256 !== undefined) index.add(file.sha256, file.fileId);
    }
    return index;
  }

  /** Loads what is remembered from earlier runs. */
  load({ files, deleted, unwanted }: Load, nowMs: number): void {
    this.tombstones.load(deleted);
    for (const [fileId, deletedAtMs] of deleted) {
      // A peer named it before we knew.
      if (this.#entries.has(fileId)) this.bury(fileId, deletedAtMs);
    }
    for (const fileId of unwanted) this.unwanted.add(fileId);
    for (const { file, away, sinceMs, holderlessSinceMs, isUnwanted } of files) {
      this.learn(file, nowMs);
      const entry = this.#entries.get(file.fileId);
      if (entry) {
        // A peer may have named it in the meantime.
        if (entry.holders.size === 0 && away.length > 0) entry.away = away.slice(0, MAX_AWAY);
        entry.sinceMs = Math.min(entry.sinceMs, sinceMs ?? entry.sinceMs);
      }
      if (isUnwanted && !entry?.held) this.refuse(file.fileId);
      if (holderlessSinceMs !== undefined && this.#holderless.has(file.fileId)) {
        this.#holderless.set(file.fileId, holderlessSinceMs);
        this.#holderlessInOrder = false;
      }
    }
  }

  /**
   * Adds a file that a peer named. `holder` is the peer that says it holds it, if it is tracked. What we hear first
   * counts until content proves otherwise, also what it says about the content (`FileRecord.sha256`). A full catalogue
   * makes space as described at `#makeRoomFor`.
   */
  learn(file: FileRecord, nowMs: number, holder?: string): Learned {
    if (this.tombstones.has(file.fileId, nowMs)) return "deleted";
    const known = this.#entries.get(file.fileId);
    if (!known) {
      if (this.tombstones.isEarly(file, nowMs)) {
        this.bury(file.fileId, nowMs, OTHERS);
        return "deleted";
      }
      if (this.isFull && !this.#makeRoomFor(holder)) return "full";
      const entry = newEntry(file, nowMs, this.#holderSets.none);
      if (file.sha256 !== undefined) entry.toldBy = holder;
      this.#entries.set(file.fileId, entry);
      this.unheldRevision++;
      this.#holderless.set(file.fileId, nowMs);
      this.#touch(file.fileId);
      return "new";
    }
    if (!known.verified) {
      const { text, quoted } = file.timestamp;
      const isSame = (other: Timestamp) => other.text === text && other.quoted === quoted;
      const isNews = ![known.file.timestamp, ...known.otherTimestamps].some(isSame);
      if (isNews && known.otherTimestamps.length >= MAX_OTHER_TIMESTAMPS) this.timestampsIgnored++;
      else if (isNews) {
        known.otherTimestamps = [...known.otherTimestamps, file.timestamp];
        this.unheldRevision++;
      }
      const { sha256 } = file;
      if (sha256 !== undefined && known.file.sha256 === undefined) {
        known.file = { ...known.file, sha256 };
        known.toldBy = holder;
        this.unheldRevision++;
        this.#touch(file.fileId);
      }
    }
    return known.file.owner === file.owner ? "known" : "owner-conflict";
  }

  /** Records that a tracked peer holds a known file. Returns whether that is news. */
  addHolder(fileId: string, peerId: string): boolean {
    const entry = this.#entries.get(fileId);
    if (!entry) return false;
    let holdings = this.#holdings.get(peerId);
    if (!holdings) this.#holdings.set(peerId, holdings = new Map());
    holdings.set(fileId, 0);
    if (entry.holders.has(peerId)) return false;
    entry.holders = this.#holderSets.with(entry.holders, peerId);
    if (entry.away.length > 0) entry.away = entry.away.filter((other) => other !== peerId);
    this.#holderless.delete(fileId);
    this.#touch(fileId);
    return true;
  }

  /** Records that a peer no longer holds a file. `isAway`: it still may, but it is gone. */
  removeHolder(fileId: string, peerId: string, nowMs: number, isAway = false): void {
    this.#holdings.get(peerId)?.delete(fileId);
    const entry = this.#entries.get(fileId);
    if (!entry?.holders.has(peerId)) return;
    entry.holders = this.#holderSets.without(entry.holders, peerId);
    if (isAway) entry.away = [peerId, ...entry.away].slice(0, MAX_AWAY);
    this.#noteHolderless(entry, nowMs);
    this.#touch(fileId);
  }

  /**
   * Takes in a whole list of a peer and removes it as a holder of the files that the list lacks: at once (`misses`
   * 1), or if the previous list lacked them too (`misses` 2, for peers that may have sent only part of it). Returns
   * whether anything changed.
   */
  wholeList(peerId: string, listed: ReadonlySet<string>, misses: number, nowMs: number): boolean {
    const holdings = this.#holdings.get(peerId);
    if (!holdings) return false;
    let changed = false;
    for (const [fileId, missed] of holdings) {
      if (listed.has(fileId)) continue;
      if (missed + 1 < misses) holdings.set(fileId, missed + 1);
      else {
        this.removeHolder(fileId, peerId, nowMs);
        changed = true;
      }
    }
    return changed;
  }

  /** Removes a peer that is gone from the holders of all files. */
  dropPeer(peerId: string, nowMs: number): void {
    for (const fileId of [...this.#holdings.get(peerId)?.keys() ?? []]) {
      this.removeHolder(fileId, peerId, nowMs, true);
    }
    this.#holdings.delete(peerId);
  }

  /** Returns the number of files that a tracked peer is known to hold. */
  holdingsOf(peerId: string): number {
    return this.#holdings.get(peerId)?.size ?? 0;
  }

  /** Records that a verified file is in the store. Returns false if it was held already. */
  hold({ file, sizeBytes, pushed = false, ...held }: HeldFile, nowMs: number): boolean {
    const { sinceMs = nowMs } = held;
    const known = this.#entries.get(file.fileId);
    if (known?.held) return false;
    if (!known && this.isFull) this.#makeRoomFor(OURSELVES);
    const entry = known ?? newEntry(file, sinceMs, this.#holderSets.none);
    entry.sinceMs = Math.min(entry.sinceMs, Math.round(sinceMs));
    this.#entries.set(file.fileId, entry);
    this.unheldRevision++;
    // The store's name and timestamp replace what peers said: it verified the content.
    const record = known?.verified ? known.file : file;
    const { sha256 = record.sha256 } = file;
    const isSame = record.sizeBytes === sizeBytes && record.sha256 === sha256;
    entry.file = isSame ? record : { ...record, sizeBytes, ...(sha256 ? { sha256 } : {}) };
    entry.toldBy = undefined;
    entry.otherTimestamps = NO_TIMESTAMPS;
    entry.held = true;
    entry.verified = true;
    entry.pushed = pushed;
    this.#held.add(file.fileId);
    if (sha256 !== undefined) this.#heldBySha256?.add(sha256, file.fileId);
    this.#holderless.delete(file.fileId);
    this.unwanted.delete(file.fileId);
    this.heldBytes += sizeBytes;
    if (pushed) this.pushedBytes += sizeBytes;
    this.#note(file.fileId, true);
    // An id never has both an entry and a tombstone; holding the file on purpose lifts the tombstone.
    if (this.tombstones.has(file.fileId, nowMs)) this.tombstones.lift(file.fileId);
    return true;
  }

  /** Records that a file is no longer in the store, keeping its entry. Returns false if it was not held. */
  release(fileId: string, nowMs: number): boolean {
    const entry = this.#entries.get(fileId);
    if (!entry?.held) return false;
    entry.held = false;
    this.unheldRevision++;
    this.heldBytes -= entry.file.sizeBytes ?? 0;
    if (entry.pushed) this.pushedBytes -= entry.file.sizeBytes ?? 0;
    entry.pushed = false;
    this.#held.delete(fileId);
    const { sha256 } = entry.file;
    if (sha256 !== undefined) this.#heldBySha256?.delete(sha256, fileId);
    this.#noteHolderless(entry, nowMs);
    this.#note(fileId, false);
    return true;
  }

  /**
   * Removes a file that its owner deleted, and leaves a tombstone so that it does not come back by gossip. `from`: the
   * address from which the DELETE came, if it was not deleted here.
   */
  bury(fileId: string, nowMs: number, from?: string): void {
    this.#touch(fileId);
    this.release(fileId, nowMs);
    const entry = this.#entries.get(fileId);
    for (const peerId of entry?.holders ?? []) this.#holdings.get(peerId)?.delete(fileId);
    this.#entries.delete(fileId);
    this.#holderless.delete(fileId);
    this.unwanted.delete(fileId);
    this.tombstones.add(fileId, nowMs, from);
  }

  /** Renames a file. Returns false if it is not known or already has that name. */
  rename(fileId: string, name: string): boolean {
    const entry = this.#entries.get(fileId);
    if (!entry || entry.file.name === name) return false;
    entry.file = { ...entry.file, name };
    if (entry.held) this.#note(fileId, true);
    else this.#touch(fileId);
    return true;
  }

  /** Marks a file as unwanted: it is not fetched automatically, even if it is forgotten and then named again. */
  refuse(fileId: string): void {
    this.unwanted.delete(fileId);
    if (this.unwanted.size >= this.maxEntries) {
      this.unwantedForgotten++;
      this.unwanted.delete(this.unwanted.keys().next().value!);
    }
    this.unwanted.add(fileId);
  }

  /** Forgets an entry without holders, but not that it is unwanted. It may be learned again. */
  forget(fileId: string): void {
    const entry = this.#entries.get(fileId);
    if (!entry || entry.held || entry.holders.size > 0) return;
    const isUnwanted = this.unwanted.has(fileId);
    this.#forget(fileId);
    if (isUnwanted) this.refuse(fileId);
  }

  /** Returns when the file lost its last holder, or `undefined` while it has one. */
  holderlessSince(fileId: string): number | undefined {
    return this.#holderless.get(fileId);
  }

  /**
   * Forgets files without holders for `HOLDERLESS_MS` (7 days) and expired tombstones. Returns whether there were
   * any.
   */
  expire(nowMs: number): boolean {
    let changed = false;
    if (!this.#holderlessInOrder) {
      this.#holderless = new Map([...this.#holderless].sort(([, a], [, b]) => a - b));
      this.#holderlessInOrder = true;
    }
    for (const [fileId, sinceMs] of this.#holderless) {
      if (nowMs - sinceMs < HOLDERLESS_MS) break;
      this.#forget(fileId);
      changed = true;
    }
    return this.tombstones.expire(nowMs) || changed;
  }

  /** Returns what changed in our own list since `revision`, or `undefined` if that was too many changes ago. */
  changesSince(revision: number): ListChanges | undefined {
    const first = this.#changes[0];
    if (revision !== this.revision && (!first || first.revision > revision + 1)) return undefined;
    const recent = this.#changes.filter((change) => change.revision > revision);
    const fileIds = [...new Set(recent.map(({ fileId }) => fileId))];
    return {
      added: fileIds.filter((fileId) => this.#held.has(fileId)),
      removed: fileIds.filter((fileId) => !this.#held.has(fileId)),
    };
  }

  #note(fileId: string, added: boolean): void {
    this.#touch(fileId);
    this.#changes.push({ revision: ++this.revision, fileId, added });
    if (this.#changes.length > 2 * MAX_LIST_CHANGES) this.#changes.splice(0, MAX_LIST_CHANGES);
  }

  #noteHolderless(entry: Entry, nowMs: number): void {
    if (entry.holders.size > 0 || entry.held) return;
    this.#holderless.delete(entry.file.fileId);
    this.#holderless.set(entry.file.fileId, nowMs);
  }

  /**
   * Makes space for one entry in a full catalogue. A file without a holder gets none. For others, the file that has
   * been without holders for longest is forgotten first, then one that only the peer with the most files holds, if
   * that has more than `holder`: no peer can fill the catalogue at the expense of others.
   */
  #makeRoomFor(holder: string | undefined): boolean {
    if (holder === undefined) return false;
    if (this.#makeRoom()) return true;
    let [most, largest] = [this.holdingsOf(holder) + 1, undefined as string | undefined];
    for (const [peerId, holdings] of this.#holdings) {
      if (holdings.size > most) [most, largest] = [holdings.size, peerId];
    }
    if (largest === undefined) return false;
    let tries = 0;
    for (const fileId of this.#holdings.get(largest)!.keys()) {
      if (++tries > MAX_EVICTION_TRIES) return false;
      const entry = this.#entries.get(fileId)!;
      if (entry.held || entry.holders.size > 1) continue;
      this.removeHolder(fileId, largest, 0);
      this.#forget(fileId);
      this.forgotten++;
      return true;
    }
    return false;
  }

  #makeRoom(): boolean {
    const oldest = this.#holderless.keys().next();
    if (oldest.done) return false;
    this.#forget(oldest.value);
    this.forgotten++;
    return true;
  }

  #forget(fileId: string): void {
    this.#touch(fileId);
    this.unheldRevision++;
    this.#entries.delete(fileId);
    this.#holderless.delete(fileId);
    this.unwanted.delete(fileId);
  }
}

const NOBODY: readonly string[] = [];

const NO_TIMESTAMPS: readonly Timestamp[] = [];

function newEntry(file: FileRecord, sinceMs: number, holders: ReadonlySet<string>): Entry {
  return {
    file,
    toldBy: undefined,
    otherTimestamps: NO_TIMESTAMPS,
    held: false,
    verified: false,
    pushed: false,
    holders,
    away: NOBODY,
    sinceMs: Math.round(sinceMs), // a whole number takes no memory of its own
  };
}
