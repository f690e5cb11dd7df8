// Copies between two peers of this version: offered, fetched once, and kept within the quota.

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Folder, randomBytes } from "./folder.ts";
import { named, start } from "./network.ts";
import { SANITIZED } from "./together.ts";

interface Transfers {
  readonly transfers: readonly { readonly kind: string; readonly file_name: string }[];
}

Deno.test({
  ...SANITIZED,
  name:
    "a file that somebody shares is fetched once by a peer that keeps copies only, up to its quota",
  async fn() {
    await using folder = await Folder.make();
    const args = ["--auto-fetch", "0", "--push-quota", "1MiB"];
    await using ann = await start(folder, "ann", [], { args });
    await using bob = await start(folder, "bob", [ann], { args });
    await ann.tracks("bob");
    await bob.tracks("ann");
    await folder.write("storage_ann/small.bin", randomBytes(400_000));
    await named(bob, "small.bin");
    await folder.write("storage_ann/large.bin", randomBytes(700_000));
    await bob.waitForLine(/ann: Push refused: --push-quota is used up/);
    const kinds = async (peer: typeof ann) =>
      (await peer.api<Transfers>("transfers")).transfers
        .map(({ kind, file_name }) => `${kind} ${file_name}`);
    deepStrictEqual(await kinds(bob), ["fetch small.bin"]);
    deepStrictEqual(await kinds(ann), ["serve small.bin"]);
    const large = (await bob.files()).find((file) => file.file_name === "large.bin");
    strictEqual(large?.has_copy, false);
    await ann.waitForLine(/Pushed a copy of small\.bin to bob/);
  },
});
