// GET_FILE, incoming: the edge streams a held file, and anything else gets the answer "I don't have it". PURE.
// Invariant: the number of files being sent to each machine is known, and returns to zero.

import type { Lists } from "../members/lists.ts";
import type { PeerState } from "../state.ts";
import { encodeMessage, type GetFile, type Message } from "../wire/message.ts";

/** Answers requests for files. */
export class Serving {
  /** Shares `state` with the other parts of the peer. */
  constructor(readonly state: PeerState, readonly lists: Lists) {}

  /** Answers a GET_FILE on the same connection with FILE_DATA; all its fields are `null` if the file is not here. */
  onGet(message: GetFile, connection: number, ip: string): void {
    const { state } = this;
    this.lists.asked(ip);
    const entry = state.catalogue.get(message.fileId);
    const { raw, more } = message.ext ?? {};
    if (raw && more) this.#serveBatch([message.fileId, ...more], connection, ip);
    else if (entry?.held) {
      this.#count(ip);
      state.emit({ kind: "serve", connection, file: entry.file, ip, ...(raw ? { raw } : {}) });
    } else {
      const absent: Message = { type: "FILE_DATA", hasContent: false, ext: state.ext };
      state.emit({ kind: "answer-absent", connection, bytes: encodeMessage(absent) });
    }
  }

  #serveBatch(fileIds: readonly string[], connection: number, ip: string): void {
    const files = fileIds.map((fileId) => {
      const entry = this.state.catalogue.get(fileId);
      return entry?.held ? { fileId, file: entry.file } : { fileId };
    });
    this.#count(ip);
    this.state.emit({ kind: "serve-batch", connection, files, ip });
  }

  #count(ip: string): void {
    const { serving } = this.state;
    serving.set(ip, (serving.get(ip) ?? 0) + 1);
  }

  /** Notes that sending a file to this machine ended, successfully or not. */
  onServed(ip: string): void {
    const { serving } = this.state;
    const left = (serving.get(ip) ?? 0) - 1;
    if (left > 0) serving.set(ip, left);
    else serving.delete(ip);
  }
}
