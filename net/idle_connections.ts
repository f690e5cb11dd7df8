// Connections on which a source has answered completely, kept for a moment for the next request: a small file then costs
// no new connection.
// Invariants: at most `MAX_IDLE`, and `MAX_IDLE_PER_SOURCE` to one source; each is closed before the other side does.

import type { Connection } from "./connection.ts";

/** Maximum number of connections kept. Each is a file descriptor here and a slot at the source. (A guess.) */
export const MAX_IDLE = 32;
/** The same to one source: as many as files are fetched from it at once. */
export const MAX_IDLE_PER_SOURCE = 3;
/** How long one is kept, in milliseconds: less than a peer waits for a message (`messageTimeoutMs`). */
const IDLE_MS = 5_000;

interface Idle {
  readonly connection: Connection;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** The idle connections, by the address that was dialed. */
export class IdleConnections {
  readonly #idle = new Map<string, Idle[]>();
  #isClosed = false;

  /** Number of connections kept. */
  get size(): number {
    let size = 0;
    for (const kept of this.#idle.values()) size += kept.length;
    return size;
  }

  /** Keeps a connection, or closes it if there are enough. */
  keep(key: string, connection: Connection): void {
    const kept = this.#idle.get(key) ?? [];
    const isFull = kept.length >= MAX_IDLE_PER_SOURCE || this.size >= MAX_IDLE;
    if (this.#isClosed || isFull || connection.closed) return connection.close();
    const timer = setTimeout(() => this.#drop(key, connection), IDLE_MS);
    this.#idle.set(key, [...kept, { connection, timer }]);
  }

  /** Takes out the connection that was used last. The other side may have closed it meanwhile. */
  take(key: string): Connection | undefined {
    const kept = this.#idle.get(key);
    const last = kept?.pop();
    if (kept?.length === 0) this.#idle.delete(key);
    clearTimeout(last?.timer);
    return last?.connection;
  }

  /** Closes one of those that were kept first. Returns false if there are none. */
  dropOldest(): boolean {
    for (const [key, [first]] of this.#idle) {
      if (!first) continue;
      clearTimeout(first.timer);
      this.#drop(key, first.connection);
      return true;
    }
    return false;
  }

  /** Closes all, and those that come later. */
  close(): void {
    this.#isClosed = true;
    for (const key of [...this.#idle.keys()]) {
      for (let next = this.take(key); next; next = this.take(key)) next.close();
    }
  }

  #drop(key: string, connection: Connection): void {
    const left = (this.#idle.get(key) ?? []).filter((each) => each.connection !== connection);
    if (left.length > 0) this.#idle.set(key, left);
    else this.#idle.delete(key);
    connection.close();
  }
}
