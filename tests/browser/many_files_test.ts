// The page with many files: it loads, searches, and scrolls as with few, and holds only what is near the screen.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Page } from "playwright-core";
import { browserTest, holds, rowOf } from "./chromium.ts";
import { filesOf, peersOf, Served } from "./served.ts";
import { fileOf, STATUS } from "../web/fixture.ts";
import { statusJson } from "../../web/api/listing.ts";
import type { ViewedFile } from "../../web/view.ts";

const COUNT = 20_000;
/** Expression for the names in the drawn rows, from the top. */
const NAMES = "[...document.querySelectorAll('#file-rows .row .name')].map((e) => e.textContent)";

const many = (files: ViewedFile[] = filesOf(COUNT)) =>
  Served.start({
    files,
    peers: peersOf(12),
    status: { files: { known: COUNT, held: COUNT / 3, heldBytes: 1 } },
  });

async function scrollTo(page: Page, row: number): Promise<void> {
  await page.locator("#file-rows tr[aria-rowindex]").first().waitFor();
  await page.evaluate(
    `document.querySelector("#file-scroll").scrollTop = ${row} *
      document.querySelector("#file-rows .row").offsetHeight`,
  );
}

/** Returns how many rows of files the page's answers had so far. */
async function rowsRead(page: Page, during: () => Promise<void>): Promise<number> {
  let rows = 0;
  const answers: Promise<void>[] = [];
  page.on("response", (response) => {
    if (!/\/api\/v1\/(files|replication)\?/.test(response.url())) return;
    const count = response.json().then(({ files }) => rows += files.length, () => 0);
    answers.push(count.then(() => {}));
  });
  await during();
  await Promise.all(answers);
  return rows;
}

browserTest(
  "the page asks for what is near the screen, however many files there are",
  async (scene) => {
    await using served = many();
    const page = await scene.open("about:blank");
    const rows = await rowsRead(page, async () => {
      await page.goto(served.base);
      await rowOf(page, `report-${COUNT - 1}.pdf`).waitFor();
      await page.getByText("20,000 files", { exact: true }).waitFor();
      await page.getByText(/^\d+ of 20,000 files: those with the fewest holders$/).waitFor();
    });
    ok(rows < 700, `${rows} rows were read to show 30 and the picture of those at risk`);
    strictEqual(await page.locator("#file-table").getAttribute("aria-rowcount"), "20001");
    ok(await page.evaluate<number>("document.querySelectorAll('#file-rows tr').length") < 60);
  },
);

browserTest(
  "scrolling to any place shows the files there, and the end is the last one",
  async (scene) => {
    await using served = many();
    const page = await scene.open(served.base);
    await rowOf(page, `report-${COUNT - 1}.pdf`).waitFor();
    for (const row of [150, 5_000, 12_345, 40, 19_000]) {
      await scrollTo(page, row);
      const name = `report-${COUNT - 1 - row}.pdf`;
      await rowOf(page, name).waitFor();
      strictEqual(await rowOf(page, name).getAttribute("aria-rowindex"), String(row + 2));
      await holds(page, "document.querySelectorAll('#file-rows .waiting').length === 0");
    }
    await page.evaluate("document.querySelector('#file-scroll').scrollTop = 1e9");
    await rowOf(page, "report-0.pdf").waitFor();
  },
);

browserTest(
  "while rows are loading, their places are kept, and the keyboard waits for its row",
  async (scene) => {
    await using served = many();
    const page = await scene.open(served.base);
    await rowOf(page, `report-${COUNT - 1}.pdf`).waitFor();
    const gate = Promise.withResolvers<void>();
    await page.route(/\/api\/v1\/files\?/, async (route) => {
      await gate.promise;
      await route.continue();
    });
    await page.locator("#file-rows .row").first().focus();
    await scrollTo(page, 98);
    // One page down and a step: onto rows that are not there yet.
    await scrollTo(page, 300);
    await holds(page, "document.querySelectorAll('#file-rows .waiting').length > 10");
    const height = () =>
      page.evaluate<number>("document.querySelector('#file-scroll').scrollHeight");
    const before = await height();
    gate.resolve();
    await rowOf(page, `report-${COUNT - 1 - 300}.pdf`).waitFor();
    strictEqual(await height(), before);
    await page.evaluate("document.querySelector('#file-scroll').scrollTop = 0");
    await rowOf(page, `report-${COUNT - 1}.pdf`).waitFor();
    await page.locator("#search").focus();
    for (let i = 0; i < 130; i++) {
      await page.keyboard.press("ArrowDown");
      if (i === 0) await holds(page, "document.activeElement.matches('#file-rows .row')");
    }
    await holds(
      page,
      `document.activeElement.querySelector(".name")?.textContent === "report-${COUNT - 130}.pdf"`,
    );
  },
);

browserTest(
  "each key of a search is answered by the peer, and its address opens it again",
  async (scene) => {
    await using served = many();
    const page = await scene.open(served.base);
    await rowOf(page, `report-${COUNT - 1}.pdf`).waitFor();
    await scrollTo(page, 4_000);
    await rowOf(page, `report-${COUNT - 1 - 4_000}.pdf`).waitFor();
    await page.locator("#search").pressSequentially("report-77", { delay: 5 });
    // 77, 770 to 779, and 7700 to 7799.
    await page.locator("#file-count", { hasText: "111 files of 20,000" }).waitFor();
    await holds(page, `(${NAMES})[0] === "report-7799.pdf"`); // from the top
    await page.reload();
    await page.locator("#file-count", { hasText: "111 files of 20,000" }).waitFor();
    strictEqual(await page.inputValue("#search"), "report-77");
    await page.getByRole("button", { name: "Size" }).click();
    await holds(page, `${NAMES}[0] === "report-7799.pdf"`);
    await page.getByRole("button", { name: "Size" }).click();
    await holds(page, `${NAMES}[0] === "report-77.pdf"`);
    await page.getByRole("button", { name: "Show files at risk" }).click();
    const shown = page.locator("#file-count", { hasText: /^[\d,]+ files of 20,000$/ });
    // The count of the search before it looks the same.
    await shown.filter({ hasNotText: /^111 / }).waitFor();
    await holds(
      page,
      `[...document.querySelectorAll("#file-rows .row")].every((row) =>
        /^Only|^Nobody|away$/.test(row.querySelector(".words")?.innerText))`,
    );
  },
);

browserTest("a link to a file far down the list opens it, and it stays current", async (scene) => {
  const files = filesOf(COUNT);
  await using served = many(files);
  const old = files[7]!;
  const page = await scene.open(`${served.base}/#file=${old.file.fileId}`);
  await page.locator("#sheet[open] h2", { hasText: "report-7.pdf" }).waitFor();
  served.tellFiles([{ ...old, holders: ["hawk", "eagle"] }]);
  await page.locator("#sheet").getByText("2 peers: hawk, eagle").waitFor();
  served.tellFiles([], [old.file.fileId]);
  await page.locator("#sheet").getByText("No such file").waitFor();
  scene.forgive(/404/);
});

browserTest(
  "files that come and go while nobody reads are shown, wherever the page is scrolled to",
  async (scene) => {
    const files = filesOf(COUNT);
    await using served = many(files);
    const page = await scene.open(served.base);
    await rowOf(page, `report-${COUNT - 1}.pdf`).waitFor();
    await scrollTo(page, 5_000);
    await rowOf(page, "report-14999.pdf").waitFor();
    served.tellFiles([], [fileOf({ name: "report-14990.pdf" }).fileId]);
    await rowOf(page, "report-14990.pdf").waitFor({ state: "detached" });
    const fresh = Array.from({ length: 300 }, (_, i) => ({
      file: fileOf({ name: `fresh ${i}.txt` }),
      held: false,
      holders: ["peer 1"],
    }));
    files.push(...fresh);
    served.tell("reset", {}); // too many to name
    await page.locator("#file-count", { hasText: "20,299 files" }).waitFor();
    await page.evaluate("document.querySelector('#file-scroll').scrollTop = 0");
    await rowOf(page, "fresh 299.txt").waitFor();
    deepStrictEqual((await page.evaluate<string[]>(NAMES)).slice(0, 2), [
      "fresh 299.txt",
      "fresh 298.txt",
    ]);
  },
);

browserTest(
  "the progress of the first index is shown without moving anything, until it is complete",
  async (scene) => {
    const files = filesOf(30);
    const indexing = { files: 12_400, totalFiles: 100_000, bytes: 1.2e9, totalBytes: 4e9 };
    for (const width of [1440, 360]) {
      await using served = Served.start({ files, status: { indexing } });
      served.isTicking = false;
      const still = await scene.open(served.base, { width, script: false });
      await still.getByText("Indexing: 12,400 of 100,000 files, 1.20 of 4.00 GB").waitFor();
      await still.close();
      const page = await scene.open(served.base, { width });
      await page.locator("#file-rows tr[aria-rowindex]").first().waitFor();
      const line = page.locator("#indexing");
      match((await line.getAttribute("title"))!, /; files are shared as they are indexed$/);
      const place = () =>
        page.evaluate<string>(
          "JSON.stringify(document.querySelector('#find').getBoundingClientRect())",
        );
      const before = await place();
      const tell = (now: typeof indexing | undefined) =>
        served.tell(
          "status",
          statusJson({ ...STATUS, uptimeSeconds: 90, now: Date.now() / 1000, indexing: now }),
        );
      tell({ ...indexing, files: 50_000, bytes: 2e9 });
      await page.getByText("Indexing: 50,000 of 100,000 files, 2.00 of 4.00 GB").waitFor();
      tell(undefined);
      await line.waitFor({ state: "hidden" });
      strictEqual(await place(), before);
      await page.close();
    }
  },
);

browserTest("the figures of many files fit on a phone, next to each other", async (scene) => {
  await using served = Served.start({
    files: filesOf(30),
    status: { files: { known: 100_000, held: 33_334, heldBytes: 1 } },
  });
  const page = await scene.open(served.base, { width: 360, height: 740 });
  await page.locator("#file-rows tr[aria-rowindex]").first().waitFor();
  const overlaps = await page.evaluate<string[]>(
    `[...document.querySelectorAll(".figures li")].filter((each) => each.nextElementSibling &&
      [...each.children].some((part) => part.getBoundingClientRect().right >
        each.nextElementSibling.getBoundingClientRect().left)).map((each) => each.innerText)`,
  );
  deepStrictEqual(overlaps, []);
});
