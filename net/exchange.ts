// What happens on one connection: messages are received, a file is requested, a file is sent. Content is streamed
// between socket and store in pieces, in constant memory.
// Invariants: a message counts as soon as its last byte has arrived; an invalid message is dropped alone, bytes
// that are not a message end the connection; everything begun in the store is finished or aborted.

import { ProtocolError } from "../protocol/wire/errors.ts";
import { type ContentSink, FileDataDecoder } from "../protocol/wire/filedata.ts";
import { FrameScanner } from "../protocol/wire/frame.ts";
import { encodeHex } from "../protocol/wire/hex.ts";
import { type Limits, MIN_SOURCE_BYTES_PER_SECOND } from "../protocol/limits.ts";
import type { Ext } from "../protocol/wire/ext.ts";
import {
  decodeMessage,
  encodeMessage,
  fileDataEdges,
  type FileRecord,
  type Message,
  peekEnvelope,
} from "../protocol/wire/message.ts";
import type { Connection } from "./connection.ts";
import { unpack } from "./packing.ts";

export type { ProtocolError, Reason } from "../protocol/wire/errors.ts";
export type { ContentSink } from "../protocol/wire/filedata.ts";
export type { Ext } from "../protocol/wire/ext.ts";
export type {
  Announce,
  Delete,
  FileData,
  FileRecord,
  GetFile,
  Gossip,
  GossipReply,
  Message,
} from "../protocol/wire/message.ts";

/**
 * Buffer sizes, in bytes. Control messages and small files are short; the content of large ones is read into larger
 * buffers, which halves the cost per byte.
 */
const CONTROL_BUFFER_BYTES = 16 * 1024;
const CONTENT_BUFFER_BYTES = 256 * 1024;
const FETCH_BUFFER_BYTES = 1024 * 1024;
/** Content per write, in bytes. Its hex digits and the message head go out in one piece. */
const SEND_BYTES = 256 * 1024;
/** How long a whole list may take, in milliseconds: 16 MiB over a slow line. (A guess.) */
const LIST_TIMEOUT_MS = 120_000;

/** Incoming content, on the store's side. */
export interface Intake extends ContentSink {
  /** Removes what was written. Does nothing after the content was kept. */
  abort(): void;
}

/** Content to send. */
export interface ContentReader {
  /** Size of the content, in bytes. */
  readonly sizeBytes: number;
  /** Fills the buffer as far as there is content, and returns the number of bytes; 0 at the end. */
  readInto(buffer: Uint8Array): number;
  /** Releases the content. */
  close(): void;
}

/** Receives what arrives on a connection. */
export interface Host {
  /** Handles a message. The next one is handled when the promise resolves. */
  onMessage(message: Message): Promise<void> | void;
  /** Called for list entries, messages and connections that could not be used. */
  onRefused(error: ProtocolError): void;
  /**
   * Called when content that nobody asked for begins. "skip" means: read it, keep nothing. Throws `ProtocolError`
   * to refuse it, which ends the connection.
   */
  offerPush(fileId: string | undefined): Intake | "skip";
  /** Called when pushed content is complete and described by `file`. It is not verified yet. */
  onPush(intake: Intake, file: FileRecord): Promise<void>;
  /** Returns how long to wait for the next message, in milliseconds, if that is not the usual time. */
  patienceMs?(): number | undefined;
}

/** The limits on receiving. */
export type ReceiveLimits = Pick<
  Limits,
  "maxMessageBytes" | "maxListBytes" | "maxListFiles" | "messageTimeoutMs" | "idleTimeoutMs"
>;

/** Pushed content in progress on one connection. */
class PushInProgress {
  readonly decoder: FileDataDecoder;
  isContent = false;
  constructor(readonly intake: Intake | undefined) {
    this.decoder = new FileDataDecoder(intake ?? { write: () => {} });
  }
}

/**
 * Receives messages until the connection ends or a deadline passes. A peer may send several messages, stop in the
 * middle of one, or stay connected and silent. Throws only programming errors, and what `host` throws except
 * `ProtocolError`.
 */
export async function receiveMessages(
  connection: Connection,
  host: Host,
  limits: ReceiveLimits,
  firstTimeoutMs = limits.messageTimeoutMs,
): Promise<void> {
  const receiver = new Receiver(connection, host, limits);
  try {
    await receiver.run(firstTimeoutMs);
  } catch (error) {
    receiver.explain(error);
  } finally {
    receiver.abort();
  }
}

/** Reads the messages of one connection. */
class Receiver {
  readonly #scanner: FrameScanner;
  /** Complete messages that have not been handled yet. */
  readonly #due: (() => Promise<void> | void)[] = [];
  #push: PushInProgress | undefined;

  constructor(
    readonly connection: Connection,
    readonly host: Host,
    readonly limits: ReceiveLimits,
  ) {
    this.#scanner = new FrameScanner({
      dataStart: (envelope) => this.#beginPush(envelope),
      data: (piece) => this.#push!.decoder.write(piece),
      dataEnd: () => this.#push!.isContent = this.#push!.decoder.end(),
      message: (bytes, streamed) => this.#onMessage(bytes, streamed),
    }, limits);
  }

  /** Resolves when the connection ends between messages. Throws whatever ends it otherwise. */
  async run(firstTimeoutMs: number): Promise<void> {
    const { connection, limits } = this;
    const scanner = this.#scanner;
    let buffer = new Uint8Array(CONTROL_BUFFER_BYTES);
    let deadline = performance.now() + firstTimeoutMs;
    let wasIdle = true;
    while (!connection.closed) {
      const leftMs = scanner.inData ? limits.idleTimeoutMs : deadline - performance.now();
      const read = scanner.inData
        ? await connection.readContent(buffer, leftMs)
        : await connection.read(buffer, Math.max(1, leftMs));
      if (read === null) {
        if (scanner.idle) return;
        throw new ProtocolError("cut-short", "Connection closed in the middle of a message");
      }
      const wasInData = scanner.inData;
      const hasCompleted = await this.#feed(buffer.subarray(0, read));
      // White space between messages does not extend the deadline.
      if (hasCompleted || wasInData || (wasIdle && !scanner.idle)) {
        const patienceMs = hasCompleted ? this.host.patienceMs?.() : undefined;
        deadline = performance.now() + (patienceMs ?? limits.messageTimeoutMs);
      }
      if (scanner.inList && wasIdle) deadline = performance.now() + LIST_TIMEOUT_MS;
      wasIdle = scanner.idle;
      const isFull = scanner.inData && read === buffer.length && read < CONTENT_BUFFER_BYTES;
      if (isFull) buffer = new Uint8Array(CONTENT_BUFFER_BYTES);
    }
  }

  /** Tells the host why a connection ended, if that is worth reporting. Throws programming errors. */
  explain(error: unknown): void {
    if (error instanceof ProtocolError) {
      // Peers that stay connected and silent do no harm, and are common.
      if (error.reason !== "too-slow" || !this.#scanner.idle) this.host.onRefused(error);
    } else if (!isConnectionError(error)) throw error;
    else if (!this.#scanner.idle) {
      this.host.onRefused(
        new ProtocolError("cut-short", "Connection lost in the middle of a message"),
      );
    }
  }

  /** Drops content whose message was not completed. */
  abort(): void {
    this.#push?.intake?.abort();
  }

  /** Returns whether a message was completed. */
  async #feed(bytes: Uint8Array): Promise<boolean> {
    let hasCompleted = false;
    try {
      this.#scanner.feed(bytes);
    } finally {
      // Messages completed before the error count.
      for (const act of this.#due.splice(0)) {
        if (this.connection.closed) break; // nobody reads the answers
        hasCompleted = true;
        await act();
      }
    }
    return hasCompleted;
  }

  #beginPush(envelope: Uint8Array): void {
    this.#push?.intake?.abort(); // the key "data" appeared twice: the last one wins
    this.#push = undefined;
    const { type, fileId } = peekEnvelope(envelope);
    const isOther = type !== undefined && type !== "FILE_DATA";
    const verdict = isOther ? "skip" : this.host.offerPush(fileId);
    this.#push = new PushInProgress(verdict === "skip" ? undefined : verdict);
  }

  #onMessage(bytes: Uint8Array, streamed: boolean): void {
    const { host } = this;
    const ended = this.#push;
    this.#push = undefined;
    try {
      const { message, droppedEntries } = decodeMessage(bytes, streamed, unpack);
      if (droppedEntries > 0) {
        const text = `Unusable entries in a list: ${droppedEntries}`;
        host.onRefused(new ProtocolError("bad-entry", text));
      }
      if (message.type !== "FILE_DATA" || !ended) this.#due.push(() => host.onMessage(message));
      else this.#due.push(() => finishPush(host, ended, message));
      if (message.type !== "FILE_DATA") ended?.intake?.abort();
    } catch (error) {
      ended?.intake?.abort();
      if (!(error instanceof ProtocolError)) throw error;
      host.onRefused(error);
    }
  }
}

async function finishPush(
  host: Host,
  push: PushInProgress,
  message: Extract<Message, { type: "FILE_DATA" }>,
): Promise<void> {
  const { intake, isContent } = push;
  if (!intake) return;
  if (!isContent || !message.hasContent) {
    intake.abort();
    return host.onMessage({ ...message, hasContent: false });
  }
  if (message.file) return await host.onPush(intake, message.file);
  intake.abort();
  host.onRefused(new ProtocolError("bad-field", "FILE_DATA does not describe its file"));
}

/** What the system reports when the other side, or the way to it, went away. */
const GONE = new Set(["EPIPE", "ECONNRESET", "ENOTCONN", "ETIMEDOUT", "EHOSTUNREACH"]);

/** Returns whether the error means that the other side or the network dropped the connection, not a bug of ours. */
export function isConnectionError(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.UnexpectedEof ||
    error instanceof Deno.errors.Interrupted ||
    error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.TimedOut ||
    (error instanceof Error && "code" in error && GONE.has(String(error.code)));
}

/** What a source answered: the content and its description, if it gave one, or that it does not have the file. */
export type Answer =
  | { readonly outcome: "content"; readonly file: FileRecord | undefined }
  | { readonly outcome: "absent" };

/** Where the content of an answer goes. */
export interface AnswerSink extends ContentSink {
  /** Starts over with no content. */
  restart(): void;
}

/** Reads an answer with content in hex. */
class PlainAnswer {
  readonly #scanner: FrameScanner;
  /** The answer, once it is complete. */
  answer: Answer | undefined;

  /** The sink is restarted if the answer contains content twice. */
  constructor(sink: AnswerSink, limits: ReceiveLimits) {
    let decoder: FileDataDecoder | undefined;
    let isContent = false;
    this.#scanner = new FrameScanner({
      dataStart() {
        if (decoder) sink.restart();
        decoder = new FileDataDecoder(sink);
      },
      data: (piece) => decoder!.write(piece),
      dataEnd() {
        isContent = decoder!.end();
      },
      message: (bytes, streamed) => {
        if (this.answer) return;
        const { message } = decodeMessage(bytes, streamed, unpack);
        if (message.type !== "FILE_DATA") return; // some peers send more than was requested
        this.answer = isContent && message.hasContent
          ? { outcome: "content", file: message.file }
          : { outcome: "absent" };
      },
    }, limits);
  }

  /** Takes the next bytes. Throws `ProtocolError`, and what the sink throws. */
  feed(bytes: Uint8Array): void {
    this.#scanner.feed(bytes);
  }

  /** Returns the answer of a source that closed the connection. Throws `ProtocolError` "cut-short". */
  atEnd(): Answer {
    if (this.#scanner.idle) return { outcome: "absent" };
    throw new ProtocolError("cut-short", "Connection closed in the middle of the file");
  }
}

/** Notices a source that sends almost nothing. */
export class Pace {
  readonly #windowBytes: number;
  #windowEndMs: number;
  #inWindow = 0;

  /** `idleMs` is how long it may send less than `MIN_SOURCE_BYTES_PER_SECOND`. */
  constructor(readonly idleMs: number) {
    this.#windowBytes = MIN_SOURCE_BYTES_PER_SECOND * idleMs / 1000;
    this.#windowEndMs = performance.now() + idleMs;
  }

  /** Counts bytes that arrived. Throws `ProtocolError` "too-slow". */
  note(bytes: number): void {
    this.#inWindow += bytes;
    if (performance.now() < this.#windowEndMs) return;
    if (this.#inWindow < this.#windowBytes) {
      throw new ProtocolError("too-slow", "The source sends too slowly");
    }
    this.#windowEndMs = performance.now() + this.idleMs;
    this.#inWindow = 0;
  }
}

/**
 * Requests a file and streams the answer into the sink, which is restarted if the answer contains content twice.
 * Throws `ProtocolError` ("cut-short", "too-slow", "bad-hex", …), connection errors, and what the sink throws.
 */
export async function requestFile(
  connection: Connection,
  fileId: string,
  ext: Ext,
  sink: AnswerSink,
  limits: ReceiveLimits,
): Promise<Answer> {
  const idleMs = limits.idleTimeoutMs;
  await connection.write(encodeMessage({ type: "GET_FILE", fileId, ext }), idleMs);
  const plain = new PlainAnswer(sink, limits);
  let buffer = new Uint8Array(CONTROL_BUFFER_BYTES);
  const pace = new Pace(idleMs);
  while (plain.answer === undefined) {
    const read = await connection.readContent(buffer, idleMs);
    if (read === null) return plain.atEnd();
    pace.note(read);
    plain.feed(buffer.subarray(0, read));
    // A small file never needs the large buffer, which costs more than everything else about it.
    const isFull = read === buffer.length && read < FETCH_BUFFER_BYTES;
    if (isFull) buffer = new Uint8Array(Math.min(FETCH_BUFFER_BYTES, 4 * read));
  }
  return plain.answer;
}

/**
 * Sends FILE_DATA with the content of the reader, then closes the sending side. Calls `onProgress` with the number
 * of content bytes sent so far. Throws connection errors, `ProtocolError` "too-slow" if the other side accepted
 * nothing for `idleMs`, and `Error` if the content became shorter.
 */
export async function sendFile(
  connection: Connection,
  file: FileRecord,
  reader: ContentReader,
  ext: Ext,
  idleMs: number,
  onProgress: (sentBytes: number) => void = () => {},
): Promise<void> {
  const { before, after } = fileDataEdges(file, ext);
  const content = new Uint8Array(Math.min(SEND_BYTES, Math.max(1, reader.sizeBytes)));
  const out = new Uint8Array(before.length + 2 * content.length + after.length);
  out.set(before);
  let filled = before.length;
  let sent = 0;
  // The head and the first digits go in one write: one implementation takes a read that ends in "}" for the end.
  while (sent < reader.sizeBytes) {
    const read = reader.readInto(content.subarray(0, reader.sizeBytes - sent));
    if (read === 0) throw new Error("The file became shorter while it was being sent");
    filled += encodeHex(content.subarray(0, read), out.subarray(filled));
    sent += read;
    if (sent === reader.sizeBytes) break;
    await connection.writeContent(out.subarray(0, filled), idleMs);
    onProgress(sent);
    filled = 0;
  }
  out.set(after, filled);
  await connection.writeContent(out.subarray(0, filled + after.length), idleMs);
  onProgress(sent);
  await connection.closeWrite();
}
