// Content that turns out not to be what was promised: its connection breaks off, so that nobody takes it for
// complete.

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Gateway } from "../../http/gateway.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import { NotPossible } from "../../web/view.ts";
import { Raw } from "../hostile/raw.ts";
import { appWithFile, type FakeContent } from "../web/fixture.ts";

const PIECE = 256 * 1024;

/** A file whose last piece is refused when it is read, as when the file changed in the meantime. */
async function served<T>(
  sizeBytes: number,
  act: (port: number, path: string, opened: readonly FakeContent[]) => Promise<T>,
): Promise<T> {
  const app = appWithFile(new Uint8Array(sizeBytes).fill(65), {}, (content) => {
    const readInto = content.readInto.bind(content);
    content.readInto = (buffer) => {
      if (content.at + buffer.length >= sizeBytes) {
        throw new NotPossible(409, "The file changed while it was sent", "Ask again");
      }
      return readInto(buffer);
    };
  });
  const folder = await Deno.makeTempDir();
  const front = new Gateway({ hostname: "127.0.0.1", port: 0, limits: DEFAULT_LIMITS });
  front.begin((request, client) => app.app.fetch(request, client), folder);
  try {
    return await act(front.port, app.path, app.opened);
  } finally {
    await front.stop();
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a download that breaks off prints nothing above the prompt", async () => {
  const script = fileURLToPath(new URL("broken_download.ts", import.meta.url));
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "-q",
      "--allow-net",
      "--allow-read",
      "--allow-write",
      "--allow-env",
      script,
    ],
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assert.equal(text(stdout), "200 broken off\n", text(stderr));
  assert.equal(text(stderr), "");
});

Deno.test("content refused at its last piece ends short of its length, and so does its connection", async () => {
  for (const size of [10, PIECE, 3 * PIECE + 7]) {
    for (const range of ["", "Range: bytes=5-\r\n"]) {
      await served(size, async (port, path, opened) => {
        using raw = await Raw.open({ host: "127.0.0.1", port });
        const request = (more: string) => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${more}\r\n`;
        // If the connection continued, the second request would be answered.
        raw.write(request(range) + request(""));
        await raw.untilClosed();
        assert.equal(opened.length, 1, "no further request is made on it");
        assert.equal(opened[0]!.closed, 1);
        const end = raw.text.indexOf("\r\n\r\n");
        if (end < 0) return assert.equal(raw.text, "", "no head, so no content either");
        const length = Number(/^content-length: (\d+)\r$/im.exec(raw.text.slice(0, end + 2))?.[1]);
        assert.equal(length, range === "" ? size : size - 5);
        assert.ok(raw.text.length - end - 4 < length, "shorter than promised");
        assert.doesNotMatch(raw.text, /transfer-encoding/i);
        assert.equal(raw.text.split("HTTP/1.1 ").length, 2, "one answer");
      });
    }
  }
});

Deno.test("curl and wget recognize it as a failure", async () => {
  await served(3 * PIECE, async (port, path) => {
    const url = `http://127.0.0.1:${port}${path}`;
    const run = async (command: string, ...args: string[]) =>
      (await new Deno.Command(command, { args, stdout: "null", stderr: "null" }).output()).code;
    assert.notEqual(await run("curl", "-sS", "-o", "/dev/null", url), 0);
    assert.notEqual(await run("wget", "-q", "--tries=1", "-O", "/dev/null", url), 0);
  });
});

Deno.test("aria2 detects that content does not match its digest", async () => {
  const app = appWithFile(new Uint8Array(1_000).fill(65), {}, (content) => {
    Object.defineProperty(content, "sha256", { value: "0".repeat(64) });
  });
  const folder = await Deno.makeTempDir();
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => app.app.fetch(request, { ip: "127.0.0.1" }),
  );
  try {
    const url = `http://127.0.0.1:${server.addr.port}${app.path}`;
    const args = ["-q", "--no-conf", "-d", folder, "-o", "got.bin", url];
    const { code } = await new Deno.Command("aria2c", { args, stdout: "null" }).output();
    assert.equal(code, 32, "its exit code for a wrong checksum");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
