// What the web may know of the peer: a narrow view, read anew for each request. The web keeps no state.

import type { FileRecord } from "../protocol/message.ts";

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
  readonly leftAlone: { readonly seconds: number; readonly why: string } | undefined;
}

export interface ViewedFile {
  readonly file: FileRecord;
  readonly held: boolean;
  /** Peers that hold it, this one too. */
  readonly holders: readonly string[];
}

export interface ViewedStatus {
  readonly peerId: string;
  readonly host: string;
  readonly port: number;
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly synchronized: boolean;
  readonly peers: number;
  readonly files: { readonly known: number; readonly held: number; readonly heldBytes: number };
  readonly bytes: { readonly in: number; readonly out: number };
  readonly freeBytes: number;
  readonly received: Readonly<Record<string, number>>;
  readonly sent: Readonly<Record<string, number>>;
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
  readonly transfers: readonly {
    readonly direction: "in" | "out";
    readonly name: string;
    readonly peer: string;
    readonly doneBytes: number;
    readonly totalBytes: number | undefined;
  }[];
}

/** Content of a held file. `close` is called once, whatever happens. */
export interface ViewedContent {
  readonly file: FileRecord;
  readonly sizeBytes: number;
  readInto(buffer: Uint8Array): number;
  seek(offset: number): void;
  close(): void;
}

export interface View {
  status(): ViewedStatus;
  peers(): ViewedPeer[];
  files(): ViewedFile[];
  /** Undefined when the file is not here. */
  content(fileId: string): ViewedContent | undefined;
  /** Host names, besides addresses and localhost, under which the pages may be reached. */
  readonly hostNames: ReadonlySet<string>;
}
