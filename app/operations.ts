// What people can ask of a running peer, at the prompt or in a browser: find, fetch, share, delete, restore and verify
// files. Each method resolves when it is done, or throws an error that says what happened and what to do.

import type { Verified, VerifyProgress } from "../cli/commands.ts";
import type { EntryView } from "../protocol/state.ts";
import type { DeletionProgress } from "../protocol/files/deletion_notices.ts";
import { addressOf, UsageError } from "../cli/values.ts";
import { type Address, addressText } from "../protocol/wire/address.ts";
import { isFileId } from "../protocol/wire/fileid.ts";
import type { FileRecord } from "../protocol/wire/message.ts";
import type { Fetched, Node } from "../node/node.ts";
import { StorageError } from "../storage/errors.ts";
import type { FileIntake } from "../storage/intake.ts";
import type { Deleted } from "../storage/removals.ts";
import { pathAt } from "../storage/destination.ts";
import type { Store } from "../storage/store.ts";

/** Size of the buffer for copying a file out of the store, in bytes. */
const COPY_BYTES = 256 * 1024;
/**
 * Maximum time to wait until all peers were notified of a deletion, and the interval between checks, in milliseconds.
 */
const TOLD_MS = 2_000;
const TOLD_LOOK_MS = 20;

const NOBODY_TOLD: DeletionProgress = { reached: 0, left: 0, slow: 0, slowMs: 0 };

/** A file that somebody shared. `isNew` is false if it was shared already, under the same name. */
export interface Shared {
  readonly file: FileRecord;
  readonly isNew: boolean;
}

/**
 * Thrown when what a person asked for cannot be done. The message says what happened and, if something helps, what to
 * do.
 */
export class OperationError extends Error {
  override readonly name = "OperationError";
  /** What to do, without what happened. */
  readonly hint: string | undefined;
  constructor(
    readonly code: "not-found" | "not-possible" | "unreachable",
    /** What happened, without the hint. */
    readonly what: string,
    { hint, ...options }: ErrorOptions & { readonly hint?: string | undefined } = {},
  ) {
    super(hint === undefined ? what : `${what}. ${hint}`, options);
    this.hint = hint;
  }
}

/** Minimum length of the beginning of an id: a slip of a finger must not name a file. (A guess.) */
const MIN_PREFIX = 4;
const PREFIX = new RegExp(`^[0-9a-f]{${MIN_PREFIX},}$`);

const LIST_HINT = '"list" shows the known files';

export class Operations {
  #isVerifying = false;

  constructor(
    readonly peerId: string,
    readonly store: Store,
    readonly node: Node,
    /** Resolves when the held files are known. What changes files waits for it. */
    readonly loaded: Promise<void>,
    /** Resolves when the folder was scanned for the first time. */
    readonly indexed: Promise<void>,
  ) {}

  /** Finds a file by its id, by the unique beginning of its id (four characters or more), or by its name. Throws `OperationError`. */
  find(text: string): EntryView {
    const { catalogue } = this.node.peer;
    if (isFileId(text)) {
      const entry = catalogue.get(text);
      if (entry) return entry;
      throw unknownId();
    }
    const byName: EntryView[] = [];
    const byPrefix: EntryView[] = [];
    const isPrefix = PREFIX.test(text);
    for (const entry of catalogue.all()) {
      if (entry.file.name === text) byName.push(entry);
      else if (isPrefix && entry.file.fileId.startsWith(text)) byPrefix.push(entry);
    }
    const matches = byName.length > 0 ? byName : byPrefix;
    if (matches.length === 1) return matches[0]!;
    if (matches.length === 0) {
      throw new OperationError("not-found", `No file "${text}" is known`, { hint: LIST_HINT });
    }
    const ids = matches.slice(0, 5).map(({ file }) =>
      `${file.fileId.slice(0, 12)} (${file.owner})`
    );
    throw new OperationError(
      "not-possible",
      `${matches.length} files match "${text}"`,
      { hint: `Give more of the id: ${ids.join(", ")}` },
    );
  }

  /**
   * Joins through one more peer at "host:port", now and in later runs. Resolves to its name and address. Throws `OperationError`,
   * and `UsageError` if that is not an address.
   */
  async connect(text: string): Promise<{ readonly peerId: string; readonly address: Address }> {
    const address = addressTyped(text);
    if (this.node.isOwn(address)) {
      throw new OperationError("not-possible", `${addressText(address)} is this peer itself`, {
        hint: "Give the address of another one",
      });
    }
    const joined = await this.node.connect(address);
    if (typeof joined !== "string") return { peerId: joined.peerId, address };
    throw new OperationError("unreachable", joined, {
      hint: "It is tried again while this peer runs; check the address, and that its port is open",
    });
  }

  /** Fetches a file. Resolves to where it came from. Rejects with `FetchError`. */
  async get(fileId: string): Promise<Fetched> {
    await this.loaded;
    return await this.node.get(fileId);
  }

  /** Copies a held file out of the store, never over another file. Resolves to the path. Throws `OperationError`. */
  async copyOut(fileId: string, destination: string): Promise<string> {
    const reader = this.store.reader(fileId);
    const name = this.node.peer.catalogue.get(fileId)?.file.name ?? fileId;
    if (!reader) throw new OperationError("not-found", "The file is no longer here");
    try {
      const path = await pathAt(destination, name).catch((cause) => {
        throw notWritten(destination, cause);
      });
      const target = await Deno.open(path, { write: true, createNew: true }).catch((cause) => {
        throw notWritten(path, cause);
      });
      try {
        const buffer = new Uint8Array(COPY_BYTES);
        for (let read = reader.readInto(buffer); read > 0; read = reader.readInto(buffer)) {
          for (let at = 0; at < read;) at += await target.write(buffer.subarray(at, read));
        }
      } catch (error) {
        await Deno.remove(path); // half a file helps nobody
        throw error;
      } finally {
        target.close();
      }
      return path;
    } finally {
      reader.close();
    }
  }

  /** Shares a copy of a file from anywhere on this machine. Throws `StorageError`. */
  async push(path: string): Promise<Shared> {
    await this.loaded;
    const { isNew, ...held } = await this.store.publish(path, (fileId) => this.isTaken(fileId));
    if (isNew) this.node.dispatch({ kind: "held", files: [held], how: "published" });
    return { file: held.file, isNew };
  }

  /** Returns space for content that somebody sends. Throws `StorageError`. */
  receive(): FileIntake {
    return this.store.intake();
  }

  /** Shares received content as one of our files. Throws `StorageError`. */
  async share(intake: FileIntake, name: string, modifiedSeconds: number): Promise<Shared> {
    await this.loaded;
    const { isNew, ...held } = await this.store.publishIntake(
      intake,
      name,
      modifiedSeconds,
      (fileId) => this.isTaken(fileId),
    );
    if (isNew) this.node.dispatch({ kind: "held", files: [held], how: "published" });
    return { file: held.file, isNew };
  }

  /**
   * Deletes a file: everywhere if this peer owns it, otherwise only here. Peers are notified only after the deletion is in
   * the journal. Throws `OperationError` and `StorageError`.
   */
  delete(fileId: string): "everywhere" | "here" {
    const entry = this.node.peer.catalogue.get(fileId);
    if (!entry) throw unknownId();
    const isOurs = entry.file.owner === this.peerId;
    if (!isOurs && !entry.held) {
      throw new OperationError(
        "not-possible",
        `The file is not here, and only its owner ${entry.file.owner} can delete it elsewhere`,
      );
    }
    if (entry.held) this.store.removals.announce(fileId, isOurs ? "deleted" : "unwanted");
    this.node.dispatch({ kind: "delete", fileId });
    return isOurs ? "everywhere" : "here";
  }

  /** Resolves to how far the news of a deletion has come, once every peer was notified or `TOLD_MS` has passed. */
  async toldOfDeletion(fileId: string): Promise<DeletionProgress> {
    const untilMs = performance.now() + TOLD_MS;
    for (;;) {
      const progress = this.node.peer.deletionProgress(fileId) ?? NOBODY_TOLD;
      if (progress.left === progress.slow || performance.now() >= untilMs) return progress;
      await new Promise((go) => setTimeout(go, TOLD_LOOK_MS));
    }
  }

  /**
   * Restores a file from the trash, by its id, the unique beginning of its id, or its name. Throws `OperationError`.
   */
  async restore(text: string): Promise<FileRecord> {
    await this.loaded;
    const fileId = isFileId(text) ? text : (await this.findDeleted(text)).file.fileId;
    const held = await this.store.restore(fileId);
    this.node.dispatch({ kind: "held", files: [held], how: "restored" });
    return held.file;
  }

  /** Finds a deleted file by its id, the unique beginning of its id, or its name. Throws `OperationError`. */
  async findDeleted(text: string): Promise<Deleted> {
    const deleted = await this.store.removals.list();
    const named = deleted.filter(({ file }) => file.name === text);
    const fits = named.length > 0
      ? named
      : deleted.filter(({ file }) => PREFIX.test(text) && file.fileId.startsWith(text));
    if (fits.length === 1) return fits[0]!;
    if (fits.length === 0) {
      throw new OperationError("not-found", `No deleted file has the id or the name "${text}"`, {
        hint: '"restore" lists the deleted files',
      });
    }
    const ids = fits.slice(0, 5).map(({ file }) => file.fileId.slice(0, 12));
    throw new OperationError(
      "not-possible",
      `${fits.length} deleted files match "${text}"`,
      { hint: `Give more of the id: ${ids.join(", ")}` },
    );
  }

  /**
   * Rereads every held file. A file that no longer matches its id is not shared anymore, is set aside, and is downloaded
   * again if another peer holds it. Throws `OperationError` if a verification is running already.
   */
  async verify(onProgress: (progress: VerifyProgress) => void): Promise<Verified> {
    await this.indexed;
    if (this.#isVerifying) {
      throw new OperationError("not-possible", "Files are being verified already");
    }
    this.#isVerifying = true;
    try {
      return await this.#verify(onProgress);
    } finally {
      this.#isVerifying = false;
    }
  }

  async #verify(onProgress: (progress: VerifyProgress) => void): Promise<Verified> {
    const held = [...this.store.held()];
    const bytes = held.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const damaged: Verified["damaged"][number][] = [];
    const unread: Verified["unread"][number][] = [];
    let [good, gone, doneBytes] = [0, 0, 0];
    for (const { file } of held) {
      try {
        const outcome = await this.store.examine(file.fileId, (read) => {
          doneBytes += read;
          onProgress({ files: held.length, bytes, doneBytes });
        });
        if (outcome === "good") good++;
        else if (outcome === "gone") gone++;
        else damaged.push(...this.#setAside(file.fileId));
      } catch (error) {
        // One file that cannot be read, or set aside, must not stop the verification of the others.
        if (!(error instanceof StorageError)) throw error;
        unread.push({ file, why: error.message });
      }
    }
    onProgress({ files: held.length, bytes, doneBytes });
    return { good, damaged, gone, unread };
  }

  /** Stops sharing a damaged file, under all of its ids, and downloads it again. */
  #setAside(fileId: string): Verified["damaged"][number][] {
    const { fileIds, keptAt } = this.store.setAside(fileId);
    this.node.dispatch({ kind: "lost", fileIds, why: "damaged" });
    return fileIds.flatMap((lost) => {
      const entry = this.node.peer.catalogue.get(lost);
      if (!entry) return [];
      const isFetched = entry.holders.size > 0;
      return [{ file: entry.file, keptAt, isFetched }];
    });
  }

  /** Returns whether a new file must not get this id, because it is known or was deleted. */
  isTaken(fileId: string): boolean {
    const { catalogue } = this.node.peer;
    return catalogue.get(fileId) !== undefined ||
      catalogue.tombstones.has(fileId, performance.now());
  }
}

function addressTyped(text: string): Address {
  try {
    return addressOf(text);
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`The address ${error.message}`) : error;
  }
}

const unknownId = () =>
  new OperationError("not-found", "No file with this id is known", { hint: LIST_HINT });

function notWritten(path: string, cause: unknown): OperationError {
  const [what, hint] = cause instanceof Deno.errors.AlreadyExists
    ? [`${path} already exists`, "Choose another destination"]
    : cause instanceof Deno.errors.NotFound
    ? [`The folder of ${path} does not exist`, "Create it, or choose another destination"]
    : cause instanceof Deno.errors.PermissionDenied
    ? [`Cannot write ${path}: permission denied`, "Choose another destination"]
    : [`Cannot write ${path}: ${cause instanceof Error ? cause.message : cause}`];
  return new OperationError("not-possible", what!, { hint, cause });
}
