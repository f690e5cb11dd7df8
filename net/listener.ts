// Accepts connections. `admission.ts` decides which ones to serve. Only this file and dialer.ts open TCP
// connections.
// Invariants: there are at most as many connections as the limits allow, in total and per machine; the accept loop
// survives running out of file descriptors.

import { Admission, type AdmissionLimits } from "./admission.ts";
import { Connection } from "./connection.ts";
import type { Throttles } from "./throttle.ts";

/** Delay between accept attempts while the process is out of file descriptors, in milliseconds. */
const ACCEPT_PAUSE_MS = 100;
/** How often the other connections are checked while one waits for a slot, in milliseconds. */
const WAITING_MS = 250;

/** Where to listen, and what to do with connections. */
export interface ListenOptions {
  /** Address to listen on. */
  readonly hostname: string;
  /** Port to listen on; 0 picks a free one. */
  readonly port: number;
  /** How many connections are served and may wait. */
  readonly limits: AdmissionLimits;
  /** Returns whether a known peer is at this address. Its bursts may wait instead of being refused. */
  readonly isKnown: (ip: string) => boolean;
  /** Limits on the content on all connections. */
  readonly throttles?: Throttles;
  /** Called for each connection that is closed because there is no slot for it and it may not wait. */
  readonly onRefused?: (ip: string) => void;
  /** Called when no connection can be accepted, most likely because the process is out of file descriptors. */
  readonly onShort?: () => void;
  /** Called for each connection that is dropped because another one needs its slot. */
  readonly onDropped?: () => void;
  /** Serves one connection to its end; the listener closes it afterwards. Must not throw. */
  readonly serve: (connection: Connection) => Promise<void>;
  /** A monotonic clock, in milliseconds; replaced in tests. */
  readonly nowMs?: () => number;
}

/** Accepts connections. `admission.ts` decides which ones to serve and which to drop. */
export class Listener {
  readonly #listener: Deno.TcpListener;
  readonly #admission: Admission<Connection>;
  /** Connections that wait for their turn to send content. */
  readonly #turns = new Map<Connection, (isTheirs: boolean) => void>();
  readonly #serving = new Set<Promise<void>>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #nowMs: () => number;
  #stopped = false;

  /**
   * Takes the port. Connections wait in the backlog until `begin`. Throws `Deno.errors.AddrInUse` and other errors
   * of listening.
   */
  constructor(readonly options: ListenOptions) {
    const { hostname, port, limits, isKnown } = options;
    this.#admission = new Admission(limits, isKnown);
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#listener = listen(hostname, port);
  }

  /** Starts accepting connections. */
  begin(): void {
    this.#acceptAll();
  }

  /** Serves a connection that we opened as if it had been accepted, in its turn, or closes it. */
  take(connection: Connection): void {
    if (this.#stopped) connection.close();
    else this.#admit(connection);
  }

  /** The port that is listened on. */
  get port(): number {
    return this.#listener.addr.port;
  }

  /** Number of connections that have a slot or wait for one. */
  get connections(): number {
    return this.#admission.size;
  }

  /** Records that a message was completed on this connection, so it is in use. */
  completed(connection: Connection): void {
    this.#admission.completed(connection, this.#nowMs());
  }

  /** Records that pushed content arrived on this connection. */
  moved(connection: Connection, bytes: number): void {
    this.#admission.moved(connection, bytes, this.#nowMs());
  }

  /**
   * Calls `send` when it is this connection's turn to be sent content, so that slow readers cannot take every slot.
   * `isKept`: the connection stays open afterwards only for a further request. Resolves to false, without calling it, if
   * too many are already waiting or the connection ends first. Throws what `send` throws.
   */
  async inTurn(
    connection: Connection,
    isKept: boolean,
    send: () => Promise<void>,
  ): Promise<boolean> {
    if (!this.#admission.has(connection)) {
      if (connection.closed) return false;
      await send(); // a connection that we opened
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
      this.#whenSettled(connection, () => {
        this.#admission.contentEnded(connection, this.#nowMs(), isKept);
      });
    }
  }

  /** A slot is free only when its file descriptor is. */
  #whenSettled(connection: Connection, act: () => void): void {
    connection.settled().then(() => {
      act();
      this.#goOn();
    });
  }

  /** Stops accepting. Connections in progress continue until `close`. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#listener.close();
  }

  /** Stops accepting and closes all connections. Resolves when `serve` has ended for each of them. */
  async close(): Promise<void> {
    this.stop();
    for (const connection of this.#admission.all()) connection.close();
    for (const tell of this.#turns.values()) tell(false);
    await Promise.all(this.#serving);
  }

  async #acceptAll(): Promise<void> {
    while (!this.#stopped) {
      try {
        const conn = await this.#listener.accept();
        this.#admit(new Connection(conn, this.options.throttles));
      } catch {
        // EMFILE, or a connection that was reset before it was accepted: keep accepting.
        if (this.#stopped) return;
        this.options.onShort?.();
        const relieved = this.#admission.relieve(this.#nowMs());
        if (relieved) {
          relieved.giveUp();
          this.options.onDropped?.();
        }
        await new Promise((go) => setTimeout(go, ACCEPT_PAUSE_MS));
      }
    }
  }

  #admit(connection: Connection): void {
    if (this.#admission.arrive(connection, connection.ip, this.#nowMs())) this.#goOn();
    else {
      connection.close();
      this.options.onRefused?.(connection.ip);
    }
  }

  #goOn(): void {
    if (this.#stopped) return;
    const { evict, close, serve, send } = this.#admission.turn(this.#nowMs());
    for (const connection of close) connection.close();
    for (const connection of evict) {
      connection.giveUp();
      this.options.onDropped?.();
    }
    for (const connection of serve) {
      const serving = this.#serve(connection).finally(() => this.#serving.delete(serving));
      this.#serving.add(serving);
    }
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
      this.#whenSettled(connection, () => this.#admission.leave(connection));
    }
  }
}

/** Thrown when a host to listen on does not resolve to an address. */
export class UnresolvedHostError extends Error {
  /** Name of this error class. */
  override readonly name = "UnresolvedHostError";
}

function listen(hostname: string, port: number): Deno.TcpListener {
  try {
    return Deno.listen({ hostname, port });
  } catch (cause) {
    // What the system refuses has a code. Names that do not resolve, or are not names at all, have none.
    if (cause instanceof Error && "code" in cause) throw cause;
    throw new UnresolvedHostError(`${hostname} does not resolve`, { cause });
  }
}
