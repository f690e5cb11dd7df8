// A minimal foreign peer for large files. It streams hex in both directions and never holds a whole message.
// The test chooses where `data` appears among the fields of FILE_DATA: first, in the middle, or last.

import { createHash } from "node:crypto";
import { DEADLINE_MS } from "./program.ts";

const MIB = 1024 ** 2;

/** Content that is generated on each use, in pieces of 1 MiB, instead of being kept in memory. */
export class Content {
  readonly #block = new Uint8Array(MIB);
  readonly #isSpoiled: boolean;

  /** Creates random content, or a copy of `spoiled` whose last byte is wrong. */
  constructor(readonly sizeMib: number, spoiled?: Content) {
    this.#isSpoiled = spoiled !== undefined;
    if (spoiled) this.#block.set(spoiled.#block);
    for (let at = 0; at < MIB && !spoiled; at += 65_536) {
      crypto.getRandomValues(this.#block.subarray(at, at + 65_536));
    }
  }

  get sizeBytes(): number {
    return this.sizeMib * MIB;
  }

  /** Yields pieces that all differ. Each reuses the same buffer, so consume it before asking for the next. */
  *pieces(): Iterable<Uint8Array<ArrayBuffer>> {
    const piece = this.#block.slice();
    for (let index = 0; index < this.sizeMib; index++) {
      new DataView(piece.buffer).setUint32(0, index);
      if (this.#isSpoiled && index === this.sizeMib - 1) piece[MIB - 1]! ^= 1;
      yield piece;
    }
  }

  /** Returns the SHA-256 of the content followed by this text, in hex. */
  hash(suffix = ""): string {
    const hash = createHash("sha256");
    for (const piece of this.pieces()) hash.update(piece);
    return hash.update(suffix).digest("hex");
  }

  async writeTo(path: string): Promise<void> {
    using file = await Deno.create(path);
    const writer = file.writable.getWriter();
    for (const piece of this.pieces()) await writer.write(piece.slice());
    await writer.close();
  }
}

export interface LargeFile {
  readonly content: Content;
  readonly order: "data first" | "data in the middle" | "data last";
  /** All fields of FILE_DATA except `type` and `data`. */
  readonly entry: Readonly<Record<string, unknown>> & { readonly file_id: string };
}

export function largeFile(
  name: string,
  content: Content,
  order: LargeFile["order"],
  owner: string,
): LargeFile {
  const timestamp = 1750023401;
  return {
    content,
    order,
    entry: {
      file_name: name,
      file_size: content.sizeMib,
      file_id: content.hash(`${timestamp}`),
      file_owner: owner,
      file_timestamp: timestamp,
    },
  };
}

const encoder = new TextEncoder();

export async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

/** Writes FILE_DATA piece by piece. */
export async function writeFileData(conn: Deno.Conn, file: LargeFile): Promise<void> {
  const fields = Object.entries({ type: "FILE_DATA", ...file.entry })
    .map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`);
  const before =
    { "data first": 0, "data in the middle": 3, "data last": fields.length }[file.order];
  const [first, last] = [fields.slice(0, before), fields.slice(before)];
  await writeAll(conn, encoder.encode(`{${[...first, '"data": "'].join(", ")}`));
  for (const piece of file.content.pieces()) await writeAll(conn, encoder.encode(piece.toHex()));
  await writeAll(conn, encoder.encode(`${['"', ...last].join(", ")}}`));
}

/** Sends one message on its own connection. */
export async function send(to: { port: number }, message: unknown): Promise<void> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: to.port });
  await writeAll(conn, encoder.encode(JSON.stringify(message)));
}

export interface Answer {
  readonly fields: Record<string, unknown>;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** Requests a file and reads nothing until `start` resolves. Passes the decoded hex to `sink` as it arrives. */
export async function getFile(
  from: { port: number },
  fileId: string,
  { start, sink }: { start?: Promise<void>; sink?: (bytes: Uint8Array) => Promise<void> } = {},
): Promise<Answer> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: from.port });
  await writeAll(conn, encoder.encode(JSON.stringify({ type: "GET_FILE", file_id: fileId })));
  await start;
  const decoder = new TextDecoder();
  const hash = createHash("sha256");
  const buffer = new Uint8Array(256 * 1024);
  let [head, hex, tail] = ["", "", ""];
  let state: "before" | "in" | "behind" = "before";
  let sizeBytes = 0;
  const timer = setTimeout(() => conn.close(), DEADLINE_MS);
  try {
    for (let count; (count = await conn.read(buffer)) !== null;) {
      let text = decoder.decode(buffer.subarray(0, count), { stream: true });
      if (state === "before") {
        head += text;
        const match = /"data": ?"/.exec(head);
        if (!match) continue;
        const end = match.index + match[0].length;
        [head, text, state] = [head.slice(0, end), head.slice(end), "in"];
      }
      if (state === "behind") {
        tail += text;
        continue;
      }
      const quote = text.indexOf('"');
      if (quote >= 0) [text, tail, state] = [text.slice(0, quote), text.slice(quote), "behind"];
      hex += text;
      const even = hex.length - hex.length % 2;
      const bytes = Uint8Array.fromHex(hex.slice(0, even));
      hex = hex.slice(even);
      hash.update(bytes);
      sizeBytes += bytes.length;
      await sink?.(bytes);
    }
  } finally {
    clearTimeout(timer);
  }
  return { fields: JSON.parse(head + tail), sizeBytes, sha256: hash.digest("hex") };
}

/** Answers gossip with its file list and GET_FILE with its files. Only records all other messages. */
export class RawHolder implements AsyncDisposable {
  readonly received: Record<string, unknown>[] = [];
  readonly errors: unknown[] = [];
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #serving: Promise<unknown>[] = [];
  readonly #open = new Set<Deno.Conn>();
  #isStopping = false;

  constructor(readonly peerId: string, readonly files: readonly LargeFile[]) {
    this.#serving.push(this.#accept());
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  gossip(to: { port: number }): Promise<void> {
    return send(to, {
      type: "GOSSIP",
      host: "127.0.0.1",
      port: this.port,
      id: crypto.randomUUID(),
      peerId: this.peerId,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    this.#listener.close();
    for (const conn of this.#open) conn.close();
    await Promise.all(this.#serving);
  }

  async #accept(): Promise<void> {
    try {
      for await (const conn of this.#listener) {
        this.#open.add(conn);
        this.#serving.push(this.#serve(conn));
      }
    } catch (error) {
      if (!this.#isStopping) this.errors.push(error);
    }
  }

  async #serve(conn: Deno.Conn): Promise<void> {
    try {
      const message = await readMessage(conn);
      if (message === undefined) return;
      this.received.push(message);
      if (message.type === "GOSSIP") {
        const files = this.files.map(({ entry }) => entry);
        await send({ port: Number(message.port) }, {
          type: "GOSSIP_REPLY",
          host: "127.0.0.1",
          port: this.port,
          peerId: this.peerId,
          files,
        });
      }
      const file = this.files.find(({ entry }) => entry.file_id === message.file_id);
      if (message.type === "GET_FILE" && file) await writeFileData(conn, file);
    } catch (error) {
      if (!this.#isStopping) this.errors.push(error);
    } finally {
      if (this.#open.delete(conn) && !this.#isStopping) conn.close();
    }
  }
}

/** Reads until the input parses as JSON, or until the connection closes. For short messages. */
async function readMessage(conn: Deno.Conn): Promise<Record<string, unknown> | undefined> {
  const buffer = new Uint8Array(65_536);
  let text = "";
  for (let count; (count = await conn.read(buffer)) !== null;) {
    text += new TextDecoder().decode(buffer.subarray(0, count));
    try {
      return JSON.parse(text);
    } catch {
      // Still incomplete.
    }
  }
  return undefined;
}
