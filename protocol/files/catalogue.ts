// The catalogue: every file known, who holds it, what is here, and what was deleted. PURE.
// Always holds: a held file verified; no deleted id is in the catalogue; what is verified is not changed
// by what anybody says; at most `maxEntries` entries and `MAX_TOMBSTONES` tombstones.

import type { HeldFile, Input } from "../effects.ts";
import type { Timestamp } from "../wire/fileid.ts";
import { HOLDERLESS_MS, MAX_LIST_CHANGES, MAX_OTHER_TIMESTAMPS } from "../limits.ts";
import type { FileRecord } from "../wire/message.ts";
import { Tombstones } from "./tombstones.ts";

type Load = Extract<Input, { kind: "load" }>;

/** No peer's name: it is not clean. */
const OURSELVES = "\n";
/** Maximum number of changed entries named by one input. Beyond this, whoever watches is told to reload everything. */
const MAX_TOUCHED = 20_000;
/** Files of the largest holder looked at for one that nobody else has. */
const MAX_EVICTION_TRIES = 64;

export interface Entry {
  file: FileRecord;
  /** Told by others for the same id; kept until content says which one is true. */
  otherTimestamps: Timestamp[];
  held: boolean;
  /** Content was seen that has this id: the size is exact and the timestamp true. */
  verified: boolean;
  /** It came by a push that nobody asked for. */
  pushed: boolean;
  /** Tracked peers that say they hold it; never ourselves. */
  readonly holders: Set<string>;
  /** Peers that held it when they were last heard, at most `MAX_AWAY`. */
  away: readonly string[];
  /** When this peer first knew of it, on the machine's clock. */
  sinceMs: number;
}

/** Maximum number of absent holders remembered for a file: enough to tell people whom to wait for. */
const MAX_AWAY = 4;

export type Learned = "new" | "known" | "owner-conflict" | "deleted" | "full";

/** What changed in our own list since some revision; undefined when that is too long ago. */
export interface ListChanges {
  readonly added: readonly string[];
  readonly removed: boolean;
}

export class Catalogue {
  readonly #entries = new Map<string, Entry>();
  readonly #held = new Set<string>();
  /** Per peer: what it holds, and how many whole lists in a row lacked it. */
  readonly #holdings = new Map<string, Map<string, number>>();
  /** Entries that nobody holds, since when; in order of time, unless what was read at start came between. */
  #holderless = new Map<string, number>();
  #holderlessInOrder = true;
  readonly tombstones = new Tombstones();
  /** Files that the person here does not want back by themselves. */
  readonly unwanted = new Set<string>();

  /** Grows with each change of what we hold. */
  revision = 0;
  /** Grows whenever an entry that is not held appears, changes or goes. */
  unheldRevision = 0;
  #changes: { revision: number; fileId: string; added: boolean }[] = [];

  /** What changed since who watches looked last; undefined while nobody does. */
  #touched: Set<string> | undefined;

  /** Bytes held that came by pushes nobody asked for. */
  pushedBytes = 0;
  heldBytes = 0;

  constructor(readonly maxEntries: number) {}

  get size(): number {
    return this.#entries.size;
  }

  /** Whether another entry would need the place of one. */
  get isFull(): boolean {
    return this.#entries.size >= this.maxEntries;
  }

  get peersWithHoldings(): number {
    return this.#holdings.size;
  }

  get heldCount(): number {
    return this.#held.size;
  }

  /** Begins or stops remembering which entries change. */
  watch(isWatched: boolean): void {
    this.#touched = isWatched ? new Set() : undefined;
  }

  /** Ids of entries that are new, changed or gone since the last call; "many" when these are not worth naming. */
  takeTouched(): readonly string[] | "many" {
    const touched = this.#touched;
    if (!touched || touched.size === 0) return NOBODY;
    this.#touched = new Set();
    return touched.size > MAX_TOUCHED ? "many" : [...touched];
  }

  #touch(fileId: string): void {
    if (this.#touched && this.#touched.size <= MAX_TOUCHED) this.#touched.add(fileId);
  }

  get(fileId: string): Entry | undefined {
    return this.#entries.get(fileId);
  }

  all(): IterableIterator<Entry> {
    return this.#entries.values();
  }

  /** What we hold, in the order in which we got it. */
  *held(): IterableIterator<Entry> {
    for (const fileId of this.#held) yield this.#entries.get(fileId)!;
  }

  /** Takes in what is remembered from earlier runs. */
  load({ files, deleted, unwanted }: Load, nowMs: number): void {
    for (const [fileId, deletedAtMs] of deleted) this.tombstones.add(fileId, deletedAtMs);
    for (const fileId of unwanted) this.unwanted.add(fileId);
    for (const { file, away, sinceMs, holderlessSinceMs, isUnwanted } of files) {
      this.learn(file, nowMs);
      const entry = this.#entries.get(file.fileId);
      if (entry) {
        entry.away = away.slice(0, MAX_AWAY);
        entry.sinceMs = sinceMs ?? entry.sinceMs;
      }
      if (isUnwanted) this.refuse(file.fileId);
      if (holderlessSinceMs !== undefined && this.#holderless.has(file.fileId)) {
        this.#holderless.set(file.fileId, holderlessSinceMs);
        this.#holderlessInOrder = false;
      }
    }
  }

  /**
   * Somebody told of a file: `holder` says that it has it; undefined when nobody who is tracked does.
   * First word wins, except where content proved otherwise. A full catalogue makes room as `#makeRoomFor` says.
   */
  learn(file: FileRecord, nowMs: number, holder?: string): Learned {
    if (this.tombstones.has(file.fileId, nowMs)) return "deleted";
    const known = this.#entries.get(file.fileId);
    if (!known) {
      if (this.tombstones.isEarly(file, nowMs)) {
        this.bury(file.fileId, nowMs);
        return "deleted";
      }
      if (this.isFull && !this.#makeRoomFor(holder)) return "full";
      this.#entries.set(file.fileId, newEntry(file, nowMs));
      this.unheldRevision++;
      this.#holderless.set(file.fileId, nowMs);
      this.#touch(file.fileId);
      return "new";
    }
    if (!known.verified) {
      const { text, quoted } = file.timestamp;
      const isSame = (other: Timestamp) => other.text === text && other.quoted === quoted;
      if (
        ![known.file.timestamp, ...known.otherTimestamps].some(isSame) &&
        known.otherTimestamps.length < MAX_OTHER_TIMESTAMPS
      ) {
        known.otherTimestamps.push(file.timestamp);
        this.unheldRevision++;
      }
    }
    return known.file.owner === file.owner ? "known" : "owner-conflict";
  }

  /** A tracked peer holds a known file; false when that is no news. */
  addHolder(fileId: string, peerId: string): boolean {
    const entry = this.#entries.get(fileId);
    if (!entry) return false;
    let holdings = this.#holdings.get(peerId);
    if (!holdings) this.#holdings.set(peerId, holdings = new Map());
    holdings.set(fileId, 0);
    if (entry.holders.has(peerId)) return false;
    entry.holders.add(peerId);
    if (entry.away.length > 0) entry.away = entry.away.filter((other) => other !== peerId);
    this.#holderless.delete(fileId);
    this.#touch(fileId);
    return true;
  }

  /** This peer says no longer, or showed, that it does not hold the file; `isAway`: it is only gone. */
  removeHolder(fileId: string, peerId: string, nowMs: number, isAway = false): void {
    this.#holdings.get(peerId)?.delete(fileId);
    const entry = this.#entries.get(fileId);
    if (!entry?.holders.delete(peerId)) return;
    if (isAway) entry.away = [peerId, ...entry.away].slice(0, MAX_AWAY);
    this.#noteHolderless(entry, nowMs);
    this.#touch(fileId);
  }

  /**
   * A list of this peer is whole: what it lacks is taken away, at once (`misses` 1), or when the list
   * before it lacked it too (`misses` 2, for peers that may have sent only a part).
   * Returns whether anything changed.
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

  /** A peer is gone, and with it what it holds. */
  dropPeer(peerId: string, nowMs: number): void {
    for (const fileId of [...this.#holdings.get(peerId)?.keys() ?? []]) {
      this.removeHolder(fileId, peerId, nowMs, true);
    }
    this.#holdings.delete(peerId);
  }

  /** How many files a tracked peer is known to hold. */
  holdingsOf(peerId: string): number {
    return this.#holdings.get(peerId)?.size ?? 0;
  }

  /** The file is in the store and verified. False when it was held already. */
  hold({ file, sizeBytes, pushed = false, ...held }: HeldFile, nowMs: number): boolean {
    const { sinceMs = nowMs } = held;
    const known = this.#entries.get(file.fileId);
    if (known?.held) return false;
    if (!known && this.isFull) this.#makeRoomFor(OURSELVES);
    const entry = known ?? newEntry(file, sinceMs);
    entry.sinceMs = Math.min(entry.sinceMs, sinceMs);
    this.#entries.set(file.fileId, entry);
    this.unheldRevision++;
    // The store's word on name and timestamp wins over hearsay: it was verified against content.
    entry.file = { ...(known?.verified ? known.file : file), sizeBytes };
    entry.otherTimestamps = [];
    entry.held = true;
    entry.verified = true;
    entry.pushed = pushed;
    this.#held.add(file.fileId);
    this.#holderless.delete(file.fileId);
    this.unwanted.delete(file.fileId);
    this.heldBytes += sizeBytes;
    if (pushed) this.pushedBytes += sizeBytes;
    this.#note(file.fileId, true);
    // Tombstone and entry never stand side by side; who holds on purpose lifts it.
    if (this.tombstones.has(file.fileId, nowMs)) this.tombstones.lift(file.fileId);
    return true;
  }

  /** The file is no longer in the store; what is known of it stays. False when it was not held. */
  release(fileId: string, nowMs: number): boolean {
    const entry = this.#entries.get(fileId);
    if (!entry?.held) return false;
    entry.held = false;
    this.unheldRevision++;
    this.heldBytes -= entry.file.sizeBytes ?? 0;
    if (entry.pushed) this.pushedBytes -= entry.file.sizeBytes ?? 0;
    entry.pushed = false;
    this.#held.delete(fileId);
    this.#noteHolderless(entry, nowMs);
    this.#note(fileId, false);
    return true;
  }

  /** The owner deleted the file: it leaves the catalogue and does not come back by gossip. */
  bury(fileId: string, nowMs: number): void {
    this.#touch(fileId);
    this.release(fileId, nowMs);
    const entry = this.#entries.get(fileId);
    for (const peerId of entry?.holders ?? []) this.#holdings.get(peerId)?.delete(fileId);
    this.#entries.delete(fileId);
    this.#holderless.delete(fileId);
    this.unwanted.delete(fileId);
    this.tombstones.add(fileId, nowMs);
  }

  /** The file has another name from now on. False when that is its name already. */
  rename(fileId: string, name: string): boolean {
    const entry = this.#entries.get(fileId);
    if (!entry || entry.file.name === name) return false;
    entry.file = { ...entry.file, name };
    if (entry.held) this.#note(fileId, true);
    else this.#touch(fileId);
    return true;
  }

  /** Does not fetch the file automatically any more, also when it is forgotten and heard of again. */
  refuse(fileId: string): void {
    this.unwanted.delete(fileId);
    if (this.unwanted.size >= this.maxEntries) {
      this.unwanted.delete(this.unwanted.keys().next().value!);
    }
    this.unwanted.add(fileId);
  }

  /** Forgets an entry that nobody holds, but not that it is unwanted. It may be learned again. */
  forget(fileId: string): void {
    const entry = this.#entries.get(fileId);
    if (!entry || entry.held || entry.holders.size > 0) return;
    const isUnwanted = this.unwanted.has(fileId);
    this.#forget(fileId);
    if (isUnwanted) this.refuse(fileId);
  }

  /** When the file lost its last holder; undefined while there is one. */
  holderlessSince(fileId: string): number | undefined {
    return this.#holderless.get(fileId);
  }

  /** Forgets what nobody held for a week and tombstones that are over. Returns whether anything changed. */
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

  /** What changed in our own list since `revision`; undefined when nobody remembers. */
  changesSince(revision: number): ListChanges | undefined {
    const first = this.#changes[0];
    if (revision !== this.revision && (!first || first.revision > revision + 1)) return undefined;
    const recent = this.#changes.filter((change) => change.revision > revision);
    return {
      added: [...new Set(recent.map(({ fileId }) => fileId))].filter((id) => this.#held.has(id)),
      removed: recent.some(({ added }) => !added),
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
   * For what nobody holds there is no room in a full catalogue. For the rest, what nobody holds goes first, the
   * oldest of it, and then something of the peer that tells of the most, if it tells of more than this one:
   * nobody fills the catalogue against others.
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
      return true;
    }
    return false;
  }

  #makeRoom(): boolean {
    const oldest = this.#holderless.keys().next();
    if (oldest.done) return false;
    this.#forget(oldest.value);
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

function newEntry(file: FileRecord, sinceMs: number): Entry {
  return {
    file,
    otherTimestamps: [],
    held: false,
    verified: false,
    pushed: false,
    holders: new Set(),
    away: NOBODY,
    sinceMs,
  };
}
