// Batches: many small files fetched from one source with one request, each verified as soon as it is complete.
// Invariants: every file of a batch is reported once, as arrived, failed or unasked; what is in memory at a time is a few
// read buffers, because a file that is larger than its holders say goes to the disk.

import type { BatchFile, Effect } from "../protocol/effects.ts";
import { MAX_BATCH_FILE_BYTES } from "../protocol/limits.ts";
import type { Timestamp } from "../protocol/wire/fileid.ts";
import { type BatchReceiver, requestBatch } from "../net/batch.ts";
import type { Connection } from "../net/connection.ts";
import { absent, type Explained, explainFailure, mismatch } from "./failures.ts";
import type { Receipts } from "./receipts.ts";
import { NotWanted, type Sources } from "./sources.ts";
import type { Move } from "./transfer_log.ts";
import {
  type StoreContent,
  type StoreIntake,
  type TransferOptions,
  verified,
} from "./transfer_options.ts";

type FetchBatch = Extract<Effect, { kind: "fetch-batch" }>;

/** The batches on their way. */
export class Batches {
  /** Attempts in progress. */
  readonly #attempts = new Map<number, Batch>();

  /** Starts without batches. */
  constructor(
    readonly options: TransferOptions,
    readonly sources: Sources,
    readonly receipts: Receipts,
  ) {}

  /** Fetches the files. Reports for each `arrived`, `fetch-failed` or `fetch-unasked`. Never throws. */
  async fetch(fetch: FetchBatch): Promise<void> {
    const batch = new Batch(this, fetch);
    for (const { attempt } of fetch.files) this.#attempts.set(attempt, batch);
    try {
      await batch.run();
    } finally {
      for (const { attempt } of fetch.files) this.#attempts.delete(attempt);
    }
  }

  /** Ends an attempt that nobody wants any longer. Returns false if it is not here. */
  stop(attempt: number, text: string): boolean {
    const batch = this.#attempts.get(attempt);
    batch?.stop(attempt, text);
    return batch !== undefined;
  }
}

/** A file of the batch whose content is arriving. */
interface Arriving {
  readonly file: BatchFile;
  /** Returns the timestamp under which the source knows it. */
  readonly told: () => Timestamp | undefined;
  readonly move: Move;
  readonly sizeBytes: number;
  /** Content so far: the pieces, or, if it is large, the file on disk. */
  readonly pieces: Uint8Array[];
  readonly intake: StoreIntake | undefined;
}

class Batch implements BatchReceiver {
  readonly #unwanted = new Map<number, string>();
  /** Number of files that were reported. */
  #reported = 0;
  #arriving: Arriving | undefined;
  #connection: Connection | undefined;
  #ip = "";

  constructor(readonly all: Batches, readonly fetch: FetchBatch) {}

  async run(): Promise<void> {
    const { fetch: { files, source, from, voucher }, all: { sources, options } } = this;
    const fileIds = files.map(({ file: { fileId } }) => fileId);
    try {
      await sources.ask({
        source,
        from,
        voucher,
        isKept: true,
        onConnection: (connection) => {
          this.#connection = connection;
          this.#ip = connection.ip;
          if (this.#isUnwanted) throw new NotWanted("It is no longer wanted");
        },
        ask: async ({ connection, onAnswering }) => {
          const { ext, limits } = options;
          await requestBatch(connection, fileIds, ext(), this, limits, onAnswering);
          return { answer: undefined, isOpen: true };
        },
      });
    } catch (error) {
      this.#fail(explainFailure(error));
    } finally {
      this.#connection = undefined;
    }
  }

  stop(attempt: number, text: string): void {
    this.#unwanted.set(attempt, text);
    if (this.#arriving?.file.attempt === attempt) this.#arriving.move.ended(text);
    if (this.#isUnwanted) this.#connection?.close();
  }

  get #isUnwanted(): boolean {
    return this.#unwanted.size === this.fetch.files.length;
  }

  begin(index: number, sizeBytes: number, told: () => Timestamp | undefined): void {
    const { fetch: { files, source }, all: { options: { transferLog, store } } } = this;
    const file = files[index]!;
    const { fileId, name } = file.file;
    // Before anything is noted: it may throw.
    const isLarge = sizeBytes > MAX_BATCH_FILE_BYTES;
    const intake = isLarge ? store.intake(undefined, fileId) : undefined;
    const move = transferLog.begin({
      kind: "fetch",
      fileId,
      name,
      peer: source,
      totalBytes: sizeBytes,
    });
    move.stop = () => {};
    const ended = this.#unwanted.get(file.attempt);
    if (ended !== undefined) move.ended(ended);
    this.#arriving = { file, told, move, sizeBytes, pieces: [], intake };
  }

  write(content: Uint8Array): void {
    const { pieces, intake, move } = this.#arriving!;
    if (intake) intake.write(content);
    else pieces.push(content.length < this.#arriving!.sizeBytes ? content.slice() : content);
    move.moved(content.length);
  }

  end(): void {
    const { store } = this.all.options;
    const { file, told, move, sizeBytes, pieces, intake } = this.#arriving!;
    this.#arriving = undefined;
    if (this.#unwanted.has(file.attempt)) {
      intake?.abort();
      this.#reported++;
      return;
    }
    const content: StoreContent = intake ?? store.inMemory(whole(pieces, sizeBytes));
    const { fileId } = file.file;
    const timestamp = verified(content, fileId, file.timestamps) ??
      verified(content, fileId, [told()].filter((each) => each !== undefined));
    if (timestamp) return this.#arrived(file, move, content, timestamp, intake === undefined);
    content.abort();
    this.#failed(file, explainFailure(sizeBytes === 0 ? absent() : mismatch()), move);
  }

  settled(): Promise<void> {
    return this.all.receipts.settled();
  }

  absent(index: number): void {
    this.#failed(this.fetch.files[index]!, explainFailure(absent()));
  }

  #arrived(
    { attempt, file }: BatchFile,
    move: Move,
    content: StoreContent,
    timestamp: Timestamp,
    isSmall: boolean,
  ): void {
    this.#reported++;
    const { receipts, options: { dispatch } } = this.all;
    const receipt = receipts.add(content, isSmall);
    move.done();
    const held = { file: { ...file, timestamp }, sizeBytes: content.sizeBytes };
    const { source } = this.fetch;
    dispatch({ kind: "arrived", receipt, held, ip: this.#ip, source, attempt });
  }

  #failed({ attempt, file: { fileId, name } }: BatchFile, why: Explained, move?: Move): void {
    this.#reported++;
    const { options: { dispatch, transferLog } } = this.all;
    const { source } = this.fetch;
    const beginning = { kind: "fetch", fileId, name, peer: source, totalBytes: undefined } as const;
    (move ?? transferLog.begin(beginning)).failed(`${source} ${why.text}`);
    dispatch({ kind: "fetch-failed", fileId, source, attempt, ...why });
  }

  /** The rest of the batch does not come: the file whose turn it was failed, and of the others nothing is known. */
  #fail(why: Explained): void {
    const { files } = this.fetch;
    this.#arriving?.intake?.abort();
    const first = files[this.#reported];
    if (first) this.#failed(first, why, this.#arriving?.move);
    const unasked = files.slice(this.#reported).map(({ file: { fileId }, attempt }) => ({
      fileId,
      attempt,
    }));
    if (unasked.length > 0) this.all.options.dispatch({ kind: "fetch-unasked", files: unasked });
  }
}

function whole(pieces: readonly Uint8Array[], sizeBytes: number): Uint8Array {
  const [first] = pieces;
  if (first && pieces.length === 1) return first;
  const content = new Uint8Array(sizeBytes);
  let at = 0;
  for (const piece of pieces) {
    content.set(piece, at);
    at += piece.length;
  }
  return content;
}
