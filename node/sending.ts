// Files on their way out, held or in parts: served to peers that ask for them, and copies pushed to peers.
// Invariants: an answer that cannot be completed is never ended cleanly; every reader is closed.

import { chunkBytesOf, wholeChunks } from "../protocol/chunks.ts";
import type { Effect } from "../protocol/effects.ts";
import { MAX_BATCH_FILE_BYTES } from "../protocol/limits.ts";
import type { Ranges } from "../protocol/ranges.ts";
import type { Ext } from "../protocol/wire/ext.ts";
import type { FileRecord } from "../protocol/wire/message.ts";
import { type Range, requestedRange } from "../protocol/wire/raw.ts";
import { type BatchItem, sendBatch } from "../net/batch.ts";
import type { Connection } from "../net/connection.ts";
import { DialError } from "../net/dialer.ts";
import { sendFile } from "../net/exchange.ts";
import { type RangeReader, sendRaw } from "../net/raw.ts";
import { explainFailure } from "./failures.ts";
import type { Move } from "./transfer_log.ts";
import type { TransferOptions } from "./transfer_options.ts";

type Replicate = Extract<Effect, { kind: "replicate" }>;
type Serve = Extract<Effect, { kind: "serve" }>;
type ServePart = Extract<Effect, { kind: "serve-part" }>;
type Sharing = NonNullable<Serve["sharing"]>;
type Parts = Pick<Ext, "have" | "peers" | "next">;
type ServeBatch = Extract<Effect, { kind: "serve-batch" }>;

/** How an answer ended. Only "sent" means that something was sent. */
type Outcome = "sent" | "gone" | "bad-range";

/** What is here of a file that is on its way. */
export interface Part {
  /** What is known of the file. */
  readonly file: FileRecord;
  /** Size of the whole file, in bytes, as a source said. */
  readonly sizeBytes: number;
  /** What is here. */
  readonly done: Ranges;
  /** Opens it. Throws with a message for people. */
  open(): RangeReader;
}

/** The files on their way out. */
export class Sending {
  readonly #dialed = new Set<Connection>();
  /** The latest transfer on each connection. */
  readonly #served = new WeakMap<Connection, Move>();

  /** Starts without transfers. `partOf` returns what is here of a file that is on its way. */
  constructor(
    readonly options: TransferOptions,
    readonly partOf: (fileId: string) => Part | undefined,
  ) {}

  /**
   * Streams a held file on a connection that requested it: all of it in hex, or, with `raw`, those bytes raw, or of the list
   * of its chunks. Resolves to "gone" or "bad-range", without sending anything, if it is no longer here or has no such
   * bytes. Throws what reading or sending throws.
   */
  async serve(
    connection: Connection,
    { file, raw, chunks, sharing }: Pick<Serve, "file" | "raw" | "chunks" | "sharing">,
  ): Promise<Outcome> {
    const { store } = this.options;
    if (raw && chunks) return await this.#serveChunks(connection, file, raw, chunks);
    const reader = store.reader(file.fileId);
    if (!reader) return "gone";
    const range = raw && requestedRange(raw, reader.sizeBytes);
    if (raw && !range) {
      reader.close();
      return "bad-range";
    }
    const sent = range && sharing?.isRedirected ? { ...range, length: 0 } : range;
    await this.#sendTo(connection, file, reader, sent, partsOf(sharing));
    return "sent";
  }

  /**
   * Streams a part of a file that is on its way here, as far as it is here. Resolves to "gone" or "bad-range", without
   * sending anything, if nothing is known of it or it has no such bytes. Throws what reading or sending throws.
   */
  async servePart(
    connection: Connection,
    { fileId, raw, sharing }: Pick<ServePart, "fileId" | "raw" | "sharing">,
  ): Promise<Outcome> {
    const part = this.partOf(fileId);
    if (!part) return "gone";
    const range = requestedRange(raw, part.sizeBytes);
    if (!range) return "bad-range";
    const end = Math.min(range.offset + range.length, part.done.endAt(range.offset));
    const sent = { ...range, length: end - range.offset };
    const have = wholeChunks(part.done, part.sizeBytes);
    // Most questions are about what is here by now.
    const reader = sent.length > 0 ? part.open() : new Nothing(part.sizeBytes);
    await this.#sendTo(connection, part.file, reader, sent, { have, ...partsOf(sharing) });
    return "sent";
  }

  async #serveChunks(
    connection: Connection,
    file: FileRecord,
    raw: readonly number[],
    chunks: number,
  ): Promise<Outcome> {
    // Its size is exact, because it is held.
    const isWanted = chunks === chunkBytesOf(file.sizeBytes ?? 0);
    const list = isWanted ? await this.options.store.chunkList(file.fileId) : undefined;
    const range = list && requestedRange(raw, list.length);
    if (!list || !range) return isWanted && !list ? "gone" : "bad-range";
    const reader = new InMemory(list);
    const { ext, limits: { idleTimeoutMs } } = this.options;
    await sendRaw(connection, file, reader, range, { ...ext(), chunks }, idleTimeoutMs);
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
    const { store, routes, dispatch } = this.options;
    const ticket = { for: "replicate", fileId: file.fileId } as const;
    const move = this.#begin("copy", file, peerId);
    let connection: Connection | undefined;
    try {
      // Nobody waits for a copy, and answers must not wait for hundreds of them.
      connection = await routes.dial(to, voucher, "news", peerId);
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

  /** Sends an answer. An empty one is no transfer. */
  async #sendTo(
    connection: Connection,
    file: FileRecord,
    reader: RangeReader,
    range: Range | undefined,
    parts: Parts,
  ): Promise<void> {
    if (range?.length === 0 && !this.options.sendFile) {
      const { ext, limits: { idleTimeoutMs } } = this.options;
      try {
        return await sendRaw(
          connection,
          file,
          reader,
          range,
          { ...ext(), ...parts },
          idleTimeoutMs,
        );
      } finally {
        reader.close();
      }
    }
    const content = range ? { ...file, sizeBytes: range.length } : file;
    // Whoever asks for one part after another is shown once.
    const before = range && this.#served.get(connection);
    const isMore = before?.fileId === file.fileId &&
      this.options.transferLog.again(before, range!.length);
    const move = isMore ? before : this.#begin("serve", content, connection.ip);
    this.#served.set(connection, move);
    const movedBefore = move.doneBytes;
    await this.#send(connection, file, reader, move, range, parts, movedBefore);
  }

  async #send(
    connection: Connection,
    file: FileRecord,
    reader: RangeReader,
    move: Move,
    range?: Range,
    parts: Parts = {},
    movedBefore = 0,
  ): Promise<void> {
    const { limits: { idleTimeoutMs }, ext, sendFile: replaced } = this.options;
    stopBy(move, connection);
    const onProgress = (sentBytes: number) => move.moved(sentBytes + movedBefore - move.doneBytes);
    try {
      if (range && !replaced) {
        const told = { ...ext(), ...parts };
        await sendRaw(connection, file, reader, range, told, idleTimeoutMs, onProgress);
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

const partsOf = (sharing: Sharing | undefined): Parts =>
  sharing ? { peers: sharing.peers, ...(sharing.next ? { next: sharing.next } : {}) } : {};

/** No content of a file of this size. */
class Nothing implements RangeReader {
  constructor(readonly sizeBytes: number) {}
  seek(): void {}
  readInto = () => 0;
  close(): void {}
}

/** Content that was read already. */
class InMemory implements RangeReader {
  readonly sizeBytes: number;
  #position = 0;
  #end: number;

  constructor(readonly content: Uint8Array) {
    this.sizeBytes = this.#end = content.length;
  }

  seek(offset: number, bytes: number): void {
    this.#position = offset;
    this.#end = offset + bytes;
  }

  readInto(buffer: Uint8Array): number {
    const end = Math.min(this.#end, this.#position + buffer.length);
    const piece = this.content.subarray(this.#position, end);
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
