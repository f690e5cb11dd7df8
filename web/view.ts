// What the web may know of the peer and ask of it: a narrow interface, read again for each request. The web keeps no state
// except who is logged in.

import type { FileRecord } from "../protocol/wire/message.ts";

/** Thrown when a request cannot be carried out. The message is for people. */
export class NotPossible extends Error {
  override readonly name = "NotPossible";
  /** What kind of failure it is, in one word for programs. */
  readonly kind: string | undefined;
  constructor(
    /** The HTTP status of the answer. */
    readonly status: 400 | 404 | 409 | 413 | 415 | 501 | 503 | 507,
    message: string,
    readonly hint: string,
    { kind, ...options }: ErrorOptions & { readonly kind?: string | undefined } = {},
  ) {
    super(message, options);
    this.kind = kind;
  }
}

export interface ViewedPeer {
  readonly peerId: string;
  readonly host: string;
  readonly port: number;
  /** Unix seconds. */
  readonly lastSeen: number;
  readonly bootstrap: boolean;
  readonly extended: boolean;
  readonly files: number;
  /** Number of its messages that were refused. */
  readonly refused: number;
  /** Set if it sent bad data: for how long nothing is asked of it, in seconds, and why. */
  readonly backedOff: { readonly seconds: number; readonly why: string } | undefined;
}

/** A peer that left in the last day. */
export interface ViewedAway {
  readonly peerId: string;
  readonly host: string;
  readonly port: number;
  /** Unix seconds. */
  readonly lastSeen: number;
}

export interface ViewedFile {
  readonly file: FileRecord;
  /** It is stored here, and its content was verified against its id. */
  readonly held: boolean;
  /** Peers that hold it, including this one. */
  readonly holders: readonly string[];
  /** Peers that held it when they were last heard from. Present only if nobody holds it now. */
  readonly lastHolders?: readonly string[];
  /** When this peer first learned of it, in Unix seconds. Absent if unknown. */
  readonly knownSince?: number;
  /** Name of another file that is stored here and has, or is said to have, the same content. */
  readonly hereAs?: string;
}

/** A file that somebody shared. `isNew` is false if the same content was already shared under the same name. */
export interface SharedFile extends ViewedFile {
  readonly isNew: boolean;
}

/** A deleted file that can be restored. */
export interface ViewedDeleted {
  readonly file: FileRecord;
  readonly sizeBytes: number;
  /** Unix seconds. */
  readonly deletedAt: number;
}

export interface ViewedTransfer {
  readonly id: number;
  readonly kind: "fetch" | "push" | "serve" | "copy" | "upload" | "download";
  readonly direction: "in" | "out";
  readonly fileId: string;
  readonly name: string;
  /** Peer or address at the other end. */
  readonly peer: string;
  readonly doneBytes: number;
  /** The part of it that an earlier attempt had moved. */
  readonly resumedBytes: number;
  /** What holds a download up while it is slow. */
  readonly slow: "limit" | "disk" | "sources" | "link" | undefined;
  /** What each of several sources delivered, the most first; empty if there is only one. */
  readonly sources: readonly {
    readonly peer: string;
    readonly bytes: number;
    readonly bytesPerSecond: number;
  }[];
  readonly totalBytes: number | undefined;
  readonly state: "running" | "done" | "failed" | "cancelled";
  /** How long it took, or has taken so far, in seconds. */
  readonly seconds: number;
  /** Unix seconds; undefined while it runs. */
  readonly endedAt: number | undefined;
  readonly why: string | undefined;
}

/** Progress of the first index of the folder. Files are shared as they are indexed. */
export interface Indexing {
  readonly files: number;
  readonly totalFiles: number;
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface ViewedStatus {
  readonly peerId: string;
  readonly host: string;
  readonly port: number;
  readonly version: string;
  /** Unix seconds of this machine's clock. */
  readonly now: number;
  readonly uptimeSeconds: number;
  readonly synchronized: boolean;
  /** Addresses through which it joins. */
  readonly bootstraps: readonly string[];
  /** Those of them that do not answer, and why, as sentences that begin with the address. */
  readonly bootstrapTroubles: readonly {
    readonly address: string;
    readonly text: string;
    /** What to do, without a final period. */
    readonly hint: string;
  }[];
  /** How long a peer may be silent before it is dropped. */
  readonly peerTimeoutSeconds: number;
  /** host:port of another peer that uses this one's name; undefined if there is none. */
  readonly nameTakenBy: string | undefined;
  /** Why other peers cannot connect to this one, and what helps; undefined if nobody says so. */
  readonly reach:
    | { readonly cause: string; readonly peers: number; readonly text: string }
    | undefined;
  readonly peers: number;
  readonly files: { readonly known: number; readonly held: number; readonly heldBytes: number };
  readonly bytes: { readonly in: number; readonly out: number };
  readonly freeBytes: number;
  readonly received: Readonly<Record<string, number>>;
  readonly sent: Readonly<Record<string, number>>;
  readonly unsent: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
  /** Limits that were reached since the start, the most often first: what happened, and the option that raises the limit. */
  readonly overloads: readonly {
    readonly reason: string;
    readonly times: number;
    readonly what: string;
    readonly option?: string;
  }[];
  /** Most refusals first. Names are as peers gave them. */
  readonly refusedByPeer: readonly {
    readonly peer: string;
    readonly reasons: Readonly<Record<string, number>>;
  }[];
  /** How far the folder has been indexed. Undefined once everything in it is known. */
  readonly indexing?: Indexing | undefined;
  /** How long other work had to wait at most while the folder was indexed, in milliseconds. */
  readonly longestBlockMs?: number;
  /** Deleted files that can be restored. */
  readonly trash: { readonly files: number; readonly bytes: number };
  /** Resident memory of the process. */
  readonly memoryBytes: number;
  /** What is in progress in the process, by kind. At rest these are small and stay small. */
  readonly work: Readonly<Record<string, number>>;
}

/** Transfer rates at one moment. */
export interface ViewedRate {
  /** Unix seconds. */
  readonly at: number;
  /** Bytes per second. */
  readonly in: number;
  readonly out: number;
}

/** Content of a held file. The caller closes it once, whatever happens. */
export interface ViewedContent {
  readonly file: FileRecord;
  readonly sizeBytes: number;
  /** Hex SHA-256 of the content alone. */
  readonly sha256: string;
  readInto(buffer: Uint8Array): number;
  /** Continues at `offset`, from where `bytes` bytes will be read. */
  seek(offset: number, bytes: number): void;
  /** Counts bytes that were handed to the receiver. */
  sent(bytes: number): void;
  /**
   * Closes the content. `why` it ended early, if it did; `how`: whether that is a failure or the receiver's decision.
   */
  close(why?: string, how?: EarlyEnd): void;
}

/** How a transfer ended early: something went wrong, or the browser at the other end stopped. */
export type EarlyEnd = "failed" | "stopped";

/** A file being uploaded. The caller calls exactly one of `finish` and `abort`, once. */
export interface Upload {
  /** Throws `NotPossible`. */
  write(content: Uint8Array): void;
  /** Keeps it as one of our files and announces it. Throws `NotPossible`. */
  finish(): Promise<SharedFile>;
  abort(why: string, how?: EarlyEnd): void;
  /** Aborted when a person cancels the upload. */
  readonly cancelled: AbortSignal;
}

/** An upload that may be interrupted and continued. */
export interface ResumableUpload {
  readonly id: string;
  readonly name: string;
  /** Size of the whole file, in bytes, if the client said so. */
  readonly totalBytes: number | undefined;
  /** Number of bytes that are here. */
  readonly offset: number;
  /** What it became, once it is complete; undefined also if that is no longer known. */
  readonly shared: ViewedFile | undefined;
  readonly isComplete: boolean;
  /** Whether it came with PUT, and no request is adding to it. */
  readonly isIdlePut: boolean;
}

/** Content that is added to such an upload, by one request. The caller calls exactly one of `finish` and `pause`, once. */
export interface Appending {
  /** Position in the file at which the content is added. */
  readonly offset: number;
  /** Throws `NotPossible`. */
  write(content: Uint8Array): void;
  /** Keeps the file as one of ours and announces it. Throws `NotPossible`. */
  finish(): Promise<SharedFile>;
  /** Ends this request; what came stays. */
  pause(why?: string): void;
  /** Aborted when a person cancels the upload, or another request continues it. */
  readonly cancelled: AbortSignal;
}

/** Uploads that may be continued for a day. */
export interface ResumableUploads {
  /** Maximum size of a file, in bytes. */
  readonly maxBytes: number;
  /** For how long an upload is kept after its last byte, in seconds. */
  readonly keptSeconds: number;
  /** Throws `NotPossible`. */
  create(name: string, options: ShareOptions, isPut?: boolean): ResumableUpload;
  /** Resolves to an upload that no request is writing to any more: a client asks when it believes that one is lost. */
  get(id: string): Promise<ResumableUpload | undefined>;
  /** Resolves to where content is added. Throws `NotPossible`. */
  append(id: string, client: string): Promise<Appending>;
  /** Returns the uploads that are not complete, the latest first. */
  pending(): readonly ResumableUpload[];
  /** Removes an upload. Resolves to false if it is not known. */
  remove(id: string): Promise<boolean>;
}

/** How fast content may move, in bytes per second; 0 means no limit. */
export interface SpeedLimits {
  readonly down: number;
  readonly up: number;
}

/** What changed since the last look: rows that are new or different, and names of those that are gone. */
export type ViewedChange =
  | { readonly type: "status"; readonly status: ViewedStatus }
  | {
    readonly type: "files";
    readonly changed: readonly ViewedFile[];
    readonly removed: readonly string[];
  }
  | {
    readonly type: "peers";
    readonly changed: readonly ViewedPeer[];
    readonly removed: readonly string[];
  }
  | { readonly type: "transfers"; readonly changed: readonly ViewedTransfer[] }
  /** Too much changed to name it: reload everything. */
  | { readonly type: "reset" };

/** Where changes come from (to `web/feed.ts`). */
export interface ChangeSource {
  /** Begins or stops noting changes. */
  watch(isWatched: boolean): void;
  /** Returns what changed since the last call. */
  changes(): Iterable<ViewedChange>;
}

/** A change as it is sent. Whoever comes back names the `id` of the last event it received. */
export interface ViewedEvent {
  readonly id: string;
  readonly type: ViewedChange["type"];
  /** JSON. */
  readonly data: string;
}

export interface View {
  /** Host names under which the pages may be reached, besides addresses and localhost. */
  readonly hostNames: ReadonlySet<string>;
  status(): ViewedStatus;
  peers(): ViewedPeer[];
  /** Returns the peers that left in the last day, the latest first. */
  away(): ViewedAway[];
  /** Yields the files one by one. One that changes while they are read may be left out, or come as it was or is. */
  files(): Iterable<ViewedFile>;
  file(fileId: string): ViewedFile | undefined;
  /**
   * Begins to note which files are added, changed, or removed. The returned function tells which since its last call;
   * "many" the first time, and if there are too many to name. `onEnd` is called if it is not called for minutes: from
   * then on, nothing is noted.
   */
  watchFiles(onEnd: () => void): () => readonly string[] | "many";
  /** Resolves to one page, most recently deleted first, and the total. Entries that cannot be read are left out. */
  deleted(
    start: number,
    limit: number,
  ): Promise<{ readonly files: readonly ViewedDeleted[]; readonly total: number }>;
  /** Joins through a peer at "host:port". Resolves to its name and address. Throws `NotPossible` if it does not answer. */
  connect(address: string): Promise<{ peerId: string; host: string; port: number }>;
  transfers(): ViewedTransfer[];
  /** Returns the downloads that wait for their turn, in order, at most `limit`, and how many there are. */
  queue(limit: number): { readonly files: readonly ViewedFile[]; readonly total: number };
  /** Cancels a queued download. Returns false if the file is not queued. */
  cancelQueued(fileId: string): boolean;
  /** Puts a queued download before all others. Returns false if the file is not queued. */
  putFirst(fileId: string): boolean;
  /** Returns how fast content may be received and sent, in bytes per second; 0 means no limit. */
  speedLimits(): SpeedLimits;
  /** Changes these limits, at once and until the exit. */
  setSpeedLimits(limits: Partial<SpeedLimits>): void;
  /** Returns the rates of the last minutes, about one per second, oldest first. */
  rates(): readonly ViewedRate[];
  /** Returns undefined if the file is not here. `client` is shown as the receiver. Throws `NotPossible`. */
  content(fileId: string, client: string): ViewedContent | undefined;
  /** Throws `NotPossible`. */
  share(name: string, options: ShareOptions): Upload;
  readonly uploads: ResumableUploads;
  /** Resolves when the file is here, to where it came from. Throws `NotPossible` if nobody delivers it. */
  fetch(fileId: string): Promise<Fetched>;
  /** Finds a file by its id, by the unique beginning of its id, or by its name. Throws `NotPossible`. */
  find(text: string): ViewedFile;
  /** Finds a deleted file in the same way. Throws `NotPossible`. */
  findDeleted(text: string): Promise<ViewedDeleted>;
  /** Deletes a file: everywhere if this peer owns it, otherwise only here. Throws `NotPossible`. */
  remove(fileId: string): "everywhere" | "here";
  /** Resolves to how far the news of a deletion has come, once every peer has heard or a moment has passed. */
  toldOfDeletion(fileId: string): Promise<Told>;
  /** Throws `NotPossible`. */
  restore(fileId: string): Promise<ViewedFile>;
  /** Returns the level of the log, in capitals. */
  logLevel(): string;
  /** Changes it, at once and until the exit. */
  setLogLevel(level: string): Promise<void>;
  /** Cancels a transfer. Returns false if no such transfer is in progress. */
  cancel(transferId: number): boolean;
  /**
   * Sends changes to a watcher until the returned function is called, beginning with those after `lastId`, or with "reset"
   * if those are no longer known.
   */
  watch(lastId: string | undefined, watcher: ViewedWatcher): () => void;
}

/** Where a file came from. */
export interface Fetched {
  /** Name of a peer; "" if the file was here already. */
  readonly source: string;
  /** Name of another file here with the same content, if nothing had to be downloaded. */
  readonly as?: string;
}

/** How many peers have heard of a deletion. */
export interface Told {
  readonly reached: number;
  /** Those that could not be reached yet. */
  readonly left: number;
  /** Those among `left` that take one file at a time, and the time until the last of them has heard, in milliseconds. */
  readonly slow: number;
  readonly slowMs: number;
}

/** Receives changes. */
export interface ViewedWatcher {
  readonly who: string;
  readonly tell: (event: ViewedEvent) => void;
  /** Its place is needed. It receives nothing more. */
  readonly end: () => void;
}

export interface ShareOptions {
  readonly client: string;
  /** Unix seconds; undefined: now. */
  readonly modifiedSeconds: number | undefined;
  readonly totalBytes: number | undefined;
}
