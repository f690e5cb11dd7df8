// What the store remembers at start: journal, metadata.json, the last good one, and what to do when some of
// them are damaged. Always holds: a damaged file is set aside, never overwritten; held files come back with
// the ids and owners that they had; where nobody knows any more whose a file is, it is not published.

import * as v from "valibot";
import { readText } from "./atomic.ts";
import type { Journal, Removal } from "./journal.ts";
import type { Layout } from "./layout.ts";
import { type MetadataEntry, parseMetadata, type Placement } from "./metadata.ts";
import type { ShelvedFile } from "./shelf.ts";

export interface LoadedStore {
  /** Held by the word of the journal; looked at again by the first scan. */
  readonly shelved: readonly ShelvedFile[];
  /** Where files were that a crash may have damaged: recognized by content or not shared at all. */
  readonly suspects: ReadonlyMap<string, Placement>;
  /** Removed files: not to come back by themselves. */
  readonly removed: ReadonlyMap<string, Removal>;
  /** Removed files whose content a crash may have kept from the trash. */
  readonly removing: readonly ShelvedFile[];
  /** Everything that is known, held or not. */
  readonly entries: readonly MetadataEntry[];
  /** Names of files that were already without owner. */
  readonly unclaimed: readonly string[];
  /** Whose the files here are is not known any more. */
  readonly originsLost: boolean;
  /** metadata.json cannot be read, and is to be set aside under this name. */
  readonly damagedAside: string | undefined;
  /** Sentences for the person who starts the peer. */
  readonly notes: readonly string[];
}

export async function loadStore(
  layout: Layout,
  journal: Journal,
  now: () => number,
  /** The store was there before: it had a journal then. */
  isOld: boolean,
): Promise<LoadedStore> {
  const notes: string[] = [];
  const state = await journal.read();
  if (state && state.damagedLines > 0) {
    notes.push(
      `${state.damagedLines} damaged lines of the journal were left out; all else was read`,
    );
  }
  const { entries, damaged, damagedAside } = await loadMetadata(layout, now, notes);
  const shelved: ShelvedFile[] = [];
  const suspects = new Map<string, Placement>();
  for (const { file, placement, pushed = false, knownSince } of state?.held.values() ?? []) {
    if (!placement) continue;
    // What a crash may have damaged is hashed again, in the same way as files of unknown content.
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
      `${layout.unclaimed} was damaged; files whose owner the journal does not know are kept and not shared`,
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
    // A damaged file may have known more: what the others do not know was perhaps somebody else's.
    originsLost: unclaimed === undefined || damagedAside !== undefined ||
      (state === undefined ? damaged || isOld : state.damagedLines > 0 || !state.hasBeginning),
    damagedAside,
    notes,
  };
}

/** metadata.json, or the last good one when it is damaged. */
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
        notes.push(`${skipped} entries of metadata.json describe no file and were left out`);
      }
      // An older one may have been put in its place: what only the last good one knows is known as well.
      const known = new Set(entries.map(({ file }) => file.fileId));
      const more = (await loadLastGood(layout)).filter(({ file }) => !known.has(file.fileId));
      return { entries: [...entries, ...more], damaged: false, damagedAside };
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      damagedAside = `${layout.metadata}.damaged-${
        new Date(now()).toISOString().replaceAll(":", "-")
      }`;
      notes.push(`metadata.json was damaged; it is kept as ${damagedAside} and made anew`);
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

/** Names that were without owner; undefined when that is not known any more. */
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
