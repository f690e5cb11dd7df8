// The form that adds a peer, and the banner about bootstraps that do not answer.

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { STATUS } from "../web/fixture.ts";
import { statusJson } from "../../web/api/listing.ts";
import { browserTest } from "./chromium.ts";
import { peersOf, Served } from "./served.ts";

browserTest(
  "a peer is added on the page, and one that does not answer is explained",
  async (scene) => {
    await using served = Served.start({ peers: peersOf(3) });
    const page = await scene.open(served.link);
    const field = page.getByLabel("Add a peer");
    await field.fill(" 10.0.0.9:8115 ");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByText("Connected to robin. It is remembered").waitFor();
    deepStrictEqual(served.made.done, ["connect 10.0.0.9:8115"]);
    strictEqual(await field.inputValue(), "");
    await field.fill("gone:8115");
    await field.press("Enter");
    await page.getByText("gone:8115 does not answer. Look").waitFor();
    strictEqual(await field.inputValue(), "gone:8115", "what was typed can be corrected");
    scene.forgive(/^Failed to load resource: /);
  },
);

browserTest("without a login, a peer cannot be added, and the page says why", async (scene) => {
  await using served = Served.start({ peers: peersOf(3) });
  const page = await scene.open(served.base);
  await page.getByLabel("Add a peer").fill("10.0.0.9:8115");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByText(/Log in to make changes/).waitFor();
  deepStrictEqual(served.made.done, []);
});

browserTest(
  "each bootstrap that does not answer has a line, from the first view on, and loses it",
  async (scene) => {
    const troubles = [
      { address: "10.0.0.1:8999", text: "10.0.0.1:8999 refuses connections", hint: "Wait" },
      { address: "eagle:8999", text: "eagle:8999 is not a known name", hint: "Check" },
    ];
    const status = { ...STATUS, bootstrapTroubles: troubles };
    await using served = Served.start({ peers: peersOf(3), status });
    const page = await scene.open(served.base);
    const lines = page.locator("#troubles");
    await lines.waitFor();
    const shown = (await lines.innerText()).split("\n");
    deepStrictEqual(shown.map((text) => text.replace(/\. .*/, "")), [
      "Bootstrap 10.0.0.1:8999 refuses connections",
      "Bootstrap eagle:8999 is not a known name",
    ]);
    served.isTicking = false;
    served.tell("status", statusJson({ ...status, bootstrapTroubles: [] }));
    await page.locator("#troubles").waitFor({ state: "hidden" });
  },
);
