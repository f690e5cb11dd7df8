// Where a copy of a file goes.

import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { pathAt } from "../../storage/destination.ts";
import { inTempDir } from "./fixture.ts";

Deno.test("a copy goes into a folder, into one that its slash asks for, or under the name that was given", async () => {
  await inTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/there`);
    for (
      const [destination, path] of [
        ["there", "there/a.txt"],
        ["there/", "there/a.txt"],
        ["new//", "new/a.txt"],
        ["other.txt", "other.txt"],
      ] as const
    ) strictEqual(await pathAt(`${dir}/${destination}`, "a.txt"), `${dir}/${path}`);
    deepStrictEqual([...Deno.readDirSync(dir)].map(({ name }) => name).sort(), ["new", "there"]);
    await rejects(pathAt(`${dir}/none/new/`, "a.txt"), Deno.errors.NotFound);
    strictEqual(await pathAt("/", "a.txt"), "/a.txt");
    // What a peer named cannot lead out of the folder.
    strictEqual((await pathAt(`${dir}/there`, "../x")).startsWith(`${dir}/there/`), true);
  });
});
