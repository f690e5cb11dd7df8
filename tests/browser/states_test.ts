// The page's states: alone, full disk, refused, locked, hidden, and without JavaScript. In each of them it must show
// what the peer reports.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { browserTest, drop, holds, rowOf } from "./chromium.ts";
import { until } from "../until.ts";
import { filesOf, peersOf, Served } from "./served.ts";
import { fileOf, peerOf } from "../web/fixture.ts";

browserTest("without JavaScript the page is plain tables and a search form", async (scene) => {
  await using served = Served.start({ files: filesOf(120), peers: peersOf(4) });
  const page = await scene.open(served.base, { script: false });
  strictEqual(await page.locator("#file-rows .row").count(), 30);
  strictEqual(await page.locator("#peer-rows tr").count(), 4);
  strictEqual(await page.locator("canvas").first().isVisible(), false);
  await page.fill("#search", "report-11");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\?.*q=report-11/);
  strictEqual(await page.locator("#file-rows .row").count(), 11);
  const widths = await page.evaluate("document.documentElement.scrollWidth <= innerWidth");
  ok(widths);
});

browserTest(
  "an empty network says what to do next, and a drop without a login says how to log in",
  async (scene) => {
    await using served = Served.start({
      status: {
        synchronized: false,
        peers: 0,
        files: { known: 0, held: 0, heldBytes: 0 },
        bootstrapTroubles: [
          { address: "eagle:8999", text: "eagle:8999 does not answer", hint: "It is tried again" },
        ],
      },
    });
    const page = await scene.open(served.base);
    const line = "p2p-peer NAME 8117 8118 --bootstrap 10.0.0.1:8115";
    for (const part of ["#files", "#network"]) {
      await page.locator(part).getByText(line).waitFor();
      await page.locator(part).getByText("No peers yet. Start another with").waitFor();
    }
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.locator("#files .empty").getByRole("button", { name: "Copy" }).click();
    await page.locator(".notice.good", { hasText: "Copied the line" }).waitFor();
    strictEqual(await page.evaluate("navigator.clipboard.readText()"), line);
    await page.getByText("Bootstrap eagle:8999 does not answer. It is tried again.").waitFor();
    await page.getByText("No files yet. Drop one anywhere").waitFor();
    await page.getByText("alone", { exact: true }).waitFor();
    await drop(page, "a.txt", new Uint8Array(3));
    await page.locator(".notice.failed", { hasText: "open the link that the peer printed" })
      .waitFor();
    deepStrictEqual(served.made.done, []);
  },
);

browserTest(
  "if a link only works on this machine, the page says so instead of showing a QR code",
  async (scene) => {
    const files = [{ file: fileOf({ name: "mine.txt" }), held: true, holders: ["us"] }];
    await using served = Served.start({ files, status: { host: "127.0.0.1", peers: 0 } });
    const page = await scene.open(served.base);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.locator("#peer-empty").getByText("Start another on this machine with").waitFor();
    await rowOf(page, "mine.txt").click();
    await page.getByText("This link only works on this machine.").waitFor();
    strictEqual(await page.locator("#sheet canvas").count(), 0);
    await page.getByRole("button", { name: "Copy link" }).click();
    await page.getByText("Copied the link, which only works on this machine").waitFor();
  },
);

browserTest(
  "a file whose holders are away names them, and is not called lost",
  async (scene) => {
    const away = {
      file: fileOf({ name: "away.txt" }),
      held: false,
      holders: [],
      lastHolders: ["eagle"],
    };
    const lost = { file: fileOf({ name: "lost.txt" }), held: false, holders: [] };
    await using served = Served.start({ files: [away, lost] });
    const page = await scene.open(served.base);
    await rowOf(page, "away.txt").getByText("eagle is away").waitFor();
    strictEqual(await rowOf(page, "away.txt").locator(".failed").count(), 0);
    await rowOf(page, "lost.txt").getByText("Nobody has this anymore").waitFor();
    await page.getByText("1 file whose holders are away · ○ 1 file nobody has anymore").waitFor();
    await rowOf(page, "away.txt").click();
    await page.getByText("none now; away: eagle").waitFor();
    await page.keyboard.press("Escape");
    // Eagle comes back with the file.
    served.tellFiles([{ ...away, holders: ["eagle"] }]);
    await rowOf(page, "away.txt").getByText("Only on eagle").waitFor();
  },
);

browserTest("without JavaScript the page reloads itself and shows new files", async (scene) => {
  const files = filesOf(3);
  await using served = Served.start({ files });
  const page = await scene.open(served.base, { script: false });
  await rowOf(page, "report-2.pdf").waitFor();
  files.push({ file: fileOf({ name: "meanwhile.txt" }), held: false, holders: ["peer 1"] });
  await rowOf(page, "meanwhile.txt").waitFor();
});

browserTest("the page warns of a full or nearly full disk", async (scene) => {
  const words = [
    [0, "The disk is full"],
    [999_000_000, "Only 999 MB left on the disk"],
    [1_000_000_000, ""],
  ] as const;
  for (const [freeBytes, said] of words) {
    await using served = Served.start({ files: filesOf(1), status: { freeBytes } });
    const page = await scene.open(served.base);
    await rowOf(page, "report-0.pdf").waitFor();
    if (said !== "") await page.getByText(said).waitFor();
    else strictEqual(await page.getByText("on the disk").count(), 0);
    await page.close();
  }
});

browserTest(
  "a refused upload is shown with a remedy, and another file is still shared",
  async (scene) => {
    await using served = Served.start({ files: filesOf(3), roomBytes: 10 });
    const page = await scene.open(served.link);
    await page.waitForSelector("body.may-change");
    await page.setInputFiles("#pick", [
      { name: "large.bin", mimeType: "", buffer: Buffer.alloc(100) },
      { name: "small.bin", mimeType: "", buffer: Buffer.alloc(5) },
    ]);
    await page.locator("#uploads li", { hasText: "large.bin" }).getByText(
      "✗ Not shared: There is no room. Make some",
    ).waitFor();
    await page.locator("#uploads li", { hasText: "small.bin" }).getByText("✓ Shared").waitFor();
    scene.forgive(/507/);
    deepStrictEqual(served.made.done.filter((each) => each.startsWith("share")), [
      "share large.bin",
      "share small.bin",
    ]);
  },
);

browserTest(
  "if reading is private, the link opens the page and logging out closes it",
  async (scene) => {
    await using served = Served.start({ files: filesOf(3), options: { isPrivate: true } });
    const page = await scene.open(served.link);
    await rowOf(page, "report-2.pdf").waitFor();
    ok(!page.url().includes("token"));
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByRole("heading", { name: "Private peer" }).waitFor();
    scene.forgive(/401/);
  },
);

browserTest(
  "an event that arrives while the lists are loading is not overwritten by an older list",
  async (scene) => {
    const files = filesOf(5);
    await using served = Served.start({ files });
    const page = await scene.open("about:blank");
    const fresh = { file: fileOf({ name: "fresh.txt" }), held: false, holders: ["peer 1"] };
    let lists = 0;
    await page.route(/\/api\/v1\/files\?/, async (route) => {
      const answer = await route.fetch(); // the list as it is now
      if (++lists > 1) return await route.fulfill({ response: answer });
      await until("somebody who watches", () => served.made.watchers.size > 0);
      served.tellFiles([fresh], [files[0]!.file.fileId]);
      await holds(page, "performance.getEntriesByType('resource').length > 0");
      await route.fulfill({ response: answer });
    });
    await page.goto(served.base);
    await rowOf(page, "fresh.txt").waitFor();
    strictEqual(await rowOf(page, "report-0.pdf").count(), 0);
  },
);

browserTest("times follow the peer's clock, whatever this machine's says", async (scene) => {
  const now = Date.now() / 1000 - 3_600; // the peer is an hour behind
  await using served = Served.start({
    clock: { now: now * 1000 },
    status: { now },
    files: filesOf(3),
    peers: [peerOf({ lastSeen: now - 10 })],
  });
  served.isTicking = false;
  const page = await scene.open(served.base);
  await page.locator("#peer-rows .seen").getByText(/^[1-8]\d s ago$/).waitFor();
});

browserTest(
  "a hidden page releases its connection, and is current again when shown",
  async (scene) => {
    const files = filesOf(3);
    await using served = Served.start({ files });
    const page = await scene.open(served.base);
    await rowOf(page, "report-2.pdf").waitFor();
    const hide = (isHidden: boolean) =>
      page.evaluate(
        `Object.defineProperty(document, "hidden", { configurable: true, get: () => ${isHidden} });
      document.dispatchEvent(new Event("visibilitychange"))`,
      );
    await hide(true);
    await until("nobody who watches", () => served.made.watchers.size === 0);
    files.push({ file: fileOf({ name: "meanwhile.txt" }), held: false, holders: ["peer 1"] });
    await hide(false);
    await rowOf(page, "meanwhile.txt").waitFor();
  },
);

browserTest(
  "seven tabs opened in the background all load, and none keeps a connection until it is shown",
  async (scene) => {
    await using served = Served.start({ files: filesOf(3) });
    const first = await scene.open("about:blank");
    const context = first.context();
    await context.addInitScript(
      `Object.defineProperty(document, "hidden", { configurable: true, get: () => true })`,
    );
    const tabs = [];
    for (let tab = 0; tab < 7; tab++) {
      const page = await context.newPage();
      await page.goto(served.base);
      // Rows have an aria-rowindex only once JavaScript has drawn them.
      await page.locator("#file-rows tr[aria-rowindex]").first().waitFor();
      tabs.push(page);
    }
    strictEqual(served.made.watchers.size, 0);
    await tabs[6]!.evaluate(
      `Object.defineProperty(document, "hidden", { configurable: true, get: () => false });
      document.dispatchEvent(new Event("visibilitychange"))`,
    );
    await until("the tab that is shown to watch", () => served.made.watchers.size === 1);
    served.tellFiles([{ file: fileOf({ name: "news.txt" }), held: false, holders: ["peer 1"] }]);
    await rowOf(tabs[6]!, "news.txt").waitFor();
  },
);

browserTest(
  "if reading is private, nothing stays on the screen once the login has ended",
  async (scene) => {
    await using served = Served.start({ files: filesOf(3), options: { isPrivate: true } });
    const page = await scene.open(served.link);
    await rowOf(page, "report-2.pdf").waitFor();
    await page.context().clearCookies();
    for (const { end } of served.made.watchers) end();
    await page.getByRole("heading", { name: "Private peer" }).waitFor();
    scene.forgive(/401/);
  },
);
