// How a dummy misbehaves, over a connection that only records what is written.

import assert from "node:assert/strict";
import { type Misbehaviour, MISBEHAVIOURS } from "../../cli/arguments.ts";
import { misbehavingSend, sampleFiles } from "../../cli/dummy.ts";
import { sendFile } from "../../net/exchange.ts";
import type { FileRecord } from "../../protocol/wire/message.ts";

const CONTENT = new TextEncoder().encode("some content");
const HEX = CONTENT.toHex();

const FILE: FileRecord = {
  fileId: "a".repeat(64),
  name: "a.txt",
  owner: "dummy",
  timestamp: { text: "1744169352", quoted: false },
  size: 0,
  sizeBytes: CONTENT.length,
};

/** Records what is done, and closes after `maxWrites` writes. */
class FakeConnection {
  text = "";
  writes = 0;
  closed = false;
  wroteLast = false;
  lingeredMs = 0;

  constructor(readonly maxWrites = Infinity) {}

  writeContent(bytes: Uint8Array): Promise<void> {
    return this.write(bytes);
  }

  write(bytes: Uint8Array): Promise<void> {
    assert.ok(!this.closed && !this.wroteLast, "written after the end");
    this.text += new TextDecoder().decode(bytes);
    if (++this.writes >= this.maxWrites) this.closed = true;
    return Promise.resolve();
  }

  closeWrite(): Promise<void> {
    this.wroteLast = true;
    return Promise.resolve();
  }

  linger(timeoutMs: number): Promise<void> {
    this.lingeredMs = timeoutMs;
    return Promise.resolve();
  }

  close(): void {
    this.closed = true;
  }
}

async function misbehave(how: Misbehaviour, connection = new FakeConnection(), content = CONTENT) {
  let at = 0;
  const reader = {
    sizeBytes: content.length,
    readInto(buffer: Uint8Array) {
      const piece = content.subarray(at, at + buffer.length);
      buffer.set(piece);
      at += piece.length;
      return piece.length;
    },
    close() {},
  };
  const send = misbehavingSend(how, sendFile);
  const asConnection = connection as unknown as Parameters<typeof sendFile>[0];
  await send(asConnection, FILE, reader, { v: 1 }, 1_000);
  return connection;
}

Deno.test("an honest send is complete, as a reference for the others", async () => {
  const connection = new FakeConnection();
  const asConnection = connection as unknown as Parameters<typeof sendFile>[0];
  const reader = { sizeBytes: 0, readInto: () => 0, close() {} };
  await sendFile(asConnection, FILE, reader, { v: 1 }, 1_000);
  assert.equal(JSON.parse(connection.text).data, "");
  assert.ok(connection.wroteLast);
});

Deno.test("truncate: the message starts well, stops in the middle, and the connection is closed", async () => {
  const { text, closed } = await misbehave("truncate");
  assert.ok(closed);
  assert.match(text, /^\{"type":"FILE_DATA".*"data":"(00)+$/);
  assert.ok(text.split('"data":"')[1]!.length < HEX.length);
});

Deno.test("corrupt: the message is complete, and one bit of the content is flipped", async () => {
  const { text, wroteLast } = await misbehave("corrupt");
  const { data, file_id: fileId } = JSON.parse(text);
  assert.equal(fileId, FILE.fileId);
  assert.equal(data.length, HEX.length);
  assert.notEqual(data, HEX);
  assert.equal(data.slice(2), HEX.slice(2));
  assert.ok(wroteLast);
});

Deno.test("silent: nothing is sent, and the connection stays open", async () => {
  const connection = await misbehave("silent");
  assert.deepEqual([connection.text, connection.closed], ["", false]);
  assert.ok(connection.lingeredMs >= 60_000);
});

Deno.test("garbage: what is sent is not a message", async () => {
  const { text, wroteLast } = await misbehave("garbage");
  assert.ok(text.length > 0 && wroteLast);
  assert.throws(() => JSON.parse(text), SyntaxError);
});

Deno.test("slow: content is sent a byte at a time until the other side disconnects", async () => {
  const { text, writes } = await misbehave("slow", new FakeConnection(2));
  assert.equal(writes, 2);
  assert.match(text, /"data":"00$/);
});

Deno.test("the misbehaviors on offer are exactly the ones tested here", () => {
  assert.deepEqual([...MISBEHAVIOURS].sort(), ["corrupt", "garbage", "silent", "slow", "truncate"]);
});

Deno.test("the samples have several kinds and sizes and plain names, and are always the same", () => {
  const samples = sampleFiles();
  assert.deepEqual(samples, sampleFiles());
  assert.ok(samples.length >= 3);
  assert.equal(new Set(samples.map(({ name }) => name)).size, samples.length);
  for (const { name, content } of samples) {
    assert.match(name, /^\w+\.\w+$/);
    assert.ok(content.length > 0);
  }
  const sizes = samples.map(({ content }) => content.length);
  assert.ok(Math.max(...sizes) > 2 * 1024 ** 2 && Math.min(...sizes) < 1000);
  const { content } = samples.find(({ name }) => name === "noise.bin")!;
  assert.equal(new Set(content.subarray(0, 4096)).size, 256);
});
