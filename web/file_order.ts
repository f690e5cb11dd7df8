// One order of all files, as a list of places in the columns. Sorting takes time once; afterwards only places that changed
// are taken out and put where they belong now. Everything pauses often. PURE.
// Invariant: equal files stay in their order of arrival.

import { type FileColumns, STEPS } from "./file_columns.ts";
import { nameKey } from "./file_rules.ts";
import type { Sliced } from "./slices.ts";

export type SortKey = "arrival" | "name" | "size" | "owner" | "time" | "holders" | "known";

type Key = string | number;

/** Number of places sorted at once, between two pauses. */
const RUN = 2_048;
/** Share of changed places from which sorting everything again is cheaper. */
const MAX_PENDING_SHARE = 1 / 16;

const KEYS: Readonly<Record<SortKey, (columns: FileColumns) => (place: number) => Key>> = {
  arrival: () => (place) => place,
  name: ({ names }) => (place) => nameKey(names[place]!),
  size: ({ sizes }) => (place) => sizes[place]!,
  owner: ({ owners }) => {
    let [owner, key] = ["", ""]; // many files in a row have the same one
    return (place) => owner === owners[place] ? key : key = nameKey(owner = owners[place]!);
  },
  time: ({ times }) => (place) => times[place]!,
  holders: ({ holders }) => (place) => holders[place]!,
  known: ({ known }) => (place) => known[place]!,
};

export class FileOrder {
  #places: Uint32Array | undefined;
  #pending = new Set<number>();

  constructor(readonly columns: FileColumns, readonly key: SortKey) {}

  /** Notes places that are new, changed, or gone. */
  note(dirty: Iterable<number>): void {
    if (!this.#places) return;
    for (const place of dirty) this.#pending.add(place);
    if (this.#pending.size <= MAX_PENDING_SHARE * this.#places.length) return;
    this.#places = undefined;
    this.#pending = new Set();
  }

  /** Returns all places in ascending order, as a list that never changes. */
  *places(): Sliced<Uint32Array> {
    if (!this.#places) return this.#places = yield* sorted(this.columns, this.key);
    if (this.#pending.size === 0) return this.#places;
    const places = yield* this.#merged(this.#places, this.#pending);
    this.#pending = new Set();
    return this.#places = places;
  }

  *#merged(places: Uint32Array, pending: ReadonlySet<number>): Sliced<Uint32Array> {
    const { columns } = this;
    const keyOf = KEYS[this.key](columns);
    const kept = yield* filtered(places, (place) => !pending.has(place));
    const fresh: { readonly place: number; readonly key: Key }[] = [];
    let steps = 0;
    for (const place of pending) {
      if (++steps % STEPS === 0) yield;
      if (!columns.isGone(place)) fresh.push({ place, key: keyOf(place) });
    }
    fresh.sort((a, b) => compared(a.key, a.place, b.key, b.place));
    yield;
    const merged = new Uint32Array(kept.length + fresh.length);
    let [read, written] = [0, 0];
    for (const { place, key } of fresh) {
      if (written % STEPS === 0) yield;
      const until = placeFor(kept, read, (other) => compared(key, place, keyOf(other), other));
      merged.set(kept.subarray(read, until), written);
      written += until - read;
      merged[written++] = place;
      read = until;
    }
    merged.set(kept.subarray(read), written);
    return merged;
  }
}

function compared(a: Key, placeA: number, b: Key, placeB: number): number {
  return a < b ? -1 : a > b ? 1 : placeA - placeB;
}

/** Returns the first index from `low` whose place does not come before the one that is compared. */
function placeFor(
  places: Uint32Array,
  low: number,
  compare: (place: number) => number,
): number {
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(places[middle]!) > 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Returns the places that fit, in the same order. */
export function* filtered(
  places: Uint32Array,
  fits: (place: number) => boolean,
): Sliced<Uint32Array> {
  const found = new Uint32Array(places.length);
  let count = 0;
  for (let index = 0; index < places.length; index++) {
    if (index % STEPS === 0) yield;
    const place = places[index]!;
    if (fits(place)) found[count++] = place;
  }
  // A copy, so that a few matches do not keep the space of all.
  return count === places.length ? found : found.slice(0, count);
}

/** Merge sort of short runs. Keys are computed once and only kept while sorting. */
function* sorted(columns: FileColumns, key: SortKey): Sliced<Uint32Array> {
  const keys: Key[] = [];
  let all = new Uint32Array(columns.count - columns.gone);
  let count = 0;
  const { count: until } = columns;
  const keyOf = KEYS[key](columns);
  for (let place = 0; place < until; place++) {
    if (place % STEPS === 0) yield;
    const isGone = columns.isGone(place);
    keys.push(isGone ? 0 : keyOf(place));
    if (!isGone) all[count++] = place;
  }
  if (key === "arrival") return all;
  const compare = (a: number, b: number) => compared(keys[a]!, a, keys[b]!, b);
  for (let from = 0; from < all.length; from += RUN) {
    all.subarray(from, from + RUN).sort(compare);
    yield;
  }
  let other = new Uint32Array(all.length);
  for (let width = RUN; width < all.length; width *= 2) {
    for (let from = 0; from < all.length; from += 2 * width) {
      yield* mergeRuns(all, other, from, width, compare);
    }
    [all, other] = [other, all];
  }
  return all;
}

function* mergeRuns(
  all: Uint32Array,
  into: Uint32Array,
  from: number,
  width: number,
  compare: (a: number, b: number) => number,
): Sliced<void> {
  const middle = Math.min(from + width, all.length);
  const end = Math.min(middle + width, all.length);
  let [left, right] = [from, middle];
  for (let index = from; index < end; index++) {
    if (index % STEPS === 0) yield;
    const isLeft = left < middle && (right >= end || compare(all[left]!, all[right]!) <= 0);
    into[index] = all[isLeft ? left++ : right++]!;
  }
}
