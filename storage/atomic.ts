// Reads and replaces small files. A file is replaced completely or not at all, and links are never followed.

import { asStorageError } from "./errors.ts";
import { removeTemporary } from "./leftovers.ts";

let serial = 0;

/**
 * Replaces the file at `path` with `pieces`, written in order. The old content stays in place until the new content
 * is complete and flushed to disk. `before` runs just before the new file replaces the old one. Throws
 * `StorageError`.
 */
export async function replaceFile(
  path: string,
  pieces: Iterable<string> | AsyncIterable<string>,
  { temporaries, mode = 0o644, before }: {
    readonly temporaries: string;
    readonly mode?: number;
    readonly before?: () => Promise<void>;
  },
): Promise<void> {
  const temporary = `${temporaries}/${++serial}.json`;
  try {
    const file = await Deno.open(temporary, { write: true, createNew: true, mode });
    try {
      const encoder = new TextEncoder();
      for await (const piece of pieces) {
        const bytes = encoder.encode(piece);
        for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
      }
      await file.sync();
    } finally {
      file.close();
    }
    await before?.();
    await Deno.rename(temporary, path);
  } catch (cause) {
    removeTemporary(temporary);
    throw asStorageError(cause, `Cannot write ${path}`);
  }
}

/** Returns the text of a file, or `undefined` if it does not exist. Throws `StorageError`. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw asStorageError(cause, `Cannot read ${path}`);
  }
}
