// The peer as a state machine: inputs in, effects out. PURE, and the only entry point to the rules of the protocol.
// `handle` is synchronous and has no clock, randomness or I/O of its own, so the same inputs give the same effects, and
// hundreds of peers can run in one process on a virtual clock (tests/sim).

import type { Bounded } from "./bounds/expiring.ts";
import type { Effect, Input, Ways } from "./effects.ts";
import { Arrivals } from "./files/arrivals.ts";
import { AutoFetch } from "./files/autofetch.ts";
import { Broadcasts } from "./files/broadcasts.ts";
import type { DeletionProgress } from "./files/deletion_notices.ts";
import { Deletions } from "./files/deletions.ts";
import { Downloads } from "./files/downloads.ts";
import { Holdings } from "./files/holdings.ts";
import { Replication } from "./files/replication.ts";
import { Serving } from "./files/serving.ts";
import { Twins } from "./files/twins.ts";
import { type From, Gossiping } from "./members/gossip.ts";
import type { Joining } from "./members/joining.ts";
import { Lists } from "./members/lists.ts";
import { isFrom, isProven, type PeerRecord } from "./members/membership.ts";
import { Reach, type Report } from "./members/reach.ts";
import type { Pause } from "./members/reputation.ts";
import { type CatalogueView, type MembershipView, type PeerConfig, PeerState } from "./state.ts";
import { type Address, isLoopback, isLoopbackHost, type OwnAddresses } from "./wire/address.ts";
import type { Ext } from "./wire/ext.ts";
import type { Message } from "./wire/message.ts";

type MessageInput = Extract<Input, { kind: "message" }>;
type SendEnded = Extract<Input, { kind: "sent" | "unreachable" | "unsent" }>;

/** One peer of the network. The edge feeds it inputs and executes the effects that it returns. */
export class Peer {
  /** Everything remembered, with its bounds. */
  readonly sizes: readonly Bounded[];
  readonly #state: PeerState;
  readonly #gossiping: Gossiping;
  readonly #lists: Lists;
  readonly #reach: Reach;
  readonly #arrivals: Arrivals;
  readonly #autoFetch: AutoFetch;
  readonly #broadcasts: Broadcasts;
  readonly #deletions: Deletions;
  readonly #downloads: Downloads;
  readonly #holdings: Holdings;
  readonly #replication: Replication;
  readonly #serving: Serving;

  /** Creates a peer that knows nothing yet; expects the inputs `load` and `start`. */
  constructor(readonly config: PeerConfig) {
    const state = this.#state = new PeerState(config);
    const lists = this.#lists = new Lists(state);
    const twins = new Twins(state);
    const downloads = this.#downloads = new Downloads(
      state,
      twins,
      (fileId, outcome) => {
        this.#arrivals.ended(fileId);
        this.#autoFetch.ended(fileId, outcome);
      },
    );
    const arrivals = this.#arrivals = new Arrivals(state, downloads);
    const broadcasts = this.#broadcasts = new Broadcasts(state, lists);
    const deletions = this.#deletions = new Deletions(state, downloads, arrivals);
    const replication = this.#replication = new Replication(state);
    this.#autoFetch = new AutoFetch(state, downloads);
    this.#serving = new Serving(state, lists, downloads);
    const parts = { arrivals, broadcasts, deletions, downloads, replication, twins };
    this.#holdings = new Holdings(state, parts);
    this.#gossiping = new Gossiping(state, lists, {
      synchronized: (alone) => this.#autoFetch.start(alone),
      peerCame: (record) => this.#onPeerCame(record),
      peerWent: (record) => this.#reach.forget(record),
      moved: () => this.#reach.renew(),
      heard: (record, message, from) => this.#reach.heard(record, message, from),
    });
    this.#reach = new Reach(state, {
      hear: (message, ip) => this.#gossiping.hear(message, ip),
      list: (record) => lists.reply(record, false),
      found: (record) => this.#gossiping.found(record),
      changed: (via) => this.#gossiping.isVia(via),
    });
    this.sizes = [
      state,
      this.#gossiping,
      this.#reach,
      lists,
      arrivals,
      this.#holdings,
      replication,
      downloads,
      twins,
      this.#autoFetch,
      broadcasts,
      deletions,
      this.#serving,
    ].flatMap(({ sizes }) => sizes);
  }

  // What the edge may read. All changes go through `handle`.

  /** The known files. */
  get catalogue(): CatalogueView {
    return this.#state.catalogue;
  }

  /** The tracked peers. */
  get membership(): MembershipView {
    return this.#state.membership;
  }

  /** The address that this peer advertises. */
  get address(): Address {
    return this.#state.address;
  }

  /** What this process listens on, and never dials. */
  get own(): OwnAddresses {
    return this.#state.own;
  }

  /** The extensions that this peer sends with every message. */
  get ext(): Ext {
    return this.#state.ext;
  }

  /** Time of the latest input, in milliseconds on the monotonic clock. */
  get nowMs(): number {
    return this.#state.nowMs;
  }

  /** Returns how to reach a peer. */
  waysTo(peerId: string): Ways {
    return this.#state.ways.waysTo(peerId, this.#state.nowMs);
  }

  /**
   * Returns whether a peer may be dialed at a further address of its machine now, for a message of this size, and counts the dial.
   */
  mayDialAlso(peerId: string, ip: string, sizeBytes: number): boolean {
    const record = this.#state.membership.get(peerId);
    return record !== undefined && this.#state.mayDialAlso(record, ip, sizeBytes);
  }

  /** Returns whether the latest dial to this address of a peer succeeded, so that another success is no news. */
  isReached(peerId: string, to: Address): boolean {
    return this.#state.ways.isReached(peerId, to);
  }

  /** The configured peers that do not answer, and why, as sentences that begin with the address. */
  get bootstrapTroubles(): Joining["troubles"] {
    return this.#gossiping.joining.troubles;
  }

  /** Addresses to join through. */
  get bootstraps(): readonly Address[] {
    return this.#state.bootstraps;
  }

  /** What other peers say about connections to us, the latest of each. */
  get reports(): Iterable<Report> {
    return this.#reach.reports;
  }

  /** Names of the peers to which we keep a connection, because they cannot connect to us. */
  get via(): readonly string[] {
    return this.#reach.via;
  }

  /** Number of connections that are kept, and passed on, because somebody cannot be dialed. */
  get keptConnections(): Reach["connections"] {
    return this.#reach.connections;
  }

  /** Returns the name of the peer that keeps this connection to us, with a LINK or for answers. */
  keeperOf(connection: number): string | undefined {
    return this.#state.ways.ownerOf(connection);
  }

  /** Whether the first lists have arrived. */
  get synchronized(): boolean {
    return this.#gossiping.joining.synchronized;
  }

  /** Number of downloads that are running or queued. */
  get pendingDownloads(): number {
    return this.#downloads.pending;
  }

  /** Returns whether a download of the file waits for its turn. */
  isQueuedDownload(fileId: string): boolean {
    return this.#downloads.isQueued(fileId);
  }

  /** Returns the ids of the downloads that wait for their turn, in order, at most `limit`, and how many there are. */
  queuedDownloads(limit: number): { readonly fileIds: readonly string[]; readonly total: number } {
    return this.#downloads.queued(limit);
  }

  /** Number of downloads that wait for a retry. */
  get wishedDownloads(): number {
    return this.#downloads.wishes;
  }

  /** Returns how far a deletion of ours has spread, or `undefined` if it is no longer tracked. */
  deletionProgress(fileId: string): DeletionProgress | undefined {
    return this.#deletions.progress(fileId);
  }

  /** Returns why a peer is avoided as a source at `nowMs`, or `undefined` if it may be asked. */
  backoffOf(record: PeerRecord, nowMs: number): Pause | undefined {
    return this.#state.pauseOf(record, nowMs);
  }

  /**
   * Handles one input and returns the effects to execute, in order. `nowMs` is the time in milliseconds on a monotonic
   * clock. Never throws because of anything that came from the network.
   */
  handle(input: Input, nowMs: number): Effect[] {
    this.#state.nowMs = Math.max(this.#state.nowMs, nowMs);
    this.#dispatch(input);
    const fileIds = this.#state.catalogue.takeTouched();
    if (fileIds.length > 0) this.#state.emit({ kind: "changed", fileIds });
    return this.#state.takeEffects();
  }

  #dispatch(input: Input): void {
    switch (input.kind) {
      case "loading":
        this.#state.read = "something";
        return;
      case "connect":
        return this.#gossiping.joining.add(input.address);
      case "discovered":
        return this.#gossiping.discovered.on(input.address, input.node);
      case "own-address":
        return this.#gossiping.onOwnAddress(input);
      case "complete":
        return this.#onComplete(input.what);
      case "load":
        return this.#state.catalogue.load(input, this.#state.nowMs);
      case "start":
        return this.#gossiping.start();
      case "tick":
        return this.#onTick();
      case "message":
        return this.#onMessage(input);
      case "refused":
        if (input.dialed !== undefined) this.#onRubbish(input.dialed, input);
        return this.#onRefused(input.ip, input);
      case "sent":
      case "unreachable":
      case "unsent":
        return this.#onSendEnded(input);
      case "dialed":
        return this.#reach.onDialed(input);
      case "linked":
        return this.#reach.onLinked(input.peerId, input.connection);
      case "not-linked":
        return this.#reach.onNotLinked(input.peerId);
      case "ended":
        return this.#reach.onEnded(input.connection);
      case "passed-on":
        return this.#reach.onPassedOn(input);
      case "served":
        return this.#serving.onServed(input.ip);
      case "push-offered":
        return this.#arrivals.onPushOffered(input);
      case "arrived":
        return this.#arrivals.onArrived(input);
      case "keep-failed":
        return this.#arrivals.onKeepFailed(input);
      case "fetch-failed":
        return this.#downloads.onFailed(input);
      case "not-adopted":
        return this.#downloads.onNotAdopted(input);
      case "more-sources":
        return this.#downloads.onMoreSources(input);
      case "fellows":
        return this.#downloads.onFellows(input);
      case "source-failed":
        return this.#downloads.onSourceFailed(input);
      case "fetch-unasked":
        return this.#downloads.onUnasked(input);
      case "held":
        return this.#holdings.onHeld(input);
      case "lost":
        return this.#holdings.onLost(input);
      case "unwanted":
        return this.#holdings.onUnwanted(input.fileIds);
      case "renamed":
        return this.#holdings.onRenamed(input.files);
      case "space":
        return this.#downloads.onSpace();
      case "want":
        return this.#downloads.onWanted(input.fileId);
      case "first":
        return this.#downloads.onFirst(input.fileId);
      case "cancel":
        return this.#onCancel(input.fileId);
      case "delete":
        return this.#deletions.onPersonDeletes(input.fileId);
      case "watch":
        return this.#state.catalogue.watch(input.isWatched);
      default:
        input satisfies never;
    }
  }

  #onComplete(what: "known" | "folder"): void {
    this.#state.read = what;
    this.#autoFetch.onRead();
  }

  #onTick(): void {
    const state = this.#state;
    this.#gossiping.tick();
    this.#reach.tick();
    this.#lists.tick();
    this.#holdings.tick();
    this.#replication.tick();
    this.#arrivals.tick();
    this.#autoFetch.tick();
    this.#downloads.tick();
    this.#deletions.tick();
    this.#broadcasts.tick();
    if (state.catalogue.expire(state.nowMs)) state.save();
  }

  /** A peer appeared, moved or restarted. */
  #onPeerCame(record: PeerRecord): void {
    this.#downloads.peerCame(record.peerId);
    this.#replication.peerCame();
  }

  /** A person canceled a download, or the search for a peer that takes a copy. */
  #onCancel(fileId: string): void {
    this.#replication.forget(fileId);
    this.#downloads.onCanceled(fileId);
  }

  #onSendEnded(input: SendEnded): void {
    const { ticket, peerId } = input;
    if (ticket?.for === "offer" && input.kind !== "sent") {
      this.#replication.failed(ticket.fileId);
    } else if (ticket?.for === "offer") this.#replication.offered(ticket.fileId);
    if (ticket?.for === "replicate") {
      if (input.kind === "sent") this.#replication.taken(ticket.fileId, peerId ?? "?");
      else this.#replication.failed(ticket.fileId);
      return;
    }
    if (input.kind === "sent") {
      this.#gossiping.onSent(input.to, input.ip, peerId);
    } else if (input.kind === "unreachable") this.#gossiping.onUnreachable(input);
    else this.#gossiping.onUnsent(input);
    if (ticket?.for === "list" && input.kind === "sent") this.#lists.delivered(peerId);
    if (ticket?.for === "broadcast") this.#broadcasts.sendEnded();
    if (ticket?.for === "delete") {
      this.#deletions.sendEnded(ticket.batch, input.kind === "sent");
    }
  }

  #onMessage(input: MessageInput): void {
    const state = this.#state;
    const { message, ip, connection, ours } = input;
    // Peers on this machine get through where others do not.
    const isElsewhere = !isLoopback(ip) || isLoopbackHost(state.address.host);
    if (!ours && isElsewhere) state.hasBeenReached = true;
    if (!isQuiet(message)) state.tell({ name: "request", ip, text: describe(message) });
    switch (message.type) {
      case "GOSSIP":
        return this.#gossiping.onGossip(message, input);
      case "GOSSIP_REPLY":
        return this.#onReply(message, input);
      case "ANNOUNCE":
        return this.#onAnnounce(message, ip);
      case "GET_FILE":
        state.membership.aliveAt(ip, state.nowMs);
        return this.#serving.onGet(message, connection, ip);
      case "DELETE":
        return this.#deletions.onDelete(message, ip);
      case "FILE_DATA":
        // Content was handled while it was streamed; without content there is nothing to do.
        if (!message.hasContent) {
          this.#onRefused(ip, { reason: "unsolicited", text: "Sent FILE_DATA without content" });
        }
        return state.membership.aliveAt(ip, state.nowMs);
      case "LINK":
        return this.#reach.onLink(message, input);
      case "CONNECT":
        return this.#reach.onConnect(message, input);
      default:
        message satisfies never;
    }
  }

  #onReply(message: Extract<Message, { type: "GOSSIP_REPLY" }>, from: From): void {
    const { ip } = from;
    const heard = this.#gossiping.onReply(message, from);
    this.#downloads.together(() => {
      for (const file of message.files) {
        const isNews = heard?.news.has(file.fileId);
        if (heard && isNews) this.#replication.taken(file.fileId, heard.record.peerId);
        this.#considerFetching(file.fileId, isNews);
        if (heard && isFrom(heard.record, ip)) this.#deletions.remind(file, heard.record);
      }
    });
    if (!heard) return;
    this.#deletions.sendReminders(heard.record);
    if (heard.news.size > 0 && isFrom(heard.record, ip)) this.#reach.passOn(heard.record, message);
  }

  #onAnnounce(message: Extract<Message, { type: "ANNOUNCE" }>, ip: string): void {
    const state = this.#state;
    const { from, file } = message;
    state.membership.alive(from, ip, state.nowMs);
    if (from === state.config.peerId) return;
    const record = state.membership.get(from);
    this.#deletions.liftByOwner(message, record, ip);
    const isNews = this.#lists.learn(file, record, record !== undefined && isFrom(record, ip));
    if (isNews) state.save();
    if (isNews && record) this.#replication.taken(file.fileId, record.peerId);
    this.#considerFetching(file.fileId, isNews);
    if (record && isFrom(record, ip)) {
      if (isNews) this.#reach.passOn(record, message);
      if (message.ext?.offer && isProven(record)) this.#arrivals.onOffered(file, record);
      this.#deletions.remind(file, record);
      this.#deletions.sendReminders(record);
    }
  }

  /** A message named a file. `isNews`: the file, or this holder of it, was not known; if it is wanted, retry now. */
  #considerFetching(fileId: string, isNews = false): void {
    if (isNews) this.#downloads.holderCame(fileId);
    this.#autoFetch.consider(fileId);
  }

  /** A peer that we dialed sent bad data. Being slow or closing early is not held against it. */
  #onRubbish(peerId: string, { reason, text }: Extract<Input, { kind: "refused" }>): void {
    const record = this.#state.membership.get(peerId);
    if (!record || reason === "cut-short" || reason === "too-slow") return;
    this.#state.offended(record, `sent an invalid answer: ${text}`);
  }

  #onRefused(
    ip: string,
    { reason, text }: Pick<Extract<Input, { kind: "refused" }>, "reason" | "text">,
  ) {
    this.#state.membership.refusedFrom(ip);
    this.#state.refuse(ip, reason, text);
  }
}

/**
 * Returns whether nobody reads a line for each of these messages: for a further part of a file, or what there is of it by now;
 * and those that only keep or open connections.
 */
function isQuiet(message: Message): boolean {
  if (message.type === "LINK" || (message.type === "CONNECT" && !message.to)) return true;
  const { raw } = message.ext ?? {};
  return message.type === "GET_FILE" && raw !== undefined && raw.length > 0 &&
    (raw[0]! > 0 || raw[1] === 0);
}

/** Returns a one-line description of a message for people. Contains names as received: escape it before showing it. */
export function describe(message: Message): string {
  switch (message.type) {
    case "GOSSIP":
      return `GOSSIP from ${message.peerId}`;
    case "GOSSIP_REPLY":
      return `GOSSIP_REPLY from ${message.peerId}, ${message.files.length} ${
        message.files.length === 1 ? "file" : "files"
      }`;
    case "GET_FILE":
      return `GET_FILE ${message.fileId}${moreText(message.ext?.more)}`;
    case "FILE_DATA":
      return `FILE_DATA ${message.file?.name ?? "without a file"}`;
    case "ANNOUNCE":
      return `ANNOUNCE from ${message.from}: ${message.file.name}${
        message.ext?.offer ? ", offering a copy" : ""
      }`;
    case "DELETE":
      return `DELETE from ${message.from}: ${message.fileId}${moreText(message.ext?.more)}`;
    case "LINK":
      return `LINK from ${message.peerId}`;
    case "CONNECT":
      return message.to === undefined ? "CONNECT" : `CONNECT to ${message.to}`;
    default:
      return message satisfies never;
  }
}

function moreText(more: readonly string[] = []): string {
  return more.length === 0 ? "" : ` and ${more.length} more`;
}
