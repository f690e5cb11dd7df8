// Raw content over real loopback sockets: several requests on one connection, ranges, and sources that fail halfway.

import assert from "node:assert/strict";
import { Connection } from "../../net/connection.ts";
import { sendFile } from "../../net/exchange.ts";
import { type RawOutcome, RawRequests, sendRaw } from "../../net/raw.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import { ProtocolError } from "../../protocol/wire/errors.ts";
import { encodeMessage, type FileRecord } from "../../protocol/wire/message.ts";
import { type Range, rawHeader, TO_THE_END } from "../../protocol/wire/raw.ts";

const limits = { ...DEFAULT_LIMITS, idleTimeoutMs: 10_000 };
const ext = { v: 1 };
const WHOLE = { offset: 0, length: TO_THE_END };
const file: FileRecord = {
  fileId: "ab".repeat(32),
  name: "x.bin",
  owner: "kashifm",
  timestamp: { text: "1744170562", quoted: false },
  size: 0,
};

class Ends implements Disposable {
  private constructor(readonly near: Connection, readonly far: Connection) {}

  static async open(): Promise<Ends> {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const [near, far] = await Promise.all([
      Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
      listener.accept(),
    ]);
    listener.close();
    return new Ends(new Connection(near), new Connection(far as Deno.TcpConn));
  }

  /** Reads one request. */
  async asked(): Promise<unknown> {
    const buffer = new Uint8Array(1_024);
    const read = await this.far.read(buffer, 10_000);
    return JSON.parse(new TextDecoder().decode(buffer.subarray(0, read ?? 0)));
  }

  [Symbol.dispose](): void {
    this.near.close();
    this.far.close();
  }
}

class Collected {
  readonly chunks: Uint8Array[] = [];
  failing = false;
  begin(): void {}
  write(content: Uint8Array): void {
    if (this.failing) throw new Error("The disk is full");
    this.chunks.push(content.slice());
  }
  get bytes(): Uint8Array {
    return Uint8Array.from(this.chunks.flatMap((chunk) => [...chunk]));
  }
}

/** Makes one request, and reads its answer. */
async function ask(ends: Ends, range: Range, sink = new Collected()): Promise<RawOutcome> {
  const requests = new RawRequests(ends.near, file.fileId, ext, limits);
  await requests.request(range);
  const outcome = await requests.answer(range, sink);
  requests.end();
  return outcome;
}

function readerOf(content: Uint8Array, sizeBytes = content.length) {
  let [at, end] = [0, content.length];
  return {
    sizeBytes,
    seek(offset: number, bytes: number) {
      [at, end] = [offset, Math.min(content.length, offset + bytes)];
    },
    readInto(buffer: Uint8Array) {
      const piece = content.subarray(at, Math.min(end, at + buffer.length));
      buffer.set(piece);
      at += piece.length;
      return piece.length;
    },
    close() {},
  };
}

/** Bytes that differ from place to place. */
const contentOf = (size: number) =>
  Uint8Array.from({ length: size }, (_, i) => (i * 7 + i / 251) | 0);

Deno.test("files of all sizes arrive unchanged, one after another on one connection", async () => {
  using ends = await Ends.open();
  for (const size of [0, 1, 4_096, 16_384, 1_048_576, 3_000_001]) {
    const content = contentOf(size);
    const sink = new Collected();
    const [outcome] = await Promise.all([
      ask(ends, WHOLE, sink),
      ends.asked().then(() =>
        sendRaw(ends.far, file, readerOf(content), { offset: 0, length: size }, ext, 10_000)
      ),
    ]);
    assert.equal(outcome, "content");
    assert.deepEqual(sink.bytes, content, `${size} bytes`);
  }
});

Deno.test("a part of a file arrives as that part, and its request says which", async () => {
  using ends = await Ends.open();
  const content = contentOf(100_000);
  const range = { offset: 70_001, length: 20_000 };
  const sink = new Collected();
  let asked: unknown;
  await Promise.all([
    ask(ends, range, sink),
    ends.asked().then((request) => {
      asked = request;
      return sendRaw(ends.far, file, readerOf(content), range, ext, 10_000);
    }),
  ]);
  assert.deepEqual(asked, {
    type: "GET_FILE",
    file_id: file.fileId,
    ext: { v: 1, raw: [70_001, 20_000] },
  });
  assert.deepEqual(sink.bytes, content.slice(70_001, 90_001));
});

Deno.test("a source that answers in hex, or does not have the file, is recognized", async () => {
  {
    using ends = await Ends.open();
    const [outcome] = await Promise.all([
      ask(ends, WHOLE),
      ends.asked().then(() => sendFile(ends.far, file, readerOf(contentOf(3_000)), ext, 10_000)),
    ]);
    assert.equal(outcome, "hex");
  }
  for (const isSilent of [false, true]) {
    using ends = await Ends.open();
    const absent = encodeMessage({ type: "FILE_DATA", hasContent: false, ext });
    const [outcome] = await Promise.all([
      ask(ends, WHOLE),
      ends.asked().then(async () => {
        if (!isSilent) await ends.far.write(absent, 10_000);
        await ends.far.closeWrite();
      }),
    ]);
    assert.equal(outcome, isSilent ? "closed" : "absent");
  }
});

Deno.test("the next request may be made before an answer is read, and each gets its own bytes", async () => {
  using ends = await Ends.open();
  const content = contentOf(50_000);
  const ranges = [[0, 10], [40_000, 10_000], [7, 0], [100, 30_000]].map(([offset, length]) => ({
    offset: offset!,
    length: length!,
  }));
  const requests = new RawRequests(ends.near, file.fileId, ext, limits);
  for (const range of ranges) await requests.request(range);
  const serving = (async () => {
    await ends.far.read(new Uint8Array(4_096), 10_000);
    for (const range of ranges) {
      await sendRaw(ends.far, file, readerOf(content), range, ext, 10_000);
    }
  })();
  for (const range of ranges) {
    const sink = new Collected();
    assert.equal(await requests.answer(range, sink), "content");
    assert.deepEqual(sink.bytes, content.slice(range.offset, range.offset + range.length));
  }
  requests.end();
  await serving;
});

const isCutShort = (error: unknown) =>
  error instanceof ProtocolError && error.reason === "cut-short";

Deno.test("content that ends early is cut short, and never a whole file", async () => {
  const header = rawHeader(file, ext, { offset: 0, length: 100 }, 100);
  for (const sent of [header.subarray(0, 40), header, new Uint8Array([...header, 1, 2, 3])]) {
    using ends = await Ends.open();
    const asking = ask(ends, WHOLE);
    await ends.asked();
    await ends.far.write(sent, 10_000);
    await ends.far.closeWrite();
    await assert.rejects(asking, isCutShort, `${sent.length} bytes`);
  }
});

Deno.test("a file that became shorter is not passed off as complete", async () => {
  using ends = await Ends.open();
  const asking = ask(ends, WHOLE);
  await ends.asked();
  const short = readerOf(contentOf(50), 100);
  const sending = sendRaw(ends.far, file, short, { offset: 0, length: 100 }, ext, 10_000);
  await assert.rejects(sending, /shorter/);
  ends.far.close();
  await assert.rejects(asking);
});

Deno.test("more content than was asked for is an error of the source", async () => {
  using ends = await Ends.open();
  const asking = ask(ends, WHOLE);
  await ends.asked();
  const header = rawHeader(file, ext, { offset: 0, length: 2 }, 2);
  await ends.far.write(new Uint8Array([...header, 1, 2, 3]), 10_000);
  await assert.rejects(
    asking,
    (error) => error instanceof ProtocolError && error.reason === "bad-field",
  );
});

Deno.test("a disk that is full ends the request, with the disk's error", async () => {
  using ends = await Ends.open();
  const sink = new Collected();
  const asking = ask(ends, WHOLE, sink);
  await ends.asked();
  sink.failing = true;
  const content = contentOf(3_000_000);
  const sending = sendRaw(
    ends.far,
    file,
    readerOf(content),
    { offset: 0, length: content.length },
    ext,
    10_000,
  );
  sending.catch(() => {}); // the other side goes away, perhaps after everything is in its buffers
  await assert.rejects(asking, /disk is full/);
});
