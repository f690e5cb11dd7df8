// A batch of small files on a connection: one request, one stream of header lines and contents. The connection stays open
// for the next request.
// Invariants: files are sent in the order in which they were asked for; an answer that cannot be completed ends with the
// connection; a source that answers in hex after all is understood for the first file.

import { absentHeader, batchHeader, BatchReader, type BatchSink } from "../protocol/wire/batch.ts";
import { ProtocolError } from "../protocol/wire/errors.ts";
import type { Ext } from "../protocol/wire/ext.ts";
import { encodeMessage, type FileRecord } from "../protocol/wire/message.ts";
import { TO_THE_END } from "../protocol/wire/raw.ts";
import type { Connection } from "./connection.ts";
import { type ContentReader, Pace, type ReceiveLimits } from "./exchange.ts";

/** Size of the buffers, in bytes: about 30 files of 4 KiB. */
const BUFFER_BYTES = 128 * 1024;

/** Collects what is sent, so that many small files are one write. */
class Outgoing {
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #filled = 0;

  constructor(readonly connection: Connection, readonly idleMs: number) {}

  /** Returns space for at least `bytes` bytes, or for as many as the buffer has. */
  async space(bytes: number): Promise<Uint8Array> {
    if (BUFFER_BYTES - this.#filled < Math.min(bytes, BUFFER_BYTES)) await this.flush();
    return this.#buffer.subarray(this.#filled);
  }

  filled(bytes: number): void {
    this.#filled += bytes;
  }

  async flush(): Promise<void> {
    const bytes = this.#buffer.subarray(0, this.#filled);
    this.#filled = 0;
    await this.connection.writeContent(bytes, this.idleMs);
  }
}

/** Receives a batch. */
export interface BatchReceiver extends BatchSink {
  /** Resolves when no bytes of files that are complete are needed any longer: their buffer is used again. Never rejects. */
  settled(): Promise<void>;
}

/** A file of a batch, open for reading, or absent. */
export interface BatchItem {
  /** Id of the file. */
  readonly fileId: string;
  /** What is known of it and its content; missing if it is not here. */
  readonly open?: { readonly file: FileRecord; readonly reader: ContentReader } | undefined;
}

/**
 * Sends the files, and closes their readers. `onSent` is called for each that was read completely. Throws connection
 * errors, `ProtocolError` "too-slow", and what reading throws: the answer is incomplete then, and the connection must be
 * closed.
 */
export async function sendBatch(
  connection: Connection,
  items: Iterable<BatchItem>,
  idleMs: number,
  onSent: (item: BatchItem) => void = () => {},
): Promise<void> {
  const out = new Outgoing(connection, idleMs);
  const put = async (bytes: Uint8Array) => {
    (await out.space(bytes.length)).set(bytes);
    out.filled(bytes.length);
  };
  for (const item of items) {
    if (!item.open) {
      await put(absentHeader(item.fileId));
      continue;
    }
    const { file, reader } = item.open;
    try {
      await put(batchHeader(file, reader.sizeBytes));
      for (let left = reader.sizeBytes; left > 0;) {
        const read = reader.readInto((await out.space(left)).subarray(0, left));
        if (read === 0) throw new Error("The file became shorter while it was being sent");
        out.filled(read);
        left -= read;
      }
      onSent(item);
    } catch (error) {
      // What was promised so far must reach the other side, which otherwise takes the end for a clean one.
      await out.flush();
      throw error;
    } finally {
      reader.close();
    }
  }
  await out.flush();
}

/**
 * Requests files, and streams them into the sink until the last one is complete. Throws `ProtocolError` ("cut-short",
 * "too-slow", "bad-field", …), connection errors, and what the sink throws. `onAnswering` is called when the first byte
 * of an answer arrives.
 */
export async function requestBatch(
  connection: Connection,
  fileIds: readonly string[],
  ext: Ext,
  sink: BatchReceiver,
  limits: ReceiveLimits,
  onAnswering: () => void = () => {},
): Promise<void> {
  const idleMs = limits.idleTimeoutMs;
  const [fileId, ...more] = fileIds;
  const asked = { ...ext, raw: [0, TO_THE_END], more };
  await connection.write(encodeMessage({ type: "GET_FILE", fileId: fileId!, ext: asked }), idleMs);
  const reader = new BatchReader(fileIds, sink);
  const pace = new Pace(idleMs);
  // What was read waits to be written to disk. Meanwhile, the next piece is read into the other buffer.
  const buffers = [new Uint8Array(BUFFER_BYTES), new Uint8Array(BUFFER_BYTES)] as const;
  const settled: Promise<void>[] = [];
  for (let at: 0 | 1 = 0; !reader.isDone; at = at === 0 ? 1 : 0) {
    await settled[at];
    const buffer = buffers[at];
    const read = await connection.readContent(buffer, idleMs);
    if (read === null) {
      throw new ProtocolError("cut-short", "Connection closed in the middle of a batch");
    }
    onAnswering();
    pace.note(read);
    reader.feed(buffer.subarray(0, read));
    settled[at] = sink.settled();
  }
}
