// Uploads by browsers and scripts that may be interrupted and continued.
// Invariants: one request at a time adds to an upload; whoever comes later ends the one before, whose client has most
// likely lost its connection; a person who cancels an upload on the page removes it.

import type { Move } from "../node/transfer_log.ts";
import type { FileIntake } from "../storage/intake.ts";
import { type KeptUpload, UPLOAD_MS } from "../storage/uploads.ts";
import {
  type Appending,
  NotPossible,
  type ResumableUpload,
  type ResumableUploads,
  type SharedFile,
  type ShareOptions,
} from "../web/view.ts";
import type { Service } from "./service.ts";
import { viewedFile, viewedShared } from "./status.ts";
import { messageOf, possible, possibly } from "./web_errors.ts";

/** The request that adds to an upload. */
interface Current {
  readonly end: AbortController;
  readonly ended: Promise<void>;
}

export class Resumables implements ResumableUploads {
  readonly keptSeconds: number = UPLOAD_MS / 1000;
  /** The requests that add to uploads, by the upload. */
  readonly #current = new Map<string, Current>();

  constructor(readonly service: Service) {}

  get maxBytes(): number {
    return this.service.store.options.maxFileBytes;
  }

  create(
    name: string,
    { modifiedSeconds, totalBytes }: ShareOptions,
    isPut = false,
  ): ResumableUpload {
    const { store } = this.service;
    return this.#viewed(
      possible(() => store.uploads.create({ name, modifiedSeconds, totalBytes, isPut })),
    );
  }

  async get(id: string): Promise<ResumableUpload | undefined> {
    await this.#endCurrent(id);
    const kept = this.service.store.uploads.get(id);
    return kept && this.#viewed(kept);
  }

  pending(): readonly ResumableUpload[] {
    return this.service.store.uploads.pending().map((kept) => this.#viewed(kept)).reverse();
  }

  async remove(id: string): Promise<boolean> {
    await this.#endCurrent(id);
    const { uploads } = this.service.store;
    if (!uploads.get(id)) return false;
    uploads.remove(id);
    return true;
  }

  async append(id: string, client: string): Promise<Appending> {
    await this.#endCurrent(id); // and from here to `set`, nothing else can run
    const end = new AbortController();
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const current = { end, ended };
    this.#current.set(id, current);
    const onEnd = () => {
      if (this.#current.get(id) === current) this.#current.delete(id);
      resolve();
    };
    try {
      const { uploads } = this.service.store;
      const intake = await possibly(() => uploads.open(id));
      const kept = uploads.get(id);
      if (!kept || end.signal.aborted) {
        uploads.moved(id);
        throw new NotPossible(409, ...OTHER_REQUEST);
      }
      return new AppendedUpload(this.service, kept, intake, client, end, onEnd);
    } catch (error) {
      onEnd();
      throw error;
    }
  }

  async #endCurrent(id: string): Promise<void> {
    // Others may wait for the same request, and begin before this one continues.
    for (let current = this.#current.get(id); current; current = this.#current.get(id)) {
      current.end.abort();
      await current.ended;
    }
  }

  #viewed(kept: KeptUpload): ResumableUpload {
    const { id, name, totalBytes, sizeBytes, fileId, isBusy, isPut } = kept;
    const { catalogue } = this.service.node.peer;
    const entry = fileId === undefined ? undefined : catalogue.get(fileId);
    return {
      id,
      name,
      totalBytes,
      offset: sizeBytes,
      isComplete: fileId !== undefined,
      isIdlePut: isPut && !isBusy,
      shared: entry && viewedFile(this.service, entry),
    };
  }
}

const OTHER_REQUEST = [
  "Another request continues this upload",
  "Ask with HEAD how far it is, then continue there",
] as const;

/** Content that one request adds. */
class AppendedUpload implements Appending {
  readonly #move: Move;
  readonly #offset: number;

  constructor(
    readonly service: Service,
    readonly kept: KeptUpload,
    readonly intake: FileIntake,
    client: string,
    readonly end: AbortController,
    readonly onEnd: () => void,
  ) {
    const { name, totalBytes } = kept;
    this.#offset = intake.sizeBytes;
    const move = this.#move = service.node.transferLog.begin({
      kind: "upload",
      fileId: "",
      name,
      peer: client,
      totalBytes,
    });
    move.resume(intake.sizeBytes);
    move.stop = () => {
      // A person does not want it.
      service.store.uploads.remove(kept.id);
      end.abort();
    };
  }

  get offset(): number {
    return this.#offset;
  }

  get cancelled(): AbortSignal {
    return this.end.signal;
  }

  write(content: Uint8Array): void {
    possible(() => this.intake.write(content));
    this.#move.moved(content.length);
  }

  async finish(): Promise<SharedFile> {
    const { service, kept: { id, name, modifiedSeconds }, intake } = this;
    const { uploads } = service.store;
    const move = this.#move;
    move.seal();
    try {
      const { totalBytes = intake.sizeBytes } = this.kept;
      if (intake.sizeBytes !== totalBytes) {
        const text = `${intake.sizeBytes} bytes are here, of ${totalBytes} that were announced`;
        throw new NotPossible(409, text, "Send the file again");
      }
      const modified = modifiedSeconds ?? Date.now() / 1000;
      const shared = await possibly(() => service.operations.share(intake, name, modified));
      uploads.completed(id, shared.file.fileId);
      move.fileId = shared.file.fileId;
      move.done();
      return viewedShared(service, shared);
    } catch (error) {
      uploads.remove(id); // its content is gone
      move.failed(messageOf(error));
      throw error;
    } finally {
      this.onEnd();
    }
  }

  pause(why = "The sender stopped; the upload can be continued for a day"): void {
    this.service.store.uploads.moved(this.kept.id);
    if (this.#move.state === "running") this.#move.log.end(this.#move, "cancelled", why);
    this.onEnd();
  }
}
