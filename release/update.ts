// Replaces the executable by a newer one: `p2p-peer update`.
// Invariants: nothing is trusted but the release key, which is built in; nothing that was not verified is run, and nothing that did
// not start takes the executable's name; at any moment there is an executable of that name, or the failed second half of the
// replacement is undone.

import { createHash } from "node:crypto";
import { CommandError } from "../cli/failures.ts";
import { Installed } from "./installed.ts";
import { compareVersions, isSigned, MAX_SUMS_BYTES, readSums, SIGNATURE, SUMS } from "./sums.ts";

/** Maximum size of an executable, in bytes. Ours have about 100 MB. */
const MAX_EXECUTABLE_BYTES = 512 * 1024 * 1024;
/** How long the other side may take to answer, or to send the next piece, in milliseconds. */
const SILENCE_MS = 30_000;
/** How long the new executable may take to say its version, in milliseconds. */
const START_MS = 30_000;

/** What an update needs to know. */
export interface UpdateOptions {
  readonly installed: Installed;
  /** Address of a folder with a release, without a final slash. */
  readonly from: string;
  /** Public half of the release key (`newKeys`). */
  readonly publicKey: string;
  /** Called with the bytes that have arrived, and how many there will be if the other side says. */
  readonly onProgress?: (doneBytes: number, totalBytes: number | undefined) => void;
}

/** What an update found or did. */
export interface Updated {
  /** Version of the running program. */
  readonly version: string;
  /** Version that is offered. */
  readonly offered: string;
  /** Whether that is newer. */
  readonly isNewer: boolean;
}

/** Where a program was installed by something else, which has to update it, and how. */
const MANAGED: readonly (readonly [folder: RegExp, advice: string])[] = [
  [/^\/nix\/store\//, "Nix installed it: update it there"],
  [/\/(Cellar|homebrew)\//, "Homebrew installed it: brew upgrade p2p-peer"],
  [/^\/snap\//, "Snap installed it: snap refresh p2p-peer"],
  [/^\/app\//, "Flatpak installed it: flatpak update"],
  [
    /^\/usr\/(s?bin|lib|libexec)\//,
    "A package of the system installed it: use the package manager",
  ],
  [/[\\/]scoop[\\/]apps[\\/]/i, "Scoop installed it: scoop update p2p-peer"],
  [/[\\/]chocolatey[\\/]/i, "Chocolatey installed it: choco upgrade p2p-peer"],
  [/[\\/]WindowsApps[\\/]/i, "The Store installed it: update it there"],
];

/** Returns who else has to update an executable at this path, as advice. */
export function managerOf(path: string): string | undefined {
  return MANAGED.find(([folder]) => folder.test(path))?.[1];
}

/** Resolves to what is offered. Changes nothing. Throws `CommandError`. */
export async function checkUpdate(options: UpdateOptions): Promise<Updated> {
  return (await offerOf(options)).updated;
}

/** Replaces the executable if a newer one is offered. Throws `CommandError`. */
export async function update(options: UpdateOptions): Promise<Updated> {
  const { installed } = options;
  const managed = managerOf(installed.path);
  if (managed !== undefined) throw new CommandError("refused", `Not updated: ${managed}`);
  // Before anything is downloaded: this shows, too, that the folder can be written to.
  using _lock = await lock(installed);
  const { updated, sums, signature, hash } = await offerOf(options);
  if (!updated.isNewer) return updated;
  const candidate = `${installed.folder}/candidate${
    installed.platform.os === "windows" ? ".exe" : ""
  }`;
  try {
    await fetchTo(candidate, hash, options);
    const { mode } = await Deno.stat(installed.path);
    if (Deno.build.os !== "windows") await Deno.chmod(candidate, (mode ?? 0o755) & 0o7777);
    await prove(candidate, updated.offered);
    await replace(installed.path, candidate);
  } finally {
    await Deno.remove(candidate).catch(() => {}); // it has the executable's name now, or there was none
  }
  await note(installed, { sums, signature, from: options.from });
  return updated;
}

/** Writes what belongs to the executable next to it. If that fails, it is only not passed on to others. */
async function note(
  { folder }: Installed,
  { sums, signature, from }: {
    readonly sums: string;
    readonly signature: string;
    readonly from: string;
  },
): Promise<void> {
  for (
    const [name, text] of [[SUMS, sums], [SIGNATURE, signature], ["from", `${from}\n`]] as const
  ) {
    await Deno.writeTextFile(`${folder}/${name}`, text).catch(() => {});
  }
}

/** Takes the lock of the update, which the system releases when the process ends. Throws `CommandError`. */
async function lock({ folder, path }: Installed): Promise<Disposable> {
  let file: Deno.FsFile;
  try {
    await Deno.mkdir(folder, { recursive: true });
    file = await Deno.open(`${folder}/lock`, { create: true, write: true });
    // The executable's own folder, where the names change.
    const probe = `${path}.probe`;
    await Deno.writeTextFile(probe, "");
    await Deno.remove(probe);
  } catch (cause) {
    throw new CommandError(
      "storage",
      `Cannot write next to ${path}. Run the update as the user who may, or install it elsewhere with install.sh --to`,
      { cause },
    );
  }
  if (await file.tryLock(true)) return { [Symbol.dispose]: () => file.close() };
  file.close();
  throw new CommandError("refused", "Another update is running. Wait until it ends");
}

/** Resolves to what is offered for this platform, once its signature was verified. Throws `CommandError`. */
async function offerOf({ installed, from, publicKey }: UpdateOptions) {
  const sums = await textAt(`${from}/${SUMS}`);
  const signature = await textAt(`${from}/${SIGNATURE}`);
  if (!isSigned(sums, signature, publicKey)) {
    throw new CommandError(
      "integrity",
      `The checksums at ${from} are not signed by the release key. Nothing was changed`,
    );
  }
  const release = readSums(sums);
  if (!release) {
    throw new CommandError(
      "integrity",
      `The checksums at ${from} cannot be read. Nothing was changed`,
    );
  }
  const isNewer = compareVersions(release.version, installed.ownVersion) > 0;
  const hash = release.hashes.get(installed.name);
  if (hash === undefined && isNewer) {
    throw new CommandError(
      "not-found",
      `Version ${release.version} at ${from} has no executable for ${installed.platform.name}`,
    );
  }
  const updated = { version: installed.ownVersion, offered: release.version, isNewer };
  return { updated, sums, signature, hash: hash ?? "" };
}

/** Requests a file. Throws `CommandError`. */
async function request(url: string, stop: AbortController): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(url, { signal: stop.signal });
  } catch (cause) {
    throw new CommandError("unreachable", `Cannot get ${url}: ${reasonOf(cause)}`, { cause });
  }
  if (answer.ok) return answer;
  // A peer says why; another server's page is of no use here.
  const isProblem = answer.headers.get("content-type")?.startsWith("application/problem+json");
  const said = isProblem ? await answer.json().catch(() => undefined) : undefined;
  await answer.body?.cancel().catch(() => {});
  const why = typeof said?.detail === "string" ? `: ${said.detail}` : "";
  const kind = answer.status === 404
    ? "not-found"
    : answer.status < 500
    ? "refused"
    : "unreachable";
  throw new CommandError(kind, `${url} was answered with ${answer.status}${why}`);
}

const reasonOf = (cause: unknown) => {
  const error = cause as Error;
  return error.name === "AbortError"
    ? "no answer"
    : (error.cause as Error)?.message ?? error.message;
};

/** Resolves to a small text. Throws `CommandError`. */
async function textAt(url: string): Promise<string> {
  let text = "";
  for await (const { piece } of piecesOf(url, MAX_SUMS_BYTES)) {
    text += new TextDecoder().decode(piece);
  }
  return text;
}

/** Yields the content at an address, which may be silent only so long. Throws `CommandError`. */
async function* piecesOf(url: string, maxBytes: number) {
  const stop = new AbortController();
  let timer = setTimeout(() => stop.abort(), SILENCE_MS);
  let done = 0;
  try {
    const answer = await request(url, stop);
    const length = answer.headers.get("content-length");
    const totalBytes = length === null ? undefined : Number(length);
    try {
      for await (const piece of answer.body ?? []) {
        clearTimeout(timer);
        timer = setTimeout(() => stop.abort(), SILENCE_MS);
        done += piece.length;
        if (done > maxBytes) {
          throw new CommandError("integrity", `${url} has more than ${maxBytes} bytes`);
        }
        yield { piece, totalBytes };
      }
    } catch (cause) {
      if (cause instanceof CommandError) throw cause;
      throw new CommandError(
        "unreachable",
        `The download of ${url} broke off: ${reasonOf(cause)}`,
        { cause },
      );
    }
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

/** Downloads the executable. Throws `CommandError`. */
async function fetchTo(
  path: string,
  sha256: string,
  { from, installed, onProgress }: UpdateOptions,
): Promise<void> {
  const hash = createHash("sha256");
  let done = 0;
  using file = await Deno.open(path, { write: true, create: true, truncate: true, mode: 0o600 });
  for await (
    const { piece, totalBytes } of piecesOf(`${from}/${installed.name}`, MAX_EXECUTABLE_BYTES)
  ) {
    hash.update(piece);
    try {
      for (let at = 0; at < piece.length;) at += await file.write(piece.subarray(at));
    } catch (cause) {
      throw new CommandError("storage", `Cannot write ${path}: ${(cause as Error).message}`, {
        cause,
      });
    }
    onProgress?.(done += piece.length, totalBytes);
  }
  await file.sync();
  if (hash.digest("hex") === sha256) return;
  const text = `The executable at ${from} is not the one that was released. Nothing was changed`;
  throw new CommandError("integrity", text);
}

/** Starts the new executable, which has to say its version. Throws `CommandError`. */
async function prove(path: string, version: string): Promise<void> {
  let why: string;
  try {
    const signal = AbortSignal.timeout(START_MS);
    const { success, stdout, stderr } = await new Deno.Command(path, {
      args: ["--version"],
      stdin: "null",
      signal,
    }).output();
    const said = new TextDecoder().decode(stdout).trim();
    if (success && said.split(" ")[0] === version) return;
    why = success ? `it says ${said}` : new TextDecoder().decode(stderr).trim().slice(0, 500);
  } catch (cause) {
    why = (cause as Error).message;
  }
  throw new CommandError(
    "integrity",
    `Version ${version} does not start on this machine: ${why}. Nothing was changed`,
  );
}

/** Gives the new executable the name of the old one, which is kept as `.previous`. Throws `CommandError`. */
async function replace(path: string, candidate: string): Promise<void> {
  const previous = `${path}.previous`;
  try {
    if (Deno.build.os === "windows") await swap(path, candidate, previous);
    else {
      await Deno.remove(previous).catch(() => {});
      // There is an executable of this name at any moment: the old one gets a second name first.
      await Deno.link(path, previous).catch(() => Deno.copyFile(path, previous));
      await Deno.rename(candidate, path);
    }
  } catch (cause) {
    throw new CommandError(
      "storage",
      `Cannot replace ${path}: ${(cause as Error).message}. It is as before`,
      { cause },
    );
  }
}

/**
 * Windows renames a running executable, and replaces none. If the second rename fails, the first one is undone. Throws errors of the
 * system.
 */
export async function swap(path: string, candidate: string, previous: string): Promise<void> {
  // The one before may still be running, too: then it keeps some other name.
  await Deno.remove(previous).catch(() =>
    Deno.rename(previous, `${previous}.${Date.now()}`).catch(() => {})
  );
  await Deno.rename(path, previous);
  try {
    await Deno.rename(candidate, path);
  } catch (error) {
    await Deno.rename(previous, path);
    throw error;
  }
}
