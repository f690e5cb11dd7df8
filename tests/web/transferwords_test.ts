// Transfers in words, as on the page.

import assert from "node:assert/strict";
import { transferText } from "../../web/shared/transferwords.js";

const transfer = {
  id: 1,
  kind: "fetch" as const,
  direction: "in" as const,
  file_id: "ab".repeat(32),
  file_name: "data.zip",
  peer: "eagle",
  done_bytes: 61_000_000,
  resumed_bytes: 0,
  slow_because: null as "limit" | "disk" | "sources" | "link" | null,
  sources: [] as { peer: string; bytes: number; bytes_per_second: number }[],
  total_bytes: 100_000_000,
  state: "running" as const,
  seconds: 6,
  ended_at: null,
  why: null,
};

Deno.test("a download from one source names it, and says where it was resumed", () => {
  assert.equal(
    transferText(transfer, 10_000_000),
    "61.0 of 100 MB · 10.0 MB/s · 4 s left · from eagle",
  );
  assert.match(
    transferText({ ...transfer, resumed_bytes: 61_900_000 }, 0),
    / · resumed at 61 % · /,
  );
});

Deno.test("a download from several sources says what each delivers, and how fast", () => {
  const sources = [
    { peer: "eagle", bytes: 61, bytes_per_second: 9_100_000 },
    { peer: "deer", bytes: 39, bytes_per_second: 0 },
  ];
  const text = transferText({ ...transfer, sources }, 10_000_000);
  assert.ok(text.endsWith(" · from eagle 61 % at 9.10 MB/s, deer 39 %"), text);
  const many = ["a", "b", "c", "d", "e", "f"].map((peer) => ({
    peer,
    bytes: 1,
    bytes_per_second: 0,
  }));
  assert.match(transferText({ ...transfer, sources: many }, 0), /d 16 % and 2 more$/);
  const hostile = [{ peer: "\u202e<b>", bytes: 1, bytes_per_second: 0 }];
  assert.ok(!transferText({ ...transfer, sources: hostile }, 0).includes("\u202e"));
});

Deno.test("a slow download says what holds it up, as far as that is known", () => {
  const words = (["limit", "disk", "sources", "link"] as const).map((slow_because) =>
    transferText({ ...transfer, slow_because }, 1_000_000).split(" · ")[3]
  );
  assert.deepEqual(words, [
    "as fast as the limit allows",
    "the disk is slow",
    "its sources are slow",
    "the network is slow",
  ]);
});
