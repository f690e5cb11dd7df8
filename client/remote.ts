// The commands of the prompt, asked of a running peer over its API. This only translates; it decides nothing.

import {
  type Ask,
  confirmDeletion,
  type JustDeleted,
  type SharedCommands,
} from "../cli/commands.ts";
import { CommandError, type Failure } from "../cli/failures.ts";
import type { FileFilter, FoundFiles, Screen } from "../cli/listings.ts";
import { UsageError } from "../cli/values.ts";
import { statusRows } from "../cli/status_text.ts";
import type { FileRecord } from "../protocol/wire/message.ts";
import type { Api } from "./api.ts";
import {
  type ApiDeleted,
  type ApiFile,
  type ApiPeer,
  type ApiStatus,
  type ApiTransfer,
  deletedRow,
  figuresOf,
  fileRow,
  peerRow,
  recordOf,
  transferRow,
} from "./rows.ts";

/** Maximum number of rows of one page of the API. */
const PAGE_ROWS = 500;

/** A limit on speed, as the API has it: null means none. */
type ApiLimits = { readonly down: number | null; readonly up: number | null };

/** How far the news of a deletion has come, as the API has it. */
interface ApiTold {
  readonly reached: number;
  readonly left: number;
  readonly slow: number;
  readonly slow_seconds: number;
}

/** A file that was deleted. */
export interface Removed {
  readonly file: ApiFile;
  readonly where: "everywhere" | "here";
}

/** What became of files to delete. */
export interface Removal {
  readonly removed: readonly Removed[];
  readonly failed: readonly {
    readonly what: string;
    readonly kind: Failure;
    readonly detail: string;
  }[];
  /** How far the news of those deleted everywhere has come; undefined if there are none. */
  readonly told: ApiTold | undefined;
}

/** What the commands that are the same at the prompt and in a shell need of a peer. */
export class Remote implements SharedCommands {
  /** `screen`: the size of the terminal, if there is one. */
  constructor(readonly api: Api, readonly screen: () => Screen | undefined) {}

  /** Finds a file by its id, by the unique beginning of its id, or by its name. Throws `CommandError`. */
  async find(what: string): Promise<ApiFile> {
    if (what.trim() === "") throw new UsageError("The name of the file is empty");
    const path = `/files/find?${new URLSearchParams({ what })}`;
    return (await this.api.json<{ file: ApiFile }>(path)).file;
  }

  /** Finds a deleted file. Throws `CommandError`. */
  async findDeleted(what: string): Promise<ApiDeleted> {
    const path = `/files/find?${new URLSearchParams({ what, among: "deleted" })}`;
    return (await this.api.json<{ file: ApiDeleted }>(path)).file;
  }

  async files(filter: FileFilter, limit: number): Promise<FoundFiles> {
    const rows = `limit=${Math.min(limit, PAGE_ROWS)}`;
    const path = `/files?${searchOf(filter)}&${rows}`;
    const page = await this.api.json<{ files: ApiFile[]; total: number }>(path);
    const { files: { known } } = await this.status();
    return { rows: page.files.map(fileRow), total: page.total, known };
  }

  async status(): Promise<ApiStatus> {
    return await this.api.json<ApiStatus>("/status");
  }

  async peers() {
    const { now } = await this.status();
    const rows: ReturnType<typeof peerRow>[] = [];
    for await (const peer of this.api.rows<ApiPeer>("/peers")) rows.push(peerRow(peer, now));
    return rows;
  }

  async transfers() {
    const rows: ReturnType<typeof transferRow>[] = [];
    for await (const each of this.api.rows<ApiTransfer>("/transfers")) rows.push(transferRow(each));
    return rows;
  }

  async connect(address: string): Promise<{ readonly peerId: string }> {
    const body = JSON.stringify({ address });
    return await this.api.json<{ peerId: string }>("/peers", { method: "POST", body });
  }

  async stats() {
    return statusRows(figuresOf(await this.status()));
  }

  /**
   * Deletes files. All are found before any is deleted: a mistyped name must not leave half of them. Of those, each is tried. Throws
   * `CommandError` if one is not found, or the answer is no.
   */
  async remove(what: readonly string[], ask?: Ask): Promise<Removal> {
    const files = new Map<string, ApiFile>();
    for (const text of what) {
      const file = await this.find(text);
      files.set(file.file_id, file);
    }
    const { peerId } = await this.status();
    const ours = [...files.values()].filter(({ file_owner }) => file_owner === peerId);
    await confirmDeletion(
      ours.map(({ file_name, peers_with_file }) => ({
        name: file_name,
        holders: peers_with_file.filter((holder) => holder !== peerId).length,
      })),
      ask,
    );
    const removed: Removed[] = [];
    const failed: Removal["failed"][number][] = [];
    let told: ApiTold | undefined;
    // Peers hear of deletions in order, so whoever has heard of our last one has heard of all.
    const last = ours.at(-1)?.file_id;
    for (const file of files.values()) {
      const path = `/files/${file.file_id}${file.file_id === last ? "?wait=true" : ""}`;
      try {
        const answer = await this.api.json<Pick<Removed, "where"> & { readonly told?: ApiTold }>(
          path,
          { method: "DELETE" },
        );
        removed.push({ file, where: answer.where });
        told = answer.told ?? told;
      } catch (error) {
        if (!(error instanceof CommandError)) throw error;
        failed.push({ what: file.file_name, kind: error.kind, detail: error.message });
      }
    }
    return { removed, failed, told };
  }

  async restore(what: string): Promise<FileRecord> {
    return recordOf(await this.bringBack(what));
  }

  /** Restores a file. Throws `CommandError`. */
  async bringBack(what: string): Promise<ApiFile> {
    const { file_id } = await this.findDeleted(what);
    const path = `/files/${file_id}/restore`;
    return (await this.api.json<{ file: ApiFile }>(path, { method: "POST" })).file;
  }

  async deleted(limit: number) {
    const { now } = await this.status();
    const rows = `limit=${Math.min(limit, PAGE_ROWS)}`;
    const { files, total } = await this.api.json<{ files: ApiDeleted[]; total: number }>(
      `/files/deleted?${rows}`,
    );
    return { rows: files.map((file) => deletedRow(file, now)), total };
  }

  async limits() {
    const { down, up } = await this.api.json<ApiLimits>("/limits");
    return { down: down ?? 0, up: up ?? 0 };
  }

  async setLimit(which: "down" | "up", bytesPerSecond: number): Promise<void> {
    const body = JSON.stringify({ [which]: bytesPerSecond || null });
    await this.api.json("/limits", { method: "PATCH", body });
  }

  async logLevel(): Promise<string> {
    return (await this.api.json<{ level: string }>("/log")).level;
  }

  async setLogLevel(level: string): Promise<void> {
    await this.api.json("/log", { method: "PATCH", body: JSON.stringify({ level }) });
  }
}

/** Returns a search of the API for what `list` shows, newest first. */
export function searchOf({ where, pattern }: FileFilter): URLSearchParams {
  const place = { local: "here", remote: "elsewhere" };
  return new URLSearchParams({
    sort: "-known",
    ...(where === undefined ? {} : { where: place[where] }),
    ...(pattern === undefined ? {} : { name: pattern }),
  });
}

/** Returns what was deleted, as the answer to `delete` needs it. */
export function deletionOf({ removed, told }: Removal): JustDeleted {
  const namesOf = (where: Removed["where"]) =>
    removed.filter((each) => each.where === where).map(({ file }) => file.file_name);
  const { reached, left, slow, slow_seconds } = told ??
    { reached: 0, left: 0, slow: 0, slow_seconds: 0 };
  return {
    everywhere: namesOf("everywhere"),
    here: namesOf("here"),
    reached,
    left: left - slow,
    slow,
    slowMs: slow_seconds * 1_000,
  };
}
