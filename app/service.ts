// The parts joined into a running peer: store, node and upkeep.
// Owns the timers that look through the folder, save snapshots and sync. Prints nothing.

import {
  type Address,
  canonicalHost,
  isLoopbackHost,
  type Voucher,
} from "../protocol/wire/address.ts";
import type { sendFile } from "../net/exchange.ts";
import type { Limits } from "../protocol/limits.ts";
import type { NodeEvent } from "../protocol/effects.ts";
import type { Transfer } from "../node/transfer_log.ts";
import { FolderWatch, type FolderWatcher } from "./folder_watch.ts";
import { Node } from "../node/node.ts";
import { Operations } from "./operations.ts";
import type { MetadataEntry } from "../storage/metadata.ts";
import type { Changes, Knowledge } from "../storage/reconcile.ts";
import type { HeldContent } from "../storage/shelf.ts";
import { type SetAside, Store } from "../storage/store.ts";
import { Timers } from "./timers.ts";

/** Saving gets at most a twentieth of the time. */
const SHARE_OF_TIME = 20;
/** How long a stop may take in all, and how much of that transfers may use to finish, in milliseconds. */
const STOP_MS = 4_500;
const STOP_NODE_MS = 2_500;
/** How long the last save waits for upkeep that is under way, in milliseconds. */
const STOP_WORK_MS = 500;
/** So many names of what is not shared stand in one line. */
const NAMED = 5;
/** metadata.json follows a change within this time. */
const SNAPSHOT_MS = 150;
/** A snapshot that failed is tried again after so long. */
const RETRY_SAVE_MS = 2_000;
const SYNC_MS = 2_000;
const TIDY_MS = 60_000;
/** How often it is looked whether there is space again, after there was none. */
const SPACE_MS = 3_000;
/** So much more space than before is worth another try. */
const NOTABLE_BYTES = 1024 ** 2;
/** Peers are written down so often, besides changes: their last-seen times move. */
const PEERS_MS = 30_000;

export interface ServiceOptions {
  readonly peerId: string;
  /** What others are told. */
  readonly host: string;
  readonly port: number;
  readonly listenHost: string;
  readonly ownIps: readonly string[];
  readonly ownPorts: readonly number[];
  readonly bootstraps: readonly Address[];
  readonly storageDir: string;
  readonly autoFetch: number;
  readonly gossipInterval: number;
  readonly peerTimeout: number;
  readonly durability: "normal" | "full";
  readonly limits: Limits;
  readonly sendFile?: typeof sendFile;
  /** Watches a folder; for tests. */
  readonly watchFolder?: (dir: string) => FolderWatcher;
  readonly onEvent: (event: NodeEvent) => void;
  /** A transfer ended, however it did. */
  readonly onMoved?: (transfer: Transfer) => void;
}

export class Service {
  /** Files that changed right before the start: taken when they stand still. */
  settling = 0;
  /** What people ask. */
  readonly operations: Operations;
  readonly #timers = new Timers();
  readonly #looking: FolderWatch;
  /** Upkeep under way, which a stop waits for. */
  readonly #underWay = new Set<Promise<unknown>>();
  #leastSpare: readonly number[] = [Infinity, Infinity]; // on the disk, of the quota
  #saveTimer: ReturnType<Timers["after"]>;
  #saving: Promise<void> | undefined;
  #dirty = false;
  #lastSaveMs = 0;
  #stopped = false;
  #troubles = new Set<string>();

  private constructor(
    readonly options: ServiceOptions,
    readonly store: Store,
    readonly node: Node,
  ) {
    this.operations = new Operations(options.peerId, store, node);
    this.#looking = new FolderWatch({
      dir: store.layout.dir,
      timers: this.#timers,
      look: () => this.#keepUp(this.#look()),
      watchFolder: options.watchFolder,
    });
  }

  /**
   * Opens the store, takes the port, and looks through the folder; `join` goes on from there, so nobody
   * is told of a list that is not loaded yet.
   * Throws `StorageError`, `Deno.errors.AddrInUse` and other errors of listening.
   */
  static async open(options: ServiceOptions): Promise<Service> {
    const { limits } = options;
    const store = await Store.open({
      dir: options.storageDir,
      owner: options.peerId,
      maxFileBytes: limits.maxFileBytes,
      minFreeBytes: limits.minFreeBytes,
      pushQuotaBytes: limits.pushQuotaBytes,
      durability: options.durability,
      now: Date.now,
    });
    let node: Node | undefined;
    try {
      let service: Service | undefined = undefined;
      node = new Node({
        ...options,
        address: { host: options.host, port: options.port },
        node: store.nodeKey,
        rejoin: await rejoinable(store),
        gossipIntervalMs: options.gossipInterval,
        peerTimeoutMs: options.peerTimeout,
        store,
        onSave: () => (service as Service | undefined)?.save(),
      });
      service = new Service(options, store, node);
      await service.#load();
      return service;
    } catch (error) {
      await node?.stop(); // the port is free again
      store.close();
      throw error;
    }
  }

  /** Joins the network and begins the upkeep. */
  join(): void {
    this.node.start();
    this.store.onHashed = () => this.#looking.soon();
    this.#looking.start();
    this.#repeat(SYNC_MS, () => this.store.sync());
    this.#repeat(TIDY_MS, () => this.store.tidy());
    this.#repeat(SPACE_MS, () => Promise.resolve(this.#noticeSpace()));
    this.#repeat(PEERS_MS, () => this.#savePeers());
    this.save();
  }

  /**
   * Stops within seconds, whatever hangs; resolves with whether everything known is saved. The folder's watcher is not
   * closed: that may never return, and the end of the process closes it.
   */
  async stop(): Promise<boolean> {
    if (this.#stopped) return true;
    this.#stopped = true;
    this.#timers.clear();
    this.store.stopReading();
    const untilMs = performance.now() + STOP_MS;
    await within(STOP_NODE_MS, this.node.stop());
    const saved = this.#saveLast().then(() => true, (error) => {
      this.#trouble(error);
      return false;
    });
    const isSaved = await within(untilMs - performance.now(), saved);
    if (isSaved === undefined) {
      this.#trouble(
        new Error("The end came before everything was saved; the journal has the files"),
      );
    }
    this.store.close();
    return isSaved ?? false;
  }

  /** Closes the folder's watcher, which may never return: for who goes on living after `stop`. */
  release(): void {
    this.#looking.release();
  }

  async #saveLast(): Promise<void> {
    await within(STOP_WORK_MS, Promise.allSettled([...this.#underWay, this.store.settled()]));
    await within(STOP_WORK_MS, this.#saving ?? Promise.resolve());
    await this.#snapshot();
    await this.store.sync();
    this.store.compactJournal();
  }

  /** What is under way, by kind, for people who look for leaks. */
  get work(): Readonly<Record<string, number>> {
    return { ...this.node.work, timers: this.#timers.size };
  }

  /** Saves soon, and not too often. */
  save(): void {
    this.#dirty = true;
    if (this.#saveTimer !== undefined || this.#saving || this.#stopped) return;
    const waitMs = Math.max(SNAPSHOT_MS, SHARE_OF_TIME * this.#lastSaveMs);
    this.#saveTimer = this.#timers.after(waitMs, () => {
      this.#saveTimer = undefined;
      this.#saving = this.#snapshot()
        .catch((error) => {
          this.#trouble(error);
          this.#timers.after(RETRY_SAVE_MS, () => this.save()); // what was not saved is not forgotten
        })
        .then(() => {
          this.#saving = undefined;
          if (this.#dirty) this.save();
        });
    });
  }

  // Upkeep

  async #load(): Promise<void> {
    const { store, node } = this;
    const nowMs = performance.now();
    const toMonotonic = (unixSeconds: number) =>
      nowMs - Math.max(0, Date.now() - unixSeconds * 1000);
    const orNow = (unixSeconds: number | undefined) =>
      unixSeconds === undefined ? undefined : toMonotonic(unixSeconds);
    const deleted = [...await store.snapshots.loadDeleted()];
    const unwanted: string[] = [];
    for (const [fileId, { why, unixSeconds }] of store.loaded.removed) {
      if (why === "unwanted") unwanted.push(fileId);
      else deleted.push([fileId, unixSeconds]);
    }
    node.dispatch({
      kind: "load",
      deleted: deleted.map(([fileId, seconds]) => [fileId, toMonotonic(seconds)] as const),
      unwanted,
      files: store.loaded.entries.map((entry) => ({
        file: entry.file,
        away: entry.peers.filter((peerId) => peerId !== this.options.peerId),
        sinceMs: orNow(entry.knownSince),
        holderlessSinceMs: orNow(entry.holderlessSince),
        isUnwanted: entry.unwanted === true,
      })),
    });
    const changes = await store.scan(this.#knowledge(), true);
    this.settling = changes.unsettled;
    this.#noteOthers(changes);
    // A peer that is killed again and again never stops in peace: its journal is shortened here.
    await store.tidy();
    const held = [...store.held()].map(({ knownSince, ...content }) => ({
      ...content,
      ...(knownSince === undefined ? {} : { sinceMs: toMonotonic(knownSince) }),
    }));
    node.dispatch({ kind: "held", files: held, how: "loaded" });
    this.#noteDamaged(changes);
    node.dispatch({ kind: "unwanted", fileIds: changes.lost });
  }

  #knowledge(): Knowledge {
    const { catalogue } = this.node.peer;
    const unheld = function* (): ReturnType<Knowledge["unheld"]> {
      for (const entry of catalogue.all()) if (!entry.held) yield entry;
    };
    return {
      unheld,
      revision: () => catalogue.unheldRevision,
      isTaken: (fileId) => this.operations.isTaken(fileId),
    };
  }

  async #look(): Promise<{ lookedMs: number; againMs: number | undefined }> {
    try {
      const changes = await this.store.scan(this.#knowledge());
      if (!this.#stopped) this.#tellChanges(changes);
      return { lookedMs: changes.lookedMs ?? 0, againMs: changes.againMs };
    } catch (error) {
      this.#trouble(error);
      return { lookedMs: 0, againMs: undefined };
    }
  }

  #tellChanges(changes: Awaited<ReturnType<Store["scan"]>>): void {
    const { found, published, lost, edited, isRemade } = changes;
    if (isRemade) {
      const text = `${this.store.layout.dir} was removed; it is made again, without what was in it`;
      this.#trouble(new Error(text));
    }
    const gone = lost.filter((fileId) => !edited.has(fileId));
    const why = isRemade ? "missing" : "removed";
    if (gone.length > 0) this.node.dispatch({ kind: "lost", fileIds: gone, why });
    const changed = lost.filter((fileId) => edited.has(fileId));
    if (changed.length > 0) this.node.dispatch({ kind: "lost", fileIds: changed, why: "edited" });
    const held = (files: Changes["published"]): HeldContent[] =>
      files.map(({ file, placement, pushed }) => ({
        file,
        sizeBytes: placement.sizeBytes,
        pushed,
      }));
    if (found.length > 0) this.node.dispatch({ kind: "held", files: held(found), how: "found" });
    const renamed = found.filter(({ isRenamed }) => isRenamed).map(({ file }) => file);
    if (renamed.length > 0) this.node.dispatch({ kind: "renamed", files: renamed });
    if (published.length > 0) {
      this.node.dispatch({ kind: "held", files: held(published), how: "published" });
    }
    this.#noteDamaged(changes);
    this.#noteOthers(changes);
  }

  /** What is not what it was, although nobody gave it another time, is fetched again. */
  #noteDamaged({ setAside }: { readonly setAside: readonly SetAside[] }): void {
    for (const { file, fileIds, keptAt } of setAside) {
      this.#trouble(
        new Error(
          `${file.name} is damaged and no longer shared; it will be downloaded again once a peer has it. The damaged copy is kept as ${keptAt}`,
        ),
      );
      this.node.dispatch({ kind: "lost", fileIds, why: "damaged" });
      for (const fileId of fileIds) this.node.want(fileId);
    }
  }

  /** Upkeep that a stop waits for. */
  #keepUp<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work);
    work.finally(() => this.#underWay.delete(work)).catch(() => {}); // who began it hears of it
    return work;
  }

  /** Space or quota grew: what failed for want of it is tried again, for nobody knows how much each file needs. */
  #noticeSpace(): void {
    const { catalogue, config } = this.node.peer;
    const spare = [
      this.store.freeBytes(),
      config.limits.pushQuotaBytes - catalogue.pushedBytes,
    ];
    const least = spare.map((bytes, i) => Math.min(bytes, this.#leastSpare[i]!));
    const hasGrown = spare.some((bytes, i) => bytes - least[i]! >= NOTABLE_BYTES);
    this.#leastSpare = hasGrown ? spare : least;
    if (!hasGrown) return;
    this.node.dispatch({ kind: "space" });
  }

  /** Says what is in the folder and not shared, and why. */
  #noteOthers({ unreadable, passedOver }: Changes): void {
    for (const { name, text } of unreadable) {
      this.#trouble(new Error(`${name} is not shared: ${text}`));
    }
    if (passedOver.length === 0) return;
    const named = passedOver.slice(0, NAMED).map(({ name, what }) => `${name} (${what})`);
    const rest = passedOver.length - named.length;
    if (rest > 0) named.push(`${rest} more`);
    const text = `Not shared: ${named.join(", ")}; plain files directly in the folder are`;
    this.options.onEvent({ name: "passed-over", text });
  }

  async #snapshot(): Promise<void> {
    this.#dirty = false;
    const beganMs = performance.now();
    const { snapshots } = this.store;
    const { catalogue } = this.node.peer;
    const toUnix = (monotonicMs: number) =>
      Math.round((Date.now() - (performance.now() - monotonicMs)) / 1000);
    await snapshots.saveDeleted(
      [...catalogue.tombstones.all()].map(([fileId, sinceMs]) =>
        [fileId, toUnix(sinceMs)] as const
      ),
    );
    // In this order: at no moment does neither of the two know what became of a file, should the journal be damaged.
    await snapshots.saveMetadata(this.#metadata());
    await this.#savePeers();
    this.#lastSaveMs = performance.now() - beganMs;
  }

  async #savePeers(): Promise<void> {
    const nowSeconds = Math.round(Date.now() / 1000);
    const alive = [...this.node.peer.membership.all()].map((
      { peerId, address, voucher, lastHeardMs },
    ) => ({
      peerId,
      ...address,
      lastSeen: nowSeconds - Math.round((performance.now() - lastHeardMs) / 1000),
      local: voucher !== "remote",
    }));
    const names = new Set(alive.map(({ peerId }) => peerId));
    const before = await this.store.snapshots.loadPeers(nowSeconds);
    const all = [...alive, ...before.filter(({ peerId }) => !names.has(peerId))];
    await this.store.snapshots.savePeers(all.slice(0, this.options.limits.maxPeers));
  }

  *#metadata(): Iterable<MetadataEntry> {
    const { catalogue } = this.node.peer;
    const nowMs = performance.now();
    // A copy of the ids: the catalogue changes while a long snapshot is written.
    for (const entry of [...catalogue.all()]) {
      const { file, held, holders, pushed } = entry;
      const placement = held ? this.store.placementOf(file.fileId) : undefined;
      const sinceMs = catalogue.holderlessSince(file.fileId);
      yield {
        file,
        held,
        peers: [
          ...(held ? [this.options.peerId] : []),
          ...(holders.size > 0 ? holders : entry.away),
        ],
        knownSince: Math.round((Date.now() - (nowMs - entry.sinceMs)) / 1000),
        ...(placement ? { placement } : {}),
        ...(pushed ? { pushed } : {}),
        ...(catalogue.unwanted.has(file.fileId) ? { unwanted: true } : {}),
        ...(sinceMs === undefined ? {} : {
          holderlessSince: Math.round((Date.now() - (nowMs - sinceMs)) / 1000),
        }),
      };
    }
  }

  #repeat(everyMs: number, act: () => Promise<void>): void {
    this.#timers.repeat(everyMs, () => this.#keepUp(act()).catch((error) => this.#trouble(error)));
  }

  /** What keeps failing is told once, not at each scan. */
  #trouble(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    if (this.#troubles.has(text) || this.#troubles.size > 1_000) return;
    this.#troubles.add(text);
    this.options.onEvent({ name: "trouble", text });
    this.#timers.after(60_000, () => this.#troubles.delete(text));
  }
}

async function rejoinable(store: Store): Promise<{ address: Address; voucher: Voucher }[]> {
  const peers = await store.snapshots.loadPeers(Date.now() / 1000);
  return peers
    .filter(({ host, local }) => local || !isLoopbackHost(host))
    .map(({ host, port, local }) => ({
      address: { host: canonicalHost(host), port },
      voucher: local ? "local" : "remote",
    }));
}

/** What a promise resolves to, or undefined when that takes longer. */
export async function within<T>(timeoutMs: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((go) => {
    timer = setTimeout(() => go(undefined), Math.max(0, timeoutMs));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
