// Opens connections: a bounded number at once (`dial_queue.ts`), each within its deadline. If a machine has several addresses,
// they are raced (`race.ts`).
// Invariants: an address is checked after it has been resolved, right before it is dialed; our own failures (queue
// full, no file descriptor, no port, no network, stopping) are distinguished from silence of the other side.

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
import { race } from "./race.ts";
import type { Throttles } from "./throttle.ts";
import { DialQueue, type DialRank, type QueuedDial } from "./dial_queue.ts";

export type { Address, OwnAddresses, Voucher } from "../protocol/wire/address.ts";
export type { Limits } from "../protocol/limits.ts";

/** Maximum number of addresses of one name that are tried. (A guess: two interfaces, each with two families.) */
const MAX_RESOLVED = 4;
/** How long a dial waits for a file descriptor when none is left, in milliseconds. */
const NO_DESCRIPTOR_MS = 10_000;
/** Delay between attempts meanwhile, in milliseconds. */
const DESCRIPTOR_PAUSE_MS = 100;

/**
 * Whose fault it is that a dial failed. "theirs": nobody answers at the address. "ours": the failure says nothing
 * about the address. "forbidden": the address must not be dialed.
 */
export type DialFault = "theirs" | "ours" | "forbidden";

/** Thrown when a dial fails. The message is for people. */
export class DialError extends Error {
  /** Identifies the class in logs. */
  override readonly name = "DialError";
  /** Set if the fault is theirs: whether somebody said no, or nothing came back. */
  readonly outcome: "refused" | "silent" | undefined;
  /** `message` says what happened, starting with the address. */
  constructor(
    readonly fault: DialFault,
    message: string,
    options?: ErrorOptions & { readonly isRefused?: boolean },
  ) {
    super(message, options);
    this.outcome = fault !== "theirs" ? undefined : options?.isRefused ? "refused" : "silent";
  }

  /** Whether the failure says nothing about the address. */
  get isOurs(): boolean {
    return this.fault === "ours";
  }
}

const codeOf = (error: unknown) =>
  error instanceof Error && "code" in error ? String(error.code) : "";

const OUT_OF_DESCRIPTORS = new Set(["EMFILE", "ENFILE"]);
/** Error codes that mean that this machine, not the other one, is in trouble. EAI_AGAIN: no name server answers. */
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

/** Resolves a name to the IP addresses of a machine. */
export type AddressesOf = (host: string) => Promise<readonly { address: string; family: number }[]>;

/** A dial that waits for its turn. */
interface Waiting extends QueuedDial {
  /** Called when its turn comes, or when it is hopeless. */
  readonly go: (failure?: DialError) => void;
}

/** Opens connections: a bounded number at once, each within its deadline, none to forbidden addresses. */
export class Dialer {
  readonly #queue: DialQueue<Waiting>;
  #stopped = false;

  /**
   * `own` returns this peer's own addresses, which are never dialed. `onFull` is called for each dial that may not even
   * wait, and `onShort` while the process is out of file descriptors. `throttles` limit the content on all connections.
   * `addressesOf` resolves names.
   */
  constructor(
    readonly limits: Pick<Limits, "maxDials" | "dialTimeoutMs">,
    readonly own: () => OwnAddresses,
    readonly onFull: () => void = () => {},
    readonly onShort: () => void = () => {},
    readonly throttles?: Throttles,
    readonly addressesOf: AddressesOf = (host) => lookup(host, { all: true }),
  ) {
    this.#queue = new DialQueue(limits.maxDials);
  }

  /**
   * Opens a connection. Waits for its turn: files go before answers, and those before news. `also`: further IP addresses of the same
   * machine, read one by one as they are needed; they come after those of `to`. Throws `DialError` if every address is forbidden,
   * does not resolve, refuses or does not answer, and for failures of our own.
   */
  async dial(
    to: Address,
    voucher: Voucher,
    rank: DialRank = "news",
    also: Iterable<string> = [],
  ): Promise<Connection> {
    const key = addressText(to);
    await this.#turn(key, voucher, rank);
    try {
      const first = await this.#resolve(to.host, AbortSignal.timeout(this.limits.dialTimeoutMs));
      const conn = await race(inOrder(first, also), async (ip, signal) => {
        const refusal = dialRefusal(ip, to.port, voucher, this.own());
        if (refusal !== undefined) {
          throw new DialError("forbidden", `${key} was not dialed: ${ip} ${refusal}`);
        }
        return await this.#connect(ip, to.port, signal);
      }).catch((error: AggregateError) => {
        throw this.#worst(error.errors);
      });
      this.#queue.answered(key);
      return new Connection(conn, this.throttles);
    } catch (cause) {
      throw this.#explain(key, cause);
    } finally {
      this.#queue.ended(rank)?.go();
    }
  }

  /** Fails the dials that are waiting, and all later ones. */
  close(): void {
    this.#stopped = true;
    for (const { go } of this.#queue.drain()) {
      go(new DialError("ours", "This peer is stopping"));
    }
  }

  /** Resolves when this dial may start. Throws `DialError`. */
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
        this.onFull();
        throw new DialError("ours", `${key} was not dialed: too many other dials are waiting`);
      case "wait": {
        const failure = await promise;
        if (failure) throw failure;
        return;
      }
      default:
        turn satisfies never;
    }
  }

  /** Connects, waiting for a file descriptor if none is left: that says nothing about the other side. */
  async #connect(hostname: string, port: number, over: AbortSignal): Promise<Deno.TcpConn> {
    const untilMs = performance.now() + NO_DESCRIPTOR_MS;
    for (;;) {
      try {
        const signal = AbortSignal.any([AbortSignal.timeout(this.limits.dialTimeoutMs), over]);
        return await Deno.connect({ hostname, port, signal });
      } catch (error) {
        const isShort = OUT_OF_DESCRIPTORS.has(codeOf(error)) && !over.aborted;
        if (!isShort || this.#stopped || performance.now() > untilMs) throw error;
        this.onShort();
        await new Promise((go) => setTimeout(go, DESCRIPTOR_PAUSE_MS));
      }
    }
  }

  /** Returns the addresses of a host. */
  async #resolve(host: string, signal: AbortSignal): Promise<string[]> {
    const literal = canonicalIp(host);
    if (literal !== undefined) return [literal];
    const timeout = Promise.withResolvers<never>();
    const onAbort = () => timeout.reject(signal.reason);
    signal.addEventListener("abort", onAbort);
    try {
      const found = await Promise.race([this.addressesOf(host), timeout.promise]);
      if (found.length === 0) throw new Error("The name does not resolve");
      // Old peers listen on IPv4 only, even if a name also has other addresses.
      return found.toSorted((a, b) => a.family - b.family).slice(0, MAX_RESOLVED)
        .map(({ address }) => canonicalIp(address) ?? address);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Returns the failure that says most about the other side: the first one that is its own, or else the first. */
  #worst(failures: readonly unknown[]): unknown {
    const isTheirs = (error: unknown) =>
      !(error instanceof DialError) && !OUR_TROUBLE.has(codeOf(error));
    return failures.find(isTheirs) ?? failures[0];
  }

  #explain(key: string, cause: unknown): DialError {
    if (cause instanceof DialError) return cause;
    const code = codeOf(cause);
    if (OUR_TROUBLE.has(code)) {
      const why = OUT_OF_DESCRIPTORS.has(code)
        ? 'too many open files. Raise the limit with "ulimit -n 4096"'
        : `this machine cannot reach it right now (${code})`;
      return new DialError("ours", `${key} was not dialed: ${why}`, { cause });
    }
    const isSilent = cause instanceof DOMException;
    if (isSilent) this.#noteSilent(key);
    const isRefused = cause instanceof Deno.errors.ConnectionRefused;
    const why = isSilent
      ? "does not answer"
      : isRefused
      ? "refuses connections"
      : code === "ENOTFOUND"
      ? "is not a known name"
      : code.startsWith("E")
      ? `cannot be reached (${code})`
      : "cannot be reached";
    return new DialError("theirs", `${key} ${why}`, { cause, isRefused });
  }

  #noteSilent(key: string): void {
    const failure = new DialError("theirs", `${key} does not answer`);
    for (const { go } of this.#queue.silent(key, performance.now())) go(failure);
  }
}

function* inOrder(first: readonly string[], also: Iterable<string>): Iterable<string> {
  yield* first;
  for (const ip of also) if (!first.includes(ip)) yield ip;
}

/**
 * Resolves to the address of this machine from which one of these can be reached; the first connection decides.
 * Resolves to `undefined` if none succeeds within `timeoutMs`.
 */
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
