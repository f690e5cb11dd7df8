// What changed since the last look, for whoever watches the pages: rows that are new or different, names of those that are
// gone, and the status once a second. Typed; `web/feed.ts` makes JSON of it.

import type { Changed, FileChanges } from "./file_changes.ts";
import type { Service } from "./service.ts";
import type {
  ChangeSource,
  ViewedChange,
  ViewedFile,
  ViewedPeer,
  ViewedTransfer,
} from "../web/view.ts";
import { statusOf } from "./status.ts";

/** Minimum interval between looks at peers and status, in milliseconds: their times change constantly. */
const LOOK_MS = 1_000;
/**
 * Maximum changed files named at once. Beyond this, watchers are told to reload: a page shows some thirty rows, and reads
 * those again faster than it takes in thousands.
 */
const MAX_FILES = 500;

/** What the pages show, as it can be read at any time. */
export interface Rows {
  file(fileId: string): ViewedFile | undefined;
  peers(): ViewedPeer[];
  transfers(): ViewedTransfer[];
}

/** Compares what the pages show with what they showed at the last look. */
export class ChangeTracker implements ChangeSource {
  #lookedMs = 0;
  #status = "";
  readonly #files = new Set<string>();
  #hasManyFiles = false;
  readonly #peers = new Map<string, string>();
  readonly #transfers = new Map<number, string>();
  #leave = () => {};

  constructor(
    readonly service: Service,
    readonly fileChanges: FileChanges,
    readonly rows: Rows,
  ) {}

  watch(isWatched: boolean): void {
    this.#forgetFiles();
    this.#peers.clear();
    this.#transfers.clear();
    this.#leave();
    this.#leave = isWatched ? this.fileChanges.listen((ids) => this.#noteFiles(ids)) : () => {};
    if (!isWatched) return;
    // What is there already is no change.
    for (const _ of this.#changedPeers());
    for (const _ of this.#changedTransfers());
  }

  *changes(): Iterable<ViewedChange> {
    yield* this.#changedFiles();
    yield* this.#changedTransfers();
    const nowMs = performance.now();
    if (nowMs - this.#lookedMs < LOOK_MS) return;
    this.#lookedMs = nowMs;
    yield* this.#changedPeers();
    const status = statusOf(this.service);
    const text = JSON.stringify(status);
    if (text !== this.#status) yield { type: "status", status };
    this.#status = text;
  }

  #noteFiles(fileIds: Changed): void {
    if (this.#hasManyFiles) return;
    for (const fileId of fileIds === "many" ? [] : fileIds) this.#files.add(fileId);
    if (fileIds !== "many" && this.#files.size <= MAX_FILES) return;
    this.#forgetFiles();
    this.#hasManyFiles = true;
  }

  #forgetFiles(): void {
    this.#files.clear();
    this.#hasManyFiles = false;
  }

  *#changedFiles(): Iterable<ViewedChange> {
    const touched = [...this.#files];
    const isReset = this.#hasManyFiles;
    this.#forgetFiles();
    if (isReset) yield { type: "reset" };
    if (touched.length === 0) return;
    const changed: ViewedFile[] = [];
    const removed: string[] = [];
    for (const fileId of touched) {
      const file = this.rows.file(fileId);
      if (file) changed.push(file);
      else removed.push(fileId);
    }
    yield { type: "files", changed, removed };
  }

  *#changedPeers(): Iterable<ViewedChange> {
    const changed: ViewedPeer[] = [];
    const gone = new Set(this.#peers.keys());
    for (const peer of this.rows.peers()) {
      const text = JSON.stringify(peer);
      gone.delete(peer.peerId);
      if (this.#peers.get(peer.peerId) === text) continue;
      this.#peers.set(peer.peerId, text);
      changed.push(peer);
    }
    for (const peerId of gone) this.#peers.delete(peerId);
    if (changed.length + gone.size > 0) yield { type: "peers", changed, removed: [...gone] };
  }

  *#changedTransfers(): Iterable<ViewedChange> {
    const changed: ViewedTransfer[] = [];
    const rows = this.rows.transfers();
    for (const transfer of rows) {
      // How long it has taken changes all the time.
      const { state, doneBytes, totalBytes, name, peer, why } = transfer;
      const text = JSON.stringify([state, doneBytes, totalBytes, name, peer, why]);
      if (this.#transfers.get(transfer.id) === text) continue;
      this.#transfers.set(transfer.id, text);
      changed.push(transfer);
    }
    if (this.#transfers.size > rows.length) {
      const ids = new Set(rows.map(({ id }) => id));
      for (const id of this.#transfers.keys()) if (!ids.has(id)) this.#transfers.delete(id);
    }
    if (changed.length > 0) yield { type: "transfers", changed };
  }
}
