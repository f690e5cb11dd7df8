// The page in a real browser, with fake peers: searching, sorting, the keyboard, small and dark screens.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import jsQR from "jsqr";
import type { FileChooser } from "playwright-core";
import { browserTest, holds, rowOf } from "./chromium.ts";
import { filesOf, peersOf, Served } from "./served.ts";
import { fileOf, peerOf, transferOf } from "../web/fixture.ts";

/** Expression for the names in the drawn rows, from the top. */
const NAMES = "[...document.querySelectorAll('#file-rows .row .name')].map((e) => e.textContent)";

browserTest(
  "files are searched as you type, sorted, and filtered, and the view survives a reload",
  async (scene) => {
    await using served = Served.start({
      files: filesOf(200),
      peers: peersOf(12),
      status: { files: { known: 200, held: 67, heldBytes: 9 } },
    });
    const page = await scene.open(served.base);
    const names = () => page.evaluate<string[]>(NAMES);
    await holds(page, "document.querySelector('#file-rows').children.length > 2");
    strictEqual((await names())[0], "report-199.pdf", "newest first");
    await page.fill("#search", "report-12");
    await holds(page, `${NAMES}.length === 11`);
    await holds(page, "document.querySelector('#file-count').innerText === '11 files of 200'");
    await page.getByRole("button", { name: "Name", exact: true }).click();
    await holds(page, `${NAMES}[0] === "report-12.pdf"`);
    strictEqual(await page.locator("th[data-sort=name]").getAttribute("aria-sort"), "ascending");
    await page.getByRole("button", { name: "Here", exact: true }).click();
    await holds(page, `${NAMES}.length === 5`);
    const here = await names();
    deepStrictEqual(here, [
      "report-12.pdf",
      "report-120.pdf",
      "report-123.pdf",
      "report-126.pdf",
      "report-129.pdf",
    ]);
    await page.reload();
    await holds(page, `${NAMES}.length === 5`);
    deepStrictEqual(await names(), here);
    strictEqual(await page.inputValue("#search"), "report-12");
    await page.fill("#search", "nothing like it");
    await page.getByText('No matches for "nothing like it".').waitFor();
    await page.fill("#search", "");
    await page.getByRole("button", { name: "At risk", exact: true }).click();
    const atRisk = "[...document.querySelectorAll('#file-rows .words')]";
    await holds(
      page,
      `${atRisk}.length > 11 && ${atRisk}.every((words) => /^Only|^Nobody|away$/.test(words.innerText))`,
    );
  },
);

browserTest(
  "everything works from the keyboard: search, rows, details, link, fetch, share, help",
  async (scene) => {
    await using served = Served.start({ files: filesOf(60), peers: peersOf(3) });
    const page = await scene.open(served.link);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    // Listen from the start, because the driver takes a moment to intercept file choosers.
    const chooser = new Promise<FileChooser>((done) => page.once("filechooser", done));
    await page.waitForSelector("body.may-change");
    await holds(page, "document.querySelectorAll('#file-rows .row').length > 5");
    await page.keyboard.press("/");
    strictEqual(await page.evaluate("document.activeElement.id"), "search");
    await page.keyboard.type("report-5");
    await holds(page, `${NAMES}.length === 11`);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    const at = await page.evaluate<string>(
      "document.activeElement.querySelector('.name').textContent",
    );
    strictEqual(at, "report-58.pdf", "the second row has the focus");
    const ring = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle");
    strictEqual(ring, "solid", "and its ring is visible");
    await page.keyboard.press("c");
    await page.locator(".notice.good", { hasText: "Copied the link" }).waitFor();
    await page.keyboard.press("f");
    await rowOf(page, "report-58.pdf").getByText("Fetching").waitFor();
    ok(served.made.done.includes(`fetch ${fileOf({ name: "report-58.pdf" }).fileId}`));
    await page.keyboard.press("Enter");
    await page.locator("#sheet[open] h2", { hasText: "report-58.pdf" }).waitFor();
    // Pasting yields what was copied.
    strictEqual(
      await page.evaluate("navigator.clipboard.readText()"),
      await page.locator("#sheet dd a.whole").innerText(),
    );
    match(page.url(), /#.*file=[0-9a-f]{64}/);
    await page.keyboard.press("Escape");
    await page.locator("#sheet:not([open])").waitFor({ state: "attached" });
    await page.keyboard.press("?");
    await page.locator("#help[open]").waitFor();
    await page.keyboard.press("Escape");
    await page.locator("#help:not([open])").waitFor({ state: "attached" });
    await page.keyboard.press("s");
    ok((await chooser).isMultiple());
  },
);

browserTest(
  "Back closes details that were opened with a click, and their link opens them again",
  async (scene) => {
    await using served = Served.start({ files: filesOf(30) });
    const page = await scene.open(served.base);
    await rowOf(page, "report-27.pdf").click();
    await page.locator("#sheet[open]").waitFor();
    const link = page.url();
    const id = fileOf({ name: "report-27.pdf" }).fileId;
    strictEqual(await page.locator("#sheet code.whole").innerText(), id);
    await holds(page, "document.querySelector('#sheet canvas')?.width > 100");
    const { data, width, height } = await page.evaluate<
      { data: number[]; width: number; height: number }
    >(`(() => {
    const { width, height } = document.querySelector("#sheet canvas");
    const { data } = document.querySelector("#sheet canvas").getContext("2d").getImageData(0, 0, width, height);
    return { data: [...data], width, height };
  })()`);
    const read = jsQR.default(Uint8ClampedArray.from(data), width, height)?.data;
    strictEqual(
      read,
      await page.locator("#sheet dd a.whole").innerText(),
      "the code contains the link",
    );
    match(read ?? "", new RegExp(`/api/v1/files/${id}/content$`));
    await page.goBack();
    await page.locator("#sheet:not([open])").waitFor({ state: "attached" });
    const other = await scene.open(link);
    await other.locator("#sheet[open] h2", { hasText: "report-27.pdf" }).waitFor();
  },
);

browserTest(
  "removing the last known copy warns before and after, and removing one of several does not",
  async (scene) => {
    const file = (name: string, owner: string, ...holders: string[]) => ({
      file: fileOf({ name, owner }),
      held: true,
      holders: ["us", ...holders],
    });
    await using served = Served.start({
      files: [file("last.txt", "bob"), file("spread.txt", "bob", "eagle")],
    });
    const page = await scene.open(served.link);
    await page.waitForSelector("body.may-change");
    await rowOf(page, "spread.txt").click();
    await page.getByText("Copies on other peers are not affected.").waitFor();
    await page.getByRole("button", { name: "Remove here" }).waitFor();
    await page.keyboard.press("Escape");
    await page.locator("#sheet:not([open])").waitFor({ state: "attached" });
    await rowOf(page, "last.txt").click();
    await page.getByText("No other peer is known to hold this file.").waitFor();
    strictEqual(await page.getByRole("button", { name: "Remove here" }).count(), 0);
    await page.getByRole("button", { name: "Remove the only known copy" }).click();
    await page.locator(".notice", { hasText: "last.txt" }).waitFor();
    deepStrictEqual(served.made.done, [`remove ${fileOf({ name: "last.txt" }).fileId}`]);
  },
);

browserTest(
  "while the user reads the table no row moves, and new rows wait behind a button",
  async (scene) => {
    const files = filesOf(40);
    await using served = Served.start({ files });
    const page = await scene.open(served.base);
    // Over a row of the server's own table, a pointer says nothing yet.
    await page.locator("#file-rows tr[aria-rowindex]").first().waitFor();
    await rowOf(page, "report-38.pdf").hover();
    const names = () => page.evaluate<string[]>(NAMES);
    const before = await names();
    const fresh = ["new a.txt", "new b.txt", "new c.txt"].map((name, i) => ({
      file: fileOf({ name, timestamp: { text: String(1_790_000_000 + i), quoted: false } }),
      held: false,
      holders: ["peer 1"],
    }));
    served.tellFiles(fresh);
    await page.getByRole("button", { name: "3 new" }).waitFor();
    deepStrictEqual((await names()).slice(0, 10), before.slice(0, 10));
    // A removed file stays in place, marked as deleted, while the user reads.
    served.tellFiles([], [fileOf({ name: "report-39.pdf" }).fileId]);
    await rowOf(page, "report-39.pdf").getByText("Deleted").waitFor();
    await page.getByRole("button", { name: "3 new" }).click();
    await holds(page, `${NAMES}[0] === "new c.txt"`);
    ok(!(await names()).includes("report-39.pdf"));
  },
);

browserTest(
  "at 360 pixels nothing scrolls sideways, everything is behind four tabs, and targets fit fingers",
  async (scene) => {
    const transfers = [
      transferOf({
        id: 1,
        name: "a very long name of a file that does not fit in a line.tar.gz",
        totalBytes: 1e9,
      }),
    ];
    await using served = Served.start({ files: filesOf(80), peers: peersOf(12), transfers });
    for (const scheme of ["light", "dark"] as const) {
      const page = await scene.open(served.link, { width: 360, height: 740, scheme });
      await page.waitForSelector("body.may-change");
      for (const tab of ["Files", "Moving", "Network", "Share"]) {
        await page.getByRole("navigation").getByRole("button", { name: tab }).click();
        await page.waitForSelector(`[data-tab=${tab.toLowerCase()}]`);
        const wide = await page.evaluate("document.documentElement.scrollWidth");
        strictEqual(wide, 360, `${tab} scrolls sideways`);
        const small = await page.evaluate<string[]>(
          `[...document.querySelectorAll("button, a.action, input[type=search]")]
        .filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".u-legend") && !e.matches(".row .name"))
        .filter((e) => { const r = e.getBoundingClientRect(); return r.width > 1 && r.height < 44; })
        .map((e) => e.outerHTML)`,
        );
        deepStrictEqual(small, [], `${tab} has targets that are too small`);
      }
      await page.getByRole("navigation").getByRole("button", { name: "Files" }).click();
      await page.locator("#file-rows .row").first().click();
      await page.locator("#sheet[open]").waitFor();
      strictEqual(await page.evaluate("document.documentElement.scrollWidth"), 360);
      await page.getByRole("button", { name: "Close" }).click();
    }
  },
);

browserTest(
  "the theme is the system's until the user chooses one, which survives a reload",
  async (scene) => {
    await using served = Served.start({ files: filesOf(5) });
    const page = await scene.open(served.base, { scheme: "dark" });
    const ground = () => page.evaluate<string>("getComputedStyle(document.body).backgroundColor");
    const dark = await ground();
    const theme = page.getByRole("button", { name: /^Theme/ });
    await theme.click();
    await page.getByRole("button", { name: "Theme: light" }).waitFor();
    const light = await ground();
    ok(light !== dark, `${light} is not ${dark}`);
    await page.reload();
    strictEqual(await ground(), light);
    await theme.click();
    await page.getByRole("button", { name: "Theme: dark" }).waitFor();
    strictEqual(await ground(), dark);
  },
);

browserTest(
  "keys act on the open file, or else the selected one, and on nothing else",
  async (scene) => {
    await using served = Served.start({ files: filesOf(60) });
    const page = await scene.open(served.link);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.waitForSelector("body.may-change");
    await rowOf(page, "report-59.pdf").waitFor();
    await page.keyboard.press("f"); // nothing is selected
    await page.keyboard.press("c");
    await page.evaluate(`location.hash = "#file=${fileOf({ name: "report-31.pdf" }).fileId}"`);
    await page.locator("#sheet[open] h2", { hasText: "report-31.pdf" }).waitFor();
    await page.keyboard.press("f");
    await page.locator("#sheet").getByRole("button", { name: "Fetching" }).waitFor();
    await page.keyboard.press("c");
    await page.locator("#sheet #notices").getByText("Copied the link").waitFor();
    match(
      await page.evaluate("navigator.clipboard.readText()"),
      new RegExp(`/files/${fileOf({ name: "report-31.pdf" }).fileId}/content$`),
    );
    await page.keyboard.press("Escape");
    await holds(page, `!location.hash.includes("file")`);
    await page.keyboard.press("?");
    await page.locator("#help[open]").waitFor();
    await page.keyboard.press("f");
    await page.keyboard.press("Escape");
    deepStrictEqual(served.made.done, [`fetch ${fileOf({ name: "report-31.pdf" }).fileId}`]);
  },
);

browserTest(
  "the skip link moves the focus but keeps the view; the table has one tab stop wherever it is scrolled",
  async (scene) => {
    await using served = Served.start({ files: filesOf(400) });
    const page = await scene.open(`${served.base}/#q=report-3`);
    await holds(page, `document.querySelector("#search").value === "report-3"`); // the modules have started
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    strictEqual(await page.evaluate("document.activeElement.id"), "file-scroll");
    strictEqual(await page.evaluate("location.hash"), "#q=report-3");
    await page.evaluate("document.querySelector('#file-scroll').scrollTop = 2000");
    await rowOf(page, "report-345.pdf").waitFor();
    strictEqual(await page.locator("#file-rows [tabindex='0']").count(), 1);
  },
);

browserTest(
  "names are readable from 1,000 pixels on, and long addresses do not widen a phone's page",
  async (scene) => {
    const host = "2001:db8:85a3:1234:5678:8a2e:370:7334";
    await using served = Served.start({
      files: filesOf(30),
      peers: [peerOf({ host, lastSeen: Date.now() / 1000 })],
      status: { host },
    });
    for (const width of [320, 360, 768, 1000, 1100, 1300]) {
      const page = await scene.open(served.base, { width });
      await rowOf(page, "report-29.pdf").waitFor();
      const name = await page.evaluate<number>(
        "document.querySelector('#file-rows .name').getBoundingClientRect().width",
      );
      ok(name > 90, `a name has ${name} pixels of ${width}`);
      const cut = await page.evaluate(
        "(() => { const e = document.querySelector('#file-rows .name'); return e.scrollWidth > e.clientWidth; })()",
      );
      strictEqual(cut, false, `${width}`);
      for (const tab of width < 1000 ? ["files", "network"] : ["files"]) {
        await page.evaluate(`location.hash = "#tab=${tab}"`);
        await page.waitForSelector(`[data-tab=${tab}]`);
        ok(
          await page.evaluate("document.documentElement.scrollWidth <= innerWidth"),
          `${width} ${tab}`,
        );
      }
      await page.close();
    }
  },
);
