// Writes down what this peer knows: metadata.json, deleted files and known peers, soon after each change.
// Invariants: one snapshot is written at a time; metadata.json is at most a minute old; a snapshot
// that failed is attempted again; nothing is lost without them, for the journal has every file that is held.

import type { Node } from "../node/node.ts";
import type { MetadataEntry } from "../storage/metadata.ts";
import type { Store } from "../storage/store.ts";
import type { Timers } from "./timers.ts";
import type { Troubles } from "./troubles.ts";

/** Minimum delay before metadata.json follows a change, in milliseconds. */
const SNAPSHOT_MS = 150;
/** Maximum delay before metadata.json follows a change, in milliseconds, however long a snapshot takes. */
const LATEST_MS = 45_000;
/** Pause after a snapshot, as a multiple of how long it took. */
const PAUSE_FACTOR = 20;
/** Delay before a snapshot that failed is attempted again, in milliseconds. */
const RETRY_MS = 2_000;

/** What is written, and how often. */
export interface SavingOptions {
  /** This peer's id. */
  readonly peerId: string;
  /** Maximum number of peers written down. */
  readonly maxPeers: number;
  readonly store: Store;
  readonly node: Node;
  readonly timers: Timers;
  readonly troubles: Troubles;
  /** The peers that people have added in this run, and by which address. */
  readonly added: ReadonlyMap<string, string>;
}

/** Saves snapshots of what is known. */
export class Saving {
  #timer: ReturnType<Timers["after"]>;
  #saving: Promise<void> | undefined;
  #isDirty = false;
  #isBegun = false;
  #lastSaveMs = 0;
  /** The tombstones that were saved last. */
  #savedTombstones = -1;

  constructor(readonly options: SavingOptions) {}

  /** Saves soon, and not too often; not before `begin`. */
  soon(): void {
    this.#isDirty = true;
    if (!this.#isBegun || this.#timer !== undefined || this.#saving) return;
    const { timers, troubles } = this.options;
    const waitMs = Math.min(LATEST_MS, Math.max(SNAPSHOT_MS, PAUSE_FACTOR * this.#lastSaveMs));
    this.#timer = timers.after(waitMs, () => {
      this.#timer = undefined;
      this.#saving = this.now()
        .catch((error) => {
          troubles.report(error);
          timers.after(RETRY_MS, () => this.soon());
        })
        .then(() => {
          this.#saving = undefined;
          if (this.#isDirty) this.soon();
        });
    });
  }

  /** Begins to save. Before, a snapshot would lack what is not loaded yet. */
  begin(): void {
    this.#isBegun = true;
    this.soon();
  }

  /** Resolves when no snapshot is being written. */
  async settled(): Promise<void> {
    await this.#saving;
  }

  /** Writes a snapshot. Rejects with `StorageError`. */
  async now(): Promise<void> {
    this.#isDirty = false;
    const beganMs = performance.now();
    const { snapshots } = this.options.store;
    const { tombstones } = this.options.node.peer.catalogue;
    // In this order: at no moment do both files lack what became of a file, should the journal be damaged.
    const { revision } = tombstones;
    if (revision !== this.#savedTombstones) {
      // A copy: tombstones change while many are written.
      const deleted = [...tombstones.all()];
      await snapshots.saveDeleted(unixTimes(deleted));
      this.#savedTombstones = revision;
    }
    await snapshots.saveMetadata(this.#metadata());
    await this.savePeers();
    this.#lastSaveMs = performance.now() - beganMs;
  }

  /** Writes down the tracked peers, and those of earlier runs behind them. Rejects with `StorageError`. */
  async savePeers(): Promise<void> {
    const { store, node, maxPeers, added } = this.options;
    const nowSeconds = Math.round(Date.now() / 1000);
    const before = await store.snapshots.loadPeers(nowSeconds);
    const addedBefore = new Map(before.map((peer) => [peer.peerId, peer.added]));
    const alive = [...node.peer.membership.all()].map((
      { peerId, address, voucher, lastHeardMs },
    ) => ({
      peerId,
      ...address,
      lastSeen: nowSeconds - Math.round((performance.now() - lastHeardMs) / 1000),
      local: voucher !== "remote",
      added: added.get(peerId) ?? addedBefore.get(peerId),
    }));
    const names = new Set(alive.map(({ peerId }) => peerId));
    const all = [...alive, ...before.filter(({ peerId }) => !names.has(peerId))];
    // Those that people have added are not crowded out.
    const kept = [...all.filter((peer) => peer.added), ...all.filter((peer) => !peer.added)];
    await store.snapshots.savePeers(kept.slice(0, maxPeers));
  }

  *#metadata(): Iterable<MetadataEntry> {
    const { peerId, store, node } = this.options;
    const { catalogue } = node.peer;
    // A copy of the list: the catalogue changes while a long snapshot is written.
    for (const entry of [...catalogue.all()]) {
      const { file, held, holders, pushed } = entry;
      const placement = held ? store.placementOf(file.fileId) : undefined;
      const holderlessMs = catalogue.holderlessSince(file.fileId);
      yield {
        file,
        held,
        peers: [...(held ? [peerId] : []), ...(holders.size > 0 ? holders : entry.away)],
        knownSince: toUnix(entry.sinceMs),
        ...(placement ? { placement } : {}),
        ...(pushed ? { pushed } : {}),
        ...(catalogue.unwanted.has(file.fileId) ? { unwanted: true } : {}),
        ...(holderlessMs === undefined ? {} : { holderlessSince: toUnix(holderlessMs) }),
      };
    }
  }
}

function* unixTimes(deleted: readonly [string, number][]): Iterable<readonly [string, number]> {
  for (const [fileId, sinceMs] of deleted) yield [fileId, toUnix(sinceMs)];
}

/** Returns Unix seconds for a time of the monotonic clock, in milliseconds. */
function toUnix(monotonicMs: number): number {
  return Math.round((Date.now() - (performance.now() - monotonicMs)) / 1000);
}
