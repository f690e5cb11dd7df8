// Batches whose bytes come a few at a time: files are put together from many reads, although the buffers are used again.

import { deepStrictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { Connection } from "../../net/connection.ts";
import { Batches } from "../../node/batches.ts";
import { Receipts } from "../../node/receipts.ts";
import type { Sources } from "../../node/sources.ts";
import { TransferLog } from "../../node/transfer_log.ts";
import type { TransferOptions } from "../../node/transfer_options.ts";
import type { Input } from "../../protocol/effects.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import { batchHeader } from "../../protocol/wire/batch.ts";
import type { FileRecord } from "../../protocol/wire/message.ts";
import { SmallContent } from "../../storage/keeping.ts";

const TIMESTAMP = { text: "1744170562", quoted: false };

function fileOf(n: number, sizeBytes: number): { file: FileRecord; content: Uint8Array } {
  const content = Uint8Array.from({ length: sizeBytes }, (_, i) => (n + i + (i >> 8)) % 256);
  const fileId = createHash("sha256").update(content).update(TIMESTAMP.text).digest("hex");
  const file = { fileId, name: `${n}`, owner: "hawk", timestamp: TIMESTAMP, size: 1, sizeBytes };
  return { file, content };
}

Deno.test("files that come a few bytes at a time verify", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [near, far] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  near.setNoDelay(true);
  const connection = new Connection(far);
  const inputs: Input[] = [];
  const options = {
    ext: () => ({ v: 1 }),
    limits: DEFAULT_LIMITS,
    transferLog: new TransferLog(() => 0),
    store: { inMemory: (content: Uint8Array) => new SmallContent(content) },
    dispatch: (input: Input) => {
      inputs.push(input);
      if (input.kind === "arrived") receipts.drop(input.receipt);
    },
  } as unknown as TransferOptions;
  const receipts = new Receipts(options);
  const sources = {
    ask: async ({ ask }: Parameters<Sources["ask"]>[0]) =>
      await ask({ connection, onAnswering: () => {} } as Parameters<typeof ask>[0]),
  } as unknown as Sources;
  const files = [fileOf(1, 3_000), fileOf(2, 10), fileOf(3, 5_000)];
  const batch = files.map(({ file }, attempt) => ({ attempt, file, timestamps: [TIMESTAMP] }));
  const from = { host: "127.0.0.1", port: 1 };
  const fetching = new Batches(options, sources, receipts).fetch({
    kind: "fetch-batch",
    files: batch,
    source: "hawk",
    from,
    voucher: "local",
  });
  for (const { file, content } of files) {
    const bytes = [...batchHeader(file, content.length), ...content];
    for (let at = 0; at < bytes.length; at += 97) {
      await near.write(Uint8Array.from(bytes.slice(at, at + 97)));
      await new Promise((go) => setTimeout(go, 0));
    }
  }
  await fetching;
  deepStrictEqual(inputs.map(({ kind }) => kind), ["arrived", "arrived", "arrived"]);
  connection.close();
  near.close();
});
