// One connection of a foreign peer's double: reads and writes with deadlines, and ends that are not errors.

const READ_BYTES = 4096;
const WRITE_IDLE_MS = 30_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const LATE = new Error("No progress within the deadline");

/** One connection. No wait on it outlasts its deadline or its close. */
export class Line {
  readonly remoteHost: string;
  readonly #conn: Deno.TcpConn;
  readonly #closed = Promise.withResolvers<void>();
  readonly #onClose: () => void;
  #isOpen = true;

  constructor(conn: Deno.TcpConn, onClose: () => void) {
    this.#conn = conn;
    this.#onClose = onClose;
    this.remoteHost = conn.remoteAddr.hostname;
  }

  /** A reset counts as a close. A read that is late closes the connection. */
  async read(waitMs: number): Promise<Uint8Array | "closed" | "late"> {
    const buffer = new Uint8Array(READ_BYTES);
    try {
      const count = await this.#within(waitMs, () => this.#conn.read(buffer));
      return count === null ? "closed" : buffer.subarray(0, count);
    } catch (error) {
      return error === LATE ? "late" : "closed";
    }
  }

  /** Returns what went wrong. */
  async write(bytes: Uint8Array): Promise<string | undefined> {
    try {
      for (let at = 0; at < bytes.length;) {
        at += await this.#within(WRITE_IDLE_MS, () => this.#conn.write(bytes.subarray(at)));
      }
      return undefined;
    } catch (error) {
      return String(error);
    }
  }

  async halfClose(): Promise<void> {
    try {
      await this.#conn.closeWrite();
    } catch {
      // Already closed or reset: the next read reports it.
    }
  }

  /** Keeps the connection open and sends nothing, whatever the other side does. */
  async hold(waitMs: number): Promise<void> {
    const timer = setTimeout(this.#closed.resolve, Math.min(waitMs, LONGEST_TIMER_MS));
    await this.#closed.promise;
    clearTimeout(timer);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#conn.close();
    this.#closed.resolve();
    this.#onClose();
  }

  async #within<T>(waitMs: number, work: () => Promise<T>): Promise<T> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.close();
    }, waitMs);
    try {
      return await work();
    } catch (error) {
      throw late ? LATE : error;
    } finally {
      clearTimeout(timer);
    }
  }
}
