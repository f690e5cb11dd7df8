// A fake peer behind the web application, and requests to it without a port.

import { createHash } from "node:crypto";
import type { FileRecord } from "../../protocol/wire/message.ts";
import { type AppOptions, createApp } from "../../web/app.ts";
import {
  type Appending,
  NotPossible,
  type ResumableUpload,
  type ResumableUploads,
  type SharedFile,
  type ShareOptions,
  type Upload,
  type View,
  type ViewedAway,
  type ViewedDeleted,
  type ViewedEvent,
  type ViewedFile,
  ViewedPeer,
  type ViewedRate,
  type ViewedStatus,
  type ViewedTransfer,
  type ViewedWatcher,
} from "../../web/view.ts";

/** Time of every request, in Unix seconds. */
export const NOW = 1_750_000_000;
/** A Host that the guard accepts. */
export const BASE = "http://127.0.0.1:8116";

/** Returns the URL of a path, sent as written. A path that starts with a dot is resolved as browsers resolve links. */
function urlOf(path: string): string {
  if (path.startsWith("http")) return path;
  return path.startsWith(".") ? new URL(path, `${BASE}/`).href : BASE + path;
}

export function fileOf(over: Partial<FileRecord> = {}): FileRecord {
  const name = over.name ?? "a.txt";
  return {
    fileId: createHash("sha256").update(name).digest("hex"),
    name,
    owner: "alice",
    timestamp: { text: "1744169352.0", quoted: false },
    size: 1.5,
    ...over,
  };
}

export const peerOf = (over: Partial<ViewedPeer> = {}): ViewedPeer => ({
  peerId: "bob",
  host: "10.0.0.7",
  port: 8115,
  lastSeen: NOW - 5,
  bootstrap: false,
  extended: true,
  files: 3,
  refused: 0,
  backedOff: undefined,
  ...over,
});

export const STATUS: ViewedStatus = {
  peerId: "us",
  host: "10.0.0.1",
  port: 8115,
  version: "9.9.9",
  now: NOW,
  uptimeSeconds: 61.4,
  synchronized: true,
  bootstraps: [],
  bootstrapTroubles: [],
  peerTimeoutSeconds: 60,
  peers: 1,
  files: { known: 3, held: 2, heldBytes: 1234 },
  bytes: { in: 10, out: 20 },
  freeBytes: 5_000_000_000,
  received: { GOSSIP: 4 },
  sent: { GOSSIP_REPLY: 5 },
  unsent: {},
  refused: { "not-json": 6 },
  overloads: [
    { reason: "push-rate", times: 1_234, what: "Pushes refused", option: "--push-rate" },
    { reason: "copies-not-offered", times: 2, what: "Copies not offered" },
  ],
  refusedByPeer: [],
  nameTakenBy: undefined,
  reach: undefined,
  trash: { files: 0, bytes: 0 },
  memoryBytes: 80_000_000,
  work: { inbound: 0 },
};

export const transferOf = (over: Partial<ViewedTransfer> = {}): ViewedTransfer => ({
  id: 1,
  kind: "fetch",
  direction: "in",
  fileId: fileOf().fileId,
  name: "a.txt",
  peer: "bob",
  doneBytes: 5,
  resumedBytes: 0,
  sources: [],
  slow: undefined,
  totalBytes: 10,
  state: "running",
  seconds: 1.25,
  endedAt: undefined,
  why: undefined,
  ...over,
});

/** Content that records how it is used. */
export class FakeContent {
  at = 0;
  closed = 0;
  /** Bytes after which reading fails, as on a bad disk. */
  failsAt = Infinity;
  /** Bytes after which there is nothing more, as in a file that shrank. */
  endsAt = Infinity;

  constructor(readonly file: FileRecord, readonly bytes: Uint8Array) {}

  get sizeBytes(): number {
    return this.bytes.length;
  }

  get sha256(): string {
    return createHash("sha256").update(this.bytes).digest("hex");
  }

  sentBytes = 0;

  sent(bytes: number): void {
    this.sentBytes += bytes;
  }

  readInto(buffer: Uint8Array): number {
    if (this.closed > 0) throw new Error("Read after close");
    if (this.at >= this.failsAt) throw new Error("Input/output error");
    const end = Math.min(this.endsAt, this.at + buffer.length);
    const piece = this.bytes.subarray(this.at, Math.max(this.at, end));
    buffer.set(piece);
    this.at += piece.length;
    return piece.length;
  }

  seek(offset: number): void {
    this.at = offset;
  }

  close(): void {
    this.closed++;
  }
}

/** The token of every application in these tests that has one. */
export const TOKEN = "t".repeat(43);
export const BEARER = { authorization: `Bearer ${TOKEN}` };

export interface Made {
  readonly app: ReturnType<typeof createApp>;
  /** Sends a request as if from `ip`. */
  readonly request: (path: string, init?: RequestInit, ip?: string) => Promise<Response>;
  readonly errors: Error[];
  /** All content that was opened, in order. */
  readonly opened: FakeContent[];
  /** Every change that was carried out, in order. */
  readonly done: string[];
  /** All uploads, complete or not. */
  readonly uploads: FakeUpload[];
  /** The current watchers. */
  readonly watchers: Set<ViewedWatcher>;
  /** Where each of them asked to resume. */
  readonly resumed: (string | undefined)[];
}

export interface Parts {
  /** Whether everything that is shared counts as already shared. */
  readonly isSharedAlready?: boolean;
  readonly status?: Partial<ViewedStatus>;
  readonly peers?: ViewedPeer[];
  readonly away?: ViewedAway[];
  readonly files?: ViewedFile[];
  readonly transfers?: ViewedTransfer[];
  /** Downloads that wait for their turn. */
  readonly queued?: ViewedFile[];
  readonly rates?: readonly ViewedRate[];
  readonly hostNames?: readonly string[];
  readonly content?: (fileId: string) => FakeContent | undefined;
  readonly deleted?: ViewedDeleted[];
  /** Missed events that a new watcher receives at once. */
  readonly missed?: readonly ViewedEvent[];
  /** Error with which every change is refused. */
  readonly refusal?: NotPossible;
  /** Maximum size of a shared file, in bytes. */
  readonly roomBytes?: number;
  readonly fetching?: () => Promise<void>;
  readonly options?: Partial<AppOptions>;
  /** The current time, in Unix milliseconds. */
  readonly clock?: { now: number };
}

export class FakeUpload implements Upload {
  readonly parts: Uint8Array[] = [];
  state = "open";
  /** False if the file was already shared. */
  isNew = true;
  readonly #abort = new AbortController();

  constructor(
    readonly name: string,
    readonly options: ShareOptions,
    readonly roomBytes: number,
    readonly onFinish: (file: ViewedFile) => void,
  ) {}

  get bytes(): Uint8Array {
    return new Uint8Array(this.parts.flatMap((part) => [...part]));
  }

  get cancelled(): AbortSignal {
    return this.#abort.signal;
  }

  cancel(): void {
    this.#abort.abort();
  }

  write(content: Uint8Array): void {
    const total = this.parts.reduce((sum, part) => sum + part.length, content.length);
    if (total > this.roomBytes) throw new NotPossible(507, "There is no room", "Make some");
    this.parts.push(content.slice());
  }

  finish(): Promise<SharedFile> {
    this.state = "shared";
    const sizeBytes = this.bytes.length;
    const file = fileOf({ name: this.name, owner: "us", sizeBytes });
    const shared = { file, held: true, holders: ["us"], isNew: this.isNew };
    this.onFinish(shared);
    return Promise.resolve(shared);
  }

  abort(why: string): void {
    this.state = `aborted: ${why}`;
  }
}

/** Uploads that may be continued, in memory. `begin` makes an upload that shares its content at the end. */
class FakeUploads implements ResumableUploads {
  readonly maxBytes = 1e9;
  readonly keptSeconds = 86_400;
  readonly #all = new Map<string, FakeUpload & { shared?: SharedFile; isPut?: boolean }>();

  constructor(readonly begin: (name: string, options: ShareOptions) => FakeUpload) {}

  create(name: string, options: ShareOptions, isPut = false): ResumableUpload {
    const id = `${this.#all.size + 1}`.padStart(32, "0");
    this.#all.set(id, Object.assign(this.begin(name, options), { isPut }));
    return this.#viewed(id);
  }

  get(id: string): Promise<ResumableUpload | undefined> {
    return Promise.resolve(this.#all.has(id) ? this.#viewed(id) : undefined);
  }

  append(id: string): Promise<Appending> {
    const upload = this.#all.get(id)!;
    return Promise.resolve({
      offset: upload.bytes.length,
      cancelled: upload.cancelled,
      write: (content) => upload.write(content),
      finish: async () => upload.shared = await upload.finish(),
      pause: (why) => void (upload.state = `paused: ${why ?? "interrupted"}`),
    });
  }

  pending(): readonly ResumableUpload[] {
    return [...this.#all.keys()].map((id) => this.#viewed(id))
      .filter(({ isComplete }) => !isComplete).reverse();
  }

  remove(id: string): Promise<boolean> {
    const isKnown = this.#all.delete(id);
    return Promise.resolve(isKnown);
  }

  #viewed(id: string): ResumableUpload {
    const { name, options: { totalBytes }, bytes, shared, isPut = false } = this.#all.get(id)!;
    const isComplete = shared !== undefined;
    const offset = bytes.length;
    return { id, name, totalBytes, offset, isComplete, shared, isIdlePut: isPut };
  }
}

/** Creates the application on top of a fake peer. */
export function appOver(parts: Parts = {}): Made {
  const made = {
    errors: [] as Error[],
    opened: [] as FakeContent[],
    done: [] as string[],
    uploads: [] as FakeUpload[],
    watchers: new Set<ViewedWatcher>(),
    resumed: [] as (string | undefined)[],
  };
  let level = "INFO";
  const change = (text: string) => {
    if (parts.refusal) throw parts.refusal;
    made.done.push(text);
  };
  const find = found(() => parts.files ?? []);
  const begin = (name: string, options: ShareOptions) => {
    change(`share ${name}`);
    const upload = new FakeUpload(name, options, parts.roomBytes ?? Infinity, (file) => {
      parts.files?.push(file);
    });
    upload.isNew = !parts.isSharedAlready;
    made.uploads.push(upload);
    return upload;
  };
  const limits = { down: 0, up: 0 };
  const view: View = {
    status: () => ({
      ...STATUS,
      ...parts.clock ? { now: parts.clock.now / 1000 } : {},
      ...parts.status,
    }),
    peers: () => parts.peers ?? [],
    away: () => parts.away ?? [],
    files: () => [...parts.files ?? []],
    file: find,
    watchFiles: () => noticed(() => parts.files ?? []),
    deleted: (start, limit) => {
      const all = parts.deleted ??
        [{ file: fileOf({ name: "gone.txt" }), sizeBytes: 7, deletedAt: NOW - 60 }];
      return Promise.resolve({ files: all.slice(start, start + limit), total: all.length });
    },
    transfers: () => parts.transfers ?? [],
    rates: () => parts.rates ?? [],
    hostNames: new Set(parts.hostNames ?? []),
    content: (fileId) => {
      const content = parts.content?.(fileId);
      if (content) made.opened.push(content);
      return content;
    },
    share: begin,
    uploads: new FakeUploads(begin),
    queue: (limit) => {
      const queued = parts.queued ?? [];
      return { files: queued.slice(0, limit), total: queued.length };
    },
    cancelQueued: (fileId) => (parts.queued ?? []).some(({ file }) => file.fileId === fileId),
    putFirst: (fileId) => {
      const isQueued = (parts.queued ?? []).some(({ file }) => file.fileId === fileId);
      if (isQueued) change(`first ${fileId}`);
      return isQueued;
    },
    speedLimits: () => limits,
    setSpeedLimits: (changed) => {
      change(`limits ${JSON.stringify(changed)}`);
      Object.assign(limits, changed);
    },
    fetch: async (fileId) => {
      change(`fetch ${fileId}`);
      await parts.fetching?.();
      return { source: "bob" };
    },
    connect: (address) => {
      const [host = "", port] = address.split(":");
      if (host === "gone") {
        const kind = "unreachable";
        throw new NotPossible(409, `${address} does not answer`, "Look", { kind });
      }
      change(`connect ${address}`);
      return Promise.resolve({ peerId: "robin", host, port: Number(port) });
    },
    find: (text) => {
      const found = parts.files?.filter(({ file }) => file.name === text);
      if (found?.length === 1) return found[0]!;
      throw new NotPossible(404, `No file "${text}" is known`, "Look at the list", {
        kind: "not-found",
      });
    },
    findDeleted: (text) => {
      const found = parts.deleted?.find(({ file }) => file.name === text);
      if (found) return Promise.resolve(found);
      throw new NotPossible(404, `No deleted file "${text}"`, "Look at the list");
    },
    toldOfDeletion: () => Promise.resolve({ reached: 3, left: 2, slow: 1, slowMs: 1_500 }),
    logLevel: () => level,
    setLogLevel: (next) => {
      level = next;
      return Promise.resolve();
    },
    remove: (fileId) => {
      change(`remove ${fileId}`);
      return "everywhere";
    },
    restore: (fileId) => {
      change(`restore ${fileId}`);
      return Promise.resolve(find(fileId)!);
    },
    cancel: (id) => {
      change(`cancel ${id}`);
      return parts.transfers?.find((each) => each.id === id)?.state === "running";
    },
    watch: (lastId, watcher) => {
      made.resumed.push(lastId);
      made.watchers.add(watcher);
      for (const event of parts.missed ?? []) watcher.tell(event);
      return () => void made.watchers.delete(watcher);
    },
  };
  const app = createApp(view, {
    now: () => parts.clock?.now ?? NOW * 1000,
    onError: (error) => made.errors.push(error),
    token: TOKEN,
    isPrivate: false,
    ...parts.options,
  });
  const request = async (path: string, init?: RequestInit, ip = "127.0.0.1") =>
    await app.request(urlOf(path), init, { ip });
  return { app, request, ...made };
}

/** Returns a function that finds a file by its id, without looking at all of them each time. */
function found(filesNow: () => readonly ViewedFile[]): (fileId: string) => ViewedFile | undefined {
  let places = new Map<string, number>();
  return (fileId) => {
    const files = filesNow();
    const at = files[places.get(fileId) ?? -1];
    if (at?.file.fileId === fileId || files.length === 0) return at;
    const place = files.findIndex(({ file }) => file.fileId === fileId);
    if (place >= 0) places = new Map(files.map(({ file }, i) => [file.fileId, i]));
    return files[place];
  };
}

/** Returns a function that tells which files were added, replaced, or removed since its last call. */
function noticed(filesNow: () => readonly ViewedFile[]): () => readonly string[] | "many" {
  let before: readonly ViewedFile[] | undefined;
  return () => {
    const [old, now] = [before, filesNow()];
    before = [...now];
    if (!old) return "many";
    const ids = new Set<string>();
    for (let i = 0; i < Math.max(old.length, now.length); i++) {
      if (old[i] === now[i]) continue;
      for (const file of [old[i], now[i]]) if (file) ids.add(file.file.fileId);
    }
    return [...ids];
  };
}

/** Creates an application that holds one file, and returns it with the path of the file's content. */
export function appWithFile(
  bytes: Uint8Array,
  over: Partial<FileRecord> = {},
  spoil: (content: FakeContent) => void = () => {},
): Made & { readonly path: string; readonly file: FileRecord } {
  const file = fileOf({ sizeBytes: bytes.length, ...over });
  const made = appOver({
    files: [{ file, held: true, holders: ["us"] }],
    content: (fileId) => {
      if (fileId !== file.fileId) return undefined;
      const content = new FakeContent(file, bytes);
      spoil(content);
      return content;
    },
  });
  return { ...made, file, path: `/api/v1/files/${file.fileId}/content` };
}
