// Opening connections: a bounded number at once, each within its deadline. Touches TCP, as tcp.ts does.
// Always holds: an address is judged after it was resolved, right before it is dialed; a failure of ours (queue full, no
// descriptor, no port, no network, stopping) is told apart from silence of the other side.

import { lookup } from "node:dns/promises";
import {
  type Address,
  addressText,
  canonicalIp,
  dialRefusal,
  type OwnAddresses,
  type Voucher,
} from "../protocol/wire/address.ts";
import type { Limits } from "../protocol/limits.ts";
import { Connection } from "./connection.ts";

/** Sends wait for a free dial at most so many at once; beyond that the newest is dropped. */
const MAX_WAITING_DIALS = 4_096;
/** An address that did not answer within the deadline is not tried again for this long (a guess). */
const DEAD_MS = 5_000;
/** A dial waits so long for a descriptor, where none is left. */
const NO_DESCRIPTOR_MS = 10_000;
/** Pause between two tries then. */
const DESCRIPTOR_PAUSE_MS = 100;

/**
 * Whose failure it was that a dial did not lead to a connection. "theirs": nobody answers at the address. "ours": this
 * says nothing about the address. "forbidden": the address must not be dialed.
 */
export type DialFault = "theirs" | "ours" | "forbidden";

/** Why a dial did not lead to a connection; the message is for people. */
export class DialError extends Error {
  override readonly name = "DialError";
  constructor(readonly fault: DialFault, message: string, options?: ErrorOptions) {
    super(message, options);
  }

  get isOurs(): boolean {
    return this.fault === "ours";
  }
}

const codeOf = (error: unknown) =>
  error instanceof Error && "code" in error ? String(error.code) : "";

const OUT_OF_DESCRIPTORS = new Set(["EMFILE", "ENFILE"]);
/** What the system answers when this machine, not the other one, is in trouble; EAI_AGAIN: no name server answers. */
const OUR_TROUBLE = new Set([
  ...OUT_OF_DESCRIPTORS,
  "EADDRNOTAVAIL",
  "EAGAIN",
  "ENETDOWN",
  "ENETUNREACH",
  "ENOBUFS",
  "ENOMEM",
  "EACCES",
  "EPERM",
  "EAI_AGAIN",
]);

/** What a dial is for: somebody waits for a file, for an answer, or nobody waits. */
export type DialRank = "file" | "answer" | "news";
const RANKS: readonly DialRank[] = ["file", "answer", "news"];
/** Dials kept free of news: announcing to hundreds, some of them dead, must not hold answers up. */
const KEPT_FOR_ANSWERS = 2;

interface Waiting {
  readonly key: string;
  readonly go: (dead?: DialError) => void;
}

/** Opens connections: a bounded number at once, each within its deadline, none to forbidden addresses. */
export class Dialer {
  readonly #open: Record<DialRank, number> = { file: 0, answer: 0, news: 0 };
  readonly #waiting: Record<DialRank, Waiting[]> = { file: [], answer: [], news: [] };
  readonly #deadUntil = new Map<string, number>();
  #stopped = false;

  constructor(
    readonly limits: Pick<Limits, "maxDials" | "dialTimeoutMs">,
    readonly own: () => OwnAddresses,
  ) {}

  /**
   * Throws `DialError` when the address is refused, not resolved, silent or forbidden.
   * Files go before answers, and those before news.
   */
  async dial(to: Address, voucher: Voucher, rank: DialRank = "news"): Promise<Connection> {
    const key = addressText(to);
    await this.#turn(key, voucher, rank);
    try {
      const ip = await this.#resolve(to.host, AbortSignal.timeout(this.limits.dialTimeoutMs));
      const refusal = dialRefusal(ip, to.port, voucher, this.own());
      if (refusal !== undefined) {
        throw new DialError("forbidden", `${key} is not dialed: ${ip} ${refusal}`);
      }
      const conn = await this.#connect(ip, to.port);
      this.#deadUntil.delete(key);
      return new Connection(conn);
    } catch (cause) {
      throw this.#explain(key, cause);
    } finally {
      this.#open[rank]--;
      this.#startNext();
    }
  }

  /** Ends all that wait. */
  close(): void {
    this.#stopped = true;
    for (const rank of RANKS) {
      for (const { go } of this.#waiting[rank].splice(0)) {
        go(new DialError("ours", "This peer is stopping"));
      }
    }
  }

  async #turn(key: string, voucher: Voucher, rank: DialRank): Promise<void> {
    if (this.#stopped) throw new DialError("ours", "This peer is stopping");
    const deadUntil = this.#deadUntil.get(key);
    if (
      voucher !== "operator" && rank !== "file" && deadUntil !== undefined &&
      performance.now() < deadUntil
    ) {
      throw new DialError("theirs", `${key} did not answer a moment ago`);
    }
    if (this.#mayStart(rank)) {
      this.#open[rank]++;
      return;
    }
    const waiting = this.#waiting[rank];
    if (waiting.length >= MAX_WAITING_DIALS) {
      throw new DialError("ours", `${key} is not dialed: too many other addresses wait to be`);
    }
    const dead = await new Promise<DialError | undefined>((go) => waiting.push({ key, go }));
    if (dead) throw dead;
  }

  #mayStart(rank: DialRank): boolean {
    const { file, answer, news } = this.#open;
    const { maxDials } = this.limits;
    if (file + answer + news >= maxDials) return false;
    return rank !== "news" || news < Math.max(1, maxDials - KEPT_FOR_ANSWERS);
  }

  #startNext(): void {
    for (const rank of RANKS) {
      if (!this.#mayStart(rank)) continue;
      const next = this.#waiting[rank].shift();
      if (!next) continue;
      this.#open[rank]++;
      next.go();
      return;
    }
  }

  /** Waits for a descriptor where none is left: that the other side is there has nothing to do with it. */
  async #connect(hostname: string, port: number): Promise<Deno.TcpConn> {
    const untilMs = performance.now() + NO_DESCRIPTOR_MS;
    for (;;) {
      try {
        const signal = AbortSignal.timeout(this.limits.dialTimeoutMs);
        return await Deno.connect({ hostname, port, signal });
      } catch (error) {
        const isShort = OUT_OF_DESCRIPTORS.has(codeOf(error));
        if (!isShort || this.#stopped || performance.now() > untilMs) throw error;
        await new Promise((go) => setTimeout(go, DESCRIPTOR_PAUSE_MS));
      }
    }
  }

  async #resolve(host: string, signal: AbortSignal): Promise<string> {
    const literal = canonicalIp(host);
    if (literal !== undefined) return literal;
    const timeout = Promise.withResolvers<never>();
    const onAbort = () => timeout.reject(signal.reason);
    signal.addEventListener("abort", onAbort);
    try {
      const found = await Promise.race([lookup(host, { all: true }), timeout.promise]);
      // The field listens on IPv4 only, whatever else a name leads to.
      const first = found.find(({ family }) => family === 4) ?? found[0];
      if (!first) throw new Error("The name leads nowhere");
      return canonicalIp(first.address) ?? first.address;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #explain(key: string, cause: unknown): DialError {
    if (cause instanceof DialError) return cause;
    const code = codeOf(cause);
    if (OUR_TROUBLE.has(code)) {
      const why = OUT_OF_DESCRIPTORS.has(code)
        ? "this process may open no more connections"
        : `this machine cannot reach it just now (${code})`;
      return new DialError("ours", `${key} is not dialed: ${why}`, { cause });
    }
    const isSilent = cause instanceof DOMException;
    if (isSilent) this.#noteDead(key);
    const why = isSilent
      ? "does not answer"
      : cause instanceof Deno.errors.ConnectionRefused
      ? "refuses connections"
      : code.startsWith("E")
      ? `cannot be reached (${code})`
      : "cannot be reached";
    return new DialError("theirs", `${key} ${why}`, { cause });
  }

  /** Whatever else waits for the same address would wait in vain, and keep others waiting. */
  #noteDead(key: string): void {
    if (this.#deadUntil.size >= MAX_WAITING_DIALS) this.#deadUntil.clear();
    this.#deadUntil.set(key, performance.now() + DEAD_MS);
    const dead = new DialError("theirs", `${key} does not answer`);
    for (const rank of RANKS) {
      const waiting = this.#waiting[rank].splice(0);
      for (const each of waiting) {
        if (each.key === key) each.go(dead);
        else this.#waiting[rank].push(each);
      }
    }
  }
}

/** Which of this machine's addresses leads to one of these; the first that connects within the time says it. */
export async function localAddressTowards(
  addresses: readonly Address[],
  timeoutMs: number,
): Promise<string | undefined> {
  const signal = AbortSignal.timeout(timeoutMs);
  const late = new Promise<never>((_, no) => signal.addEventListener("abort", () => no()));
  const probes = addresses.map(async ({ host: hostname, port }) => {
    const conn = await Deno.connect({ hostname, port, signal });
    conn.close();
    return canonicalIp(conn.localAddr.hostname);
  });
  return await Promise.race([Promise.any(probes), late]).catch(() => undefined);
}
