// Raw content on a connection: a header line, then exactly the bytes that were asked for. The connection stays open for
// the next request.
// Invariants: an answer ends cleanly only if all of it was sent, and otherwise the connection is closed by whoever
// notices; a source that answers in hex is understood too.

import { ProtocolError } from "../protocol/wire/errors.ts";
import { encodeMessage, type Ext, type FileRecord } from "../protocol/wire/message.ts";
import { type Range, rawHeader, RawOpening } from "../protocol/wire/raw.ts";
import type { Connection } from "./connection.ts";
import {
  type Answer,
  type AnswerSink,
  type ContentReader,
  Pace,
  PlainAnswer,
  readPlain,
  type ReceiveLimits,
} from "./exchange.ts";

/** Size of the buffers for content, in bytes: a larger one is not faster. */
const BUFFER_BYTES = 1024 * 1024;
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
  const buffer = new Uint8Array(Math.min(BUFFER_BYTES, header.length + range.length));
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
    await connection.write(buffer.subarray(0, filled + read), idleMs);
    filled = 0;
    sent += read;
    onProgress(sent);
  }
  if (filled > 0) await connection.write(buffer.subarray(0, filled), idleMs); // an empty range
}

/** An answer to a request for raw content. */
export interface RawAnswer {
  /** The content and its description, or that the source does not have the file. */
  readonly answer: Answer;
  /** Whether the connection can take the next request. */
  readonly isOpen: boolean;
}

/**
 * Requests bytes of a file and streams them into the sink. A source that does not know raw content sends all of the
 * file in hex. Throws `ProtocolError` ("cut-short", "too-slow", "bad-field", …), connection errors, and what the sink
 * throws. `onAnswering` is called when the first byte of an answer arrives.
 */
export async function requestRaw(
  connection: Connection,
  fileId: string,
  wanted: Range,
  ext: Ext,
  sink: AnswerSink,
  limits: ReceiveLimits,
  onAnswering: () => void = () => {},
): Promise<RawAnswer> {
  const idleMs = limits.idleTimeoutMs;
  const raw = [wanted.offset, wanted.length];
  const request = encodeMessage({ type: "GET_FILE", fileId, ext: { ...ext, raw } });
  await connection.write(request, idleMs);
  const opening = new RawOpening(fileId, wanted);
  const buffer = new Uint8Array(FIRST_BYTES);
  const pace = new Pace(idleMs);
  for (;;) {
    const read = await connection.read(buffer, idleMs);
    if (read === null) {
      const plain = new PlainAnswer(sink, limits, wanted.offset > 0);
      plain.feed(opening.rest);
      return { answer: plain.answer ?? plain.atEnd(), isOpen: false };
    }
    onAnswering();
    pace.note(read);
    const found = opening.feed(buffer.subarray(0, read));
    if (!found) continue;
    if (found.kind === "plain") {
      const plain = new PlainAnswer(sink, limits, wanted.offset > 0);
      plain.feed(found.bytes);
      return { answer: await readPlain(connection, plain, idleMs), isOpen: false };
    }
    const { header: { length, file }, content } = found;
    if (content.length > length) {
      throw new ProtocolError("bad-field", "More content came than was asked for");
    }
    if (content.length > 0) sink.write(content);
    await readContent(connection, length - content.length, sink, pace);
    return { answer: { outcome: "content", file }, isOpen: true };
  }
}

/** Streams this many bytes into the sink. While one piece is written and hashed, the next one is read. */
async function readContent(
  connection: Connection,
  bytes: number,
  sink: AnswerSink,
  pace: Pace,
): Promise<void> {
  let left = bytes;
  if (left === 0) return;
  const size = Math.min(BUFFER_BYTES, left);
  let [current, other] = [new Uint8Array(size), new Uint8Array(left > size ? size : 0)];
  const read = (buffer: Uint8Array) => {
    const reading = connection.read(buffer.subarray(0, left), pace.idleMs);
    reading.catch(() => {}); // thrown when it is its turn, unless the sink fails first
    return reading;
  };
  let reading = read(current);
  for (;;) {
    const arrived = await reading;
    if (arrived === null) {
      throw new ProtocolError("cut-short", "Connection closed in the middle of the file");
    }
    pace.note(arrived);
    left -= arrived;
    const piece = current.subarray(0, arrived);
    if (left > 0) {
      if (other.length === 0) other = new Uint8Array(size);
      [current, other] = [other, current];
      reading = read(current);
    }
    sink.write(piece);
    if (left === 0) return;
  }
}
