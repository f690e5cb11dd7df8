// Batches on a real connection: content that waits to be kept is not overwritten by what comes next.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { type BatchReceiver, requestBatch, sendBatch } from "../../net/batch.ts";
import { Connection } from "../../net/connection.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import type { FileRecord } from "../../protocol/wire/message.ts";

const EXT = { v: 1 };
const IDLE_MS = 60_000;
const COUNT = 300;
const SIZE = 4_096;

const record = (n: number): FileRecord => ({
  fileId: n.toString(16).padStart(64, "0"),
  name: `${n}.bin`,
  owner: "hawk",
  timestamp: { text: "1744170562", quoted: false },
  size: 1,
  sizeBytes: SIZE,
});

/** Content of which each byte says whose it is. */
const readerOf = (n: number) => {
  let left = SIZE;
  return {
    sizeBytes: SIZE,
    readInto: (buffer: Uint8Array) => {
      const bytes = Math.min(left, buffer.length);
      buffer.fill(n % 251, 0, bytes);
      left -= bytes;
      return bytes;
    },
    close: () => {},
  };
};

/** Looks at content late, as a store does. */
class Late implements BatchReceiver {
  readonly seen: number[] = [];
  #waiting: { readonly index: number; readonly content: Uint8Array }[] = [];
  #index = 0;

  begin(index: number): void {
    this.#index = index;
  }

  write(content: Uint8Array): void {
    if (content.length === SIZE) this.#waiting.push({ index: this.#index, content });
    else this.seen.push(this.#index); // a part of a file may be gone later
  }

  end(): void {}
  absent(): void {}

  async settled(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let i = 0; i < 20; i++) await new Promise((go) => setTimeout(go, 0));
    for (const { index, content } of waiting) {
      ok(content.every((byte) => byte === index % 251), `file ${index} was overwritten`);
      this.seen.push(index);
    }
  }
}

Deno.test("complete files stay as they are until they are settled, however fast the next ones come", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [near, far] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  const [to, from] = [new Connection(near), new Connection(far)];
  const indexes = Array.from({ length: COUNT }, (_, n) => n);
  const items = indexes.map((n) => {
    const file = record(n);
    return { fileId: file.fileId, open: { file, reader: readerOf(n) } };
  });
  const sink = new Late();
  const limits = { ...DEFAULT_LIMITS, idleTimeoutMs: IDLE_MS };
  const receiving = requestBatch(from, items.map(({ fileId }) => fileId), EXT, sink, limits);
  await Promise.all([sendBatch(to, items, IDLE_MS), receiving]);
  await sink.settled();
  const until = performance.now() + 60_000;
  while (new Set(sink.seen).size < COUNT && performance.now() < until) {
    await new Promise((go) => setTimeout(go, 0));
  }
  deepStrictEqual([...new Set(sink.seen)].sort((a, b) => a - b), indexes);
  strictEqual(to.closed, false);
  to.close();
  from.close();
});
