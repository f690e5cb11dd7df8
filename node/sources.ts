// Connections to the sources of files: kept for the next request where the source allows it, opened where there is none.
// Invariants: a kept connection that turns out to be closed costs a dial and blames nobody; all are closed at the end.

import { type Address, addressText, type Voucher } from "../protocol/wire/address.ts";
import { ProtocolError } from "../protocol/wire/errors.ts";
import type { Connection } from "../net/connection.ts";
import { isConnectionError } from "../net/exchange.ts";
import { IdleConnections } from "../net/idle_connections.ts";
import { NotDelivered } from "./failures.ts";
import type { TransferOptions } from "./transfer_options.ts";

/**
 * How long a source may take to begin its answer on a connection that was kept, in milliseconds, before it is dialed
 * again: a machine that vanished does not say so. (A guess.)
 */
const REUSED_MS = 10_000;

/** Maximum number of sources of which it is remembered that others pass on what they send: as many as are tracked. */
const MAX_PASSED_ON = 1_024;

/** Thrown when a request is no longer wanted before it was made. */
export class NotWanted extends Error {
  /** Name of this error class. */
  override readonly name = "NotWanted";
}

/** Where a source is, and what it knows. */
export interface SourceAddress {
  /** The address to dial. */
  readonly from: Address;
  /** Who vouches for it. */
  readonly voucher: Voucher;
  /** The id to ask it for, if it holds the same content under another one. */
  readonly askFor?: string | undefined;
  /** Whether it knows of parts; see `PARTS`. */
  readonly hasParts: boolean;
  /** Set if it is fetching the file itself, and has verified nothing. */
  readonly isFellow?: true;
}

/** One request, as its connection sees it. */
export interface Asking {
  /** The connection to ask on. */
  readonly connection: Connection;
  /** To be called when the first byte of an answer arrives. */
  readonly onAnswering: () => void;
}

/** How to make a request. */
export interface AskOptions<T> {
  /** Name of the source. */
  readonly source: string;
  /** Its address, and who vouches for it. */
  readonly from: Address;
  readonly voucher: Voucher;
  /** Whether the source keeps connections open. */
  readonly isKept: boolean;
  /** Whether the source was asked for parts of the same file before. */
  readonly isFurther?: boolean;
  /** Called with the connection before it is used, to be able to close it; throws if nobody wants the answer any more. */
  readonly onConnection: (connection: Connection) => void;
  /** Makes the request. May be called twice, on a second connection if the first one was closed before any answer. */
  readonly ask: (asking: Asking) => Promise<{ readonly answer: T; readonly isOpen: boolean }>;
}

const isClosed = (error: unknown) =>
  isConnectionError(error) || error instanceof NotDelivered ||
  (error instanceof ProtocolError && error.reason === "cut-short");

/** Peers that cannot be dialed may have the same address, each behind its own router. */
const placeOf = ({ source, from }: AskOptions<unknown>) => `${source} ${addressText(from)}`;

/** The connections to sources. */
export class Sources {
  readonly #dialed = new Set<Connection>();
  readonly #idle = new IdleConnections();
  /** Names of the sources whose latest connection is passed on by another peer. */
  readonly #passedOn = new Set<string>();

  /** Starts without connections. */
  constructor(readonly options: Pick<TransferOptions, "routes" | "onSent">) {}

  /** Makes a request. Resolves to the answer and the address that it came from. Throws what dialing and asking throw. */
  async ask<T>(asked: AskOptions<T>): Promise<{ readonly answer: T; readonly ip: string }> {
    const { source, from, voucher, isKept } = asked;
    const idle = isKept ? this.#idle.take(placeOf(asked)) : undefined;
    if (idle) {
      let isAnswering = false;
      const timer = setTimeout(() => idle.close(), REUSED_MS);
      const onAnswering = () => {
        isAnswering = true;
        clearTimeout(timer);
      };
      try {
        const got = await this.#askOn(idle, asked, onAnswering);
        if (isAnswering) return got;
      } catch (error) {
        if (isAnswering || !isClosed(error)) throw error;
        asked.onConnection(idle); // throws if it was closed because nobody wants the answer
      } finally {
        clearTimeout(timer);
      }
      // The source closed it while it was idle, which says nothing about the file.
    }
    const connection = await this.options.routes.dial(from, voucher, "file", source);
    return await this.#askOn(connection, asked);
  }

  /** Closes all connections. */
  close(): void {
    this.#idle.close();
    for (const connection of this.#dialed) connection.close();
  }

  /** Returns whether the latest answer of a source was passed on by another peer. */
  isPassedOn(source: string): boolean {
    return this.#passedOn.has(source);
  }

  #note(source: string, { isPassedOn }: Connection): void {
    this.#passedOn.delete(source);
    if (!isPassedOn) return;
    this.#passedOn.add(source);
    const [oldest] = this.#passedOn;
    if (this.#passedOn.size > MAX_PASSED_ON) this.#passedOn.delete(oldest!);
  }

  /** Closes a kept connection, if there is any, because the process is out of file descriptors. */
  relieve(): boolean {
    return this.#idle.dropOldest();
  }

  async #askOn<T>(
    connection: Connection,
    asked: AskOptions<T>,
    onAnswering: () => void = () => {},
  ): Promise<{ readonly answer: T; readonly ip: string }> {
    const { from, isKept, isFurther, onConnection, ask } = asked;
    let isOpen = false;
    this.#dialed.add(connection);
    this.#note(asked.source, connection);
    try {
      onConnection(connection);
      this.options.onSent("GET_FILE", from, isFurther);
      const got = await ask({ connection, onAnswering });
      isOpen = isKept && got.isOpen;
      return { answer: got.answer, ip: connection.ip };
    } finally {
      this.#dialed.delete(connection);
      if (isOpen) this.#idle.keep(placeOf(asked), connection);
      else connection.close();
    }
  }
}
