// A source of one file that a test controls: its content, its speed, and what it says of itself.

import net from "node:net";
import { Raw, shout } from "../hostile/raw.ts";
import { entryOf, type Message } from "../threats/scene.ts";
import { until } from "../until.ts";
import type { ForeignFile } from "../wire/foreign.ts";
import type { Program } from "./program.ts";

/** Sends the answer to one request. Returns the bytes to send for a range. */
export type Content = (file: ForeignFile, offset: number, length: number) => Uint8Array | undefined;

/** The content itself. */
export const honest: Content = ({ content }, offset, length) =>
  content.subarray(offset, offset + length);

/** A source of one file. */
export class Source implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  /** Ranges that were requested. */
  readonly asked: [offset: number, length: number][] = [];
  /** Content sent, in bytes. */
  sentBytes = 0;
  /** The size that it tells others. */
  claimedBytes: number;

  /** What it says that it can. */
  readonly can: readonly string[];
  /** Set if it does not hold the file, and passes on what it says to have. */
  readonly isFellow: boolean;

  /** `bytesPerMs` limits its speed. */
  constructor(
    readonly name: string,
    readonly file: ForeignFile,
    readonly content: Content = honest,
    readonly bytesPerMs = Infinity,
    { can = ["raw"], isFellow = false }: { can?: readonly string[]; isFellow?: boolean } = {},
  ) {
    this.can = can;
    this.isFellow = isFellow;
    this.claimedBytes = file.content.length;
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
      let text = "";
      let turn = Promise.resolve();
      socket.on("data", (bytes: Uint8Array) => {
        text += new TextDecoder().decode(bytes);
        for (let end = text.indexOf("}") + 1; end > 0; end = text.indexOf("}", end) + 1) {
          let request;
          try {
            request = JSON.parse(text.slice(0, end));
          } catch {
            continue; // in the middle of a message
          }
          text = text.slice(end);
          end = 0;
          if (request.type === "GOSSIP") this.#reply(Number(request.port));
          if (request.type === "GET_FILE") turn = turn.then(() => this.#answer(socket, request));
        }
      });
      socket.on("end", () => socket.end());
    });
  }

  get total(): number {
    return this.file.content.length;
  }

  /** Sends its list to a peer that gossiped. */
  #reply(to: number): void {
    const { port } = this.#server.address() as net.AddressInfo;
    const entry = { ...entryOf(this.file), size_bytes: this.claimedBytes };
    const files = this.isFellow ? [] : [entry];
    const ext = { v: 1, can: this.can };
    const sender = { host: "127.0.0.1", port, peerId: this.name };
    const socket = net.connect(to, "127.0.0.1");
    socket.on("error", () => {});
    socket.end(JSON.stringify({ type: "GOSSIP_REPLY", ...sender, files, ext }));
  }

  async #answer(socket: net.Socket, request: Record<string, unknown>): Promise<void> {
    const [offset, wanted] = (request.ext as { raw: [number, number] }).raw;
    if (offset > this.total) {
      return void socket.end(JSON.stringify({ type: "FILE_DATA", file_id: null, data: null }));
    }
    const length = Math.min(wanted, this.total - offset);
    this.asked.push([offset, length]);
    const bytes = this.content(this.file, offset, length);
    if (!bytes) return void socket.destroy();
    const have = this.isFellow ? { have: [[0, this.total]] } : {};
    const ext = { v: 1, raw: [offset, length, this.total], ...have };
    socket.write(`${JSON.stringify({ type: "FILE_DATA", ...entryOf(this.file), ext })}\n`);
    const piece = this.bytesPerMs === Infinity ? bytes.length : this.bytesPerMs * 2;
    for (let at = 0; at < bytes.length && !socket.destroyed; at += piece) {
      const part = bytes.subarray(at, at + piece);
      const isTaken = socket.write(part);
      this.sentBytes += part.length;
      if (piece < bytes.length) await new Promise((go) => setTimeout(go, 2));
      else if (!isTaken) await new Promise((go) => socket.once("drain", go).once("close", go));
    }
  }

  async join(to: Program): Promise<void> {
    if (!this.#server.listening) {
      await new Promise<void>((go) => this.#server.listen(0, "127.0.0.1", go));
    }
    const { port } = this.#server.address() as net.AddressInfo;
    const ext = { v: 1, can: this.can };
    const gossip = { type: "GOSSIP", host: "127.0.0.1", port, peerId: this.name, ext };
    const seen = to.tracks(this.name);
    await shout(to, { ...gossip, id: crypto.randomUUID() });
    await seen;
  }

  /** Asks a peer for a byte of the file, as if it was fetching it. */
  async fetchFrom(to: Program): Promise<void> {
    const ext = { v: 1, raw: [0, 1], have: [], peer: this.name };
    using raw = await Raw.open({ host: "127.0.0.1", port: to.port! });
    raw.write(JSON.stringify({ type: "GET_FILE", file_id: this.file.fileId, ext }));
    await until("an answer", () => raw.receivedBytes > 0);
  }

  async announce(to: Program): Promise<void> {
    const entry = { ...entryOf(this.file), size_bytes: this.claimedBytes };
    const message: Message = { type: "ANNOUNCE", from: this.name, ...entry, ext: { v: 1 } };
    await shout(to, message, { how: "half-closes" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((go) => this.#server.close(() => go()));
  }
}
