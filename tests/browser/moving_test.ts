// Transfers on the page: progress and speed, canceling and retrying; uploads with their progress, queued; rates as a
// chart.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { browserTest, holds, rowOf } from "./chromium.ts";
import { filesOf, Served } from "./served.ts";
import { until } from "../until.ts";
import { fileOf, STATUS, transferOf } from "../web/fixture.ts";
import { statusJson } from "../../web/api/listing.ts";

const MB = 1_000_000;
const soon = () => Date.now() / 1000;

browserTest(
  "a transfer shows a bar, bytes, speed, time left, and source; it can be canceled, and retried if it failed",
  async (scene) => {
    const running = transferOf({
      id: 7,
      fileId: fileOf({ name: "big.bin" }).fileId,
      name: "big.bin",
      peer: "eagle",
      doneBytes: 10 * MB,
      totalBytes: 80 * MB,
      seconds: 2,
    });
    const done = transferOf({
      id: 5,
      fileId: fileOf({ name: "done.bin" }).fileId,
      name: "done.bin",
      state: "done",
      doneBytes: 5 * MB,
      endedAt: soon(),
      seconds: 0.3,
    });
    const transfers = [
      transferOf({
        id: 3,
        name: "bad.bin",
        state: "failed",
        why: "eagle sent bytes that do not match",
        endedAt: soon() - 5,
      }),
      transferOf({
        id: 4,
        fileId: fileOf({ name: "old.bin" }).fileId,
        name: "old.bin",
        state: "failed",
        why: "long ago",
        endedAt: soon() - 7200,
      }),
      done,
      running,
    ];
    const file = fileOf({ name: "a.txt" }); // the file of all transfers
    await using served = Served.start({
      files: [...filesOf(3), { file, held: false, holders: ["bob"] }],
      transfers,
    });
    const page = await scene.open(served.link);
    const row = page.locator("#transfers li", { hasText: "big.bin" });
    await row.getByText("10.0 of 80.0 MB · 5.00 MB/s · 14 s left · from eagle").waitFor();
    strictEqual(
      await page.evaluate("document.querySelector('#transfers progress').position"),
      0.125,
    );
    strictEqual(await page.locator("#transfers li", { hasText: "old.bin" }).count(), 0);
    await page.getByText("✓ 5.00 MB in under 1 s · from bob").waitFor();
    served.tellTransfers([{ ...running, doneBytes: 40 * MB, seconds: 4 }]);
    await row.getByText(/^40.0 of 80.0 MB · \d[\d.]* \wB\/s · \d+ (s|min|h) left · from eagle$/)
      .waitFor();
    await row.getByRole("button", { name: "Cancel: big.bin" }).click();
    const bad = page.locator("#transfers li", { hasText: "bad.bin" });
    await bad.getByText("✗ eagle sent bytes that do not match").waitFor();
    await bad.getByRole("button", { name: "Retry: bad.bin" }).click();
    await until("the fetch", () => served.made.done.length === 2);
    await bad.getByRole("button", { name: "Dismiss: bad.bin" }).click();
    await bad.waitFor({ state: "detached" });
    deepStrictEqual(served.made.done, ["cancel 7", `fetch ${file.fileId}`]);
    // The finished one fades and disappears after a minute.
    served.tellTransfers([{ ...done, endedAt: soon() - 50 }]);
    await page.locator("#transfers li.fading", { hasText: "done.bin" }).waitFor();
    await page.mouse.move(0, 0);
    await page.locator("#transfers li", { hasText: "done.bin" }).waitFor({ state: "detached" });
  },
);

browserTest(
  "a retry takes over the row of the attempt it replaces, even under a resting pointer",
  async (scene) => {
    const file = fileOf({ name: "again.bin" });
    const first = transferOf({
      id: 2,
      fileId: file.fileId,
      name: "again.bin",
      state: "cancelled",
      why: "Canceled here",
      endedAt: soon() - 9,
    });
    const other = transferOf({ id: 3, name: "other.bin", fileId: fileOf({ name: "o" }).fileId });
    const transfers = [first, other];
    await using served = Served.start({
      files: [...filesOf(3), { file, held: false, holders: ["bob"] }],
      transfers,
    });
    const page = await scene.open(served.link);
    await page.waitForSelector("body.may-change");
    const names = () => page.locator("#transfers li .whole-name").allInnerTexts();
    const row = page.locator("#transfers li", { hasText: "again.bin" });
    await row.getByText("Canceled here · from bob").waitFor();
    await row.getByRole("button", { name: "Retry: again.bin" }).click(); // the pointer stays there
    await until("the retry", () => served.made.done.length === 1);
    const again = transferOf({
      ...first,
      id: 4,
      state: "running",
      doneBytes: 5,
      totalBytes: 10,
      endedAt: undefined,
      why: undefined,
    });
    transfers.push(again);
    served.tellTransfers([again]);
    await row.getByText(/^5 of 10 B/).waitFor();
    strictEqual(await row.count(), 1);
    deepStrictEqual(await names(), ["other.bin", "again.bin"], "and nothing moved");
    await row.getByRole("button", { name: "Cancel: again.bin" }).click();
    await until("the new attempt to be cancelled", () => served.made.done.at(-1) === "cancel 4");
    served.tellTransfers([{ ...again, state: "done", doneBytes: 10, endedAt: soon() }]);
    await row.getByText(/^✓ 10 B in/).waitFor();
    // Once it has ended, the attempt it replaced does not reappear.
    await page.mouse.move(0, 0);
    served.tellTransfers([{ ...again, state: "done", doneBytes: 10, endedAt: soon() - 90 }]);
    await row.waitFor({ state: "detached" });
    deepStrictEqual(await names(), ["other.bin"]);
  },
);

browserTest(
  "a dismissed transfer stays dismissed after a reload, but not another with the same id after the peer restarts",
  async (scene) => {
    const failed = transferOf({
      id: 3,
      name: "bad.bin",
      state: "failed",
      why: "no",
      endedAt: soon() - 50,
    });
    const transfers = [
      failed,
      transferOf({
        id: 4,
        name: "worse.bin",
        fileId: "",
        state: "failed",
        why: "no",
        endedAt: soon() - 40,
      }),
    ];
    await using served = Served.start({ files: filesOf(3), transfers });
    const page = await scene.open(served.link);
    const bad = page.locator("#transfers li", { hasText: "bad.bin" });
    const worse = page.locator("#transfers li", { hasText: "worse.bin" });
    await bad.getByRole("button", { name: "Dismiss: bad.bin" }).click();
    await bad.waitFor({ state: "detached" });
    transfers[0] = { ...failed, endedAt: failed.endedAt! + 1 }; // rounded the other way
    await page.reload();
    await worse.getByRole("button", { name: "Dismiss" }).waitFor();
    strictEqual(await bad.count(), 0);
    const elsewhere = await scene.open(served.link); // somebody else's browser
    await elsewhere.locator("#transfers li", { hasText: "bad.bin" }).waitFor();
    transfers[0] = { ...failed, endedAt: soon() - 5 };
    await page.reload();
    await bad.getByRole("button", { name: "Dismiss: bad.bin" }).waitFor(); // drawn only by JavaScript
  },
);

browserTest(
  "an upload or download canceled in a browser is not shown as a failure on anyone's page",
  async (scene) => {
    const ended = {
      state: "cancelled",
      endedAt: soon() - 5,
      fileId: "",
      peer: "10.0.0.9",
    } as const;
    const transfers = [
      transferOf({ ...ended, id: 1, kind: "upload", name: "up.bin", why: "The sender stopped" }),
      transferOf({
        ...ended,
        id: 2,
        kind: "download",
        direction: "out",
        name: "down.bin",
        why: "The receiver stopped",
      }),
    ];
    await using served = Served.start({ files: filesOf(3), transfers });
    for (const script of [true, false]) {
      const page = await scene.open(served.base, { script });
      const row = (name: string) => page.locator("#transfers li.cancelled", { hasText: name });
      await row("up.bin").getByText("The sender stopped · from the browser at 10.0.0.9").waitFor();
      await row("down.bin").getByText("The receiver stopped · to the browser at 10.0.0.9")
        .waitFor();
      strictEqual(await row("up.bin").locator(".way").innerText(), "↑");
      strictEqual(await row("down.bin").locator(".way").innerText(), "↓");
      strictEqual(await page.locator("#transfers .failed").count(), 0);
    }
  },
);

browserTest("the row of a file that is being fetched says so", async (scene) => {
  const file = fileOf({ name: "coming.bin" });
  const transfer = transferOf({
    id: 2,
    fileId: file.fileId,
    name: "coming.bin",
    doneBytes: 30,
    totalBytes: 120,
  });
  await using served = Served.start({
    files: [{ file, held: false, holders: ["bob"] }],
    transfers: [transfer],
  });
  const page = await scene.open(served.link);
  await rowOf(page, "coming.bin").getByText("Fetching, 25 %").waitFor();
  strictEqual(
    await rowOf(page, "coming.bin").getByRole("button", { name: "Fetch coming.bin" }).count(),
    0,
  );
  served.tellTransfers([{ ...transfer, state: "failed", why: "no" }]);
  await rowOf(page, "coming.bin").getByRole("button", { name: "Fetch coming.bin" }).waitFor();
});

browserTest("an upload shows its progress, speed, and time left", async (scene) => {
  await using served = Served.start({});
  const page = await scene.open(served.link);
  await page.waitForSelector("body.may-change");
  // As slow as a bad mobile connection, so that there is time to see the progress.
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: 300_000,
  });
  await page.setInputFiles("#pick", [{
    name: "slow.bin",
    mimeType: "",
    buffer: Buffer.alloc(1_500_000),
  }]);
  const row = page.locator("#uploads li", { hasText: "slow.bin" });
  await row.getByText(/^\d[\d.]*( kB)? of 1\.50 MB · \d[\d.]* \wB\/s · \d+ s left$/).waitFor();
  await holds(page, "document.querySelector('#uploads progress').position > 0");
  await holds(page, "document.querySelector('#uploads progress').position > 0.3");
  await row.getByText("✓ Shared in").waitFor();
  deepStrictEqual(served.made.done, ["share slow.bin"]);
});

browserTest(
  "an upload can be canceled midway or before its turn, and the next one takes its place",
  async (scene) => {
    await using served = Served.start({ files: filesOf(3) });
    const page = await scene.open(served.link);
    await page.waitForSelector("body.may-change");
    // The peer does not respond to the first one until it is canceled.
    let asked = () => {};
    const isAsked = new Promise<void>((done) => asked = done);
    await page.route(/\/api\/v1\/files$/, async (route) => {
      if (route.request().headers()["x-file-name"] !== "slow.bin") return await route.continue();
      asked();
    });
    const file = (name: string, size: number) => ({
      name,
      mimeType: "",
      buffer: Buffer.alloc(size),
    });
    await page.setInputFiles("#pick", [
      file("slow.bin", 500_000),
      file("slow.bin", 500_000),
      file("slow.bin", 500_000),
      file("never.bin", 9),
      file("next.bin", 9),
    ]);
    await isAsked;
    const upload = (name: string) => page.locator("#uploads li", { hasText: name });
    await upload("never.bin").getByText("Waiting", { exact: true }).waitFor();
    await upload("never.bin").getByRole("button", { name: "Cancel" }).click();
    await upload("slow.bin").first().getByRole("button", { name: "Cancel" }).click();
    await upload("slow.bin").first().getByText("Canceled").waitFor();
    await upload("next.bin").getByText("✓ Shared in").waitFor();
    deepStrictEqual(served.made.done, ["share next.bin"]);
    strictEqual(
      await page.locator("#uploads .words.failed").count(),
      0,
      "canceling is not a failure",
    );
    for (const row of [1, 2]) {
      await upload("slow.bin").nth(row).getByRole("button", { name: "Cancel" }).click();
    }
    for (let left = 5; left > 0; left--) {
      await page.locator("#uploads").getByRole("button", { name: "Dismiss" }).first().click();
    }
    strictEqual(
      await page.locator("#share").isVisible(),
      false,
      "and the empty list is hidden",
    );
  },
);

browserTest(
  "rates are shown and drawn second by second, by the peer's own clock",
  async (scene) => {
    await using served = Served.start({ files: filesOf(3) });
    served.isTicking = false;
    const page = await scene.open(served.base);
    await rowOf(page, "report-2.pdf").waitFor();
    for (let second = 1; second <= 60; second++) {
      const bytes = { in: 10 + second * 3 * MB, out: 20 + second * MB };
      served.tell(
        "status",
        statusJson({ ...STATUS, now: soon(), uptimeSeconds: 61 + second, bytes }),
      );
    }
    await holds(page, `document.querySelector("#rate-in").textContent === "3.00 MB/s"`);
    strictEqual(await page.locator("#rate-out").innerText(), "1.00 MB/s");
    await holds(page, `document.querySelector("#legend-in").textContent === "3.00 MB/s"`);
    const drawn = (selector: string) =>
      page.evaluate<number>(`(() => {
      const canvas = document.querySelector("${selector}");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.filter((value, index) => index % 4 === 3 && value > 0).length / canvas.width / canvas.height;
    })()`);
    ok(await drawn("#spark-in") > 0.3, "sixty seconds at the same rate fill the sparkline");
    ok(await drawn("#chart canvas") > 0.1);
  },
);

browserTest(
  "a page whose connection died silently says so, and recovers",
  async (scene) => {
    await using served = Served.start({ files: filesOf(3) });
    const page = await scene.open(served.base);
    await rowOf(page, "report-2.pdf").waitFor();
    await page.route("**/api/v1/events", (route) => route.abort());
    served.isTicking = false; // as on a lost network, or with a frozen process
    await page.getByText("This peer is not responding.").waitFor();
    served.isTicking = true;
    await page.unroute("**/api/v1/events");
    await page.getByText("This peer is not responding.").waitFor({ state: "hidden" });
    match(await page.locator("#state-words").innerText(), /synchronized/);
    scene.forgive(/ERR_FAILED/);
  },
);

browserTest("an expired login is noticed when a change is refused", async (scene) => {
  await using served = Served.start({ files: filesOf(3) });
  const page = await scene.open(served.link);
  await page.waitForSelector("body.may-change");
  await page.context().clearCookies();
  await rowOf(page, "report-1.pdf").getByRole("button", { name: "Fetch" }).click();
  await page.locator(".notice.failed", { hasText: "Login required" }).waitFor();
  await page.waitForSelector("body:not(.may-change)");
  await page.getByRole("button", { name: "Log in" }).waitFor();
  scene.forgive(/401/);
});

browserTest(
  "speed limits are changed and a waiting download is put first in a dialog that fits a phone",
  async (scene) => {
    const queued = filesOf(25).map((each) => ({ ...each, held: false }));
    await using served = Served.start({ files: filesOf(3), queued });
    const page = await scene.open(served.link, { width: 360, height: 740 });
    await page.waitForSelector("body.may-change");
    await page.getByRole("button", { name: /^Moving/ }).click();
    await page.getByRole("button", { name: "Limits" }).click();
    const dialog = page.getByRole("dialog", { name: "Speed and queue" });
    await dialog.getByText("25 downloads in the queue, the first 20 of them:").waitFor();
    await holds(page, "getComputedStyle(document.querySelector('#pace form')).display === 'grid'");
    ok(await page.evaluate<boolean>("document.documentElement.scrollWidth <= innerWidth"));
    await dialog.getByLabel("Receive at most").fill("2.5");
    await dialog.getByRole("button", { name: /^Download .* first$/ }).nth(1).click();
    await dialog.getByRole("button", { name: "Save" }).click();
    await page.getByText("The limits are changed until the peer exits").waitFor();
    const { fileId } = queued[2]!.file;
    deepStrictEqual(served.made.done, [
      `first ${fileId}`,
      'limits {"down":2500000,"up":0}',
    ]);
    await page.getByRole("button", { name: "Limits" }).click();
    strictEqual(await dialog.getByLabel("Receive at most").inputValue(), "2.5");
    strictEqual(await dialog.getByLabel("Send at most").inputValue(), "");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
  },
);
