// The newest known files that match, for `list` at the prompt. Looks at every file, in slices, and remembers few. PURE.

import type { CatalogueView, EntryView } from "../protocol/state.ts";
import type { Sliced } from "../web/slices.ts";

/** Number of files looked at between two pauses. */
const STEPS = 256;

export interface NewestFiles {
  /** Newest first. */
  readonly entries: readonly EntryView[];
  /** Number of files that match. */
  readonly total: number;
}

/** Finds the newest files that match, at most `limit`. Of files that are equally new, the last to arrive comes first. */
export function* newestFiles(
  catalogue: Pick<CatalogueView, "all">,
  limit: number,
  fits: (entry: EntryView) => boolean,
): Sliced<NewestFiles> {
  let best: { readonly entry: EntryView; readonly arrival: number }[] = [];
  let total = 0;
  let steps = 0;
  const cut = () =>
    best = best.sort((a, b) => b.entry.sinceMs - a.entry.sinceMs || b.arrival - a.arrival)
      .slice(0, limit);
  for (const entry of catalogue.all()) {
    if (++steps % STEPS === 0) yield;
    if (!fits(entry)) continue;
    best.push({ entry, arrival: total++ });
    if (best.length >= 2 * limit + STEPS) cut();
  }
  return { entries: cut().map(({ entry }) => entry), total };
}
