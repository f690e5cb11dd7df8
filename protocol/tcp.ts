// Sockets: listening, dialling, reading and writing with deadlines. The only file that touches TCP.
// Always holds: at most so many connections as the limits say, in all and per machine; each read and
// each write has a deadline; the accept loop survives running out of descriptors; an address is judged
// after it was resolved, right before it is dialled.

import { lookup } from "node:dns/promises";
import {
  type Address,
  addressText,
  canonicalIp,
  dialRefusal,
  type OwnAddresses,
  type Voucher,
} from "./address.ts";
import { Admission, type AdmissionLimits } from "./admission.ts";
import { ProtocolError } from "./errors.ts";
import type { Limits } from "./limits.ts";

/** Sends wait for a free dial at most so many at once; beyond that the newest is dropped. */
const MAX_WAITING_DIALS = 4_096;
/** An address that did not answer within the deadline is not tried again for this long (a guess). */
const DEAD_MS = 5_000;
/** A dial waits so long for a descriptor, where none is left. */
const NO_DESCRIPTOR_MS = 10_000;
/** Pause between two tries while the process has no descriptors left. */
const ACCEPT_PAUSE_MS = 100;
/** While somebody waits for a place, the others are looked at this often. */
const WAITING_MS = 250;
/** How long an answered peer may take to close its side. */
const LINGER_MS = 10_000;
/** What is read and thrown away while waiting for the other side to close. */
const LINGER_BYTES = 64 * 1024;

/** One TCP connection, with deadlines. After a deadline passed, it is closed. */
export class Connection {
  readonly ip: string;
  #closed = false;
  #late = false;

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
    return await this.#within(timeoutMs, () => this.conn.read(buffer));
  }

  /** Writes everything; throws `ProtocolError` "too-slow" when nothing at all was taken for `idleMs`. */
  async write(bytes: Uint8Array, idleMs: number): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      at += await this.#within(idleMs, () => this.conn.write(bytes.subarray(at)));
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

  /** Closes it as a deadline would: what waits on it ends as too slow. */
  giveUp(): void {
    this.#late = true;
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.conn.close();
    } catch {
      // Closed by the system already.
    }
  }

  async #within<T>(timeoutMs: number, act: () => Promise<T>): Promise<T> {
    // Closing ends what is under way; a pending write of Deno 2.7 only notices when the reader goes.
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      this.giveUp();
      late.reject(new Deno.errors.TimedOut("Deadline passed"));
    }, timeoutMs);
    try {
      return await Promise.race([act(), late.promise]);
    } catch (cause) {
      if (!this.#late) throw cause;
      throw new ProtocolError("too-slow", "Nothing moved on the connection before its deadline", {
        cause,
      });
    } finally {
      clearTimeout(timer);
    }
  }
}

export interface ListenOptions {
  readonly hostname: string;
  readonly port: number;
  readonly limits: AdmissionLimits;
  /** Whether a tracked peer is at this address: its bursts wait instead of being refused. */
  readonly isKnown: (ip: string) => boolean;
  /** Serves one connection to its end; it is closed afterwards. Must not throw. */
  readonly serve: (connection: Connection) => Promise<void>;
  /** A monotonic clock; for tests. */
  readonly nowMs?: () => number;
}

/** Accepts connections; who of them has a place, and who gives it up, the rules in admission.ts say. */
export class Listener {
  readonly #listener: Deno.TcpListener;
  readonly #admission: Admission<Connection>;
  /** Who waits for the turn to send content. */
  readonly #turns = new Map<Connection, (isTheirs: boolean) => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #nowMs: () => number;
  #stopped = false;

  /** Takes the port; who connects waits until `begin`. Throws `Deno.errors.AddrInUse`. */
  constructor(readonly options: ListenOptions) {
    const { hostname, port, limits, isKnown } = options;
    this.#admission = new Admission(limits, isKnown);
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#listener = Deno.listen({ hostname, port });
  }

  /** Accepts connections from now on. */
  begin(): void {
    this.#acceptAll();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  get connections(): number {
    return this.#admission.size;
  }

  /** A message came whole on this connection: it is in use. */
  completed(connection: Connection): void {
    this.#admission.completed(connection, this.#nowMs());
  }

  /** Content that is pushed came on this connection. */
  moved(connection: Connection, bytes: number): void {
    this.#admission.moved(connection, bytes, this.#nowMs());
  }

  /**
   * Sends content on a connection when it is its turn: slow readers must not take every place. False, and
   * nothing was sent, when too many wait already or the connection ended meanwhile.
   */
  async inTurn(connection: Connection, send: () => Promise<void>): Promise<boolean> {
    if (!this.#admission.has(connection)) {
      if (connection.closed) return false;
      await send(); // one that we opened
      return true;
    }
    if (!this.#admission.wantsContent(connection)) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#turns.set(connection, resolve);
    this.#goOn();
    try {
      if (!await promise) return false;
      await send();
      return true;
    } finally {
      this.#turns.delete(connection);
      this.#admission.contentEnded(connection, this.#nowMs());
      this.#goOn();
    }
  }

  /** Stops accepting; connections under way go on until `close`. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#listener.close();
  }

  /** Closes everything. */
  close(): void {
    this.stop();
    for (const connection of this.#admission.all()) connection.close();
    for (const tell of this.#turns.values()) tell(false);
  }

  async #acceptAll(): Promise<void> {
    while (!this.#stopped) {
      try {
        this.#admit(new Connection(await this.#listener.accept()));
      } catch {
        // EMFILE, or a connection that was reset before it was accepted: the loop goes on.
        if (this.#stopped) return;
        this.#admission.relieve(this.#nowMs())?.giveUp();
        await new Promise((go) => setTimeout(go, ACCEPT_PAUSE_MS));
      }
    }
  }

  #admit(connection: Connection): void {
    if (this.#admission.arrive(connection, connection.ip, this.#nowMs())) this.#goOn();
    else connection.close();
  }

  #goOn(): void {
    if (this.#stopped) return;
    const { evict, serve, send } = this.#admission.turn(this.#nowMs());
    for (const connection of evict) connection.giveUp();
    for (const connection of serve) this.#serve(connection);
    for (const connection of send) this.#turns.get(connection)?.(true);
    if (this.#timer !== undefined || !this.#admission.hasWaiting) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#goOn();
    }, WAITING_MS);
  }

  async #serve(connection: Connection): Promise<void> {
    try {
      await this.options.serve(connection);
    } finally {
      connection.close();
      this.#turns.get(connection)?.(false);
      this.#admission.leave(connection);
      this.#goOn();
    }
  }
}

/** Why a dial did not lead to a connection; the message is for people. */
export class DialError extends Error {
  override readonly name = "DialError";
  constructor(
    readonly forbidden: boolean,
    message: string,
    options?: ErrorOptions,
    /** It says nothing about the address: this process had no descriptor left. */
    readonly isOurs = false,
  ) {
    super(message, options);
  }
}

function isOutOfDescriptors(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "EMFILE" || code === "ENFILE";
}

/** Opens connections: a bounded number at once, each within its deadline, none to forbidden addresses. */
export class Dialer {
  #open = 0;
  readonly #waiting: { readonly key: string; readonly go: (dead?: DialError) => void }[] = [];
  readonly #deadUntil = new Map<string, number>();
  #stopped = false;

  constructor(
    readonly limits: Pick<Limits, "maxDials" | "dialTimeoutMs">,
    readonly own: () => OwnAddresses,
  ) {}

  /**
   * Throws `DialError` when the address is refused, not resolved, silent or forbidden.
   * `urgent`: somebody waits for a file; it goes before gossip.
   */
  async dial(to: Address, voucher: Voucher, urgent = false): Promise<Connection> {
    const key = addressText(to);
    await this.#turn(key, voucher, urgent);
    try {
      const ip = await this.#resolve(to.host, AbortSignal.timeout(this.limits.dialTimeoutMs));
      const refusal = dialRefusal(ip, to.port, voucher, this.own());
      if (refusal !== undefined) {
        throw new DialError(true, `${key} is not dialled: ${ip} ${refusal}`);
      }
      const conn = await this.#connect(ip, to.port);
      this.#deadUntil.delete(key);
      return new Connection(conn);
    } catch (cause) {
      throw this.#explain(key, cause);
    } finally {
      this.#open--;
      this.#startNext();
    }
  }

  /** Ends all that wait. */
  close(): void {
    this.#stopped = true;
    for (const { go } of this.#waiting.splice(0)) go(new DialError(false, "This peer is stopping"));
  }

  async #turn(key: string, voucher: Voucher, urgent: boolean): Promise<void> {
    if (this.#stopped) throw new DialError(false, "This peer is stopping");
    const deadUntil = this.#deadUntil.get(key);
    if (
      voucher !== "operator" && !urgent && deadUntil !== undefined && performance.now() < deadUntil
    ) {
      throw new DialError(false, `${key} did not answer a moment ago`);
    }
    if (this.#open < this.limits.maxDials) {
      this.#open++;
      return;
    }
    if (this.#waiting.length >= MAX_WAITING_DIALS) {
      throw new DialError(false, `${key} is not dialled: too many wait to be`);
    }
    const dead = await new Promise<DialError | undefined>((go) => {
      if (urgent) this.#waiting.unshift({ key, go });
      else this.#waiting.push({ key, go });
    });
    if (dead) throw dead;
  }

  #startNext(): void {
    const next = this.#open < this.limits.maxDials ? this.#waiting.shift() : undefined;
    if (!next) return;
    this.#open++;
    next.go();
  }

  /** Waits for a descriptor where none is left: that the other side is there has nothing to do with it. */
  async #connect(hostname: string, port: number): Promise<Deno.TcpConn> {
    const untilMs = performance.now() + NO_DESCRIPTOR_MS;
    for (;;) {
      try {
        const signal = AbortSignal.timeout(this.limits.dialTimeoutMs);
        return await Deno.connect({ hostname, port, signal });
      } catch (error) {
        if (!isOutOfDescriptors(error) || performance.now() > untilMs) throw error;
        await new Promise((go) => setTimeout(go, ACCEPT_PAUSE_MS));
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
    const silent = cause instanceof DOMException;
    if (silent) {
      if (this.#deadUntil.size >= MAX_WAITING_DIALS) this.#deadUntil.clear();
      this.#deadUntil.set(key, performance.now() + DEAD_MS);
      // Whatever else waits for the same address would wait in vain, and keep others waiting.
      const dead = new DialError(false, `${key} does not answer`);
      for (let i = this.#waiting.length - 1; i >= 0; i--) {
        if (this.#waiting[i]!.key === key) this.#waiting.splice(i, 1)[0]!.go(dead);
      }
    }
    if (isOutOfDescriptors(cause)) {
      const text = `${key} is not dialled: this process may open no more connections`;
      return new DialError(false, text, { cause }, true);
    }
    const why = silent
      ? "does not answer"
      : cause instanceof Deno.errors.ConnectionRefused
      ? "refuses connections"
      : cause instanceof Error && "code" in cause && String(cause.code).startsWith("E")
      ? `cannot be reached (${cause.code})`
      : "cannot be reached";
    return new DialError(false, `${key} ${why}`, { cause });
  }
}
