// Answering GET_FILE: content that is here is streamed by the edge, anything else is answered with "not here". PURE.
// Invariant: the number of files on their way to one machine is known, and goes back to nothing.

import type { Lists } from "../members/lists.ts";
import type { PeerState } from "../state.ts";
import { encodeMessage, type GetFile, type Message } from "../wire/message.ts";

export class Serving {
  constructor(readonly state: PeerState, readonly lists: Lists) {}

  onGet(message: GetFile, connection: number, ip: string): void {
    const { state } = this;
    this.lists.asked(ip);
    const entry = state.catalogue.get(message.fileId);
    if (entry?.held) {
      state.serving.set(ip, (state.serving.get(ip) ?? 0) + 1);
      state.emit({ kind: "serve", connection, file: entry.file, ip });
    } else {
      const absent: Message = { type: "FILE_DATA", hasContent: false, ext: state.ext };
      state.emit({ kind: "answer-absent", connection, bytes: encodeMessage(absent) });
    }
  }

  /** A file was sent to this machine, or not. */
  onServed(ip: string): void {
    const { serving } = this.state;
    const left = (serving.get(ip) ?? 0) - 1;
    if (left > 0) serving.set(ip, left);
    else serving.delete(ip);
  }
}
