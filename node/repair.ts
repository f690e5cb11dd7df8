// Content that is complete and does not verify: what is wrong with it, and who sent that.
// Lists of the hashes of chunks (protocol/chunks.ts) are tried one after another. What differs from a list is fetched again
// from the source of that list. Then either the whole verifies, or the content is all as this source says and still wrong,
// so that it lied.
// Invariants: nobody is blamed because of a list before the whole verifies, except the source of a list that was tried in
// vain; a chunk is blamed on a source only if all of it came from that source.

import { createHash } from "node:crypto";
import {
  chunkBytesOf,
  chunksOf,
  differingChunks,
  DIGEST_BYTES,
  listBytesOf,
} from "../protocol/chunks.ts";
import { Ranges, type Span } from "../protocol/ranges.ts";
import { ProtocolError } from "../protocol/wire/errors.ts";
import { TO_THE_END } from "../protocol/wire/raw.ts";
import type { Connection } from "../net/connection.ts";
import { RawRequests } from "../net/raw.ts";
import { absent } from "./failures.ts";
import { NotWanted, type SourceAddress, type Sources } from "./sources.ts";
import type { StoreAssembly, TransferOptions } from "./transfer_options.ts";

/** How long a source may take to read its file for a list, in milliseconds. (A guess: 60 GB at 1 GB/s.) */
const LIST_MS = 60_000;
/** Size of the pieces that are read to be hashed, in bytes. */
const READ_BYTES = 1024 * 1024;
/** How long hashing may keep other work waiting, in milliseconds. */
const TURN_MS = 8;

/** What a repair needs. */
export interface RepairParts {
  /** Connections, limits and extensions. */
  readonly options: Pick<TransferOptions, "limits" | "ext">;
  readonly sources: Pick<Sources, "ask">;
  /** The content, all of it. */
  readonly assembly: StoreAssembly;
  readonly fileId: string;
  /** Size of the file, in bytes. */
  readonly sizeBytes: number;
  /** What each source delivered. */
  readonly delivered: ReadonlyMap<string, Ranges>;
}

/** A list that may be right. */
export interface Trial {
  /** Whose list it is. */
  readonly source: string;
  /** What differs from it. */
  readonly wrong: readonly Span[];
}

/** The repair of one file. */
export class Repair {
  readonly #parts: RepairParts;
  /** What each source had delivered when the whole was complete for the first time. */
  readonly #delivered: ReadonlyMap<string, Ranges>;
  readonly #lists = new Map<string, Uint8Array>();
  /** Sources whose lists were not tried yet. */
  readonly #untried = new Set<string>();
  readonly #connections = new Set<Connection>();
  /** The hashes of the first content, and of what is there now. */
  #before: Uint8Array = new Uint8Array(0);
  #now: Uint8Array = new Uint8Array(0);
  #isOver = false;

  /** Starts nothing yet; see `begin`. */
  constructor(parts: RepairParts) {
    this.#parts = parts;
    this.#delivered = new Map(
      [...parts.delivered].map(([source, { spans }]) => [source, new Ranges(spans)]),
    );
  }

  /** Hashes what is there, and asks these sources for their lists. Throws storage errors. */
  async begin(sources: Iterable<readonly [string, SourceAddress]>): Promise<void> {
    const { sizeBytes } = this.#parts;
    const asking = [...sources].map(async ([source, address]) => {
      try {
        this.#lists.set(source, await this.#ask(source, address));
        this.#untried.add(source);
      } catch {
        // A source without a list proves nothing; it may still deliver the file.
      }
    });
    this.#now = new Uint8Array(listBytesOf(sizeBytes));
    try {
      await this.#hash([[0, sizeBytes]]);
    } finally {
      await Promise.all(asking);
    }
    this.#before = this.#now.slice();
  }

  /** Whether there are lists that were not tried. */
  get hasMore(): boolean {
    return this.#untried.size > 0;
  }

  /** Returns the list that agrees most with what is there, and has not been tried, or `undefined`. */
  next(): Trial | undefined {
    const { sizeBytes } = this.#parts;
    let best: Trial | undefined;
    for (const source of this.#untried) {
      const wrong = differingChunks(sizeBytes, this.#now, this.#lists.get(source)!);
      if (!best || wrong.length < best.wrong.length) best = { source, wrong };
    }
    if (best) this.#untried.delete(best.source);
    return best;
  }

  /** Notes that these chunks were fetched again. Throws storage errors. */
  async fetched(spans: readonly Span[]): Promise<void> {
    await this.#hash(spans);
  }

  /** Returns who sent what was wrong, now that what is there has been verified. */
  culprits(): { readonly senders: Set<string>; readonly liars: Set<string> } {
    const { sizeBytes } = this.#parts;
    const senders = new Set<string>();
    for (const [start, end] of differingChunks(sizeBytes, this.#before, this.#now)) {
      for (const [source, delivered] of this.#delivered) {
        if (delivered.has(start, end)) senders.add(source);
      }
    }
    const liars = new Set<string>();
    for (const [source, list] of this.#lists) {
      if (differingChunks(sizeBytes, list, this.#now).length > 0) liars.add(source);
    }
    return { senders, liars };
  }

  /** Stops asking and hashing. */
  close(): void {
    this.#isOver = true;
    for (const connection of this.#connections) connection.close();
  }

  async #ask(source: string, { from, voucher }: SourceAddress): Promise<Uint8Array> {
    const { sources, fileId, sizeBytes, options: { limits, ext } } = this.#parts;
    let used: Connection | undefined;
    try {
      const { answer } = await sources.ask({
        source,
        from,
        voucher,
        isKept: true,
        onConnection: (connection) => {
          used = connection;
          this.#connections.add(connection);
          if (this.#isOver) throw new NotWanted("It is no longer wanted");
        },
        ask: async ({ connection, onAnswering }) => {
          const patient = { ...limits, idleTimeoutMs: LIST_MS };
          const requests = new RawRequests(connection, fileId, ext(), patient, onAnswering);
          const wanted = { offset: 0, length: TO_THE_END, chunks: chunkBytesOf(sizeBytes) };
          await requests.request(wanted);
          const list = new Uint8Array(listBytesOf(sizeBytes));
          let filled = 0;
          const outcome = await requests.answer(wanted, {
            begin: ({ total }) => {
              if (total === list.length) return;
              throw new ProtocolError("bad-field", "The list of chunks is of another size");
            },
            write: (piece) => {
              list.set(piece, filled);
              filled += piece.length;
            },
          });
          if (outcome !== "content") throw absent();
          requests.end();
          return { answer: list, isOpen: true };
        },
      });
      return answer;
    } finally {
      if (used) this.#connections.delete(used);
    }
  }

  /** Hashes the chunks that begin in these spans. */
  async #hash(spans: readonly Span[]): Promise<void> {
    const { assembly, sizeBytes } = this.#parts;
    const buffer = new Uint8Array(Math.min(READ_BYTES, sizeBytes));
    const wanted = new Ranges(spans);
    let sinceMs = performance.now();
    let at = -DIGEST_BYTES;
    for (const [start, end] of chunksOf(sizeBytes)) {
      at += DIGEST_BYTES;
      if (!wanted.has(start, start + 1)) continue;
      const hash = createHash("sha256");
      for (let position = start; position < end; position += READ_BYTES) {
        if (performance.now() - sinceMs >= TURN_MS) {
          await new Promise((go) => setTimeout(go, 0));
          sinceMs = performance.now();
        }
        if (this.#isOver) throw new NotWanted("It is no longer wanted");
        const piece = buffer.subarray(0, Math.min(READ_BYTES, end - position));
        assembly.read(position, piece);
        hash.update(piece);
      }
      this.#now.set(hash.digest(), at);
    }
  }
}
