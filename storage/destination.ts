// Where a copy of a file goes that somebody wants outside of the store.

import { safeName } from "./names.ts";

/**
 * Resolves to the path for a file of this name at a destination: in it, if it is a folder or ends with a slash, or else the destination
 * itself. A folder that is named by its final slash is made; a folder in a folder that is not there may be a mistake, and is not. Throws
 * errors of the system.
 */
export async function pathAt(destination: string, name: string): Promise<string> {
  const isFolder = destination.endsWith("/") || await isDirectory(destination);
  if (!isFolder) return destination;
  const folder = destination.replace(/\/+$/, "");
  if (folder !== "") {
    await Deno.mkdir(folder).catch((error) => {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    });
  }
  return `${folder}/${safeName(name)}`;
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
