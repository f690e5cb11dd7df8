// The page's layout: nothing jumps when data arrives, no focus ring is cut off, names have enough space, and a phone's
// header leaves the screen to the files.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Page } from "playwright-core";
import { browserTest, holds, rowOf } from "./chromium.ts";
import { filesOf, peersOf, Served } from "./served.ts";
import { fileOf, peerOf, STATUS, transferOf } from "../web/fixture.ts";
import { statusJson } from "../../web/api/listing.ts";

const MB = 1_000_000;
const soon = () => Date.now() / 1000;

/**
 * Starts recording layout shifts before the page does anything. Ignores the list of transfers, where new rows are added
 * on top.
 */
const WATCH_SHIFTS = `globalThis.shifts = [];
new PerformanceObserver((list) => {
  for (const { value, hadRecentInput, sources } of list.getEntries()) {
    const isOfList = ({ node }) => (node?.closest ? node : node?.parentElement)?.closest("#transfers");
    if (hadRecentInput || sources.some(isOfList)) continue;
    const what = sources.map(({ node }) => node?.id || node?.className || node?.parentElement?.id || node?.nodeName);
    shifts.push([value, what.join()]);
  }
}).observe({ type: "layout-shift", buffered: true });`;

/** Returns how much moved (the browser's layout shift score, 0 to 1), and what. */
async function shifted(page: Page): Promise<[number, string]> {
  // After two frames, shifts from the current drawing have been recorded.
  const shifts = await page.evaluate<[number, string][]>(
    "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(shifts)))))",
  );
  const sum = shifts.reduce((sum, [value]) => sum + value, 0);
  return [sum, shifts.map(([value, what]) => `${value.toFixed(4)} ${what}`).join("; ")];
}

browserTest(
  "nothing on the screen moves when the page goes live or when data arrives",
  async (scene) => {
    for (const [width, height] of [[1440, 900], [1100, 800], [360, 740]] as const) {
      const transfers = [transferOf({ id: 1, name: "one.bin", totalBytes: 9, doneBytes: 1 })];
      await using served = Served.start({
        files: filesOf(40).map((file, i) => ({ ...file, knownSince: 100 + i })),
        peers: peersOf(3),
        transfers,
        status: { peers: 3, files: { known: 40, held: 14, heldBytes: 1 } },
      });
      served.isTicking = false;
      const page = await scene.open("about:blank", { width, height });
      await page.addInitScript(WATCH_SHIFTS);
      await page.goto(served.base);
      await page.locator("#file-rows tr[aria-rowindex]").first().waitFor();
      if (width > 1000) await holds(page, "document.querySelector('#chart canvas') !== null");
      for (let second = 1; second <= 3; second++) {
        const bytes = { in: 10 + second ** 9 * 1_000, out: 20 + second * MB };
        served.tell(
          "status",
          statusJson({
            ...STATUS,
            now: soon(),
            uptimeSeconds: 61 + second,
            peers: 3,
            synchronized: second > 1,
            bytes,
          }),
        );
        served.tellPeers([
          peerOf({
            peerId: `fresh ${second}`,
            lastSeen: soon() - 40,
            extended: false,
            refused: second,
          }),
        ]);
        served.tellTransfers(
          [2, 3, 4].map((n) =>
            transferOf({ id: n + 3 * second, fileId: `${n}${second}`, name: `${n}.bin` })
          ),
        );
      }
      await page.locator("#peer-rows tr", { hasText: "fresh 3" }).waitFor({ state: "attached" });
      served.tellFiles([{
        file: fileOf({ name: "at the end.txt" }),
        held: false,
        holders: [],
        knownSince: 1,
      }]);
      await holds(page, `document.querySelector("#file-count").textContent.startsWith("41")`);
      const [sum, what] = await shifted(page);
      ok(sum < 0.01, `at ${width} pixels the layout shifted by ${sum}: ${what}`);
      await page.close();
    }
  },
);

browserTest("a phone's tabs do not move while the page is still being read", async (scene) => {
  await using served = Served.start({ files: filesOf(4) });
  const page = await scene.open(served.base, { width: 360, height: 740 });
  const place = () =>
    page.evaluate<string>(
      `JSON.stringify(document.querySelector("nav.tabs button span").getBoundingClientRect())`,
    );
  await page.locator("nav.tabs button[aria-current]").waitFor();
  const whole = await place();
  // What a browser shows when the first piece of the page ends after the first tab.
  await page.evaluate(
    `for (const each of document.querySelectorAll("nav.tabs button + button")) each.remove();`,
  );
  strictEqual(await place(), whole);
});

browserTest("the first peer and the first transfer do not shift anything", async (scene) => {
  await using served = Served.start({ files: filesOf(40), status: { peers: 0 } });
  served.isTicking = false;
  const page = await scene.open("about:blank");
  await page.addInitScript(WATCH_SHIFTS);
  await page.goto(served.base);
  await page.locator("#file-rows tr[aria-rowindex]").first().waitFor();
  await holds(page, "document.querySelector('#chart canvas') !== null");
  const tops = () =>
    page.evaluate<number[]>(
      `["#transfers-box", "#network", "#replication"].map((each) => document.querySelector(each).getBoundingClientRect().top)`,
    );
  const before = await tops();
  served.tellPeers([peerOf({ lastSeen: soon() })]);
  served.tellTransfers([transferOf({ id: 1, name: "one.bin" })]);
  await page.locator("#peer-rows tr").waitFor();
  await page.locator("#transfers li").waitFor();
  deepStrictEqual(await tops(), before);
});

browserTest("the focus ring is fully visible on every control, at every width", async (scene) => {
  const transfers = [
    transferOf({ id: 1, name: "running.bin" }),
    transferOf({
      id: 2,
      fileId: fileOf({ name: "b" }).fileId,
      name: "failed.bin",
      state: "failed",
      why: "no",
      endedAt: soon() - 5,
    }),
  ];
  await using served = Served.start({ files: filesOf(40), peers: peersOf(12), transfers });
  for (const width of [1440, 1000, 360]) {
    const page = await scene.open(served.link, { width, height: 740 });
    await page.waitForSelector("body.may-change");
    await page.locator("#file-rows tr[aria-rowindex]").first().waitFor();
    for (const tab of width < 1000 ? ["files", "moving", "network", "share"] : ["files"]) {
      await page.evaluate(`location.hash = "#tab=${tab}"`);
      await page.waitForSelector(`body[data-tab=${tab}]`);
      const [count, cut] = await page.evaluate<[number, string[]]>(`(() => {
        const all = [...document.querySelectorAll("a[href], button, input:not([type=file]), select, [tabindex]")]
          .filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".skip, .unseen, .away"));
        const cut = [];
        for (const e of all) {
          e.scrollIntoView({ block: "center" });
          e.focus({ focusVisible: true, preventScroll: true });
          // A text field's ring may be drawn by its container.
          const ringed = [e, e.parentElement].find((x) => getComputedStyle(x).outlineStyle === "solid");
          const name = e.outerHTML.slice(0, 90);
          if (document.activeElement !== e) continue;
          if (!ringed) {
            cut.push("no ring: " + name);
            continue;
          }
          const style = getComputedStyle(ringed);
          const out = parseFloat(style.outlineOffset) + parseFloat(style.outlineWidth);
          const r = ringed.getBoundingClientRect();
          const ring = { left: r.left - out, right: r.right + out, top: r.top - out, bottom: r.bottom + out };
          for (let box = ringed.parentElement; box && box !== document.body; box = box.parentElement) {
            const { overflowX, overflowY, position } = getComputedStyle(box);
            const b = box.getBoundingClientRect();
            const x = overflowX !== "visible" && (ring.left < b.left - 0.5 || ring.right > b.left + box.clientLeft + box.clientWidth + 0.5);
            const y = overflowY !== "visible" && (ring.top < b.top - 0.5 || ring.bottom > b.top + box.clientTop + box.clientHeight + 0.5);
            if (x || y) cut.push(name + " by " + (box.id || box.className || box.nodeName));
            if (position === "fixed") break;
          }
          if (ring.left < -0.5 || ring.right > innerWidth + 0.5) cut.push(name + " by the screen");
        }
        return [all.length, cut];
      })()`);
      ok(count > 6, `${count} controls`);
      deepStrictEqual(cut, [], `at ${width} pixels, ${tab}`);
    }
    await page.close();
  }
});

browserTest(
  "a long name gets enough space and is shortened in the middle, so that its end stays readable",
  async (scene) => {
    const name =
      "survey-results-of-the-winter-term-2025-all-groups-anonymized-second-version-07.csv";
    await using served = Served.start({
      files: [{ file: fileOf({ name }), held: true, holders: ["us"] }],
      transfers: [transferOf({ name })],
    });
    for (const script of [true, false]) {
      const page = await scene.open(served.base, { script });
      await rowOf(page, name).waitFor();
      const width = await page.evaluate<number>(
        "document.querySelector('#file-table th[data-sort=name]').getBoundingClientRect().width",
      );
      ok(width >= 340, `the column has ${width} pixels of 1,440`);
      for (const row of ["#file-rows", "#transfers"]) {
        const [isCut, tail, inside] = await page.evaluate<[boolean, string, boolean]>(`(() => {
          const name = document.querySelector("${row} .whole-name");
          const [head, tail] = name.children;
          const end = tail.getBoundingClientRect().right;
          const box = name.closest("td, .name").getBoundingClientRect().right;
          return [head.scrollWidth > head.clientWidth, tail.textContent, end <= box + 0.5];
        })()`);
        ok(isCut, `${row}: the head is cut`);
        match(tail, /-07\.csv$/);
        ok(inside, `${row}: the tail is seen`);
      }
    }
  },
);

browserTest("only the pips of a file at risk have the risk color", async (scene) => {
  await using served = Served.start({
    files: [
      { file: fileOf({ name: "risk.txt" }), held: true, holders: ["us"] },
      { file: fileOf({ name: "safe.txt" }), held: true, holders: ["us", "a", "b"] },
    ],
  });
  for (const script of [true, false]) {
    const page = await scene.open(served.base, { script });
    await rowOf(page, "risk.txt").waitFor();
    const [risk, safe, amber] = await page.evaluate<string[][]>(`(() => {
      const colors = (name) => {
        const row = [...document.querySelectorAll("#file-rows .row")].find((e) => e.textContent.includes(name));
        return [".pips", ".words"].map((e) => getComputedStyle(row.querySelector(e)).color);
      };
      const probe = document.body.appendChild(document.createElement("i"));
      probe.style.color = "var(--risk)";
      return [colors("risk.txt"), colors("safe.txt"), [getComputedStyle(probe).color]];
    })()`);
    strictEqual(risk![0], amber![0]);
    strictEqual(risk![1], safe![1], "the text is as muted as that of a safe file");
  }
});

browserTest(
  "the chart includes the time before the page was opened, and its legend says which line is which",
  async (scene) => {
    const rates = Array.from({ length: 180 }, (_, i) => ({
      at: soon() - 180 + i,
      in: (i + 1) * MB / 10,
      out: 2 * MB,
    }));
    await using served = Served.start({ files: filesOf(3), rates });
    served.isTicking = false;
    const page = await scene.open(served.base);
    await holds(page, `document.querySelector("#legend-in").textContent === "18.0 MB/s"`);
    strictEqual(await page.locator("#legend-out").innerText(), "2.00 MB/s");
    const ink = (canvas: string) =>
      page.evaluate<number>(`(() => {
        const canvas = document.querySelector("${canvas}");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((value, index) => index % 4 === 3 && value > 0).length / canvas.width / canvas.height;
      })()`);
    ok(await ink("#spark-in") > 0.3, "the last minute is drawn");
    ok(await ink("#chart canvas") > 0.2, "and three of them in the chart");
    const lines = await page.evaluate<string[]>(
      `[...document.querySelectorAll("#moving .legend .line")].map((e) => getComputedStyle(e).borderTopStyle)`,
    );
    deepStrictEqual(lines, ["solid", "dashed"]);
    // Under the pointer, the legend shows another moment and its time.
    const box = (await page.locator("#chart").boundingBox())!;
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await holds(page, `/^at \\d\\d:/.test(document.querySelector("#legend-at").textContent)`);
    ok(await page.locator("#legend-in").innerText() !== "18.0 MB/s");
  },
);

browserTest(
  "the columns Kind and Refused appear only if they have something to show",
  async (scene) => {
    const plain = peerOf({ peerId: "plain", lastSeen: soon() });
    const peers = [plain];
    await using served = Served.start({ files: filesOf(3), peers });
    for (const script of [true, false]) {
      peers.splice(0, 9, plain);
      const page = await scene.open(served.base, { script });
      const column = (name: string) => page.getByRole("columnheader", { name });
      await page.getByRole("columnheader", { name: "Last seen" }).waitFor();
      for (const name of ["Kind", "Refused"]) {
        strictEqual(await column(name).isVisible(), false, name);
      }
      const old = peerOf({ peerId: "old", extended: false, lastSeen: soon() });
      peers.push(old);
      if (script) served.tellPeers([old]);
      else await page.reload();
      await column("Kind").waitFor();
      strictEqual(await column("Refused").isVisible(), false);
      const rude = peerOf({ peerId: "rude", refused: 2, lastSeen: soon() });
      peers.push(rude);
      if (script) served.tellPeers([rude]);
      else await page.reload();
      await column("Refused").waitFor();
    }
  },
);

browserTest(
  "the replication picture describes the file next to the pointer, and both pictures explain their colors",
  async (scene) => {
    await using served = Served.start({ files: filesOf(40), peers: peersOf(12) });
    const page = await scene.open(served.base);
    await page.getByText("with one holder").waitFor();
    const tip = page.locator("#matrix-tip");
    await page.locator("#matrix").scrollIntoViewIfNeeded();
    const box = (await page.locator("#matrix").boundingBox())!;
    for (const [right, down] of [[130, 10], [400, 100], [700, box.height - 5]] as const) {
      await page.mouse.move(box.x + right, box.y + down);
      await tip.waitFor();
      const at = (await tip.boundingBox())!;
      const x = Math.max(at.x - box.x - right, box.x + right - at.x - at.width, 0);
      const y = Math.max(at.y - box.y - down, box.y + down - at.y - at.height, 0);
      ok(Math.hypot(x, y) < 24, `${x} and ${y} pixels from the pointer`);
      ok(at.y + at.height <= 900 && at.y >= 0, "and on the screen");
    }
    for (const words of ["alive", "quiet, or avoided (!)", "bootstrap", "transferring"]) {
      await page.locator("#map-box .legend").getByText(words).waitFor();
    }
    for (
      const words of [
        "also held elsewhere",
        "the only holder",
        "all holders are away",
        "nobody has it",
      ]
    ) {
      await page.locator("#replication .legend").getByText(words).waitFor();
    }
  },
);

browserTest("each user action is reported in one place only", async (scene) => {
  await using served = Served.start({ files: filesOf(6) });
  const page = await scene.open(served.link);
  await page.waitForSelector("body.may-change");
  await page.locator(".notice .quiet").click(); // logged in
  await page.setInputFiles("#pick", [{ name: "mine.txt", mimeType: "", buffer: Buffer.alloc(5) }]);
  await page.locator("#uploads li").getByText("✓ Shared in").waitFor();
  // As the peer reports it to all pages.
  served.tellTransfers([
    transferOf({
      id: 9,
      kind: "upload",
      fileId: "",
      name: "mine.txt",
      state: "done",
      endedAt: soon(),
    }),
  ]);
  await rowOf(page, "report-1.pdf").getByRole("button", { name: "Fetch" }).click();
  await rowOf(page, "report-1.pdf").getByText("Fetching").waitFor();
  const { fileId } = fileOf({ name: "report-1.pdf" });
  served.tellTransfers([
    transferOf({ id: 10, fileId, name: "report-1.pdf", doneBytes: 1, totalBytes: 4 }),
  ]);
  await page.locator("#transfers li", { hasText: "report-1.pdf" }).waitFor();
  strictEqual(await page.locator("#transfers li").count(), 1, "the upload has its row under Share");
  strictEqual(await page.locator(".notice").count(), 0);
  // Screen reader users are told too.
  match(await page.locator("#heard").innerText(), /Fetching report-1\.pdf/);
});

browserTest("the header takes less than a fifth of a phone's screen", async (scene) => {
  await using served = Served.start({
    files: filesOf(40),
    peers: peersOf(12),
    status: {
      peerId: "a-long-name-of-a-peer",
      peers: 12,
      files: { known: 12_345, held: 4_567, heldBytes: 1 },
      bytes: { in: 999e9, out: 999e9 },
    },
  });
  for (const height of [740, 600]) {
    const page = await scene.open(served.link, { width: 360, height });
    await page.waitForSelector("body.may-change");
    const bottom = await page.evaluate<number>(
      "document.querySelector('.figures').getBoundingClientRect().bottom",
    );
    ok(bottom < height / 5, `${bottom} of ${height} pixels`);
    strictEqual(await page.evaluate("document.documentElement.scrollWidth"), 360);
    const boxes = await page.evaluate<{ left: number; right: number }[]>(
      `[...document.querySelectorAll(".figures b")].map((e) => {
        const range = document.createRange();
        range.selectNodeContents(e);
        const { left, right } = range.getBoundingClientRect();
        return { left, right };
      })`,
    );
    for (const [at, { right }] of boxes.entries()) {
      ok(right <= (boxes[at + 1]?.left ?? 345), `figure ${at} ends at ${right}`);
    }
    // The address does not fit in the header, so it is on the Network tab.
    await page.getByRole("navigation").getByRole("button", { name: "Network" }).click();
    await page.getByText("This peer is at").waitFor();
    await page.close();
  }
});
