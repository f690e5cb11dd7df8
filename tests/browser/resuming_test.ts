// Uploads of large files in a real browser to a real peer: the connection is lost, the peer is killed, the page is closed,
// and each time the upload continues where it was.

import { ok, strictEqual } from "node:assert/strict";
import type { Page } from "playwright-core";
import { assertSameBytes, Folder, randomBytes } from "../process/folder.ts";
import { named } from "../process/network.ts";
import { Program } from "../process/program.ts";
import { browserTest } from "./chromium.ts";

const SIZE = 24 * 1024 * 1024;
const ALONE = ["--no-bootstrap", "--auto-fetch", "0"];

interface Pending {
  readonly uploads: readonly { readonly offset: number; readonly file_name: string }[];
}

/**
 * Lets the page send 6 MB in a second, so that there is time to interrupt it, until the returned function is called.
 */
async function slow(page: Page): Promise<() => Promise<void>> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: 6_000_000,
  });
  return () => devtools.detach();
}

/** Resolves once a few megabytes of the upload are at the peer. */
const begun = (peer: Program) =>
  peer.until("a part of the upload", async () => {
    const { uploads: [upload] } = await peer.api<Pending>("uploads");
    return upload && upload.offset > 3_000_000 ? upload.offset : undefined;
  });

/** Fails unless the upload is shared as it was, and a part of it came before it was interrupted. */
async function assertResumed(peer: Program, content: Uint8Array): Promise<void> {
  const { file_id } = await named(peer, "large.bin");
  assertSameBytes(await peer.content(file_id), content, "large.bin");
  const { transfers } = await peer.api<{ transfers: { resumed_bytes: number }[] }>("transfers");
  ok(transfers.some(({ resumed_bytes }) => resumed_bytes > 3_000_000), "it continued");
}

/** A proxy that can be cut. */
class Wire implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.Conn>();
  readonly #serving: Promise<void>;
  #isCut = false;

  constructor(readonly to: number) {
    this.#serving = this.#serve();
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  cut(): void {
    this.#isCut = true;
    for (const connection of this.#connections) close(connection);
  }

  mend(): void {
    this.#isCut = false;
  }

  async #serve(): Promise<void> {
    for await (const near of this.#listener) {
      if (this.#isCut) {
        close(near);
        continue;
      }
      const far = await Deno.connect({ hostname: "127.0.0.1", port: this.to });
      for (const each of [near, far]) this.#connections.add(each);
      void this.#pass(near, far);
      void this.#pass(far, near);
    }
  }

  async #pass(from: Deno.Conn, to: Deno.Conn): Promise<void> {
    await from.readable.pipeTo(to.writable).catch(() => {});
    for (const each of [from, to]) {
      close(each);
      this.#connections.delete(each);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#listener.close();
    await this.#serving;
  }
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // The other direction closed it.
  }
}

async function linkOf(program: Program): Promise<string> {
  return await program.loginLink();
}

browserTest("an upload continues on its own when the connection is lost", async (scene) => {
  await using folder = await Folder.make();
  const content = randomBytes(SIZE);
  await folder.write("large.bin", content);
  await using peer = await Program.peer("us", ALONE, { cwd: folder.path });
  await using wire = new Wire(peer.httpPort);
  const { hash } = new URL(await linkOf(peer));
  const page = await scene.open(`http://127.0.0.1:${wire.port}/${hash}`);
  await page.waitForSelector("body.may-change");
  const restore = await slow(page);
  await page.setInputFiles("#pick", folder.at("large.bin"));
  await begun(peer);
  wire.cut();
  const row = page.locator("#uploads li", { hasText: "large.bin" });
  await row.getByText(/^Connection lost\. It continues in \d+ s$/).waitFor();
  wire.mend();
  await restore();
  await row.getByText("✓ Shared in").waitFor();
  await assertResumed(peer, content);
  await scene.leave();
  scene.forgive(/^Failed to load resource: /);
});

browserTest(
  "an upload continues after its peer was killed, once somebody logs in again",
  async (scene) => {
    await using folder = await Folder.make();
    const content = randomBytes(SIZE);
    await folder.write("large.bin", content);
    let [httpPort, port, link] = [0, 0, ""];
    let page: Page;
    let restore = async () => {};
    {
      await using peer = await Program.peer("us", ALONE, { cwd: folder.path });
      [httpPort, port, link] = [peer.httpPort, peer.port, await linkOf(peer)];
      page = await scene.open(link);
      await page.waitForSelector("body.may-change");
      restore = await slow(page);
      await page.setInputFiles("#pick", folder.at("large.bin"));
      await begun(peer);
      peer.signal("SIGKILL");
      await peer.exit();
    }
    await restore();
    await using peer = await Program.peer("us", ALONE, { cwd: folder.path, port, httpPort });
    const row = page.locator("#uploads li", { hasText: "large.bin" });
    await row.getByText(/^✗ Not shared: Login required/).waitFor();
    await page.goto(link);
    await page.reload(); // so far, only the part after the # has changed
    await page.waitForSelector("body.may-change");
    await page.setInputFiles("#pick", folder.at("large.bin"));
    await row.getByText("✓ Shared in").waitFor();
    await assertResumed(peer, content);
    await scene.leave();
    scene.forgive(/^Failed to load resource: /);
  },
);

browserTest(
  "an upload continues when the page was closed and the same file is shared again, and a canceled one does not",
  async (scene) => {
    await using folder = await Folder.make();
    const content = randomBytes(SIZE);
    await folder.write("large.bin", content);
    await using peer = await Program.peer("us", ALONE, { cwd: folder.path });
    const page = await scene.open(await linkOf(peer));
    const share = async () => {
      await page.waitForSelector("body.may-change");
      await page.setInputFiles("#pick", folder.at("large.bin"));
    };
    const restore = await slow(page);
    await share();
    await begun(peer);
    await restore();
    scene.mayAsk = true; // the page warns that it is still sending
    await page.reload();
    await share();
    const row = page.locator("#uploads li", { hasText: "large.bin" });
    await row.getByText("✓ Shared in").waitFor();
    await assertResumed(peer, content);
    await folder.write("other.bin", randomBytes(SIZE));
    await slow(page);
    await page.setInputFiles("#pick", folder.at("other.bin"));
    await begun(peer);
    const other = page.locator("#uploads li", { hasText: "other.bin" });
    await other.getByRole("button", { name: "Cancel" }).click();
    await other.getByText("Canceled").waitFor();
    await peer.until("nothing is kept of it", async () => {
      return (await peer.api<Pending>("uploads")).uploads.length === 0;
    });
    strictEqual(await page.evaluate("localStorage.getItem('uploads')"), "{}");
    await scene.leave();
  },
);
