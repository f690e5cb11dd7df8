// What can go wrong with the store, in words for the person who has to mend it.

/** The store cannot do what was asked. `code` tells what kind of trouble; the message names the cure. */
export class StorageError extends Error {
  override readonly name = "StorageError";
  constructor(
    readonly code:
      | "in-use"
      | "no-space"
      | "too-large"
      | "empty"
      | "not-writable"
      | "not-found"
      | "io",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Turns an error of the file system into a `StorageError` that names the path and the cure. */
export function asStorageError(cause: unknown, doing: string): StorageError {
  if (cause instanceof StorageError) return cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new StorageError(
      "no-space",
      `${doing}: the disk is full; make room, or use --dir elsewhere`,
      {
        cause,
      },
    );
  }
  if (
    cause instanceof Deno.errors.PermissionDenied || cause instanceof Deno.errors.NotCapable ||
    code === "EROFS" || code === "EACCES" ||
    cause instanceof Deno.errors.NotADirectory
  ) {
    return new StorageError(
      "not-writable",
      `${doing}: not permitted; check owner and mode of the folder, or use --dir elsewhere`,
      { cause },
    );
  }
  if (code === "EMFILE" || code === "ENFILE") {
    return new StorageError(
      "io",
      `${doing}: this process may open no more files; raise the limit with "ulimit -n 4096"`,
      { cause },
    );
  }
  const text = cause instanceof Error ? cause.message : String(cause);
  return new StorageError("io", `${doing}: ${text}`, { cause });
}
