// Files in transfer: fetched, pushed to us, served and copied, each streamed between socket and store.
// No rules here: the state machine in protocol/ decides what is fetched from whom and what is kept. This file
// carries that out, verifies content, and reports what happened as inputs.

import { type Address, addressText } from "../protocol/wire/address.ts";
import type { Effect, FetchFailure, HeldFile, Input } from "../protocol/effects.ts";
import { ProtocolError } from "../protocol/wire/errors.ts";
import {
  type Answer,
  type AnswerSink,
  type Intake,
  isConnectionError,
  requestFile,
  sendFile,
} from "../net/exchange.ts";
import { IdleConnections } from "../net/idle_connections.ts";
import { type RangeReader, requestRaw, sendRaw } from "../net/raw.ts";
import { type Range, requestedRange, TO_THE_END } from "../protocol/wire/raw.ts";
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
  /**
   * Starts receiving a file of at most `maxBytes` bytes; `fileId` is known for a download. Throws if that is impossible,
   * with a message for people.
   */
  intake(maxBytes?: number, fileId?: string): StoreIntake;
  /** Continues with what `suspend` kept. Resolves to `undefined` if there is nothing. Throws like `intake`. */
  resume(fileId: string): Promise<StoreIntake | undefined>;
  /** Keeps what arrived of a download, for the next attempt. */
  suspend(fileId: string, intake: StoreIntake): void;
  /** Keeps verified content. Throws with a message for people. */
  keep(intake: StoreIntake, held: HeldFile): Promise<HeldFile>;
  /**
   * Opens a held file for sending. Returns `undefined` if it is no longer here. Throws if it cannot be read right
   * now.
   */
  reader(fileId: string): RangeReader | undefined;
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
  /** Sends every file, and in hex; the dummy peer misbehaves with it. */
  readonly sendFile: typeof sendFile | undefined;
  /** Called when a file is requested from a peer or pushed to one. */
  readonly onSent: (what: Message["type"], to: Address) => void;
}

type Fetch = Extract<Effect, { kind: "fetch" }>;
type Replicate = Extract<Effect, { kind: "replicate" }>;
type Keep = Extract<Effect, { kind: "keep" }>;

/** The transfers of one peer. */
export class Transfers {
  readonly #dialed = new Set<Connection>();
  readonly #idle = new IdleConnections();
  /** Fetches in progress, by attempt. */
  readonly #attempts = new Map<number, Move>();
  /** Complete, verified content that waits for the state machine's decision, by receipt. */
  readonly #receipts = new Map<number, StoreIntake>();
  #serial = 0;
  #pushedInFlight = 0;

  /** Starts without transfers. */
  constructor(readonly options: TransferOptions) {}

  /** Fetches one file from one source. Reports `arrived` or `fetch-failed`. Never throws. */
  async fetch(fetch: Fetch): Promise<void> {
    const { attempt, file, source } = fetch;
    const { store, dispatch } = this.options;
    const move = this.#begin("fetch", file, source);
    this.#attempts.set(attempt, move);
    let intake: StoreIntake | undefined;
    try {
      if (fetch.isRaw) intake = await store.resume(file.fileId);
      const begin = () => {
        intake ??= store.intake(undefined, file.fileId);
        return this.#counted(intake, move);
      };
      const resumedBytes = intake?.sizeBytes ?? 0;
      move.resume(resumedBytes);
      let got = await this.#deliver(fetch, move, resumedBytes, begin, () => intake);
      if (!("timestamp" in got) && intake && resumedBytes > 0) {
        // What came from an earlier source may be wrong, or longer than the file. Nobody is blamed, and nothing is said
        // of this source, until all of it was asked for.
        if (got.failure === "absent") store.suspend(file.fileId, intake);
        else intake.abort();
        intake = undefined;
        move.restart();
        got = await this.#deliver(fetch, move, 0, begin, () => intake);
      }
      if (!("timestamp" in got)) throw got;
      if (!intake) throw new Error("Unreachable: an answer was read into nothing");
      const { timestamp, ip } = got;
      const receipt = this.#receive(intake);
      move.done();
      dispatch({
        kind: "arrived",
        receipt,
        held: { file: { ...file, timestamp }, sizeBytes: intake.sizeBytes },
        ip,
        source,
        attempt,
      });
    } catch (error) {
      const { failure, text } = explainFailure(error);
      const isUnfinished = move.state === "cancelled" || UNFINISHED.has(failure);
      if (intake && isUnfinished) store.suspend(file.fileId, intake);
      else intake?.abort();
      move.failed(`${source} ${text}`);
      dispatch({ kind: "fetch-failed", fileId: file.fileId, source, attempt, failure, text });
    } finally {
      this.#attempts.delete(attempt);
    }
  }

  /**
   * Requests a file, from a byte on if the source can send raw content, and verifies it. Resolves to the timestamp under
   * which it verifies, or to what was delivered instead.
   */
  async #deliver(
    fetch: Fetch,
    move: Move,
    offset: number,
    begin: () => AnswerSink,
    intakeNow: () => StoreIntake | undefined,
  ): Promise<{ readonly timestamp: Timestamp; readonly ip: string } | NotDelivered> {
    const { answer, ip } = await this.#request(fetch, move, offset, begin);
    const intake = intakeNow();
    if (answer.outcome === "absent" || !intake) {
      return new NotDelivered("absent", "does not have it");
    }
    const { file, timestamps } = fetch;
    const told = answer.file ? [...timestamps, answer.file.timestamp] : timestamps;
    const timestamp = verified(intake, file.fileId, told);
    if (timestamp) return { timestamp, ip };
    return intake.sizeBytes === 0
      ? new NotDelivered("absent", "does not have it")
      : new NotDelivered("mismatch", "sent bytes that do not match the file's id");
  }

  /**
   * Requests a file from its source: raw, on an idle connection if there is one, if the source can. `begin` is called
   * once there is a connection.
   */
  async #request(
    { file: { fileId }, from, voucher, isRaw }: Fetch,
    move: Move,
    offset: number,
    begin: () => AnswerSink,
  ): Promise<{ answer: Answer; ip: string }> {
    const key = addressText(from);
    const idle = isRaw ? this.#idle.take(key) : undefined;
    if (idle) {
      let isAnswering = false;
      const onAnswering = () => isAnswering = true;
      const got = await this.#requestRaw(idle, key, fileId, move, offset, begin(), onAnswering)
        .catch((error) => {
          if (isAnswering || !isConnectionError(error)) throw error;
        });
      if (got && isAnswering) return got;
      // The source closed it while it was idle, which says nothing about the file.
    }
    const connection = await this.options.dialer.dial(from, voucher, "file");
    this.options.onSent("GET_FILE", from);
    if (isRaw) return await this.#requestRaw(connection, key, fileId, move, offset, begin());
    const { limits, ext } = this.options;
    try {
      this.#use(connection, move);
      const answer = await requestFile(connection, fileId, ext(), begin(), limits);
      return { answer, ip: connection.ip };
    } finally {
      this.#hangUp(connection);
    }
  }

  /** Requests raw content. Keeps the connection for the next request if the answer was complete. */
  async #requestRaw(
    connection: Connection,
    key: string,
    fileId: string,
    move: Move,
    offset: number,
    sink: AnswerSink,
    onAnswering?: () => void,
  ): Promise<{ answer: Answer; ip: string }> {
    const { limits, ext } = this.options;
    let isOpen = false;
    try {
      this.#use(connection, move);
      const rest = { offset, length: TO_THE_END };
      const got = await requestRaw(connection, fileId, rest, ext(), sink, limits, onAnswering);
      isOpen = got.isOpen;
      return { answer: got.answer, ip: connection.ip };
    } finally {
      move.stop = () => {}; // the connection may serve another file by then
      this.#dialed.delete(connection);
      if (isOpen) this.#idle.keep(key, connection);
      else connection.close();
    }
  }

  /** Lets a transfer have a connection. Throws if the transfer is no longer wanted. */
  #use(connection: Connection, move: Move): void {
    this.#dialed.add(connection);
    stopBy(move, connection);
    if (move.state !== "running") throw new Error("It is no longer wanted");
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
   * Streams a held file on a connection that requested it: all of it in hex, or, with `raw`, those bytes raw. Resolves
   * to "gone" or "bad-range", without sending anything, if it is no longer here or has no such bytes. Throws what
   * reading or sending throws.
   */
  async serve(
    connection: Connection,
    file: FileRecord,
    raw: readonly number[] | undefined,
  ): Promise<"sent" | "gone" | "bad-range"> {
    const reader = this.options.store.reader(file.fileId);
    if (!reader) return "gone";
    const range = raw && requestedRange(raw, reader.sizeBytes);
    if (raw && !range) {
      reader.close();
      return "bad-range";
    }
    const content = range ? { ...file, sizeBytes: range.length } : file;
    const move = this.#begin("serve", content, connection.ip);
    await this.#send(connection, file, reader, move, range);
    return "sent";
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
    this.#idle.close();
    for (const connection of this.#dialed) connection.close();
    for (const intake of this.#receipts.values()) intake.abort();
    this.#receipts.clear();
  }

  async #send(
    connection: Connection,
    file: FileRecord,
    reader: RangeReader,
    move: Move,
    range?: Range,
  ): Promise<void> {
    const { limits: { idleTimeoutMs }, ext, sendFile: replaced } = this.options;
    stopBy(move, connection);
    const onProgress = (sentBytes: number) => move.moved(sentBytes - move.doneBytes);
    try {
      if (range && !replaced) {
        await sendRaw(connection, file, reader, range, ext(), idleTimeoutMs, onProgress);
      } else {
        const send = replaced ?? sendFile;
        await send(connection, file, reader, ext(), idleTimeoutMs, onProgress);
      }
      move.done();
    } catch (error) {
      move.failed(explainFailure(error).text);
      throw error;
    } finally {
      move.stop = () => {}; // the next request on this connection is another transfer
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

/** Failures that say nothing against what has arrived so far. */
const UNFINISHED: ReadonlySet<FetchFailure> = new Set(["cut-short", "too-slow", "unreachable"]);

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
