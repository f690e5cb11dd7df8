// Performance figures of the page, for the log: time to first content, search time and memory with 100,000 files, delay from an
// announcement to a row elsewhere, smoothness with 300 peers, and page size. Figures that depend on the machine are
// reported but not asserted; the others are asserted.

import { until } from "../until.ts";
import { ok, strictEqual } from "node:assert/strict";
import type { Page } from "playwright-core";
import { browserTest, holds, rowOf } from "./chromium.ts";
import { filesOf, peersOf, Served } from "./served.ts";
import { Folder } from "../process/folder.ts";
import { start } from "../process/network.ts";

/** Limit for the page, modules, libraries, styles, and icons; without the lists, which depend on the network. */
const MAX_PAGE_BYTES = 300_000;

const tell = (text: string) => console.log(`figure: ${text}`);
const median = (values: readonly number[]) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

/** Returns the uncompressed bytes of everything that was loaded, except the lists. */
const WEIGHT =
  `performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
  .filter(({ name }) => !name.includes("/api/"))
  .reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0)`;

const PAINT = `performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0`;

browserTest("figures: size of the page with all its modules and libraries", async (scene) => {
  await using served = Served.start({ files: filesOf(200), peers: peersOf(12) });
  const page = await scene.open(served.link);
  await page.locator("#file-rows tr[aria-rowindex]").first().waitFor(); // live rows replace those of the server
  await rowOf(page, "report-198.pdf").click();
  await holds(page, "document.querySelector('#sheet canvas')?.width > 100"); // the last library is loaded
  await holds(page, "document.querySelector('#chart canvas') !== null");
  const bytes = await page.evaluate<number>(WEIGHT);
  tell(
    `page weight ${bytes} bytes, first contentful paint ${
      Math.round(await page.evaluate<number>(PAINT))
    } ms`,
  );
  ok(bytes > 100_000 && bytes < MAX_PAGE_BYTES, `${bytes} bytes`);
});

/** Types each text into the search. Returns the milliseconds until the rows found for it are painted. */
async function searched(page: Page, texts: readonly string[]): Promise<number[]> {
  const times: number[] = [];
  for (const text of texts) {
    times.push(
      await page.evaluate<number>(`new Promise((done) => {
      const search = document.querySelector("#search");
      const answers = () => performance.getEntriesByType("resource").length;
      const before = answers();
      search.value = ${JSON.stringify(text)};
      const from = performance.now();
      search.dispatchEvent(new Event("input"));
      const look = () => {
        if (answers() === before) requestAnimationFrame(look);
        else requestAnimationFrame(() => setTimeout(() => done(performance.now() - from)));
      };
      look();
    })`),
    );
  }
  return times;
}

/** Returns the bytes of the page's JavaScript heap that are in use. */
async function heapBytes(page: Page): Promise<number> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Performance.enable");
  await devtools.send("HeapProfiler.collectGarbage");
  const { metrics } = await devtools.send("Performance.getMetrics");
  await devtools.detach();
  return metrics.find(({ name }) => name === "JSHeapUsedSize")!.value;
}

browserTest(
  "figures: loading, searching, and scrolling 100,000 files, and the memory that takes",
  async (scene) => {
    for (const count of [200, 100_000]) {
      await using served = Served.start({
        files: filesOf(count),
        status: { files: { known: count, held: count / 2, heldBytes: 1 } },
      });
      const page = await scene.open(served.base);
      await page.locator("#file-rows tr[aria-rowindex]").first().waitFor();
      const drawn = await page.evaluate<number>(
        "document.querySelectorAll('#file-rows .row').length",
      );
      ok(drawn < 60, `${drawn} rows are drawn`);
      const texts = ["r", "re", "report-1", "report-12", "report-123", "peer 3", "999", ""];
      const times = await searched(page, texts);
      // Scrolls to the end, and the rows there are the right ones.
      const whole = `${count.toLocaleString("en")} files`;
      await page.getByText(whole, { exact: true }).waitFor();
      // The answer to the last search may come now, and begins at the top again.
      await until("the last row", async () => {
        await page.evaluate("document.querySelector('#file-scroll').scrollTop = 1e9");
        return await rowOf(page, "report-0.pdf").isVisible();
      });
      const heap = await heapBytes(page);
      tell(
        `${whole}: first contentful paint ${
          Math.round(await page.evaluate<number>(PAINT))
        } ms, from key to rows ${Math.round(median(times))} ms, most ${
          Math.round(Math.max(...times))
        } ms, JavaScript heap ${(heap / 1e6).toFixed(1)} MB`,
      );
      ok(heap < 20e6, `${heap} bytes`);
      await page.close();
    }
  },
);

browserTest(
  "figures: 300 peers on the map, and the time per frame while the layout settles",
  async (scene) => {
    await using served = Served.start({
      files: filesOf(50),
      peers: peersOf(300),
      status: { peers: 300 },
    });
    const page = await scene.open(served.base);
    await page.locator("#peer-rows tr").nth(299).waitFor({ state: "attached" });
    await page.locator("#map").scrollIntoViewIfNeeded();
    const frames = await page.evaluate<number[]>(`new Promise((done) => {
    const times = [];
    let last = performance.now();
    const frame = (now) => {
      times.push(now - last);
      last = now;
      if (times.length < 120) requestAnimationFrame(frame);
      else done(times);
    };
    requestAnimationFrame(frame);
  })`);
    tell(
      `map of 300 peers: a frame takes ${median(frames).toFixed(1)} ms, the slowest of 120 ${
        Math.max(...frames).toFixed(1)
      } ms`,
    );
    const ink = await page.evaluate<number>(`(() => {
    const map = document.querySelector("#map");
    const { data } = map.getContext("2d").getImageData(0, 0, map.width, map.height);
    return data.filter((value, index) => index % 4 === 3 && value > 200).length;
  })()`);
    ok(ink > 3_000, `${ink} pixels are drawn`);
  },
);

browserTest(
  "figures: time from an announcement on one peer to the row on another's page",
  async (scene) => {
    await using folder = await Folder.make();
    const byHand = { args: ["--auto-fetch", "0"] };
    await using eagle = await start(folder, "eagle", [], byHand);
    await using hawk = await start(folder, "hawk", [eagle], byHand);
    const { token } = await eagle.login();
    const page = await scene.open(`http://127.0.0.1:${hawk.httpPort}`);
    await page.locator("#peer-rows tr", { hasText: "eagle" }).waitFor();
    const took: number[] = [];
    for (let round = 0; round < 9; round++) {
      const name = `announced-${round}.txt`;
      const seen = page.evaluate<number>(`new Promise((done) => {
      const rows = document.querySelector("#file-rows");
      new MutationObserver((_, observer) => {
        if (!rows.textContent.includes("${name}")) return;
        observer.disconnect();
        done(Date.now());
      }).observe(rows, { childList: true, subtree: true, characterData: true });
    })`);
      const from = Date.now();
      const response = await fetch(
        `http://127.0.0.1:${eagle.httpPort}/api/v1/files/by-name/${name}`,
        {
          method: "PUT",
          headers: { authorization: `Bearer ${token}` },
          body: name,
        },
      );
      strictEqual(response.status, 201);
      await response.body?.cancel();
      took.push(await seen - from);
    }
    tell(
      `from the upload of a small file on one peer to its row on the page of another: ${
        median(took)
      } ms, most ${Math.max(...took)} ms of ${took.length}`,
    );
    await scene.leave();
  },
);
