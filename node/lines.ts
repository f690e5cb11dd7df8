// Open connections on which messages are sent besides those that are answers to what just arrived there: LINKs, and connections
// that brought a gossip and take the answers.
// Invariants: messages on one connection follow each other, whoever sends them; a connection is closed only after those before.

import type { Connection } from "../net/connection.ts";

/** Thrown when a connection is no longer there. */
export class LineEnded extends Error {
  /** Name of this error class. */
  override readonly name = "LineEnded";
}

/** The connections, by number. */
export class Lines {
  readonly #connections = new Map<number, Connection>();
  /** What is being sent on each. */
  readonly #last = new Map<number, Promise<void>>();

  /** `idleMs`: how long a connection may take nothing, in milliseconds. */
  constructor(readonly idleMs: number) {}

  /** Messages can be sent on this connection. */
  add(id: number, connection: Connection): void {
    this.#connections.set(id, connection);
  }

  /** Returns whether messages can be sent on this connection. */
  has(id: number): boolean {
    return this.#connections.has(id);
  }

  /** No more messages can be sent. */
  remove(id: number): void {
    this.#connections.delete(id);
    this.#last.delete(id);
  }

  /** Sends a message after those before it. Throws connection errors. */
  async say(id: number, bytes: Uint8Array): Promise<void> {
    const connection = this.#connections.get(id);
    if (!connection) throw new LineEnded("The connection ended");
    const before = this.#last.get(id) ?? Promise.resolve();
    const said = before.then(() => connection.write(bytes, this.idleMs));
    this.#last.set(id, said.catch(() => {})); // whoever sent it knows
    await said;
  }

  /** Closes a connection after what is being sent. Never throws. */
  async hangUp(id: number): Promise<void> {
    const connection = this.#connections.get(id);
    await this.#last.get(id);
    connection?.close();
  }
}
