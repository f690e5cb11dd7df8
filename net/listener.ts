// Listening: accepting connections, and who of them has a place. Only this file and dialer.ts open TCP.
// Always holds: at most so many connections as the limits say, in all and per machine; the accept loop survives
// running out of descriptors.

import { Admission, type AdmissionLimits } from "./admission.ts";
import { Connection } from "./connection.ts";

/** Delay between accept attempts while the process is out of file descriptors, in milliseconds. */
const ACCEPT_PAUSE_MS = 100;
/** While somebody waits for a place, the others are looked at this often. */
const WAITING_MS = 250;

export interface ListenOptions {
  readonly hostname: string;
  readonly port: number;
  readonly limits: AdmissionLimits;
  /** Whether a tracked peer is at this address: its bursts wait instead of being refused. */
  readonly isKnown: (ip: string) => boolean;
  /** Called for each connection that is closed because there is no place for it, served or waiting. */
  readonly onRefused?: (ip: string) => void;
  /** Serves one connection to its end; it is closed afterwards. Must not throw. */
  readonly serve: (connection: Connection) => Promise<void>;
  /** A monotonic clock; for tests. */
  readonly nowMs?: () => number;
}

/** Accepts connections. `admission.ts` decides which ones to serve and which to drop. */
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
      this.#whenSettled(connection, () => {
        this.#admission.contentEnded(connection, this.#nowMs());
      });
    }
  }

  /** A place is free only when its descriptor is. */
  #whenSettled(connection: Connection, act: () => void): void {
    connection.settled().then(() => {
      act();
      this.#goOn();
    });
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
    else {
      connection.close();
      this.options.onRefused?.(connection.ip);
    }
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
      this.#whenSettled(connection, () => this.#admission.leave(connection));
    }
  }
}
