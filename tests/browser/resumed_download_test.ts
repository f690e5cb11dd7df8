// A download that a person cancels on the page keeps what arrived, and Retry continues there.

import { ok } from "node:assert/strict";
import { Folder } from "../process/folder.ts";
import { Program } from "../process/program.ts";
import { honest, Source } from "../process/source.ts";
import { EAGER, randomFile } from "../threats/scene.ts";
import { browserTest } from "./chromium.ts";

const MIB = 1024 ** 2;

interface Row {
  readonly state: string;
  readonly done_bytes: number;
  readonly resumed_bytes: number;
}

browserTest("Cancel keeps what arrived of a download, and Retry continues there", async (scene) => {
  await using folder = await Folder.make();
  const file = randomFile("large.bin", "hawk", 16 * MIB);
  await using source = new Source("hawk", file, honest, 4_000);
  await using peer = await Program.peer("kashifm", EAGER, { cwd: folder.path });
  const page = await scene.open(await peer.loginLink());
  await source.join(peer);
  await source.announce(peer);
  const rows = async () => (await peer.api<{ transfers: Row[] }>("transfers")).transfers;
  const row = page.locator("#transfers li", { hasText: "large.bin" });
  await peer.until(
    "a third of it",
    async () => (await rows()).some(({ done_bytes }) => done_bytes > 5 * MIB),
  );
  await row.getByRole("button", { name: "Cancel: large.bin" }).click();
  await row.getByText("Canceled here").waitFor();
  await row.getByRole("button", { name: "Retry: large.bin" }).click();
  await row.getByText(/resumed at \d+ %/).waitFor();
  await peer.holds(file.fileId, 60_000);
  ok(
    (await rows()).some(({ state, resumed_bytes }) => state === "done" && resumed_bytes > 4 * MIB),
  );
  await page.close();
  ok(source.sentBytes < 17 * MIB, `${source.sentBytes} bytes were sent for ${16 * MIB}`);
});
