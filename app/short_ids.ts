// The shortest beginnings of ids that name one file each, for people who have to type them. Looks at every id once. PURE.

import type { Sliced } from "../web/slices.ts";

/** Minimum length of such a beginning: shorter ones are soon ambiguous. (A guess.) */
export const MIN_CHARS = 6;
/** Number of ids looked at between two pauses. */
const STEPS = 1_024;

/** Finds the shortest beginning of each of `ids` that no other id in `all` has, at least `MIN_CHARS` long. */
export function* shortestIds(
  ids: readonly string[],
  all: Iterable<string>,
): Sliced<Map<string, string>> {
  const lengths = new Map(ids.map((id) => [id, MIN_CHARS]));
  const byStart = Map.groupBy(ids, (id) => id.slice(0, MIN_CHARS));
  let steps = 0;
  for (const other of all) {
    if (++steps % STEPS === 0) yield;
    for (const id of byStart.get(other.slice(0, MIN_CHARS)) ?? []) {
      if (id === other) continue;
      let same = MIN_CHARS;
      while (id[same] === other[same]) same++;
      lengths.set(id, Math.max(lengths.get(id)!, same + 1));
    }
  }
  return new Map([...lengths].map(([id, length]) => [id, id.slice(0, length)]));
}
