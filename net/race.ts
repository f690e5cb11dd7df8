// Dials several addresses of one machine until one answers (RFC 8305, section 5). Knows no sockets, so that tests need none.
// Invariants: addresses are dialed in order, each after the one before failed or took `HEAD_START_MS`; the first connection
// wins, and those that come after it are closed.

/** How long a dial may take before another way is tried too, in milliseconds (RFC 8305, section 8). */
export const HEAD_START_MS = 250;

/** Something that can be closed. */
export interface Closable {
  /** Closes it. */
  close(): void;
}

/**
 * Resolves to the first connection. Throws all failures, in the order of their addresses, as an `AggregateError` if every dial fails;
 * its `errors` are empty if there was nothing to dial.
 */
export function race<T extends Closable>(
  addresses: Iterable<string>,
  dial: (address: string, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const over = new AbortController();
  const failures: unknown[] = [];
  const rest = addresses[Symbol.iterator]();
  let open = 0;
  let dialed = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const next = () => {
    clearTimeout(timer);
    if (over.signal.aborted) return;
    const { value: address, done } = rest.next();
    if (done) {
      if (open === 0) reject(new AggregateError(failures, "No address answers"));
      return;
    }
    const place = dialed++;
    open++;
    timer = setTimeout(next, HEAD_START_MS);
    dial(address, over.signal).then((connection) => {
      if (over.signal.aborted) return connection.close();
      clearTimeout(timer);
      over.abort();
      resolve(connection);
    }, (error) => {
      open--;
      failures[place] = error;
      next();
    });
  };
  next();
  return promise;
}
