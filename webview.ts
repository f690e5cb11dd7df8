// The running peer as the web sees it (web/view.ts), made from the service. Only translation lives here; nothing is
// decided. Errors become sentences with a status; transfers of browsers are kept beside those of peers.

import { VERSION } from "./cli/arguments.ts";
import { Feed } from "./feed.ts";
import { isInbound, type Move, type Transfer } from "./moving.ts";
import type { Entry } from "./protocol/catalogue.ts";
import type { PeerRecord } from "./protocol/membership.ts";
import { OTHERS } from "./protocol/refusals.ts";
import { placeOf } from "./protocol/state.ts";
import { asciiJson } from "./protocol/text.ts";
import type { Service } from "./service.ts";
import { StorageError } from "./storage/errors.ts";
import { fileJson, peerJson, statusJson, transferJson } from "./web/api/listing.ts";
import {
  NotPossible,
  type ShareOptions,
  type Upload,
  type View,
  type ViewedContent,
  type ViewedFile,
  type ViewedPeer,
  type ViewedStatus,
  type ViewedTransfer,
} from "./web/view.ts";

type EventType = "status" | "peers" | "files" | "transfers" | "reset";

/** How it goes, for the pages and for `stats`. */
export function statusOf({ node, store, options, work }: Service): ViewedStatus {
  const { membership, catalogue } = node.peer.state;
  return {
    peerId: options.peerId,
    ...node.address,
    version: VERSION,
    uptimeSeconds: (performance.now() - node.startedMs) / 1000,
    synchronized: node.peer.synchronized,
    peers: membership.size,
    files: {
      known: catalogue.size,
      held: catalogue.heldCount,
      heldBytes: catalogue.heldBytes,
    },
    bytes: { in: node.moving.bytesIn, out: node.moving.bytesOut },
    freeBytes: store.freeBytes(),
    received: Object.fromEntries(node.counters.received),
    sent: Object.fromEntries(node.counters.sent),
    unsent: Object.fromEntries(node.counters.unsent),
    refused: Object.fromEntries(node.counters.refused.byReason),
    refusedByPeer: node.counters.refused.byPeer().map(({ who, counts }) => ({
      peer: who === OTHERS ? "(others)" : who,
      reasons: Object.fromEntries(counts),
    })),
    trash: store.removals.size,
    memoryBytes: Deno.memoryUsage().rss,
    work,
  };
}

/** Undefined unless it delivered lies or rubbish, and nothing is asked of it for a while. */
export function leftAlone({ node }: Service, record: PeerRecord) {
  const { standing } = node.peer.state;
  // The monotonic time of what happens outside an input to the machine.
  const pause = standing.pause(placeOf(record), performance.now());
  return pause && { seconds: Math.ceil(pause.leftMs / 1000), why: pause.text };
}

/** What the web may know and ask; `close` ends what watches. */
export function webViewOf(
  service: Service,
  hostNames: ReadonlySet<string>,
): View & { close(): void } {
  const { node, store, requests } = service;
  const { membership, catalogue } = node.peer.state;
  const file = (fileId: string) => {
    const entry = catalogue.get(fileId);
    return entry && viewedFile(service, entry);
  };
  const peers = () => [...membership.all()].map((record) => viewedPeer(service, record));
  const transfers = () => node.moving.all().map(viewedTransfer);
  const changes = new Changes(service, file, peers, transfers);
  const feed = new Feed<EventType>(changes);
  return {
    hostNames,
    status: () => statusOf(service),
    peers,
    files: () => [...catalogue.all()].map((entry) => viewedFile(service, entry)),
    file,
    deleted: async () =>
      (await store.removals.list()).map(({ file, sizeBytes, deletedMs }) => ({
        file,
        sizeBytes,
        deletedAt: Math.round(deletedMs / 1000),
      })),
    transfers,
    content: (fileId, client) => contentOf(service, fileId, client),
    share: (name, options) => possible(() => new Sharing(service, name, options)),
    fetch: async (fileId) => {
      try {
        await requests.get(fileId);
      } catch (error) {
        throw new NotPossible(
          409,
          messageOf(error),
          "Try again when a peer that holds it is there; GET /api/v1/transfers tells who was asked",
          { cause: error },
        );
      }
    },
    remove: (fileId) => {
      const entry = catalogue.get(fileId);
      const hint = "GET /api/v1/files lists what is known";
      if (!entry) throw new NotPossible(404, "No file with this id is known", hint);
      return possible(() => requests.delete(fileId));
    },
    restore: async (fileId) => {
      const restored = await possibly(() => requests.restore(fileId));
      return file(restored.fileId)!;
    },
    cancel: (id) => node.cancel(id),
    watch: (lastId, onEvent) => {
      const stop = feed.watch(lastId, onEvent);
      if (stop) return stop;
      throw new NotPossible(503, "Too many watch already", "Ask for the lists now and then");
    },
    close: () => feed.close(),
  };
}

/** What changed since the last look, for who watches. */
class Changes {
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
    if (nowMs - this.#lookedMs < 1_000) return;
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
      const text = `${transfer.state} ${transfer.doneBytes} ${transfer.name}`;
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

/** A file that somebody at the pages sends. */
class Sharing implements Upload {
  readonly #intake;
  readonly #move: Move;
  readonly #abort = new AbortController();

  constructor(readonly service: Service, readonly name: string, readonly options: ShareOptions) {
    this.#intake = service.requests.receive();
    this.#move = service.node.moving.begin({
      kind: "upload",
      fileId: "",
      name,
      peer: options.client,
      totalBytes: options.totalBytes,
    });
    this.#move.stop = () => this.#abort.abort();
  }

  get cancelled(): AbortSignal {
    return this.#abort.signal;
  }

  write(content: Uint8Array): void {
    possible(() => this.#intake.write(content));
    this.#move.moved(content.length);
  }

  async finish(): Promise<ViewedFile> {
    const modified = this.options.modifiedSeconds ?? Date.now() / 1000;
    try {
      const shared = await possibly(() =>
        this.service.requests.share(this.#intake, this.name, modified)
      );
      this.#move.fileId = shared.fileId;
      this.#move.done();
      return viewedFile(this.service, this.service.node.peer.state.catalogue.get(shared.fileId)!);
    } catch (error) {
      this.#move.failed(messageOf(error));
      throw error;
    }
  }

  abort(why: string): void {
    this.#intake.abort();
    this.#move.failed(why);
  }
}

function contentOf(
  { node, store }: Service,
  fileId: string,
  client: string,
): ViewedContent | undefined {
  const entry = node.peer.state.catalogue.get(fileId);
  const reader = entry?.held ? store.reader(fileId) : undefined;
  if (!entry || !reader) return undefined;
  let move: Move | undefined;
  let totalBytes = reader.sizeBytes;
  let isOpen = true;
  const close = (why?: string) => {
    if (!isOpen) return;
    isOpen = false;
    reader.close();
    if (why === undefined) move?.done();
    else move?.failed(why);
  };
  return {
    file: entry.file,
    sizeBytes: reader.sizeBytes,
    sha256: reader.sha256,
    readInto: (buffer) => {
      if (!isOpen) throw new Error("It was cancelled here");
      return reader.readInto(buffer);
    },
    seek: (offset, bytes) => {
      reader.seek(offset);
      totalBytes = bytes;
    },
    sent: (bytes) => {
      if (!move) {
        const { name } = entry.file;
        move = node.moving.begin({ kind: "download", fileId, name, peer: client, totalBytes });
        move.stop = () => close();
      }
      move.moved(bytes);
    },
    close,
  };
}

function viewedFile({ options }: Service, { file, held, holders }: Entry): ViewedFile {
  return { file, held, holders: held ? [options.peerId, ...holders] : [...holders] };
}

function viewedPeer(service: Service, record: PeerRecord): ViewedPeer {
  return {
    peerId: record.peerId,
    ...record.address,
    lastSeen: Math.round((Date.now() - (performance.now() - record.lastHeardMs)) / 1000),
    bootstrap: record.bootstrap,
    extended: record.extended,
    files: service.node.peer.state.catalogue.holdingsOf(record.peerId),
    refused: record.refusals,
    leftAlone: leftAlone(service, record),
  };
}

function viewedTransfer(transfer: Transfer): ViewedTransfer {
  const { id, kind, fileId, name, peer, doneBytes, totalBytes, state, why, endedMs } = transfer;
  const nowMs = performance.now();
  return {
    id,
    kind,
    direction: isInbound(transfer) ? "in" : "out",
    fileId,
    name,
    peer,
    doneBytes,
    totalBytes,
    state,
    seconds: ((endedMs ?? nowMs) - transfer.startedMs) / 1000,
    endedAt: endedMs === undefined
      ? undefined
      : Math.round((Date.now() - (nowMs - endedMs)) / 1000),
    why,
  };
}

const STATUS_OF = {
  "not-found": 404,
  "too-large": 413,
  "no-space": 507,
  "not-writable": 503,
  "in-use": 503,
  io: 503,
} as const;

function possible<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw notPossible(error);
  }
}

async function possibly<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw notPossible(error);
  }
}

/** What the store and the requests say in sentences, with a status. */
function notPossible(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof TypeError || error instanceof NotPossible) {
    return error;
  }
  const status = error instanceof StorageError ? STATUS_OF[error.code] : 409;
  const [text, hint] = error.message.split("; ", 2);
  return new NotPossible(status, text!, hint ?? "GET /api/v1/status tells how it stands", {
    cause: error,
  });
}

const messageOf = (error: unknown) => error instanceof Error ? error.message : String(error);
