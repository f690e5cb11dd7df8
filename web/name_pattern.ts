// Patterns for names of files, as people type them at the prompt: part of a name, or a whole name with * and ?.

/**
 * Returns a function that tells whether a name matches. Without * and ?, a pattern matches names that contain it; with
 * them, it matches the whole name. Case does not matter. Takes time proportional to the lengths of pattern and name.
 */
export function nameMatcher(pattern: string): (name: string) => boolean {
  const wanted = pattern.toLowerCase();
  if (!/[*?]/.test(wanted)) return (name) => name.toLowerCase().includes(wanted);
  const signs = [...wanted];
  return (name) => matches(signs, [...name.toLowerCase()]);
}

/** A mismatch only goes back to the last *, for if that cannot be extended, no earlier one helps. */
function matches(pattern: readonly string[], name: readonly string[]): boolean {
  let [at, read] = [0, 0];
  let [star, starRead] = [-1, 0];
  while (read < name.length) {
    const sign = pattern[at];
    if (sign === "*") {
      star = at++;
      starRead = read;
    } else if (sign === "?" || sign === name[read]) {
      at++;
      read++;
    } else if (star >= 0) {
      at = star + 1;
      read = ++starRead;
    } else return false;
  }
  while (pattern[at] === "*") at++;
  return at === pattern.length;
}
