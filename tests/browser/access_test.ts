// Accessibility: axe-core looks for problems with screen readers, keyboards, and low vision, in light and dark themes,
// at wide and narrow widths, with details and help open, and on an empty page.

import { deepStrictEqual } from "node:assert/strict";
import axe from "axe-core/axe.min.js" with { type: "text" };
import type { Page } from "playwright-core";
import { browserTest, rowOf } from "./chromium.ts";
import { filesOf, peersOf, Served } from "./served.ts";
import { peerOf, transferOf } from "../web/fixture.ts";

/** Returns the findings, except those of minor or moderate impact. */
async function found(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const { violations } = await page.evaluate<{
    violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[];
  }>("axe.run(document, { resultTypes: ['violations'] })");
  return violations.filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary}`)
    );
}

const soon = () => Date.now() / 1000;

browserTest(
  "axe-core finds nothing serious in either theme, at wide and narrow widths, with dialogs open",
  async (scene) => {
    const transfers = [
      transferOf({ id: 1, totalBytes: 1e6 }),
      transferOf({
        id: 2,
        state: "failed",
        why: "eagle sent bytes that do not match",
        endedAt: soon(),
      }),
      transferOf({ id: 3, state: "done", endedAt: soon() }),
    ];
    const peers = [
      ...peersOf(6),
      peerOf({ peerId: "quiet", lastSeen: soon() - 55 }),
      peerOf({ peerId: "liar", lastSeen: soon(), backedOff: { seconds: 90, why: "sent rubbish" } }),
    ];
    await using served = Served.start({
      files: filesOf(60),
      peers,
      transfers,
      status: { bootstraps: ["eagle:8999"], peers: 8 },
    });
    for (const scheme of ["light", "dark"] as const) {
      for (const [width, height] of [[1440, 900], [360, 740]] as const) {
        const page = await scene.open(served.link, { scheme, width, height });
        const where = `${scheme} ${width}`;
        await page.waitForSelector("body.may-change");
        await rowOf(page, "report-59.pdf").waitFor();
        deepStrictEqual(await found(page), [], where);
        if (width === 360) {
          for (const tab of ["Moving", "Network", "Share"]) {
            await page.getByRole("navigation").getByRole("button", { name: tab }).click();
            await page.waitForSelector(`[data-tab=${tab.toLowerCase()}]`);
            deepStrictEqual(await found(page), [], `${where} ${tab}`);
          }
          await page.getByRole("navigation").getByRole("button", { name: "Files" }).click();
        }
        await rowOf(page, "report-57.pdf").click();
        await page.locator("#sheet[open]").waitFor();
        deepStrictEqual(await found(page), [], `${where} details`);
        await page.getByRole("button", { name: "Close" }).click();
        await page.locator("#sheet[open]").waitFor({ state: "detached" });
        await page.keyboard.press("?");
        await page.locator("#help[open]").waitFor();
        deepStrictEqual(await found(page), [], `${where} help`);
        await page.keyboard.press("Escape");
        for (const module of ["loggingin.js", "onphone.js"]) {
          // (On a phone, there is no button for its own code.)
          await page.evaluate(
            `import("./browser/${module}").then((all) => Object.values(all)[0](() => {}))`,
          );
          await page.locator("dialog[open]:not(#sheet)").waitFor();
          deepStrictEqual(await found(page), [], `${where} ${module}`);
          await page.keyboard.press("Escape");
        }
      }
    }
  },
);

browserTest(
  "axe-core finds nothing serious on the empty page, without JavaScript, and on the text pages",
  async (scene) => {
    await using served = Served.start({ status: { synchronized: false, peers: 0, freeBytes: 0 } });
    const empty = await scene.open(served.base);
    await empty.getByText("The disk is full").waitFor();
    deepStrictEqual(await found(empty), []);
    deepStrictEqual(await found(await scene.open(`${served.base}/api/docs`)), []);
    await using locked = Served.start({ options: { isPrivate: true } });
    const closed = await scene.open(locked.base);
    scene.forgive(/401/);
    deepStrictEqual(await found(closed), []);
  },
);
