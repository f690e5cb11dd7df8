// The page under a path of a site with other content: nothing it does leaves that path.

import { deepStrictEqual, match, ok } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { browserTest, rowOf } from "./chromium.ts";
import { filesOf, Served } from "./served.ts";
import { fileOf, TOKEN } from "../web/fixture.ts";

browserTest(
  "under a base path the page loads, logs in, receives events, shares, and links as at the root",
  async (scene) => {
    await using served = Served.start({ files: filesOf(6), options: { basePath: "/peer" } });
    const left: string[] = [];
    const page = await scene.open("about:blank");
    const { host } = new URL(served.base);
    page.on("request", (request) => {
      const { pathname, protocol } = new URL(request.url());
      if (protocol === "http:" && !pathname.startsWith("/peer/")) left.push(pathname);
    });
    const failed: string[] = [];
    page.on("response", (response) => {
      if (response.status() >= 400) failed.push(`${response.status()} ${response.url()}`);
    });
    await page.goto(`${served.base}/peer/#token=${TOKEN}`);
    await page.getByText("Logged in: you can now share, fetch, and delete files").waitFor();
    const [cookie] = await page.context().cookies(`${served.base}/peer/`);
    deepStrictEqual([cookie?.path, new URL(page.url()).host], ["/peer/", host]);

    // An event arrives, and the new file is shown.
    const file = fileOf({ name: "fresh.txt", timestamp: { text: "1749999999", quoted: false } });
    served.tellFiles([{ file, held: true, holders: ["us"] }]);
    await rowOf(page, "fresh.txt").waitFor();
    const download = rowOf(page, "fresh.txt").locator("a").first();
    match(
      (await download.getAttribute("href")) ?? "",
      new RegExp(`^${served.base}/peer/api/v1/files/${file.fileId}/content$`),
    );

    // A picked file is uploaded to the right URL.
    await page.locator("#pick").setInputFiles({
      name: "mine.txt",
      mimeType: "text/plain",
      buffer: Buffer.from("mine"),
    });
    await page.locator("#uploads li").getByText("✓ Shared").waitFor();
    deepStrictEqual(served.made.uploads.map(({ name, state }) => [name, state]), [
      ["mine.txt", "shared"],
    ]);

    await page.goto(`${served.base}/peer/api/docs`);
    ok(await page.getByRole("heading", { name: "API", exact: true }).isVisible());
    await page.getByRole("link", { name: "OpenAPI document" }).click();
    await page.waitForURL(`${served.base}/peer/api/v1/openapi.json`);
    deepStrictEqual([left, failed], [[], []]);
  },
);
