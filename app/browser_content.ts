// Uploads from browsers and downloads to them, listed among the transfers that people see.

import type { Move } from "../node/transfer_log.ts";
import type { FileRecord } from "../protocol/wire/message.ts";
import type { Service } from "./service.ts";
import type { EarlyEnd, SharedFile, ShareOptions, Upload, ViewedContent } from "../web/view.ts";
import { messageOf, possible, possibly } from "./web_errors.ts";
import { viewedShared } from "./status.ts";

/** A file that a browser uploads. */
export class BrowserUpload implements Upload {
  readonly #intake;
  readonly #move: Move;
  readonly #abort = new AbortController();

  constructor(readonly service: Service, readonly name: string, readonly options: ShareOptions) {
    this.#intake = service.operations.receive();
    this.#move = service.node.transferLog.begin({
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

  async finish(): Promise<SharedFile> {
    this.#move.seal();
    const modified = this.options.modifiedSeconds ?? Date.now() / 1000;
    try {
      const shared = await possibly(() =>
        this.service.operations.share(this.#intake, this.name, modified)
      );
      this.#move.fileId = shared.file.fileId;
      this.#move.done();
      return viewedShared(this.service, shared);
    } catch (error) {
      this.#move.failed(messageOf(error));
      throw error;
    }
  }

  abort(why: string, how: EarlyEnd = "failed"): void {
    this.#intake.abort();
    endEarly(this.#move, why, how);
  }
}

/** Ends a transfer early. Closing a tab or canceling in the browser is not a failure, and is not shown as one. */
function endEarly(move: Move, why: string, how: EarlyEnd): void {
  if (how === "failed") move.failed(why);
  else move.log.end(move, "cancelled", why);
}

/** Returns a held file for a browser; undefined if it is not here. Throws `StorageError`. */
export function contentOf(
  { node, store }: Service,
  fileId: string,
  client: string,
): ViewedContent | undefined {
  const entry = node.peer.catalogue.get(fileId);
  const reader = entry?.held ? store.reader(fileId) : undefined;
  if (!entry || !reader) return undefined;
  return tracked(node, reader, entry.file, fileId, client);
}

/** What can be sent to a browser. */
export interface Sendable {
  readonly sizeBytes: number;
  /** Hex SHA-256. */
  readonly sha256: string;
  readInto(buffer: Uint8Array): number;
  seek(offset: number, bytes: number): void;
  close(): void;
}

/**
 * Returns content for a browser, listed among the transfers from its first byte on. `fileId` is that of a file in the catalogue, or ""
 * for anything else.
 */
export function tracked(
  { transferLog }: Service["node"],
  source: Sendable,
  file: FileRecord,
  fileId: string,
  client: string,
): ViewedContent {
  const { sizeBytes, sha256 } = source;
  let move: Move | undefined;
  let totalBytes = sizeBytes;
  let isOpen = true;
  const close = (why?: string, how: EarlyEnd = "failed") => {
    if (!isOpen) return;
    isOpen = false;
    source.close();
    if (!move) return;
    if (why === undefined) move.done();
    else endEarly(move, why, how);
  };
  return {
    file,
    sizeBytes,
    sha256,
    readInto: (buffer) => {
      if (!isOpen) throw new Error("It was canceled here");
      return source.readInto(buffer);
    },
    seek: (offset, bytes) => {
      source.seek(offset, bytes);
      totalBytes = bytes;
    },
    sent: (bytes) => {
      if (!move) {
        const { name } = file;
        move = transferLog.begin({ kind: "download", fileId, name, peer: client, totalBytes });
        move.stop = () => close();
      }
      move.moved(bytes);
    },
    close,
  };
}
