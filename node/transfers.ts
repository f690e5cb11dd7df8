// Files in transfer: fetched, pushed to us, served and copied, each streamed between socket and store.
// No rules here: the state machine in protocol/ decides what is fetched from whom and what is kept. This file
// carries that out, verifies content, and reports what happened as inputs.

import type { Address } from "../protocol/wire/address.ts";
import type { Effect, FetchFailure, HeldFile, Input } from "../protocol/effects.ts";
import { ProtocolError } from "../protocol/wire/errors.ts";
import {
  type ContentReader,
  type Intake,
  isConnectionError,
  requestFile,
  type sendFile,
} from "../net/exchange.ts";
import { type Timestamp, verifyingTimestamp } from "../protocol/wire/fileid.ts";
import type { Limits } from "../protocol/limits.ts";
import type { Ext, FileRecord, Message } from "../protocol/wire/message.ts";
import { type Move, TransferLog } from "./transfer_log.ts";
import { type Dialer, DialError } from "../net/dialer.ts";
import type { Connection } from "../net/connection.ts";

/** Content on its way into the store. */
export interface StoreIntake extends Intake {
  /** Bytes written so far. */
  readonly sizeBytes: number;
  /** Starts over with no content. */
  restart(): void;
  /** Returns the hex SHA-256 of the content followed by `suffix`. */
  digestWith(suffix: string): string;
}

/** What transfers need of the store. */
export interface TransferStore {
  /** Starts receiving a file of at most `maxBytes` bytes. Throws if that is impossible, with a message for people. */
  intake(maxBytes?: number): StoreIntake;
  /** Keeps verified content. Throws with a message for people. */
  keep(intake: StoreIntake, held: HeldFile): Promise<HeldFile>;
  /**
   * Opens a held file for sending. Returns `undefined` if it is no longer here. Throws if it cannot be read right
   * now.
   */
  reader(fileId: string): ContentReader | undefined;
}

/** What `Transfers` needs of the peer. */
export interface TransferOptions {
  /** Where files are kept. */
  readonly store: TransferStore;
  /** Opens connections. */
  readonly dialer: Dialer;
  /** Limits on messages and transfers. */
  readonly limits: Limits;
  /** Returns the extension fields for outgoing messages. */
  readonly ext: () => Ext;
  /** Reports what happened to the state machine. */
  readonly dispatch: (input: Input) => void;
  /** Returns the size of held files that arrived in pushes, in bytes. They count against the push quota. */
  readonly pushedBytes: () => number;
  /** Records every transfer. */
  readonly transferLog: TransferLog;
  /** Sends a file; the dummy peer replaces it to misbehave. */
  readonly sendFile: typeof sendFile;
  /** Called when a file is requested from a peer or pushed to one. */
  readonly onSent: (what: Message["type"], to: Address) => void;
}

type Fetch = Extract<Effect, { kind: "fetch" }>;
type Replicate = Extract<Effect, { kind: "replicate" }>;
type Keep = Extract<Effect, { kind: "keep" }>;

/** The transfers of one peer. */
export class Transfers {
  readonly #dialed = new Set<Connection>();
  /** Fetches in progress, by attempt. */
  readonly #attempts = new Map<number, Move>();
  /** Complete, verified content that waits for the state machine's decision, by receipt. */
  readonly #receipts = new Map<number, StoreIntake>();
  #serial = 0;
  #pushedInFlight = 0;

  /** Starts without transfers. */
  constructor(readonly options: TransferOptions) {}

  /** Fetches one file from one source. Reports `arrived` or `fetch-failed`. Never throws. */
  async fetch({ attempt, file, timestamps, source, from, voucher }: Fetch): Promise<void> {
    const { store, dialer, limits, ext, dispatch } = this.options;
    const move = this.#begin("fetch", file, source);
    this.#attempts.set(attempt, move);
    let intake: StoreIntake | undefined;
    let connection: Connection | undefined;
    try {
      connection = await dialer.dial(from, voucher, "file");
      this.#dialed.add(connection);
      stopBy(move, connection);
      if (move.state !== "running") throw new Error("It is no longer wanted");
      this.options.onSent("GET_FILE", from);
      intake = store.intake();
      const sink = this.#counted(intake, move);
      const answer = await requestFile(connection, file.fileId, ext(), sink, limits);
      if (answer.outcome === "absent") throw new NotDelivered("absent", "does not have it");
      const told = answer.file ? [...timestamps, answer.file.timestamp] : timestamps;
      const timestamp = verified(intake, file.fileId, told);
      if (!timestamp) {
        throw intake.sizeBytes === 0
          ? new NotDelivered("absent", "does not have it")
          : new NotDelivered("mismatch", "sent bytes that do not match the file's id");
      }
      const receipt = this.#receive(intake);
      move.done();
      dispatch({
        kind: "arrived",
        receipt,
        held: { file: { ...file, timestamp }, sizeBytes: intake.sizeBytes },
        ip: connection.ip,
        source,
        attempt,
      });
    } catch (error) {
      intake?.abort();
      const { failure, text } = explainFailure(error);
      move.failed(`${source} ${text}`);
      dispatch({ kind: "fetch-failed", fileId: file.fileId, source, attempt, failure, text });
    } finally {
      this.#attempts.delete(attempt);
      this.#hangUp(connection);
    }
  }

  /** Ends an attempt that nobody wants any longer. Does nothing if it has ended. `text` is the reason, for people. */
  stopFetch(attempt: number, text: string): void {
    const move = this.#attempts.get(attempt);
    if (!move) return;
    move.ended(text);
    move.stop();
  }

  /**
   * Starts receiving pushed content; `onMoved` is called with the number of bytes in each piece. Throws
   * `ProtocolError` if the store cannot receive it, as `write` does later.
   */
  beginPush(
    ip: string,
    fileId: string | undefined,
    onMoved: (bytes: number) => void,
    connection: Connection,
  ): PushIntake {
    const { store, limits, pushedBytes } = this.options;
    const intake = refusing(() => store.intake());
    const move = this.#begin("push", { fileId: fileId ?? "", name: "" }, ip);
    stopBy(move, connection);
    let counted = 0;
    const end = () => {
      this.#pushedInFlight -= counted;
      counted = 0;
    };
    return {
      intake,
      move,
      end,
      write: (content) => {
        if (pushedBytes() + this.#pushedInFlight + content.length > limits.pushQuotaBytes) {
          throw new ProtocolError("push-quota", "Push refused: --push-quota is used up");
        }
        counted += content.length;
        this.#pushedInFlight += content.length;
        refusing(() => intake.write(content));
        onMoved(content.length);
        move.moved(content.length);
      },
      abort: () => {
        end();
        move.failed("The push was refused or interrupted");
        intake.abort();
      },
    };
  }

  /**
   * Verifies pushed content that is complete, and asks the state machine whether to keep it. Throws `ProtocolError`
   * if it does not match its id.
   */
  finishPush(push: PushIntake, file: FileRecord, others: readonly Timestamp[], ip: string): void {
    const timestamp = verified(push.intake, file.fileId, [file.timestamp, ...others]);
    if (!timestamp) {
      push.abort();
      throw new ProtocolError(
        "content-mismatch",
        `Pushed bytes do not match the id ${file.fileId}`,
      );
    }
    push.end();
    push.move.fileId = file.fileId;
    push.move.name = file.name;
    push.move.done();
    this.options.dispatch({
      kind: "arrived",
      receipt: this.#receive(push.intake),
      held: { file: { ...file, timestamp }, sizeBytes: push.intake.sizeBytes },
      ip,
      beganMs: push.move.startedMs,
    });
  }

  /** Keeps content that arrived. Reports `held` or `keep-failed`. Never throws. */
  async keep({ receipt, held, source }: Keep): Promise<void> {
    const { store, dispatch } = this.options;
    const from = source === undefined ? {} : { source };
    const intake = this.#take(receipt);
    if (!intake) return;
    try {
      const kept = await store.keep(intake, held);
      const how = source === undefined ? "pushed" : "fetched";
      dispatch({ kind: "held", files: [kept], how, ...from });
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      const { fileId, name } = held.file;
      dispatch({ kind: "keep-failed", fileId, fileName: name, text, ...from });
    }
  }

  /** Drops content that arrived. */
  drop(receipt: number): void {
    this.#take(receipt)?.abort();
  }

  /**
   * Streams a held file on a connection that requested it. Resolves to false, without sending anything, if it is no
   * longer here. Throws what reading or sending throws.
   */
  async serve(connection: Connection, file: FileRecord): Promise<boolean> {
    const reader = this.options.store.reader(file.fileId);
    if (!reader) return false;
    await this.#send(connection, file, reader, this.#begin("serve", file, connection.ip));
    return true;
  }

  /**
   * Pushes a copy to a peer. Reports `sent`, `unsent`, `unreachable` or, if a person canceled it, `cancel`. Never
   * throws.
   */
  async replicate({ file, to, voucher, peerId }: Replicate): Promise<void> {
    const { store, dialer, dispatch } = this.options;
    const ticket = { for: "replicate", fileId: file.fileId } as const;
    const move = this.#begin("copy", file, peerId);
    let connection: Connection | undefined;
    try {
      // Nobody waits for a copy, and answers must not wait for hundreds of them.
      connection = await dialer.dial(to, voucher, "news");
      const reader = store.reader(file.fileId);
      if (!reader) throw new Error("The file is no longer here");
      this.#dialed.add(connection);
      this.options.onSent("FILE_DATA", to);
      await this.#send(connection, file, reader, move);
      await connection.linger();
      dispatch({ kind: "sent", to, peerId, ticket, ip: connection.ip });
    } catch (error) {
      const { text } = explainFailure(error);
      move.failed(`${peerId}: ${text}`);
      // Canceling one copy cancels the others: whoever does not want this one does not want those either.
      if (move.state === "cancelled") dispatch({ kind: "cancel", fileId: file.fileId });
      else {
        const kind = error instanceof DialError && error.isOurs ? "unsent" : "unreachable";
        dispatch({ kind, to, what: "FILE_DATA", peerId, ticket, text });
      }
    } finally {
      this.#hangUp(connection);
    }
  }

  #hangUp(connection: Connection | undefined): void {
    if (!connection) return;
    this.#dialed.delete(connection);
    connection.close();
  }

  /** Abandons transfers in progress and content that waits. For shutdown. */
  close(): void {
    for (const connection of this.#dialed) connection.close();
    for (const intake of this.#receipts.values()) intake.abort();
    this.#receipts.clear();
  }

  async #send(
    connection: Connection,
    file: FileRecord,
    reader: ContentReader,
    move: Move,
  ): Promise<void> {
    const { limits, ext } = this.options;
    stopBy(move, connection);
    try {
      await this.options.sendFile(
        connection,
        file,
        reader,
        ext(),
        limits.idleTimeoutMs,
        (sentBytes) => move.moved(sentBytes - move.doneBytes),
      );
      move.done();
    } catch (error) {
      move.failed(explainFailure(error).text);
      throw error;
    } finally {
      reader.close();
    }
  }

  #begin(
    kind: Move["kind"],
    { fileId, name, sizeBytes }: Pick<FileRecord, "fileId" | "name" | "sizeBytes">,
    peer: string,
  ): Move {
    return this.options.transferLog.begin({ kind, fileId, name, peer, totalBytes: sizeBytes });
  }

  #counted(intake: StoreIntake, move: Move) {
    return {
      write: (content: Uint8Array) => {
        intake.write(content);
        move.moved(content.length);
      },
      restart: () => {
        intake.restart();
        move.restart();
      },
    };
  }

  #receive(intake: StoreIntake): number {
    const receipt = ++this.#serial;
    this.#receipts.set(receipt, intake);
    return receipt;
  }

  #take(receipt: number): StoreIntake | undefined {
    const intake = this.#receipts.get(receipt);
    this.#receipts.delete(receipt);
    return intake;
  }
}

function stopBy(move: Move, connection: Connection): void {
  move.stop = () => connection.close();
  if (move.state !== "running") connection.close();
}

/** Pushed content, counted against the quota while it arrives. */
export interface PushIntake extends Intake {
  /** The content in the store. */
  readonly intake: StoreIntake;
  /** Its entry in the transfer log. */
  readonly move: Move;
  /** Ends the counting: from here on the quota counts what is kept. */
  end(): void;
}

/** Turns a storage error into a refusal of the push, in the store's own words. */
function refusing<T>(act: () => T): T {
  try {
    return act();
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    const code = "code" in cause ? cause.code : undefined;
    const reason = code === "too-large" || code === "no-space" ? code : "not-stored";
    throw new ProtocolError(reason, cause.message, { cause });
  }
}

const isTooLarge = (error: unknown) =>
  error instanceof Error && "code" in error && error.code === "too-large";

class NotDelivered extends Error {
  constructor(readonly failure: FetchFailure, message: string) {
    super(message);
  }
}

function verified(
  intake: StoreIntake,
  fileId: string,
  timestamps: readonly Timestamp[],
): Timestamp | undefined {
  return verifyingTimestamp(fileId, timestamps, (suffix) => intake.digestWith(suffix));
}

/** Returns what a failed attempt means for the state machine, and why it failed, for people. */
function explainFailure(error: unknown): { failure: FetchFailure; text: string } {
  if (error instanceof NotDelivered) return { failure: error.failure, text: error.message };
  if (error instanceof DialError) {
    return { failure: error.isOurs ? "storage" : "unreachable", text: error.message };
  }
  if (error instanceof ProtocolError) {
    if (error.reason === "cut-short") {
      return { failure: "cut-short", text: "stopped partway through" };
    }
    if (error.reason === "too-slow") {
      return { failure: "too-slow", text: "sent little or nothing for too long" };
    }
    return { failure: "garbage", text: `sent an invalid answer: ${error.message}` };
  }
  if (isConnectionError(error)) return { failure: "cut-short", text: "dropped the connection" };
  const text = error instanceof Error ? error.message : String(error);
  return { failure: isTooLarge(error) ? "too-long" : "storage", text };
}
