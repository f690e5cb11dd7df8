// Which files are shown when there is space for a few: those with the fewest holders, the fewest first. Lost files must not
// crowd out those that can still be saved, so they get a quarter of the space, and more only if it would stay empty. PURE.

import { type FileColumns, STEPS } from "./file_columns.ts";
import type { Sliced } from "./slices.ts";

/** Counts of all files, and the ids of those that are shown. */
export interface RiskSample {
  readonly total: number;
  readonly none: number;
  readonly away: number;
  readonly one: number;
  readonly fileIds: readonly string[];
}

/** Returns the sample, of at most `limit` files. Files that are equally safe are in their order of arrival. */
export function* sampleOf(columns: FileColumns, limit: number): Sliced<RiskSample> {
  const lost = new Ranked(limit);
  const others = new Ranked(limit);
  const counts = { total: 0, none: 0, away: 0, one: 0 };
  for (let place = 0; place < columns.count; place++) {
    if (place % STEPS === 0) yield;
    if (columns.isGone(place)) continue;
    counts.total++;
    const holders = columns.holders[place]!;
    if (holders > 0) {
      if (holders === 1) counts.one++;
      others.add(place, holders);
    } else if (columns.isAway(place)) {
      counts.away++;
      lost.add(place, 1);
    } else {
      counts.none++;
      lost.add(place, 0);
    }
  }
  const safe = counts.total - counts.none - counts.away;
  const first = lost.first(Math.max(limit - safe, Math.ceil(limit / 4)));
  const places = [...first, ...others.first(limit - first.length)];
  return { ...counts, fileIds: places.map((place) => columns.ids[place]!) };
}

/** The first `limit` places of each rank. */
class Ranked {
  readonly #ranks: number[][] = [];
  /** Ranks from here on cannot be among the first anymore. */
  #until = Infinity;

  constructor(readonly limit: number) {}

  add(place: number, rank: number): void {
    if (rank >= this.#until) return;
    const places = this.#ranks[rank] ??= [];
    if (places.length < this.limit) places.push(place);
    if (places.length === this.limit) this.#until = rank + 1;
  }

  first(count: number): number[] {
    const places: number[] = [];
    for (const each of this.#ranks) places.push(...each ?? []);
    return places.slice(0, Math.max(0, count));
  }
}
