// @ts-check
// Which rows of a long table are on the screen, and how much space stands in for the others. No DOM here.

/** Maximum height of the table, in pixels: browsers draw nothing beyond 17 to 33 million. */
export const MAX_PX = 16_000_000;

/** @typedef {{ scrollTop: number, clientHeight: number, row: number, total: number }} View Heights in pixels */

/** Returns how many pixels of rows one pixel of the scroll bar stands for. @param {View} view */
function scaleOf({ clientHeight, row, total }) {
  const whole = total * row;
  return whole <= MAX_PX ? 1 : (whole - clientHeight) / (MAX_PX - clientHeight);
}

/**
 * Returns the rows to draw, from `first` to before `last`, and the space above and below them in pixels.
 * @param {View} view @param {number} spare Extra rows above and below the screen
 */
export function rowsIn(view, spare) {
  const { scrollTop, clientHeight, row, total } = view;
  const height = Math.min(total * row, MAX_PX);
  const top = scrollTop * scaleOf(view);
  // Near the ends of a scaled table there is no space for rows that are not on the screen.
  const first = Math.max(0, Math.floor(top / row) - spare, Math.floor((top - scrollTop) / row));
  const above = Math.max(0, scrollTop - top + first * row);
  const seen = Math.min(total, Math.ceil((top + clientHeight) / row));
  const fitting = first + Math.floor((height - above) / row + 1e-6);
  const last = Math.max(first, seen, Math.min(total, seen + spare, fitting));
  return { first, last, above, below: Math.max(0, height - above - (last - first) * row) };
}

/**
 * Returns where to scroll so that a row is on the screen; the same place if it is.
 * @param {number} index @param {View} view @param {number} head Height of what covers the top, in pixels
 */
export function scrollFor(index, view, head) {
  const { scrollTop, clientHeight, row } = view;
  const scale = scaleOf(view);
  const top = scrollTop * scale;
  if (index * row < top) return index * row / scale;
  const bottom = (index + 1) * row + head - clientHeight;
  return bottom > top ? Math.ceil(bottom / scale) : scrollTop;
}
