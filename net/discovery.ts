// Finds peers on the same network by multicast, and lets them find this one. `multicast-dns` speaks to the network; what is said is
// in `dnssd.ts`.
// Invariants: one socket per IPv4 address, for a socket sends on one interface only; nothing is remembered of what others announce;
// whoever answers waits a moment at random, so that a room of machines that start at once is not a storm; trouble is told once.

import multicastDns from "multicast-dns";
import {
  type Announced,
  type Announcement,
  announcementsIn,
  isAsked,
  isOnLink,
  type OnLink,
  type Record,
  recordsOf,
  SERVICE,
} from "./dnssd.ts";

/** Longest pause before an answer or an announcement, in milliseconds (RFC 6762, section 6: 20 to 120; more here, for rooms). */
const ANSWER_MS = 500;
/** Minimum interval between two answers on one interface, in milliseconds (RFC 6762, section 6). */
const ANSWER_EVERY_MS = 1_000;
/** When to announce and to ask after the start, in milliseconds; the first may get lost. */
const BEGIN_MS = [0, 2_000, 8_000];

/** Minimum time until it is tried again where it failed, in milliseconds. (A guess.) */
const AGAIN_MS = 60_000;

/** What is used of `multicast-dns`, which comes without types. */
interface Socket {
  on(event: "error" | "warning", listener: (error: Error & { code?: string }) => void): void;
  on(
    event: "response" | "query",
    listener: (packet: Packet, from: { readonly address: string }) => void,
  ): void;
  respond(records: readonly Record[], done: (error?: Error | null) => void): void;
  query(
    questions: readonly { readonly name: string; readonly type: string }[],
    done: (error?: Error | null) => void,
  ): void;
  destroy(done?: () => void): void;
}

const mdns = multicastDns as unknown as (options: {
  readonly interface: string;
  readonly bind: string;
  readonly reuseAddr: boolean;
}) => Socket;

/** A packet, as `multicast-dns` reads it. */
interface Packet {
  readonly questions: readonly { readonly name: string; readonly type: string }[];
  readonly answers: readonly Record[];
  readonly additionals: readonly Record[];
}

/** What discovery needs of the rest. */
export interface DiscoveryOptions {
  /** Returns what to announce, but for the addresses. */
  readonly announced: () => Omit<Announced, "ips">;
  /** Called with each announcement of another peer: it may be false, and comes again and again. `ip`: where it came from. */
  readonly onFound: (ip: string, announcement: Announcement) => void;
  /** Called once if multicast does not work on an interface. `text` is the rest of a sentence. */
  readonly onTrouble: (address: string, text: string) => void;
  /** Returns a random number, uniform in [0, 1). */
  readonly random: () => number;
}

/** One interface. */
interface Line {
  readonly socket: Socket;
  readonly own: OnLink;
  answeredMs: number;
  isDue: boolean;
}

/** Announces this peer on the networks of this machine, and hears of others. */
export class Discovery {
  readonly #lines = new Map<string, Line>();
  /** When it failed at an address, on the monotonic clock in milliseconds. */
  readonly #troubled = new Map<string, number>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #isStopped = false;

  /** Does nothing until `update`. */
  constructor(readonly options: DiscoveryOptions) {}

  /** Number of interfaces where it works. */
  get lines(): number {
    return this.#lines.size;
  }

  /** Begins on new addresses of this machine, and ends on those that are gone. */
  update(addresses: readonly OnLink[]): void {
    if (this.#isStopped) return;
    const wanted = new Map(addresses.map((own) => [own.address, own]));
    for (const [address, line] of this.#lines) {
      if (wanted.has(address)) continue;
      this.#lines.delete(address);
      line.socket.destroy();
    }
    // One that was gone and came back may work now.
    for (const address of this.#troubled.keys()) {
      if (!wanted.has(address)) this.#troubled.delete(address);
    }
    for (const [address, own] of wanted) {
      const failedMs = this.#troubled.get(address) ?? -Infinity;
      if (!this.#lines.has(address) && performance.now() - failedMs >= AGAIN_MS) this.#open(own);
    }
  }

  /** Takes everything back, and stops. Never rejects. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    const goodbyes = [...this.#lines.values()].map((line) =>
      new Promise<void>((go) => {
        line.socket.respond(this.#recordsOf(line, 0), () => line.socket.destroy(() => go()));
      })
    );
    this.#lines.clear();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((go) => timer = setTimeout(go, ANSWER_MS));
    await Promise.race([Promise.all(goodbyes), late]);
    clearTimeout(timer);
  }

  #open(own: OnLink): void {
    const { address } = own;
    const socket = mdns({ interface: address, bind: "0.0.0.0", reuseAddr: true });
    const line: Line = { socket, own, answeredMs: -Infinity, isDue: false };
    this.#lines.set(address, line);
    const fail = (error: unknown) => this.#failed(line, error);
    socket.on("error", fail);
    // A packet that cannot be read is a warning too, which anybody could send: only errors of the system count.
    socket.on("warning", (error) => isOfSystem(error) && fail(error));
    socket.on("response", (packet, from) => {
      if (!isOnLink(from.address, [own])) return;
      const { node } = this.options.announced();
      for (const each of announcementsIn([...packet.answers, ...packet.additionals])) {
        if (each.node !== node) this.options.onFound(from.address, each);
      }
    });
    socket.on("query", (packet, from) => {
      const announced = { ...this.options.announced(), ips: [] };
      if (from.address !== address && isAsked(packet.questions, announced)) this.#answer(line);
    });
    for (const ms of BEGIN_MS) {
      this.#after(ms + this.options.random() * ANSWER_MS, () => {
        if (this.#lines.get(address) !== line) return;
        this.#say(line);
        socket.query([{ name: SERVICE, type: "PTR" }], (error) => error && fail(error));
      });
    }
  }

  /** Answers soon, and not too often. */
  #answer(line: Line): void {
    if (line.isDue) return;
    line.isDue = true;
    const leftMs = line.answeredMs + ANSWER_EVERY_MS - performance.now();
    this.#after(Math.max(0, leftMs) + this.options.random() * ANSWER_MS, () => {
      line.isDue = false;
      if (this.#lines.get(line.own.address) === line) this.#say(line);
    });
  }

  #say(line: Line): void {
    line.answeredMs = performance.now();
    line.socket.respond(this.#recordsOf(line), (error) => error && this.#failed(line, error));
  }

  #recordsOf({ own: { address } }: Line, ttl?: 0) {
    return recordsOf({ ...this.options.announced(), ips: [address] }, ttl);
  }

  #failed(line: Line, error: unknown): void {
    const { address } = line.own;
    if (this.#lines.get(address) !== line) return;
    this.#lines.delete(address);
    line.socket.destroy();
    if (this.#isStopped) return;
    const isNews = !this.#troubled.has(address);
    this.#troubled.set(address, performance.now());
    if (!isNews) return;
    this.options.onTrouble(address, error instanceof Error ? error.message : String(error));
  }

  #after(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#isStopped) act();
    }, ms);
    this.#timers.add(timer);
  }
}

/** Returns whether the operating system refused something. Errors of parsing have a code, too, but no number of the system. */
function isOfSystem(error: Error & { readonly syscall?: unknown }): boolean {
  return error.syscall !== undefined;
}
