// Finds the peer that a command asks: the one that was named, or the only one whose folder is here.
// Invariant: a token is sent only to the peer whose folder it was read from, or where somebody told us to.

import { CommandError } from "../cli/failures.ts";
import { UsageError } from "../cli/values.ts";
import { visible } from "../protocol/wire/text.ts";
import { readText } from "../storage/atomic.ts";
import { isInUse, layoutOf } from "../storage/layout.ts";

/** Where a peer answers. */
export interface Place {
  /** Address of its pages, without a final slash. */
  readonly url: string;
  /** Token to log in with, if one is known. */
  readonly token: string | undefined;
  /** Its folder, if that is how it was found. */
  readonly dir: string | undefined;
}

/** What the command line and the environment say. */
export interface PlaceOptions {
  readonly url: string | undefined;
  readonly token: string | undefined;
  readonly dir: string | undefined;
}

/** Resolves to the place of the peer to ask. Throws `UsageError` and `CommandError`. */
export async function placeOf({ url, token, dir }: PlaceOptions): Promise<Place> {
  if (url !== undefined) {
    const own = dir === undefined ? undefined : await tokenIn(dir);
    return { url: pagesAt(url), token: token ?? own, dir };
  }
  const folder = dir ?? await onlyFolder();
  if (!await isStore(folder)) {
    throw new UsageError(`There is no peer in ${visible(folder)}`, {
      hint: "Name the folder of one with --dir, or its address with --url",
    });
  }
  const layout = layoutOf(folder);
  // Without this, whoever has the port after a crash would be sent the token.
  const address = await isInUse(layout) ? await readText(layout.address) : undefined;
  if (address === undefined) throw notRunning(folder);
  return { url: pagesAt(address.trim()), token: token ?? await tokenIn(folder), dir: folder };
}

/** Returns the error for a peer that does not answer. */
export function notRunning(dir: string): CommandError {
  return new CommandError(
    "unreachable",
    `The peer of ${visible(dir)} is not running. Start it, or name another one with --url`,
  );
}

async function tokenIn(dir: string): Promise<string | undefined> {
  return (await readText(layoutOf(dir).webToken))?.trim();
}

/** Returns the address without what follows its path. Without a scheme, it is one of HTTP. Throws `UsageError`. */
function pagesAt(text: string): string {
  const url = URL.parse(/^[\w.-]+:\d+(\/|$)|^\[[0-9a-f:]+\]/i.test(text) ? `http://${text}` : text);
  if (!url || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new UsageError(
      `--url must be the address of a peer's pages such as http://eagle:8116, got "${
        visible(text)
      }"`,
    );
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

/** Resolves to the folders of peers here: this one, or those in it. */
export async function foldersHere(): Promise<string[]> {
  if (await isStore(".")) return ["."];
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(".")) {
    if (isDirectory && await isStore(`./${name}`)) found.push(`./${name}`);
  }
  return found;
}

/** Returns the folder of the only peer here. Throws `UsageError`. */
export async function onlyFolder(): Promise<string> {
  const found = await foldersHere();
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  if (only === undefined) {
    throw new UsageError("There is no peer in this folder", {
      hint: "Name the folder of one with --dir, or its address with --url",
    });
  }
  const names = await Promise.all(
    found.sort().map(async (name) => {
      const isRunning = await isInUse(layoutOf(name)).catch(() => false);
      return `${visible(name)}${isRunning ? " (running)" : ""}`;
    }),
  );
  throw new UsageError(`There are several peers in this folder: ${names.join(", ")}`, {
    hint: `Choose one with --dir, for example --dir ${visible(found[0]!)}`,
  });
}

async function isStore(dir: string): Promise<boolean> {
  try {
    return (await Deno.stat(layoutOf(dir).private)).isDirectory;
  } catch {
    return false; // it is not there, or not ours to read
  }
}
