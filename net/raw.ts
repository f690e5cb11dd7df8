// Raw content on a connection: a header line, then exactly the bytes that were asked for. The connection stays open for
// the next request.
// Invariants: an answer ends cleanly only if all of it was sent, and otherwise the connection is closed by whoever
// notices; a source that answers in hex, or not at all, is recognized.

import { ProtocolError } from "../protocol/wire/errors.ts";
import type { Ext } from "../protocol/wire/ext.ts";
import { encodeMessage, type FileRecord } from "../protocol/wire/message.ts";
import {
  type Range,
  type RawHeader,
  rawHeader,
  RawOpening,
  type Wanted,
} from "../protocol/wire/raw.ts";
import { RECEIVING, SENDING } from "./buffers.ts";
import type { Connection } from "./connection.ts";
import { type ContentReader, Pace, type ReceiveLimits } from "./exchange.ts";

/** Size of the buffer for the beginning of an answer, in bytes: a small file fits. */
const FIRST_BYTES = 16 * 1024;

/** Content of which any part can be sent. */
export interface RangeReader extends ContentReader {
  /** Limits what is sent to `bytes` bytes from `offset`. */
  seek(offset: number, bytes: number): void;
}

/**
 * Sends a header line and these bytes of the content. Calls `onProgress` with the number of content bytes sent so far.
 * Throws connection errors, `ProtocolError` "too-slow" if the other side accepted nothing for `idleMs`, and `Error` if
 * the content changed or became shorter: the answer is incomplete then, and the connection must be closed.
 */
export async function sendRaw(
  connection: Connection,
  file: FileRecord,
  reader: RangeReader,
  range: Range,
  ext: Ext,
  idleMs: number,
  onProgress: (sentBytes: number) => void = () => {},
): Promise<void> {
  const header = rawHeader(file, ext, range, reader.sizeBytes);
  const buffer = SENDING.take(Math.min(SENDING.sizeBytes, header.length + range.length));
  buffer.set(header);
  let filled = header.length;
  let sent = 0;
  reader.seek(range.offset, range.length);
  while (sent < range.length) {
    let read = 0;
    try {
      read = reader.readInto(buffer.subarray(filled, filled + range.length - sent));
      if (read === 0) throw new Error("The file became shorter while it was being sent");
    } catch (error) {
      // Without the header, an answer that ends looks like "I do not have it".
      if (filled > 0) await connection.write(header, idleMs);
      throw error;
    }
    await connection.writeContent(buffer.subarray(0, filled + read), idleMs);
    filled = 0;
    sent += read;
    onProgress(sent);
  }
  if (filled > 0) await connection.write(buffer.subarray(0, filled), idleMs); // an empty range
  SENDING.give(buffer); // after an error, it may still be written
}

/** Receives the answer to a request. */
export interface RawSink {
  /** The answer begins: these bytes follow. */
  begin(header: RawHeader): void;
  /** The next bytes, which stay valid until this returns. */
  write(content: Uint8Array): void;
}

/**
 * How an answer ended: with all of its content; with "I do not have it"; without a byte, because the source closed the
 * connection; or in hex, by a source that does not send raw content after all, which was not read further.
 */
export type RawOutcome = "content" | "absent" | "closed" | "hex";

/**
 * Requests for ranges of one file on one connection. The next one may be made while the answer to the one before is
 * read. After anything but "content", and after an error, the connection cannot be used again.
 */
export class RawRequests {
  /** What was read of the next answer. */
  #rest: Uint8Array = new Uint8Array(0);
  /** Buffers that are filled in turn; there are two if one was not enough. */
  readonly #buffers: Uint8Array[] = [];

  /** `onAnswering` is called when the first byte of an answer arrives. */
  constructor(
    readonly connection: Connection,
    readonly fileId: string,
    readonly ext: Ext,
    readonly limits: ReceiveLimits,
    readonly onAnswering: () => void = () => {},
  ) {}

  /**
   * Sends a request, which says what is `here` of the file if the answer may be partial. Throws connection errors and
   * `ProtocolError` "too-slow".
   */
  async request(
    { offset, length, chunks }: Wanted,
    here?: Pick<Ext, "have" | "peer">,
  ): Promise<void> {
    const { connection, fileId, ext, limits } = this;
    const about = { raw: [offset, length], ...here, ...(chunks ? { chunks } : {}) };
    const request = { type: "GET_FILE", fileId, ext: { ...ext, ...about } } as const;
    await connection.write(encodeMessage(request), limits.idleTimeoutMs);
  }

  /**
   * Reads the answer to the first request that was not answered yet, and streams it into the sink. Throws
   * `ProtocolError` ("cut-short", "too-slow", "bad-field", …), connection errors, and what the sink throws.
   */
  async answer(wanted: Wanted, sink: RawSink): Promise<RawOutcome> {
    const { connection, limits: { idleTimeoutMs }, fileId } = this;
    const opening = new RawOpening(fileId, wanted);
    const pace = new Pace(idleTimeoutMs);
    let bytes = this.#rest;
    this.#rest = new Uint8Array(0);
    for (;;) {
      const found = bytes.length > 0 ? opening.feed(bytes) : undefined;
      if (found?.kind === "plain") return isNull(found.bytes) ? "absent" : "hex";
      if (found) {
        const { header, content } = found;
        sink.begin(header);
        const own = content.subarray(0, header.length);
        this.#rest = content.subarray(header.length);
        if (own.length > 0) sink.write(own);
        await this.#content(header.length - own.length, sink, pace);
        return "content";
      }
      const buffer = new Uint8Array(FIRST_BYTES);
      const read = await connection.readContent(buffer, idleTimeoutMs);
      if (read === null) {
        if (opening.rest.length === 0) return "closed";
        throw new ProtocolError("cut-short", "Connection closed in the middle of an answer");
      }
      this.onAnswering();
      pace.note(read);
      bytes = buffer.subarray(0, read);
    }
  }

  /** Ends the requests, all of which were answered. Throws `ProtocolError` "bad-field" if the source sent more than it was asked for. */
  end(): void {
    if (this.#rest.length === 0) {
      for (const buffer of this.#buffers.splice(0)) RECEIVING.give(buffer);
      return;
    }
    throw new ProtocolError("bad-field", "More content came than was asked for");
  }

  /** Streams this many bytes into the sink. While one piece is written and hashed, the next one is read. */
  async #content(bytes: number, sink: RawSink, pace: Pace): Promise<void> {
    let left = bytes;
    if (left === 0) return;
    const size = Math.min(RECEIVING.sizeBytes, left);
    const buffers = this.#buffers;
    const need = (index: number) => {
      const buffer = buffers[index];
      if (buffer && buffer.length >= size) return;
      if (buffer) RECEIVING.give(buffer);
      buffers[index] = RECEIVING.take(size);
    };
    need(0);
    let at = 0;
    const read = () => {
      const reading = this.connection.readContent(buffers[at]!.subarray(0, left), pace.idleMs);
      reading.catch(() => {}); // thrown when it is its turn, unless the sink fails first
      return reading;
    };
    let reading = read();
    for (;;) {
      const arrived = await reading;
      if (arrived === null) {
        throw new ProtocolError("cut-short", "Connection closed in the middle of the file");
      }
      pace.note(arrived);
      left -= arrived;
      const piece = buffers[at]!.subarray(0, arrived);
      if (left > 0) {
        at = 1 - at;
        need(at);
        reading = read();
      }
      sink.write(piece);
      if (left === 0) return;
    }
  }
}

/** Returns whether a plain answer says "I do not have it": its "data" is null. */
function isNull(bytes: Uint8Array): boolean {
  return /"data"\s*:\s*(null|"null")/.test(new TextDecoder().decode(bytes));
}
