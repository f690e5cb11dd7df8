// One connection: reading, writing and lingering, each with its deadline; a fast stream gives way to others.
// Always holds: what is under way has a deadline, and after one passed the connection is closed; the descriptor counts as
// free only when the system has let go of it.

import { setImmediate } from "node:timers";
import { canonicalIp } from "../protocol/wire/address.ts";
import { ProtocolError } from "../protocol/wire/errors.ts";

/** Streams give way to others after so much work. */
const TURN_MS = 5;
/** How long an answered peer may take to close its side. */
const LINGER_MS = 10_000;
/** What is read and thrown away while waiting for the other side to close. */
const LINGER_BYTES = 64 * 1024;

let lastTurnMs = 0;

/**
 * Gives everybody else a turn, now and then. A read or write that is ready at once never leaves the microtasks, so a
 * fast stream would keep timers, other connections and answers waiting until its end (measured: 0.7 s a GiB).
 */
async function turn(): Promise<void> {
  await new Promise<void>((go) => setImmediate(go));
  lastTurnMs = performance.now();
}

const isTurnDue = () => performance.now() - lastTurnMs >= TURN_MS;

/**
 * One direction of a connection: what is under way in it, and until when. A stream sets its deadline anew for every
 * piece, so the timer runs on, and looks when it fires whether the deadline moved: a timer made for each piece leaves garbage
 * that outlives many pieces (measured: 4 MB in an upload of 5 GiB).
 */
class Direction {
  #acting: Promise<unknown> | undefined;
  #fail: (reason: unknown) => void = () => {};
  #untilMs = Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #firesMs = Infinity;
  #isOver = false;

  constructor(private readonly onLate: () => void) {}

  /** What `acting` comes to, unless `end` comes before it. A later one takes the place of one that nobody waits for. */
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

  /** What is under way fails. */
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
    if (this.#untilMs === Infinity) return; // the next one starts it again
    const nowMs = performance.now();
    if (this.#untilMs <= nowMs) this.onLate();
    else this.#start(nowMs, this.#untilMs - nowMs);
  }
}

/** One TCP connection, with deadlines. After a deadline passed, it is closed. */
export class Connection {
  readonly ip: string;
  #closed = false;
  #late = false;
  readonly #reading = new Direction(() => this.giveUp());
  readonly #writing = new Direction(() => this.giveUp());
  /** What the system still works on; the descriptor is free when there is nothing left. */
  #under = 0;
  #onSettled: (() => void)[] = [];
  readonly #ended = () => {
    if (--this.#under > 0) return;
    for (const tell of this.#onSettled.splice(0)) tell();
  };

  constructor(readonly conn: Deno.TcpConn) {
    this.ip = canonicalIp(conn.remoteAddr.hostname) ?? conn.remoteAddr.hostname;
    try {
      conn.setNoDelay(true);
    } catch {
      // The other side has gone already; the first read will say so.
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes read into `buffer`, or null at the end. Throws `ProtocolError` "too-slow" after `timeoutMs`. */
  async read(buffer: Uint8Array, timeoutMs: number): Promise<number | null> {
    if (isTurnDue()) await turn();
    return await this.#within(this.#reading, timeoutMs, () => this.conn.read(buffer));
  }

  /** Writes everything; throws `ProtocolError` "too-slow" when nothing at all was taken for `idleMs`. */
  async write(bytes: Uint8Array, idleMs: number): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      if (isTurnDue()) await turn();
      at += await this.#within(this.#writing, idleMs, () => this.conn.write(bytes.subarray(at)));
    }
  }

  /** Says that nothing more will come, so that readers until close finish at once. */
  async closeWrite(): Promise<void> {
    try {
      await this.conn.closeWrite();
    } catch {
      // The other side closed first: nobody is there to be told.
    }
  }

  /** Waits until the other side has closed. Closing with unread bytes would reset what is on its way. */
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
      // Too slow or reset: the caller closes in any case.
    }
  }

  /**
   * Resolves when the system has let go of the connection. On Deno 2.7 a write that nobody reads holds its
   * descriptor beyond `close`, until the other side goes.
   */
  async settled(): Promise<void> {
    if (this.#under > 0) await new Promise<void>((go) => this.#onSettled.push(go));
  }

  /** Closes it as a deadline would: what waits on it ends as too slow. */
  giveUp(): void {
    this.#late = true;
    this.close();
  }

  /** What waits on it ends. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.conn.close();
    } catch {
      // Closed by the system already.
    }
    // Closing ends what is under way; but a pending write of Deno 2.7 only notices when the reader goes.
    const reason = new Deno.errors.BadResource("The connection was closed");
    this.#reading.end(reason);
    this.#writing.end(reason);
  }

  async #within<T>(direction: Direction, timeoutMs: number, act: () => Promise<T>): Promise<T> {
    try {
      const acting = act();
      this.#under++;
      acting.then(this.#ended, this.#ended);
      return await direction.within(timeoutMs, acting);
    } catch (cause) {
      if (!this.#late) throw cause;
      throw new ProtocolError("too-slow", "Nothing moved on the connection before its deadline", {
        cause,
      });
    }
  }
}
