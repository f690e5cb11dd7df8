// One manually controlled TCP connection from any loopback address. Writes whatever and whenever the test says, and
// records what comes back. The attacker's side of tests/threats; nothing here knows the program's internals.

import net from "node:net";
import { DEADLINE_MS } from "../process/program.ts";
import { until } from "../until.ts";

export interface Target {
  readonly host: string;
  readonly port: number;
}

export interface RawOptions {
  /** Source address of the connection, anywhere in 127.0.0.0/8. */
  readonly from?: string;
  /** Whether to read at all. With false, the other side's write buffers fill up. */
  readonly reads?: boolean;
}

/** Maximum amount of received data to keep, in bytes. */
const KEPT_BYTES = 16 * 1024 ** 2;

export class Raw implements Disposable {
  readonly openedMs = performance.now();
  /** When the connection was closed, by either side. */
  closedMs: number | undefined;
  receivedBytes = 0;
  #kept = "";
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();

  private constructor(readonly socket: net.Socket) {
    socket.setNoDelay(true);
    socket.on("error", () => {}); // attackers must expect resets
    socket.on("close", () => this.#gone());
    socket.on("end", () => this.ended = true);
  }

  /** Whether the other side has half-closed the connection. */
  ended = false;

  /** Connects. Throws if the other side refuses or does not answer within the deadline. */
  static async open(
    { host, port }: Target,
    { from = "127.0.0.1", reads = true }: RawOptions = {},
  ): Promise<Raw> {
    const socket = net.connect({ host, port, localAddress: from, allowHalfOpen: true });
    const opened = Promise.withResolvers<void>();
    const timer = setTimeout(
      () => opened.reject(new Error(`${host}:${port} did not accept the connection in time`)),
      DEADLINE_MS,
    );
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

  /** Opens many connections, cycling through the source addresses. Omits those that are refused. */
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

  /** The received data as text, one character per byte. */
  get text(): string {
    return this.#kept;
  }

  /** Queues bytes for sending. Drops them if the other side has closed. */
  write(data: string | Uint8Array): void {
    if (!this.isClosed && this.socket.writable) this.socket.write(data);
  }

  /** Sends an object as JSON. */
  send(message: unknown): void {
    this.write(JSON.stringify(message));
  }

  /** Sends bytes, and resolves once the system has accepted them or the connection is gone. */
  async writeAll(data: string | Uint8Array): Promise<void> {
    if (this.isClosed || !this.socket.writable) return;
    const written = Promise.withResolvers<void>();
    this.socket.once("close", () => written.resolve());
    this.socket.write(data, () => written.resolve());
    await written.promise;
  }

  /** Writes one piece every `everyMs`, until there are no more or the connection closes. */
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

  /** Half-closes the connection and continues reading. */
  halfClose(): void {
    if (!this.isClosed) this.socket.end();
  }

  /** Resets the connection, whatever is in progress. */
  reset(): void {
    if (!this.isClosed) this.socket.resetAndDestroy();
  }

  close(): void {
    this.socket.destroy();
    this.#gone();
  }

  /** Waits until the other side closes the connection, and returns its lifetime in milliseconds. */
  async untilClosed(deadlineMs = DEADLINE_MS): Promise<number> {
    await until("a hostile connection to be closed", () => this.ended || this.isClosed, deadlineMs);
    return (this.closedMs ?? performance.now()) - this.openedMs;
  }

  /** Resolves to the match once the received text matches. */
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

/** Opens a connection, writes, and resets, closes, or half-closes it; after a half-close, waits for the other side. */
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
