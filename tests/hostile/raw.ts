// One TCP connection by hand, from any loopback address: writes whatever it is told, when it is told, and notes
// what comes back. The attacker's side of tests/threats; nothing here knows how the program is made.

import net from "node:net";
import { DEADLINE_MS } from "../process/program.ts";
import { until } from "../until.ts";

export interface Target {
  readonly host: string;
  readonly port: number;
}

export interface RawOptions {
  /** The address that the connection comes from; any of 127.0.0.0/8. */
  readonly from?: string;
  /** False: nothing is ever read, so that the other side's writes fill up. */
  readonly reads?: boolean;
}

/** Of what came back, so much is kept. */
const KEPT_BYTES = 16 * 1024 ** 2;

export class Raw implements Disposable {
  readonly openedMs = performance.now();
  /** When the other side closed or reset, or we did. */
  closedMs: number | undefined;
  receivedBytes = 0;
  #kept = "";
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();

  private constructor(readonly socket: net.Socket) {
    socket.setNoDelay(true);
    socket.on("error", () => {}); // resets are what attackers live with
    socket.on("close", () => this.#gone());
    socket.on("end", () => this.ended = true);
  }

  /** Whether the other side said that nothing more comes. */
  ended = false;

  /** Connects; throws when the other side refuses, or does not answer within the deadline. */
  static async open(
    { host, port }: Target,
    { from = "127.0.0.1", reads = true }: RawOptions = {},
  ): Promise<Raw> {
    const socket = net.connect({ host, port, localAddress: from, allowHalfOpen: true });
    const opened = Promise.withResolvers<void>();
    const timer = setTimeout(() => opened.reject(new Error(`${host}:${port}: late`)), DEADLINE_MS);
    socket.once("connect", () => opened.resolve());
    socket.once("error", (error) => opened.reject(error));
    try {
      await opened.promise;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
    }
    const raw = new Raw(socket);
    if (reads) socket.on("data", (bytes: Uint8Array) => raw.#take(bytes));
    else socket.pause();
    return raw;
  }

  /** Opens many, in turn from each of the addresses. What is refused is left out. */
  static async openMany(
    target: Target,
    count: number,
    from: readonly string[] = ["127.0.0.1"],
    options: RawOptions = {},
  ): Promise<Raw[]> {
    const open = Array.from(
      { length: count },
      (_, i) => Raw.open(target, { ...options, from: from[i % from.length]! }),
    );
    const outcomes = await Promise.allSettled(open);
    return outcomes.flatMap((outcome) => outcome.status === "fulfilled" ? [outcome.value] : []);
  }

  get isClosed(): boolean {
    return this.closedMs !== undefined;
  }

  /** What came back, as text of the same length. */
  get text(): string {
    return this.#kept;
  }

  /** Hands bytes to the system; what cannot be sent any more is dropped, as the other side closed. */
  write(data: string | Uint8Array): void {
    if (!this.isClosed && this.socket.writable) this.socket.write(data);
  }

  /** Writes a JSON object. */
  send(message: unknown): void {
    this.write(JSON.stringify(message));
  }

  /** Hands bytes over and waits until the system took them, or the connection is gone. */
  async writeAll(data: string | Uint8Array): Promise<void> {
    if (this.isClosed || !this.socket.writable) return;
    const written = Promise.withResolvers<void>();
    this.socket.once("close", () => written.resolve());
    this.socket.write(data, () => written.resolve());
    await written.promise;
  }

  /** Writes one piece after the other, `everyMs` apart, until they end or the connection does. */
  drip(pieces: Iterable<string | Uint8Array>, everyMs: number): void {
    const iterator = pieces[Symbol.iterator]();
    const next = () => {
      const { value, done } = iterator.next();
      if (done || this.isClosed) return;
      this.write(value);
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        next();
      }, everyMs);
      this.#timers.add(timer);
    };
    next();
  }

  /** Says that nothing more comes, and goes on reading. */
  halfClose(): void {
    if (!this.isClosed) this.socket.end();
  }

  /** Ends the connection with a reset, whatever is under way. */
  reset(): void {
    if (!this.isClosed) this.socket.resetAndDestroy();
  }

  close(): void {
    this.socket.destroy();
    this.#gone();
  }

  /** Waits until the other side ended the connection; returns how long it had lived, in ms. */
  async untilClosed(deadlineMs = DEADLINE_MS): Promise<number> {
    await until("the end of a hostile connection", () => this.ended || this.isClosed, deadlineMs);
    return (this.closedMs ?? performance.now()) - this.openedMs;
  }

  /** Waits for text that comes back. */
  async untilText(pattern: RegExp, deadlineMs = DEADLINE_MS): Promise<RegExpMatchArray> {
    return await until(`${pattern} on a hostile connection`, () => {
      return this.#kept.match(pattern) ?? undefined;
    }, deadlineMs);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #take(bytes: Uint8Array): void {
    this.receivedBytes += bytes.length;
    if (this.#kept.length < KEPT_BYTES) this.#kept += latin1.decode(bytes);
  }

  #gone(): void {
    this.closedMs ??= performance.now();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}

const latin1 = new TextDecoder("latin1");

/** Opens a connection, writes, and goes: "resets", "closes", or says only that nothing more comes. */
export async function shout(
  target: Target,
  data: string | Uint8Array | Readonly<Record<string, unknown>>,
  { from, how = "closes" }: { from?: string; how?: "closes" | "half-closes" | "resets" } = {},
): Promise<void> {
  const isBytes = typeof data === "string" || data instanceof Uint8Array;
  const raw = await Raw.open(target, from === undefined ? {} : { from });
  await raw.writeAll(isBytes ? data : JSON.stringify(data));
  if (how === "resets") raw.reset();
  else raw.halfClose();
  if (how === "half-closes") await raw.untilClosed();
  if (how === "closes") raw.socket.destroySoon();
}
