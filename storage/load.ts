// Loads what the store knows at start: first the journal, which has the held files, then metadata.json and the last good
// metadata, which have what else is known of the network; and decides what to do when some of them are damaged.
// Invariants: a damaged file is set aside, never overwritten; held files come back with their ids and owners; a
// file whose owner is no longer known is not published; memory and turns are those of one entry at a time.

import * as v from "valibot";
import { readText } from "./atomic.ts";
import { asStorageError } from "./errors.ts";
import type { Journal, JournalState, Removal } from "./journal.ts";
import { exists, type Layout } from "./layout.ts";
import { linesOf } from "./lines.ts";
import { entryOfText, type MetadataEntry, parseMetadata, type Placement } from "./metadata.ts";
import type { ShelvedFile } from "./shelf.ts";

/** What the journal said at start. */
export interface LoadedStore {
  /**
   * Files, by id, that a crash of the machine may have damaged, and where they were. They are recognized by content or
   * not shared at all.
   */
  readonly suspects: ReadonlyMap<string, Placement>;
  /** Entries of the suspects. */
  readonly suspected: readonly MetadataEntry[];
  /** Removed files, which must not be fetched again automatically. */
  readonly removed: ReadonlyMap<string, Removal>;
  /** Removed files that a crash may have kept from being moved to the trash. */
  readonly removing: readonly ShelvedFile[];
  /** Names of files whose owner was already unknown. */
  readonly unclaimed: readonly string[];
  /** Whether the journal, or the list of files without a known owner, was damaged or lost. */
  readonly isDamaged: boolean;
  /** Whether there was no journal. */
  readonly isNew: boolean;
}

/** What was found out while `loadKnown` read. Complete when that ends. */
export interface KnownLoading {
  /** Whether the files lacked entries that they once had. */
  isDamaged: boolean;
  /** The name under which the unreadable metadata.json is to be set aside, if it is unreadable. */
  damagedAside: string | undefined;
  /** Sentences for the person who runs the peer. */
  readonly notes: string[];
}

/**
 * Reads the journal, and calls `onHeld` for each held file; `isUnsynced` means that its content may not be on disk yet.
 * Changes nothing on disk. Throws `StorageError`, and the signal's reason once it is aborted.
 */
export async function loadJournal(
  layout: Layout,
  journal: Journal,
  { isOld, notes, signal, onHeld }: {
    /** Whether the store existed before this start, and so had a journal. */
    readonly isOld: boolean;
    /** Receives sentences for the person who runs the peer. */
    readonly notes: string[];
    readonly signal: AbortSignal;
    readonly onHeld: (shelved: ShelvedFile, isUnsynced: boolean) => Promise<void> | undefined;
  },
): Promise<LoadedStore> {
  const state = await journal.read(signal);
  if (state && state.damagedLines > 0) {
    notes.push(
      `Damaged lines skipped in the journal: ${state.damagedLines}. Everything else was read`,
    );
  }
  const suspects = new Map<string, Placement>();
  const suspected: MetadataEntry[] = [];
  for (const entry of state?.held.values() ?? []) {
    const { file, placement, pushed = false, knownSince } = entry;
    if (!placement) continue;
    // Files that a crash may have damaged are hashed again, like files of unknown content.
    if (state!.suspect.has(file.fileId)) {
      suspects.set(file.fileId, placement);
      suspected.push(entry);
      continue;
    }
    const since = knownSince === undefined ? {} : { knownSince };
    await onHeld({ file, placement, pushed, ...since }, state!.unsynced.has(file.fileId));
  }
  const unclaimed = await loadUnclaimed(layout);
  if (unclaimed === undefined) {
    notes.push(
      `${layout.unclaimed} was damaged. Files whose owner is not in the journal are kept but not shared`,
    );
  }
  return {
    suspects,
    suspected,
    removed: state?.removed ?? new Map(),
    removing: removingOf(state),
    unclaimed: unclaimed ?? [],
    isNew: state === undefined,
    isDamaged: unclaimed === undefined ||
      (state === undefined ? isOld : state.damagedLines > 0 || !state.hasBeginning),
  };
}

function removingOf(state: JournalState | undefined): ShelvedFile[] {
  const removing: ShelvedFile[] = [];
  for (const { file, placement, pushed = false } of state?.removing.values() ?? []) {
    if (placement) removing.push({ file, placement, pushed });
  }
  return removing;
}

/**
 * Yields the entries of metadata.json, or of the last good one if it is damaged, those read together at a time. Leaves
 * out ids for which `isKnown` returns true. Changes nothing on disk. Throws `StorageError`, and the signal's reason
 * once it is aborted.
 */
export async function* loadKnown(
  layout: Layout,
  loading: KnownLoading,
  { isKnown, now, signal }: {
    readonly isKnown: (fileId: string) => boolean;
    readonly now: () => number;
    readonly signal: AbortSignal;
  },
): AsyncGenerator<readonly MetadataEntry[]> {
  const { metadata, lastGood } = layout;
  // Each file once: what the last good one says of a file is older.
  const read = new Set<string>();
  const isDone = (fileId: string) => read.has(fileId) || isKnown(fileId);
  const isThere = exists(metadata);
  if (isThere) {
    let skipped = 0;
    try {
      for await (const each of readMetadata(metadata, isDone, signal)) {
        skipped += each.skipped;
        for (const { file } of each.entries) read.add(file.fileId);
        yield each.entries;
      }
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw asStorageError(error, `Cannot read ${metadata}`);
      loading.damagedAside = `${metadata}.damaged-${
        new Date(now()).toISOString().replaceAll(":", "-")
      }`;
      loading.notes.push(
        `metadata.json was damaged. It was kept as ${loading.damagedAside}, and a new one will be written`,
      );
    }
    if (skipped > 0) {
      loading.notes.push(
        `Entries skipped in metadata.json because they describe no file: ${skipped}`,
      );
    }
  }
  // Without metadata.json, or with a damaged one, the last good one may lack entries.
  loading.isDamaged = loading.damagedAside !== undefined || (!isThere && exists(lastGood));
  // Somebody may have restored an older metadata.json, so entries found only in the last good one are kept as well.
  try {
    for await (const { entries } of readMetadata(lastGood, isDone, signal)) yield entries;
  } catch (error) {
    if (error instanceof SyntaxError) return;
    throw asStorageError(error, `Cannot read ${lastGood}`);
  }
}

/** The entries of a part of a metadata file, and how many of them describe no file. */
interface Part {
  readonly entries: readonly MetadataEntry[];
  readonly skipped: number;
}

/** What `metadataText` writes before and after the id of each entry. */
const BEFORE_ID = ' "';
const AFTER_ID = '": ';
const ID_CHARS = 64;

/**
 * Yields what is in a metadata file. Ours has one entry on each line and is read in pieces; those of other
 * implementations are parsed whole. Throws `SyntaxError` if it is neither.
 */
async function* readMetadata(
  path: string,
  isKnown: (fileId: string) => boolean,
  signal: AbortSignal,
): AsyncGenerator<Part> {
  let position: "before" | "inside" | "after" = "before";
  for await (const lines of linesOf(path, signal)) {
    const entries: MetadataEntry[] = [];
    let skipped = 0;
    for (const line of lines) {
      if (position === "before" && line === "{") position = "inside";
      else if (position === "inside" && line === "}") position = "after";
      else {
        const start = BEFORE_ID.length + ID_CHARS + AFTER_ID.length;
        const isOurs = position === "inside" && line.startsWith(BEFORE_ID) &&
          line.startsWith(AFTER_ID, BEFORE_ID.length + ID_CHARS) && line[start] === "{" &&
          /\},?$/.test(line);
        if (!isOurs) return yield* wholeMetadata(path, isKnown);
        if (isKnown(line.slice(BEFORE_ID.length, BEFORE_ID.length + ID_CHARS))) continue;
        const entry = entryOfText(line.slice(start, line.endsWith(",") ? -1 : undefined));
        if (entry) entries.push(entry);
        else skipped++;
      }
    }
    yield { entries, skipped };
  }
  if (position !== "after") yield* wholeMetadata(path, isKnown);
}

async function* wholeMetadata(
  path: string,
  isKnown: (fileId: string) => boolean,
): AsyncGenerator<Part> {
  const text = await readText(path);
  if (text === undefined) return;
  const { entries, skipped } = parseMetadata(text);
  yield { entries: entries.filter(({ file }) => !isKnown(file.fileId)), skipped };
}

/** Returns the names of files whose owner is unknown, or `undefined` if the list is damaged. */
async function loadUnclaimed(layout: Layout): Promise<string[] | undefined> {
  try {
    const text = await readText(layout.unclaimed) ?? "[]";
    const names = v.safeParse(v.array(v.string()), JSON.parse(text));
    return names.success ? names.output : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
