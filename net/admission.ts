// Which of the connections that come are served, which wait, and which give up their place. PURE.
// A place is worth as much as what moves on it: who holds one and says nothing gives it to somebody who comes.
// Always holds: at most `maxConnections` are served, at most `maxConnectionsPerAddress` of one machine, and at most
// `maxWaitingConnections` wait, for a place or for their content. Half of the places may take content and three
// eighths send it, so that slow readers and slow uploads, which are never cut off for others, leave room for messages and
// for each other; every machine may have a few transfers, whatever the others have.

import type { Limits } from "../protocol/limits.ts";

export type AdmissionLimits = Pick<
  Limits,
  "maxConnections" | "maxConnectionsPerAddress" | "maxWaitingConnections"
>;

/** A connection on which no message was completed for this long gives way (honest ones take milliseconds). */
const STALLED_MS = 1_000;
/** Content that is pushed may pause longer: lines are slow, and disks busy (a guess). */
const STALLED_CONTENT_MS = 3_000;
/** Content that moved so much is no longer standing still. */
const PROGRESS_BYTES = 1_536;
/** Parts of all places, and of those of one machine, for content. */
const SHARES = { sending: 3 / 8, taking: 1 / 2 };
/** Transfers of each kind that a machine may have also when these are used up. */
const SURE_TRANSFERS = 2;
/** Connections of one machine where no peer is known that may wait for a place. */
const MAX_WAITING_STRANGERS = 16;

/**
 * "talking": messages are awaited; "queued": content was asked for and is not sent yet; "sending": it is;
 * "taking": content is pushed to us.
 */
type Stage = "waiting" | "talking" | "queued" | "sending" | "taking";
type Tally = Record<Stage, number>;

interface Guest<T> {
  readonly it: T;
  readonly ip: string;
  /** In the order of arrival. */
  readonly number: number;
  stage: Stage;
  /** When it last completed something, or moved enough content. */
  sinceMs: number;
  stalledAfterMs: number;
  movedBytes: number;
}

/** What is to be done now, in this order. */
export interface Turn<T> {
  /** Close these: their place is needed. */
  readonly evict: readonly T[];
  /** Begin to serve these. */
  readonly serve: readonly T[];
  /** Send these the content that they asked for. */
  readonly send: readonly T[];
}

/** How places change hands in one turn. */
interface Places<T> {
  readonly evict: T[];
  /** A machine with so many places, or more, gets none of anybody else. */
  refusedAt: number;
}

export class Admission<T> {
  readonly #guests = new Map<T, Guest<T>>();
  /** Guests by stage and machine, the first to come first, so that nobody is walked past. */
  readonly #lines: Record<Stage, Map<string, Set<Guest<T>>>> = {
    waiting: new Map(),
    talking: new Map(),
    queued: new Map(),
    sending: new Map(),
    taking: new Map(),
  };
  readonly #all = emptyTally();
  readonly #perMachine = new Map<string, Tally>();
  #arrived = 0;
  /** Guests looked at so far; a test bounds how many that takes. */
  steps = 0;

  constructor(
    readonly limits: AdmissionLimits,
    /** Whether a tracked peer is at this machine: its bursts wait instead of being refused. */
    readonly isKnown: (ip: string) => boolean,
  ) {}

  /** Connections that have a place or wait for one. */
  get size(): number {
    return this.#guests.size;
  }

  has(it: T): boolean {
    return this.#guests.has(it);
  }

  all(): T[] {
    return [...this.#guests.keys()];
  }

  /** Whether somebody waits for a place that another may have to give up; ask `turn` now and then. */
  get hasWaiting(): boolean {
    return this.#all.waiting > 0;
  }

  /** Somebody connected. False: there is no place, and it may not wait. */
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

  /** A connection ended, whoever ended it. */
  leave(it: T): void {
    const guest = this.#guests.get(it);
    if (!guest) return;
    this.#guests.delete(it);
    this.#tally(guest, -1);
  }

  /** A message was completed, or the content of one was not taken to its end. */
  completed(it: T, nowMs: number): void {
    const guest = this.#guests.get(it);
    if (!guest) return;
    if (guest.stage === "taking") this.#move(guest, "talking");
    guest.sinceMs = nowMs;
    guest.stalledAfterMs = STALLED_MS;
    guest.movedBytes = 0;
  }

  /** Content that is pushed to us came. Within its share it may come as slowly as it likes. */
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

  /** It asked for content; `turn` says when it is to be sent. False: too many wait for theirs already. */
  wantsContent(it: T): boolean {
    const guest = this.#guests.get(it);
    if (!guest || (!this.#mayTransfer("sending", guest.ip) && !this.#hasRoomToWait())) return false;
    this.#move(guest, "queued");
    return true;
  }

  /** Its content was sent, or not; it may say something else now. */
  contentEnded(it: T, nowMs: number): void {
    const guest = this.#guests.get(it);
    if (!guest) return;
    this.#move(guest, "talking");
    guest.sinceMs = nowMs;
  }

  /** What follows from all that happened; ask after each call above, and now and then while somebody waits. */
  turn(nowMs: number): Turn<T> {
    const places: Places<T> = { evict: [], refusedAt: Infinity };
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
    return { evict: places.evict, serve, send };
  }

  /**
   * Offers `act` the guests of a stage in the order of arrival. Where it answers false, that machine gets nothing more in
   * this turn. `act` moves the guest on, or removes others.
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

  /** No descriptor is left: whoever stands still longest goes, if anybody does. */
  relieve(nowMs: number): T | undefined {
    const guest = longest(this.#talking().filter((each) => isStalled(each, nowMs)));
    if (guest) this.leave(guest.it);
    return guest?.it;
  }

  /** Whether there is a place for this machine, by somebody else giving it up where need be. */
  #makePlace(ip: string, nowMs: number, places: Places<T>): boolean {
    if (this.#hasPlace(ip)) return true;
    const own = served(this.#at(ip));
    // Where nobody gave way to a machine, nobody does to one that has as many places.
    const isOwnFull = own >= this.limits.maxConnectionsPerAddress;
    if (!isOwnFull && own >= places.refusedAt) return false;
    const other = this.#whoGivesWay(ip, nowMs);
    if (!other) {
      if (!isOwnFull) places.refusedAt = own;
      return false;
    }
    this.leave(other.it);
    places.evict.push(other.it);
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

  /** Whose place somebody from this machine may have: where its own machine is full, one of its own. */
  #whoGivesWay(ip: string, nowMs: number): Guest<T> | undefined {
    const own = served(this.#at(ip));
    const isOwnFull = own >= this.limits.maxConnectionsPerAddress;
    const talking = this.#talking(isOwnFull ? ip : undefined);
    const stalled = talking.filter((guest) => isStalled(guest, nowMs));
    if (stalled.length > 0 || isOwnFull) return longest(stalled);
    // Nobody stands still: the machine that has the most gives one to a machine that has far fewer.
    let [most, busiest] = [2 * own + 1, ""];
    for (const [machine, tally] of this.#perMachine) {
      if (tally.talking > 0 && served(tally) > most) [most, busiest] = [served(tally), machine];
    }
    return longest(talking.filter((guest) => guest.ip === busiest));
  }

  /** Whoever has a place for messages, of one machine or of all. */
  #talking(ip?: string): Guest<T>[] {
    const { talking } = this.#lines;
    const lines = ip === undefined ? [...talking.values()] : [talking.get(ip) ?? []];
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

/** Where a guest belongs among those after `from`, in the order of arrival. */
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
  return { waiting: 0, talking: 0, queued: 0, sending: 0, taking: 0 };
}

const served = ({ talking, sending, taking }: Tally) => talking + sending + taking;

function isStalled({ stage, sinceMs, stalledAfterMs }: Guest<unknown>, nowMs: number): boolean {
  return stage === "talking" && nowMs - sinceMs >= stalledAfterMs;
}

function longest<T>(guests: readonly Guest<T>[]): Guest<T> | undefined {
  return guests.reduce<Guest<T> | undefined>(
    (first, guest) => first === undefined || guest.sinceMs < first.sinceMs ? guest : first,
    undefined,
  );
}
