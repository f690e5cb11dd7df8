// Files on their way out: served to peers that ask for them, and copies pushed to peers.
// Invariants: an answer that cannot be completed is never ended cleanly; every reader is closed.

import type { Effect } from "../protocol/effects.ts";
import { MAX_BATCH_FILE_BYTES } from "../protocol/limits.ts";
import type { FileRecord } from "../protocol/wire/message.ts";
import { type Range, requestedRange } from "../protocol/wire/raw.ts";
import { type BatchItem, sendBatch } from "../net/batch.ts";
import type { Connection } from "../net/connection.ts";
import { DialError } from "../net/dialer.ts";
import { type ContentReader, sendFile } from "../net/exchange.ts";
import { type RangeReader, sendRaw } from "../net/raw.ts";
import { explainFailure } from "./failures.ts";
import type { Move } from "./transfer_log.ts";
import type { TransferOptions } from "./transfer_options.ts";

type Replicate = Extract<Effect, { kind: "replicate" }>;
type ServeBatch = Extract<Effect, { kind: "serve-batch" }>;

/** The files on their way out. */
export class Sending {
  readonly #dialed = new Set<Connection>();

  /** Starts without transfers. */
  constructor(readonly options: TransferOptions) {}

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
   * Streams files on a connection that requested them, raw. Calls `onGone` for each that is no longer here. Throws what
   * reading or sending throws.
   */
  async serveBatch(
    connection: Connection,
    { files }: Pick<ServeBatch, "files">,
    onGone: (fileId: string) => void,
  ): Promise<void> {
    const { store, limits: { idleTimeoutMs } } = this.options;
    let move: Move | undefined;
    // Opened one at a time, when the previous one was sent: hundreds of open files would be too many.
    const open = function* (this: Sending): Generator<BatchItem> {
      for (const { fileId, file } of files) {
        const small = file && store.smallContent(fileId, MAX_BATCH_FILE_BYTES);
        const reader = small ? new InMemory(small) : file && store.reader(fileId);
        if (file && !reader) onGone(fileId);
        if (!file || !reader) {
          yield { fileId };
          continue;
        }
        move = this.#begin("serve", { ...file, sizeBytes: reader.sizeBytes }, connection.ip);
        stopBy(move, connection);
        yield { fileId, open: { file, reader } };
      }
    };
    try {
      await sendBatch(connection, open.call(this), idleTimeoutMs, ({ open }) => {
        move?.moved(open!.reader.sizeBytes);
        move?.done();
      });
    } catch (error) {
      move?.failed(explainFailure(error).text);
      throw error;
    }
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
      if (connection) this.#dialed.delete(connection);
      connection?.close();
    }
  }

  /** Abandons pushes in progress. */
  close(): void {
    for (const connection of this.#dialed) connection.close();
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
    kind: "serve" | "copy",
    { fileId, name, sizeBytes }: Pick<FileRecord, "fileId" | "name" | "sizeBytes">,
    peer: string,
  ): Move {
    return this.options.transferLog.begin({ kind, fileId, name, peer, totalBytes: sizeBytes });
  }
}

/** Content that was read already. */
class InMemory implements ContentReader {
  readonly sizeBytes: number;
  #position = 0;

  constructor(readonly content: Uint8Array) {
    this.sizeBytes = content.length;
  }

  readInto(buffer: Uint8Array): number {
    const piece = this.content.subarray(this.#position, this.#position + buffer.length);
    buffer.set(piece);
    this.#position += piece.length;
    return piece.length;
  }

  close(): void {}
}

/** Lets canceling a transfer close its connection, at once if it was canceled already. */
export function stopBy(move: Move, connection: Connection): void {
  move.stop = () => connection.close();
  if (move.state !== "running") connection.close();
}
