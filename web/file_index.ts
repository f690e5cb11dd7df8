// Finds files in their order, without looking at all of them again: orders are kept and corrected, and the last results
// too, so that a page further down costs nothing and a longer search only looks at what the shorter one found. PURE.
// Bounds: about 50 bytes per file, 4 more per order in use, and `MAX_RESULTS` lists of places.

import type { FilesQuery } from "./api/schemas.ts";
import type * as v from "valibot";
import { FileColumns, type FileSource, STEPS } from "./file_columns.ts";
import { FileOrder, filtered, type SortKey } from "./file_order.ts";
import { isWider, matcherOf, type Words } from "./file_search.ts";
import { searchWords } from "./file_rules.ts";
import { nameMatcher } from "./name_pattern.ts";
import type { Sliced } from "./slices.ts";

/** A search: words, a filter, and an order, as the API takes them. */
export type Search = Pick<v.InferOutput<typeof FilesQuery>, "q" | "name" | "where" | "sort">;

/** Maximum number of results kept: those of a few pages that are open at the same time. */
const MAX_RESULTS = 4;
/** Share of places of files that are gone from which everything is read again, to reclaim their space. */
const MAX_GONE_SHARE = 1 / 2;

interface Result {
  readonly key: SortKey;
  readonly where: Search["where"];
  readonly words: Words;
  readonly places: Uint32Array;
}

/** The files that match, in order. Stays as it is while files come and go. */
export class Found {
  constructor(
    readonly ids: readonly string[],
    readonly places: Uint32Array,
    readonly isReversed: boolean,
  ) {}

  get total(): number {
    return this.places.length;
  }

  /** Returns the id of a file, counted from 0; undefined past the end. */
  idAt(index: number): string | undefined {
    const place = this.places[this.isReversed ? this.places.length - 1 - index : index];
    return place === undefined ? undefined : this.ids[place];
  }

  /** Returns the index right after this file, which was last seen right before `index`, or `index` if it is gone. */
  *after(fileId: string, index: number): Sliced<number> {
    if (this.idAt(index - 1) === fileId) return index;
    for (let at = 0; at < this.total; at++) {
      if (at % STEPS === 0) yield;
      if (this.idAt(at) === fileId) return at + 1;
    }
    return index;
  }
}

export class FileIndex {
  #columns = new FileColumns();
  #orders = new Map<SortKey, FileOrder>();
  #results: Result[] = [];

  /** `own` is this peer's id. */
  constructor(readonly own: string) {}

  get columns(): FileColumns {
    return this.#columns;
  }

  /** Takes in what changed: the files with these ids, or so many that all are read again. */
  *update(changed: readonly string[] | "many", source: FileSource): Sliced<void> {
    if (changed !== "many" && changed.length === 0) return;
    this.#results = [];
    if (changed !== "many") {
      const dirty = yield* this.#columns.reread(changed, source);
      for (const order of this.#orders.values()) order.note(dirty);
      const { gone, count } = this.#columns;
      if (gone <= MAX_GONE_SHARE * count) return;
    }
    this.#columns = yield* FileColumns.read(source);
    this.#orders = new Map();
  }

  /** Returns the files that match. */
  *find({ q = "", name, where, sort }: Search): Sliced<Found> {
    const key = (sort?.replace(/^-/, "") ?? "arrival") as SortKey;
    const words = searchWords(q);
    const all = yield* this.#orderOf(key).places();
    const isEverything = where === undefined && words.length === 0;
    const found = isEverything ? all : yield* this.#matching(all, { key, where, words });
    const { ids, names } = this.#columns;
    const isNamed = name === undefined ? undefined : nameMatcher(name);
    const places = isNamed ? yield* filtered(found, (place) => isNamed(names[place]!)) : found;
    return new Found(ids, places, sort?.startsWith("-") === true);
  }

  #orderOf(key: SortKey): FileOrder {
    let order = this.#orders.get(key);
    if (!order) this.#orders.set(key, order = new FileOrder(this.#columns, key));
    return order;
  }

  *#matching(
    all: Uint32Array,
    { key, where, words }: Omit<Result, "places">,
  ): Sliced<Uint32Array> {
    const usable = this.#results.filter((each) =>
      each.key === key && each.where === where && isWider(each.words, words)
    );
    const same = usable.find((each) => isWider(words, each.words));
    if (same) return same.places;
    const from = usable.reduce(
      (least, { places }) => places.length < least.length ? places : least,
      all,
    );
    const places = yield* filtered(from, this.#testOf(where, words));
    this.#results = [{ key, where, words, places }, ...this.#results].slice(0, MAX_RESULTS);
    return places;
  }

  #testOf(where: Search["where"], words: Words): (place: number) => boolean {
    const isThere = this.#filterOf(where);
    if (words.length === 0) return isThere;
    const matches = matcherOf(words, this.#columns);
    return where === undefined ? matches : (place) => isThere(place) && matches(place);
  }

  #filterOf(where: Search["where"]): (place: number) => boolean {
    const columns = this.#columns;
    switch (where) {
      case undefined:
        return () => true;
      case "here":
        return (place) => columns.isHeld(place);
      case "elsewhere":
        return (place) => !columns.isHeld(place);
      case "mine":
        return (place) => columns.owners[place] === this.own;
      case "risk":
        return (place) => columns.holders[place]! < 2;
      default:
        return where satisfies never;
    }
  }

  /** Returns the ids of the files with this name. */
  *named(name: string): Sliced<string[]> {
    const { ids, names, count } = this.#columns;
    const found: string[] = [];
    for (let place = 0; place < count; place++) {
      if (place % STEPS === 0) yield;
      if (names[place] === name && !this.#columns.isGone(place)) found.push(ids[place]!);
    }
    return found;
  }
}
