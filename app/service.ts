// A running peer: store, node, upkeep, and what people can ask of it. Prints nothing.
// Invariants: the peer listens at once, whatever is in the folder; until the folder was scanned, its list is marked as
// partial; a stop takes seconds, whatever hangs.

import {
  type Address,
  addressText,
  canonicalHost,
  isLoopbackHost,
  type Voucher,
} from "../protocol/wire/address.ts";
import type { sendFile } from "../net/exchange.ts";
import { addressOf } from "../cli/values.ts";
import { type Limits, MAX_ADDED } from "../protocol/limits.ts";
import { type ReachTrouble, reachTrouble } from "../cli/reach_text.ts";
import type { HeldFile, NodeEvent } from "../protocol/effects.ts";
import { Node } from "../node/node.ts";
import type { Transfer } from "../node/transfer_log.ts";
import type { Progress } from "../storage/changes.ts";
import { Store } from "../storage/store.ts";
import { Turns } from "../storage/turns.ts";
import { AwayPeers } from "./away_peers.ts";
import type { FolderWatcher } from "./folder_watch.ts";
import { LongestBlock } from "./longest_block.ts";
import { Operations } from "./operations.ts";
import { Saving } from "./saving.ts";
import type { LocalNetwork } from "./local_network.ts";
import { LOOK_MS, OwnAddress } from "./own_address.ts";
import { ReachNotice } from "./reach_notice.ts";
import { Timers } from "./timers.ts";
import { Troubles } from "./troubles.ts";
import { Upkeep } from "./upkeep.ts";

/** Maximum time for a stop in all, and how much of it transfers may use to finish, in milliseconds. */
const STOP_MS = 4_500;
const STOP_NODE_MS = 2_500;
/** Maximum time the last save waits for upkeep that is under way, in milliseconds. */
const STOP_WORK_MS = 500;
/** Maximum time a stop waits for what is still being loaded, so that it can be saved, in milliseconds. */
const STOP_LOAD_MS = 200;
/** Maximum time for flushing the content of files at the end, in milliseconds. Without it, a crash has them read again. */
const STOP_SYNC_MS = 200;
/**
 * How long messages wait for the journal, and gossip for the first scan of the folder, in milliseconds: most folders are
 * scanned by then, so that pushes need not be refused, and peers need not be sent a partial list.
 */
const LISTABLE_MS = 500;
/** Maximum delay before the first snapshot, in milliseconds: most folders are scanned by then, so one is enough. */
const FIRST_SAVE_MS = 30_000;
/** Number of files handed to the core at once: about 5 ms. */
const PART_FILES = 500;
/** Maximum number of files for a last snapshot at the end: a stop takes a second, and a thousand files take 10 ms. */
const QUICK_SAVE_FILES = 10_000;

export interface ServiceOptions {
  readonly peerId: string;
  /** Host to advertise. */
  readonly host: string;
  /** Whether this machine chose it, and may choose another one. */
  readonly isHostFound?: boolean;
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
  /** Whether connections are passed on between peers that cannot connect to each other; undefined means that they are. */
  readonly isRelay?: boolean;
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
  /** Resolves when the held files are known. Rejects with `StorageError` if they cannot be read. */
  readonly loaded: Promise<void>;
  /** Resolves when the folder was scanned for the first time. Rejects if that is impossible. */
  readonly indexed: Promise<void>;
  readonly #loading = Promise.withResolvers<void>();
  readonly #indexing = Promise.withResolvers<void>();
  /** Resolves when everything that the store remembers is loaded. */
  readonly #known = Promise.withResolvers<void>();
  #isKnown = false;
  #isIndexed = false;
  /** Resolves when the folder was scanned, and the first peers have sent their lists or none answers. */
  readonly ready: Promise<void>;
  /** What people can ask of this peer. */
  readonly operations: Operations;
  readonly #timers = new Timers();
  readonly #troubles: Troubles;
  readonly #saving: Saving;
  readonly #upkeep: Upkeep;
  readonly #longestBlock = new LongestBlock();
  readonly #ownAddress: OwnAddress;
  readonly #reachNotice: ReachNotice;
  /** Peers that left. */
  readonly away = new AwayPeers();
  #localNetwork: LocalNetwork | undefined;
  /** The peers that people have added in this run, and by which address. */
  readonly #added = new Map<string, string>();
  #isJoined = false;
  /** Whether what the store remembers may still be read. */
  #isReading = true;
  #isStopped = false;

  private constructor(
    readonly options: ServiceOptions,
    readonly store: Store,
    readonly node: Node,
    joined: Promise<void>,
  ) {
    const timers = this.#timers;
    const { peerId, limits: { maxPeers, pushQuotaBytes }, onEvent, watchFolder } = options;
    this.loaded = this.#loading.promise;
    this.indexed = this.#indexing.promise;
    this.ready = Promise.all([this.indexed, joined]).then(() => {});
    for (const each of [this.loaded, this.indexed, this.#known.promise, this.ready]) {
      each.catch(() => {}); // for those who wait
    }
    this.operations = new Operations(peerId, store, node, this.loaded, this.indexed);
    const troubles = this.#troubles = new Troubles(timers, onEvent);
    const added = this.#added;
    const saving = this.#saving = new Saving({
      ...{ peerId, maxPeers, store, node, timers, troubles, added },
    });
    this.#ownAddress = new OwnAddress({
      isChosen: options.isHostFound !== true,
      listenHost: options.listenHost,
      host: () => node.address.host,
      bootstraps: options.bootstraps,
      onChange: (host, ips, also) => {
        node.dispatch({ kind: "own-address", host, ips, also });
        this.#localNetwork?.update();
      },
    });
    this.#reachNotice = new ReachNotice({ timers, trouble: () => this.reach, onEvent });
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
      onFirstScan: () => this.#onIndexed(),
    });
  }

  /**
   * Opens the store and takes the port, whatever is in the folder. `join` continues from there. Throws `StorageError`,
   * `Deno.errors.AddrInUse` and other errors of listening.
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
    const joined = Promise.withResolvers<void>();
    try {
      node = new Node({
        ...options,
        bootstraps: [...options.bootstraps, ...await addedIn(store, options.bootstraps)],
        address: { host: options.host, port: options.port },
        node: store.nodeKey,
        rejoin: await rejoinable(store),
        gossipIntervalMs: options.gossipInterval,
        peerTimeoutMs: options.peerTimeout,
        store,
        onSave: () => opened.service?.save(),
        onEvent: (event) => {
          if (event.name === "reach-changed") opened.service?.noteReach();
          if (event.name === "connected") {
            opened.service?.noteAdded(event.peerId, addressText(event.address));
          }
          opened.service?.away.note(event);
          if (event.name === "synchronized" || event.name === "alone") joined.resolve();
          options.onEvent(event);
        },
      });
      return opened.service = new Service(options, store, node, joined.promise);
    } catch (error) {
      await node?.stop(); // the port is free again
      store.close();
      throw error;
    }
  }

  /** Remembers a peer that somebody added. */
  noteAdded(peerId: string, address: string): void {
    this.#added.set(peerId, address);
    this.save();
  }

  /** Looks for peers on the local network from now on. */
  async discover(httpPort: number): Promise<void> {
    // Loaded only where it is wanted.
    const { LocalNetwork } = await import("./local_network.ts");
    if (this.#isStopped) return;
    this.#localNetwork = new LocalNetwork({
      peerId: this.options.peerId,
      nodeKey: this.store.nodeKey,
      node: this.node,
      httpPort,
      onTrouble: (text) => this.options.onEvent({ name: "passed-over", text }),
    });
    this.#localNetwork.update();
  }

  /** Serves, joins the network, and reads what is in the folder in the background. */
  join(): void {
    this.#isJoined = true;
    this.#ownAddress.start();
    this.#longestBlock.start();
    this.#timers.repeat(LOOK_MS, () => this.#ownAddress.look());
    const soon = (promise: Promise<void>) => within(LISTABLE_MS, promise).then(() => {}, () => {});
    const { loaded, indexed } = this;
    this.node.dispatch({ kind: "loading" });
    this.node.start({ served: soon(loaded), loaded, listable: soon(indexed) });
    this.#load().catch((error) => {
      for (const waiting of [this.#loading, this.#indexing, this.#known]) waiting.reject(error);
      if (!this.#isStopped) this.#troubles.report(error);
    });
  }

  /** How long other work had to wait at most while the store was loaded and its folder indexed, in milliseconds. */
  get longestBlockMs(): number {
    return this.#longestBlock.ms;
  }

  /** Why others cannot connect to this peer, and what helps; `undefined` if nobody says so. */
  get reach(): ReachTrouble | undefined {
    const { address, own, reports, via } = this.node.peer;
    const isChosen = this.options.isHostFound !== true;
    return reachTrouble({ address, isChosen, ownIps: own.ips, reports, through: via });
  }

  /** Notes that what others say about connections to this peer has changed. */
  noteReach(): void {
    this.#reachNotice.changed();
  }

  /** How far the first scan of the folder is; undefined once it is done. */
  get indexing(): Progress | undefined {
    return this.#isIndexed ? undefined : this.store.progress;
  }

  /**
   * Stops within seconds, whatever hangs. Resolves to whether everything was saved. The folder's watcher is not closed:
   * that may never return, and the end of the process closes it.
   */
  async stop(): Promise<boolean> {
    if (this.#isStopped) return true;
    this.#isStopped = true;
    this.#timers.clear();
    this.#longestBlock.stop();
    this.#upkeep.stop();
    const untilMs = performance.now() + STOP_MS;
    if (this.#isJoined) await within(STOP_LOAD_MS, this.#known.promise.catch(() => {}));
    this.#isReading = false;
    this.store.stopReading();
    for (const waiting of [this.#loading, this.#indexing, this.#known]) {
      waiting.reject(new Error("This peer is stopping"));
    }
    const goodbye = this.#localNetwork?.stop();
    await within(STOP_NODE_MS, this.node.stop());
    await goodbye;
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
    // The journal has every file that is held. A large snapshot is at most a minute old, and writing it takes seconds.
    if (this.#isKnown && this.node.peer.catalogue.size <= QUICK_SAVE_FILES) {
      await this.#saving.now();
      await this.store.compactJournal();
    } else if (this.#isKnown) await this.#saving.savePeers();
    await this.store.flush();
    await within(STOP_SYNC_MS, this.store.sync());
  }

  /** Loads the journal, then everything else that is known, then begins the upkeep with the first scan. */
  async #load(): Promise<void> {
    const { store, node } = this;
    const nowMs = performance.now();
    const toMonotonic = (unixSeconds: number) =>
      Math.round(nowMs - Math.max(0, Date.now() - unixSeconds * 1000));
    await this.#loadHeld(toMonotonic);
    this.#loading.resolve();
    const orNow = (unixSeconds: number | undefined) =>
      unixSeconds === undefined ? undefined : toMonotonic(unixSeconds);
    for await (const entries of store.known()) {
      const turns = new Turns();
      for (let at = 0; at < entries.length; at += PART_FILES) {
        if (!this.#isReading) return;
        node.dispatch({
          kind: "load",
          deleted: [],
          unwanted: [],
          files: entries.slice(at, at + PART_FILES).map((entry) => ({
            file: entry.file,
            away: entry.peers.filter((peerId) => peerId !== this.options.peerId),
            sinceMs: orNow(entry.knownSince),
            holderlessSinceMs: orNow(entry.holderlessSince),
            isUnwanted: entry.unwanted === true,
          })),
        });
        if (turns.isOver) await turns.next();
      }
    }
    if (!this.#isReading) return;
    node.dispatch({ kind: "complete", what: "known" });
    this.#isKnown = true;
    this.#known.resolve();
    if (this.#isStopped) return;
    this.#upkeep.start();
    await within(FIRST_SAVE_MS, this.indexed);
    if (!this.#isStopped) this.#saving.begin();
  }

  async #loadHeld(toMonotonic: (unixSeconds: number) => number): Promise<void> {
    const { store, node } = this;
    const { removed } = await store.load();
    const deleted = [...await store.snapshots.loadDeleted()];
    const unwanted: string[] = [];
    for (const [fileId, { why, unixSeconds }] of removed) {
      if (why === "unwanted") unwanted.push(fileId);
      else deleted.push([fileId, unixSeconds]);
    }
    node.dispatch({
      kind: "load",
      deleted: deleted.map(([fileId, seconds]) => [fileId, toMonotonic(seconds)] as const),
      unwanted,
      files: [],
    });
    const turns = new Turns();
    let part: HeldFile[] = [];
    const hand = () => {
      node.dispatch({ kind: "held", files: part, how: "loaded" });
      part = [];
    };
    const isDeleted = new Set(deleted.map(([fileId]) => fileId));
    for (const { knownSince, ...content } of store.held()) {
      const { fileId } = content.file;
      // Restored since that was written down, unless somebody put an older journal there.
      if (isDeleted.has(fileId) && !isInPlace(store, fileId)) continue;
      const since = knownSince === undefined ? {} : { sinceMs: toMonotonic(knownSince) };
      part.push({ ...content, ...since });
      if (part.length < PART_FILES) continue;
      hand();
      if (turns.isOver) await turns.next();
    }
    hand();
  }

  #onIndexed(): void {
    if (this.#isIndexed) return;
    this.#isIndexed = true;
    this.#longestBlock.stop();
    const { totalFiles: files, totalBytes: bytes } = this.store.progress;
    const seconds = (performance.now() - this.node.startedMs) / 1000;
    this.options.onEvent({
      name: "indexed",
      files,
      bytes,
      seconds,
      longestBlockMs: this.longestBlockMs,
    });
    this.node.dispatch({ kind: "complete", what: "folder" });
    this.#indexing.resolve();
  }
}

/** Returns whether a file is where the journal says. */
function isInPlace(store: Store, fileId: string): boolean {
  const reader = store.reader(fileId);
  reader?.close();
  return reader !== undefined;
}

/** Resolves to the addresses that people added in earlier runs, at most `MAX_ADDED`. */
async function addedIn(store: Store, configured: readonly Address[]): Promise<Address[]> {
  const known = new Set(configured.map(addressText));
  const peers = await store.snapshots.loadPeers(Date.now() / 1000);
  const texts = peers.flatMap(({ added }) =>
    added === undefined || known.has(added) ? [] : [added]
  );
  return [...new Set(texts)].slice(0, MAX_ADDED).flatMap((text) => {
    try {
      return [addressOf(text)];
    } catch {
      return []; // somebody edited the file
    }
  });
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
