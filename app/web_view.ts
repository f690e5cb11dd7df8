// The running peer as the web sees it (web/view.ts), made from the service. This only translates; it decides nothing.
// Errors get an HTTP status and a hint; transfers of browsers are kept next to those of peers.

import { FetchError } from "../node/node.ts";
import type { Service } from "./service.ts";
import { NotPossible, type View } from "../web/view.ts";
import { ChangeTracker } from "./changes.ts";
import { BrowserUpload, contentOf } from "./browser_content.ts";
import { kindOf } from "./failures.ts";
import type { Deleted } from "../storage/removals.ts";
import { possible, possibly } from "./web_errors.ts";
import { Feed } from "../web/feed.ts";
import { FileChanges, KeptChanges } from "./file_changes.ts";
import { RateHistory } from "./rates.ts";
import { Resumables } from "./resumable_uploads.ts";
import { statusOf, viewedAway, viewedFile, viewedPeer, viewedTransfer } from "./status.ts";

/** The view of a running peer. Rates are sampled and changes watched until `close`. */
export type RunningView = View & { close(): void };

/** Returns what the web may know of the peer and ask of it. */
export function webViewOf(
  service: Service,
  hostNames: () => ReadonlySet<string>,
  log: Pick<View, "logLevel" | "setLogLevel">,
): RunningView {
  const { node, operations } = service;
  const { membership, catalogue } = node.peer;
  const file = (fileId: string) => {
    const entry = catalogue.get(fileId);
    return entry && viewedFile(service, entry);
  };
  const peers = () => [...membership.all()].map((record) => viewedPeer(service, record));
  const transfers = () => node.transferLog.all().map((move) => viewedTransfer(service, move));
  const fileChanges = new FileChanges(node);
  const feed = new Feed(
    new ChangeTracker(service, fileChanges, { file, peers, transfers }),
    () => node.noteOverload("watchers-dropped"),
  );
  const kept = new Set<KeptChanges>();
  const rates = new RateHistory(node.transferLog);
  rates.start();
  return {
    get hostNames() {
      return hostNames();
    },
    status: () => statusOf(service),
    peers,
    away: () => service.away.all(performance.now()).map(viewedAway),
    files: function* () {
      for (const entry of catalogue.all()) yield viewedFile(service, entry);
    },
    file,
    watchFiles: (onEnd) => {
      const changes: KeptChanges = new KeptChanges(fileChanges, () => {
        kept.delete(changes);
        onEnd();
      });
      kept.add(changes);
      return () => changes.take();
    },
    deleted: (start, limit) => deletedPage(service, start, limit),
    transfers,
    rates: () => rates.all(),
    content: (fileId, client) => possible(() => contentOf(service, fileId, client)),
    share: (name, options) => possible(() => new BrowserUpload(service, name, options)),
    uploads: new Resumables(service),
    fetch: (fileId) => fetchFile(service, fileId),
    connect: (text) => connect(service, text),
    find: (text) => possible(() => viewedFile(service, operations.find(text))),
    findDeleted: async (text) => viewedDeleted(await possibly(() => operations.findDeleted(text))),
    remove: (fileId) => {
      const entry = catalogue.get(fileId);
      const hint = "GET /api/v1/files lists what is known";
      if (!entry) throw new NotPossible(404, "No file with this id is known", hint);
      return possible(() => operations.delete(fileId));
    },
    toldOfDeletion: (fileId) => operations.toldOfDeletion(fileId),
    restore: async (fileId) => {
      const restored = await possibly(() => operations.restore(fileId));
      return file(restored.fileId)!;
    },
    queue: (limit) => {
      const { fileIds, total } = node.peer.queuedDownloads(limit);
      const entries = fileIds.map((fileId) => catalogue.get(fileId));
      const files = entries.flatMap((entry) => entry ? [viewedFile(service, entry)] : []);
      return { files, total };
    },
    cancelQueued: (fileId) => {
      if (!node.peer.isQueuedDownload(fileId)) return false;
      node.dispatch({ kind: "cancel", fileId });
      return true;
    },
    putFirst: (fileId) => {
      if (!node.peer.isQueuedDownload(fileId)) return false;
      node.dispatch({ kind: "first", fileId });
      return true;
    },
    speedLimits: () => {
      const { down, up } = node.throttles;
      return { down: down.bytesPerSecond, up: up.bytesPerSecond };
    },
    setSpeedLimits: ({ down, up }) => {
      if (down !== undefined) node.throttles.down.bytesPerSecond = down;
      if (up !== undefined) node.throttles.up.bytesPerSecond = up;
    },
    ...log,
    cancel: (id) => node.cancel(id),
    watch: (lastId, watcher) => feed.watch(lastId, watcher),
    close: () => {
      rates.stop();
      feed.close();
      for (const changes of kept) changes.end();
    },
  };
}

async function deletedPage(
  { store }: Service,
  start: number,
  limit: number,
): ReturnType<View["deleted"]> {
  const { found, total } = await store.removals.page(start, limit);
  return { files: found.map(viewedDeleted), total };
}

const viewedDeleted = ({ file, sizeBytes, deletedMs }: Deleted) => ({
  file,
  sizeBytes,
  deletedAt: Math.round(deletedMs / 1000),
});

async function connect({ operations }: Service, text: string): ReturnType<View["connect"]> {
  const { peerId, address } = await possibly(() => operations.connect(text));
  return { peerId, ...address };
}

async function fetchFile({ operations }: Service, fileId: string): ReturnType<View["fetch"]> {
  try {
    return await operations.get(fileId);
  } catch (error) {
    if (!(error instanceof FetchError)) throw error;
    const asked = "GET /api/v1/transfers shows which peers were asked";
    const hint = error.willRetry
      ? `It will be downloaded once a peer delivers it; ${asked}`
      : `Try again when a peer that holds it is online; ${asked}`;
    throw new NotPossible(409, error.what, hint, { cause: error, kind: kindOf(error) });
  }
}
