// What the store remembers at start: journal, metadata.json, the last good one, and what to do when some of
// them are damaged. Always holds: a damaged file is set aside, never overwritten; held files come back with
// the ids and owners that they had; where nobody knows any more whose a file is, it is not published.

import * as v from "valibot";
import { readText } from "./atomic.ts";
import type { Journal } from "./journal.ts";
import type { Layout } from "./layout.ts";
import { type MetadataEntry, parseMetadata } from "./metadata.ts";
import type { ShelvedFile } from "./shelf.ts";

export interface LoadedStore {
  /** Held by the word of the journal; looked at again by the first scan. */
  readonly shelved: readonly ShelvedFile[];
  /** Names of files that a crash may have damaged: recognized by content or not shared at all. */
  readonly suspectNames: readonly string[];
  /** Everything else that is known, held by the word of somebody's metadata or not held. */
  readonly entries: readonly MetadataEntry[];
  /** Names of files that were already without owner. */
  readonly unclaimed: readonly string[];
  /** Whose the files here are is not known any more. */
  readonly originsLost: boolean;
  /** Sentences for the person who starts the peer. */
  readonly notes: readonly string[];
}

export async function loadStore(
  layout: Layout,
  journal: Journal,
  now: () => number,
): Promise<LoadedStore> {
  const notes: string[] = [];
  const state = await journal.read();
  if (state && state.damagedLines > 0) {
    notes.push(
      `${state.damagedLines} damaged lines of the journal were left out; all else was read`,
    );
  }
  const { entries, damaged } = await loadMetadata(layout, now, notes);
  const shelved: ShelvedFile[] = [];
  const known = new Set<string>();
  const suspects: MetadataEntry[] = [];
  for (const entry of state?.held.values() ?? []) {
    const { file, placement, pushed = false } = entry;
    known.add(file.fileId);
    // What a crash may have damaged is hashed again, by the same way as files of unknown content.
    if (placement && !state!.unsynced.has(file.fileId)) shelved.push({ file, placement, pushed });
    else suspects.push(entry);
  }
  return {
    shelved,
    entries: [...suspects, ...entries.filter(({ file }) => !known.has(file.fileId))],
    unclaimed: await loadUnclaimed(layout),
    suspectNames: suspects.flatMap(({ placement }) => placement ? [placement.diskName] : []),
    originsLost: entries.length === 0 && (state ? state.damagedLines > 0 : damaged),
    notes,
  };
}

/** metadata.json, or the last good one when it is damaged. */
async function loadMetadata(
  layout: Layout,
  now: () => number,
  notes: string[],
): Promise<{ entries: MetadataEntry[]; damaged: boolean }> {
  const text = await readText(layout.metadata);
  if (text !== undefined) {
    try {
      const { entries, skipped } = parseMetadata(text);
      if (skipped > 0) {
        notes.push(`${skipped} entries of metadata.json describe no file and were left out`);
      }
      return { entries, damaged: false };
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      const aside = `${layout.metadata}.damaged-${
        new Date(now()).toISOString().replaceAll(":", "-")
      }`;
      await Deno.rename(layout.metadata, aside);
      notes.push(`metadata.json was damaged; it is kept as ${aside} and made anew`);
    }
  }
  const lastGood = await readText(layout.lastGood);
  if (lastGood === undefined) return { entries: [], damaged: text !== undefined };
  try {
    return { entries: parseMetadata(lastGood).entries, damaged: true };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { entries: [], damaged: true };
  }
}

async function loadUnclaimed(layout: Layout): Promise<string[]> {
  try {
    const names = v.safeParse(
      v.array(v.string()),
      JSON.parse(await readText(layout.unclaimed) ?? "[]"),
    );
    return names.success ? names.output : [];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}
