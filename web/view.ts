// What the web may know of the peer and ask of it: a narrow view, read anew for each request. The web keeps no state
// but who is logged in.

import type { FileRecord } from "../protocol/wire/message.ts";

/** Something that was asked cannot be done; the message is for people. */
export class NotPossible extends Error {
  override readonly name = "NotPossible";
  constructor(
    /** The HTTP status that says it. */
    readonly status: 400 | 404 | 409 | 413 | 415 | 501 | 503 | 507,
    message: string,
    readonly hint: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
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
  /** Messages of it that were refused. */
  readonly refused: number;
  /** It delivered lies or rubbish; nothing is asked of it for so long. */
  readonly backedOff: { readonly seconds: number; readonly why: string } | undefined;
}

export interface ViewedFile {
  readonly file: FileRecord;
  /** It lies here, and its content was verified against its id. */
  readonly held: boolean;
  /** Peers that hold it, this one too. */
  readonly holders: readonly string[];
  /** Peers that held it when they were last heard; present only when nobody holds it now. */
  readonly lastHolders?: readonly string[];
  /** When this peer first learned of it, in Unix seconds; absent where that is not known. */
  readonly knownSince?: number;
}

/** A file that somebody shared; not `isNew`: the same content was shared under the same name already. */
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
  readonly totalBytes: number | undefined;
  readonly state: "running" | "done" | "failed" | "cancelled";
  /** How long it took, or has taken so far. */
  readonly seconds: number;
  /** Unix seconds; undefined while it runs. */
  readonly endedAt: number | undefined;
  readonly why: string | undefined;
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
  /** Addresses by which it joins. */
  readonly bootstraps: readonly string[];
  /** A peer that is silent for so long is dropped. */
  readonly peerTimeoutSeconds: number;
  /** host:port of another peer that uses this one's name; undefined when there is none. */
  readonly nameTakenBy: string | undefined;
  readonly peers: number;
  readonly files: { readonly known: number; readonly held: number; readonly heldBytes: number };
  readonly bytes: { readonly in: number; readonly out: number };
  readonly freeBytes: number;
  readonly received: Readonly<Record<string, number>>;
  readonly sent: Readonly<Record<string, number>>;
  readonly unsent: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
  /** The most first; names are as peers gave them. */
  readonly refusedByPeer: readonly {
    readonly peer: string;
    readonly reasons: Readonly<Record<string, number>>;
  }[];
  /** Deleted files that can be restored. */
  readonly trash: { readonly files: number; readonly bytes: number };
  /** Resident memory of the process. */
  readonly memoryBytes: number;
  /** What is under way in the process, by kind; at rest these are small and stay so. */
  readonly work: Readonly<Record<string, number>>;
}

/** How fast content moved around one moment. */
export interface ViewedRate {
  /** Unix seconds. */
  readonly at: number;
  /** Bytes per second. */
  readonly in: number;
  readonly out: number;
}

/** Content of a held file. `close` is called once, whatever happens. */
export interface ViewedContent {
  readonly file: FileRecord;
  readonly sizeBytes: number;
  /** Hex SHA-256 of the content alone. */
  readonly sha256: string;
  readInto(buffer: Uint8Array): number;
  /** So many bytes from here on are about to be read. */
  seek(offset: number, bytes: number): void;
  /** So many bytes are on their way to who asked. */
  sent(bytes: number): void;
  /** `why` it ended early, if it did; `how` says whether that is a failure or the receiver's own decision. */
  close(why?: string, how?: EarlyEnd): void;
}

/** How content on its way ended early: something went wrong, or the browser at the other end stopped. */
export type EarlyEnd = "failed" | "stopped";

/** A file that somebody at the pages shares. Exactly one of `finish` and `abort` is called, once. */
export interface Upload {
  /** Throws `NotPossible`. */
  write(content: Uint8Array): void;
  /** Keeps it as a file of ours and tells the network. Throws `NotPossible`. */
  finish(): Promise<SharedFile>;
  abort(why: string, how?: EarlyEnd): void;
  /** Aborts when a person cancels it. */
  readonly cancelled: AbortSignal;
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
  /** More changed than is worth naming: everything is to be read again. */
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
  /** Host names, besides addresses and localhost, under which the pages may be reached. */
  readonly hostNames: ReadonlySet<string>;
  status(): ViewedStatus;
  peers(): ViewedPeer[];
  /** Made one by one as they are read; to be read at once, for they may change. */
  files(): Iterable<ViewedFile>;
  file(fileId: string): ViewedFile | undefined;
  /** One page, what was deleted last first, and how many there are. What cannot be read is left out. */
  deleted(
    start: number,
    limit: number,
  ): Promise<{ readonly files: readonly ViewedDeleted[]; readonly total: number }>;
  transfers(): ViewedTransfer[];
  /** Rates of the last minutes, about one per second, the latest last. */
  rates(): readonly ViewedRate[];
  /** Undefined when the file is not here. `client` is told as its receiver. Throws `NotPossible`. */
  content(fileId: string, client: string): ViewedContent | undefined;
  /** Throws `NotPossible`. */
  share(name: string, options: ShareOptions): Upload;
  /** Resolves when the file is here. Throws `NotPossible` when nobody delivers it. */
  fetch(fileId: string): Promise<void>;
  /** Deletes: everywhere what is ours, here only what is not. Throws `NotPossible`. */
  remove(fileId: string): "everywhere" | "here";
  /** Throws `NotPossible`. */
  restore(fileId: string): Promise<ViewedFile>;
  /** False when there is no such transfer under way. */
  cancel(transferId: number): boolean;
  /**
   * Tells of each change until the returned function is called; first of those behind `lastId`, or once "reset"
   * where these are not known any more.
   */
  watch(lastId: string | undefined, watcher: ViewedWatcher): () => void;
}

/** Who hears of changes. */
export interface ViewedWatcher {
  readonly who: string;
  readonly tell: (event: ViewedEvent) => void;
  /** Somebody else needs its place; it is told nothing more. */
  readonly end: () => void;
}

export interface ShareOptions {
  readonly client: string;
  /** Unix seconds; undefined: now. */
  readonly modifiedSeconds: number | undefined;
  readonly totalBytes: number | undefined;
}
