// The virtual network: many peers in one process, on one clock, from one seed.
// Replaces sockets, disks, and timers: carries out the peers' effects with delays and faults, and encodes every hop
// as real bytes. TCP is modeled as connections that fail, are reset, or stay in order; individual messages are never
// lost. Faults can be changed during a run.

import type { Address, Voucher } from "../../protocol/wire/address.ts";
import { addressText } from "../../protocol/wire/address.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import type { FileRecord } from "../../protocol/wire/message.ts";
import { Clock } from "./clock.ts";
import { Host, type HostOptions } from "./host.ts";
import { Invariants } from "./invariants.ts";
import { Meter, Trace } from "./ledger.ts";
import type { Opening } from "./lines.ts";
import { Random } from "./random.ts";
import { pieces } from "./wire.ts";

/** Duration of a gossip round, in milliseconds. */
export const ROUND_MS = 30_000;
/** Silence after which a peer is considered gone, in milliseconds. */
export const TIMEOUT_MS = 60_000;
const SHORTEST_HOP_MS = 1;
const LONGEST_HOP_MS = 20;

/**
 * Ends the exchange with the bytes of an answer, or with "closed" if there is none. `way`: the connection leads there from now
 * on.
 */
export type Reply = (bytes: Uint8Array | "closed", way?: Dialed) => void;

/** Anything that listens: a peer, or a stranger played by a scenario. */
export interface Endpoint {
  readonly index: number;
  readonly ip: string;
  readonly port: number;
  /** "silent": the machine is off or cut off. "down": the machine refuses connections. */
  readonly state: "up" | "down" | "silent";
  /** Whether it is a peer of this program, which opens connections too. */
  readonly isHost?: boolean;
  /** Whether a firewall or router lets no connections in. */
  readonly isClosed?: boolean;
  /** Increases with each start, so that nothing meant for a dead process reaches its successor. */
  readonly life: number;
  /** Takes the input of one connection. Returns false to reset the connection. */
  receive(
    pieces: readonly Uint8Array[],
    ip: string,
    reply?: Reply,
    opening?: Opening,
  ): boolean;
}

/** Outcome of a dial: the endpoint reached, or why it failed. `as`: what that endpoint sees if it opened the connection. */
export type Dialed =
  | { readonly at: Endpoint; readonly life: number; readonly as?: NonNullable<Opening["as"]> }
  | { readonly failure: string; readonly silent?: boolean; readonly isOurs?: boolean };

export class Network {
  readonly clock = new Clock();
  readonly random: Random;
  readonly trace = new Trace();
  readonly meter = new Meter(ROUND_MS);
  readonly invariants = new Invariants(this);
  readonly hosts: Host[] = [];
  /** Published files by id, with their publishers. */
  readonly published = new Map<string, { readonly file: FileRecord; readonly host: Host }>();
  /** Fraction of connection attempts that fail: half are refused, the other half get no answer. */
  connectFailureRate = 0;
  /** Fraction of sends whose connection is reset midway. */
  resetRate = 0;
  readonly #listening = new Map<string, Endpoint>();
  readonly #machines = new Map<string, Endpoint>();
  readonly #side = new Map<number, number>();
  #endpoints = 0;
  #connections = 0;

  constructor(readonly seed: number) {
    this.random = new Random(seed);
  }

  get nowMs(): number {
    return this.clock.nowMs;
  }

  /** The running hosts. */
  get live(): Host[] {
    return this.hosts.filter(({ state }) => state === "up");
  }

  /** Assigns an endpoint its own index and machine. */
  newPlace(endpoint: Endpoint): { index: number; ip: string } {
    const index = this.#endpoints++;
    const ip = `10.${index >> 14}.${(index >> 7) & 127}.${(index & 127) + 1}`;
    this.#machines.set(ip, endpoint);
    return { index, ip };
  }

  addHost(options: HostOptions = {}): Host {
    const host = new Host(this, options);
    this.hosts.push(host);
    return host;
  }

  addHosts(count: number, options: HostOptions = {}): Host[] {
    return Array.from({ length: count }, () => this.addHost(options));
  }

  /** Sets who listens at an address from now on, or with undefined, nobody. */
  listen({ ip, port }: { ip: string; port: number }, endpoint: Endpoint | undefined): void {
    const key = addressText({ host: ip, port });
    if (endpoint) this.#listening.set(key, endpoint);
    else this.#listening.delete(key);
  }

  newConnection(): number {
    return ++this.#connections;
  }

  hopMs(): number {
    return this.random.between(SHORTEST_HOP_MS, LONGEST_HOP_MS);
  }

  /** Opens a connection as TCP would: succeeds or is refused immediately, or fails after the dial timeout. */
  connect(from: Endpoint, to: Address, voucher: Voucher, done: (dialed: Dialed) => void): void {
    this.invariants.onDial(from, to, voucher);
    this.meter.dials++;
    const roundTripMs = 2 * this.hopMs();
    const fails = this.random.chance(this.connectFailureRate);
    const silently = fails && this.random.chance(0.5);
    this.clock.after(roundTripMs, () => {
      const at = this.#listening.get(addressText(to));
      const isOff = !at || at.state === "silent" || at.isClosed || this.isCut(from, at);
      if (silently || (!fails && isOff && !this.#refuses(from, to))) {
        this.meter.failedDials++;
        this.clock.after(
          DEFAULT_LIMITS.dialTimeoutMs - roundTripMs,
          () => done({ failure: "connection timed out", silent: true }),
        );
      } else if (fails || !at || at.state === "down") {
        this.meter.failedDials++;
        done({ failure: "connection refused" });
      } else done({ at, life: at.life });
    });
  }

  /** Delivers bytes to the other end of an open connection. Calls `lost` if it broke first. */
  carry(
    from: Endpoint,
    { at, life, as }: Extract<Dialed, { at: Endpoint }>,
    bytes: Uint8Array,
    { reply, taken, lost, opening }: {
      reply?: Reply;
      taken?: () => void;
      lost?: () => void;
      opening?: Opening;
    } = {},
  ): void {
    const fromLife = from.life;
    const isReset = this.random.chance(this.resetRate);
    const arriving = isReset ? bytes.subarray(0, this.random.below(bytes.length)) : bytes;
    this.clock.after(this.hopMs(), () => {
      if (at.life !== life || at.state !== "up" || this.isCut(from, at)) return lost?.();
      const backwards: Reply = (answer, way) =>
        this.clock.after(this.hopMs(), () => {
          const isGone = from.life !== fromLife || from.state !== "up" || this.isCut(from, at);
          if (!isGone) reply?.(at.life === life ? answer : "closed", way);
        });
      const isTaken = at.receive(
        pieces(arriving, () => this.random.unit()),
        as?.ip ?? from.ip,
        reply && backwards,
        opening && as ? { ...opening, as } : opening,
      );
      if (isReset || !isTaken) lost?.();
      else taken?.();
    });
  }

  /** Cuts the two groups off from each other. Hosts in neither group reach both. */
  partition(groupA: readonly Endpoint[], groupB: readonly Endpoint[]): void {
    this.heal();
    for (const { index } of groupA) this.#side.set(index, 0);
    for (const { index } of groupB) this.#side.set(index, 1);
  }

  heal(): void {
    this.#side.clear();
  }

  isCut(a: Endpoint, b: Endpoint): boolean {
    const [one, other] = [this.#side.get(a.index), this.#side.get(b.index)];
    return one !== undefined && other !== undefined && one !== other;
  }

  /** Advances virtual time. */
  run(ms: number): void {
    this.clock.runUntil(this.nowMs + ms);
  }

  /**
   * Advances time until the condition holds, and checks it once per second. Returns how long that took, or
   * undefined if it did not hold within `limitMs`.
   */
  runUntil(holds: () => boolean, limitMs: number): number | undefined {
    const beganMs = this.nowMs;
    while (!holds()) {
      if (this.nowMs - beganMs >= limitMs) return undefined;
      this.run(1_000);
    }
    return this.nowMs - beganMs;
  }

  /** Whether the machine refuses connections. One that is off or cut off does not answer at all. */
  #refuses(from: Endpoint, to: Address): boolean {
    const machine = this.#machines.get(to.host);
    return machine !== undefined && machine.state !== "silent" && !machine.isClosed &&
      !this.isCut(from, machine);
  }
}
