// Opens connections: a bounded number at once (`dial_queue.ts`), each within its deadline.
// Invariants: an address is judged after it was resolved, right before it is dialed; a failure of ours (queue full, no
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
import { DialQueue, type DialRank, type QueuedDial } from "./dial_queue.ts";

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

/** A dial that waits for its turn. */
interface Waiting extends QueuedDial {
  /** Its turn came, or it is hopeless. */
  readonly go: (failure?: DialError) => void;
}

/** Opens connections: a bounded number at once, each within its deadline, none to forbidden addresses. */
export class Dialer {
  readonly #queue: DialQueue<Waiting>;
  #stopped = false;

  constructor(
    readonly limits: Pick<Limits, "maxDials" | "dialTimeoutMs">,
    readonly own: () => OwnAddresses,
  ) {
    this.#queue = new DialQueue(limits.maxDials);
  }

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
      this.#queue.answered(key);
      return new Connection(conn);
    } catch (cause) {
      throw this.#explain(key, cause);
    } finally {
      this.#queue.ended(rank)?.go();
    }
  }

  /** Ends all that wait. */
  close(): void {
    this.#stopped = true;
    for (const { go } of this.#queue.drain()) {
      go(new DialError("ours", "This peer is stopping"));
    }
  }

  /** Resolves when this dial may start. */
  async #turn(key: string, voucher: Voucher, rank: DialRank): Promise<void> {
    if (this.#stopped) throw new DialError("ours", "This peer is stopping");
    const { promise, resolve: go } = Promise.withResolvers<DialError | undefined>();
    const turn = this.#queue.request({ key, voucher, rank, go }, performance.now());
    switch (turn) {
      case "start":
        return;
      case "dead":
        throw new DialError("theirs", `${key} did not answer a moment ago`);
      case "full":
        throw new DialError("ours", `${key} is not dialed: too many other addresses wait to be`);
      case "wait": {
        const failure = await promise;
        if (failure) throw failure;
        return;
      }
      default:
        turn satisfies never;
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
    if (isSilent) this.#noteSilent(key);
    const why = isSilent
      ? "does not answer"
      : cause instanceof Deno.errors.ConnectionRefused
      ? "refuses connections"
      : code.startsWith("E")
      ? `cannot be reached (${code})`
      : "cannot be reached";
    return new DialError("theirs", `${key} ${why}`, { cause });
  }

  #noteSilent(key: string): void {
    const failure = new DialError("theirs", `${key} does not answer`);
    for (const { go } of this.#queue.silent(key, performance.now())) go(failure);
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
