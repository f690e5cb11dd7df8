// The same content shared by several people under several names: one transfer, one file on disk, and every id is served.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { assertSameBytes, Folder, randomBytes } from "./folder.ts";
import { named, start } from "./network.ts";
import { SANITIZED } from "./together.ts";

const SIZE = 3_000_000;

Deno.test({
  ...SANITIZED,
  name:
    "content that several peers share under different names is transferred once and stored once",
  async fn() {
    const content = randomBytes(SIZE);
    await using folder = await Folder.make();
    // Different times, so that the ids differ.
    for (const [peer, name, seconds] of [["ann", "a.bin", 1], ["bob", "b.bin", 2]] as const) {
      await folder.folder(`storage_${peer}`);
      await folder.write(`storage_${peer}/${name}`, content);
      const at = 1_700_000_000 + seconds;
      await Deno.utime(folder.at(`storage_${peer}`, name), at, at);
    }
    await using ann = await start(folder, "ann", []);
    await using bob = await start(folder, "bob", [ann]);
    await using cy = await start(folder, "cy", [ann]);
    const peers = { ann, bob, cy };
    for (const [name, peer] of Object.entries(peers)) {
      const rows = [await named(peer, "a.bin"), await named(peer, "b.bin")];
      strictEqual(new Set(rows.map(({ file_id }) => file_id)).size, 2);
      const sha256 = createHash("sha256").update(content).digest("hex");
      deepStrictEqual(rows.map((row) => row.sha256), [sha256, sha256]);
      deepStrictEqual(rows.map((row) => row.here_as), ["b.bin", "a.bin"]);
      for (const { file_id } of rows) {
        assertSameBytes(await peer.content(file_id), content, `${file_id} at ${name}`);
      }
      const stored = [...Deno.readDirSync(folder.at(`storage_${name}`))]
        .filter(({ name }) => name.endsWith(".bin"));
      strictEqual(stored.length, 1, `one file in the folder of ${name}`);
      const { transfers } = await peer.api<{ transfers: { kind: string; done_bytes: number }[] }>(
        "transfers",
      );
      const fetched = transfers.filter(({ kind }) => kind === "fetch");
      deepStrictEqual(fetched.map(({ done_bytes }) => done_bytes), name === "cy" ? [SIZE] : []);
    }
    await bob.waitForLine(/a\.bin \(.*\) is here already as b\.bin: nothing was downloaded/);
    ok(ann.isRunning);
  },
});
