// A real browser for testing the page: the system's Chromium, driven by playwright-core. If there is none, the tests
// say so and are skipped. Every page that a test opens is monitored: a console error or a request to another host fails
// the test.

import { deepStrictEqual } from "node:assert/strict";
import fs from "node:fs";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { DEADLINE_MS } from "../process/program.ts";
import { until } from "../until.ts";
import { SANITIZED } from "../process/together.ts";

const EXECUTABLES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Flags for running as root and in containers with little shared memory. */
const ARGS = ["--no-sandbox", "--disable-dev-shm-usage"];

function executable(): string | undefined {
  const named = Deno.env.get("CHROMIUM");
  return [...named ? [named] : [], ...EXECUTABLES].find((path) => fs.existsSync(path));
}

/** The driver checks for files that exist only on Windows. The permissions do not let it, so report them as missing. */
async function driver() {
  const { existsSync } = fs;
  const shy = (path: fs.PathLike) => {
    try {
      return existsSync(path);
    } catch {
      return false;
    }
  };
  Object.assign(fs, { existsSync: shy });
  return (await import("playwright-core")).chromium;
}

export interface Look {
  readonly width?: number;
  readonly height?: number;
  readonly scheme?: "light" | "dark";
  readonly script?: boolean;
  /** Whether animations run. By default, pictures stand still. */
  readonly motion?: boolean;
}

/** The browser of one test. */
export class Scene {
  readonly #wrong: string[] = [];
  /** Whether pages may ask before they are left. */
  mayAsk = false;

  constructor(readonly browser: Browser) {}

  /** Opens a page as a new user would, with its own cookies and storage. */
  async open(url: string, look: Look = {}): Promise<Page> {
    const { width = 1440, height = 900, scheme = "light", script = true, motion = false } = look;
    const options: BrowserContextOptions = {
      viewport: { width, height },
      colorScheme: scheme,
      javaScriptEnabled: script,
      reducedMotion: motion ? "no-preference" : "reduce",
      acceptDownloads: true,
    };
    const context = await this.browser.newContext(options);
    context.setDefaultTimeout(DEADLINE_MS);
    const page = await context.newPage();
    let { host } = new URL(url);
    page.on("request", (request) => {
      const asked = new URL(request.url());
      host ||= asked.host; // a test may navigate by itself
      if (asked.host !== host && asked.protocol !== "blob:") {
        this.#wrong.push(`asked ${request.url()}`);
      }
    });
    page.on("pageerror", (error) => this.#wrong.push(error.stack ?? error.message));
    page.on("console", (message) => {
      // For a document without a page of its own, such as JSON, a browser asks the site for an icon, whatever its path.
      if (message.location().url.endsWith("/favicon.ico")) return;
      if (message.type() === "error") this.#wrong.push(message.text());
    });
    page.on("dialog", (dialog) => {
      if (this.mayAsk && dialog.type() === "beforeunload") return void dialog.accept();
      this.#wrong.push(`a dialog said ${dialog.message()}`);
      dialog.dismiss();
    });
    await page.goto(url);
    return page;
  }

  /** Closes all pages, before the peers that they watch stop. */
  async leave(): Promise<void> {
    for (const context of this.browser.contexts()) await context.close();
  }

  /** Ignores console messages that a page writes when its peer goes away. */
  forgive(pattern: RegExp): void {
    const left = this.#wrong.filter((text) => !pattern.test(text));
    this.#wrong.splice(0, Infinity, ...left);
  }

  assertClean(): void {
    deepStrictEqual(this.#wrong, []);
  }
}

/** Defines a test that uses a browser, or is skipped with a message if there is none. */
export function browserTest(name: string, run: (scene: Scene) => Promise<void>): void {
  const path = executable();
  if (path === undefined) {
    Deno.test({ name: `${name} (skipped: no browser)`, ignore: true, fn: () => {} });
    return;
  }
  Deno.test(name, SANITIZED, async () => {
    const chromium = await driver();
    const browser = await chromium.launch({ executablePath: path, args: ARGS });
    try {
      const scene = new Scene(browser);
      await run(scene);
      scene.assertClean();
    } finally {
      await browser.close();
    }
  });
}

/** Drops a file from outside the page, with the events that browsers send. */
export async function drop(page: Page, name: string, content: Uint8Array): Promise<void> {
  const transfer = await page.evaluateHandle(([name, bytes]) => {
    // deno-lint-ignore no-explicit-any
    const { DataTransfer, File } = globalThis as any;
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(bytes)], name));
    return transfer;
  }, [name, [...content]] as [string, number[]]);
  await page.dispatchEvent("main", "dragover", { dataTransfer: transfer });
  await page.waitForSelector("#drop:not([hidden])");
  await page.dispatchEvent("main", "drop", { dataTransfer: transfer });
}

/** Drops files and folders of this machine, as if dragged from a file manager. */
export async function dropPaths(page: Page, paths: readonly string[]): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  const data = { items: [], files: [...paths], dragOperationsMask: 1 };
  const drag = (type: "dragEnter" | "dragOver" | "drop") =>
    devtools.send("Input.dispatchDragEvent", { type, x: 200, y: 300, data });
  // Right after a page was loaded, the browser may pass nothing on, or take back what is dropped before the page has said that
  // it takes files. Nobody is told, so the page counts.
  const dropped = "globalThis.dropsOfTest ?? 0";
  const before = await page.evaluate<number>(dropped);
  await page.evaluate(
    `globalThis.dropsOfTest ??= (addEventListener("drop", () => globalThis.dropsOfTest++), 0)`,
  );
  const isDropped = async () => await page.evaluate<number>(dropped) > before;
  await until("the page to take files", async () => {
    await drag("dragEnter");
    await drag("dragOver");
    if (!await page.evaluate<boolean>("!document.getElementById('drop').hidden")) return false;
    await drag("dragOver");
    await drag("drop");
    return await until("the drop", isDropped, 2_000).then(() => true, () => false);
  }, DEADLINE_MS);
  await devtools.detach();
}

/** Waits until an expression is true in the page. (The page's content policy blocks the driver's own method.) */
export async function holds(page: Page, expression: string): Promise<void> {
  await until(`${expression} in the page`, () => page.evaluate<boolean>(expression), DEADLINE_MS);
}

/** Waits until a canvas looks the same four times in a row. */
export async function standsStill(page: Page, canvas: string): Promise<void> {
  let [last, same] = ["", 0];
  await until(`${canvas} to stand still`, async () => {
    const look = await page.evaluate<string>(
      `new Promise((done) => setTimeout(() => done(document.querySelector("${canvas}").toDataURL()), 120))`,
    );
    same = look === last ? same + 1 : 0;
    last = look;
    return same >= 3;
  }, DEADLINE_MS);
}

/** Returns a file's row in the file table, by its full name. */
export const rowOf = (page: Page, name: string) =>
  page.locator("#file-rows tr.row", { has: page.getByText(name, { exact: true }) });
