// Chunks: their sizes, and what lists of their hashes say.

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  CHUNK_BYTES,
  chunkBytesOf,
  chunksOf,
  differingChunks,
  DIGEST_BYTES,
  listBytesOf,
  MAX_CHUNKS,
  wholeChunks,
} from "../../protocol/chunks.ts";
import { Ranges } from "../../protocol/ranges.ts";
import { MAX_SPANS_TOLD } from "../../protocol/wire/ext.ts";

const sizes = fc.oneof(
  fc.integer({ min: 0, max: 20 * CHUNK_BYTES }),
  fc.integer({ min: 0, max: 10 * MAX_CHUNKS }).map((n) => n * CHUNK_BYTES),
);

Deno.test("the chunks of a file cover it once, in order, and there are at most 4,096", () => {
  fc.assert(fc.property(sizes, (size) => {
    let at = 0;
    let count = 0;
    for (const [start, end] of chunksOf(size)) {
      assert.equal(start, at);
      assert.ok(end - start <= chunkBytesOf(size) && end > start);
      at = end;
      count++;
    }
    assert.equal(at, size);
    assert.ok(count <= MAX_CHUNKS);
    assert.equal(listBytesOf(size), count * DIGEST_BYTES);
  }));
});

Deno.test("two lists differ in exactly the chunks whose hashes differ", () => {
  const changes = fc.uniqueArray(fc.integer({ min: 0, max: 49 }));
  const bytes = fc.integer({ min: 0, max: DIGEST_BYTES - 1 });
  fc.assert(fc.property(changes, bytes, (changed, byte) => {
    const size = 50 * CHUNK_BYTES - 7;
    const a = new Uint8Array(listBytesOf(size));
    const b = a.slice();
    for (const chunk of changed) b[chunk * DIGEST_BYTES + byte]! ^= 1;
    const all = [...chunksOf(size)];
    const expected = changed.sort((x, y) => x - y).map((chunk) => all[chunk]!);
    assert.deepEqual(differingChunks(size, a, b), expected);
  }));
});

Deno.test("what is told of what is here is whole chunks that are here, as many as may be told", () => {
  const spans = fc.array(fc.tuple(fc.nat(20 * CHUNK_BYTES), fc.nat(3 * CHUNK_BYTES)));
  fc.assert(fc.property(fc.integer({ min: 1, max: 20 * CHUNK_BYTES }), spans, (size, parts) => {
    const done = new Ranges(
      parts.map(([at, length]) => [Math.min(at, size), Math.min(size, at + length)]),
    );
    const told = wholeChunks(done, size);
    for (const [start, end] of told) {
      assert.ok(done.has(start, end) && start < end);
      assert.equal(start % CHUNK_BYTES, 0);
      assert.ok(end % CHUNK_BYTES === 0 || end === size);
    }
    for (const [start, end] of chunksOf(size)) {
      assert.equal(new Ranges(told).has(start, end), done.has(start, end));
    }
  }));
  const crumbs = new Ranges(
    Array.from({ length: 300 }, (_, i) => [2 * i * CHUNK_BYTES, (2 * i + 1) * CHUNK_BYTES]),
  );
  assert.equal(wholeChunks(crumbs, 1e9).length, MAX_SPANS_TOLD);
});

Deno.test("what is removed from ranges is no longer there, and the rest is", () => {
  const span = fc.tuple(fc.nat(60), fc.nat(20)).map(([at, length]) => [at, at + length] as const);
  fc.assert(fc.property(fc.array(span), span, (spans, [start, end]) => {
    const ranges = new Ranges(spans);
    const before = Array.from({ length: 90 }, (_, i) => ranges.has(i, i + 1));
    ranges.remove(start, end);
    const after = before.map((was, i) => was && !(start <= i && i < end));
    assert.deepEqual(Array.from({ length: 90 }, (_, i) => ranges.has(i, i + 1)), after);
    assert.equal(ranges.bytes, after.filter(Boolean).length);
  }));
});
