// Reads a text file line by line in pieces, so that a large one is never in memory whole and other work gets its turn.

/** Size of one read, in bytes: about 10 ms of parsing. */
const READ_BYTES = 256 * 1024;

/**
 * Yields the lines of a file that are not empty, those of one read together. Lines may be parts of a larger string, so
 * copy what is kept. Yields nothing if the file does not exist. Throws other file system errors as they are, and the
 * signal's reason once it is aborted.
 */
export async function* linesOf(path: string, signal?: AbortSignal): AsyncGenerator<string[]> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path, { read: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  try {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(READ_BYTES);
    let rest = "";
    for (;;) {
      signal?.throwIfAborted();
      const read = await file.read(buffer);
      const piece = decoder.decode(buffer.subarray(0, read ?? 0), { stream: read !== null });
      // Only the new piece is searched: other implementations write a whole catalogue on one line.
      const end = read === null ? piece.length : piece.lastIndexOf("\n") + 1;
      if (end === 0 && read !== null) {
        rest += piece;
        continue;
      }
      const lines = (rest + piece.slice(0, end)).split("\n").filter((line) => line !== "");
      rest = piece.slice(end);
      if (lines.length > 0) yield lines;
      if (read === null) return;
    }
  } finally {
    file.close();
  }
}
