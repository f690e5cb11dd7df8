// What transfers need of the rest of the peer: the store, connections, and where to report.

import type { HeldFile, Input } from "../protocol/effects.ts";
import type { Limits } from "../protocol/limits.ts";
import type { Ranges, Span } from "../protocol/ranges.ts";
import type { Address } from "../protocol/wire/address.ts";
import { type Timestamp, verifyingTimestamp } from "../protocol/wire/fileid.ts";
import type { Ext } from "../protocol/wire/ext.ts";
import type { Message } from "../protocol/wire/message.ts";
import type { Intake, sendFile } from "../net/exchange.ts";
import type { RangeReader } from "../net/raw.ts";
import type { Routes } from "./routes.ts";
import type { TransferLog } from "./transfer_log.ts";

/** Content that is complete, or on its way. */
export interface StoreContent {
  /** Bytes so far. */
  readonly sizeBytes: number;
  /** Returns the hex SHA-256 of the content followed by `suffix`. */
  digestWith(suffix: string): string;
  /** Removes what was written. Does nothing after the content was kept. */
  abort(): void;
}

/** Content on its way into the store. */
export interface StoreIntake extends StoreContent, Intake {
  /** Starts over with no content. */
  restart(): void;
}

/** A file that arrives in parts, in any order. */
export interface StoreAssembly extends StoreContent {
  /** What is there. */
  readonly done: Ranges;
  /** Size of the whole file, in bytes; `undefined` until a source says so. */
  readonly totalBytes: number | undefined;
  /** Throws what `begin` would throw, and changes nothing. */
  check(totalBytes: number): void;
  /** Sets the size of the whole file. Throws if there is no space for it, with a message for people. */
  begin(totalBytes: number): void;
  /** Writes the bytes that are not there yet. Throws with a message for people. */
  write(offset: number, content: Uint8Array): void;
  /** Lists on the disk what is there, so that a kill does not cost it. Throws like `write`. */
  list(): void;
  /** Forgets what is wrong, which is written again. Throws like `write`. */
  forget(spans: readonly Span[]): void;
  /** Fills the buffer with what is there from a position on. Throws like `write`. */
  read(position: number, buffer: Uint8Array): void;
  /** Opens what is there for sending. Throws like `write`. */
  reader(): RangeReader;
  /**
   * Hashes what has not been hashed yet, so that `digestWith` knows the content followed by each of these texts. Resolves to
   * false if `isStopped` says so meanwhile. Throws like `write`.
   */
  hashAll(suffixes: readonly string[], isStopped: () => boolean): Promise<boolean>;
  /** Starts over with no content and no size. */
  restart(): void;
}

/** What transfers need of the store. */
export interface TransferStore {
  /**
   * Starts receiving a file of at most `maxBytes` bytes; `fileId` is known for a download. Throws if that is impossible,
   * with a message for people.
   */
  intake(maxBytes?: number, fileId?: string): StoreIntake;
  /** Returns complete content that is in memory, for `keepAll`. The bytes must not be written to later. */
  inMemory(content: Uint8Array): StoreContent;
  /** Opens a file that arrives in parts, with what `suspend` kept of it. Throws like `intake`. */
  assemble(fileId: string): StoreAssembly;
  /** Keeps what arrived of a download, for the next attempt. */
  suspend(fileId: string, content: StoreAssembly | StoreIntake): void;
  /** Keeps verified content. Throws with a message for people. */
  keep(content: StoreContent, held: HeldFile): Promise<HeldFile>;
  /**
   * Keeps verified content that is in memory, with one journal write for all of it. Resolves for each file to what was
   * kept, or to an error with a message for people. Never rejects.
   */
  keepAll(
    files: readonly { readonly content: StoreContent; readonly held: HeldFile }[],
  ): Promise<(HeldFile | Error)[]>;
  /**
   * Opens a held file for sending. Returns `undefined` if it is no longer here. Throws if it cannot be read right
   * now.
   */
  reader(fileId: string): RangeReader | undefined;
  /**
   * Resolves to the hashes of the chunks of a held file, one after another, or to `undefined` if it is no longer here.
   * Throws if it cannot be read now, or too many others are.
   */
  chunkList(fileId: string): Promise<Uint8Array | undefined>;
  /** Returns all of a held file of at most `maxBytes` bytes; otherwise `undefined`. Throws like `reader`. */
  smallContent(fileId: string, maxBytes: number): Uint8Array | undefined;
}

/** What transfers need of the peer. */
export interface TransferOptions {
  /** Name of this peer. */
  readonly peerId: string;
  /** Where files are kept. */
  readonly store: TransferStore;
  /** Opens connections. */
  readonly routes: Pick<Routes, "dial">;
  /** Limits on messages and transfers. */
  readonly limits: Limits;
  /** Returns the extension fields for outgoing messages. */
  readonly ext: () => Ext;
  /** Reports what happened to the state machine. */
  readonly dispatch: (input: Input) => void;
  /** Returns the size of held files that arrived in pushes, in bytes. They count against the push quota. */
  readonly pushedBytes: () => number;
  /** Returns the limit on what is received, in bytes per second; 0 means none. */
  readonly downLimit: () => number;
  /** Records every transfer. */
  readonly transferLog: TransferLog;
  /** Sends every file, and in hex; the dummy peer misbehaves with it. */
  readonly sendFile: typeof sendFile | undefined;
  /** Called when a file is requested from a peer or pushed to one. `isFurther`: it was asked for parts of it before. */
  readonly onSent: (what: Message["type"], to: Address, isFurther?: boolean) => void;
}

/** Returns the first of the timestamps under which the content has the id, if there is one. */
export function verified(
  content: StoreContent,
  fileId: string,
  timestamps: readonly Timestamp[],
): Timestamp | undefined {
  return verifyingTimestamp(fileId, timestamps, (suffix) => content.digestWith(suffix));
}
