// Content that waits for a decision: small content counts as settled when all of it is kept, or dropped.

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Receipts } from "../../node/receipts.ts";
import type { StoreContent } from "../../node/transfer_options.ts";
import type { HeldFile, Input } from "../../protocol/effects.ts";

const content = (): StoreContent => ({ sizeBytes: 1, digestWith: () => "", abort: () => {} });
const heldOf = (n: number): HeldFile => ({
  file: {
    fileId: `${n}`,
    name: `${n}`,
    owner: "hawk",
    timestamp: { text: "1", quoted: false },
    size: 1,
  },
  sizeBytes: 1,
});

/** Lets everything happen that is about to. */
const soon = () => new Promise((go) => setTimeout(go, 0));

Deno.test("content in memory is settled when the last of it was kept or dropped, and not before", async () => {
  const kept = Promise.withResolvers<void>();
  const told: Input[] = [];
  const receipts = new Receipts({
    store: {
      keepAll: async (files: readonly { readonly held: HeldFile }[]) => {
        await kept.promise;
        return files.map(({ held }) => held);
      },
    } as unknown as Receipts["options"]["store"],
    dispatch: (input) => told.push(input),
  });
  await receipts.settled(); // nothing waits
  const [first, second, third] = [content(), content(), content()].map((each) =>
    receipts.add(each, true)
  );
  receipts.add(content()); // on the disk: nobody waits for it
  let settled = 0;
  for (let i = 0; i < 2; i++) receipts.settled().then(() => settled++);
  receipts.keep({ kind: "keep", receipt: first!, held: heldOf(1), source: "hawk" });
  receipts.keep({ kind: "keep", receipt: second!, held: heldOf(2), source: "hawk" });
  receipts.drop(third!);
  receipts.drop(third!);
  await soon();
  strictEqual(settled, 0, "two are being kept");
  kept.resolve();
  await soon();
  strictEqual(settled, 2);
  deepStrictEqual(told.map(({ kind }) => kind), ["held"]);
  receipts.add(content(), true);
  const closing = receipts.settled();
  receipts.close();
  await closing;
});
