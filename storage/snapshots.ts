// metadata.json and the small files next to it: snapshots of everything known, each replaced atomically. They are
// what other programs read and what the next start knows of the network. Only the journal must never lose anything.

import * as v from "valibot";
import { isFileId } from "../protocol/wire/fileid.ts";
import { readText, replaceFile } from "./atomic.ts";
import { checkFolders, type Layout, removeIfThere } from "./layout.ts";
import { removeTemporary } from "./leftovers.ts";
import { linesOf } from "./lines.ts";
import { entryText, type MetadataEntry } from "./metadata.ts";
import { nameAgain } from "./placing.ts";

/** Number of entries converted to text before other work gets its turn. */
const ENTRIES_PER_TURN = 1_000;

const KnownPeerShape = v.object({
  peerId: v.string(),
  host: v.string(),
  port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)),
  lastSeen: v.number(),
  local: v.optional(v.boolean(), false),
  added: v.optional(v.string()),
});

/** A peer of an earlier run. */
export interface KnownPeer {
  /** Its id. */
  readonly peerId: string;
  /** Address or host name where it listened. */
  readonly host: string;
  /** P2P port, 1 to 65,535. */
  readonly port: number;
  /** When it was last heard, Unix seconds. */
  readonly lastSeen: number;
  /** Whether a peer on this machine named it, so that it may be dialed at a local address. */
  readonly local: boolean;
  /** The address by which a person added it, "host:port": it is remembered for good. */
  readonly added?: string | undefined;
}

/** A line of the list of deleted ids, as `deletedText` writes it. */
const DELETED_LINE = /^ "([\da-f]{64})": (\d+),?$/;

/** A part of a longer string would keep all of it in memory. */
const copyOf = (text: string): string => JSON.parse(`"${text}"`);

/** How long peers of earlier runs are tried again, in seconds. */
const KNOWN_PEER_SECONDS = 7 * 86_400;

/** Reads and writes the snapshots of one store. */
export class Snapshots {
  /** Sentences for the person who starts the peer: what was damaged, and where it was kept. */
  readonly notes: string[] = [];

  /** Reads nothing yet. */
  constructor(readonly layout: Layout) {}

  /** Replaces metadata.json, and keeps the previous one as the last good one. Throws `StorageError`. */
  async saveMetadata(entries: Iterable<MetadataEntry>): Promise<void> {
    const { metadata, lastGood, temporaries } = this.layout;
    checkFolders(this.layout);
    await replaceFile(metadata, metadataText(entries), {
      temporaries,
      before: async () => {
        // There is a metadata.json at every moment: the old one gets a second name before the new one replaces it.
        const temporary = `${temporaries}/last-good.json`;
        await removeIfThere(temporary); // left over from a failure
        try {
          await nameAgain(metadata, temporary);
          await Deno.rename(temporary, lastGood);
          // If the process was once killed right here, both names are the same file, and rename then leaves both
          // (POSIX).
          removeTemporary(temporary);
        } catch (error) {
          if (!(error instanceof Deno.errors.NotFound)) throw error;
        }
      },
    });
  }

  /** Replaces the list of deleted ids. Throws `StorageError`. */
  async saveDeleted(
    deleted: Iterable<readonly [fileId: string, unixSeconds: number]>,
  ): Promise<void> {
    checkFolders(this.layout);
    const { temporaries } = this.layout;
    await replaceFile(this.layout.deleted, deletedText(deleted), { temporaries, mode: 0o600 });
  }

  /** Replaces the list of known peers. Throws `StorageError`. */
  async savePeers(peers: readonly KnownPeer[]): Promise<void> {
    await this.#save(this.layout.peers, JSON.stringify(peers, undefined, 1) + "\n");
  }

  /** Replaces the list of files whose owner is unknown. Throws `StorageError`. */
  async saveUnclaimed(names: readonly string[]): Promise<void> {
    await this.#save(this.layout.unclaimed, JSON.stringify(names, undefined, 1) + "\n");
  }

  /** Replaces the lines typed at the prompt, the latest first. Throws `StorageError`. */
  async saveHistory(lines: readonly string[]): Promise<void> {
    await this.#save(this.layout.history, lines.join("\n") + "\n");
  }

  /** Returns deleted ids and when each was deleted, Unix seconds. Skips damaged entries. Throws `StorageError`. */
  async loadDeleted(): Promise<[string, number][]> {
    const deleted: [string, number][] = [];
    // Line by line, because there may be half a million.
    for await (const lines of linesOf(this.layout.deleted)) {
      for (const line of lines) {
        const [, fileId, seconds] = DELETED_LINE.exec(line) ?? [];
        if (fileId !== undefined) deleted.push([copyOf(fileId), Number(seconds)]);
        else if (line !== "{" && line !== "}" && line !== "{}") return await this.#loadAllDeleted();
      }
    }
    return deleted;
  }

  /** Reads the list if it is not as we write it: damaged, or edited by a person. */
  async #loadAllDeleted(): Promise<[string, number][]> {
    const value = await this.#load(this.layout.deleted);
    if (typeof value !== "object" || value === null) return [];
    return Object.entries(value).filter((entry): entry is [string, number] =>
      isFileId(entry[0]) && typeof entry[1] === "number"
    );
  }

  /**
   * Returns peers of earlier runs, the latest first. Skips damaged entries and peers not heard for a week. Throws
   * `StorageError`.
   */
  async loadPeers(nowSeconds: number): Promise<KnownPeer[]> {
    const value = await this.#load(this.layout.peers);
    if (!Array.isArray(value)) return [];
    return fitting(KnownPeerShape, value)
      .filter(({ lastSeen, added }) =>
        added !== undefined || nowSeconds - lastSeen < KNOWN_PEER_SECONDS
      )
      .sort((a, b) => b.lastSeen - a.lastSeen);
  }

  /**
   * Returns the parsed content of a file, or `undefined` if there is none. A damaged file is set aside, and its
   * content is lost.
   */
  async #load(path: string): Promise<unknown> {
    const text = await readText(path);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      const aside = `${path}.damaged`;
      await Deno.rename(path, aside);
      this.notes.push(
        `${path} was damaged. It was kept as ${aside}, and a new one will be written`,
      );
      return undefined;
    }
  }

  async #save(path: string, text: string): Promise<void> {
    checkFolders(this.layout);
    await replaceFile(path, [text], { temporaries: this.layout.temporaries, mode: 0o600 });
  }
}

/** Returns the values that have the shape; damaged ones are skipped. */
function fitting<T>(shape: v.GenericSchema<unknown, T>, values: readonly unknown[]): T[] {
  return values.flatMap((value) => {
    const parsed = v.safeParse(shape, value);
    return parsed.success ? [parsed.output] : [];
  });
}

async function* deletedText(
  deleted: Iterable<readonly [fileId: string, unixSeconds: number]>,
): AsyncIterable<string> {
  let piece = "{";
  let count = 0;
  for (const [fileId, unixSeconds] of deleted) {
    piece += `${count === 0 ? "" : ","}\n "${fileId}": ${unixSeconds}`;
    if (++count % ENTRIES_PER_TURN > 0) continue;
    yield piece;
    piece = "";
    await new Promise((go) => setTimeout(go, 0));
  }
  yield piece + (count === 0 ? "}\n" : "\n}\n");
}

async function* metadataText(entries: Iterable<MetadataEntry>): AsyncIterable<string> {
  let piece = "{";
  let count = 0;
  for (const entry of entries) {
    piece += `${count === 0 ? "" : ","}\n "${entry.file.fileId}": ${entryText(entry)}`;
    if (++count % ENTRIES_PER_TURN > 0) continue;
    yield piece;
    piece = "";
    // Writing a large catalogue takes seconds; messages are answered meanwhile.
    await new Promise((go) => setTimeout(go, 0));
  }
  yield piece + "\n}\n";
}
