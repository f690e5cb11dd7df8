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
    if (entry?.held) {
      state.serving.set(ip, (state.serving.get(ip) ?? 0) + 1);
      const raw = message.ext?.raw;
      state.emit({ kind: "serve", connection, file: entry.file, ip, ...(raw ? { raw } : {}) });
    } else {
      const absent: Message = { type: "FILE_DATA", hasContent: false, ext: state.ext };
      state.emit({ kind: "answer-absent", connection, bytes: encodeMessage(absent) });
    }
  }

  /** Notes that sending a file to this machine ended, successfully or not. */
  onServed(ip: string): void {
    const { serving } = this.state;
    const left = (serving.get(ip) ?? 0) - 1;
    if (left > 0) serving.set(ip, left);
    else serving.delete(ip);
  }
}
