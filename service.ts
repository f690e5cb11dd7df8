// The parts joined into a running peer: store, node and upkeep.
// Owns the timers that look through the folder, save snapshots and sync. Prints nothing.

import { type Address, canonicalHost, isLoopbackHost, type Voucher } from "./protocol/address.ts";
import type { sendFile } from "./protocol/exchange.ts";
import type { Timestamp } from "./protocol/fileid.ts";
import type { Limits } from "./protocol/limits.ts";
import type { FileRecord } from "./protocol/message.ts";
import type { NodeEvent } from "./protocol/effects.ts";
import type { Transfer } from "./moving.ts";
import { Node } from "./node.ts";
import { Requests } from "./requests.ts";
import type { MetadataEntry } from "./storage/metadata.ts";
import { SETTLE_MS } from "./storage/reconcile.ts";
import type { Changes, Knowledge } from "./storage/reconcile.ts";
import type { HeldContent } from "./storage/shelf.ts";
import { Store } from "./storage/store.ts";

/**
 * The folder is looked through this often, or less where that takes long: with the time that a file must
 * stand still, a new one is shared within 2 s also where the system does not tell of changes.
 */
const SCAN_MS = 1_500;
/** Work that repeats gets at most a twentieth of the time. */
const SHARE_OF_TIME = 20;
/** So many names of what is not shared stand in one line. */
const NAMED = 5;
/** metadata.json follows a change within this time. */
const SNAPSHOT_MS = 150;
/** A snapshot that failed is tried again after so long. */
const RETRY_SAVE_MS = 2_000;
const SYNC_MS = 2_000;
const TIDY_MS = 60_000;
/** Files that were found damaged are asked for again this often, once somebody holds them. */
const AWAITED_MS = 3_000;
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
  readonly onEvent: (event: NodeEvent) => void;
  /** A transfer ended, however it did. */
  readonly onMoved?: (transfer: Transfer) => void;
}

export class Service {
  /** Files that changed right before the start: taken when they stand still. */
  settling = 0;
  /** What people ask. */
  readonly requests: Requests;
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #watcher: Deno.FsWatcher | undefined;
  #rescan: (() => void) | undefined;
  #saveTimer: ReturnType<typeof setTimeout> | undefined;
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
    this.requests = new Requests(options.peerId, store, node);
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
    try {
      let service: Service | undefined = undefined;
      const node = new Node({
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
      store.close();
      throw error;
    }
  }

  /** Joins the network and begins the upkeep. */
  join(): void {
    this.node.start();
    this.#watch();
    this.#repeat(SYNC_MS, () => this.store.sync());
    this.#repeat(TIDY_MS, () => this.store.tidy());
    this.#repeat(AWAITED_MS, () => Promise.resolve(this.requests.fetchAwaited()));
    this.#repeat(PEERS_MS, () => this.#savePeers());
    this.#scanLater(SCAN_MS);
    this.save();
  }

  /** Stops within seconds; resolves with whether everything known is saved. */
  async stop(): Promise<boolean> {
    if (this.#stopped) return true;
    this.#stopped = true;
    let isSaved = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#watcher?.close();
    await this.node.stop();
    try {
      await this.#saving;
      await this.#snapshot();
      await this.store.sync();
      this.store.compactJournal();
    } catch (error) {
      this.#trouble(error);
      isSaved = false;
    }
    this.store.close();
    return isSaved;
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
    this.#saveTimer = this.#after(waitMs, () => {
      this.#saveTimer = undefined;
      this.#saving = this.#snapshot()
        .catch((error) => {
          this.#trouble(error);
          this.#after(RETRY_SAVE_MS, () => this.save()); // what was not saved is not forgotten
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
    const { catalogue } = node.peer.state;
    const nowMs = performance.now();
    for (const [fileId, seconds] of await store.snapshots.loadDeleted()) {
      catalogue.tombstones.add(fileId, nowMs - Math.max(0, Date.now() - seconds * 1000));
    }
    for (const [fileId, { why, unixSeconds }] of store.loaded.removed) {
      if (why === "unwanted") catalogue.unwanted.add(fileId);
      else catalogue.tombstones.add(fileId, nowMs - Math.max(0, Date.now() - unixSeconds * 1000));
    }
    for (const { file, holderlessSince, unwanted } of store.loaded.entries) {
      catalogue.learn(file, nowMs);
      if (unwanted) catalogue.unwanted.add(file.fileId);
      if (holderlessSince !== undefined) {
        catalogue.restoreHolderless(
          file.fileId,
          nowMs - Math.max(0, Date.now() - holderlessSince * 1000),
        );
      }
    }
    const changes = await store.scan(this.#knowledge(), true);
    this.settling = changes.unsettled;
    this.#noteOthers(changes);
    // A peer that is killed again and again never stops in peace: its journal is shortened here.
    await store.tidy();
    node.dispatch({ kind: "held", files: [...store.held()], how: "loaded" });
  }

  #knowledge(): Knowledge {
    const { catalogue } = this.node.peer.state;
    const unheld = function* (): Iterable<{ file: FileRecord; otherTimestamps: Timestamp[] }> {
      for (const entry of catalogue.all()) if (!entry.held) yield entry;
    };
    return { unheld, isTaken: (fileId) => this.requests.isTaken(fileId) };
  }

  async #scan(): Promise<void> {
    const beganMs = performance.now();
    let soon = false;
    try {
      const changes = await this.store.scan(this.#knowledge());
      if (this.#stopped) return;
      const { found, published, lost, unsettled, isRemade } = changes;
      if (isRemade) {
        const text =
          `${this.store.layout.dir} was removed; it is made anew, without what was in it`;
        this.#trouble(new Error(text));
      }
      if (lost.length > 0) this.node.dispatch({ kind: "lost", fileIds: lost });
      const held = (files: Changes["found"]): HeldContent[] =>
        files.map(({ file, placement, pushed }) => ({
          file,
          sizeBytes: placement.sizeBytes,
          pushed,
        }));
      if (found.length > 0) this.node.dispatch({ kind: "held", files: held(found), how: "found" });
      if (published.length > 0) {
        this.node.dispatch({ kind: "held", files: held(published), how: "published" });
      }
      this.#noteOthers(changes);
      soon = unsettled > 0;
    } catch (error) {
      this.#trouble(error);
    }
    const tookMs = performance.now() - beganMs;
    this.#scanLater(soon ? SETTLE_MS : Math.max(SCAN_MS, SHARE_OF_TIME * tookMs));
  }

  #scanLater(delayMs: number): void {
    if (this.#stopped) return;
    const timer = this.#after(delayMs, () => {
      this.#rescan = undefined;
      this.#scan();
    });
    this.#rescan = () => {
      clearTimeout(timer);
      this.#timers.delete(timer);
      this.#scanLater(SETTLE_MS / 4);
    };
  }

  /** The system tells of changes at once, but not on every file system: the scan stays. */
  async #watch(): Promise<void> {
    try {
      this.#watcher = Deno.watchFs(this.store.layout.dir, { recursive: false });
      for await (const { kind, paths } of this.#watcher) {
        if (kind === "access") continue;
        if (paths.every((path) => /\/(\.|metadata\.json)[^/]*$/.test(path))) continue;
        const rescan = this.#rescan;
        this.#rescan = undefined;
        rescan?.();
      }
    } catch {
      // No watching on this system: the scan finds everything, a little later.
    }
  }

  /** Says what lies in the folder and is not shared, and why. */
  #noteOthers({ unreadable, passedOver }: Changes): void {
    for (const { name, text } of unreadable) {
      this.#trouble(new Error(`${name} is not shared: ${text}`));
    }
    if (passedOver.length === 0) return;
    const named = passedOver.slice(0, NAMED).map(({ name, what }) => `${name} (${what})`);
    const rest = passedOver.length - named.length;
    if (rest > 0) named.push(`${rest} more`);
    const text = `Not shared: ${named.join(", ")}; only plain files directly in the folder are`;
    this.options.onEvent({ name: "passed-over", text });
  }

  async #snapshot(): Promise<void> {
    this.#dirty = false;
    const beganMs = performance.now();
    const { snapshots } = this.store;
    const { catalogue } = this.node.peer.state;
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
    const alive = [...this.node.peer.state.membership.all()].map((
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
    const { catalogue } = this.node.peer.state;
    const nowMs = performance.now();
    // A copy of the ids: the catalogue changes while a long snapshot is written.
    for (const entry of [...catalogue.all()]) {
      const { file, held, holders, pushed } = entry;
      const placement = held ? this.store.placementOf(file.fileId) : undefined;
      const sinceMs = catalogue.holderlessSince(file.fileId);
      yield {
        file,
        held,
        peers: held ? [this.options.peerId, ...holders] : [...holders],
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
    this.#after(everyMs, async () => {
      try {
        await act();
      } catch (error) {
        this.#trouble(error);
      }
      if (!this.#stopped) this.#repeat(everyMs, act);
    });
  }

  #after(delayMs: number, act: () => void): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, delayMs);
    this.#timers.add(timer);
    return timer;
  }

  /** What keeps failing is told once, not at each scan. */
  #trouble(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    if (this.#troubles.has(text) || this.#troubles.size > 1_000) return;
    this.#troubles.add(text);
    this.options.onEvent({ name: "trouble", text });
    this.#after(60_000, () => this.#troubles.delete(text));
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
