// The lists of files that people and scripts ask for: a page, all rows, or those at risk. The index behind them is built for
// the first one, follows the changes, and is dropped when nobody has asked for a while.
// Invariant: only the one whose turn it is touches the index.

import { DEFAULT_LIMIT } from "./api/schemas.ts";
import { FileIndex, type Found, type Search } from "./file_index.ts";
import { inSlices, type Sliced } from "./slices.ts";
import { sampleOf } from "./risk_sample.ts";
import type { Turns } from "./turns.ts";
import type { View, ViewedFile } from "./view.ts";

/** A page of a search, as the API takes it. */
export type PageQuery = Search & { readonly limit?: string; readonly start?: string };

export interface FilePage<Row> {
  readonly files: readonly Row[];
  /** Number of files on all pages. */
  readonly total: number;
  /** `start` of the next page; null on the last one. */
  readonly next: string | null;
}

/** Files at risk and how many there are of each kind, for the picture of who holds what. */
export interface Risks<Row> {
  readonly total: number;
  /** Number of files that nobody holds, not even an absent peer. */
  readonly none: number;
  /** Number of files whose holders are all away. */
  readonly away: number;
  readonly one: number;
  /** Those with the fewest holders, the fewest first. */
  readonly files: readonly Row[];
}

/** Makes of a file what the list is of. */
export type RowOf<Row> = (file: ViewedFile) => Row;
export const asItIs = (file: ViewedFile) => file;

/** Number of rows read between two pauses. */
const ROWS = 16;

export class FileLists {
  #index: FileIndex | undefined;
  #changes: () => readonly string[] | "many" = () => "many";

  constructor(readonly view: View, readonly turns: Turns) {}

  /**
   * Resolves to a page of the files that match, each as `rowOf` writes it. Throws the reason of `signal` if that is
   * aborted first.
   */
  async page<Row>(
    query: PageQuery,
    rowOf: RowOf<Row>,
    signal?: AbortSignal,
  ): Promise<FilePage<Row>> {
    return await this.#turn((index) => this.#page(index, query, rowOf), signal);
  }

  /**
   * Resolves to the files that match, from `start` on and at most `limit`. They are looked up as they are read, at any
   * pace; those that are gone by then are left out.
   */
  async all(query: PageQuery, signal?: AbortSignal): Promise<Iterator<ViewedFile>> {
    const { found, from } = await this.#turn((index) => this.#from(index, query), signal);
    const until = Math.min(found.total, from + Number(query.limit ?? Infinity));
    const { view } = this;
    return (function* () {
      for (let at = from; at < until; at++) {
        const file = view.file(found.idAt(at)!);
        if (file) yield file;
      }
    })();
  }

  /** Resolves to the files with the fewest holders, at most `limit`, and counts of all that are at risk. */
  async risks<Row>(limit: number, rowOf: RowOf<Row>): Promise<Risks<Row>> {
    const { view } = this;
    return await this.#turn(function* (index) {
      const { fileIds, ...counts } = yield* sampleOf(index.columns, limit);
      return { ...counts, files: yield* rows(view, fileIds, rowOf) };
    });
  }

  /** Resolves to the files with this name. */
  async named(name: string): Promise<ViewedFile[]> {
    const { view } = this;
    return await this.#turn(function* (index) {
      return yield* rows(view, yield* index.named(name), asItIs);
    });
  }

  async #turn<T>(work: (index: FileIndex) => Sliced<T>, signal?: AbortSignal): Promise<T> {
    return await this.turns.take(
      async () => await inSlices(work(await this.#current()), signal),
      signal,
    );
  }

  /** Resolves to the index as of now. Never abandoned halfway: changes are told only once. */
  async #current(): Promise<FileIndex> {
    if (!this.#index) {
      this.#index = new FileIndex(this.view.status().peerId);
      this.#changes = this.view.watchFiles(() => this.#index = undefined);
    }
    const index = this.#index;
    try {
      await inSlices(index.update(this.#changes(), this.view));
    } catch (error) {
      this.#index = undefined;
      throw error;
    }
    return index;
  }

  *#page<Row>(index: FileIndex, query: PageQuery, rowOf: RowOf<Row>): Sliced<FilePage<Row>> {
    const { found, from } = yield* this.#from(index, query);
    const next = from + Number(query.limit ?? DEFAULT_LIMIT);
    const fileIds: string[] = [];
    for (let at = from; at < Math.min(next, found.total); at++) fileIds.push(found.idAt(at)!);
    return {
      files: yield* rows(this.view, fileIds, rowOf),
      total: found.total,
      next: next < found.total ? `${next}-${found.idAt(next - 1)}` : null,
    };
  }

  /** Finds where a page begins: right after the last file of the previous page, wherever that is by now. */
  *#from(index: FileIndex, query: PageQuery): Sliced<{ found: Found; from: number }> {
    const found = yield* index.find(query);
    const [offset = "0", last] = query.start?.split("-") ?? [];
    const from = Number(offset);
    return { found, from: last === undefined ? from : yield* found.after(last, from) };
  }
}

function* rows<Row>(view: View, fileIds: readonly string[], rowOf: RowOf<Row>): Sliced<Row[]> {
  const files: Row[] = [];
  for (const [at, fileId] of fileIds.entries()) {
    if (at % ROWS === 0) yield;
    const file = view.file(fileId);
    if (file) files.push(rowOf(file));
  }
  return files;
}
