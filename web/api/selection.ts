// Selects one page of many items, in their own order or sorted by a key. Items on other pages are never sorted, so a
// page out of 200,000 items costs about one pass over them.

export interface Window {
  readonly from: number;
  readonly limit: number;
}

export interface Order<T> {
  readonly keyOf: (item: T) => string | number;
  /** 1, or -1 for the largest first. */
  readonly sign: number;
  /** Whether items with equal keys are in reverse order. By default, they keep their own. */
  readonly turnsTies?: boolean;
}

/** Returns the items in the window among those that match, and the total number that match. */
export function selection<T>(
  items: Iterable<T>,
  fits: (item: T) => boolean,
  { from, limit }: Window,
  order: Order<T> | undefined,
): { items: T[]; total: number } {
  if (order) return inOrder(items, fits, { from, limit }, order);
  const found: T[] = [];
  let total = 0;
  for (const item of items) {
    if (!fits(item)) continue;
    if (total >= from && found.length < limit) found.push(item);
    total++;
  }
  return { items: found, total };
}

function inOrder<T>(
  items: Iterable<T>,
  fits: (item: T) => boolean,
  { from, limit }: Window,
  { keyOf, sign, turnsTies = false }: Order<T>,
): { items: T[]; total: number } {
  const all: T[] = [];
  const keys: (string | number)[] = [];
  for (const item of items) {
    if (!fits(item)) continue;
    all.push(item);
    keys.push(keyOf(item));
  }
  const compare = (a: number, b: number) => {
    const [x, y] = [keys[a]!, keys[b]!];
    return x < y ? -sign : x > y ? sign : turnsTies ? b - a : a - b;
  };
  const places = Uint32Array.from(all, (_, i) => i);
  const until = Math.min(all.length, from + limit);
  if (from >= until) return { items: [], total: all.length };
  part(places, from, 0, compare);
  part(places, until, from, compare);
  const page = places.subarray(from, until).sort(compare);
  return { items: Array.from(page, (place) => all[place]!), total: all.length };
}

/** Moves the smallest `count` places to the front, looking only at `low` and above (Hoare's selection). */
function part(
  places: Uint32Array,
  count: number,
  low: number,
  compare: (a: number, b: number) => number,
): void {
  let high = places.length - 1;
  while (low < high && count > low && count <= high) {
    // A random pivot, so that nobody can craft an order of files that makes this slow.
    const pivot = places[low + Math.floor(Math.random() * (high - low + 1))]!;
    let [left, right] = [low, high];
    while (left <= right) {
      while (compare(places[left]!, pivot) < 0) left++;
      while (compare(places[right]!, pivot) > 0) right--;
      if (left > right) break;
      [places[left], places[right]] = [places[right]!, places[left]!];
      left++;
      right--;
    }
    if (count <= right + 1) high = right;
    else if (count > left) low = left;
    else return;
  }
}
