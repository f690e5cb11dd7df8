// Several programs that fetch the same file from one slow source pass on what they have.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { refusals } from "../threats/scene.ts";
import { Folder, randomBytes } from "./folder.ts";
import { named, start } from "./network.ts";
import { BLAME, fetchFile, FETCHING, holder, servedBy, SIZE, sourcesOf } from "./parts.ts";
import type { Program } from "./program.ts";
import { SANITIZED } from "./together.ts";

Deno.test(
  "three peers that fetch a file at the same time get most of it from each other",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const content = randomBytes(SIZE);
    await using source = await holder(folder, content);
    await using stack = new AsyncDisposableStack();
    const peers: Program[] = [];
    for (const name of ["a", "b", "c"]) {
      peers.push(stack.use(await start(folder, name, [source], { args: [...FETCHING] })));
    }
    for (const [i, peer] of peers.entries()) {
      for (const other of ["a", "b", "c"].toSpliced(i, 1)) await peer.tracks(other);
    }
    await Promise.all(peers.map(fetchFile));
    for (const [i, peer] of peers.entries()) {
      await named(peer, "large.bin", 120_000);
      const path = folder.at(`storage_${["a", "b", "c"][i]}/large.bin`);
      deepStrictEqual(await Deno.readFile(path), content);
      strictEqual(await refusals(peer, BLAME), 0);
    }
    const sent = await servedBy(source);
    ok(sent <= 1.7 * SIZE, `${sent} bytes left the source, for three times ${SIZE}`);
    const all = (await Promise.all(peers.map(sourcesOf))).map((sources) => sources.join());
    ok(all.some((sources) => /[abc],.*source/.test(sources)), all.join("; "));
  },
);
