// Loads what the store knows at start from the journal, metadata.json and the last good metadata, and decides what
// to do when some of them are damaged.
// Invariants: a damaged file is set aside, never overwritten; held files come back with their ids and owners; a
// file whose owner is no longer known is not published.

import * as v from "valibot";
import { readText } from "./atomic.ts";
import type { Journal, Removal } from "./journal.ts";
import type { Layout } from "./layout.ts";
import { type MetadataEntry, parseMetadata, type Placement } from "./metadata.ts";
import type { ShelvedFile } from "./shelf.ts";

/** What was read from the store at start. */
export interface LoadedStore {
  /** Files that are held according to the journal. The first scan checks them. */
  readonly shelved: readonly ShelvedFile[];
  /**
   * Former places, by id, of files that a crash may have damaged. They are recognized by content or not shared at
   * all.
   */
  readonly suspects: ReadonlyMap<string, Placement>;
  /** Removed files, which must not be fetched again automatically. */
  readonly removed: ReadonlyMap<string, Removal>;
  /** Removed files that a crash may have kept from being moved to the trash. */
  readonly removing: readonly ShelvedFile[];
  /** All known files, held or not. */
  readonly entries: readonly MetadataEntry[];
  /** Names of files whose owner was already unknown. */
  readonly unclaimed: readonly string[];
  /** Whether it is unknown who owns the files in the folder that nothing here mentions. */
  readonly originsLost: boolean;
  /** The name under which the unreadable metadata.json is to be set aside, if it is unreadable. */
  readonly damagedAside: string | undefined;
  /** Sentences for the person who starts the peer. */
  readonly notes: readonly string[];
}

/** Reads the store. Changes nothing on disk. Throws `StorageError`. */
export async function loadStore(
  layout: Layout,
  journal: Journal,
  now: () => number,
  /** Whether the store existed before this start, and so had a journal. */
  isOld: boolean,
): Promise<LoadedStore> {
  const notes: string[] = [];
  const state = await journal.read();
  if (state && state.damagedLines > 0) {
    notes.push(
      `Damaged lines skipped in the journal: ${state.damagedLines}. Everything else was read`,
    );
  }
  const { entries, damaged, damagedAside } = await loadMetadata(layout, now, notes);
  const shelved: ShelvedFile[] = [];
  const suspects = new Map<string, Placement>();
  for (const { file, placement, pushed = false, knownSince } of state?.held.values() ?? []) {
    if (!placement) continue;
    // Files that a crash may have damaged are hashed again, like files of unknown content.
    if (state!.unsynced.has(file.fileId)) suspects.set(file.fileId, placement);
    else {
      const since = knownSince === undefined ? {} : { knownSince };
      shelved.push({ file, placement, pushed, ...since });
    }
  }
  const removing: ShelvedFile[] = [];
  for (const { file, placement, pushed = false } of state?.removing.values() ?? []) {
    if (placement) removing.push({ file, placement, pushed });
  }
  const unclaimed = await loadUnclaimed(layout);
  if (unclaimed === undefined) {
    notes.push(
      `${layout.unclaimed} was damaged. Files whose owner is not in the journal are kept but not shared`,
    );
  }
  const journalled = [...state?.held.values() ?? []];
  const known = new Set(journalled.map(({ file }) => file.fileId));
  return {
    shelved,
    suspects,
    removed: state?.removed ?? new Map(),
    removing,
    entries: [...journalled, ...entries.filter(({ file }) => !known.has(file.fileId))],
    unclaimed: unclaimed ?? [],
    // The damaged file may have listed more files, so one that the others do not list may belong to somebody else.
    originsLost: unclaimed === undefined || damagedAside !== undefined ||
      (state === undefined ? damaged || isOld : state.damagedLines > 0 || !state.hasBeginning),
    damagedAside,
    notes,
  };
}

/** Reads metadata.json, or the last good one if it is damaged. */
async function loadMetadata(
  layout: Layout,
  now: () => number,
  notes: string[],
): Promise<{ entries: MetadataEntry[]; damaged: boolean; damagedAside: string | undefined }> {
  const text = await readText(layout.metadata);
  let damagedAside: string | undefined;
  if (text !== undefined) {
    try {
      const { entries, skipped } = parseMetadata(text);
      if (skipped > 0) {
        notes.push(`Entries skipped in metadata.json because they describe no file: ${skipped}`);
      }
      // Somebody may have restored an older metadata.json, so entries found only in the last good one are kept as
      // well.
      const known = new Set(entries.map(({ file }) => file.fileId));
      const more = (await loadLastGood(layout)).filter(({ file }) => !known.has(file.fileId));
      return { entries: [...entries, ...more], damaged: false, damagedAside };
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      damagedAside = `${layout.metadata}.damaged-${
        new Date(now()).toISOString().replaceAll(":", "-")
      }`;
      notes.push(
        `metadata.json was damaged. It was kept as ${damagedAside}, and a new one will be written`,
      );
    }
  }
  const isThere = await readText(layout.lastGood) !== undefined;
  const damaged = damagedAside !== undefined || isThere;
  return { entries: await loadLastGood(layout), damaged, damagedAside };
}

async function loadLastGood(layout: Layout): Promise<MetadataEntry[]> {
  try {
    const text = await readText(layout.lastGood);
    return text === undefined ? [] : parseMetadata(text).entries;
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
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
