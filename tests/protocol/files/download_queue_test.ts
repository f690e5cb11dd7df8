// The order of downloads.

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { DownloadQueue } from "../../../protocol/files/download_queue.ts";

Deno.test("whatever is done, each file waits once, and those that people requested come first", () => {
  const id = fc.constantFrom(..."abcdefgh");
  const step = fc.oneof(
    fc.tuple(fc.constant("add" as const), id, fc.boolean()),
    fc.tuple(fc.constantFrom("putFirst" as const, "passOver" as const, "delete" as const), id),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const queue = new DownloadQueue();
    let [requested, others]: [string[], string[]] = [[], []];
    for (const [what, file, isRequested] of steps) {
      const isThere = requested.includes(file) || others.includes(file);
      const without = (list: string[]) => list.filter((each) => each !== file);
      if (what === "add") {
        queue.add(file, isRequested!);
        if (!isThere) (isRequested ? requested : others).push(file);
      } else if (what === "putFirst") {
        queue.putFirst(file);
        if (isThere) [requested, others] = [[file, ...without(requested)], without(others)];
      } else if (what === "passOver") {
        queue.passOver(file);
        if (others.includes(file)) others = [...without(others), file];
      } else {
        strictEqual(queue.delete(file), isThere);
        [requested, others] = [without(requested), without(others)];
      }
      deepStrictEqual([...queue], [...requested, ...others]);
      strictEqual(queue.size, requested.length + others.length);
      strictEqual(queue.has(file), [...requested, ...others].includes(file));
    }
  }));
});
