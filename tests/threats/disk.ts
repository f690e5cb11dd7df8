// A disk that can be filled: a 1 MiB tmpfs, mounted in the test's folder and removed with it. Also a way to run the program
// so that file permissions apply to it even under root. Where the system allows neither, the tests that need them are
// ignored and say so.

import { Honest } from "../hostile/honest.ts";
import type { Folder } from "../process/folder.ts";
import { COMMAND, Program } from "../process/program.ts";

/** Matches messages that report a lack of disk space. */
export const FULL =
  /no space|no room|not enough (space|room)|disk.*\bfull\b|\bfull\b.*disk|room for/i;
/** Matches messages that report missing write permission. */
export const UNWRITABLE =
  /not permitted|permission|read-only|cannot (be )?writ|not writable|denied/i;

async function succeeds(command: string, ...args: string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(command, { args, stdout: "null", stderr: "null" })
      .output();
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function mounts(): Promise<boolean> {
  const path = await Deno.makeTempDir({ prefix: "p2p-peer-disk-" });
  const done = await succeeds("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path) &&
    await succeeds("umount", path);
  await Deno.remove(path);
  return done;
}

/** Whether a small disk can be mounted on this machine. */
export const hasSmallDisk = await mounts();
if (!hasSmallDisk) {
  console.log("Tests of a full disk are skipped: they need permission to mount a tmpfs");
}

/** Command prefix that makes root obey file permissions. Other users obey them anyway. */
const LESS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"];

/** Returns whether file permissions apply to what runs with this prefix. */
function obeys(prefix: readonly string[]): Promise<boolean> {
  const script =
    'd=$(mktemp -d); chmod 555 "$d"; touch "$d/x"; code=$?; rm -rf "$d"; [ $code != 0 ]';
  const [command, ...args] = [...prefix, "sh", "-c", script];
  return succeeds(command!, ...args);
}

const prefix = await obeys([]) ? [] : await obeys(LESS) ? LESS : undefined;
/** Whether the program can be run so that file permissions apply to it. */
export const hasObedience = prefix !== undefined;
if (!hasObedience) {
  console.log("Tests of file permissions are skipped: root cannot be made to obey them here");
}

/** Command line that makes the program obey file permissions, even under root. */
export const OBEDIENT_COMMAND: readonly string[] = [...(prefix ?? []), ...COMMAND];

export class SmallDisk implements AsyncDisposable {
  private constructor(readonly path: string) {}

  static async mount(folder: Folder): Promise<SmallDisk> {
    const path = await folder.folder("disk");
    if (!await succeeds("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path)) {
      throw new Error(`Cannot mount a tmpfs at "${path}"`);
    }
    return new SmallDisk(path);
  }

  /** The folder for `--dir`, relative to the test's folder and as an absolute path. */
  readonly dir = "disk/store";
  get store(): string {
    return `${this.path}/store`;
  }

  /** Fills the disk except for this many bytes, rounded down to whole pages, as another program might. */
  async fill(leftBytes = 0): Promise<void> {
    const left = "x".repeat(leftBytes);
    await Deno.writeTextFile(`${this.path}/left`, left);
    const filler = [`if=/dev/zero`, `of=${this.path}/filler`, "bs=4k"];
    await succeeds("dd", ...filler); // fails with "No space left on device"
    await Deno.remove(`${this.path}/left`);
  }

  /** Releases the space that `fill` took. */
  async free(): Promise<void> {
    await Deno.remove(`${this.path}/filler`);
  }

  async remount(how: "ro" | "rw"): Promise<void> {
    if (!await succeeds("mount", "-o", `remount,${how}`, this.path)) {
      throw new Error(`Cannot remount "${this.path}" as ${how}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (await succeeds("umount", this.path) || await succeeds("umount", "-l", this.path)) return;
    throw new Error(`Cannot unmount "${this.path}"`);
  }
}

/** Returns the contents of metadata.json, which must be valid JSON at all times. */
export function metadataOf(store: string): Record<string, unknown> {
  return JSON.parse(Deno.readTextFileSync(`${store}/metadata.json`));
}

/** Returns the record of a held file, without its other holders, which may change at any time. */
export function recordOf(store: string, fileId: string): Record<string, unknown> | undefined {
  const record = metadataOf(store)[fileId] as Record<string, unknown> | undefined;
  if (!record) return undefined;
  return Object.fromEntries(Object.entries(record).filter(([name]) => !name.startsWith("peers")));
}

/** Resolves to the record of the honest peer's file once it is in metadata.json. */
export async function untilRecorded(program: Program, store: string, honest: Honest) {
  return await program.until("the honest file in metadata.json", () => {
    return isThere(`${store}/metadata.json`) && recordOf(store, honest.file.fileId);
  });
}

export async function untilNoTemporary(program: Program, store: string): Promise<void> {
  const names = () => [...Deno.readDirSync(`${store}/.p2p-peer/temporary`)];
  await program.until("all temporary files to be removed", () => names().length === 0);
}

export function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path) !== undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
