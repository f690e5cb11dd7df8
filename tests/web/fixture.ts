// A peer as the web sees it, made up by the test, and requests to it without a port.

import { createHash } from "node:crypto";
import type { FileRecord } from "../../protocol/message.ts";
import { createApp } from "../../web/app.ts";
import type { View, ViewedFile, ViewedPeer, ViewedStatus } from "../../web/view.ts";

/** Unix seconds of every request. */
export const NOW = 1_750_000_000;
/** A Host that the guard takes. */
export const BASE = "http://127.0.0.1:8116";

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
  leftAlone: undefined,
  ...over,
});

export const STATUS: ViewedStatus = {
  peerId: "us",
  host: "10.0.0.1",
  port: 8115,
  version: "9.9.9",
  uptimeSeconds: 61.4,
  synchronized: true,
  peers: 1,
  files: { known: 3, held: 2, heldBytes: 1234 },
  bytes: { in: 10, out: 20 },
  freeBytes: 5_000_000_000,
  received: { GOSSIP: 4 },
  sent: { GOSSIP_REPLY: 5 },
  refused: { "not-json": 6 },
  refusedByPeer: [],
  trash: { files: 0, bytes: 0 },
  memoryBytes: 80_000_000,
  work: { inbound: 0 },
  transfers: [],
};

/** Content that counts what is done with it. */
export class FakeContent {
  at = 0;
  closed = 0;
  /** Bytes after which reading fails, as on a bad disk. */
  failsAt = Infinity;
  /** Bytes after which there is nothing more, as in a file that became shorter. */
  endsAt = Infinity;

  constructor(readonly file: FileRecord, readonly bytes: Uint8Array) {}

  get sizeBytes(): number {
    return this.bytes.length;
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

export interface Made {
  readonly request: (path: string, init?: RequestInit) => Promise<Response>;
  readonly errors: Error[];
  /** Every content that was opened, in order. */
  readonly opened: FakeContent[];
}

export interface Parts {
  readonly status?: Partial<ViewedStatus>;
  readonly peers?: ViewedPeer[];
  readonly files?: ViewedFile[];
  readonly hostNames?: readonly string[];
  readonly content?: (fileId: string) => FakeContent | undefined;
}

/** The application over a made-up peer. */
export function appOver(parts: Parts = {}): Made {
  const errors: Error[] = [];
  const opened: FakeContent[] = [];
  const view: View = {
    status: () => ({ ...STATUS, ...parts.status }),
    peers: () => parts.peers ?? [],
    files: () => parts.files ?? [],
    hostNames: new Set(parts.hostNames ?? []),
    content: (fileId) => {
      const content = parts.content?.(fileId);
      if (content) opened.push(content);
      return content;
    },
  };
  const app = createApp(view, () => NOW * 1000, (error) => errors.push(error));
  const request = async (path: string, init?: RequestInit) =>
    await app.request(path.startsWith("http") ? path : BASE + path, init);
  return { request, errors, opened };
}

/** An application that holds one file, and the path of its content. */
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
