// User requests to a running peer whose store has problems.

import assert from "node:assert/strict";
import type { Node } from "../../node/node.ts";
import { Operations } from "../../app/operations.ts";
import { StorageError } from "../../storage/errors.ts";
import type { Examined } from "../../storage/reader.ts";
import { safeName } from "../../storage/names.ts";
import type { Store } from "../../storage/store.ts";

/** A store that examines each file with the given outcome or error. */
function requestsOver(files: Readonly<Record<string, Examined | Error>>) {
  const dispatched: unknown[] = [];
  const store = {
    held: () => Object.keys(files).map((fileId) => ({ file: { fileId }, sizeBytes: 1 })),
    examine: (fileId: string, onBytes: (bytes: number) => void) => {
      const outcome = files[fileId]!;
      if (outcome instanceof Error) return Promise.reject(outcome);
      onBytes(1);
      return Promise.resolve(outcome);
    },
    setAside: (fileId: string) => ({ fileIds: [fileId], keptAt: `/damaged/${fileId}` }),
  };
  const catalogue = { get: (fileId: string) => ({ file: { fileId }, holders: new Set() }) };
  const node = {
    dispatch: (input: unknown) => dispatched.push(input),
    peer: { catalogue },
  };
  const requests = new Operations(
    "us",
    store as unknown as Store,
    node as unknown as Node,
    READY,
    READY,
  );
  return { requests, dispatched };
}

/** The peer of these tests is not started. */
const READY = Promise.resolve();

Deno.test("verify reports a file that is temporarily unreadable, keeps offering it, and continues with the rest", async () => {
  const { requests, dispatched } = requestsOver({
    a: "good",
    b: new StorageError("io", "Cannot read b: too many open files"),
    c: "damaged",
    d: "good",
  });
  const verified = await requests.verify(() => {});
  assert.equal(verified.good, 2);
  assert.deepEqual(verified.unread.map(({ file, why }) => [file.fileId, why]), [
    ["b", "Cannot read b: too many open files"],
  ]);
  assert.deepEqual(verified.damaged.map(({ file }) => file.fileId), ["c"]);
  assert.deepEqual(dispatched, [{ kind: "lost", fileIds: ["c"], why: "damaged" }]);
});

Deno.test("a deletion that cannot be recorded is refused and not announced", () => {
  const dispatched: unknown[] = [];
  let isReadonly = true;
  const announced: unknown[] = [];
  const removals = {
    announce: (...removal: unknown[]) => {
      if (isReadonly) throw new StorageError("not-writable", "Cannot write the journal");
      announced.push(removal);
    },
  };
  const files: Record<string, unknown> = {
    ours: { held: true, file: { owner: "us" } },
    theirs: { held: true, file: { owner: "them" } },
  };
  const node = {
    dispatch: (input: unknown) => dispatched.push(input),
    peer: { catalogue: { get: (fileId: string) => files[fileId] } },
  };
  const requests = new Operations(
    "us",
    { removals } as unknown as Store,
    node as unknown as Node,
    READY,
    READY,
  );
  assert.throws(() => requests.delete("ours"), /Cannot write the journal/);
  assert.deepEqual(dispatched, []);
  isReadonly = false;
  assert.deepEqual([requests.delete("ours"), requests.delete("theirs")], ["everywhere", "here"]);
  assert.deepEqual(announced, [["ours", "deleted"], ["theirs", "unwanted"]]);
  assert.equal(dispatched.length, 2);
});

Deno.test("restore accepts an id, a unique prefix, or a name, and rejects ambiguous input", async () => {
  const [one, other, third] = ["aaa1", "aaa2", "bbb3"].map((start) => start.padEnd(64, "0"));
  const deleted = [[one, "x.txt"], [other, "x.txt"], [third, "aaa1"]].map(([fileId, name]) => ({
    file: { fileId, name },
  }));
  const restored: string[] = [];
  const store = {
    removals: { list: () => Promise.resolve(deleted) },
    restore: (fileId: string) => {
      restored.push(fileId);
      return Promise.resolve({ file: { fileId } });
    },
  };
  const node = { dispatch: () => {} };
  const requests = new Operations(
    "us",
    store as unknown as Store,
    node as unknown as Node,
    READY,
    READY,
  );
  for (const text of [one!, "aaa2", "bbb3", "aaa1"]) await requests.restore(text);
  assert.deepEqual(
    restored,
    [one, other, third, third],
    "an exact name must take precedence over an id prefix",
  );
  await assert.rejects(requests.restore("x.txt"), /2 deleted files match "x.txt".*aaa10.*aaa20/);
  await assert.rejects(requests.restore("aaa"), /No deleted file/, "three letters are a slip");
  await assert.rejects(requests.restore(""), /No deleted file/);
  await assert.rejects(requests.restore("none"), /No deleted file .*"restore" lists/);
});

Deno.test("a bug ends the current verification, and the next one can start", async () => {
  const { requests } = requestsOver({ a: new TypeError("ours") });
  await assert.rejects(requests.verify(() => {}), /ours/);
  await assert.rejects(
    requests.verify(() => {}),
    /ours/,
    "the error must not be that a verification is already running",
  );
});

Deno.test("a copy into a folder gets a portable name, by the store's own naming rule", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/content`, "content");
    const labels = ["con.txt", "..", "a:b?.txt", "\u202egpj.exe", "x".repeat(300), "metadata.json"];
    for (const name of labels) {
      const target = `${folder}/${crypto.randomUUID()}`;
      await Deno.mkdir(target);
      const file = await Deno.open(`${folder}/content`);
      const readInto = (buffer: Uint8Array) => file.readSync(buffer) ?? 0;
      const store = { reader: () => ({ readInto, close: () => file.close() }) };
      const node = { peer: { catalogue: { get: () => ({ file: { name } }) } } };
      const requests = new Operations(
        "us",
        store as unknown as Store,
        node as unknown as Node,
        READY,
        READY,
      );
      const path = await requests.copyOut("id", target);
      assert.equal(path, `${target}/${safeName(name)}`);
      assert.deepEqual([...Deno.readDirSync(target)].map((each) => each.name), [safeName(name)]);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
