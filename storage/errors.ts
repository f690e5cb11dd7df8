// Storage errors, worded for the person who has to fix them.

/**
 * Thrown when the store cannot do what was asked. The message says what happened and, if there is a remedy, what to
 * do.
 */
export class StorageError extends Error {
  /** Identifies the class in logs. */
  override readonly name = "StorageError";
  /** What to do, as a sentence without a final period; `undefined` if there is no specific advice. */
  readonly hint: string | undefined;
  /** Composes the message from `what` and, if given, `hint`. */
  constructor(
    /** The kind of failure, for callers that react to it. */
    readonly code:
      | "in-use"
      | "no-space"
      | "too-large"
      | "empty"
      | "not-writable"
      | "not-found"
      | "io",
    /** What happened, as a sentence without a final period and without the hint. */
    readonly what: string,
    { hint, ...options }: ErrorOptions & { readonly hint?: string | undefined } = {},
  ) {
    super(hint === undefined ? what : `${what}. ${hint}`, options);
    this.hint = hint;
  }
}

/**
 * Returns a `StorageError` that says what failed (`doing`, "Cannot write PATH") and what to do about it. Returns
 * `cause` itself if it already is one.
 */
export function asStorageError(cause: unknown, doing: string): StorageError {
  if (cause instanceof StorageError) return cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (code === "ENOSPC" || code === "EDQUOT") {
    const hint = "Free up disk space, or choose another folder with --dir";
    return new StorageError("no-space", `${doing}: the disk is full`, { cause, hint });
  }
  if (
    cause instanceof Deno.errors.PermissionDenied || cause instanceof Deno.errors.NotCapable ||
    code === "EROFS" || code === "EACCES" ||
    cause instanceof Deno.errors.NotADirectory
  ) {
    const why = code === "EROFS"
      ? "read-only file system"
      : cause instanceof Deno.errors.NotADirectory
      ? "part of the path is not a folder"
      : "permission denied";
    const hint = "Check the folder's owner and permissions, or choose another folder with --dir";
    return new StorageError("not-writable", `${doing}: ${why}`, { cause, hint });
  }
  if (code === "EMFILE" || code === "ENFILE") {
    const hint = 'Raise the limit with "ulimit -n 4096"';
    return new StorageError("io", `${doing}: too many open files`, { cause, hint });
  }
  const text = cause instanceof Error ? cause.message : String(cause);
  return new StorageError("io", `${doing}: ${text}`, { cause });
}
