// Files on their way: fetched, pushed to us, served and copied, each streamed between socket and store.
// Rules do not live here: what is fetched from whom, and what is kept, the machine in protocol/ decides;
// this file carries it out, verifies content, and reports what happened as inputs.

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
  readonly sizeBytes: number;
  restart(): void;
  /** Hex SHA-256 of the content and a text behind it. */
  digestWith(suffix: string): string;
}

/** What transfers need of the store. */
export interface TransferStore {
  /** Throws where nothing can be taken in; the message is for people. */
  intake(maxBytes?: number): StoreIntake;
  keep(intake: StoreIntake, held: HeldFile): Promise<HeldFile>;
  /** Undefined when it is not here any more; throws where it cannot be read just now. */
  reader(fileId: string): ContentReader | undefined;
}

export interface TransferOptions {
  readonly store: TransferStore;
  readonly dialer: Dialer;
  readonly limits: Limits;
  readonly ext: () => Ext;
  readonly dispatch: (input: Input) => void;
  /** Bytes that came by pushes and are kept, against the quota. */
  readonly pushedBytes: () => number;
  readonly transferLog: TransferLog;
  readonly sendFile: typeof sendFile;
  /** Something was asked of or pushed to a peer. */
  readonly onSent: (what: Message["type"], to: Address) => void;
}

type Fetch = Extract<Effect, { kind: "fetch" }>;
type Replicate = Extract<Effect, { kind: "replicate" }>;
type Keep = Extract<Effect, { kind: "keep" }>;

export class Transfers {
  readonly #dialed = new Set<Connection>();
  /** Fetches under way, by attempt. */
  readonly #attempts = new Map<number, Move>();
  /** Content that is whole and verified, and waits for the machine's word. */
  readonly #receipts = new Map<number, StoreIntake>();
  #serial = 0;
  #pushedInFlight = 0;

  constructor(readonly options: TransferOptions) {}

  /** Fetches one file from one source. Reports `arrived` or `fetch-failed`; never throws. */
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
      if (move.state !== "running") throw new Error("It is not wanted any more");
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

  /** Ends an attempt that nobody wants any more; nothing when it has ended. `text` is for people. */
  stopFetch(attempt: number, text: string): void {
    const move = this.#attempts.get(attempt);
    if (!move) return;
    move.ended(text);
    move.stop();
  }

  /**
   * A place for content that somebody pushes; `onMoved` hears of bytes that came.
   * Throws `ProtocolError` where the store takes nothing in, as `write` does when it cannot go on.
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
        move.failed("What was pushed was refused, or broke off");
        intake.abort();
      },
    };
  }

  /** Content that was pushed is whole: verify it and ask the machine. */
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

  /** Keeps what arrived. Reports `held` or `keep-failed`. */
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

  drop(receipt: number): void {
    this.#take(receipt)?.abort();
  }

  /**
   * Streams a held file on a connection that asked for it. Returns false when it is not here any more,
   * and nothing was sent.
   */
  async serve(connection: Connection, file: FileRecord): Promise<boolean> {
    const reader = this.options.store.reader(file.fileId);
    if (!reader) return false;
    await this.#send(connection, file, reader, this.#begin("serve", file, connection.ip));
    return true;
  }

  /** Pushes a copy to a peer. Reports `sent` or `unreachable`; never throws. */
  async replicate({ file, to, voucher, peerId }: Replicate): Promise<void> {
    const { store, dialer, dispatch } = this.options;
    const ticket = { for: "replicate", fileId: file.fileId } as const;
    const move = this.#begin("copy", file, peerId);
    let connection: Connection | undefined;
    try {
      connection = await dialer.dial(to, voucher, "file");
      const reader = store.reader(file.fileId);
      if (!reader) throw new Error("The file is not here any more");
      this.#dialed.add(connection);
      this.options.onSent("FILE_DATA", to);
      await this.#send(connection, file, reader, move);
      await connection.linger();
      dispatch({ kind: "sent", to, peerId, ticket, ip: connection.ip });
    } catch (error) {
      const { text } = explainFailure(error);
      move.failed(`${peerId}: ${text}`);
      // Who does not want it on its way does not want it on its way to another either.
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

  /** Gives up what is under way and content that waits; for the end. */
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

/** Content that somebody pushes, counted against the quota while it comes. */
export interface PushIntake extends Intake {
  readonly intake: StoreIntake;
  readonly move: Move;
  /** It is whole: the quota counts what is kept from here on. */
  end(): void;
}

/** What the store cannot take is refused to who pushes it, in the store's own words. */
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

/** What a failed attempt means for the plan, and in words. */
function explainFailure(error: unknown): { failure: FetchFailure; text: string } {
  if (error instanceof NotDelivered) return { failure: error.failure, text: error.message };
  if (error instanceof DialError) {
    return { failure: error.isOurs ? "storage" : "unreachable", text: error.message };
  }
  if (error instanceof ProtocolError) {
    if (error.reason === "cut-short") {
      return { failure: "cut-short", text: "stopped in the middle" };
    }
    if (error.reason === "too-slow") {
      return { failure: "too-slow", text: "sent nothing, or next to nothing, for too long" };
    }
    return { failure: "garbage", text: `sent something else: ${error.message}` };
  }
  if (isConnectionError(error)) return { failure: "cut-short", text: "broke the connection" };
  const text = error instanceof Error ? error.message : String(error);
  return { failure: isTooLarge(error) ? "too-long" : "storage", text };
}
