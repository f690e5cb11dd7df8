// A running peer: store, node, upkeep, and what people can ask of it. Prints nothing.
// Invariants: no list is sent before the folder was scanned; a stop takes seconds, whatever hangs.

import {
  type Address,
  canonicalHost,
  isLoopbackHost,
  type Voucher,
} from "../protocol/wire/address.ts";
import type { sendFile } from "../net/exchange.ts";
import type { Limits } from "../protocol/limits.ts";
import type { NodeEvent } from "../protocol/effects.ts";
import { Node } from "../node/node.ts";
import type { Transfer } from "../node/transfer_log.ts";
import { Store } from "../storage/store.ts";
import type { FolderWatcher } from "./folder_watch.ts";
import { Operations } from "./operations.ts";
import { Saving } from "./saving.ts";
import { Timers } from "./timers.ts";
import { Troubles } from "./troubles.ts";
import { Upkeep } from "./upkeep.ts";

/** Maximum time for a stop in all, and how much of it transfers may use to finish, in milliseconds. */
const STOP_MS = 4_500;
const STOP_NODE_MS = 2_500;
/** Maximum time the last save waits for upkeep that is under way, in milliseconds. */
const STOP_WORK_MS = 500;

export interface ServiceOptions {
  readonly peerId: string;
  /** Host to advertise. */
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
  /** Called when a transfer ends, whatever the outcome. */
  readonly onMoved?: (transfer: Transfer) => void;
}

/** A peer that runs. */
export class Service {
  /** Number of files that changed right before the start. They are taken once they stop changing. */
  settling = 0;
  /** What people can ask of this peer. */
  readonly operations: Operations;
  readonly #timers = new Timers();
  readonly #troubles: Troubles;
  readonly #saving: Saving;
  readonly #upkeep: Upkeep;
  #isStopped = false;

  private constructor(
    readonly options: ServiceOptions,
    readonly store: Store,
    readonly node: Node,
  ) {
    const timers = this.#timers;
    const { peerId, limits: { maxPeers, pushQuotaBytes }, onEvent, watchFolder } = options;
    this.operations = new Operations(peerId, store, node);
    const troubles = this.#troubles = new Troubles(timers, onEvent);
    const saving = this.#saving = new Saving({ peerId, maxPeers, store, node, timers, troubles });
    this.#upkeep = new Upkeep({
      store,
      node,
      timers,
      saving,
      troubles,
      pushQuotaBytes,
      isTaken: (fileId) => this.operations.isTaken(fileId),
      onEvent,
      watchFolder,
    });
  }

  /**
   * Opens the store, takes the port, and scans the folder. `join` continues from there, so no list is sent before it is
   * loaded. Throws `StorageError`, `Deno.errors.AddrInUse` and other errors of listening.
   */
  static async open(options: ServiceOptions): Promise<Service> {
    const { limits } = options;
    const opened: { service?: Service } = {};
    const store = await Store.open({
      dir: options.storageDir,
      owner: options.peerId,
      maxFileBytes: limits.maxFileBytes,
      minFreeBytes: limits.minFreeBytes,
      pushQuotaBytes: limits.pushQuotaBytes,
      durability: options.durability,
      now: Date.now,
      onPurged: () => opened.service?.node.noteOverload("trash-purged"),
    });
    let node: Node | undefined;
    try {
      node = new Node({
        ...options,
        address: { host: options.host, port: options.port },
        node: store.nodeKey,
        rejoin: await rejoinable(store),
        gossipIntervalMs: options.gossipInterval,
        peerTimeoutMs: options.peerTimeout,
        store,
        onSave: () => opened.service?.save(),
      });
      const service = opened.service = new Service(options, store, node);
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
    this.#upkeep.start();
    this.save();
  }

  /**
   * Stops within seconds, whatever hangs. Resolves to whether everything was saved. The folder's watcher is not closed:
   * that may never return, and the end of the process closes it.
   */
  async stop(): Promise<boolean> {
    if (this.#isStopped) return true;
    this.#isStopped = true;
    this.#timers.clear();
    this.#upkeep.stop();
    this.store.stopReading();
    const untilMs = performance.now() + STOP_MS;
    await within(STOP_NODE_MS, this.node.stop());
    const saved = this.#saveLast().then(() => true, (error) => {
      this.#troubles.report(error);
      return false;
    });
    const isSaved = await within(untilMs - performance.now(), saved);
    if (isSaved === undefined) {
      this.#troubles.report("Stopped before everything was saved; the journal has all files");
    }
    this.store.close();
    return isSaved ?? false;
  }

  /** Closes the folder's watcher, which may never return: for a process that lives on after `stop`. */
  release(): void {
    this.#upkeep.release();
  }

  /** What is in progress, by kind, for people who look for leaks. */
  get work(): Readonly<Record<string, number>> {
    return { ...this.node.work, timers: this.#timers.size };
  }

  /** Writes down soon what is known. */
  save(): void {
    if (!this.#isStopped) this.#saving.soon();
  }

  async #saveLast(): Promise<void> {
    await within(STOP_WORK_MS, this.#upkeep.settled());
    await within(STOP_WORK_MS, this.#saving.settled());
    await this.#saving.now();
    await this.store.sync();
    this.store.compactJournal();
  }

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
    const changes = await this.#upkeep.firstLook();
    this.settling = changes.unsettled;
    // A peer that is always killed never gets to shorten its journal when it stops, so do it here.
    await store.tidy();
    const held = [...store.held()].map(({ knownSince, ...content }) => ({
      ...content,
      ...(knownSince === undefined ? {} : { sinceMs: toMonotonic(knownSince) }),
    }));
    node.dispatch({ kind: "held", files: held, how: "loaded" });
    this.#upkeep.noteDamaged(changes);
    node.dispatch({ kind: "unwanted", fileIds: changes.lost });
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

/** Resolves to the value of a promise, or to `undefined` if that takes longer. */
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
