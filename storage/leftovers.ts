// Temporary files that could not be removed when they should have been, for example because the folder was
// read-only for a while. Removing them is retried until it succeeds.

const left = new Set<string>();

/** Removes a temporary file, now or as soon as that is possible. Never throws. */
export function removeTemporary(path: string): void {
  try {
    Deno.removeSync(path);
    left.delete(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) left.delete(path);
    else left.add(path);
  }
}

/** Retries the removals that failed before. Never throws. */
export function removeLeftovers(): void {
  for (const path of [...left]) removeTemporary(path);
}
