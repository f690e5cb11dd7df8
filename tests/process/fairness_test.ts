// Fairness between downloads of real peers: a small file does not wait for large ones.

import { ok, strictEqual } from "node:assert/strict";
import { assertSameBytes, Folder, randomBytes } from "./folder.ts";
import { named, start } from "./network.ts";
import { SANITIZED } from "./together.ts";

interface Transfers {
  readonly transfers: readonly {
    readonly kind: string;
    readonly state: string;
    readonly slow_because: string | null;
  }[];
}

Deno.test({
  ...SANITIZED,
  name: "a small file requested while four large ones are on their way arrives before them",
  async fn() {
    await using folder = await Folder.make();
    await folder.folder("storage_ann");
    const small = randomBytes(20_000);
    for (const n of [1, 2, 3, 4, 5]) {
      await folder.write(`storage_ann/large ${n}.bin`, randomBytes(8_000_000));
    }
    await folder.write("storage_ann/small.bin", small);
    const quiet = ["--auto-fetch", "0", "--push-quota", "0"];
    // Slow enough that the large ones take ten seconds.
    await using ann = await start(folder, "ann", [], { args: [...quiet, "--max-up", "4MB"] });
    await using bob = await start(folder, "bob", [ann], { args: [...quiet, "--web-auth", "off"] });
    const files = await bob.until("all files", async () => {
      const files = await bob.files();
      return files.length === 6 && files;
    });
    const fetchFile = async (name: string, query = "") => {
      const { file_id } = files.find((file) => file.file_name === name)!;
      const url = `http://127.0.0.1:${bob.httpPort}/api/v1/files/${file_id}/fetch${query}`;
      const response = await fetch(url, { method: "POST" });
      await response.body?.cancel();
      return response.status;
    };
    for (const n of [1, 2, 3, 4, 5]) strictEqual(await fetchFile(`large ${n}.bin`), 202);
    const running = async () =>
      (await bob.api<Transfers>("transfers")).transfers
        .filter(({ kind, state }) => kind === "fetch" && state === "running").length;
    await bob.until("large downloads", async () => await running() >= 3);
    ok((await fetchFile("small.bin", "?wait=true")) < 300);
    ok(await running() >= 3, "the large ones are still on their way");
    const { file_id } = await named(bob, "small.bin");
    assertSameBytes(await bob.content(file_id), small, "small.bin");
    const { total } = await bob.api<{ total: number }>("queue");
    ok(total >= 1, "and one of them waits for its turn");
  },
});

Deno.test({
  ...SANITIZED,
  name: "a download that our own limit or its source holds up says so, also when the limit changes",
  async fn() {
    await using folder = await Folder.make();
    await folder.folder("storage_ann");
    await folder.write("storage_ann/large.bin", randomBytes(60_000_000));
    const quiet = ["--push-quota", "0", "--web-auth", "off"];
    const slow = { args: [...quiet, "--auto-fetch", "0", "--max-up", "2MB"] };
    await using ann = await start(folder, "ann", [], slow);
    await using bob = await start(folder, "bob", [ann], {
      args: [...quiet, "--auto-fetch", "all", "--max-down", "1MB"],
    });
    const isSlow = (why: string) =>
      bob.until(`a transfer that is slow because of ${why}`, async () => {
        const { transfers } = await bob.api<Transfers>("transfers");
        return transfers.some(({ slow_because }) => slow_because === why);
      });
    await isSlow("limit");
    const response = await fetch(`http://127.0.0.1:${bob.httpPort}/api/v1/limits`, {
      method: "PATCH",
      body: JSON.stringify({ down: null }),
    });
    strictEqual(response.status, 200);
    await response.body?.cancel();
    await isSlow("sources");
  },
});
