// One connection: reading, writing and lingering, each with a deadline. A fast stream yields to other work.
// Invariants: every operation in progress has a deadline, and once one has passed, the connection is closed; the
// file descriptor counts as free only after the system has released it.

import { canonicalIp } from "../protocol/wire/address.ts";
import { ProtocolError } from "../protocol/wire/errors.ts";
import type { Throttles } from "./throttle.ts";
import { closed, isTurnDue, opened, turn } from "./turns.ts";

/** How long a peer may take to close its side after our answer, in milliseconds. */
const LINGER_MS = 10_000;
/** Maximum number of bytes read and discarded while waiting for the other side to close. */
const LINGER_BYTES = 64 * 1024;

/**
 * One direction of a connection: the operation in progress and its deadline. A stream moves its deadline with every
 * piece, so the timer is left running and checks when it fires whether the deadline has moved. A timer for each
 * piece would leave garbage that outlives many pieces (measured: 4 MB in an upload of 5 GiB).
 */
class Direction {
  #acting: Promise<unknown> | undefined;
  #fail: (reason: unknown) => void = () => {};
  #untilMs = Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #firesMs = Infinity;
  #isOver = false;

  constructor(private readonly onLate: () => void) {}

  /** Settles as `acting` does, unless `end` comes first. A later operation replaces one that nobody waits for. */
  async within<T>(timeoutMs: number, acting: Promise<T>): Promise<T> {
    if (this.#isOver) return await acting;
    this.#acting = acting;
    const nowMs = performance.now();
    this.#untilMs = nowMs + timeoutMs;
    if (this.#untilMs < this.#firesMs) this.#start(nowMs, timeoutMs);
    try {
      return await new Promise<T>((done, fail) => {
        this.#fail = fail;
        acting.then(done, fail);
      });
    } finally {
      if (this.#acting === acting) this.#untilMs = Infinity;
    }
  }

  /** Fails the operation in progress. */
  end(reason: unknown): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#fail(reason);
  }

  #start(nowMs: number, timeoutMs: number): void {
    clearTimeout(this.#timer);
    this.#firesMs = nowMs + timeoutMs;
    this.#timer = setTimeout(() => this.#look(), timeoutMs);
  }

  #look(): void {
    this.#firesMs = Infinity;
    if (this.#untilMs === Infinity) return; // the next operation starts it again
    const nowMs = performance.now();
    if (this.#untilMs <= nowMs) this.onLate();
    else this.#start(nowMs, this.#untilMs - nowMs);
  }
}

/** One TCP connection, with deadlines. It is closed as soon as one passes. */
export class Connection {
  #ip: string;
  #isPassedOn = false;
  #closed = false;
  #late = false;
  readonly #reading = new Direction(() => this.giveUp());
  readonly #writing = new Direction(() => this.giveUp());
  /** Number of operations that the system is still working on; the file descriptor is free at 0. */
  #under = 0;
  #onSettled: (() => void)[] = [];
  #onClosed: (() => void)[] = [];
  readonly #ended = () => {
    if (--this.#under > 0) return;
    for (const tell of this.#onSettled.splice(0)) tell();
  };

  /** Wraps an open connection and takes over closing it. */
  constructor(readonly conn: Deno.TcpConn, readonly throttles?: Throttles) {
    opened();
    this.#ip = canonicalIp(conn.remoteAddr.hostname) ?? conn.remoteAddr.hostname;
    try {
      conn.setNoDelay(true);
    } catch {
      // The other side has already gone; the first read will report it.
    }
  }

  /**
   * Canonical address of the other side. If somebody passes on what it sends, a text that is no address: nothing proves who it
   * is.
   */
  get ip(): string {
    return this.#ip;
  }

  /** Notes that what arrives here is passed on for somebody else. */
  passedOn(): void {
    this.#ip = `relay ${this.#ip}`;
    this.#isPassedOn = true;
  }

  /** Whether what arrives here is passed on for somebody else. */
  get isPassedOn(): boolean {
    return this.#isPassedOn;
  }

  /** Whether this side has closed the connection. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Reads into `buffer`. Resolves to the number of bytes, or to `null` at the end. Throws `ProtocolError`
   * "too-slow" after `timeoutMs`, and connection errors.
   */
  async read(buffer: Uint8Array, timeoutMs: number): Promise<number | null> {
    if (isTurnDue()) await turn();
    return await this.#within(this.#reading, timeoutMs, () => this.conn.read(buffer));
  }

  /**
   * Writes all bytes, and calls `onWritten` with the number of each piece that the system took. Throws `ProtocolError`
   * "too-slow" if the other side accepts nothing for `idleMs`, and connection errors.
   */
  async write(
    bytes: Uint8Array,
    idleMs: number,
    onWritten: (bytes: number) => void = () => {},
  ): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      if (isTurnDue()) await turn();
      const act = () => this.conn.write(bytes.subarray(at));
      const written = await this.#within(this.#writing, idleMs, act);
      at += written;
      onWritten(written);
    }
  }

  /** Like `read`, for content: within the limit on what is received. */
  async readContent(buffer: Uint8Array, timeoutMs: number): Promise<number | null> {
    const { down } = this.throttles ?? {};
    if (!down?.bytesPerSecond) return await this.read(buffer, timeoutMs);
    const read = await this.read(buffer.subarray(0, down.pieceOf(buffer.length)), timeoutMs);
    if (read !== null) await down.take(read);
    return read;
  }

  /** Like `write`, for content: within the limit on what is sent. */
  async writeContent(bytes: Uint8Array, idleMs: number): Promise<void> {
    const { up } = this.throttles ?? {};
    if (!up?.bytesPerSecond) return await this.write(bytes, idleMs);
    for (let at = 0; at < bytes.length;) {
      const piece = bytes.subarray(at, at + up.pieceOf(bytes.length - at));
      await up.take(piece.length);
      await this.write(piece, idleMs);
      at += piece.length;
    }
  }

  /** Closes the sending side, so that readers waiting for the end finish at once. Never throws. */
  async closeWrite(): Promise<void> {
    try {
      await this.conn.closeWrite();
    } catch {
      // The other side closed first.
    }
  }

  /**
   * Waits until the other side has closed. Closing with unread bytes would reset the connection and lose what is on
   * its way. Never throws.
   */
  async linger(timeoutMs = LINGER_MS): Promise<void> {
    const buffer = new Uint8Array(4096);
    const until = performance.now() + timeoutMs;
    let left = LINGER_BYTES;
    try {
      while (left > 0) {
        const read = await this.read(buffer, Math.max(1, until - performance.now()));
        if (read === null) return;
        left -= read;
      }
    } catch {
      // Too slow or reset: the caller closes the connection in any case.
    }
  }

  /**
   * Resolves when the system has released the connection. On Deno 2.7 a write that nobody reads holds its file
   * descriptor after `close`, until the other side closes.
   */
  async settled(): Promise<void> {
    if (this.#under > 0) await new Promise<void>((go) => this.#onSettled.push(go));
  }

  /** Resolves when this side has closed the connection. */
  async untilClosed(): Promise<void> {
    if (!this.#closed) await new Promise<void>((go) => this.#onClosed.push(go));
  }

  /** Closes the connection as a missed deadline would: operations in progress fail as too slow. */
  giveUp(): void {
    this.#late = true;
    this.close();
  }

  /** Closes the connection. Operations in progress fail. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closed();
    try {
      this.conn.close();
    } catch {
      // Already closed by the system.
    }
    // Closing fails pending operations, except that a pending write of Deno 2.7 only notices when the reader is
    // gone.
    const reason = new Deno.errors.BadResource("The connection was closed");
    this.#reading.end(reason);
    this.#writing.end(reason);
    for (const tell of this.#onClosed.splice(0)) tell();
  }

  async #within<T>(direction: Direction, timeoutMs: number, act: () => Promise<T>): Promise<T> {
    try {
      const acting = act();
      this.#under++;
      acting.then(this.#ended, this.#ended);
      return await direction.within(timeoutMs, acting);
    } catch (cause) {
      if (!this.#late) throw cause;
      throw new ProtocolError("too-slow", "The connection made no progress before its deadline", {
        cause,
      });
    }
  }
}
