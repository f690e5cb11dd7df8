// Test doubles of foreign peers: they talk to ours over real TCP on 127.0.0.1, each in the manner of one of four
// real implementations (foreign_styles.ts has the manners, this file the actions).
// A double is as careless as its model, and stricter in one respect: it records what it understood (`received`) and
// what it could not (`lost`), so that a test can assert both.
// No network error escapes a double: refused and reset connections are recorded in `failures`. After `stop()`,
// which `await using` calls, it holds no timer, listener or connection.

import { createHash } from "node:crypto";
import { Line } from "./foreign_line.ts";
import {
  complaintAbout,
  complaintAboutEntry,
  dumps,
  floatText,
  type ForeignStyle,
  type Manner,
  MANNERS,
  type Message,
  ownTimestamp,
  pythonStr,
  type Reader,
  Source,
  timestampSource,
  withFields,
} from "./foreign_styles.ts";

export { type ForeignStyle, ownTimestamp, pythonStr, timestampSource };

const DIAL_MS = 10_000;
const FORWARD_PEERS = 3;
/** Where a non-blocking peer gives up on a large answer (PROTOCOL.md: about 4 MB). */
const DROP_BYTES = 4_000_000;

export interface Address {
  host: string;
  port: number;
}

export interface ForeignFile {
  name: string;
  content: Uint8Array;
  owner: string;
  /** Source text as written in JSON: `1744170562`, or with quotes `"Sun Jun 15 21:36:41 2025"`. */
  timestamp: string;
  fileId: string;
}

export interface ForeignOptions {
  style: ForeignStyle;
  peerId: string;
  files?: ForeignFile[];
  host?: string;
  port?: number;
  /**
   * "truncate": half of each FILE_DATA, then closes. "corrupt": one wrong byte in each FILE_DATA. "drop-above-4mb":
   * closes after 4 MB of a FILE_DATA. "silent": reads and records, answers nothing and never closes. This applies
   * to FILE_DATA both as an answer and as a push.
   */
  misbehave?: "truncate" | "corrupt" | "silent" | "drop-above-4mb";
  /** Whether it forwards GOSSIP, once per id, to up to 3 peers. Default true. */
  forwards?: boolean;
  /** Whether it answers GOSSIP. Default true. */
  replies?: boolean;
  /** Upper bound for each wait of its style, in milliseconds. Shorter makes tests faster. Default: none. */
  patienceMs?: number;
}

/** A file as its owner creates it: the id is sha256(content ‖ Python's `str()` of the timestamp). */
export function foreignFile(
  name: string,
  content: Uint8Array,
  owner: string,
  timestamp: string,
): ForeignFile {
  const fileId = createHash("sha256").update(content).update(pythonStr(timestamp)).digest("hex");
  return { name, content, owner, timestamp, fileId };
}

export class ForeignPeer implements AsyncDisposable {
  readonly style: ForeignStyle;
  readonly peerId: string;
  readonly host: string;
  readonly port: number;
  /** What it holds, by file_id: given at start, fetched, or pushed to it. */
  readonly files: Map<string, ForeignFile> = new Map();
  /** Addresses learned by gossip, by peerId. */
  readonly peers: Map<string, Address> = new Map();
  /** Learned from lists and announcements, by file_id. The first entry for an id is kept. */
  readonly catalogue: Map<string, { entry: Message; holders: Set<string> }> = new Map();
  /** Every message it understood, in order; the `data` of FILE_DATA is replaced by its length. */
  readonly received: Message[] = [];
  /** Why messages, or single entries of a list, could not be understood. */
  readonly lost: string[] = [];
  /** Dials and writes that failed. */
  readonly failures: string[] = [];

  readonly #options: ForeignOptions;
  readonly #manner: Manner;
  readonly #listener: Deno.TcpListener;
  readonly #lines = new Set<Line>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #seenGossip = new Set<string>();
  readonly #stopping = new AbortController();

  private constructor(options: ForeignOptions, listener: Deno.TcpListener) {
    this.#options = options;
    this.#manner = MANNERS[options.style];
    this.#listener = listener;
    this.style = options.style;
    this.peerId = options.peerId;
    this.host = listener.addr.hostname;
    this.port = listener.addr.port;
    for (const file of options.files ?? []) this.files.set(file.fileId, file);
    this.#track(this.#acceptAll());
  }

  /** Listens on 127.0.0.1, on a free port unless one is given. Throws if it is in use. */
  // deno-lint-ignore require-await -- a promise, so that callers need not know how it starts
  static async start(options: ForeignOptions): Promise<ForeignPeer> {
    const { host: hostname = "127.0.0.1", port = 0 } = options;
    return new ForeignPeer(options, Deno.listen({ hostname, port }));
  }

  /** Ends everything in progress. May be called twice. */
  async stop(): Promise<void> {
    if (!this.#stopping.signal.aborted) {
      this.#stopping.abort();
      this.#listener.close();
    }
    for (const line of this.#lines) line.close();
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /**
   * Sends GOSSIP and returns its id. A reply on the same connection is read in the background, except by
   * "closes-at-once", which has closed by then.
   */
  async gossip(to: Address): Promise<string> {
    const id = crypto.randomUUID();
    this.#seenGossip.add(id);
    await this.#send(to, { type: "GOSSIP", ...this.#address(), id, peerId: this.peerId });
    return id;
  }

  /**
   * Requests a file, keeps it and returns it, unchecked as in the real peers. Returns `undefined` if the other side
   * does not have it, closes, is silent for longer than this style waits, or sends an unreadable answer.
   */
  get(
    from: Address,
    fileId: string,
  ): Promise<{ content: Uint8Array; message: Message } | undefined> {
    return this.#track(this.#get(from, fileId));
  }

  /** Sends FILE_DATA unasked. Does not add the file to its own `files`. */
  push(to: Address, file: ForeignFile): Promise<void> {
    return this.#sendWith(to, (line) => this.#writeFileData(line, file));
  }

  announce(to: Address, file: ForeignFile, from: string = this.peerId): Promise<void> {
    return this.#send(to, { type: "ANNOUNCE", from, ...this.#entry(file) });
  }

  delete(to: Address, fileId: string, from: string = this.peerId): Promise<void> {
    return this.#send(to, { type: "DELETE", from, file_id: fileId });
  }

  // Inbound

  async #acceptAll(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        const line = this.#open(await this.#listener.accept());
        const served = this.#track(this.#serve(line, this.#manner.inboundMs));
        if (this.#manner.oneConnectionAtATime) await served;
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        this.failures.push(`accept: ${error}`);
        await new Promise((resolve) => setTimeout(resolve, 20)); // perhaps out of file descriptors
      }
    }
  }

  async #serve(line: Line, waitMs: number): Promise<void> {
    try {
      do {
        const message = await this.#receive(line, this.#manner.reader(), waitMs, waitMs);
        if (message === undefined) return;
        this.#learn(message, line);
        await this.#act(message, line);
      } while (this.#manner.severalMessagesPerConnection);
    } finally {
      line.close();
    }
  }

  /** Returns the next message, recorded in `received`, or `undefined` at the end and if it was lost. */
  async #receive(
    line: Line,
    reader: Reader,
    firstByteMs: number,
    idleMs: number,
  ): Promise<Message | undefined> {
    try {
      for (let waitMs = firstByteMs;; waitMs = idleMs) {
        const read = await line.read(this.#wait(waitMs));
        if (read === "late" && reader.pending()) throw new Error("No end within the deadline");
        if (read === "late") return undefined;
        const message = read === "closed" ? reader.close() : reader.take(read);
        if (message !== undefined) {
          const complaint = complaintAbout(message);
          if (complaint !== undefined) throw new Error(complaint);
          const { data } = message;
          this.received.push(
            typeof data === "string" ? withFields(message, { data: data.length }) : message,
          );
          return message;
        }
        if (read === "closed") return undefined;
      }
    } catch (error) {
      // Being cut short by our own stop() is not a failure.
      if (!this.#stopping.signal.aborted) this.lost.push((error as Error).message);
      return undefined;
    }
  }

  /**
   * Applies what a message changes here before anything is sent, so that a test that sees the answer finds it done.
   */
  #learn(message: Message, line: Line): void {
    switch (message.type) {
      case "GOSSIP":
      case "GOSSIP_REPLY": {
        const peerId = message.peerId as string;
        if (peerId === this.peerId) return;
        const host = message.host as string || line.remoteHost;
        this.peers.set(peerId, { host, port: Number(message.port) });
        if (message.type === "GOSSIP_REPLY") this.#learnList(peerId, message.files as unknown[]);
        return;
      }
      case "FILE_DATA":
        if (typeof message.file_id === "string") this.#keep(message.file_id, message);
        return;
      case "ANNOUNCE":
        this.#learnEntry(message.from as string, message);
        return;
      case "DELETE": {
        const fileId = message.file_id as string;
        const owner = this.files.get(fileId)?.owner ??
          this.catalogue.get(fileId)?.entry.file_owner;
        if (message.from !== owner) return;
        this.files.delete(fileId);
        this.catalogue.delete(fileId);
        return;
      }
    }
  }

  #learnList(holder: string, files: unknown[]): void {
    for (const entry of files) {
      const complaint = complaintAboutEntry(entry);
      if (complaint !== undefined) this.lost.push(complaint);
      else if (!this.#learnEntry(holder, entry as Message)) return;
    }
  }

  /** Returns false if the entry made this peer fail, so that the rest of a list is dropped. */
  #learnEntry(holder: string, entry: Message): boolean {
    const fileId = entry.file_id as string;
    const known = this.catalogue.get(fileId);
    const knownSource = this.files.get(fileId)?.timestamp ??
      (known && timestampSource(known.entry));
    const isText = typeof entry.file_timestamp === "string";
    if (
      this.#manner.fixesTimestampType && knownSource !== undefined &&
      knownSource.startsWith('"') !== isText
    ) {
      const source = timestampSource(entry);
      this.lost.push(`Timestamp of ${fileId} turned from ${knownSource} into ${source}`);
      return false;
    }
    if (known) known.holders.add(holder);
    else this.catalogue.set(fileId, { entry, holders: new Set([holder]) });
    return true;
  }

  #keep(fileId: string, message: Message): Uint8Array | undefined {
    const { data } = message;
    if (typeof data !== "string" || data === "null") return undefined;
    let content: Uint8Array;
    try {
      content = Uint8Array.fromHex(data);
    } catch {
      this.lost.push(`Data of ${fileId} is not hex`);
      return undefined;
    }
    const source = timestampSource(message) ?? "null";
    this.files.set(fileId, {
      name: String(message.file_name),
      content,
      owner: String(message.file_owner),
      timestamp: this.#manner.floatsTimestamps ? floatText(source) : source,
      fileId,
    });
    return content;
  }

  async #act(message: Message, line: Line): Promise<void> {
    if (this.#options.misbehave === "silent") return await line.hold(Infinity);
    switch (message.type) {
      case "GOSSIP":
        return await this.#actOnGossip(message, line);
      case "GET_FILE": {
        const fileId = message.file_id as string;
        const file = this.files.get(fileId);
        if (file !== undefined) return await this.#writeFileData(line, file);
        const missing = this.#manner.missing(fileId);
        if (missing === undefined) return await line.hold(this.#wait(this.#manner.inboundMs));
        return await this.#write(line, this.#encode(missing));
      }
      case "FILE_DATA": {
        const file = this.files.get(String(message.file_id));
        if (file !== undefined) await this.#announceToAll(file);
        return;
      }
    }
  }

  async #actOnGossip(message: Message, line: Line): Promise<void> {
    const { replies = true, forwards = true } = this.#options;
    const id = message.id as string;
    const originator = message.peerId as string;
    if (originator === this.peerId || this.#seenGossip.has(id)) return;
    this.#seenGossip.add(id);
    if (replies) {
      const files = [...this.files.values()].map((file) => this.#entry(file));
      const reply = { type: "GOSSIP_REPLY", ...this.#address(), peerId: this.peerId, files };
      if (this.#manner.repliesOnSameConnection) await this.#write(line, this.#encode(reply));
      else await this.#send(this.peers.get(originator)!, reply);
    }
    if (!forwards) return;
    const others = [...this.peers].filter(([peerId]) => peerId !== originator)
      .map(([, address]) => ({ address, lot: Math.random() }))
      .sort((a, b) => a.lot - b.lot).slice(0, FORWARD_PEERS);
    await Promise.all(others.map(({ address }) => this.#send(address, message)));
  }

  // Outbound

  async #get(
    from: Address,
    fileId: string,
  ): Promise<{ content: Uint8Array; message: Message } | undefined> {
    const line = await this.#dial(from);
    if (line === undefined) return undefined;
    let message: Message | undefined;
    try {
      await this.#write(line, this.#encode({ type: "GET_FILE", file_id: fileId }));
      if (this.#manner.afterSending === "half-closes") await line.halfClose();
      const { firstByteMs, idleMs } = this.#manner;
      message = await this.#receive(line, this.#manner.answerReader(), firstByteMs, idleMs);
    } finally {
      line.close();
    }
    if (message === undefined) return undefined;
    if (message.type !== "FILE_DATA") {
      this.lost.push(`Expected FILE_DATA in answer to GET_FILE, received ${message.type}`);
      return undefined;
    }
    const content = this.#keep(fileId, message);
    if (content === undefined) return undefined;
    if (this.#manner.announcesFetched) this.#track(this.#announceToAll(this.files.get(fileId)!));
    return { content, message };
  }

  async #announceToAll(file: ForeignFile): Promise<void> {
    await Promise.all([...this.peers.values()].map((peer) => this.announce(peer, file)));
  }

  #send(to: Address, message: Message): Promise<void> {
    return this.#sendWith(to, (line) => this.#write(line, this.#encode(message)));
  }

  #sendWith(to: Address, write: (line: Line) => Promise<void>): Promise<void> {
    return this.#track((async () => {
      const line = await this.#dial(to);
      if (line === undefined) return;
      await write(line);
      if (this.#manner.afterSending === "closes") return line.close();
      if (this.#manner.afterSending === "half-closes") await line.halfClose();
      this.#track(this.#serve(line, this.#manner.lingerMs));
    })());
  }

  async #writeFileData(line: Line, file: ForeignFile): Promise<void> {
    const { misbehave } = this.#options;
    const content = file.content.slice();
    if (misbehave === "corrupt" && content.length > 0) content[content.length >> 1]! ^= 1;
    const entry = this.#entry(file);
    const bytes = this.#encode({ type: "FILE_DATA", ...entry, data: content.toHex() });
    const cut = misbehave === "truncate"
      ? bytes.length >> 1
      : misbehave === "drop-above-4mb"
      ? DROP_BYTES
      : Infinity;
    await this.#write(line, bytes.subarray(0, cut));
    if (cut < bytes.length) line.close();
  }

  async #write(line: Line, bytes: Uint8Array): Promise<void> {
    const failure = await line.write(bytes);
    if (failure !== undefined && !this.#stopping.signal.aborted) {
      this.failures.push(`write to ${line.remoteHost}: ${failure}`);
    }
  }

  async #dial({ host: hostname, port }: Address): Promise<Line | undefined> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new Error("no connection in time")), DIAL_MS);
    try {
      const signal = AbortSignal.any([late.signal, this.#stopping.signal]);
      return this.#open(await Deno.connect({ hostname, port, signal }));
    } catch (error) {
      this.failures.push(`dial ${hostname}:${port}: ${error}`);
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  #open(conn: Deno.TcpConn): Line {
    const line = new Line(conn, () => this.#lines.delete(line));
    this.#lines.add(line);
    if (this.#stopping.signal.aborted) line.close();
    return line;
  }

  #encode(message: Message): Uint8Array {
    return new TextEncoder().encode(dumps(message) + this.#manner.terminator);
  }

  #address(): Message {
    return { host: this.host, port: this.#manner.portAsText ? String(this.port) : this.port };
  }

  #entry(file: ForeignFile): Message {
    const { length } = file.content;
    const size = this.#manner.sizeInBytes
      ? length
      : new Source(floatText(String(length / 2 ** 20)));
    return {
      file_name: file.name,
      file_size: size,
      file_id: file.fileId,
      file_owner: file.owner,
      file_timestamp: new Source(file.timestamp),
    };
  }

  #wait(styleMs: number): number {
    return Math.min(styleMs, this.#options.patienceMs ?? Infinity);
  }

  /** stop() waits for this work; an error that nobody awaits is recorded in `failures`. */
  #track<T>(work: Promise<T>): Promise<T> {
    const task: Promise<void> = work.then(() => {}, (error) => {
      this.failures.push(String(error));
    }).finally(() => this.#tasks.delete(task));
    this.#tasks.add(task);
    return work;
  }
}
