// Decides which incoming connections are served, which wait, and which are dropped. PURE.
// A slot is worth as much as the traffic on it: a connection that holds a slot and stays silent loses it to a new
// one, at once if it is kept open only for a further request.
// Invariants: at most `maxConnections` are served, at most `maxConnectionsPerAddress` from one machine, and at most
// `maxWaitingConnections` wait for a slot or for their content. Half of the slots may receive content and three
// eighths may send it, so that slow readers and slow uploads, which are never dropped in favor of others, leave
// slots for messages and for each other. Every machine may have a few transfers, whatever the others have.

import type { Limits } from "../protocol/limits.ts";

/** The limits that admission enforces. */
export type AdmissionLimits = Pick<
  Limits,
  "maxConnections" | "maxConnectionsPerAddress" | "maxWaitingConnections"
>;

/**
 * A connection on which no message was completed for this long can be dropped, in milliseconds. (Honest peers take
 * milliseconds.)
 */
const STALLED_MS = 1_000;
/** Pushed content may pause longer, in milliseconds, because networks are slow and disks busy. (A guess.) */
const STALLED_CONTENT_MS = 3_000;
/** A connection that moved this many bytes of content is no longer stalled. */
const PROGRESS_BYTES = 1_536;
/** Fractions of all slots, and of those for one machine, that content may use. */
const SHARES = { sending: 3 / 8, taking: 1 / 2 };
/** Number of transfers of each kind that a machine may have even when these fractions are used up. */
const SURE_TRANSFERS = 2;
/** Maximum number of connections from a machine without a known peer that may wait for a slot. */
const MAX_WAITING_STRANGERS = 16;

/**
 * "talking": waiting for messages. "queued": content was requested and is not being sent yet. "sending": it is
 * being sent. "idle": it was sent, and the connection is kept for a further request. "taking": content is being pushed
 * to us.
 */
type Stage = "waiting" | "talking" | "queued" | "sending" | "idle" | "taking";
type Tally = Record<Stage, number>;

interface Guest<T> {
  readonly it: T;
  readonly ip: string;
  /** Serial number in the order of arrival, of the connection or of its latest request for content. */
  number: number;
  stage: Stage;
  /** When it last completed something or moved enough content, in milliseconds. */
  sinceMs: number;
  stalledAfterMs: number;
  movedBytes: number;
}

/** What to do now, in this order. */
export interface Turn<T> {
  /** Close these: their slots are needed. */
  readonly evict: readonly T[];
  /** Close these too: they were kept open only to save time. */
  readonly close: readonly T[];
  /** Start serving these. */
  readonly serve: readonly T[];
  /** Send these the content that they requested. */
  readonly send: readonly T[];
}

/** How slots change hands in one turn. */
interface Places<T> {
  readonly evict: T[];
  readonly close: T[];
  /** A machine with this many slots or more gets none from another machine. */
  refusedAt: number;
}

/** The connections of one listener, and the stage that each has reached. Times are monotonic milliseconds. */
export class Admission<T> {
  readonly #guests = new Map<T, Guest<T>>();
  /** Guests by stage and machine, in the order of arrival, so that nobody is skipped. */
  readonly #lines: Record<Stage, Map<string, Set<Guest<T>>>> = {
    waiting: new Map(),
    talking: new Map(),
    queued: new Map(),
    sending: new Map(),
    idle: new Map(),
    taking: new Map(),
  };
  readonly #all = emptyTally();
  readonly #perMachine = new Map<string, Tally>();
  #arrived = 0;
  /** Number of guests examined so far. A test bounds it. */
  steps = 0;

  /** Starts without connections. */
  constructor(
    readonly limits: AdmissionLimits,
    /** Returns whether a known peer is at this address. Its bursts may wait instead of being refused. */
    readonly isKnown: (ip: string) => boolean,
  ) {}

  /** Number of connections that have a slot or wait for one. */
  get size(): number {
    return this.#guests.size;
  }

  /** Returns whether the connection has a slot or waits for one. */
  has(it: T): boolean {
    return this.#guests.has(it);
  }

  /** Returns all connections, in the order of arrival. */
  all(): T[] {
    return [...this.#guests.keys()];
  }

  /**
   * Whether any connection waits for a slot that another may have to give up, or for its content. If so, call `turn`
   * periodically.
   */
  get hasWaiting(): boolean {
    return this.#all.waiting + this.#all.queued > 0;
  }

  /** Admits a new connection. Returns false if there is no slot and it may not wait. */
  arrive(it: T, ip: string, nowMs: number): boolean {
    const mayWait = this.#hasRoomToWait() &&
      (this.isKnown(ip) || this.#at(ip).waiting < MAX_WAITING_STRANGERS);
    if (!mayWait && !this.#hasPlace(ip) && !this.#whoGivesWay(ip, nowMs)) return false;
    const guest: Guest<T> = {
      it,
      ip,
      number: this.#arrived++,
      stage: "waiting",
      sinceMs: nowMs,
      stalledAfterMs: STALLED_MS,
      movedBytes: 0,
    };
    this.#guests.set(it, guest);
    this.#tally(guest, 1);
    return true;
  }

  /** Records that a connection ended, whichever side ended it. */
  leave(it: T): void {
    const guest = this.#guests.get(it);
    if (!guest) return;
    this.#guests.delete(it);
    this.#tally(guest, -1);
  }

  /** Records that a message was completed, or that its content was abandoned. */
  completed(it: T, nowMs: number): void {
    const guest = this.#guests.get(it);
    if (!guest) return;
    if (guest.stage === "taking" || guest.stage === "idle") this.#move(guest, "talking");
    guest.sinceMs = nowMs;
    guest.stalledAfterMs = STALLED_MS;
    guest.movedBytes = 0;
  }

  /** Records that pushed content arrived. Within its fraction of the slots it may be as slow as it likes. */
  moved(it: T, bytes: number, nowMs: number): void {
    const guest = this.#guests.get(it);
    if (!guest || guest.stage === "taking") return;
    if (this.#mayTransfer("taking", guest.ip)) return this.#move(guest, "taking");
    guest.stalledAfterMs = STALLED_CONTENT_MS;
    guest.movedBytes += bytes;
    if (guest.movedBytes < PROGRESS_BYTES) return;
    guest.movedBytes = 0;
    guest.sinceMs = nowMs;
  }

  /** Records a request for content; `turn` says when to send it. Returns false if too many are already waiting. */
  wantsContent(it: T): boolean {
    const guest = this.#guests.get(it);
    if (!guest || (!this.#mayTransfer("sending", guest.ip) && !this.#hasRoomToWait())) return false;
    guest.number = this.#arrived++; // earlier requests on other connections come first
    this.#move(guest, "queued");
    return true;
  }

  /**
   * Records that its content was sent, or not; the connection is free for another message. `isKept`: it stays open only
   * for that.
   */
  contentEnded(it: T, nowMs: number, isKept = false): void {
    const guest = this.#guests.get(it);
    if (!guest) return;
    this.#move(guest, isKept ? "idle" : "talking");
    guest.sinceMs = nowMs;
  }

  /**
   * Returns what follows from everything recorded so far. Call it after each method above, and periodically while
   * `hasWaiting`.
   */
  turn(nowMs: number): Turn<T> {
    const places: Places<T> = { evict: [], close: [], refusedAt: Infinity };
    const serve: T[] = [];
    const send: T[] = [];
    this.#inOrder("queued", (guest) => {
      if (!this.#mayTransfer("sending", guest.ip)) return false;
      if (!this.#makePlace(guest.ip, nowMs, places)) return false;
      this.#move(guest, "sending");
      send.push(guest.it);
      return true;
    });
    this.#inOrder("waiting", (guest) => {
      if (!this.#makePlace(guest.ip, nowMs, places)) return false;
      this.#move(guest, "talking");
      guest.sinceMs = nowMs;
      serve.push(guest.it);
      return true;
    });
    return { evict: places.evict, close: places.close, serve, send };
  }

  /**
   * Offers `act` the guests of a stage in the order of arrival. If it returns false, that machine gets nothing more
   * in this turn. `act` moves the guest to another stage, or removes others.
   */
  #inOrder(stage: Stage, act: (guest: Guest<T>) => boolean): void {
    const lines = this.#lines[stage];
    const heads = [...lines.values()].map(([guest]) => guest!);
    heads.sort((a, b) => a.number - b.number);
    this.steps += heads.length;
    for (let i = 0; i < heads.length; i++) {
      const guest = heads[i]!;
      this.steps++;
      if (!act(guest)) continue;
      const [next] = lines.get(guest.ip) ?? [];
      if (next) heads.splice(placeIn(heads, next, i + 1), 0, next);
    }
  }

  /**
   * Drops and returns the connection that has been idle longest, or else stalled longest, if any. For when file
   * descriptors run out.
   */
  relieve(nowMs: number): T | undefined {
    const guest = longest(this.#in("idle")) ??
      longest(this.#in("talking").filter((each) => isStalled(each, nowMs)));
    if (guest) this.leave(guest.it);
    return guest?.it;
  }

  /** Returns whether there is a slot for this machine, evicting another connection if necessary. */
  #makePlace(ip: string, nowMs: number, places: Places<T>): boolean {
    if (this.#hasPlace(ip)) return true;
    const own = served(this.#at(ip));
    // If nobody gave way to a machine, nobody will to one that has as many slots.
    const isOwnFull = own >= this.limits.maxConnectionsPerAddress;
    if (!isOwnFull && own >= places.refusedAt) return false;
    const other = this.#whoGivesWay(ip, nowMs);
    if (!other) {
      if (!isOwnFull) places.refusedAt = own;
      return false;
    }
    this.leave(other.it);
    (other.stage === "idle" ? places.close : places.evict).push(other.it);
    return true;
  }

  #hasPlace(ip: string): boolean {
    const { maxConnections, maxConnectionsPerAddress } = this.limits;
    return served(this.#all) < maxConnections && served(this.#at(ip)) < maxConnectionsPerAddress;
  }

  #hasRoomToWait(): boolean {
    return this.#all.waiting + this.#all.queued < this.limits.maxWaitingConnections;
  }

  #mayTransfer(kind: "sending" | "taking", ip: string): boolean {
    const own = this.#at(ip)[kind];
    if (own < SURE_TRANSFERS) return true;
    const share = (places: number) => Math.floor(places * SHARES[kind]);
    const { maxConnections, maxConnectionsPerAddress } = this.limits;
    return this.#all[kind] < share(maxConnections) && own < share(maxConnectionsPerAddress);
  }

  /**
   * Returns the guest whose slot this machine may have. If its own machine is at the limit, it must be one of its
   * own.
   */
  #whoGivesWay(ip: string, nowMs: number): Guest<T> | undefined {
    const own = served(this.#at(ip));
    const isOwnFull = own >= this.limits.maxConnectionsPerAddress;
    const idle = longest(this.#in("idle", isOwnFull ? ip : undefined));
    if (idle) return idle;
    const talking = this.#in("talking", isOwnFull ? ip : undefined);
    const stalled = talking.filter((guest) => isStalled(guest, nowMs));
    if (stalled.length > 0 || isOwnFull) return longest(stalled);
    // Nobody is stalled: the machine that has the most gives one up to a machine that has far fewer.
    let [most, busiest] = [2 * own + 1, ""];
    for (const [machine, tally] of this.#perMachine) {
      if (tally.talking > 0 && served(tally) > most) [most, busiest] = [served(tally), machine];
    }
    return longest(talking.filter((guest) => guest.ip === busiest));
  }

  /** Returns the guests in a stage, from one machine or all. */
  #in(stage: Stage, ip?: string): Guest<T>[] {
    const all = this.#lines[stage];
    const lines = ip === undefined ? [...all.values()] : [all.get(ip) ?? []];
    const guests = lines.flatMap((line) => [...line]);
    this.steps += guests.length;
    return guests;
  }

  #at(ip: string): Tally {
    return this.#perMachine.get(ip) ?? emptyTally();
  }

  #move(guest: Guest<T>, stage: Stage): void {
    this.#tally(guest, -1);
    guest.stage = stage;
    this.#tally(guest, 1);
  }

  #tally(guest: Guest<T>, by: 1 | -1): void {
    const { ip, stage } = guest;
    const lines = this.#lines[stage];
    const line = lines.get(ip) ?? new Set();
    if (by > 0) lines.set(ip, line.add(guest));
    else if (line.delete(guest) && line.size === 0) lines.delete(ip);
    this.#all[stage] += by;
    const tally = this.#at(ip);
    tally[stage] += by;
    if (Object.values(tally).some((count) => count > 0)) this.#perMachine.set(ip, tally);
    else this.#perMachine.delete(ip);
  }
}

/** Returns where a guest belongs among those from `from` on, in the order of arrival. */
function placeIn<T>(guests: readonly Guest<T>[], { number }: Guest<T>, from: number): number {
  let [low, high] = [from, guests.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (guests[middle]!.number < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

function emptyTally(): Tally {
  return { waiting: 0, talking: 0, queued: 0, sending: 0, idle: 0, taking: 0 };
}

const served = ({ talking, sending, idle, taking }: Tally) => talking + sending + idle + taking;

function isStalled({ stage, sinceMs, stalledAfterMs }: Guest<unknown>, nowMs: number): boolean {
  return stage === "talking" && nowMs - sinceMs >= stalledAfterMs;
}

function longest<T>(guests: readonly Guest<T>[]): Guest<T> | undefined {
  return guests.reduce<Guest<T> | undefined>(
    (first, guest) => first === undefined || guest.sinceMs < first.sinceMs ? guest : first,
    undefined,
  );
}
