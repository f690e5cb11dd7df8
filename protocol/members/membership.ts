// Membership: the tracked peers, their addresses, and when each was last heard from. PURE.
// Invariants: one record per peerId; at most `maxPeers` records, and at most `maxPeersPerAddress` on one machine; the
// address of a live peer changes only by the rules of `hear` and `reached`; a peer silent for `timeoutMs` is dropped.

import {
  type Address,
  canonicalHost,
  canonicalIp,
  isLoopback,
  type Voucher,
} from "../wire/address.ts";
import type { Ext } from "../wire/ext.ts";

/** Read-only view of a tracked peer. Only `Membership` changes it. */
export type PeerRecord =
  & Readonly<Omit<TrackedPeer, "heardFrom" | "spokeFrom">>
  & { readonly heardFrom: ReadonlySet<string>; readonly spokeFrom: ReadonlySet<string> };

/** A tracked peer, as `Membership` keeps it. Times are in milliseconds on the monotonic clock. */
export interface TrackedPeer {
  /** Its name. */
  readonly peerId: string;
  /** The address where it says it listens. */
  address: Address;
  /** Where the message that named the address came from: this machine or elsewhere. */
  voucher: Voucher;
  /** The IP address that `address` leads to; for a host name, known after the first successful dial. */
  ip: string | undefined;
  /**
   * Further IP addresses of its machine (`Ext.also`). If it is proven, it said so itself, and what comes from them comes from the
   * peer; otherwise they are hearsay.
   */
  also: readonly string[];
  /** IP addresses from which messages in its name came, the latest last; at most four. */
  readonly heardFrom: Set<string>;
  /** Those from which it spoke itself: the message was of a kind that peers never forward, or it came from `ip`. */
  readonly spokeFrom: Set<string>;
  /** Whether a message in its name came from `ip`. */
  proven: boolean;
  /**
   * The IP address from which it keeps a LINK to us, if that is not `ip` and nothing has come from there: it is behind a router that
   * others cannot see behind.
   */
  linkIp: string | undefined;
  /** Its public key (`Ext.node`). */
  node: string | undefined;
  /** Whether the key came from `ip` and not from somebody else. */
  nodeProven: boolean;
  /** Its current run (`Ext.boot`); set for peers that remember the lists they receive. */
  boot: string | undefined;
  /** Whether it sends `ext`. */
  extended: boolean;
  /** What it can do beyond the protocol (`Ext.can`), by its own word from its own address. */
  can: readonly string[];
  /** Whether it is a bootstrap that the operator configured. */
  bootstrap: boolean;
  /** When it was first heard from. */
  firstHeardMs: number;
  /** When it was last heard from. */
  lastHeardMs: number;
  /** Number of refused messages from its address while it was the only peer there. */
  refusals: number;
  /** Address of another peer that now uses the same name. */
  rival: Address | undefined;
  /** IP address from which the rival's message came. */
  rivalIp: string | undefined;
  /** When the rival was last heard from. */
  rivalMs: number;
}

/** What a peer says about itself in a message. */
export interface Claim {
  /** Its name. */
  readonly peerId: string;
  /** The address where it says it listens: the one that the message came from, if it names several. */
  readonly address: Address;
  /** Further IP addresses of its machine, where it says it listens on the same port. */
  readonly also: readonly string[];
  /** Its extensions, if it has any. */
  readonly ext: Ext | undefined;
  /** IP address from which the message came. */
  readonly ip: string;
  /** Whether peers forward messages of this kind (GOSSIP), so that it may come from another peer than its sender. */
  readonly isForwardable: boolean;
}

/** What `Membership.hear` made of a claim. */
export type Hearing =
  /** The peer is now tracked; `evicted` had to make space for it. */
  | {
    readonly outcome: "new";
    readonly record: PeerRecord;
    readonly evicted: PeerRecord | undefined;
  }
  /** The peer was tracked at the same address. `isRestarted`: it has restarted since it was last heard from. */
  | { readonly outcome: "known"; readonly record: PeerRecord; readonly isRestarted: boolean }
  /** The peer was tracked at address `old`. */
  | { readonly outcome: "moved"; readonly record: PeerRecord; readonly old: Address }
  /** The name belongs to a live peer at another address; the caller probes that address before anything changes. */
  | { readonly outcome: "conflict"; readonly record: PeerRecord }
  /** A limit on the number of peers is reached. */
  | { readonly outcome: "full" };

/** The limits of a membership. */
export interface MembershipBounds {
  /** Maximum number of tracked peers. */
  readonly maxPeers: number;
  /** Maximum number of tracked peers on one machine. */
  readonly maxPeersPerAddress: number;
  /** Silence after which a peer is dropped, in milliseconds. The protocol says 60 s. */
  readonly timeoutMs: number;
}

/** Number of random draws per requested record, before falling back to looking at all records. */
const DRAWS_PER_PICK = 4;
/** Maximum number of IP addresses from which one peer's messages may come: a machine has only a few interfaces. */
const MAX_HEARD_FROM = 4;

const NOTHING: readonly string[] = [];

/** The tracked peers. */
export class Membership {
  readonly #records = new Map<string, TrackedPeer>();
  readonly #perMachine = new Map<string, number>();
  /** The records as an array for random draws, rebuilt after a change. */
  #list: readonly TrackedPeer[] | undefined;

  /** Creates an empty membership. `isBootstrap` returns whether the operator configured an address as a bootstrap. */
  constructor(
    readonly bounds: MembershipBounds,
    readonly isBootstrap: (address: Address) => boolean,
  ) {}

  /** Number of tracked peers. */
  get size(): number {
    return this.#records.size;
  }

  /** Returns a tracked peer by name. */
  get(peerId: string): PeerRecord | undefined {
    return this.#records.get(peerId);
  }

  /** Returns all tracked peers, in the order in which they appeared. */
  all(): IterableIterator<PeerRecord> {
    return this.#records.values();
  }

  /** Returns whether a tracked peer is on this machine. */
  knowsMachine(ip: string): boolean {
    return this.#perMachine.has(ip);
  }

  /** Returns the only tracked peer on this machine, or `undefined` if there are none or several. */
  soleAt(ip: string): PeerRecord | undefined {
    return this.#soleAt(ip);
  }

  /**
   * Handles a message in which a peer names itself: tracks it and counts the message as a sign of life, or says why
   * not. A live peer keeps its address unless the claim carries the same key; a silent peer loses it to the claim.
   */
  hear(claim: Claim, nowMs: number): Hearing {
    const record = this.#records.get(claim.peerId);
    if (!record) return this.#add(claim, nowMs);
    if (this.#isSameAddress(record, claim)) {
      if (!isProven(record)) this.#spokeFrom(record, claim);
      const { boot } = record;
      this.#refresh(record, claim, nowMs);
      return { outcome: "known", record, isRestarted: boot !== record.boot };
    }
    // A key that others told us of proves nothing: whoever told us could be the one who claims the name now.
    if (
      (record.nodeProven && isSameKey(record, claim)) ||
      nowMs - record.lastHeardMs >= this.bounds.timeoutMs
    ) {
      if (!this.hasRoomAt(claim.address, record)) return { outcome: "full" };
      const old = record.address;
      this.move(record, claim.address, claim.ip);
      this.#refresh(record, claim, nowMs);
      return { outcome: "moved", record, old };
    }
    record.rival = claim.address;
    record.rivalIp = claim.ip;
    record.rivalMs = nowMs;
    return { outcome: "conflict", record };
  }

  /** Returns whether one more peer, or `mover` if it is given, fits on the machine at this address. */
  hasRoomAt(address: Address, mover?: PeerRecord): boolean {
    const machine = canonicalHost(address.host);
    if (mover && machineOf(mover) === machine) return true;
    const there = this.#perMachine.get(machine) ?? 0;
    return there < this.bounds.maxPeersPerAddress;
  }

  /**
   * Gives a peer another address, because the old one did not answer or the key is the same. `fromIp` is where the
   * claim came from. The caller must have checked `hasRoomAt`.
   */
  move({ peerId }: PeerRecord, address: Address, fromIp: string): void {
    const record = this.#records.get(peerId);
    if (!record) return;
    this.#count(machineOf(record), -1);
    record.address = address;
    record.ip = canonicalIp(address.host);
    record.also = NOTHING;
    record.voucher = isLoopback(fromIp) ? "local" : "remote";
    record.heardFrom.clear();
    record.heardFrom.add(fromIp);
    record.spokeFrom.clear();
    record.proven = record.ip === fromIp;
    record.linkIp = undefined;
    record.nodeProven &&= record.proven;
    record.bootstrap = this.#takesBootstrap(address, record.proven);
    record.rival = record.rivalIp = undefined;
    this.#count(machineOf(record), 1);
  }

  /**
   * Notes that a dial to this peer led to `ip`. If that is one of its further addresses, from which it has spoken too, it becomes
   * the first one to dial. Returns false, and drops the peer, if too many peers are there already.
   */
  reached({ peerId }: PeerRecord, ip: string): boolean {
    const record = this.#records.get(peerId);
    if (!record) return false;
    if (record.ip === ip) return true;
    if (record.also.includes(ip)) {
      if (record.spokeFrom.has(ip)) this.#prefer(record, ip);
      return true;
    }
    if ((this.#perMachine.get(ip) ?? 0) >= this.bounds.maxPeersPerAddress) {
      this.#remove(record);
      return false;
    }
    this.#count(machineOf(record), -1);
    record.ip = ip;
    record.proven = record.heardFrom.has(ip);
    record.also = NOTHING; // whoever named them may not be who answered; the peer names its own again
    this.#count(machineOf(record), 1);
    return true;
  }

  /**
   * Notes that the peer keeps a LINK from this address. Returns false if its name belongs to a peer elsewhere: one whose own
   * address is known, or that has a LINK.
   */
  linked({ peerId }: PeerRecord, ip: string): boolean {
    const record = this.#records.get(peerId);
    if (!record) return false;
    if (isFrom(record, ip)) return true;
    if (isProven(record)) return false;
    record.linkIp = ip;
    record.nodeProven = false; // what was said of the key came from others
    return true;
  }

  /** Notes that the peer no longer keeps a LINK. */
  unlinked(peerId: string): void {
    const record = this.#records.get(peerId);
    if (record) record.linkIp = undefined;
  }

  /** Counts any other message in a tracked peer's name as a sign of life, if it came from one of its addresses. */
  alive(peerId: string, ip: string, nowMs: number): void {
    const record = this.#records.get(peerId);
    if (record && (record.ip === undefined || record.ip === ip || record.heardFrom.has(ip))) {
      record.lastHeardMs = nowMs;
    }
  }

  /** Counts a message without a name as a sign of life of the only peer on the machine that it came from, if any. */
  aliveAt(ip: string, nowMs: number): void {
    const record = this.#soleAt(ip);
    if (record) record.lastHeardMs = nowMs;
  }

  /**
   * Counts a refused message against the only peer on the machine that it came from. If there are several, we cannot
   * tell which one sent it, and none is blamed.
   */
  refusedFrom(ip: string): void {
    const record = this.#soleAt(ip);
    if (record) record.refusals++;
  }

  /** Counts something refused that a peer sent on a connection that we opened to it. */
  refusedOf(peerId: string): void {
    const record = this.#records.get(peerId);
    if (record) record.refusals++;
  }

  /** Marks a proven peer as a bootstrap, because a configured address led to it. */
  promote(peerId: string): void {
    const record = this.#records.get(peerId);
    if (record?.proven) record.bootstrap = true;
  }

  /** Drops the peers that have been silent for the timeout, and returns them. */
  expire(nowMs: number): PeerRecord[] {
    const gone: PeerRecord[] = [];
    for (const record of this.#records.values()) {
      if (nowMs - record.lastHeardMs < this.bounds.timeoutMs) continue;
      this.#remove(record);
      gone.push(record);
    }
    return gone;
  }

  /** Returns up to `count` random peers among those that pass. */
  pick(
    count: number,
    random: () => number,
    passes: (record: PeerRecord) => boolean,
  ): PeerRecord[] {
    this.#list ??= [...this.#records.values()];
    // A few draws nearly always suffice; look at all records only if few of them pass.
    const drawn = new Set<PeerRecord>();
    for (let draws = 0; draws < DRAWS_PER_PICK * count && drawn.size < count; draws++) {
      const record = this.#list[Math.floor(random() * this.#list.length)];
      if (record && passes(record)) drawn.add(record);
    }
    if (drawn.size === count) return [...drawn];
    return shuffleFront(this.#list.filter(passes), count, random);
  }

  #add(claim: Claim, nowMs: number): Hearing {
    const { address } = claim;
    const proven = canonicalIp(address.host) === claim.ip;
    const bootstrap = this.#takesBootstrap(address, proven);
    if (!bootstrap && !this.hasRoomAt(address)) return { outcome: "full" };
    let evicted: PeerRecord | undefined;
    if (this.#records.size >= this.bounds.maxPeers) {
      evicted = bootstrap || proven ? this.#makeRoom(bootstrap && proven, address) : undefined;
      if (!evicted) return { outcome: "full" };
    }
    const record: TrackedPeer = {
      peerId: claim.peerId,
      address,
      voucher: isLoopback(claim.ip) ? "local" : "remote",
      ip: canonicalIp(address.host),
      also: NOTHING,
      heardFrom: new Set(),
      spokeFrom: new Set(),
      proven: false,
      linkIp: undefined,
      node: undefined,
      nodeProven: false,
      boot: undefined,
      extended: false,
      can: NOTHING,
      bootstrap,
      firstHeardMs: nowMs,
      lastHeardMs: nowMs,
      refusals: 0,
      rival: undefined,
      rivalIp: undefined,
      rivalMs: 0,
    };
    this.#records.set(claim.peerId, record);
    this.#list = undefined;
    this.#count(machineOf(record), 1);
    this.#refresh(record, claim, nowMs);
    return { outcome: "new", record, evicted };
  }

  /**
   * Evicts the newest peer whose address is unproven. If there is none, evicts the newest one on the most crowded
   * machine, if that has more than 2n + 1 peers, where n is the number on the newcomer's machine; for a bootstrap,
   * the newest of all.
   */
  #makeRoom(isBootstrap: boolean, { host }: Address): TrackedPeer | undefined {
    let newest: TrackedPeer | undefined;
    for (const record of this.#records.values()) {
      if (!record.bootstrap && !record.proven) newest = record;
    }
    if (!newest) {
      let most = 2 * (this.#perMachine.get(canonicalHost(host)) ?? 0) + 1;
      let crowded: string | undefined;
      for (const [machine, peers] of this.#perMachine) {
        if (peers > most) [most, crowded] = [peers, machine];
      }
      for (const record of crowded === undefined ? [] : this.#records.values()) {
        if (!record.bootstrap && machineOf(record) === crowded) newest = record;
      }
    }
    if (!newest && isBootstrap) {
      for (const record of this.#records.values()) if (!record.bootstrap) newest = record;
    }
    if (newest) this.#remove(newest);
    return newest;
  }

  /**
   * Returns whether a peer at this address becomes the bootstrap that the operator configured. There is one at a time:
   * anybody can claim the address, so a peer that speaks from it replaces one that does not.
   */
  #takesBootstrap(address: Address, proven: boolean): boolean {
    if (!this.isBootstrap(address)) return false;
    for (const record of this.#records.values()) {
      if (!record.bootstrap || !sameAddress(record.address, address)) continue;
      if (record.proven || !proven) return false;
      record.bootstrap = false;
    }
    return true;
  }

  #isSameAddress(record: PeerRecord, claim: Claim): boolean {
    if (sameAddress(record.address, claim.address)) return true;
    if (record.address.port !== claim.address.port || record.ip === undefined) return false;
    // One machine with two host names: the claim comes from where the old address leads. Or one with two addresses: it names the
    // other, which anybody could, so it has to be of the same key.
    return record.ip === claim.ip || (claim.also.includes(record.ip) && isSameKey(record, claim));
  }

  /** If this unproven peer speaks from one of the addresses that it names, that is the one to dial. */
  #spokeFrom(record: TrackedPeer, claim: Claim): void {
    if (canonicalIp(claim.address.host) === claim.ip) this.#prefer(record, claim.ip);
  }

  /** Makes one of a peer's addresses the first one to dial, unless too many peers are there. */
  #prefer(record: TrackedPeer, ip: string): void {
    const old = record.ip;
    const address = { host: ip, port: record.address.port };
    if (old === ip || !this.hasRoomAt(address, record)) return;
    this.#count(machineOf(record), -1);
    record.also = others([old, ...record.also], ip);
    record.address = address;
    record.ip = ip;
    this.#count(machineOf(record), 1);
  }

  #refresh(record: TrackedPeer, claim: Claim, nowMs: number): void {
    const { address, also, ext, ip } = claim;
    record.lastHeardMs = nowMs;
    note(record.heardFrom, ip);
    if (!claim.isForwardable || record.ip === ip) note(record.spokeFrom, ip);
    record.proven ||= record.ip === ip;
    if (record.proven) record.linkIp = undefined;
    const fromItself = isFrom(record, ip);
    if (fromItself || !isProven(record)) {
      record.also = others(
        also.length === 0 ? also : [canonicalIp(address.host), ...also],
        record.ip,
      );
    }
    // Until it is heard from itself, the word of others is better than none: a peer that cannot be dialed is first heard of
    // through them.
    if (fromItself || !isProven(record)) record.can = ext?.can ?? NOTHING;
    // A message from elsewhere in its name does not remove the extensions that it proved to have.
    if (fromItself || ext !== undefined || !record.nodeProven) {
      record.extended = ext !== undefined;
      record.boot = ext?.boot;
    }
    // A key from elsewhere does not replace the one from the peer itself.
    if (ext?.node !== undefined && (fromItself || !record.nodeProven)) {
      record.node = ext.node;
      record.nodeProven = fromItself;
    }
  }

  #soleAt(ip: string): TrackedPeer | undefined {
    if (this.#perMachine.get(ip) !== 1) return undefined;
    for (const record of this.#records.values()) if (machineOf(record) === ip) return record;
    return undefined;
  }

  #remove(record: TrackedPeer): void {
    this.#records.delete(record.peerId);
    this.#list = undefined;
    this.#count(machineOf(record), -1);
  }

  #count(machine: string, by: number): void {
    const count = (this.#perMachine.get(machine) ?? 0) + by;
    if (count > 0) this.#perMachine.set(machine, count);
    else this.#perMachine.delete(machine);
  }
}

/** Adds an IP address as the latest one. */
function note(ips: Set<string>, ip: string): void {
  ips.delete(ip);
  ips.add(ip);
  if (ips.size > MAX_HEARD_FROM) ips.delete(ips.values().next().value!);
}

/** Returns whether a claim carries the key that we know of the peer, from whomever. */
function isSameKey(record: PeerRecord, claim: Claim): boolean {
  return record.node !== undefined && record.node === claim.ext?.node;
}

function others(ips: readonly (string | undefined)[], than: string | undefined): string[] {
  return ips.filter((ip) => ip !== undefined && ip !== than) as string[];
}

/** Returns the machine of a peer: its IP address if known, otherwise its host name. */
export function machineOf(record: PeerRecord): string {
  return record.ip ?? canonicalHost(record.address.host);
}

/**
 * Returns whether the peer was heard from the address that it names, or keeps a LINK to us. The source of a TCP connection
 * cannot be forged, so what we send there goes to the peer that asked for it.
 */
export function isProven(record: PeerRecord): boolean {
  return record.proven || record.linkIp !== undefined;
}

/** Returns whether a message from this IP address, in the peer's name, comes from the peer itself. */
export function isFrom(record: PeerRecord, ip: string): boolean {
  return record.ip === ip || record.linkIp === ip || (record.proven && record.also.includes(ip));
}

/** Returns whether two addresses differ only in spelling. Host names are not resolved. */
export function sameAddress(a: Address | undefined, b: Address): boolean {
  return a !== undefined && a.port === b.port && canonicalHost(a.host) === canonicalHost(b.host);
}

/** Returns `count` random items (or all, if fewer) in random order. Reorders `items` in place. */
export function shuffleFront<T>(items: T[], count: number, random: () => number): T[] {
  const wanted = Math.min(count, items.length);
  for (let i = 0; i < wanted; i++) {
    const j = i + Math.floor(random() * (items.length - i));
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items.slice(0, wanted);
}
