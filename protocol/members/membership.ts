// The tracker of peers: who is there, at which address, heard when. PURE.
// One record per peerId. Always holds: at most `maxPeers` records, at most `maxPeersPerAddress` at one
// machine; a live peer's address changes only by the rules of `hear`; silence for `timeoutMs` ends a record.

import {
  type Address,
  canonicalHost,
  canonicalIp,
  isLoopback,
  type Voucher,
} from "../wire/address.ts";
import type { Ext } from "../wire/message.ts";

/** A tracked peer, as everybody but this file sees it. Only `Membership` writes to it. */
export type PeerRecord =
  & Readonly<Omit<TrackedPeer, "heardFrom">>
  & { readonly heardFrom: ReadonlySet<string> };

interface TrackedPeer {
  readonly peerId: string;
  address: Address;
  voucher: Voucher;
  /** Where the address leads: a literal one at once, a name after the first dial that succeeded. */
  ip: string | undefined;
  /** Addresses that messages in this peer's name came from, the latest last; at most four. */
  readonly heardFrom: Set<string>;
  /** A message in its name came from where the address leads. */
  proven: boolean;
  node: string | undefined;
  /** The peer told the key itself, from where it is. */
  nodeProven: boolean;
  /** Set for peers with extensions that remember lists between their starts. */
  boot: string | undefined;
  extended: boolean;
  bootstrap: boolean;
  firstHeardMs: number;
  lastHeardMs: number;
  /** Messages refused that came from its address while no other peer was known there. */
  refusals: number;
  /** Somebody else who uses this name now. */
  rival: Address | undefined;
  /** Where the rival's message came from. */
  rivalIp: string | undefined;
  /** When the rival was heard last. */
  rivalMs: number;
}

/** How a peer names itself in a message. */
export interface Claim {
  readonly peerId: string;
  readonly address: Address;
  readonly ext: Ext | undefined;
  /** Where the message came from. */
  readonly ip: string;
}

export type Hearing =
  | {
    readonly outcome: "new";
    readonly record: PeerRecord;
    readonly evicted: PeerRecord | undefined;
  }
  /** `isRestarted`: it says that it started anew since it was heard last. */
  | { readonly outcome: "known"; readonly record: PeerRecord; readonly isRestarted: boolean }
  | { readonly outcome: "moved"; readonly record: PeerRecord; readonly old: Address }
  /** The name belongs to a live peer elsewhere: the caller asks that address before anything changes. */
  | { readonly outcome: "conflict"; readonly record: PeerRecord }
  | { readonly outcome: "full" };

export interface MembershipBounds {
  readonly maxPeers: number;
  readonly maxPeersPerAddress: number;
  readonly timeoutMs: number;
}

/** Draws for each record that is picked, before everybody is looked at. */
const DRAWS_PER_PICK = 4;
/** Addresses from which one peer's messages may come: a few interfaces of one machine. */
const MAX_HEARD_FROM = 4;

export class Membership {
  readonly #records = new Map<string, TrackedPeer>();
  readonly #perMachine = new Map<string, number>();
  /** The records as a list, for drawing; made anew after a change. */
  #list: readonly TrackedPeer[] | undefined;

  constructor(
    readonly bounds: MembershipBounds,
    readonly isBootstrap: (address: Address) => boolean,
  ) {}

  get size(): number {
    return this.#records.size;
  }

  get(peerId: string): PeerRecord | undefined {
    return this.#records.get(peerId);
  }

  all(): IterableIterator<PeerRecord> {
    return this.#records.values();
  }

  /** Whether some tracked peer is at this machine. */
  knowsMachine(ip: string): boolean {
    return this.#perMachine.has(ip);
  }

  /** The only tracked peer at this machine; undefined when there are none or several. */
  soleAt(ip: string): PeerRecord | undefined {
    return this.#soleAt(ip);
  }

  /**
   * A peer named itself. Tracks it, counts it as life, or says why not.
   * A live peer keeps its address unless the claim carries the same key; a silent one loses it.
   */
  hear(claim: Claim, nowMs: number): Hearing {
    const record = this.#records.get(claim.peerId);
    if (!record) return this.#add(claim, nowMs);
    if (this.#isSameAddress(record, claim)) {
      const { boot } = record;
      this.#refresh(record, claim, nowMs);
      return { outcome: "known", record, isRestarted: boot !== record.boot };
    }
    const sameKey = record.node !== undefined && record.node === claim.ext?.node;
    if (sameKey || nowMs - record.lastHeardMs >= this.bounds.timeoutMs) {
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

  /** Whether one more peer, or this one by moving, may be at the machine of this address. */
  hasRoomAt(address: Address, mover?: PeerRecord): boolean {
    const machine = canonicalHost(address.host);
    if (mover && machineOf(mover) === machine) return true;
    const there = this.#perMachine.get(machine) ?? 0;
    return there < this.bounds.maxPeersPerAddress;
  }

  /**
   * Gives a peer another address: the old one did not answer, or the key is the same. `fromIp` is where
   * that was told from. The caller has asked `hasRoomAt`.
   */
  move({ peerId }: PeerRecord, address: Address, fromIp: string): void {
    const record = this.#records.get(peerId);
    if (!record) return;
    this.#count(machineOf(record), -1);
    record.address = address;
    record.ip = canonicalIp(address.host);
    record.voucher = isLoopback(fromIp) ? "local" : "remote";
    record.heardFrom.clear();
    record.heardFrom.add(fromIp);
    record.proven = record.ip === fromIp;
    record.nodeProven &&= record.proven;
    record.bootstrap = this.#takesBootstrap(address, record.proven);
    record.rival = record.rivalIp = undefined;
    this.#count(machineOf(record), 1);
  }

  /** A dial to this peer led to `ip`. False when there are too many peers already, and it is dropped. */
  reached({ peerId }: PeerRecord, ip: string): boolean {
    const record = this.#records.get(peerId);
    if (!record) return false;
    if (record.ip === ip) return true;
    if ((this.#perMachine.get(ip) ?? 0) >= this.bounds.maxPeersPerAddress) {
      this.#remove(record);
      return false;
    }
    this.#count(machineOf(record), -1);
    record.ip = ip;
    record.proven = record.heardFrom.has(ip);
    this.#count(machineOf(record), 1);
    return true;
  }

  /** Any other message in a tracked peer's name counts as life, when it comes from where the peer is. */
  alive(peerId: string, ip: string, nowMs: number): void {
    const record = this.#records.get(peerId);
    if (record && (record.ip === undefined || record.ip === ip || record.heardFrom.has(ip))) {
      record.lastHeardMs = nowMs;
    }
  }

  /** A message without a name counts as life of the only peer at the machine that it came from. */
  aliveAt(ip: string, nowMs: number): void {
    const record = this.#soleAt(ip);
    if (record) record.lastHeardMs = nowMs;
  }

  /**
   * Counts a refused message against the only peer at the machine that it came from. Whose process it was where there are
   * several is not known, and nobody is blamed.
   */
  refusedFrom(ip: string): void {
    const record = this.#soleAt(ip);
    if (record) record.refusals++;
  }

  /** Counts what a peer delivered, on a connection that we opened to it, and that was refused. */
  refusedOf(peerId: string): void {
    const record = this.#records.get(peerId);
    if (record) record.refusals++;
  }

  /** Gives a peer the rank of a bootstrap: it is where a configured one led. */
  promote(peerId: string): void {
    const record = this.#records.get(peerId);
    if (record?.proven) record.bootstrap = true;
  }

  /** Drops whoever was silent for too long, and returns them. */
  expire(nowMs: number): PeerRecord[] {
    const gone: PeerRecord[] = [];
    for (const record of this.#records.values()) {
      if (nowMs - record.lastHeardMs < this.bounds.timeoutMs) continue;
      this.#remove(record);
      gone.push(record);
    }
    return gone;
  }

  /** Up to `count` records by lot among those that pass. */
  pick(
    count: number,
    random: () => number,
    passes: (record: PeerRecord) => boolean,
  ): PeerRecord[] {
    this.#list ??= [...this.#records.values()];
    // Nearly always a few draws do; looking at everybody is for when hardly anyone passes.
    const drawn = new Set<PeerRecord>();
    for (let draws = 0; draws < DRAWS_PER_PICK * count && drawn.size < count; draws++) {
      const record = this.#list[Math.floor(random() * this.#list.length)];
      if (record && passes(record)) drawn.add(record);
    }
    if (drawn.size === count) return [...drawn];
    return shuffleFront(this.#list.filter(passes), count, random);
  }

  #add(claim: Claim, nowMs: number): Hearing {
    const proven = canonicalIp(claim.address.host) === claim.ip;
    const bootstrap = this.#takesBootstrap(claim.address, proven);
    if (!bootstrap && !this.hasRoomAt(claim.address)) return { outcome: "full" };
    let evicted: PeerRecord | undefined;
    if (this.#records.size >= this.bounds.maxPeers) {
      evicted = bootstrap || proven
        ? this.#makeRoom(bootstrap && proven, claim.address)
        : undefined;
      if (!evicted) return { outcome: "full" };
    }
    const record: TrackedPeer = {
      peerId: claim.peerId,
      address: claim.address,
      voucher: isLoopback(claim.ip) ? "local" : "remote",
      ip: canonicalIp(claim.address.host),
      heardFrom: new Set(),
      proven: false,
      node: undefined,
      nodeProven: false,
      boot: undefined,
      extended: false,
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
   * The newest peer that did not prove where it is gives up its place. Where there is none, the newest one of the
   * machine that has the most, if it has many more than the newcomer's; for a bootstrap, any newest one.
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
   * Whether a peer at this address is the bootstrap that the operator named. One at a time is: anybody may
   * name the address, so who speaks from there takes the rank from who does not.
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
    // One machine under two names: the claim comes from where the old address leads.
    return record.address.port === claim.address.port && record.ip !== undefined &&
      record.ip === claim.ip;
  }

  #refresh(record: TrackedPeer, { ext, ip }: Claim, nowMs: number): void {
    record.lastHeardMs = nowMs;
    record.heardFrom.delete(ip);
    record.heardFrom.add(ip);
    if (record.heardFrom.size > MAX_HEARD_FROM) {
      record.heardFrom.delete(record.heardFrom.values().next().value!);
    }
    const fromItself = record.ip === ip;
    record.proven ||= fromItself;
    // What others say in its name does not make it forget its extensions.
    if (fromItself || ext !== undefined || !record.nodeProven) {
      record.extended = ext !== undefined;
      record.boot = ext?.boot;
    }
    // What others tell of its key does not replace what it told itself.
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

/** The machine of a peer: its IP address where it is known, else the name. */
export function machineOf(record: PeerRecord): string {
  return record.ip ?? canonicalHost(record.address.host);
}

/**
 * Whether the peer was heard from the address that it names: a TCP connection from there cannot be
 * forged, so what is sent there is sent to who asked for it.
 */
export function isProven(record: PeerRecord): boolean {
  return record.proven;
}

/** Whether two addresses are the same text but for spelling. */
export function sameAddress(a: Address | undefined, b: Address): boolean {
  return a !== undefined && a.port === b.port && canonicalHost(a.host) === canonicalHost(b.host);
}

/** The first `count` of `items` in random order; the array is shuffled in place as far as needed. */
export function shuffleFront<T>(items: T[], count: number, random: () => number): T[] {
  const wanted = Math.min(count, items.length);
  for (let i = 0; i < wanted; i++) {
    const j = i + Math.floor(random() * (items.length - i));
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items.slice(0, wanted);
}
