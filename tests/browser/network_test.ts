// Two real peers and a real browser: a user logs in, drops a file on one peer, sees it appear on the other, fetches it
// there, and downloads the same bytes. A stopped peer fades and is dropped. The page survives its own peer's restart.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { browserTest, drop, holds, rowOf } from "./chromium.ts";
import { Folder, randomBytes } from "../process/folder.ts";
import { start } from "../process/network.ts";
import { Program } from "../process/program.ts";

const base = (program: Program) => `http://127.0.0.1:${program.httpPort}`;

async function linkOf(program: Program): Promise<string> {
  return await program.loginLink();
}

const NAME = "Ünter süchung's 1.bin";
const BY_HAND = { args: ["--auto-fetch", "0"] };

browserTest(
  "a file dropped on one peer appears on the other and is fetched and downloaded there, byte for byte",
  async (scene) => {
    await using folder = await Folder.make();
    await using eagle = await start(folder, "eagle", [], BY_HAND);
    const here = await scene.open(await linkOf(eagle));
    await here.waitForSelector("body.may-change");
    const content = randomBytes(300_000);
    await drop(here, NAME, content);
    await here.locator("#uploads li").getByText("✓ Shared").waitFor();
    await rowOf(here, NAME).getByText("Only here").waitFor();
    // Otherwise eagle would push it a copy, because it shared the file while alone.
    const hawkArgs = { args: [...BY_HAND.args, "--push-quota", "0"] };
    await using hawk = await start(folder, "hawk", [eagle], hawkArgs);
    const there = await scene.open(await linkOf(hawk));
    await there.waitForSelector("body.may-change");
    await here.locator("#peer-rows tr", { hasText: "hawk" }).waitFor();
    await holds(here, `document.querySelector("#state-words").textContent === "synchronized"`);
    const row = rowOf(there, NAME);
    await row.getByText("Only on eagle").waitFor();
    await row.getByRole("button", { name: "Fetch" }).click();
    const link = row.getByRole("link", { name: "Download" });
    await link.waitFor();
    await row.getByText("Here and on 1 more").waitFor();
    const downloading = there.waitForEvent("download");
    await link.click();
    const download = await downloading;
    strictEqual(download.suggestedFilename(), NAME);
    deepStrictEqual(await Deno.readFile(await download.path()), content);
    // A file shared while the other is online appears there at once, or waits while the pointer is on a row.
    await drop(here, "second.txt", randomBytes(10));
    await there.getByRole("button", { name: "1 new" }).click();
    await rowOf(there, "second.txt").waitFor();
    await there.locator("#transfers li", { hasText: NAME }).getByText("from eagle").waitFor();
    await here.locator("#transfers li", { hasText: "to hawk" }).first().waitFor(); // and not to an address
    await scene.leave();
  },
);

browserTest(
  "a deleted file can be restored from the notice or from the list of deleted files",
  async (scene) => {
    await using folder = await Folder.make();
    await using eagle = await start(folder, "eagle", [], BY_HAND);
    const page = await scene.open(await linkOf(eagle));
    await page.waitForSelector("body.may-change");
    await drop(page, "notes.txt", randomBytes(10));
    for (const isByNotice of [true, false]) {
      await rowOf(page, "notes.txt").click();
      await page.getByRole("button", { name: "Delete everywhere" }).click();
      await rowOf(page, "notes.txt").waitFor({ state: "detached" });
      if (isByNotice) await page.getByRole("button", { name: "Undo" }).click();
      else {
        await page.getByRole("button", { name: "Deleted", exact: true }).click();
        await page.getByRole("button", { name: "Restore notes.txt" }).click();
        await page.getByText("Nothing was deleted in the last 24 hours.").waitFor();
        await page.getByRole("button", { name: "All", exact: true }).click();
      }
      await rowOf(page, "notes.txt").waitFor();
    }
    await scene.leave();
  },
);

browserTest(
  "a stopped peer goes quiet on the page, is then shown as away, and comes back",
  async (scene) => {
    await using folder = await Folder.make();
    const brisk = { args: ["--auto-fetch", "0", "--peer-timeout", "6"] };
    await using eagle = await start(folder, "eagle", [], brisk);
    await using hawk = await start(folder, "hawk", [eagle], brisk);
    const page = await scene.open(base(eagle));
    const row = page.locator("#peer-rows tr", { hasText: "hawk" });
    await row.waitFor();
    await hawk.stop("SIGKILL");
    await row.getByText(/quiet, \d+ s ago/).waitFor();
    const away = page.locator("#peer-rows tr.away-row", { hasText: "hawk" });
    await away.getByText(/^away, seen (\d+ s|1 min) ago$/).waitFor();
    await page.locator("#peer-empty").getByText("No peers yet. Start another on this machine with")
      .waitFor();
    // The peer remembers it, too, for those who look later.
    await page.reload();
    await away.getByText(/^away, seen/).waitFor();
    await using _again = await start(folder, "hawk", [eagle], brisk);
    await away.waitFor({ state: "detached" });
    await row.getByText(/now|\d+ s ago/).waitFor();
    await scene.leave();
  },
);

browserTest(
  "the page says that its peer is away, grays out, and recovers automatically with the current state",
  async (scene) => {
    await using folder = await Folder.make();
    const eagle = await start(folder, "eagle", [], BY_HAND);
    const { port, httpPort } = eagle;
    await folder.write("storage_eagle/before.txt", randomBytes(8));
    const page = await scene.open(base(eagle));
    await rowOf(page, "before.txt").getByText("Only here").waitFor();
    await eagle.stop();
    await page.getByText("This peer is not responding.").waitFor();
    await holds(page, `document.querySelector("#state-words").textContent === "away"`);
    await folder.write("storage_eagle/while-away.txt", randomBytes(9));
    await Deno.remove(folder.at("storage_eagle", "before.txt"));
    await using again = await Program.peer("eagle", ["--no-bootstrap", ...BY_HAND.args], {
      cwd: folder.path,
      port,
      httpPort,
    });
    ok(again.isRunning);
    await rowOf(page, "while-away.txt").waitFor();
    // No event reports what happened in between.
    await rowOf(page, "before.txt").getByText("Only here").waitFor({ state: "detached" });
    strictEqual(await page.locator("#absent").isVisible(), false);
    scene.forgive(
      /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/,
    );
    await scene.leave();
  },
);
