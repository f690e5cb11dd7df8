// Copies the content of a file that the peer holds: to a new file, or to standard output.
// Invariants: no file is overwritten; what is left under the destination's name is complete and has the file's SHA-256.

import { createHash } from "node:crypto";
import { CommandError } from "../cli/failures.ts";
import { visible } from "../protocol/wire/text.ts";
import { pathAt } from "../storage/destination.ts";
import { type Api, piecesOf } from "./api.ts";
import type { Output } from "./output.ts";
import type { ApiFile } from "./rows.ts";

/** The destination that means standard output. */
export const STDOUT = "-";

/**
 * Resolves to the path that a file gets at a destination, which may be a folder; one with a final slash is made. Throws `CommandError` if
 * the path is taken.
 */
export async function freePath(destination: string, name: string): Promise<string> {
  const path = await pathAt(destination, name).catch((cause) => {
    throw notWritten(destination, cause);
  });
  if (await statOf(path)) throw notWritten(path, new Deno.errors.AlreadyExists());
  return path;
}

/** Copies content to a new file, until `signal` is aborted. Throws `CommandError`; nothing is left of it then. */
export async function copyTo(
  api: Api,
  file: ApiFile,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const target = await Deno.open(path, { write: true, createNew: true })
    .catch((cause) => {
      throw notWritten(path, cause);
    });
  try {
    await passOn(api, file, async (bytes) => {
      if (signal.aborted) throw new CommandError("canceled", "Canceled");
      for (let at = 0; at < bytes.length;) at += await target.write(bytes.subarray(at));
    });
  } catch (error) {
    await Deno.remove(path).catch(() => {}); // half a file helps nobody
    throw error instanceof CommandError ? error : notWritten(path, error);
  } finally {
    target.close();
  }
}

/** Writes content to standard output. Throws `CommandError` and `ReaderGone`. */
export async function copyOut(api: Api, file: ApiFile, output: Output): Promise<void> {
  await passOn(api, file, (bytes) => output.data(bytes));
}

async function passOn(
  api: Api,
  { file_id, file_name, sha256 }: ApiFile,
  take: (bytes: Uint8Array) => void | Promise<void>,
): Promise<void> {
  const hash = createHash("sha256");
  for await (const bytes of piecesOf(await api.ask(`/files/${file_id}/content`))) {
    hash.update(bytes);
    await take(bytes);
  }
  if (sha256 === null || hash.digest("hex") === sha256) return;
  throw new CommandError("integrity", `What arrived is not the content of ${visible(file_name)}`);
}

async function statOf(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw notWritten(path, error);
  }
}

function notWritten(path: string, cause: unknown): CommandError {
  const at = visible(path, 500);
  if (cause instanceof Deno.errors.AlreadyExists) {
    return new CommandError("refused", `${at} already exists. Choose another destination`, {
      cause,
    });
  }
  const text = cause instanceof Deno.errors.NotFound
    ? `The folder of ${at} does not exist. Create it, or choose another destination`
    : cause instanceof Deno.errors.PermissionDenied
    ? `Cannot write ${at}: permission denied. Choose another destination`
    : `Cannot write ${at}: ${cause instanceof Error ? visible(cause.message) : cause}`;
  return new CommandError("storage", text, { cause });
}
