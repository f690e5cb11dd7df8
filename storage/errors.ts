// What can go wrong with the store, in words for the person who has to mend it.

/** The store cannot do what was asked. The message says what happened and, where there is a cure, what to do. */
export class StorageError extends Error {
  override readonly name = "StorageError";
  /** What to do, without what happened; undefined where nothing in particular helps. */
  readonly hint: string | undefined;
  constructor(
    /** The kind of trouble. */
    readonly code:
      | "in-use"
      | "no-space"
      | "too-large"
      | "empty"
      | "not-writable"
      | "not-found"
      | "io",
    /** What happened, without the hint. */
    readonly what: string,
    { hint, ...options }: ErrorOptions & { readonly hint?: string | undefined } = {},
  ) {
    super(hint === undefined ? what : `${what}; ${hint}`, options);
    this.hint = hint;
  }
}

/** Turns an error of the file system into a `StorageError` that names the path and the cure. */
export function asStorageError(cause: unknown, doing: string): StorageError {
  if (cause instanceof StorageError) return cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (code === "ENOSPC" || code === "EDQUOT") {
    const hint = "make room, or use --dir elsewhere";
    return new StorageError("no-space", `${doing}: the disk is full`, { cause, hint });
  }
  if (
    cause instanceof Deno.errors.PermissionDenied || cause instanceof Deno.errors.NotCapable ||
    code === "EROFS" || code === "EACCES" ||
    cause instanceof Deno.errors.NotADirectory
  ) {
    const hint = "check owner and mode of the folder, or use --dir elsewhere";
    return new StorageError("not-writable", `${doing}: not permitted`, { cause, hint });
  }
  if (code === "EMFILE" || code === "ENFILE") {
    const hint = 'raise the limit with "ulimit -n 4096"';
    return new StorageError("io", `${doing}: this process may open no more files`, { cause, hint });
  }
  const text = cause instanceof Error ? cause.message : String(cause);
  return new StorageError("io", `${doing}: ${text}`, { cause });
}
