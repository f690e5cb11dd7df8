// metadata.json and its small companions: snapshots of everything known, each replaced atomically.
// The journal, not these, is what nothing may be lost from; these are what other programs read and what
// the next start knows of the network.

import * as v from "valibot";
import { isFileId } from "../protocol/wire/fileid.ts";
import { readText, replaceFile } from "./atomic.ts";
import { checkFolders, type Layout, removeIfThere } from "./layout.ts";
import { removeTemporary } from "./leftovers.ts";
import { entryText, type MetadataEntry } from "./metadata.ts";
import { nameAgain } from "./placing.ts";

/** Entries made into text before other work gets its turn. */
const ENTRIES_PER_TURN = 1_000;

/** A peer of the last run. */
const KnownPeerShape = v.object({
  peerId: v.string(),
  host: v.string(),
  port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)),
  /** Unix seconds. */
  lastSeen: v.number(),
  /** Whether it was named by a peer on this machine. */
  local: v.optional(v.boolean(), false),
});
export type KnownPeer = Readonly<v.InferOutput<typeof KnownPeerShape>>;

/** A deleted id and when, Unix seconds. */
const DeletedShape = v.tuple([v.custom<string>(isFileId), v.number()]);

/** Known peers are tried again for this long. */
const KNOWN_PEER_SECONDS = 7 * 86_400;

export class Snapshots {
  /** Sentences for the person who starts the peer: what was damaged, and where it is kept. */
  readonly notes: string[] = [];

  constructor(readonly layout: Layout) {}

  /** Replaces metadata.json; the one before it stays as the last good one. Throws `StorageError`. */
  async saveMetadata(entries: Iterable<MetadataEntry>): Promise<void> {
    const { metadata, lastGood, temporaries } = this.layout;
    checkFolders(this.layout);
    await replaceFile(metadata, metadataText(entries), {
      temporaries,
      before: async () => {
        // Never without metadata.json: the old one gets a second name before the new takes its place.
        const temporary = `${temporaries}/last-good.json`;
        await removeIfThere(temporary); // left by a failure
        try {
          await nameAgain(metadata, temporary);
          await Deno.rename(temporary, lastGood);
          // Killed right here once, both were one file under two names: of these, rename leaves both (POSIX).
          removeTemporary(temporary);
        } catch (error) {
          if (!(error instanceof Deno.errors.NotFound)) throw error;
        }
      },
    });
  }

  async saveDeleted(
    deleted: Iterable<readonly [fileId: string, unixSeconds: number]>,
  ): Promise<void> {
    const text = JSON.stringify(Object.fromEntries(deleted), undefined, 1) + "\n";
    await this.#save(this.layout.deleted, text);
  }

  async savePeers(peers: readonly KnownPeer[]): Promise<void> {
    await this.#save(this.layout.peers, JSON.stringify(peers, undefined, 1) + "\n");
  }

  async saveUnclaimed(names: readonly string[]): Promise<void> {
    await this.#save(this.layout.unclaimed, JSON.stringify(names, undefined, 1) + "\n");
  }

  /** Lines typed at the prompt, the latest first. */
  async saveHistory(lines: readonly string[]): Promise<void> {
    await this.#save(this.layout.history, lines.join("\n") + "\n");
  }

  /** Deleted ids and when, Unix seconds. Damaged ones are left out. */
  async loadDeleted(): Promise<[string, number][]> {
    const value = await this.#load(this.layout.deleted);
    if (typeof value !== "object" || value === null) return [];
    return fitting(DeletedShape, Object.entries(value));
  }

  /** Peers of the last runs, the latest first. */
  async loadPeers(nowSeconds: number): Promise<KnownPeer[]> {
    const value = await this.#load(this.layout.peers);
    if (!Array.isArray(value)) return [];
    return fitting(KnownPeerShape, value)
      .filter(({ lastSeen }) => nowSeconds - lastSeen < KNOWN_PEER_SECONDS)
      .sort((a, b) => b.lastSeen - a.lastSeen);
  }

  /** What a file has; undefined where there is none. A damaged one is kept aside, and what it had is lost. */
  async #load(path: string): Promise<unknown> {
    const text = await readText(path);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      const aside = `${path}.damaged`;
      await Deno.rename(path, aside);
      this.notes.push(`${path} was damaged; it is kept as ${aside} and made anew`);
      return undefined;
    }
  }

  async #save(path: string, text: string): Promise<void> {
    checkFolders(this.layout);
    await replaceFile(path, [text], { temporaries: this.layout.temporaries, mode: 0o600 });
  }
}

/** What of a list has the shape; damaged parts are left out. */
function fitting<T>(shape: v.GenericSchema<unknown, T>, values: readonly unknown[]): T[] {
  return values.flatMap((value) => {
    const parsed = v.safeParse(shape, value);
    return parsed.success ? [parsed.output] : [];
  });
}

async function* metadataText(entries: Iterable<MetadataEntry>): AsyncIterable<string> {
  let piece = "{";
  let count = 0;
  for (const entry of entries) {
    piece += `${count === 0 ? "" : ","}\n "${entry.file.fileId}": ${entryText(entry)}`;
    if (++count % ENTRIES_PER_TURN > 0) continue;
    yield piece;
    piece = "";
    // A large catalogue takes seconds to write down; messages are answered meanwhile.
    await new Promise((go) => setTimeout(go, 0));
  }
  yield piece + "\n}\n";
}
