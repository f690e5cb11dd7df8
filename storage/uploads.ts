// Uploads that may be interrupted and continued, also after a restart or a kill: kept for a day after the last byte came.
// Invariants: the position told to a client is what is on the disk; one request writes to an upload at a time; at most
// `MAX_UPLOADS` are kept, and at most `MAX_OPEN` have an open file, besides those that are being
// written; what is complete is remembered, but its content moved on.

import { createHash } from "node:crypto";
import { asStorageError } from "./errors.ts";
import { FileIntake, hashFile } from "./intake.ts";
import { type Layout, lstatOrNothing } from "./layout.ts";
import { removeTemporary } from "./leftovers.ts";
import type { Space } from "./space.ts";

/** Maximum number of uploads kept; the one that was idle for longest goes first. (A guess.) */
export const MAX_UPLOADS = 64;
/** How long one is kept after its last byte, in milliseconds. */
export const UPLOAD_MS: number = 24 * 3600 * 1000;
/** Maximum number of uploads with an open file. Others are read again, to hash them, when they are continued. */
const MAX_OPEN = 16;
/** Maximum length of a note, in bytes: names have at most 255 characters, each up to 12 bytes as escapes. */
const MAX_NOTE_BYTES = 8 * 1024;

/** What the client said of its file. */
export interface UploadedFile {
  /** Its name. */
  readonly name: string;
  /** Modification time, Unix seconds; `undefined`: that of the upload. */
  readonly modifiedSeconds: number | undefined;
  /** Size in bytes, if the client said so. */
  readonly totalBytes: number | undefined;
  /** Whether it came with PUT, so that whoever continues it knows only its name. */
  readonly isPut: boolean;
}

/** One upload. */
export interface KeptUpload extends UploadedFile {
  /** 128 random bits, hex: who knows it may continue. */
  readonly id: string;
  /** Number of bytes that are on the disk; the size of the file, once it is complete. */
  readonly sizeBytes: number;
  /** Id of the file that it became. */
  readonly fileId: string | undefined;
  /** Whether a request is adding to it. */
  readonly isBusy: boolean;
}

/** What is remembered of an upload. */
interface Kept {
  file: UploadedFile;
  sizeBytes: number;
  fileId: string | undefined;
  /** When its last byte came, Unix milliseconds. */
  lastMs: number;
  intake: FileIntake | undefined;
  /** Whether a request is adding to it. */
  isBusy: boolean;
}

/** The uploads of one store. */
export class Uploads {
  /** The one that was idle for longest first. */
  readonly #kept = new Map<string, Kept>();

  /** Knows nothing yet; see `load`. */
  constructor(
    readonly layout: Pick<Layout, "uploads">,
    readonly options: {
      /** The current time, Unix milliseconds. */
      readonly now: () => number;
      /** Maximum size of a file, in bytes. */
      readonly maxFileBytes: number;
      /** The budget of free disk space. */
      readonly space: () => Space;
    },
  ) {}

  /** Number of uploads kept. */
  get size(): number {
    return this.#kept.size;
  }

  /** Finds what earlier runs left. What makes no sense is removed. Throws file system errors. */
  async load(): Promise<void> {
    const { uploads } = this.layout;
    const found: [string, Kept][] = [];
    for await (const { name } of Deno.readDir(uploads)) {
      const [, id, isNote] = /^([0-9a-f]{32})(\.json)?$/.exec(name) ?? [];
      const kept = id === undefined || isNote === undefined ? undefined : await this.#read(id);
      if (kept) found.push([id!, kept]);
      const isKnown = id !== undefined && (kept || isNote === undefined);
      if (!isKnown) await Deno.remove(`${uploads}/${name}`, { recursive: true });
    }
    found.sort(([, a], [, b]) => a.lastMs - b.lastMs);
    for (const [id, kept] of found) this.#kept.set(id, kept);
    for await (const { name } of Deno.readDir(uploads)) {
      if (!this.#kept.has(name.slice(0, 32))) removeTemporary(`${uploads}/${name}`);
    }
    this.tidy();
  }

  /** Begins an upload. Throws `StorageError`: "too-large", "no-space" or another code. */
  create(file: UploadedFile): KeptUpload {
    const id = crypto.getRandomValues(new Uint8Array(16)).toHex();
    this.tidy(MAX_UPLOADS - 1);
    const { space, maxFileBytes, now } = this.options;
    space().check(Math.min(file.totalBytes ?? 0, maxFileBytes));
    const intake = new FileIntake(this.#path(id), maxFileBytes, space());
    const kept = { file, sizeBytes: 0, fileId: undefined, lastMs: now(), intake, isBusy: false };
    this.#kept.set(id, kept);
    try {
      this.#note(id, kept);
    } catch (cause) {
      this.remove(id);
      throw asStorageError(cause, `Cannot receive ${file.name}`);
    }
    this.#closeSome();
    return viewOf(id, kept);
  }

  /** Returns an upload, or `undefined` if it is not known. */
  get(id: string): KeptUpload | undefined {
    const kept = this.#kept.get(id);
    return kept && viewOf(id, kept);
  }

  /** Returns the uploads that are not complete, the one that was idle for longest first. */
  pending(): KeptUpload[] {
    return [...this.#kept].filter(([, { fileId }]) => fileId === undefined)
      .map(([id, kept]) => viewOf(id, kept));
  }

  /**
   * Resolves to where an upload continues; its content so far is hashed again if that is not known any more. Throws
   * `StorageError`, also if it is complete or not known.
   */
  async open(id: string): Promise<FileIntake> {
    const kept = this.#kept.get(id);
    try {
      if (!kept || kept.fileId !== undefined) throw new Deno.errors.NotFound("It is not kept");
      kept.isBusy = true;
      this.#touch(id, kept);
      if (!kept.intake) {
        const path = this.#path(id);
        const { maxFileBytes, space } = this.options;
        const begun = kept.sizeBytes === 0
          ? { hash: createHash("sha256"), sizeBytes: 0 }
          : await hashFile(path);
        kept.intake ??= new FileIntake(path, maxFileBytes, space(), begun);
        this.#closeSome();
      }
      return kept.intake;
    } catch (cause) {
      if (kept) kept.isBusy = false;
      throw asStorageError(cause, "Cannot continue the upload");
    }
  }

  /** Notes how far an upload is, after each request. */
  moved(id: string): void {
    const kept = this.#kept.get(id);
    if (!kept) return;
    kept.sizeBytes = kept.intake?.sizeBytes ?? kept.sizeBytes;
    kept.isBusy = false;
    this.#touch(id, kept);
    this.#closeSome();
  }

  /** Notes what an upload became. Its content belongs to whoever has the intake. Never throws. */
  completed(id: string, fileId: string): void {
    const kept = this.#kept.get(id);
    if (!kept) return;
    kept.sizeBytes = kept.intake?.sizeBytes ?? kept.sizeBytes;
    kept.intake = undefined;
    kept.isBusy = false;
    kept.fileId = fileId;
    this.#touch(id, kept);
    try {
      this.#note(id, kept);
    } catch {
      // A client that asks after a restart starts over: then the content is known already.
    }
  }

  /** Removes an upload and its content. Never throws. */
  remove(id: string): void {
    const kept = this.#kept.get(id);
    this.#kept.delete(id);
    kept?.intake?.close();
    removeTemporary(this.#path(id));
    removeTemporary(this.#notePath(id));
  }

  /** Removes the upload that was idle for longest, for the space that it takes. Returns false if there is none. */
  dropOldest(): boolean {
    for (const [id, { fileId, isBusy }] of this.#kept) {
      if (fileId !== undefined || isBusy) continue;
      this.remove(id);
      return true;
    }
    return false;
  }

  /** Removes what is too old, or too many. Never throws. */
  tidy(max = MAX_UPLOADS): void {
    const all = [...this.#kept];
    // What is complete is only remembered, so it goes first.
    const isComplete = ([, { fileId }]: typeof all[0]) => fileId !== undefined;
    const inOrder = [...all.filter(isComplete), ...all.filter((each) => !isComplete(each))];
    for (const [id, { lastMs, isBusy }] of inOrder) {
      const isOld = this.options.now() - lastMs >= UPLOAD_MS;
      if (!isBusy && (isOld || this.#kept.size > max)) this.remove(id);
    }
  }

  /** Closes all files. What is there stays. */
  close(): void {
    for (const kept of this.#kept.values()) {
      kept.intake?.close();
      kept.intake = undefined;
    }
  }

  #touch(id: string, kept: Kept): void {
    kept.lastMs = this.options.now();
    this.#kept.delete(id);
    this.#kept.set(id, kept);
  }

  #closeSome(): void {
    const open = [...this.#kept.values()].filter(({ intake, isBusy }) => intake && !isBusy);
    for (const kept of open.slice(0, Math.max(0, open.length - MAX_OPEN))) {
      kept.sizeBytes = kept.intake!.sizeBytes;
      kept.intake!.close();
      kept.intake = undefined;
    }
  }

  #note(id: string, { file, fileId, sizeBytes }: Kept): void {
    const note = {
      file_name: file.name,
      modified_at: file.modifiedSeconds,
      size_bytes: fileId === undefined ? file.totalBytes : sizeBytes,
      file_id: fileId,
      ...(file.isPut ? { is_put: true } : {}),
    };
    const path = this.#notePath(id);
    removeTemporary(path);
    Deno.writeTextFileSync(path, JSON.stringify(note), { createNew: true, mode: 0o600 });
  }

  async #read(id: string): Promise<Kept | undefined> {
    try {
      const note = await lstatOrNothing(this.#notePath(id));
      if (!note?.isFile || note.size > MAX_NOTE_BYTES) return undefined;
      const fields = JSON.parse(await Deno.readTextFile(this.#notePath(id)));
      const { file_name: name, modified_at: modified, size_bytes: size, file_id: fileId } = fields;
      if (typeof name !== "string") return undefined;
      const content = await lstatOrNothing(this.#path(id));
      const isComplete = typeof fileId === "string";
      if (!isComplete && !content?.isFile) return undefined;
      const last = (isComplete ? note : content!).mtime ?? note.mtime;
      return {
        file: {
          name,
          modifiedSeconds: typeof modified === "number" ? modified : undefined,
          totalBytes: Number.isSafeInteger(size) ? size : undefined,
          isPut: fields.is_put === true,
        },
        sizeBytes: isComplete ? Number(size) : content!.size,
        fileId: isComplete ? fileId : undefined,
        lastMs: last?.getTime() ?? 0,
        intake: undefined,
        isBusy: false,
      };
    } catch {
      return undefined;
    }
  }

  #path(id: string): string {
    return `${this.layout.uploads}/${id}`;
  }

  #notePath(id: string): string {
    return `${this.#path(id)}.json`;
  }
}

const viewOf = (id: string, { file, sizeBytes, fileId, intake, isBusy }: Kept): KeptUpload => ({
  ...file,
  id,
  isBusy,
  sizeBytes: intake?.sizeBytes ?? sizeBytes,
  fileId,
});
