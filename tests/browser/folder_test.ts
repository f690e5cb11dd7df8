// Folders on the page: dropped or picked, shared file by file, and summarized in one row.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { FileChooser, Page } from "playwright-core";
import { browserTest, dropPaths, holds, rowOf } from "./chromium.ts";
import { filesOf, Served } from "./served.ts";
import { until } from "../until.ts";

/** Creates a folder with files of these paths and contents, inside a temporary folder. */
async function folderOf(files: Readonly<Record<string, string>>): Promise<string> {
  const root = await Deno.makeTempDir({ prefix: "p2p-peer-drop-" });
  for (const [path, content] of Object.entries(files)) {
    const at = `${root}/set/${path}`;
    await Deno.mkdir(at.slice(0, at.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(at, content);
  }
  return root;
}

const shared = (served: Served) =>
  served.made.done.filter((each) => each.startsWith("share ")).sort();

async function loggedIn(
  scene: { open(url: string): Promise<Page> },
  served: Served,
): Promise<Page> {
  const page = await scene.open(served.link);
  await page.waitForSelector("body.may-change");
  return page;
}

const ORDINARY = {
  "a.txt": "a",
  "sub/b.txt": "b",
  "sub/deep/c.txt": "c",
  ".DS_Store": "x",
  ".git/config": "x",
  ".git/objects/0": "x",
  "empty.txt": "",
};

browserTest(
  "a dropped folder is shared file by file, under names that include each file's path, and nothing fails",
  async (scene) => {
    await using served = Served.start({ files: filesOf(3) });
    const page = await loggedIn(scene, served);
    const root = await folderOf(ORDINARY);
    try {
      await Deno.writeTextFile(`${root}/loose.txt`, "l");
      await dropPaths(page, [`${root}/set`, `${root}/loose.txt`]);
      const row = page.locator("#uploads li[data-folder=set]");
      await row.getByText(/^✓ 3 files shared in .* · 3 skipped \(2 hidden, 1 empty\)$/).waitFor();
      await page.locator("#uploads li", { hasText: "loose.txt" }).getByText("✓ Shared in")
        .waitFor();
      deepStrictEqual(shared(served), [
        "share loose.txt",
        "share set - a.txt",
        "share set - sub - b.txt",
        "share set - sub - deep - c.txt",
      ]);
      strictEqual(await page.locator("#uploads li").count(), 2, "one row for the folder");
      strictEqual(await page.locator("#uploads .failed, .notice.failed").count(), 0);
      strictEqual(await page.locator(".notice").count(), 1, "the one about the login");
      await row.getByRole("button", { name: "Dismiss" }).click();
      strictEqual(await page.locator("#uploads li").count(), 1);
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  },
);

browserTest("a folder can be picked too", async (scene) => {
  await using served = Served.start({ files: filesOf(3) });
  const page = await scene.open(served.link);
  const chooser = new Promise<FileChooser>((done) => page.once("filechooser", done));
  await page.waitForSelector("body.may-change");
  const root = await folderOf(ORDINARY);
  try {
    await page.getByRole("button", { name: "Share a folder" }).click();
    await (await chooser).setFiles(`${root}/set`);
    await page.locator("#uploads li[data-folder=set]").getByText(/^✓ 3 files shared in/).waitFor();
    deepStrictEqual(shared(served), [
      "share set - a.txt",
      "share set - sub - b.txt",
      "share set - sub - deep - c.txt",
    ]);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

browserTest(
  "a folder of many files has one row, sends a few at a time, and can be canceled and continued",
  async (scene) => {
    await using served = Served.start({ files: filesOf(3) });
    const page = await loggedIn(scene, served);
    const COUNT = 450; // browsers list a hundred at a time
    const files = Object.fromEntries(
      Array.from({ length: COUNT }, (_, i) => [`${i % 7}/file-${i}.txt`, `${i}`]),
    );
    const root = await folderOf(files);
    let [now, most, held] = [0, 0, true];
    let letGo = () => {};
    const free = new Promise<void>((done) => letGo = done);
    await page.route(/\/api\/v1\/files$/, async (route) => {
      most = Math.max(most, ++now);
      if (held) await free;
      await route.continue().catch(() => {}); // it was canceled in the meantime
      now--;
    });
    try {
      await dropPaths(page, [`${root}/set`]);
      const row = page.locator("#uploads li[data-folder=set]");
      await row.getByText(/^0 of 450 files/).waitFor();
      await until("uploads to begin", () => now === 3);
      await row.getByRole("button", { name: "Cancel" }).click();
      await row.getByText("Canceled: 450 not sent").waitFor();
      held = false;
      letGo();
      await row.getByRole("button", { name: "Continue" }).click();
      await row.getByText(/^✓ 450 files shared in/).waitFor();
      ok(most <= 6, `${most} at once, with the three that were cancelled`);
      strictEqual(new Set(shared(served)).size, COUNT);
      strictEqual(await page.locator("#uploads li").count(), 1);
      strictEqual(await page.locator("#transfers li").count(), 0, "and none of them under Moving");
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  },
);

browserTest(
  "failed files of a folder are counted and named with the reason, and only these are retried",
  async (scene) => {
    await using served = Served.start({ files: filesOf(3) });
    const page = await loggedIn(scene, served);
    const problem = { detail: "There is no room", hint: "Make some" };
    let isFull = true;
    await page.route(/\/api\/v1\/files$/, async (route) => {
      const isLarge = decodeURIComponent(route.request().headers()["x-file-name"]!).endsWith(
        "large.bin",
      );
      if (isLarge && isFull) return await route.fulfill({ status: 507, json: problem });
      await route.continue();
    });
    const root = await folderOf({
      "large.bin": "x".repeat(100),
      "small.bin": "x",
      "b/small.bin": "y",
    });
    try {
      await dropPaths(page, [`${root}/set`]);
      const row = page.locator("#uploads li[data-folder=set]");
      await row.getByText(/^✗ 2 files shared in .* · 1 failed$/).waitFor();
      await row.getByText("set - large.bin: There is no room. Make some").waitFor();
      isFull = false;
      await row.getByRole("button", { name: "Retry" }).click();
      await row.getByText(/^✓ 1 file shared in/).waitFor();
      strictEqual(await row.getByText("There is no room").isVisible(), false);
      deepStrictEqual(shared(served), [
        "share set - b - small.bin",
        "share set - large.bin",
        "share set - small.bin",
      ]);
      scene.forgive(/507/);
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  },
);

browserTest(
  "an unreadable file is reported in its row, and the peer receives no interrupted upload",
  async (scene) => {
    await using served = Served.start({ files: filesOf(3) });
    const page = await loggedIn(scene, served);
    const root = await folderOf({ "a.txt": "a" });
    try {
      await page.route(/\/api\/v1\/files$/, (route) => route.abort()); // such a request would be noticed
      // A browser that does not distinguish folders from files offers one as a file, which cannot be read.
      await page.evaluate(`(() => {
        DataTransferItem.prototype.webkitGetAsEntry = () => null;
      })()`);
      await dropPaths(page, [`${root}/set`]);
      await page.locator("#uploads li", { hasText: "set" }).getByText(
        "✗ Not shared: The browser cannot read it.",
      ).waitFor();
      deepStrictEqual(shared(served), []);
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  },
);

browserTest("thousands of files in a folder do not freeze the page", async (scene) => {
  await using served = Served.start({ files: filesOf(30) });
  const page = await loggedIn(scene, served);
  // The files are created in the page, to measure the page and not the disk. The peer responds at once.
  const [longest, writes] = await page.evaluate<[number, number]>(`(async () => {
    const send = XMLHttpRequest.prototype.send;
    XMLHttpRequest.prototype.send = function () {
      Object.defineProperty(this, "status", { value: 201 });
      queueMicrotask(() => this.onload());
    };
    const { Folder } = await import("/browser/collect.js");
    const { folderRow } = await import("/browser/sharefolder.js");
    const folder = new Folder("many");
    let longest = 0;
    const find = async () => {
      for (let i = 0; i < 6_000; i++) {
        folder.add(["many", "file-" + i], () => Promise.resolve(new File(["x"], "file-" + i)));
      }
    };
    let last = performance.now();
    let isOver = false;
    const tick = () => {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
      if (!isOver) setTimeout(tick);
    };
    tick();
    const row = folderRow(folder, find, () => {});
    let writes = 0;
    new MutationObserver((records) => writes += records.length).observe(row, { subtree: true, childList: true, attributes: true });
    document.querySelector("#uploads").append(row);
    while (!/^✓/.test(row.querySelector(".words").textContent)) await new Promise((go) => setTimeout(go, 20));
    isOver = true;
    return [longest, writes];
  })()`);
  console.log(
    `figure: the page stood still for at most ${
      Math.round(longest)
    } ms while 6,000 files were shared`,
  );
  ok(writes < 3_000, `the row was written ${writes} times`);
  await page.getByText(/^✓ 6,000 files shared in/).waitFor({ state: "attached" });
  strictEqual(await page.evaluate("document.querySelectorAll('#uploads *').length < 40"), true);
  await holds(page, "document.querySelectorAll('#file-rows .row').length > 5");
  await rowOf(page, "report-29.pdf").waitFor();
});
