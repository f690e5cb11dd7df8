// How people come in: with a token that they paste, and from a phone.

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import jsQR from "jsqr";
import { browserTest } from "./chromium.ts";
import { filesOf, peersOf, Served } from "./served.ts";
import { TOKEN } from "../web/fixture.ts";

browserTest("a pasted token logs in, a pasted link too, and a wrong one says so", async (scene) => {
  await using served = Served.start({ files: filesOf(3), peers: peersOf(2) });
  for (const pasted of [TOKEN, ` ${TOKEN} `, `  ${served.link} `]) {
    const page = await scene.open(served.base);
    await page.getByRole("button", { name: "Log in" }).click();
    const dialog = page.getByRole("dialog", { name: "Log in" });
    const input = dialog.getByLabel("Token, or the link with it");
    strictEqual(await input.getAttribute("type"), "password", "bystanders cannot read it");
    await input.fill("wrong");
    await page.keyboard.press("Enter");
    await dialog.getByText(/Wrong token/).waitFor();
    await input.fill(pasted);
    await dialog.getByRole("button", { name: "Log in" }).click();
    await dialog.waitFor({ state: "detached" });
    await page.waitForSelector("body.may-change");
    await page.getByText("Logged in: you can now share").waitFor();
    strictEqual(new URL(page.url()).hash, "", "the token is nowhere in the address");
  }
  scene.forgive(/401/);
});

browserTest(
  "letters typed over an open dialog are no commands, and it closes as the others do",
  async (scene) => {
    await using served = Served.start({
      files: filesOf(3),
      peers: peersOf(2),
      status: { host: "10.0.0.7" },
    });
    const page = await scene.open(served.link);
    const dialog = page.getByRole("dialog", { name: "Open on a phone" });
    const open = () => page.getByRole("button", { name: "Open on a phone" }).click();
    await open();
    await dialog.getByRole("button", { name: "Copy" }).focus();
    await page.keyboard.press("?");
    strictEqual(await page.locator("#help[open]").count(), 0);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await open();
    await dialog.getByRole("button", { name: "Close" }).click();
    await dialog.waitFor({ state: "detached" });
  },
);

browserTest("a private peer's page takes a pasted token", async (scene) => {
  await using served = Served.start({ files: filesOf(3), options: { isPrivate: true } });
  const page = await scene.open(served.base);
  await page.getByLabel("Token, or the link with it").fill("wrong");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText(/Wrong token/).waitFor();
  await page.getByLabel("Token, or the link with it").fill(served.link);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForSelector("body.may-change");
  scene.forgive(/401/);
});

browserTest(
  "the page's address is a QR code, with the address that others reach",
  async (scene) => {
    await using served = Served.start({
      files: filesOf(3),
      peers: peersOf(2),
      status: { host: "10.0.0.7" },
    });
    const page = await scene.open(served.base);
    await page.getByRole("button", { name: "Open on a phone" }).click();
    const { port } = new URL(served.base);
    const address = `http://10.0.0.7:${port}/`;
    await page.getByRole("dialog").getByText(address).waitFor();
    const { data, width, height } = await page.evaluate<
      { data: number[]; width: number; height: number }
    >(`(async () => {
    const canvas = document.querySelector("dialog[open] canvas");
    while (canvas.width < 100 || canvas.width === 300) await new Promise(requestAnimationFrame);
    const { width, height } = canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    return { data: [...data], width, height };
  })()`);
    deepStrictEqual(jsQR.default(Uint8ClampedArray.from(data), width, height)?.data, address);
  },
);

browserTest(
  "where others cannot reach the page, there is a warning instead of a code",
  async (scene) => {
    await using served = Served.start({ files: filesOf(3), status: { host: "127.0.0.1" } });
    const page = await scene.open(served.base);
    await page.getByRole("button", { name: "Open on a phone" }).click();
    await page.getByText("This page can only be opened on this machine.").waitFor();
    strictEqual(await page.locator("dialog[open] canvas").count(), 0);
  },
);
