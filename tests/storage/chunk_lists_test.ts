// Lists of the hashes of chunks of held files, and content that is put together, forgotten in parts, and read meanwhile.

import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { createHash } from "node:crypto";
import { Assembly } from "../../storage/assembly.ts";
import { ChunkLists } from "../../storage/chunk_lists.ts";
import { StorageError } from "../../storage/errors.ts";
import type { FileReader } from "../../storage/reader.ts";
import { Space } from "../../storage/space.ts";
import { inTempDir } from "./fixture.ts";

const MIB = 1024 ** 2;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

function contentOf(sizeBytes: number): Uint8Array {
  const content = new Uint8Array(sizeBytes);
  for (let i = 0; i < sizeBytes; i++) content[i] = i + (i >> 10);
  return content;
}

/** A reader of content in memory. `onRead` is called before each piece. */
function readerOf(content: Uint8Array, onRead: () => void = () => {}): FileReader {
  let at = 0;
  const reader = {
    sizeBytes: content.length,
    readInto(buffer: Uint8Array): number {
      onRead();
      const piece = content.subarray(at, at + buffer.length);
      buffer.set(piece);
      at += piece.length;
      return piece.length;
    },
    close() {},
  };
  return reader as unknown as FileReader;
}

const hex = (list: Uint8Array | undefined) =>
  Array.from({ length: list!.length / 32 }, (_, i) => list!.subarray(32 * i, 32 * i + 32).toHex());

Deno.test("a list has the SHA-256 of each chunk, and is made once", async () => {
  const content = contentOf(3 * MIB + 5);
  let opened = 0;
  const lists = new ChunkLists(() => {
    opened++;
    return readerOf(content);
  });
  const [first, second] = await Promise.all([lists.of("a"), lists.of("a")]);
  deepStrictEqual(
    hex(first),
    [0, 1, 2, 3].map((i) => sha256(content.subarray(i * MIB, (i + 1) * MIB))),
  );
  deepStrictEqual(second, first);
  deepStrictEqual(await lists.of("a"), first);
  strictEqual(opened, 1);
  strictEqual((await new ChunkLists(() => readerOf(new Uint8Array(0))).of("a"))!.length, 0);
  strictEqual(await new ChunkLists(() => undefined).of("a"), undefined);
});

Deno.test("files are read one at a time, few wait, and the lists of few are kept", async () => {
  let reading = 0;
  let most = 0;
  const opened: string[] = [];
  const lists = new ChunkLists((fileId) => {
    opened.push(fileId);
    most = Math.max(most, ++reading);
    const reader = readerOf(contentOf(MIB));
    return Object.assign(reader, { close: () => void reading-- });
  });
  const waiting = ["a", "b", "c", "d"].map((fileId) => lists.of(fileId));
  await rejects(lists.of("e"), StorageError);
  await Promise.all(waiting);
  strictEqual(most, 1);
  for (const fileId of "efghijk") await lists.of(fileId);
  await lists.of("k");
  strictEqual(opened.length, 11);
  await lists.of("a");
  strictEqual(opened.length, 12, "the oldest was forgotten");
});

Deno.test("a file that cannot be read has no list this time, and the next one is read", async () => {
  let isBroken = true;
  const lists = new ChunkLists(() =>
    readerOf(contentOf(MIB), () => {
      if (isBroken) throw new StorageError("io", "It changed");
    })
  );
  const broken = lists.of("a");
  const waiting = lists.of("b").catch(() => "failed too");
  await rejects(broken, /It changed/);
  await waiting;
  isBroken = false;
  strictEqual((await lists.of("a"))!.length, 32);
  const stopping = new AbortController();
  stopping.abort();
  await rejects(new ChunkLists(() => readerOf(contentOf(MIB)), stopping.signal).of("a"));
});

/** A complete assembly of this content. */
function assembled(dir: string, content: Uint8Array): Assembly {
  const space = new Space(dir, 0, () => false);
  space.freeBytes = () => 1e12;
  const assembly = new Assembly(`${dir}/part`, 1e9, space);
  assembly.begin(content.length);
  assembly.write(0, content);
  return assembly;
}

Deno.test("what was forgotten is written again, and the whole is hashed again", async () => {
  await inTempDir(async (dir) => {
    await Promise.resolve();
    const right = contentOf(4 * MIB);
    const wrong = right.slice();
    wrong[2 * MIB + 9]! ^= 1;
    const assembly = assembled(dir, wrong);
    await assembly.hashAll([]);
    strictEqual(assembly.digestWith(""), sha256(wrong));
    assembly.forget([[2 * MIB, 3 * MIB]]);
    strictEqual(assembly.sizeBytes, 3 * MIB);
    assembly.write(0, right); // only what is missing is written
    await assembly.hashAll([]);
    strictEqual(assembly.digestWith(""), sha256(right));
    const piece = new Uint8Array(MIB);
    assembly.read(2 * MIB, piece);
    deepStrictEqual(piece, right.slice(2 * MIB, 3 * MIB));
    assembly.abort();
  });
});

Deno.test("who reads a part while it is forgotten, or all starts over, gets an error, and not what is written then", async () => {
  await inTempDir(async (dir) => {
    await Promise.resolve();
    const content = contentOf(4 * MIB);
    const assembly = assembled(dir, content);
    const reader = assembly.reader();
    const piece = new Uint8Array(MIB);
    reader.seek(MIB, 2 * MIB);
    strictEqual(reader.readInto(piece), MIB);
    deepStrictEqual(piece, content.slice(MIB, 2 * MIB));
    assembly.forget([[2 * MIB, 2 * MIB + 1]]);
    throws(() => reader.readInto(piece), StorageError);
    reader.seek(0, MIB);
    strictEqual(reader.readInto(piece), MIB, "the rest is there");
    assembly.restart();
    reader.seek(0, MIB);
    const read = (() => {
      try {
        return reader.readInto(piece);
      } catch (error) {
        return error;
      }
    })();
    ok(read === 0 || read instanceof StorageError, `${read}`);
    reader.close();
    assembly.abort();
  });
});
