// Small files that are replaced whole or not at all, without following links.

import { asStorageError } from "./errors.ts";
import { removeTemporary } from "./leftovers.ts";

let serial = 0;

/**
 * Replaces the file at `path` by the pieces, in order. The old content stays until the new is complete.
 * `before` runs right before the new file takes the old one's place. Throws `StorageError`.
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

/** The text of a file, or undefined when there is none. Throws `StorageError`. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw asStorageError(cause, `Cannot read ${path}`);
  }
}
