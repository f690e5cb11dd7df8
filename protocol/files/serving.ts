// GET_FILE, incoming: the edge streams a held file, or parts of one that is on its way here, and anything else gets the
// answer "I don't have it". PURE.
// Invariant: the number of files being sent to each machine is known, and returns to zero.

import type { Bounded } from "../bounds/expiring.ts";
import type { Sharing } from "../effects.ts";
import type { Lists } from "../members/lists.ts";
import type { PeerState } from "../state.ts";
import type { Downloads } from "./downloads.ts";
import { Fellows } from "./fellows.ts";
import { encodeMessage, type GetFile, type Message } from "../wire/message.ts";

/** Answers requests for files. */
export class Serving {
  /** Who fetches the same file from us. */
  readonly fellows: Fellows;

  /** Shares `state` with the other parts of the peer. */
  constructor(
    readonly state: PeerState,
    readonly lists: Lists,
    readonly downloads: Pick<Downloads, "hasParts" | "fellowsCame">,
  ) {
    this.fellows = new Fellows(state);
  }

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    return this.fellows.sizes;
  }

  /** Answers a GET_FILE on the same connection with FILE_DATA; all its fields are `null` if the file is not here. */
  onGet(message: GetFile, connection: number, ip: string): void {
    const { state } = this;
    this.lists.asked(ip);
    const { fileId, ext } = message;
    const entry = state.catalogue.get(fileId);
    const { raw, more, chunks } = ext ?? {};
    if (raw && more) return this.#serveBatch([fileId, ...more], connection, ip);
    // A list of hashes costs reading the file, so that it is made for peers only.
    const mayAsk = !chunks || state.membership.knowsMachine(ip);
    if (entry?.held && mayAsk) {
      this.#count(ip);
      const sharing = raw && !chunks ? this.#sharing(message, ip, entry.file.sizeBytes) : {};
      const what = { ...(raw ? { raw } : {}), ...(raw && chunks ? { chunks } : {}), ...sharing };
      state.emit({ kind: "serve", connection, file: entry.file, ip, ...what });
    } else if (raw && !chunks && ext?.have && this.downloads.hasParts(fileId)) {
      this.#count(ip);
      const sharing = this.#sharing(message, ip);
      state.emit({ kind: "serve-part", connection, fileId, ip, raw, ...sharing });
    } else {
      const absent: Message = { type: "FILE_DATA", hasContent: false, ext: state.ext };
      state.emit({ kind: "answer-absent", connection, bytes: encodeMessage(absent) });
    }
  }

  /** Returns what the answer says to a peer that passes parts on. */
  #sharing(
    { fileId, ext }: GetFile,
    ip: string,
    sizeBytes?: number,
  ): { readonly sharing?: Sharing } {
    const peerId = this.fellows.nameIn(ext, ip);
    if (peerId === undefined) return {};
    // Who asks us for parts may have some that we lack.
    if (sizeBytes === undefined) this.downloads.fellowsCame(fileId, [peerId]);
    return { sharing: this.fellows.asked(fileId, peerId, ext?.raw ?? [], sizeBytes) };
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
