// Gives a finished file its name without ever replacing another file.
// Invariants: a name that is taken stays untouched; at every moment the content has its old name or its new one.
// File systems without hard links (FAT, exFAT, many FUSE ones) get the same through an empty placeholder that only
// we can have created.

import { removeIfThere } from "./layout.ts";

/** Error codes with which a file system refuses hard links (exfat-fuse: EPERM; others: ENOTSUP, ENOSYS or EMLINK). */
const NO_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EXDEV", "EACCES"]);

/**
 * Returns whether `link` failed because the file system has no hard links, rather than because of these two paths.
 */
function refusesLinks(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return NO_LINKS.has(code) || error instanceof Deno.errors.NotSupported;
}

/**
 * Returns whether the file system of `folder`, which must be writable and ours, supports hard links. Throws other
 * file system errors as they are.
 */
export async function hasHardLinks(folder: string): Promise<boolean> {
  const [probe, second] = [`${folder}/link-probe`, `${folder}/link-probe-2`];
  try {
    await Deno.writeFile(probe, new Uint8Array());
    await Deno.link(probe, second);
    return true;
  } catch (error) {
    if (refusesLinks(error)) return false;
    throw error;
  } finally {
    for (const path of [probe, second]) await removeIfThere(path);
  }
}

/**
 * Moves `from` to `to`. Throws `Deno.errors.AlreadyExists` if `to` exists, whatever it is.
 * Without hard links there is one gap: if another program replaces the placeholder between our check and the
 * rename, that program's file is lost. A process killed at that moment leaves the placeholder behind.
 */
export async function placeNew(from: string, to: string): Promise<void> {
  try {
    await Deno.link(from, to);
  } catch (error) {
    if (!refusesLinks(error)) throw error;
    await renameToNew(from, to);
    return;
  }
  await Deno.remove(from);
}

/**
 * Moves `from` to `to` with a hard link. Returns false if there is something at `to`, or the file system has no hard
 * links. Throws other file system errors as they are.
 */
export function placeNewSync(from: string, to: string): boolean {
  try {
    Deno.linkSync(from, to);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists || refusesLinks(error)) return false;
    throw error;
  }
  Deno.removeSync(from);
  return true;
}

async function renameToNew(from: string, to: string): Promise<void> {
  const placeholder = await Deno.open(to, { write: true, createNew: true });
  placeholder.close();
  try {
    const { isFile, size } = await Deno.lstat(to);
    if (!isFile || size > 0) throw new Deno.errors.AlreadyExists(`${to} was just taken`);
    await Deno.rename(from, to);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) await removeEmpty(to);
    throw error;
  }
}

/** Removes a placeholder, unless another program has written to it. */
async function removeEmpty(path: string): Promise<void> {
  try {
    if ((await Deno.lstat(path)).size === 0) await Deno.remove(path);
  } catch {
    // Only the original error is worth reporting, and an empty file is never shared.
  }
}

/**
 * Gives the content of `from` a second name `to`, which must not exist: a hard link, or a copy if the file system
 * has none. Throws file system errors as they are.
 */
export async function nameAgain(from: string, to: string): Promise<void> {
  try {
    await Deno.link(from, to);
  } catch (error) {
    if (!refusesLinks(error)) throw error;
    const source = await Deno.open(from, { read: true });
    try {
      const target = await Deno.open(to, { write: true, createNew: true });
      await source.readable.pipeTo(target.writable);
    } catch (cause) {
      if (!(cause instanceof Deno.errors.AlreadyExists)) await removeIfThere(to);
      throw cause;
    }
  }
}
