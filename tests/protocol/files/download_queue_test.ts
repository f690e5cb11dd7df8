// The order of downloads.

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { DownloadQueue, type Standing } from "../../../protocol/files/download_queue.ts";

Deno.test("whatever is done, each file waits once, and those that people requested come first", () => {
  const id = fc.constantFrom(..."abcdefgh");
  const standing = fc.constantFrom("small" as const, "requested" as const, "other" as const);
  const step = fc.oneof(
    fc.tuple(fc.constant("add" as const), id, standing),
    fc.tuple(fc.constantFrom("putFirst" as const, "passOver" as const, "delete" as const), id),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const queue = new DownloadQueue();
    const model: Record<Standing, string[]> = { small: [], requested: [], other: [] };
    const all = () => [...model.small, ...model.requested, ...model.other];
    for (const [what, file, as] of steps) {
      const isThere = all().includes(file);
      const part = Object.values(model).find((list) => list.includes(file));
      if (what === "add") {
        queue.add(file, as!);
        if (!isThere) model[as!].push(file);
      } else if (what === "delete") strictEqual(queue.delete(file), isThere);
      else queue[what](file);
      if (what !== "add" && part) {
        part.splice(part.indexOf(file), 1);
        if (what === "putFirst") model.small.unshift(file);
        if (what === "passOver") part.push(file);
      }
      deepStrictEqual([...queue], all());
      strictEqual(queue.size, all().length);
      strictEqual(queue.has(file), all().includes(file));
      const lists = Object.values(model);
      deepStrictEqual(queue.front(2), lists.flatMap((list) => list.slice(0, 2)));
    }
  }));
});
