// The event loop: inputs -> peer.handle -> effects. The state machine has one owner, so there are no locks:
// sockets, disk, timers and people only submit inputs, and the resulting effects are carried out here.
// This file may read the clock and wait; it makes no decisions.

import type { Address, Voucher } from "../protocol/wire/address.ts";
import { addressText, canonicalHost } from "../protocol/wire/address.ts";
import type {
  Effect,
  HeldFile,
  Input,
  NodeEvent,
  NotFetched,
  Ours,
  PeerEvent,
} from "../protocol/effects.ts";
import { ProtocolError, type Reason } from "../protocol/wire/errors.ts";
import { type Host, isConnectionError, receiveMessages, type sendFile } from "../net/exchange.ts";
import type { Timestamp } from "../protocol/wire/fileid.ts";
import { ANSWERS_MS, type Limits, LINK_SILENCE_MS } from "../protocol/limits.ts";
import { isOverload, type Overload } from "../protocol/overloads.ts";
import { encodeMessage, type FileRecord, type Message } from "../protocol/wire/message.ts";
import { Refusals } from "../protocol/bounds/refusals.ts";
import { Peer } from "../protocol/peer.ts";
import { Dialer, DialError } from "../net/dialer.ts";
import type { Connection } from "../net/connection.ts";
import { Listener } from "../net/listener.ts";
import { Shares } from "../net/shares.ts";
import { Throttle, type Throttles } from "../net/throttle.ts";
import { pack } from "../net/packing.ts";
import { LineEnded, Lines } from "./lines.ts";
import { Routes } from "./routes.ts";
import { type Transfer, TransferLog } from "./transfer_log.ts";
import type { PushIntake } from "./pushes.ts";
import type { TransferStore } from "./transfer_options.ts";
import { Transfers } from "./transfers.ts";

type Serve = Extract<Effect, { kind: "serve" | "serve-part" }>;
type PushVerdict = Extract<Effect, { kind: "push-verdict" }>;

/** Interval between ticks, in milliseconds. Short, so that joining does not wait for a full second. */
const TICK_MS = 250;
/** Names of this machine for itself. */
const LOOPBACK = ["127.0.0.1", "::1", "localhost"];
/** How long the other side may answer a gossip on the same connection, in milliseconds. One implementation does. */
const REPLY_WAIT_MS = 2_000;
/** Maximum number of connections that wait for such answers. */
const MAX_LINGERING = 64;
/** Maximum number of lists that wait until the held files are known: each may take 50 MB. */
const MAX_WAITING_LISTS = 8;
/** Share of `--relay-up` that one peer may use: the others get the rest even while nobody waits for it. (A guess.) */
const RELAY_SHARE = 1 / 2;
/** How long transfers may continue when the peer stops, in milliseconds. Keeps the whole stop below five seconds. */
const STOP_MS = 2_000;

/** What the event loop needs of the store, besides what transfers need. */
export interface NodeStore extends TransferStore {
  /**
   * Moves files to the trash: records all of them before it returns its promise, then moves one after another. Throws
   * with a message for people.
   */
  trashAll(fileIds: readonly string[], why: "deleted" | "unwanted"): Promise<void>;
  /**
   * Holds a file as the content of the held file `twin`. Resolves to `undefined` if that does not verify for its id. Throws
   * with a message for people if it is gone or cannot be read.
   */
  adopt(
    file: FileRecord,
    timestamps: readonly Timestamp[],
    twin: string,
  ): Promise<HeldFile | undefined>;
  /** Handles content that has changed or cannot be read. Returns "gone" if it is no longer held. */
  release(fileId: string): "changed" | "gone";
}

/** How to run a peer. */
export interface NodeOptions {
  /** Name of this peer. */
  readonly peerId: string;
  /** The address to advertise. Port 0 picks a free one. */
  readonly address: Address;
  /** Address to listen on. */
  readonly listenHost: string;
  /** Our own addresses, so that nobody can make us dial ourselves. */
  readonly ownIps: readonly string[];
  /** Our own ports, for the same reason. The P2P port is added to them. */
  readonly ownPorts: readonly number[];
  /** Public key of this peer, base64url. */
  readonly node: string;
  /** Peers to join through. */
  readonly bootstraps: readonly Address[];
  /** Peers of earlier runs, which are dialed too. */
  readonly rejoin: readonly { address: Address; voucher: Voucher }[];
  /** Interval between gossip rounds, in milliseconds. */
  readonly gossipIntervalMs: number;
  /** How long a peer may be silent before it is dropped, in milliseconds. */
  readonly peerTimeoutMs: number;
  /** Number of missing files to download after joining; `Infinity` also downloads those that appear later. */
  readonly autoFetch: number;
  /** Whether connections are passed on to peers that cannot be dialed; undefined means that they are. */
  readonly isRelay?: boolean;
  /** Limits on connections, messages and transfers. */
  readonly limits: Limits;
  /** Where files are kept. */
  readonly store: NodeStore;
  /** How files are sent; the dummy peer replaces it to misbehave. */
  readonly sendFile?: typeof sendFile;
  /** Receives every event, in order. Must not throw. */
  readonly onEvent: (event: NodeEvent) => void;
  /** Called when a transfer has ended, successfully or not. */
  readonly onMoved?: (transfer: Transfer) => void;
  /** Called when the catalogue, the peers or the tombstones have changed. */
  readonly onSave: () => void;
}

/** Counters for people. They only grow. */
export interface Counters {
  /** Messages received, by type. */
  readonly received: Map<string, number>;
  /** Messages sent, by type. */
  readonly sent: Map<string, number>;
  /** Messages that could not be sent, by type. */
  readonly unsent: Map<string, number>;
  /** What was refused, by reason and sender. */
  readonly refused: Refusals;
  /** How often each limit was reached, including refusals because of a limit. */
  readonly overloads: Map<Overload, number>;
}

/** What a start waits for. */
export interface Waits {
  /** Resolves when connections may be read: a moment after the start, or when `loaded` does. Never rejects. */
  readonly served: Promise<void>;
  /** Resolves when it is known which files are here. Only gossip is handled before; pushes are refused. */
  readonly loaded: Promise<void>;
  /** Resolves when our list may be sent. Our own gossip begins after this and `loaded`. Never rejects. */
  readonly listable: Promise<void>;
}

const NOW = Promise.resolve();
const READY: Waits = { served: NOW, loaded: NOW, listable: NOW };

/** Where a file came from. */
export interface Fetched {
  /** The peer that it was fetched from; "" if the content was here. */
  readonly source: string;
  /** Name of another file as which the content was here already. */
  readonly as?: string;
}

/** How the wait for a file ended. */
type FetchOutcome =
  | ({ readonly isHere: true } & Fetched)
  | {
    readonly isHere: false;
    readonly text: string;
    readonly why: NotFetched;
    readonly willRetry: boolean;
  };

/** What happens with a file that was not fetched and stays wanted. */
export const RETRIED = "It will be downloaded once a peer delivers it";

/** Thrown when a file was not fetched. The message says why and, if it stays wanted, what happens next. */
export class FetchError extends Error {
  override readonly name = "FetchError";

  constructor(
    /** Why, without what happens next. */
    readonly what: string,
    /** The kind of failure. */
    readonly why: NotFetched,
    /** The file stays wanted, and another attempt follows. */
    readonly willRetry: boolean,
  ) {
    super(willRetry ? `${what}. ${RETRIED}` : what);
  }
}

/** A running peer: the state machine, its sockets and its transfers. */
export class Node {
  /** The state machine. Read it; change it only through `dispatch`. */
  readonly peer: Peer;
  /** Carries out transfers. */
  readonly transfers: Transfers;
  /** The limits on how fast content moves; they may be changed at any time. */
  readonly throttles: Throttles & { readonly relay: Throttle };
  /** Current and recent transfers. */
  readonly transferLog: TransferLog;
  /** Messages and refusals so far. */
  readonly counters: Counters = {
    received: new Map(),
    sent: new Map(),
    unsent: new Map(),
    refused: new Refusals(),
    overloads: new Map(),
  };
  /** When this peer was created, in monotonic milliseconds. */
  readonly startedMs = performance.now();
  readonly #listener: Listener;
  readonly #dialer: Dialer;
  readonly #inputs: Input[] = [];
  readonly #routes: Routes;
  readonly #lines: Lines;
  readonly #connections = new Map<number, Connection>();
  /** How long each connection that others opened is kept. */
  readonly #held = new Map<number, { readonly as: "answers" | "link"; readonly sinceMs: number }>();
  readonly #work = new Map<number, Promise<void>>();
  readonly #outgoing = new Set<Connection>();
  /** Connections that we opened and receive messages on. */
  readonly #ours = new WeakMap<Connection, Ours>();
  #verdict: PushVerdict | undefined;
  readonly #jobs = new Set<Promise<void>>();
  /** For each file that somebody waits for, how its download ends. Shared by all who wait. */
  /** Who waits for peers that were added, by their addresses. */
  readonly #connecting = new Map<
    string,
    PromiseWithResolvers<{ readonly peerId: string } | string>
  >();
  readonly #waiters = new Map<string, PromiseWithResolvers<FetchOutcome>>();
  /** Another peer that uses our name, and when that was last reported, in monotonic milliseconds. */
  nameTaken: { readonly other: Address; readonly heardMs: number } | undefined;
  /** Called with the catalogue's changed entries while the state machine reports them (input `watch`). */
  onChanged: ((fileIds: Extract<Effect, { kind: "changed" }>["fileIds"]) => void) | undefined;
  /** What messages wait for after the start; undefined afterwards. */
  #waits: Waits | undefined;
  /** Whether it is known which files are here. */
  #isLoaded = false;
  /** Number of lists that wait. */
  #waitingLists = 0;
  #draining = false;
  #lingering = 0;
  #serial = 0;
  #ticker: ReturnType<typeof setInterval> | undefined;
  #stopping = false;
  readonly #closed = Promise.withResolvers<void>();

  /**
   * Takes the port. Connections are served from `start` on. Throws `Deno.errors.AddrInUse` and other errors of
   * listening.
   */
  constructor(readonly options: NodeOptions) {
    const { limits } = options;
    this.throttles = {
      down: new Throttle(limits.maxDownBytesPerSecond),
      up: new Throttle(limits.maxUpBytesPerSecond),
      relay: new Throttle(limits.maxRelayBytesPerSecond),
    };
    this.#listener = new Listener({
      hostname: options.listenHost,
      port: options.address.port,
      limits,
      isKnown: (ip) => this.peer.membership.knowsMachine(ip),
      serve: (connection) => this.#serveConnection(connection),
      onRefused: (ip) => {
        const text = "Opened more connections than can be served or queued; one was closed";
        this.#noteRefused(ip, "too-many-connections", text);
      },
      throttles: this.throttles,
      onShort: () => this.transfers.relieve(),
      onDropped: () => this.noteOverload("connections-dropped"),
    });
    const address = { host: options.address.host, port: this.#listener.port };
    const own = { ips: options.ownIps, ports: [...options.ownPorts, address.port] };
    this.#dialer = new Dialer(
      limits,
      () => this.peer.own,
      () => this.noteOverload("dials-refused"),
      () => this.transfers.relieve(),
      this.throttles,
    );
    this.peer = new Peer({
      ...options,
      address,
      own,
      boot: crypto.randomUUID().slice(0, 18),
      random: () => crypto.getRandomValues(new Uint32Array(1))[0]! / 2 ** 32,
      pack,
    });
    this.#lines = new Lines(limits.messageTimeoutMs);
    this.#routes = new Routes({
      dialer: this.#dialer,
      waysTo: (peerId) => this.peer.waysTo(peerId),
      mayDialAlso: (peerId, ip, sizeBytes) => this.peer.mayDialAlso(peerId, ip, sizeBytes),
      isReached: (peerId, to) => this.peer.isReached(peerId, to),
      say: (connection, bytes) => this.#lines.say(connection, bytes),
      serve: (connection) => {
        this.#ours.set(connection, "called");
        this.#listener.take(connection);
      },
      onMoved: (connection, bytes) => this.#listener.moved(connection, bytes),
      shares: new Shares(this.throttles.relay, RELAY_SHARE),
      limits,
      ext: () => this.peer.ext,
      dispatch: (input) => this.dispatch(input),
    });
    this.transferLog = new TransferLog(() => performance.now(), options.onMoved);
    this.transfers = new Transfers({
      peerId: options.peerId,
      store: options.store,
      routes: this.#routes,
      limits,
      ext: () => this.peer.ext,
      dispatch: (input) => this.dispatch(input),
      pushedBytes: () => this.peer.catalogue.pushedBytes,
      downLimit: () => this.throttles.down.bytesPerSecond,
      transferLog: this.transferLog,
      sendFile: options.sendFile,
      onSent: (what, to, isFurther) => {
        if (isFurther) count(this.counters.sent, what); // nobody reads a line for each
        else this.#sent({ what, to });
      },
    });
  }

  /** The advertised address, with the port that is listened on. */
  get address(): Address {
    return this.peer.address;
  }

  /** Work in progress, counted by kind. */
  get work(): Readonly<Record<string, number>> {
    return {
      inbound: this.#listener.connections,
      outbound: this.#outgoing.size,
      jobs: this.#jobs.size,
      transfers: this.transferLog.running.length,
      downloads: this.peer.pendingDownloads,
      waiters: this.#waiters.size,
      links: this.peer.keptConnections.own + this.peer.keptConnections.theirs,
      relays: this.peer.keptConnections.relayed,
    };
  }

  /** Starts serving. What has to wait for the store, waits as `waits` says. */
  start(waits: Waits = READY): void {
    this.#waits = waits;
    this.#listener.begin();
    this.#ticker = setInterval(() => this.dispatch({ kind: "tick" }), TICK_MS);
    waits.loaded.then(() => this.#isLoaded = true, () => {}); // the caller handles it, and stops this peer
    const begin = () => {
      this.#waits = undefined;
      if (!this.#stopping) this.dispatch({ kind: "start" });
    };
    Promise.all([waits.loaded, waits.listable]).then(begin, () => {});
  }

  /** Handles an input. Inputs are handled one at a time; those caused by an effect wait for their turn. */
  dispatch(input: Input): void {
    this.#inputs.push(input);
    if (this.#draining) return;
    this.#draining = true;
    try {
      for (let next = this.#inputs.shift(); next; next = this.#inputs.shift()) {
        for (const effect of this.peer.handle(next, performance.now())) this.#perform(effect);
      }
    } finally {
      this.#draining = false;
    }
  }

  /** Returns whether this peer listens at an address, judging by its text. */
  isOwn(address: Address): boolean {
    const { own: { ips }, address: { host, port } } = this.peer;
    const at = canonicalHost(address.host);
    return address.port === port && [canonicalHost(host), ...LOOPBACK, ...ips].includes(at);
  }

  /**
   * Joins through one more peer. Resolves to its name once it has answered, or to why it does not, as a sentence that begins with
   * the address. It stays among those to join through either way.
   */
  async connect(address: Address): Promise<{ readonly peerId: string } | string> {
    const key = anySpelling(address);
    const waiter = this.#connecting.get(key) ??
      Promise.withResolvers<{ readonly peerId: string } | string>();
    this.#connecting.set(key, waiter);
    this.dispatch({ kind: "connect", address });
    return await waiter.promise;
  }

  /**
   * Fetches a file. Resolves to the peer that it came from, or to "" if it was already here. Rejects with
   * `FetchError` if no peer delivers it, and when this peer stops.
   */
  async get(fileId: string): Promise<Fetched> {
    if (this.peer.catalogue.get(fileId)?.held) return { source: "" };
    const waiter = this.#waiters.get(fileId) ?? Promise.withResolvers<FetchOutcome>();
    this.#waiters.set(fileId, waiter);
    this.dispatch({ kind: "want", fileId });
    const outcome = await waiter.promise;
    if (outcome.isHere) return outcome;
    throw new FetchError(outcome.text, outcome.why, outcome.willRetry);
  }

  /** Requests a file without waiting for it. */
  want(fileId: string): void {
    this.dispatch({ kind: "want", fileId });
  }

  /**
   * Cancels a transfer, and with it the download or pushes that it belongs to. Returns false if it can no longer be
   * canceled.
   */
  cancel(id: number): boolean {
    const move = this.transferLog.get(id);
    if (!move?.isCancellable) return false;
    move.cancel();
    if (move.kind === "fetch") this.dispatch({ kind: "cancel", fileId: move.fileId });
    return true;
  }

  /** Counts and reports that a limit of another part of the program was reached. */
  noteOverload(overload: Overload, times = 1): void {
    this.#onEvent({ name: "overload", overload, times });
  }

  /** Stops the peer: accepts no new work, and lets transfers continue for up to `STOP_MS`. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    clearInterval(this.#ticker);
    this.#listener.stop();
    const until = performance.now() + STOP_MS;
    while (this.transferLog.running.length > 0 && performance.now() < until) {
      await new Promise((go) => setTimeout(go, 50));
    }
    this.#dialer.close();
    this.#routes.close();
    this.#closed.resolve();
    const closed = this.#listener.close();
    for (const connection of [...this.#connections.values(), ...this.#outgoing]) connection.close();
    this.transfers.close();
    await Promise.allSettled(this.#jobs);
    await closed;
    this.transfers.close();
    for (const { resolve } of this.#connecting.values()) resolve("This peer is stopping");
    for (const { resolve } of this.#waiters.values()) {
      resolve({ isHere: false, text: "This peer is stopping", why: "canceled", willRetry: false });
    }
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case "send":
        return this.#job(this.#send(effect));
      case "hold":
        return this.#hold(effect);
      case "say":
        return this.#job(this.#quietly(this.#say(effect)));
      case "hang-up":
        return this.#hangUp(effect.connection);
      case "link":
        return this.#job(this.#link(effect));
      case "probe":
        return this.#job(this.#routes.probe(effect));
      case "call-back":
        return this.#job(this.#routes.callBack(effect));
      case "relay":
        return this.#relay(effect);
      case "answer-absent":
        return this.#onConnection(effect.connection, async (connection) => {
          await connection.write(effect.bytes, this.options.limits.idleTimeoutMs);
          await connection.closeWrite();
        });
      case "serve":
      case "serve-part":
      case "serve-batch":
        return this.#serveInTurn(effect);
      case "fetch":
        return this.#job(this.transfers.fetching.fetch(effect));
      case "fetch-also":
        return this.transfers.fetching.also(effect);
      case "fetch-batch":
        return this.#job(this.transfers.batches.fetch(effect));
      case "adopt":
        return this.#job(this.#adopt(effect));
      case "stop-fetch":
        return this.transfers.stopFetch(effect.attempt, effect.text);
      case "replicate":
        return this.#job(this.transfers.sending.replicate(effect));
      case "push-verdict":
        this.#verdict = effect;
        return;
      case "keep":
        return this.#job(this.transfers.receipts.keep(effect));
      case "drop":
        return this.transfers.receipts.drop(effect.receipt);
      case "trash":
        return this.#job(this.#trash(effect));
      case "save":
        return this.options.onSave();
      case "changed":
        return this.onChanged?.(effect.fileIds);
      case "event":
        return this.#onEvent(effect.event);
      default:
        effect satisfies never;
    }
  }

  #onEvent(event: PeerEvent): void {
    if (event.name === "refused") {
      const { who, reason, times } = event;
      this.counters.refused.note(who, reason, times);
      if (isOverload(reason)) count(this.counters.overloads, reason, times);
    }
    if (event.name === "overload") count(this.counters.overloads, event.overload, event.times);
    if (event.name === "name-taken") {
      this.nameTaken = { other: event.other, heardMs: performance.now() };
    }
    if (event.name === "downloaded" || event.name === "held") {
      const source = event.name === "downloaded" ? event.source : event.file.owner;
      this.#tellWaiters(event.file.fileId, { isHere: true, source });
    }
    if (event.name === "adopted") {
      this.#tellWaiters(event.file.fileId, { isHere: true, source: "", as: event.as.name });
    }
    if (event.name === "many-held") {
      for (const fileId of [...this.#waiters.keys()]) {
        const entry = this.peer.catalogue.get(fileId);
        const source = event.source ?? entry?.file.owner ?? "";
        if (entry?.held) this.#tellWaiters(fileId, { isHere: true, source });
      }
    }
    if (event.name === "connected" || event.name === "not-connected") {
      const key = anySpelling(event.address);
      this.#connecting.get(key)?.resolve(event.name === "connected" ? event : event.text);
      this.#connecting.delete(key);
    }
    if (event.name === "download-failed") {
      this.transferLog.neverBegan(event.fileId, event.fileName, event.text);
      this.#tellWaiters(event.fileId, { isHere: false, ...event });
    }
    this.options.onEvent(event);
  }

  #tellWaiters(fileId: string, outcome: FetchOutcome): void {
    this.#waiters.get(fileId)?.resolve(outcome);
    this.#waiters.delete(fileId);
  }

  async #adopt({ file, timestamps, twin, attempt }: Extract<Effect, { kind: "adopt" }>) {
    const { fileId } = file;
    try {
      const held = await this.options.store.adopt(file, timestamps, twin);
      const adopted = { twin, attempt };
      if (held) this.dispatch({ kind: "held", files: [held], how: "adopted", adopted });
      else this.dispatch({ kind: "not-adopted", fileId, attempt, isWrong: true });
    } catch (error) {
      if (!this.#stopping) this.options.onEvent({ name: "trouble", text: messageOf(error) });
      this.dispatch({ kind: "not-adopted", fileId, attempt, isWrong: false });
    }
  }

  async #trash({ fileIds, why }: Extract<Effect, { kind: "trash" }>): Promise<void> {
    try {
      await this.options.store.trashAll(fileIds, why);
    } catch (error) {
      this.options.onEvent({ name: "trouble", text: messageOf(error) });
    }
  }

  // Connections that others open.

  async #serveConnection(connection: Connection): Promise<void> {
    const id = ++this.#serial;
    this.#connections.set(id, connection);
    try {
      if (this.#waits) await Promise.race([this.#waits.served, this.#closed.promise]);
      await receiveMessages(connection, this.#host(connection, id), this.options.limits);
      await this.#whileHeld(id, connection);
    } catch (error) {
      // A bug of ours must not stop the peer; it is reported with its stack trace.
      this.options.onEvent({ name: "trouble", text: stackOf(error) });
    } finally {
      this.#forget(id);
    }
  }

  /** Keeps a connection whose other side has finished for as long as answers may be sent on it. */
  async #whileHeld(id: number, connection: Connection): Promise<void> {
    const held = this.#held.get(id);
    if (held?.as !== "answers" || connection.closed) return;
    const leftMs = held.sinceMs + ANSWERS_MS - performance.now();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((go) => timer = setTimeout(go, leftMs));
    await Promise.race([late, connection.untilClosed()]);
    clearTimeout(timer);
    await this.#lines.hangUp(id);
  }

  /** A connection ended. */
  #forget(id: number): void {
    this.#connections.delete(id);
    this.#work.delete(id);
    this.#lines.remove(id);
    if (this.#held.delete(id)) this.dispatch({ kind: "ended", connection: id });
  }

  #hold({ connection: id, as }: Extract<Effect, { kind: "hold" }>): void {
    const connection = this.#connections.get(id);
    if (!connection) return this.dispatch({ kind: "ended", connection: id });
    this.#held.set(id, { as, sinceMs: performance.now() });
    this.#lines.add(id, connection);
  }

  async #say({ connection, what, bytes }: Extract<Effect, { kind: "say" }>): Promise<void> {
    await this.#lines.say(connection, bytes);
    count(this.counters.sent, what);
  }

  #hangUp(id: number): void {
    if (this.#lines.has(id)) this.#job(this.#lines.hangUp(id));
    else this.#connections.get(id)?.close();
  }

  #relay(effect: Extract<Effect, { kind: "relay" }>): void {
    const connection = this.#connections.get(effect.connection);
    if (!connection) {
      return this.dispatch({ kind: "passed-on", what: "relay", key: effect.key });
    }
    const work = this.#routes.relay(connection, effect);
    this.#work.set(effect.connection, work); // nothing else is read from it
    this.#job(work);
  }

  /** Keeps a connection open to a peer that cannot connect to us, and receives messages on it. */
  async #link(effect: Extract<Effect, { kind: "link" }>): Promise<void> {
    const { peerId, bytes } = effect;
    const { limits } = this.options;
    const id = ++this.#serial;
    let connection: Connection | undefined;
    try {
      connection = await this.#routes.toLink(effect);
      await connection.write(bytes, limits.messageTimeoutMs);
      count(this.counters.sent, "LINK");
    } catch {
      connection?.close();
      return this.dispatch({ kind: "not-linked", peerId });
    }
    this.#connections.set(id, connection);
    this.#held.set(id, { as: "link", sinceMs: performance.now() });
    this.#lines.add(id, connection);
    this.dispatch({ kind: "linked", peerId, connection: id });
    this.#ours.set(connection, "asking");
    try {
      const host = this.#host(connection, id, peerId);
      await receiveMessages(connection, host, limits, LINK_SILENCE_MS);
    } catch (error) {
      this.options.onEvent({ name: "trouble", text: stackOf(error) });
    } finally {
      connection.close();
      this.#forget(id);
    }
  }

  /** Returns the host for one connection. `dialed` is the peer to which we opened it. */
  #host(connection: Connection, id: number, dialed?: string): Host {
    const { ip } = connection;
    const why = this.#ours.get(connection);
    const ours = why ? { ours: why } : {};
    const refuse = ({ reason, message: text }: ProtocolError) =>
      this.dispatch({
        kind: "refused",
        ip,
        reason,
        text,
        ...(dialed === undefined ? {} : { dialed }),
      });
    return {
      onMessage: async (message) => {
        this.#listener.completed(connection);
        count(this.counters.received, message.type);
        if (message.type === "CONNECT" && message.token !== undefined && !why) {
          const taken = this.#routes.arrived(message.token, connection);
          if (taken) return await taken;
        }
        if (this.#waits && !await this.#isReady(message, ip)) return;
        this.dispatch({ kind: "message", message, ip, connection: id, ...ours });
        await this.#work.get(id);
        this.#work.delete(id);
      },
      onRefused: refuse,
      offerPush: (fileId) => {
        // It may be here already, under a name that is not known yet.
        if (!this.#isLoaded) throw new ProtocolError("starting", "This peer is still starting");
        this.dispatch({ kind: "push-offered", ip, connection: id, ...(fileId ? { fileId } : {}) });
        const verdict = this.#verdict!; // offers are answered synchronously
        if (verdict.verdict === "refuse") throw new ProtocolError(verdict.reason, verdict.text);
        if (verdict.verdict === "skip") return "skip";
        this.#listener.moved(connection, 0); // content begins
        return this.transfers.pushes.begin(ip, fileId, (bytes) => {
          this.#listener.moved(connection, bytes);
        }, connection);
      },
      onPush: (intake, file) => {
        this.#listener.completed(connection);
        const message: Message = { type: "FILE_DATA", file, hasContent: true };
        count(this.counters.received, message.type);
        this.dispatch({ kind: "message", message, ip, connection: id, ...ours });
        try {
          this.transfers.pushes.finish(intake as PushIntake, file, this.#otherTimestamps(file), ip);
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          refuse(error);
        }
        return Promise.resolve();
      },
      patienceMs: () => this.#held.get(id)?.as === "link" ? LINK_SILENCE_MS : undefined,
    };
  }

  /** Lets a message wait until it can be handled. Resolves to false if it must be dropped. */
  async #isReady(message: Message, ip: string): Promise<boolean> {
    const { loaded, listable } = this.#waits!;
    const isList = message.type === "GOSSIP_REPLY";
    if (isList && this.#waitingLists >= MAX_WAITING_LISTS) {
      const text = "Sent a list while this peer was starting; it will be requested again";
      this.#noteRefused(ip, "starting", text);
      return false;
    }
    if (isList) this.#waitingLists++;
    const awaited = message.type === "GOSSIP" ? listable : loaded;
    await Promise.race([awaited.catch(() => {}), this.#closed.promise]);
    if (isList) this.#waitingLists--;
    return !this.#stopping;
  }

  #otherTimestamps({ fileId }: FileRecord): Timestamp[] {
    const entry = this.peer.catalogue.get(fileId);
    return entry ? [entry.file.timestamp, ...entry.otherTimestamps] : [];
  }

  #onConnection(id: number, act: (connection: Connection) => Promise<void>): void {
    const connection = this.#connections.get(id);
    if (!connection) return; // it ended in the meantime
    const work = this.#quietly(act(connection));
    this.#work.set(id, work);
    this.#job(work);
  }

  #serveInTurn(serve: Serve | Extract<Effect, { kind: "serve-batch" }>): void {
    const { connection: id, ip } = serve;
    if (!this.#connections.has(id)) {
      this.dispatch({ kind: "served", ip }); // it ended in the meantime
      return;
    }
    const isKept = serve.kind !== "serve" || serve.raw !== undefined;
    this.#onConnection(id, async (connection) => {
      try {
        const send = () =>
          serve.kind === "serve-batch"
            ? this.transfers.sending.serveBatch(connection, serve, (fileId) => this.#gone(fileId))
            : this.#serve(connection, serve);
        if (await this.#listener.inTurn(connection, isKept, send)) return;
        // If the request may not even wait, closing the connection is the only answer.
        this.#refuseToServe(connection);
      } catch (error) {
        // What was sent is incomplete, and only a dropped connection tells the reader so.
        connection.close();
        throw error;
      } finally {
        this.dispatch({ kind: "served", ip });
      }
    });
  }

  /** A file that was to be sent is not as it was. */
  #gone(fileId: string): void {
    // If the file has changed, the next folder scan finds out how.
    if (this.options.store.release(fileId) === "changed") return;
    this.dispatch({ kind: "lost", fileIds: [fileId], why: "removed" });
  }

  #refuseToServe(connection: Connection): void {
    const isGone = connection.closed;
    connection.close();
    if (isGone) return;
    const text = "Requested more files at once than can be queued; the request was not answered";
    this.#noteRefused(connection.ip, "too-many-requests", text);
  }

  /** Reports a refusal that the state machine does not know of. */
  #noteRefused(who: string, reason: Reason, text: string): void {
    this.#onEvent({ name: "refused", who, reason, text });
  }

  async #serve(connection: Connection, serve: Serve): Promise<void> {
    const { sending } = this.transfers;
    const fileId = serve.kind === "serve" ? serve.file.fileId : serve.fileId;
    const outcome = serve.kind === "serve"
      ? await sending.serve(connection, serve)
      : await sending.servePart(connection, serve);
    if (outcome === "sent") return;
    if (outcome === "bad-range") {
      const text = `Asked for bytes that ${fileId} does not have: ${
        serve.raw?.join(", ") || "no range"
      }`;
      this.#noteRefused(connection.ip, "bad-field", text);
    } else if (serve.kind === "serve") this.#gone(fileId);
    const absent = encodeMessage({
      type: "FILE_DATA",
      hasContent: false,
      ext: this.peer.ext,
    });
    await connection.write(absent, this.options.limits.idleTimeoutMs);
    await connection.closeWrite();
  }

  // Connections that we open.

  async #send(effect: Sent): Promise<void> {
    const { to, peerId, what, bytes, ticket } = effect;
    const about = {
      to,
      ...(peerId === undefined ? {} : { peerId }),
      ...(ticket ? { ticket } : {}),
    };
    let connection: Connection | undefined;
    let isSent = false;
    try {
      const way = await this.#routes.toSend(effect);
      if ("on" in way) {
        await this.#lines.say(way.on, bytes);
        this.#sent(effect);
        return this.dispatch({ kind: "sent", ...about });
      }
      ({ connection } = way);
      this.#outgoing.add(connection);
      await connection.write(bytes, this.options.limits.messageTimeoutMs);
      await connection.closeWrite();
      this.#sent(effect);
      isSent = true;
      this.dispatch({ kind: "sent", ...about, ...(way.ip === undefined ? {} : { ip: way.ip }) });
      if (what === "GOSSIP") await this.#awaitReply(connection, peerId);
      else await connection.linger(REPLY_WAIT_MS);
    } catch (error) {
      const text = error instanceof DialError
        ? error.message
        : `${addressText(to)} dropped the connection`;
      if (!(error instanceof DialError || isGone(error))) {
        this.options.onEvent({ name: "trouble", text: stackOf(error) });
      }
      if (isSent) return; // the answer was useless, and the state machine already knows the rest
      count(this.counters.unsent, what);
      this.options.onEvent({ name: "send-failed", what, text });
      // A failure of our own must not make a peer or its name disappear.
      const isOurs = (error instanceof DialError && error.isOurs) || this.#stopping;
      this.dispatch({ kind: isOurs ? "unsent" : "unreachable", ...about, what, text });
    } finally {
      if (connection) this.#outgoing.delete(connection);
      connection?.close();
    }
  }

  #sent({ what, to, peerId }: Pick<Sent, "what" | "to" | "peerId">): void {
    count(this.counters.sent, what);
    const name = peerId === undefined ? {} : { peerId };
    this.options.onEvent({ name: "sent", what, to, ...name });
  }

  /** One implementation answers a gossip on the connection that brought it. */
  async #awaitReply(connection: Connection, peerId: string | undefined): Promise<void> {
    if (this.#lingering >= MAX_LINGERING) return this.noteOverload("answers-unread");
    this.#lingering++;
    const id = ++this.#serial;
    this.#connections.set(id, connection);
    this.#ours.set(connection, "asking");
    try {
      const host = this.#host(connection, id, peerId);
      await receiveMessages(connection, host, this.options.limits, REPLY_WAIT_MS);
    } finally {
      this.#lingering--;
      this.#forget(id);
    }
  }

  #job(job: Promise<void>): void {
    this.#jobs.add(job);
    job.finally(() => this.#jobs.delete(job));
  }

  /** Ignores that the other side went away. Anything else is reported. */
  async #quietly(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (isGone(error)) return;
      this.options.onEvent({ name: "trouble", text: messageOf(error) });
    }
  }
}

/** Returns whether the other side went away, or was too slow. */
type Sent = Extract<Effect, { kind: "send" }>;

const isGone = (error: unknown) =>
  isConnectionError(error) || error instanceof ProtocolError || error instanceof LineEnded;

function count<Key extends string>(counts: Map<Key, number>, key: Key, times = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + times);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}

/** Returns a key for an address, the same for every spelling. */
const anySpelling = ({ host, port }: Address) => addressText({ host: canonicalHost(host), port });
