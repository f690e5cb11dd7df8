// What changed since the last look, for who watches at the pages: rows that are new or not what they were, names of
// those that are gone, and the status once a second.

import type { Service } from "./service.ts";
import { asciiJson } from "../protocol/wire/text.ts";
import { fileJson, peerJson, statusJson, transferJson } from "../web/api/listing.ts";
import type { ViewedFile, ViewedPeer, ViewedTransfer } from "../web/view.ts";
import { statusOf } from "./status.ts";

/** Peers and status are looked at this often: their times move all the time. */
const LOOK_MS = 1_000;

export type EventType = "status" | "peers" | "files" | "transfers" | "reset";

/** What changed since the last look, for who watches. */
export class Changes {
  #lookedMs = 0;
  #status = "";
  readonly #peers = new Map<string, string>();
  readonly #transfers = new Map<number, string>();

  constructor(
    readonly service: Service,
    readonly file: (fileId: string) => ViewedFile | undefined,
    readonly peers: () => ViewedPeer[],
    readonly transfers: () => ViewedTransfer[],
  ) {}

  watch(isWatched: boolean): void {
    this.service.node.peer.state.catalogue.watch(isWatched);
    this.#peers.clear();
    this.#transfers.clear();
    if (!isWatched) return;
    // What is there already is no change.
    for (const _ of this.#changedPeers());
    for (const _ of this.#changedTransfers());
  }

  *changes(): Iterable<{ type: EventType; data: string }> {
    yield* this.#changedFiles();
    yield* this.#changedTransfers();
    const nowMs = performance.now();
    if (nowMs - this.#lookedMs < LOOK_MS) return;
    this.#lookedMs = nowMs;
    yield* this.#changedPeers();
    const status = JSON.stringify(statusJson(statusOf(this.service)));
    if (status !== this.#status) yield { type: "status", data: status };
    this.#status = status;
  }

  *#changedFiles(): Iterable<{ type: EventType; data: string }> {
    const touched = this.service.node.peer.state.catalogue.takeTouched();
    if (touched === "many") {
      yield { type: "reset", data: "{}" };
      return;
    }
    if (touched.length === 0) return;
    const changed = touched.flatMap((fileId) => this.file(fileId) ?? []).map(fileJson);
    const removed = touched.filter((fileId) => this.file(fileId) === undefined);
    yield { type: "files", data: asciiJson({ changed, removed }) };
  }

  *#changedPeers(): Iterable<{ type: EventType; data: string }> {
    const changed: unknown[] = [];
    const gone = new Set(this.#peers.keys());
    for (const peer of this.peers()) {
      const row = peerJson(peer);
      const text = JSON.stringify(row);
      gone.delete(peer.peerId);
      if (this.#peers.get(peer.peerId) === text) continue;
      this.#peers.set(peer.peerId, text);
      changed.push(row);
    }
    for (const peerId of gone) this.#peers.delete(peerId);
    if (changed.length + gone.size === 0) return;
    yield { type: "peers", data: JSON.stringify({ changed, removed: [...gone] }) };
  }

  *#changedTransfers(): Iterable<{ type: EventType; data: string }> {
    const changed: unknown[] = [];
    const rows = this.transfers();
    for (const transfer of rows) {
      // How long it has taken goes on by itself.
      const { state, doneBytes, totalBytes, name, peer, why } = transfer;
      const text = JSON.stringify([state, doneBytes, totalBytes, name, peer, why]);
      if (this.#transfers.get(transfer.id) === text) continue;
      this.#transfers.set(transfer.id, text);
      changed.push(transferJson(transfer));
    }
    if (this.#transfers.size > rows.length) {
      const ids = new Set(rows.map(({ id }) => id));
      for (const id of this.#transfers.keys()) if (!ids.has(id)) this.#transfers.delete(id);
    }
    if (changed.length > 0) yield { type: "transfers", data: JSON.stringify({ changed }) };
  }
}
