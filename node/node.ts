// The loop: inputs -> peer.handle -> effects. One owner of the machine, so no locks: sockets, disk, timers
// and people only put inputs in, and what comes out is carried out here.
// The edge of the house: it may read the clock and wait; it does not decide.

import type { Address, Voucher } from "../protocol/wire/address.ts";
import { addressText } from "../protocol/wire/address.ts";
import type { Effect, Input, NodeEvent, PeerEvent } from "../protocol/effects.ts";
import { ProtocolError, type Reason } from "../protocol/wire/errors.ts";
import { type Host, isConnectionError, receiveMessages, sendFile } from "../net/exchange.ts";
import type { Timestamp } from "../protocol/wire/fileid.ts";
import type { Limits } from "../protocol/limits.ts";
import { encodeMessage, type FileRecord, type Message } from "../protocol/wire/message.ts";
import { Refusals } from "../protocol/bounds/refusals.ts";
import { Peer } from "../protocol/peer.ts";
import { Dialer, DialError } from "../net/dialer.ts";
import type { Connection } from "../net/connection.ts";
import { Listener } from "../net/listener.ts";
import { type Transfer, TransferLog } from "./transfer_log.ts";
import { type PushIntake, Transfers, type TransferStore } from "./transfers.ts";

type PushVerdict = Extract<Effect, { kind: "push-verdict" }>;

/** A few times a second, so that joining does not wait for a full one. */
const TICK_MS = 250;
/** After a gossip the other side may answer on the same connection; one kind of peer does. */
const REPLY_WAIT_MS = 2_000;
/** Connections waited on for such answers at once. */
const MAX_LINGERING = 64;
/** How long transfers may go on when the peer stops, so that the whole stop stays below five seconds. */
const STOP_MS = 2_000;

/** What the loop needs of the store besides transfers. */
export interface NodeStore extends TransferStore {
  trash(fileId: string, why: "deleted" | "unwanted"): Promise<void>;
  /** The content is not what it was, or cannot be read: "gone" when it is not held any more. */
  release(fileId: string): "changed" | "gone";
}

export interface NodeOptions {
  readonly peerId: string;
  /** What others are told. Port 0 means: whichever is free. */
  readonly address: Address;
  readonly listenHost: string;
  /** Our own addresses, so that nobody makes us dial ourselves; ports are added to. */
  readonly ownIps: readonly string[];
  readonly ownPorts: readonly number[];
  readonly node: string;
  readonly bootstraps: readonly Address[];
  readonly rejoin: readonly { address: Address; voucher: Voucher }[];
  readonly gossipIntervalMs: number;
  readonly peerTimeoutMs: number;
  readonly autoFetch: number;
  readonly limits: Limits;
  readonly store: NodeStore;
  /** How files are sent; the dummy misbehaves here. */
  readonly sendFile?: typeof sendFile;
  /** Hears of everything, in order. Must not throw. */
  readonly onEvent: (event: NodeEvent) => void;
  /** A transfer ended, however it did. */
  readonly onMoved?: (transfer: Transfer) => void;
  /** The catalogue, the peers or the tombstones changed. */
  readonly onSave: () => void;
}

/** Counts for people; they only grow. */
export interface Counters {
  readonly received: Map<string, number>;
  readonly sent: Map<string, number>;
  /** What could not be sent. */
  readonly unsent: Map<string, number>;
  readonly refused: Refusals;
}

/** How the wait for a file ended. */
type FetchOutcome =
  | { readonly isHere: true; readonly source: string }
  | { readonly isHere: false; readonly text: string; readonly willRetry: boolean };

/** A file was not fetched. The message says why and, where it stays wanted, what happens next. */
export class FetchError extends Error {
  override readonly name = "FetchError";

  constructor(
    /** Why, without what happens next. */
    readonly what: string,
    /** The file stays wanted, and another attempt follows. */
    readonly willRetry: boolean,
  ) {
    super(willRetry ? `${what}; it will be downloaded once a peer delivers it` : what);
  }
}

export class Node {
  readonly peer: Peer;
  readonly transfers: Transfers;
  readonly transferLog: TransferLog;
  readonly counters: Counters = {
    received: new Map(),
    sent: new Map(),
    unsent: new Map(),
    refused: new Refusals(),
  };
  readonly startedMs = performance.now();
  readonly address: Address;
  readonly #listener: Listener;
  readonly #dialer: Dialer;
  readonly #inputs: Input[] = [];
  readonly #connections = new Map<number, Connection>();
  readonly #work = new Map<number, Promise<void>>();
  readonly #outgoing = new Set<Connection>();
  #verdict: PushVerdict | undefined;
  readonly #jobs = new Set<Promise<void>>();
  /** Per file that somebody waits for: how it ended. Shared by all who wait. */
  readonly #waiters = new Map<string, PromiseWithResolvers<FetchOutcome>>();
  /** Another peer that uses our name, and when that was heard last. */
  nameTaken: { readonly other: Address; readonly heardMs: number } | undefined;
  /** Called with the catalogue's changed entries while the peer is told to report them (input `watch`). */
  onChanged: ((fileIds: Extract<Effect, { kind: "changed" }>["fileIds"]) => void) | undefined;
  #draining = false;
  #lingering = 0;
  #serial = 0;
  #ticker: ReturnType<typeof setInterval> | undefined;
  #stopping = false;

  /** Takes the port; connections are served from `start` on. Throws `Deno.errors.AddrInUse` and the like. */
  constructor(readonly options: NodeOptions) {
    const { limits } = options;
    this.#listener = new Listener({
      hostname: options.listenHost,
      port: options.address.port,
      limits,
      isKnown: (ip) => this.peer.membership.knowsMachine(ip),
      serve: (connection) => this.#serveConnection(connection),
      onRefused: (ip) => {
        const text = "Opens more connections than are served or may wait; one was closed";
        this.#noteRefused(ip, "too-many-connections", text);
      },
    });
    this.address = { host: options.address.host, port: this.#listener.port };
    const own = { ips: options.ownIps, ports: [...options.ownPorts, this.address.port] };
    this.#dialer = new Dialer(limits, () => own);
    this.peer = new Peer({
      ...options,
      address: this.address,
      own,
      boot: crypto.randomUUID().slice(0, 18),
      random: () => crypto.getRandomValues(new Uint32Array(1))[0]! / 2 ** 32,
    });
    this.transferLog = new TransferLog(() => performance.now(), options.onMoved);
    this.transfers = new Transfers({
      store: options.store,
      dialer: this.#dialer,
      limits,
      ext: () => this.peer.ext,
      dispatch: (input) => this.dispatch(input),
      pushedBytes: () => this.peer.catalogue.pushedBytes,
      transferLog: this.transferLog,
      sendFile: options.sendFile ?? sendFile,
      onSent: (what, to) => this.#sent(what, to),
    });
  }

  /** What is under way, by kind. */
  get work(): Readonly<Record<string, number>> {
    return {
      inbound: this.#listener.connections,
      outbound: this.#outgoing.size,
      jobs: this.#jobs.size,
      transfers: this.transferLog.running.length,
      downloads: this.peer.pendingDownloads,
      waiters: this.#waiters.size,
    };
  }

  start(): void {
    this.#listener.begin();
    this.dispatch({ kind: "start" });
    this.#ticker = setInterval(() => this.dispatch({ kind: "tick" }), TICK_MS);
  }

  /** Takes one input after the other; what an effect brings about at once waits for its turn. */
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

  /**
   * Fetches a file. Resolves to the peer that it came from, or "" when it was here already.
   * Rejects with `FetchError` when nobody delivers it, and when this peer stops.
   */
  async get(fileId: string): Promise<string> {
    if (this.peer.catalogue.get(fileId)?.held) return "";
    const waiter = this.#waiters.get(fileId) ?? Promise.withResolvers<FetchOutcome>();
    this.#waiters.set(fileId, waiter);
    this.dispatch({ kind: "want", fileId });
    const outcome = await waiter.promise;
    if (outcome.isHere) return outcome.source;
    throw new FetchError(outcome.text, outcome.willRetry);
  }

  /** Wants a file here, without waiting for it. */
  want(fileId: string): void {
    this.dispatch({ kind: "want", fileId });
  }

  /** Ends a transfer, and with it the download or the pushes that it belongs to. False when it has ended. */
  cancel(id: number): boolean {
    const move = this.transferLog.get(id);
    if (!move?.isCancellable) return false;
    move.cancel();
    if (move.kind === "fetch") this.dispatch({ kind: "cancel", fileId: move.fileId });
    return true;
  }

  /** Stops within `STOP_MS`: no new work, transfers finish or are given up. */
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
    this.#listener.close();
    for (const connection of [...this.#connections.values(), ...this.#outgoing]) connection.close();
    this.transfers.close();
    await Promise.allSettled(this.#jobs);
    this.transfers.close();
    for (const { resolve } of this.#waiters.values()) {
      resolve({ isHere: false, text: "This peer is stopping", willRetry: false });
    }
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case "send":
        return this.#job(this.#send(effect));
      case "answer-absent":
        return this.#onConnection(effect.connection, async (connection) => {
          await connection.write(effect.bytes, this.options.limits.idleTimeoutMs);
          await connection.closeWrite();
        });
      case "serve":
        return this.#serveInTurn(effect);
      case "fetch":
        return this.#job(this.transfers.fetch(effect));
      case "stop-fetch":
        return this.transfers.stopFetch(effect.attempt, effect.text);
      case "replicate":
        return this.#job(this.transfers.replicate(effect));
      case "push-verdict":
        this.#verdict = effect;
        return;
      case "keep":
        return this.#job(this.transfers.keep(effect));
      case "drop":
        return this.transfers.drop(effect.receipt);
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
    if (event.name === "refused") this.counters.refused.note(event.who, event.reason);
    if (event.name === "name-taken") {
      this.nameTaken = { other: event.other, heardMs: performance.now() };
    }
    if (event.name === "downloaded" || event.name === "held") {
      const source = event.name === "downloaded" ? event.source : event.file.owner;
      this.#tellWaiters(event.file.fileId, { isHere: true, source });
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

  async #trash({ fileId, why }: Extract<Effect, { kind: "trash" }>): Promise<void> {
    try {
      await this.options.store.trash(fileId, why);
    } catch (error) {
      this.options.onEvent({ name: "trouble", text: messageOf(error) });
    }
  }

  // One connection that somebody opened to us

  async #serveConnection(connection: Connection): Promise<void> {
    const id = ++this.#serial;
    this.#connections.set(id, connection);
    try {
      await receiveMessages(connection, this.#host(connection, id), this.options.limits);
    } catch (error) {
      // A mistake of ours must not end the peer; it is shown, with where it happened.
      this.options.onEvent({ name: "trouble", text: stackOf(error) });
    } finally {
      this.#connections.delete(id);
      this.#work.delete(id);
    }
  }

  /** `dialed`: the peer that we opened the connection to. */
  #host(connection: Connection, id: number, dialed?: string): Host {
    const { ip } = connection;
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
        this.dispatch({ kind: "message", message, ip, connection: id });
        await this.#work.get(id);
        this.#work.delete(id);
      },
      onRefused: refuse,
      offerPush: (fileId) => {
        this.dispatch({ kind: "push-offered", ip, connection: id, ...(fileId ? { fileId } : {}) });
        const verdict = this.#verdict!; // an offer is answered at once
        if (verdict.verdict === "refuse") throw new ProtocolError(verdict.reason, verdict.text);
        if (verdict.verdict === "skip") return "skip";
        this.#listener.moved(connection, 0); // content begins
        return this.transfers.beginPush(ip, fileId, (bytes) => {
          this.#listener.moved(connection, bytes);
        }, connection);
      },
      onPush: (intake, file) => {
        this.#listener.completed(connection);
        const message: Message = { type: "FILE_DATA", file, hasContent: true };
        count(this.counters.received, message.type);
        this.dispatch({ kind: "message", message, ip, connection: id });
        try {
          this.transfers.finishPush(intake as PushIntake, file, this.#otherTimestamps(file), ip);
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          refuse(error);
        }
        return Promise.resolve();
      },
    };
  }

  #otherTimestamps({ fileId }: FileRecord): Timestamp[] {
    const entry = this.peer.catalogue.get(fileId);
    return entry ? [entry.file.timestamp, ...entry.otherTimestamps] : [];
  }

  #onConnection(id: number, act: (connection: Connection) => Promise<void>): void {
    const connection = this.#connections.get(id);
    if (!connection) return; // it ended while the machine thought
    const work = this.#quietly(act(connection));
    this.#work.set(id, work);
    this.#job(work);
  }

  #serveInTurn({ connection: id, file, ip }: Extract<Effect, { kind: "serve" }>): void {
    if (!this.#connections.has(id)) {
      this.dispatch({ kind: "served", ip }); // it ended while the machine thought
      return;
    }
    this.#onConnection(id, async (connection) => {
      try {
        const send = () => this.#serve(connection, file);
        if (await this.#listener.inTurn(connection, send)) return;
        // Who may not even wait is told nothing: a connection that ends is one way of saying no.
        this.#refuseToServe(connection);
      } catch (error) {
        // What was sent is not whole: only a connection that breaks says so.
        connection.close();
        throw error;
      } finally {
        this.dispatch({ kind: "served", ip });
      }
    });
  }

  #refuseToServe(connection: Connection): void {
    const isGone = connection.closed;
    connection.close();
    if (isGone) return;
    const text = "Asked for more files at once than may wait; it was not answered";
    this.#noteRefused(connection.ip, "too-many-requests", text);
  }

  /** Something was refused before the machine could hear of it. */
  #noteRefused(who: string, reason: Reason, text: string): void {
    this.#onEvent({ name: "refused", who, reason, text });
  }

  async #serve(connection: Connection, file: FileRecord): Promise<void> {
    if (await this.transfers.serve(connection, file)) return;
    // What became of a file that changed, the next look at the folder says.
    if (this.options.store.release(file.fileId) === "gone") {
      this.dispatch({ kind: "lost", fileIds: [file.fileId], why: "removed" });
    }
    const absent = encodeMessage({
      type: "FILE_DATA",
      hasContent: false,
      ext: this.peer.ext,
    });
    await connection.write(absent, this.options.limits.idleTimeoutMs);
    await connection.closeWrite();
  }

  // Connections that we open

  async #send(
    { to, voucher, peerId, what, bytes, ticket, isBroadcast }: Extract<Effect, { kind: "send" }>,
  ): Promise<void> {
    const about = {
      to,
      ...(peerId === undefined ? {} : { peerId }),
      ...(ticket ? { ticket } : {}),
    };
    let connection: Connection | undefined;
    let isSent = false;
    try {
      const rank = what === "GOSSIP_REPLY" ? "answer" : "news";
      connection = await this.#dialer.dial(to, voucher, rank);
      this.#outgoing.add(connection);
      await connection.write(bytes, this.options.limits.messageTimeoutMs);
      await connection.closeWrite();
      this.#sent(what, to, isBroadcast);
      isSent = true;
      this.dispatch({ kind: "sent", ...about, ip: connection.ip });
      if (what === "GOSSIP") await this.#awaitReply(connection, peerId);
      else await connection.linger(REPLY_WAIT_MS);
    } catch (error) {
      const text = error instanceof DialError
        ? error.message
        : `${addressText(to)} broke the connection`;
      if (
        !(error instanceof DialError || error instanceof ProtocolError || isConnectionError(error))
      ) {
        this.options.onEvent({ name: "trouble", text: stackOf(error) });
      }
      if (isSent) return; // what it answered was of no use, and the machine heard of the rest
      count(this.counters.unsent, what);
      this.options.onEvent({ name: "send-failed", what, text });
      // Where the trouble is ours, it must not end a peer or its name.
      const isOurs = (error instanceof DialError && error.isOurs) || this.#stopping;
      this.dispatch({ kind: isOurs ? "unsent" : "unreachable", ...about, what, text });
    } finally {
      if (connection) this.#outgoing.delete(connection);
      connection?.close();
    }
  }

  #sent(what: Message["type"], to: Address, isBroadcast?: true): void {
    count(this.counters.sent, what);
    this.options.onEvent({ name: "sent", what, to, ...(isBroadcast ? { isBroadcast } : {}) });
  }

  /** One kind of peer answers a gossip on the connection that brought it. */
  async #awaitReply(connection: Connection, peerId: string | undefined): Promise<void> {
    if (this.#lingering >= MAX_LINGERING) return;
    this.#lingering++;
    const id = ++this.#serial;
    this.#connections.set(id, connection);
    try {
      const host = this.#host(connection, id, peerId);
      await receiveMessages(connection, host, this.options.limits, REPLY_WAIT_MS);
    } finally {
      this.#lingering--;
      this.#connections.delete(id);
      this.#work.delete(id);
    }
  }

  #job(job: Promise<void>): void {
    this.#jobs.add(job);
    job.finally(() => this.#jobs.delete(job));
  }

  /** The other side went away: its own loss. Anything else is shown. */
  async #quietly(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (isConnectionError(error) || error instanceof ProtocolError) return;
      this.options.onEvent({ name: "trouble", text: messageOf(error) });
    }
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
