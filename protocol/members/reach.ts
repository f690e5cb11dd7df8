// Reach: who can connect to whom, and what to do for a peer that others cannot connect to. PURE.
// A peer that cannot be dialed keeps a few connections to others open (LINK). On these it is sent messages, and asked to open
// further connections: for files, and for third peers (CONNECT). What others say about us is a hint, and changes nothing but
// which LINKs we keep and what is displayed.
// Invariants: we keep at most `MAX_LINKS`, and take only a share of the connections; a connection is passed on only to a peer that
// keeps a LINK to us, and nothing is dialed for it; what is dialed for others is where one of our LINKs goes.

import { KeyedWindows } from "../bounds/rate_limit.ts";
import { type Bounded, ExpiringSet } from "../bounds/expiring.ts";
import type { Input } from "../effects.ts";
import {
  CROWDED_LINKS,
  LINK_EVERY_MS,
  LINK_RETRY_MS,
  LINK_SHARE,
  LINK_SILENCE_MS,
  MAX_CALLED,
  MAX_LINKS,
  MAX_RELAYED,
  MAX_RELAYED_PER_PEER,
  REDIAL_MS,
} from "../limits.ts";
import type { PeerState } from "../state.ts";
import { LINKS } from "../wire/capabilities.ts";
import type { DialOutcome, Seen } from "../wire/ext.ts";
import {
  type Announce,
  type Connect,
  encodeMessage,
  type FileRecord,
  type Gossip,
  type GossipReply,
  type Link,
} from "../wire/message.ts";
import type { From } from "./gossip.ts";
import { isFrom, isProven, machineOf, type PeerRecord } from "./membership.ts";

/** A connection that we keep to another peer. */
interface OwnLink {
  readonly peerId: string;
  /** Undefined until it is open. */
  connection: number | undefined;
  /** When it was asked for. */
  readonly sinceMs: number;
  /** When the other peer last spoke on it; undefined until it has. */
  heardMs: number | undefined;
  saidMs: number;
}

/** What another peer says about connections to us. */
export interface Report extends Seen {
  /** Its name. */
  readonly peerId: string;
}

/**
 * How long a peer that connected to us counts as able to, in milliseconds, whatever happens to single connections: one round of
 * gossip and a half. (A guess.)
 */
const CONNECTED_MS = 45_000;
/** Maximum number of files of one peer without extensions that are listed to a peer that opens a LINK. (A guess.) */
const MAX_INTRODUCED = 1_000;
/** How long the number of LINKs at a peer counts, in milliseconds. (A guess.) */
const CROWD_MS = 60_000;
/** How soon after the last dial a peer that opens a LINK is dialed again, in milliseconds: that one may have failed by chance. */
const SECOND_LOOK_MS = 5_000;

/** Minimum interval between two dials to peers that keep a LINK, in milliseconds: each may take three seconds. */
const PROBE_PAUSE_MS = 2_000;
/** How often such a peer is dialed whose connections come from elsewhere than it says, in milliseconds. (A guess.) */
const REDIAL_UNPROVEN_MS = 600_000;

/** How often the LINKs are looked at, in milliseconds. */
const LOOK_MS = 500;

/** What Reach needs of the other parts. */
export interface ReachHooks {
  /** Tracks the sender of a LINK. */
  readonly hear: (message: Link, ip: string) => PeerRecord | undefined;
  /** Sends our list to a peer that can be reached now. */
  readonly list: (record: PeerRecord) => void;
  /** Called when there is another way to a peer, so that a dial that failed or will fail does not matter. */
  readonly found: (record: PeerRecord) => void;
  /** Our ways changed: `via` names the peers that pass on connections to us. */
  readonly changed: (via: readonly string[]) => void;
}

/** Keeps LINKs, and knows what others say about connections to us. */
export class Reach {
  readonly #own = new Map<string, OwnLink>();
  /** Peers that could not connect to us when it mattered. */
  readonly #wanted = new Set<string>();
  readonly #left: ExpiringSet;
  /** When each peer last connected to us, in milliseconds. */
  readonly #connected = new Map<string, number>();
  /** What was passed on to each peer, in bytes. */
  readonly #introduced: KeyedWindows;
  readonly #reports = new Map<string, Report>();
  /** Number of LINKs that each peer said it keeps. */
  readonly #crowds = new Map<string, { readonly links: number; readonly atMs: number }>();
  /** Peers with a LINK to us that are dialed once more soon. */
  readonly #secondLooks = new Set<string>();
  /** Connections that are passed on: how many with each peer, and in all. */
  readonly #relayed = new Map<string, number>();
  #relaying = 0;
  #called = 0;
  #lookMs = 0;
  #nextProbeMs = 0;
  #via = "";

  /** Shares `state` with the other parts of the peer. */
  constructor(readonly state: PeerState, readonly hooks: ReachHooks) {
    const { maxPeers, replyBytesPerMinute } = state.config.limits;
    this.#left = new ExpiringSet(maxPeers, LINK_RETRY_MS);
    this.#introduced = new KeyedWindows(replyBytesPerMinute);
  }

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    const { maxPeers } = this.state.config.limits;
    return [
      {
        name: "lists passed on",
        size: () => this.#introduced.size,
        max: () => this.#introduced.maxKeys,
      },
      { name: "own links", size: () => this.#own.size, max: () => MAX_LINKS },
      { name: "peers that cannot connect", size: () => this.#wanted.size, max: () => maxPeers },
      { name: "peers without a link", size: () => this.#left.size, max: () => maxPeers },
      { name: "peers that connected", size: () => this.#connected.size, max: () => maxPeers },
      { name: "reports of reach", size: () => this.#reports.size, max: () => maxPeers },
      { name: "second looks", size: () => this.#secondLooks.size, max: () => maxPeers },
      { name: "numbers of links", size: () => this.#crowds.size, max: () => maxPeers },
      { name: "peers with relays", size: () => this.#relayed.size, max: () => 2 * MAX_RELAYED },
    ];
  }

  /** What other peers say about connections to us, the latest of each. */
  get reports(): Iterable<Report> {
    return this.#reports.values();
  }

  /** Names of the peers to which we keep an open LINK. */
  get via(): string[] {
    return [...this.#own.values()].filter(({ heardMs }) => heardMs !== undefined)
      .map(({ peerId }) => peerId);
  }

  /** Number of LINKs that we keep and that others keep to us, and of connections that are passed on. */
  get connections(): { readonly own: number; readonly theirs: number; readonly relayed: number } {
    return { own: this.#own.size, theirs: this.state.ways.links, relayed: this.#relaying };
  }

  /** Notes where a peer's GOSSIP or GOSSIP_REPLY came from, and what it says about ways to it. */
  heard(record: PeerRecord, { type, ext }: Gossip | GossipReply, from: From): void {
    const { ways } = this.state;
    const { ip, connection, ours } = from;
    const isItself = isFrom(record, ip);
    if (isItself || !isProven(record)) {
      const hadOther = ways.hasOther(record.peerId);
      ways.isVia(record.peerId, ext?.via);
      if (!hadOther && ways.isLost(record)) this.hooks.found(record);
      const mayAnswer = ext?.here && ours !== "asking" && ways.outcomeOf(record) !== "reached";
      if (type === "GOSSIP" && mayAnswer && ways.ownerOf(connection) === undefined) {
        this.#hangUp(ways.takesAnswers(record.peerId, connection));
        this.state.emit({ kind: "hold", connection, as: "answers" });
      }
    }
    if (!isItself) return;
    if (ours) this.#cannotConnect(record);
    else if (!ways.ownerOf(connection)) this.#connects(record);
  }

  /** Handles a LINK: the first one of a connection, a sign of life, or the answer to ours. */
  onLink(message: Link, { ip, connection, ours }: From): void {
    const { state } = this;
    if (ours) {
      const own = this.#ownAt(connection);
      // Only the peer that we linked to can answer there.
      if (own?.peerId !== message.peerId) return;
      state.membership.alive(message.peerId, ip, state.nowMs);
      return this.#onAnswer(own, message);
    }
    const owner = state.ways.ownerOf(connection);
    const record = owner === undefined || owner === message.peerId
      ? this.hooks.hear(message, ip)
      : undefined;
    if (!record || !this.#mayLink(record, ip)) return this.#hangUp(connection);
    if (state.ways.linkOf(record.peerId) === undefined && this.#isCrowded(message)) {
      // It has others. The answer says why it should look for another one.
      state.emit({ kind: "hold", connection, as: "link" });
      this.#say(connection, this.#link({ links: state.ways.links + 1 }));
      return this.#hangUp(connection);
    }
    const wasProven = isProven(record);
    if (!state.membership.linked(record, ip)) {
      const text = "Its LINK was not taken: the name belongs to a peer at another address";
      state.refuse(message.peerId, "name-conflict", text);
      return this.#hangUp(connection);
    }
    const isNew = state.ways.linkOf(record.peerId) !== connection;
    state.ways.isVia(record.peerId, message.ext?.via);
    this.#hangUp(state.ways.keepsLink(record.peerId, connection, ip));
    if (isNew) {
      state.emit({ kind: "hold", connection, as: "link" });
      this.#secondLooks.add(record.peerId);
    }
    this.#tellSeen(record, ip);
    if (!isNew) return;
    if (!wasProven) this.hooks.list(record);
    this.#passOnAll(record);
  }

  /** Returns whether a peer with LINKs to others need not keep one to us too. */
  #isCrowded({ ext }: Link): boolean {
    return this.state.ways.links >= CROWDED_LINKS && (ext?.links ?? 0) > 0;
  }

  /** Handles a CONNECT: somebody wants a connection, to us or to a peer that keeps a LINK to us. */
  onConnect(message: Connect, { ip, connection, ours }: From): void {
    if (message.to !== undefined) return this.#relay(message.to, ip, connection);
    const own = ours && this.#ownAt(connection);
    const record = own && this.state.membership.get(own.peerId);
    if (!record || message.token === undefined) {
      this.state.refuse(ip, "unsolicited", "Sent a CONNECT that nobody asked for");
      return this.#hangUp(connection);
    }
    if (this.#called >= MAX_CALLED) return this.state.overload("calls-refused");
    this.#called++;
    const { token, isRelayed = false } = message;
    this.state.emit({
      kind: "call-back",
      key: record.peerId,
      to: record.address,
      voucher: record.voucher,
      isRelayed,
      bytes: encodeMessage({ type: "CONNECT", token, ext: this.state.ext }),
    });
  }

  /** Notes that a connection that was opened or passed on for others ended. */
  onPassedOn({ what, key }: Extract<Input, { kind: "passed-on" }>): void {
    if (what === "call-back") {
      this.#called = Math.max(0, this.#called - 1);
      return;
    }
    this.#relaying = Math.max(0, this.#relaying - 1);
    for (const each of key.split("\n")) {
      const left = (this.#relayed.get(each) ?? 0) - 1;
      if (left > 0) this.#relayed.set(each, left);
      else this.#relayed.delete(each);
    }
  }

  /**
   * Passes on what a peer without extensions said of its files to the peers that it cannot reach: those that cannot be dialed, and
   * keep a LINK to us. For them, that is a hint like everything that others say.
   */
  passOn(record: PeerRecord, message: GossipReply | Announce): void {
    if (record.extended) return;
    let bytes: Uint8Array<ArrayBuffer> | undefined;
    for (const lost of this.state.ways.lost()) {
      bytes ??= encodeMessage(message);
      this.#introduce(lost, message.type, bytes);
    }
  }

  /** Passes on what peers without extensions have said before to a peer that has just opened a LINK. */
  #passOnAll(to: PeerRecord): void {
    const { membership, catalogue } = this.state;
    const files = new Map<PeerRecord, FileRecord[]>();
    for (const record of membership.all()) {
      if (!record.extended && record !== to) files.set(record, []);
    }
    if (files.size === 0) return;
    for (const { file, holders } of catalogue.all()) {
      for (const holder of holders) {
        const record = membership.get(holder);
        const listed = record && files.get(record);
        if (listed && listed.length < MAX_INTRODUCED) listed.push(file);
      }
    }
    for (const [{ peerId, address }, listed] of files) {
      const message = { type: "GOSSIP_REPLY", peerId, ...address, files: listed } as const;
      this.#introduce(to, "GOSSIP_REPLY", encodeMessage(message));
    }
  }

  #introduce(
    { peerId }: PeerRecord,
    what: "GOSSIP_REPLY" | "ANNOUNCE",
    bytes: Uint8Array<ArrayBuffer>,
  ): void {
    const { state } = this;
    const connection = state.ways.linkOf(peerId);
    if (connection === undefined) return;
    if (!this.#introduced.take(peerId, state.nowMs, bytes.length)) {
      return state.overload("lists-delayed");
    }
    state.emit({ kind: "say", connection, what, bytes });
  }

  /** Notes what became of a dial to the address that a peer advertises, and tells it if it keeps a LINK. */
  onDialed({ peerId, to, outcome }: Extract<Input, { kind: "dialed" }>): void {
    const { ways, membership, nowMs } = this.state;
    const record = membership.get(peerId);
    if (!record) return;
    const before = ways.outcomeOf(record);
    ways.dialed(peerId, to, outcome, nowMs);
    // It can be dialed for answers, so a connection need not wait for them.
    if (ways.outcomeOf(record) === "reached") this.#hangUp(ways.answersOf(peerId));
    if (ways.linkOf(peerId) === undefined || ways.outcomeOf(record) === before) return;
    this.#tellSeen(record, record.linkIp ?? machineOf(record));
  }

  /** Notes that a LINK of ours is open. */
  onLinked(peerId: string, connection: number): void {
    const own = this.#own.get(peerId);
    if (own && own.connection === undefined) own.connection = connection;
    else this.#hangUp(connection);
  }

  /** Notes that a LINK of ours could not be opened. */
  onNotLinked(peerId: string): void {
    if (this.#own.get(peerId)?.connection === undefined) this.#drop(peerId);
  }

  /** Notes that a connection ended. */
  onEnded(connection: number): void {
    const { ways, membership, nowMs } = this.state;
    const own = this.#ownAt(connection);
    // One that lasted is opened again at once: the peer has restarted, or the network was away.
    if (own) this.#drop(own.peerId, nowMs - own.sinceMs >= LINK_RETRY_MS);
    const peerId = ways.ended(connection);
    if (peerId === undefined) return;
    this.#secondLooks.delete(peerId);
    membership.unlinked(peerId);
  }

  /** Forgets a peer that is gone, or at another address. */
  forget({ peerId }: PeerRecord): void {
    for (const connection of this.state.ways.forget(peerId)) this.#hangUp(connection);
    this.#wanted.delete(peerId);
    this.#connected.delete(peerId);
    this.#crowds.delete(peerId);
    this.#secondLooks.delete(peerId);
    if (this.#reports.delete(peerId)) this.state.tell({ name: "reach-changed" });
    this.#unlink(peerId);
  }

  /** Begins anew, because this machine has another address. */
  renew(): void {
    for (const peerId of [...this.#own.keys()]) this.#unlink(peerId);
    this.#wanted.clear();
    this.#connected.clear();
    this.#reports.clear();
    this.state.tell({ name: "reach-changed" });
  }

  /** Opens LINKs that are missing, says that those that are open are alive, and dials the peers that keep one to us. */
  tick(): void {
    const { nowMs } = this.state;
    if (nowMs - this.#lookMs < LOOK_MS) return;
    this.#lookMs = nowMs;
    for (const own of [...this.#own.values()]) {
      const silentMs = nowMs - (own.heardMs ?? own.sinceMs);
      if (silentMs >= LINK_SILENCE_MS) this.#unlink(own.peerId);
      else if (own.connection !== undefined && nowMs - own.saidMs >= LINK_EVERY_MS) {
        own.saidMs = nowMs;
        this.#say(own.connection, this.#link());
      }
    }
    while (this.#own.size < MAX_LINKS) {
      const next = this.#candidate();
      if (!next) break;
      this.#open(next);
    }
    this.#look();
  }

  /** The peer cannot connect to us, as far as we know: a LINK to it may be of use. */
  #cannotConnect(record: PeerRecord): void {
    if (!this.#hasConnected(record) && record.can.includes(LINKS)) this.#wanted.add(record.peerId);
  }

  #hasConnected({ peerId }: PeerRecord): boolean {
    return this.state.nowMs - (this.#connected.get(peerId) ?? -Infinity) < CONNECTED_MS;
  }

  /** The peer connected to us, so it does not need a LINK. */
  #connects({ peerId }: PeerRecord): void {
    this.#connected.set(peerId, this.state.nowMs);
    this.#wanted.delete(peerId);
    this.#report(peerId, undefined);
    if (!this.#own.has(peerId)) return;
    this.#left.add(peerId, this.state.nowMs);
    this.#unlink(peerId);
  }

  #onAnswer(own: OwnLink, { ext }: Link): void {
    const { state } = this;
    const { peerId } = own;
    const isFirst = own.heardMs === undefined;
    own.heardMs = state.nowMs;
    this.#report(peerId, ext?.seen);
    if (ext?.links !== undefined) {
      this.#crowds.set(peerId, { links: ext.links, atMs: state.nowMs });
    }
    if (ext?.seen?.outcome === "reached") {
      const record = state.membership.get(peerId);
      if (record) this.#connects(record);
      return;
    }
    if (this.#isTooMany(ext?.links ?? 0, isFirst)) return this.#unlink(peerId);
    if (!isFirst) return;
    state.tell({ name: "linked", peerId });
    this.#tellVia();
  }

  /** Returns whether to leave a peer with so many LINKs to others. Of those that are there already, a few leave at a time. */
  #isTooMany(links: number, isFirst: boolean): boolean {
    const tooMany = links - CROWDED_LINKS;
    if (tooMany <= 0 || (this.via.length <= 1 && !this.#candidate(true))) return false;
    return isFirst || this.state.random() < 2 * tooMany / links;
  }

  /** Returns a peer to open a LINK to. `isFree`: only one that is not known to have many. */
  #candidate(isFree = false): PeerRecord | undefined {
    const { membership, nowMs } = this.state;
    if (this.#wanted.size === 0) return undefined;
    // Where one peer cannot connect to us, others that have not done so probably cannot either.
    const all = [...membership.all()].filter((record) =>
      record.proven && record.can.includes(LINKS) && !this.#own.has(record.peerId) &&
      !this.#left.has(record.peerId, nowMs) && !this.#hasConnected(record)
    );
    const crowd = ({ peerId }: PeerRecord) => {
      const { links, atMs } = this.#crowds.get(peerId) ?? { links: 0, atMs: nowMs };
      return nowMs - atMs < CROWD_MS ? links : 0;
    };
    const least = Math.min(...all.map(crowd));
    if (isFree && least > CROWDED_LINKS) return undefined;
    const best = all.filter((record) => crowd(record) === least);
    return best[Math.floor(this.state.random() * best.length)];
  }

  #open({ peerId, address, voucher }: PeerRecord): void {
    const { nowMs } = this.state;
    const own = {
      peerId,
      connection: undefined,
      sinceMs: nowMs,
      heardMs: undefined,
      saidMs: nowMs,
    };
    this.#own.set(peerId, own);
    const bytes = encodeMessage(this.#link({ links: this.via.length }));
    this.state.emit({ kind: "link", peerId, to: address, voucher, bytes });
  }

  /** Closes a LINK of ours, if there is one. */
  #unlink(peerId: string): void {
    const own = this.#own.get(peerId);
    if (!own) return;
    this.#hangUp(own.connection);
    this.#drop(peerId);
  }

  /** A LINK of ours is no longer there. */
  #drop(peerId: string, mayReturn = false): void {
    const own = this.#own.get(peerId);
    if (!this.#own.delete(peerId)) return;
    if (!mayReturn) this.#left.add(peerId, this.state.nowMs);
    if (own?.heardMs === undefined) return;
    this.state.tell({ name: "unlinked", peerId });
    this.#tellVia();
  }

  #tellVia(): void {
    const via = this.via.sort();
    if (via.join("\n") === this.#via) return;
    this.#via = via.join("\n");
    this.hooks.changed(via);
  }

  #ownAt(connection: number): OwnLink | undefined {
    for (const own of this.#own.values()) if (own.connection === connection) return own;
    return undefined;
  }

  #report(peerId: string, seen: Seen | undefined): void {
    const before = this.#reports.get(peerId);
    if (seen) this.#reports.set(peerId, { peerId, ...seen });
    else this.#reports.delete(peerId);
    if (before?.outcome === seen?.outcome && before?.ip === seen?.ip) return;
    this.state.tell({ name: "reach-changed" });
  }

  /** Returns whether there is room for a LINK of this peer. It may replace its own. */
  #mayLink({ peerId }: PeerRecord, ip: string): boolean {
    const { ways, config: { limits: { maxConnections, maxConnectionsPerAddress } } } = this.state;
    if (ways.linkOf(peerId) !== undefined) return true;
    let there = 0;
    for (const [, each] of ways.linked()) if (each === ip) there++;
    const hasRoom = ways.links < maxConnections * LINK_SHARE &&
      there < maxConnectionsPerAddress * LINK_SHARE;
    if (!hasRoom) this.state.overload("links-refused");
    return hasRoom;
  }

  /** Answers a LINK. */
  #tellSeen(record: PeerRecord, ip: string): void {
    const { ways } = this.state;
    const outcome: DialOutcome | undefined = ways.outcomeOf(record);
    const connection = ways.linkOf(record.peerId)!;
    const seen = outcome ? { ip, outcome } : { ip };
    this.#say(connection, this.#link({ seen, links: ways.links }));
  }

  #link(more: { readonly seen?: Seen; readonly links?: number } = {}): Link {
    const { self, ext } = this.state;
    return { type: "LINK", ...self, ext: { ...ext, ...more } };
  }

  /** Dials the peers that keep a LINK to us now and then, one at a time: it is not needed if they can be dialed. */
  #look(): void {
    const { state } = this;
    const { ways, nowMs } = state;
    let next: PeerRecord | undefined;
    for (const [record, ip] of ways.linked()) {
      if (!isFrom(record, ip)) {
        // It speaks from its own address now, so whoever keeps this LINK is somebody else.
        this.#hangUp(ways.linkOf(record.peerId));
      } else if (this.#isDue(record) && !(next && ways.dialedMs(next) <= ways.dialedMs(record))) {
        next = record;
      }
    }
    // Each may take seconds, and others must not wait for many of them.
    if (!next || nowMs < this.#nextProbeMs) return;
    this.#nextProbeMs = nowMs + PROBE_PAUSE_MS;
    if (!state.mayDial(next)) return;
    const { peerId, address, voucher } = next;
    this.#secondLooks.delete(peerId);
    ways.dialing(peerId, nowMs);
    state.emit({ kind: "probe", peerId, to: address, voucher });
  }

  #isDue(record: PeerRecord): boolean {
    const agoMs = this.state.nowMs - this.state.ways.dialedMs(record);
    if (this.#secondLooks.has(record.peerId)) return agoMs >= SECOND_LOOK_MS;
    // Where nothing comes from the advertised address, whoever answers there may be anybody.
    return agoMs >= (record.proven ? REDIAL_MS : REDIAL_UNPROVEN_MS);
  }

  /** Passes a connection on to a peer that keeps a LINK to us. */
  #relay(to: string, ip: string, connection: number): void {
    const { state } = this;
    const link = state.ways.linkOf(to);
    const count = (key: string) => this.#relayed.get(key) ?? 0;
    const [asker, asked] = [`from ${ip}`, `to ${to}`];
    const hasRoom = this.#relaying < MAX_RELAYED && count(asker) < MAX_RELAYED_PER_PEER &&
      count(asked) < MAX_RELAYED_PER_PEER;
    if (!hasRoom) state.overload("relays-refused");
    if (link === undefined || !hasRoom || state.config.isRelay === false) {
      return this.#hangUp(connection);
    }
    this.#relaying++;
    for (const key of [asker, asked]) this.#relayed.set(key, count(key) + 1);
    const bytes = encodeMessage({ type: "CONNECT", to, ext: state.ext });
    state.emit({ kind: "relay", key: `${asker}\n${asked}`, connection, link, bytes });
  }

  #say(connection: number, message: Link): void {
    this.state.emit({ kind: "say", connection, what: message.type, bytes: encodeMessage(message) });
  }

  #hangUp(connection: number | undefined): void {
    if (connection !== undefined) this.state.emit({ kind: "hang-up", connection });
  }
}
