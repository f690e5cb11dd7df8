// Replaces the executable by a newer one: `p2p-peer update`.
// Invariants: nothing is trusted but the release key, which is built in; nothing that was not verified is run, and nothing that did
// not start takes the executable's name; at any moment there is an executable of that name, or the failed second half of the
// replacement is undone.

import { createHash } from "node:crypto";
import { CommandError } from "../cli/failures.ts";
import { visible } from "../protocol/wire/text.ts";
import {
  type Asking,
  canceled,
  MAX_SAID,
  PATIENCE,
  type Patience,
  piecesOf,
  textAt,
} from "./download.ts";
import { Installed } from "./installed.ts";
import { compareVersions, isSigned, MAX_SUMS_BYTES, readSums, SIGNATURE, SUMS } from "./sums.ts";

/** Maximum size of an executable, in bytes. Ours have about 100 MB. */
const MAX_EXECUTABLE_BYTES = 512 * 1024 * 1024;
/** How long the new executable may take to say its version, in milliseconds. */
const START_MS = 30_000;

/** The limits of an update; tests have shorter ones. */
export interface UpdateLimits extends Patience {
  readonly maxExecutableBytes: number;
  readonly startMs: number;
}

const LIMITS: UpdateLimits = {
  ...PATIENCE,
  maxExecutableBytes: MAX_EXECUTABLE_BYTES,
  startMs: START_MS,
};

/** What an update needs to know. */
export interface UpdateOptions extends Asking {
  readonly installed: Installed;
  /** Address of a folder with a release, without a final slash. */
  readonly from: string;
  /** Public half of the release key (`newKeys`). */
  readonly publicKey: string;
  /** Called with the bytes that have arrived, and how many there will be if the other side says. */
  readonly onProgress?: (doneBytes: number, totalBytes: number | undefined) => void;
  readonly limits?: UpdateLimits;
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
  try {
    // Before anything is downloaded: this shows, too, that the folder can be written to.
    using _lock = await lock(installed);
    const offer = await offerOf(options);
    if (offer.updated.isNewer) await install(offer, options);
    // An update that was killed in between may have left this undone.
    const isInstalled = offer.updated.isNewer || (await installed.content()).sha256 === offer.hash;
    if (isInstalled) await note(installed, offer, options.from);
    return offer.updated;
  } catch (cause) {
    if (cause instanceof CommandError) throw cause;
    if (options.signal?.aborted) throw canceled(cause);
    const text = `Cannot update ${installed.path}: ${(cause as Error).message}. It is as before`;
    throw new CommandError("storage", text, { cause });
  }
}

/** What is offered. */
interface Offer {
  readonly updated: Updated;
  readonly sums: string;
  readonly signature: string;
  /** Hex SHA-256 of the executable for this platform; "" if there is none. */
  readonly hash: string;
}

/** Downloads what is offered, proves that it starts, and gives it the executable's name. Throws `CommandError` and errors of the system. */
async function install({ hash, updated }: Offer, options: UpdateOptions): Promise<void> {
  const { installed: { folder, path, platform } } = options;
  await removeCandidates(folder); // of updates that were killed
  const end = platform.os === "windows" ? ".exe" : "";
  const candidate = `${folder}/${CANDIDATE}${crypto.randomUUID()}${end}`;
  try {
    await fetchTo(candidate, hash, options);
    await takeOwner(candidate, path);
    await prove(candidate, updated.offered, options);
    options.signal?.throwIfAborted();
    await replace(path, candidate);
  } finally {
    await Deno.remove(candidate).catch(() => {}); // it has the executable's name now, or there was none
  }
}

/** Beginning of the names of executables that are not installed yet. */
const CANDIDATE = "candidate-";

async function removeCandidates(folder: string): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    if (name.startsWith(CANDIDATE)) await Deno.remove(`${folder}/${name}`).catch(() => {}); // it is only in the way
  }
}

/** Gives a file the owner of another one, and these permissions: by default, those of the other one. */
async function takeOwner(file: string, other: string, mode?: number): Promise<void> {
  if (Deno.build.os === "windows") return;
  const { mode: its, uid, gid } = await Deno.stat(other);
  const { uid: own } = await Deno.stat(file);
  if (uid !== null && uid !== own) await Deno.chown(file, uid, gid); // root updates somebody's program
  await Deno.chmod(file, mode ?? (its ?? 0o755) & 0o7777);
}

/** Writes what belongs to the executable next to it. If that fails, it is only not passed on to others. */
async function note(
  installed: Installed,
  { sums, signature }: Pick<Offer, "sums" | "signature">,
  from: string,
): Promise<void> {
  const { folder, path } = installed;
  // Where it came from first is where the next one is looked for.
  const origin = await installed.from() ?? from;
  const texts = [[SUMS, sums], [SIGNATURE, signature], ["from", `${origin}\n`]] as const;
  for (const [name, text] of texts) {
    const file = `${folder}/${name}`;
    await Deno.remove(file).catch(() => {}); // there may be none, or a link
    await Deno.writeTextFile(file, text, { createNew: true }).catch(() => {});
    await takeOwner(file, path, MODE).catch(() => {});
  }
}

/** Everybody may read what belongs to the executable, so that a peer of another user can pass it on. */
const MODE = 0o644;

/** Takes the lock of the update, which the system releases when the process ends. Throws `CommandError`. */
async function lock({ folder, path }: Installed): Promise<Disposable> {
  let file: Deno.FsFile;
  try {
    await Deno.mkdir(folder, { recursive: true, mode: 0o755 });
    file = await Deno.open(`${folder}/lock`, { create: true, write: true });
  } catch (cause) {
    throw notWritable(path, cause);
  }
  try {
    if (!await file.tryLock(true)) {
      throw new CommandError("refused", "Another update is running. Wait until it ends");
    }
    // The executable's own folder, where the names change.
    const probe = `${path}.${crypto.randomUUID()}`;
    await Deno.writeTextFile(probe, "", { createNew: true });
    await Deno.remove(probe);
    return { [Symbol.dispose]: () => file.close() };
  } catch (cause) {
    file.close();
    throw cause instanceof CommandError ? cause : notWritable(path, cause);
  }
}

const notWritable = (path: string, cause: unknown) =>
  new CommandError(
    "storage",
    `Cannot write next to ${path}. Run the update as the user who may, or install it elsewhere with install.sh --to`,
    { cause },
  );

/** Resolves to what is offered for this platform, once its signature was verified. Throws `CommandError`. */
async function offerOf(options: UpdateOptions): Promise<Offer> {
  const { installed, from, publicKey } = options;
  const sums = await textAt(`${from}/${SUMS}`, MAX_SUMS_BYTES, options);
  const release = readSums(sums);
  if (!release) {
    const text = `${from}/${SUMS} is not a checksum list of p2p-peer. Nothing was changed`;
    throw new CommandError("integrity", text);
  }
  const signature = await textAt(`${from}/${SIGNATURE}`, MAX_SUMS_BYTES, options);
  if (!isSigned(sums, signature, publicKey)) {
    const text = `The checksums at ${from} are not signed by the release key. Nothing was changed`;
    throw new CommandError("integrity", text);
  }
  const isNewer = compareVersions(release.version, installed.ownVersion) > 0;
  const hash = release.hashes.get(installed.name);
  if (hash === undefined && isNewer) {
    const text =
      `Version ${release.version} at ${from} has no executable for ${installed.platform.name}`;
    throw new CommandError("not-found", text);
  }
  const updated = { version: installed.ownVersion, offered: release.version, isNewer };
  return { updated, sums, signature, hash: hash ?? "" };
}

/** Downloads the executable. Throws `CommandError` and errors of the system. */
async function fetchTo(path: string, sha256: string, options: UpdateOptions): Promise<void> {
  const { from, installed, onProgress, limits = LIMITS } = options;
  const hash = createHash("sha256");
  let done = 0;
  using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
  const pieces = piecesOf(`${from}/${installed.name}`, limits.maxExecutableBytes, options);
  for await (const { piece, totalBytes } of pieces) {
    hash.update(piece);
    for (let at = 0; at < piece.length;) at += await file.write(piece.subarray(at));
    onProgress?.(done += piece.length, totalBytes);
  }
  await file.sync();
  if (hash.digest("hex") === sha256) return;
  const text = `The executable at ${from} is not the one that was released. Nothing was changed`;
  throw new CommandError("integrity", text);
}

/** Starts the new executable, which has to say its version. Throws `CommandError`. */
async function prove(
  path: string,
  version: string,
  { signal, limits = LIMITS }: UpdateOptions,
): Promise<void> {
  let why: string;
  try {
    const signals = [AbortSignal.timeout(limits.startMs), ...signal ? [signal] : []];
    const { success, stdout, stderr } = await new Deno.Command(path, {
      args: ["--version"],
      stdin: "null",
      signal: AbortSignal.any(signals),
    }).output();
    const said = new TextDecoder().decode(stdout).trim();
    if (success && said.split(" ")[0] === version) return;
    why = success
      ? `it says ${said}`
      : new TextDecoder().decode(stderr).trim() || "it failed, and did not say why";
  } catch (cause) {
    why = (cause as Error).message;
  }
  signal?.throwIfAborted();
  const text = `Version ${version} does not start on this machine: ${
    visible(why, MAX_SAID)
  }. Nothing was changed`;
  throw new CommandError("integrity", text);
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
