// Turns: how a stream that is always ready gives way to other work. A read or write that is ready at once never leaves the
// microtask queue, so a fast stream would delay timers, other connections and answers until its end (measured: 0.7 s per GiB).
// A turn sends a byte to ourselves: nothing else makes the runtime look at all sockets at once. After `setImmediate` it
// looks at them only once in 60 rounds (findings/), and a timer takes 2 ms.
// Invariants: a turn ends, whatever becomes of the byte; nobody else can send or hold back one; without open connections,
// nothing is open here.

/** How long a stream may run before it gives way, in milliseconds. */
const TURN_MS = 5;
/** Number of bytes sent in one turn. With one, an answer that takes several steps waits for several turns. */
const ROUNDS = 4;
/**
 * How long these may take before timers are used instead, in milliseconds, twice: something else may have kept this thread
 * busy meanwhile, or the machine was suspended. (A guess: usually 0.2 ms.)
 */
const LATE_MS = 500;
/** How long timers are used after bytes did not arrive, in milliseconds. (A guess.) */
const RETRY_MS = 60_000;

/** Both ends of a connection to ourselves. */
type Pair = readonly [Deno.TcpConn, Deno.TcpConn];

let connections = 0;
let pair: Pair | undefined;
/** When the next pair may be made. */
let retryMs = -Infinity;
let connecting: Promise<void> | undefined;
/** The turn that all streams share. */
let running: Promise<void> | undefined;
let lastMs = 0;

const byte = new Uint8Array(1);
const received = new Uint8Array(16);

/** Returns whether it is time for a turn. */
export const isTurnDue = (): boolean => performance.now() - lastMs >= TURN_MS;

/** Gives way to other work. Never rejects. */
export async function turn(): Promise<void> {
  if (pair) await (running ??= exchange(pair));
  else if (performance.now() >= retryMs) await within(LATE_MS, connecting ??= connect());
  else await new Promise<void>((go) => setTimeout(go, 0));
  lastMs = performance.now();
}

/** Notes that a connection was opened. */
export function opened(): void {
  connections++;
}

/** Notes that a connection was closed. */
export function closed(): void {
  if (--connections === 0) drop();
}

async function exchange(own: Pair): Promise<void> {
  const sending = send(own);
  const isThere = await within(LATE_MS, sending) ?? await within(LATE_MS, sending) ?? false;
  running = undefined;
  if (isThere || pair !== own) return;
  retryMs = performance.now() + RETRY_MS;
  drop();
}

/** Resolves to `undefined` if that takes longer. */
async function within<T>(ms: number, act: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((go) => timer = setTimeout(() => go(undefined), ms));
  try {
    return await Promise.race([act, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function send([from, to]: Pair): Promise<boolean> {
  try {
    for (let round = 0; round < ROUNDS; round++) {
      await from.write(byte);
      await to.read(received);
    }
    return true;
  } catch {
    return false; // it was closed
  }
}

/** Connects to ourselves, unless that is not possible. Never rejects. */
async function connect(): Promise<void> {
  try {
    pair = await bothEnds();
    for (const conn of pair) conn.setNoDelay(true);
    if (connections === 0) drop();
  } catch {
    drop();
    retryMs = performance.now() + RETRY_MS; // file descriptors ran out, or there is no loopback interface
  }
  connecting = undefined;
}

/** Connects to ourselves. Throws if that is not possible, or somebody else was faster; nothing stays open then. */
async function bothEnds(): Promise<Pair> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = listener.accept();
  const connecting = Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  connecting.catch(() => listener.close()); // nobody would be accepted
  const [from, to] = await Promise.allSettled([connecting, accepting]);
  if (from.status === "fulfilled") listener.close();
  const isWhole = from.status === "fulfilled" && to.status === "fulfilled";
  if (isWhole && from.value.localAddr.port === to.value.remoteAddr.port) {
    return [from.value, to.value];
  }
  for (const end of [from, to]) if (end.status === "fulfilled") end.value.close();
  throw new Error("Not connected to ourselves");
}

function drop(): void {
  for (const conn of pair ?? []) conn.close();
  pair = undefined;
}
