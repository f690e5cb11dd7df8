// Temporary files that could not be removed when they should have been, as in a folder that lost its write
// permission for a while: tried again until they are gone.

const left = new Set<string>();

/** Removes a temporary file, now or as soon as it can be. */
export function removeTemporary(path: string): void {
  try {
    Deno.removeSync(path);
    left.delete(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) left.delete(path);
    else left.add(path);
  }
}

/** Tries again what failed before. */
export function removeLeftovers(): void {
  for (const path of [...left]) removeTemporary(path);
}
