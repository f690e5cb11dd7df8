// The virtual network: many peers in one process, on one clock, from one seed.
// It stands in for sockets, disks and timers: what a peer wants done is carried out here with delays and
// faults, and every hop goes through the real bytes. TCP is modelled as connections that fail, are reset
// or keep their order; never as messages that get lost by themselves. Faults are set while it runs.

import type { Address, Voucher } from "../../protocol/wire/address.ts";
import { addressText } from "../../protocol/wire/address.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import type { FileRecord } from "../../protocol/wire/message.ts";
import { Clock } from "./clock.ts";
import { Host, type HostOptions } from "./host.ts";
import { Invariants } from "./invariants.ts";
import { Meter, Trace } from "./ledger.ts";
import { Random } from "./random.ts";
import { pieces } from "./wire.ts";

/** The protocol's round. */
export const ROUND_MS = 30_000;
/** Silence after which a peer is gone. */
export const TIMEOUT_MS = 60_000;
const SHORTEST_HOP_MS = 1;
const LONGEST_HOP_MS = 20;

/** Ends the conversation: bytes of an answer, or "closed" where none comes. */
export type Reply = (bytes: Uint8Array | "closed") => void;

/** Whatever listens somewhere: a peer, or a stranger that a scenario plays. */
export interface Endpoint {
  readonly index: number;
  readonly ip: string;
  readonly port: number;
  /** "silent": its machine is off or cut off; "down": the machine refuses. */
  readonly state: "up" | "down" | "silent";
  /** Grows with each start, so that nothing reaches a process that is gone. */
  readonly life: number;
  /** Takes what one connection brought; false when it resets the connection. */
  receive(pieces: readonly Uint8Array[], ip: string, reply?: Reply): boolean;
}

/** How a dial ended: at somebody, or why not. */
export type Dialed =
  | { readonly at: Endpoint; readonly life: number }
  | { readonly failure: string; readonly silent?: boolean; readonly isOurs?: boolean };

export class Network {
  readonly clock = new Clock();
  readonly random: Random;
  readonly trace = new Trace();
  readonly meter = new Meter(ROUND_MS);
  readonly invariants = new Invariants(this);
  readonly hosts: Host[] = [];
  /** Files that are to be found, by who published them. */
  readonly published = new Map<string, { readonly file: FileRecord; readonly host: Host }>();
  /** Part of all connects that fail: one half refused, the other without an answer. */
  connectFailureRate = 0;
  /** Part of all sends whose connection is reset in the middle. */
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

  /** Hosts that run. */
  get live(): Host[] {
    return this.hosts.filter(({ state }) => state === "up");
  }

  /** A number and a machine of its own for an endpoint. */
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

  /** Whoever listens at an address from now on; undefined: nobody. */
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

  /** Opens a connection as TCP would: at once, refused at once, or given up after the dial timeout. */
  connect(from: Endpoint, to: Address, voucher: Voucher, done: (dialed: Dialed) => void): void {
    this.invariants.onDial(from, to, voucher);
    this.meter.dials++;
    const roundTripMs = 2 * this.hopMs();
    const fails = this.random.chance(this.connectFailureRate);
    const silently = fails && this.random.chance(0.5);
    this.clock.after(roundTripMs, () => {
      const at = this.#listening.get(addressText(to));
      const isOff = !at || at.state === "silent" || this.isCut(from, at);
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

  /** Brings bytes to the other end of an open connection; `lost` when it broke before. */
  carry(
    from: Endpoint,
    { at, life }: Extract<Dialed, { at: Endpoint }>,
    bytes: Uint8Array,
    { reply, taken, lost }: { reply?: Reply; taken?: () => void; lost?: () => void } = {},
  ): void {
    const fromLife = from.life;
    const isReset = this.random.chance(this.resetRate);
    const arriving = isReset ? bytes.subarray(0, this.random.below(bytes.length)) : bytes;
    this.clock.after(this.hopMs(), () => {
      if (at.life !== life || at.state !== "up" || this.isCut(from, at)) return lost?.();
      const backwards: Reply = (answer) =>
        this.clock.after(this.hopMs(), () => {
          const isGone = from.life !== fromLife || from.state !== "up" || this.isCut(from, at);
          if (!isGone) reply?.(at.life === life ? answer : "closed");
        });
      const isTaken = at.receive(
        pieces(arriving, () => this.random.unit()),
        from.ip,
        reply && backwards,
      );
      if (isReset || !isTaken) lost?.();
      else taken?.();
    });
  }

  /** Nothing passes between the two groups any more; who is in none reaches both. */
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

  /** Lets virtual time pass. */
  run(ms: number): void {
    this.clock.runUntil(this.nowMs + ms);
  }

  /**
   * Lets time pass until the condition holds, looked at once a second. Returns how long that took, or
   * undefined when it did not hold within `limitMs`.
   */
  runUntil(holds: () => boolean, limitMs: number): number | undefined {
    const beganMs = this.nowMs;
    while (!holds()) {
      if (this.nowMs - beganMs >= limitMs) return undefined;
      this.run(1_000);
    }
    return this.nowMs - beganMs;
  }

  /** A machine whose process is gone refuses; one that is off or cut off says nothing. */
  #refuses(from: Endpoint, to: Address): boolean {
    const machine = this.#machines.get(to.host);
    return machine !== undefined && machine.state !== "silent" && !this.isCut(from, machine);
  }
}
