// Keeps verified content: gives it a readable name in the folder, and records it.
// Invariants: the journal says what a file is before the file has its name; nothing that is there is replaced; content
// that cannot be kept leaves nothing behind.

import { createHash, hash } from "node:crypto";
import { type Timestamp, timestampSeconds } from "../protocol/wire/fileid.ts";
import type { Assembly } from "./assembly.ts";
import { asStorageError } from "./errors.ts";
import type { FileIntake } from "./intake.ts";
import { exists, type Layout } from "./layout.ts";
import { removeTemporary } from "./leftovers.ts";
import { type Look, lookOf } from "./looks.ts";
import type { Partials } from "./partials.ts";
import { placeNew, placeNewSync } from "./placing.ts";
import type { Removals } from "./removals.ts";
import type { HeldContent, Shelf, ShelvedFile } from "./shelf.ts";
import type { Space } from "./space.ts";

/** Complete content in memory: a small file. */
export class SmallContent {
  /** The bytes must not be written to later. */
  constructor(readonly content: Uint8Array) {}

  /** Size in bytes. */
  get sizeBytes(): number {
    return this.content.length;
  }

  /** Returns the hex SHA-256 of the content followed by `suffix`. */
  digestWith(suffix: string): string {
    if (suffix === "") return hash("sha256", this.content);
    return createHash("sha256").update(this.content).update(suffix).digest("hex");
  }

  /** Does nothing: there is nothing on disk. */
  abort(): void {}
}

/** What keeping needs of the store. */
export interface KeepingParts {
  /** Where files get their names. */
  readonly layout: Pick<Layout, "dir">;
  /** The held files. */
  readonly shelf: Shelf;
  /** The budget of free disk space. */
  readonly space: Space;
  /** The trash, which forgets what came back. */
  readonly removals: Removals;
  /** Beginnings of downloads, which forget what is complete. */
  readonly partials: Partials;
  /** Whether content must be safely on disk before it is shown. */
  readonly isDurable: boolean;
  /** The current time, Unix milliseconds. */
  readonly now: () => number;
  /** Opens a temporary file, after checking the folders. Throws `StorageError`. */
  readonly intake: () => FileIntake;
  /** Throws `StorageError` if temporary files cannot be written safely. */
  readonly checkFolders: () => void;
  /** Returns the path of a new temporary file. */
  readonly temporary: () => string;
  /** Flushes everything stored so far to disk. */
  readonly sync: () => Promise<void>;
}

/** A file that is about to get its name. */
interface Placing {
  readonly shelved: ShelvedFile;
  readonly path: string;
}

/** Keeps verified content. */
export class Keeping {
  /** Shares `parts` with the rest of the store. */
  constructor(readonly parts: KeepingParts) {}

  /** Keeps one file. Throws `StorageError`; the content is lost then. */
  async keep(
    intake: FileIntake | Assembly,
    { file, pushed = false }: HeldContent,
  ): Promise<HeldContent> {
    const { layout: { dir }, shelf, removals, partials, isDurable, now, sync } = this.parts;
    const { sizeBytes } = intake;
    let diskName = "";
    try {
      if (isDurable) intake.sync();
      intake.close();
      await setModified(file.timestamp, (seconds) => Deno.utime(intake.path, seconds, seconds));
      const look = lookOf(await Deno.lstat(intake.path));
      const knownSince = Math.trunc(now() / 1000);
      for (;;) {
        diskName = shelf.reserve(file.name, (name) => exists(`${dir}/${name}`));
        const shelved = shelvedOf({ file, pushed, knownSince }, diskName, intake, look);
        await shelf.addSoon(shelved, isDurable);
        try {
          await placeNew(intake.path, `${dir}/${diskName}`);
          break;
        } catch (cause) {
          shelf.remove([file.fileId]);
          if (!(cause instanceof Deno.errors.AlreadyExists)) throw cause;
          shelf.release(diskName);
        }
      }
      // Naming the file changed its inode, so its change time is known only now.
      const placed = lookOf(await Deno.lstat(`${dir}/${diskName}`));
      if (placed.mtimeMs === look.mtimeMs && placed.sizeBytes === sizeBytes) {
        shelf.relook(diskName, placed);
      }
      await removals.forget(file.fileId);
      partials.ended(file.fileId);
      shelf.release(diskName);
      if (isDurable) await sync();
      removals.keepWithinQuota();
      const { sha256 } = shelf.get(file.fileId)!.placement;
      return { file: { ...file, sizeBytes, sha256 }, sizeBytes, pushed, knownSince };
    } catch (cause) {
      removeTemporary(intake.path);
      partials.ended(file.fileId);
      throw asStorageError(cause, `Cannot store ${file.name}`);
    } finally {
      intake.close();
      shelf.release(diskName);
    }
  }

  /**
   * Keeps many small files with one journal write and without a pause: waiting for each step of each file would cost
   * more than the steps. Resolves to what was kept, or an error, for each. Never rejects.
   */
  async keepAll(
    files: readonly { readonly content: SmallContent; readonly held: HeldContent }[],
  ): Promise<(HeldContent | Error)[]> {
    const { shelf, removals, partials, isDurable, sync, checkFolders } = this.parts;
    const outcomes: (HeldContent | Error)[] = [];
    const placing: (Placing & { readonly at: number })[] = [];
    try {
      checkFolders();
    } catch (cause) {
      return files.map(() => asStorageError(cause, "Cannot store files"));
    }
    for (const [at, { content, held }] of files.entries()) {
      try {
        placing.push({ at, ...this.#write(content, held) });
      } catch (cause) {
        outcomes[at] = asStorageError(cause, `Cannot store ${held.file.name}`);
      }
    }
    try {
      shelf.add(placing.map(({ shelved }) => shelved), { sync: isDurable });
    } catch (cause) {
      for (const { at, shelved, path } of placing.splice(0)) {
        removeTemporary(path);
        shelf.release(shelved.placement.diskName);
        outcomes[at] = asStorageError(cause, `Cannot store ${shelved.file.name}`);
      }
    }
    for (const { at, shelved, path } of placing) {
      const { content, held } = files[at]!;
      try {
        outcomes[at] = this.#place(shelved, path)
          ? heldOf(shelved)
          : await this.#keepSlowly(content, held);
        await removals.forget(held.file.fileId);
        partials.ended(held.file.fileId);
      } catch (cause) {
        outcomes[at] = asStorageError(cause, `Cannot store ${held.file.name}`);
      } finally {
        shelf.release(shelved.placement.diskName);
      }
    }
    if (isDurable) {
      try {
        await sync();
      } catch (cause) {
        const error = asStorageError(cause, "Cannot store files");
        return outcomes.map(() => error);
      }
    }
    removals.keepWithinQuota();
    return outcomes;
  }

  /** Writes content to a temporary file, and reserves a name for it. Throws file system errors and `StorageError`. */
  #write(content: SmallContent, { file, pushed = false }: HeldContent): Placing {
    const { shelf, space, isDurable, now, temporary } = this.parts;
    const path = temporary();
    space.take(content.sizeBytes);
    try {
      // One call instead of opening, writing and closing, which takes more than twice as long on tmpfs.
      Deno.writeFileSync(path, content.content, { createNew: true, mode: 0o644 });
      if (isDurable) flush(path);
      setModifiedSync(file.timestamp, (seconds) => Deno.utimeSync(path, seconds, seconds));
      const look = lookOf(Deno.lstatSync(path));
      const knownSince = Math.trunc(now() / 1000);
      // A file that is not shelved may have the name; then it does not get it.
      const diskName = shelf.reserve(file.name, () => false);
      return { shelved: shelvedOf({ file, pushed, knownSince }, diskName, content, look), path };
    } catch (cause) {
      removeTemporary(path);
      throw cause;
    }
  }

  /** Gives a file its name. Returns false if that needs more than a link; nothing is left then. */
  #place({ file: { fileId }, placement }: ShelvedFile, from: string): boolean {
    const { layout: { dir }, shelf } = this.parts;
    const { diskName, mtimeMs, sizeBytes } = placement;
    const to = `${dir}/${diskName}`;
    if (!placeNewSync(from, to)) {
      shelf.remove([fileId]);
      removeTemporary(from);
      return false;
    }
    const placed = lookOf(Deno.lstatSync(to));
    if (placed.mtimeMs === mtimeMs && placed.sizeBytes === sizeBytes) {
      shelf.relook(diskName, placed);
    }
    return true;
  }

  async #keepSlowly(content: SmallContent, held: HeldContent): Promise<HeldContent | Error> {
    try {
      const intake = this.parts.intake();
      intake.write(content.content);
      return await this.keep(intake, held);
    } catch (cause) {
      return asStorageError(cause, `Cannot store ${held.file.name}`);
    }
  }
}

/** Returns what the journal says of content that is about to get this name. */
function shelvedOf(
  { file, ...held }: Pick<ShelvedFile, "file" | "pushed" | "knownSince">,
  diskName: string,
  content: Pick<SmallContent, "sizeBytes" | "digestWith">,
  { mtimeMs, inode }: Look,
): ShelvedFile {
  const { sizeBytes } = content;
  const sha256 = content.digestWith("");
  const place = inode === undefined ? {} : { inode };
  const placement = { diskName, sizeBytes, sha256, mtimeMs, ...place };
  return { ...held, file: { ...file, sizeBytes, sha256 }, placement };
}

function heldOf({ file, pushed, placement, knownSince }: ShelvedFile): HeldContent {
  const since = knownSince === undefined ? {} : { knownSince };
  return { file, sizeBytes: placement.sizeBytes, pushed, ...since };
}

/** Sets a file's modification time to its timestamp, so that people see it. */
async function setModified(
  timestamp: Timestamp,
  set: (seconds: number) => Promise<void>,
): Promise<void> {
  const seconds = timestampSeconds(timestamp);
  if (seconds === undefined) return;
  await set(seconds).catch(ignoreNoTimes);
}

function setModifiedSync(timestamp: Timestamp, set: (seconds: number) => void): void {
  const seconds = timestampSeconds(timestamp);
  if (seconds === undefined) return;
  try {
    set(seconds);
  } catch (error) {
    ignoreNoTimes(error);
  }
}

/** Some file systems cannot set times. The timestamp that counts is in the journal. Throws other errors. */
function ignoreNoTimes(error: unknown): void {
  const isThat = error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotSupported;
  if (!isThat) throw error;
}

function flush(path: string): void {
  using file = Deno.openSync(path, { write: true });
  file.syncSync();
}
