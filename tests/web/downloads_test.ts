// What a peer gives to the next machine: its executable, the checksums, and the script that installs it.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import type { OwnExecutable } from "../../web/downloads.ts";
import { appOver, BEARER, FakeContent, fileOf } from "./fixture.ts";

const BYTES = new TextEncoder().encode("#!/bin/sh\necho 0.1.0\n");
const NAME = "p2p-peer-linux-x86_64";

function made(over: Partial<OwnExecutable> = {}, options: object = {}) {
  const executable: OwnExecutable = {
    name: NAME,
    content: () => {
      const fileId = createHash("sha256").update(BYTES).digest("hex");
      return Promise.resolve(new FakeContent(fileOf({ name: NAME, fileId }), BYTES));
    },
    published: () => Promise.resolve({ sums: "sums\n", signature: "signed\n" }),
    ...over,
  };
  return appOver({ options: { executable, ...options } });
}

Deno.test("the executable is downloaded whole or in parts, under two names", async () => {
  const { request } = made();
  for (const name of ["p2p-peer", NAME]) {
    const whole = await request(`/download/${name}`);
    strictEqual(whole.status, 200);
    match(whole.headers.get("content-disposition")!, new RegExp(`attachment; filename="${NAME}"`));
    deepStrictEqual(await whole.bytes(), BYTES);
    const digest = createHash("sha256").update(BYTES).digest("base64");
    strictEqual(whole.headers.get("repr-digest"), `sha-256=:${digest}:`);
    const rest = await request(`/download/${name}`, { headers: { range: "bytes=10-" } });
    deepStrictEqual([rest.status, await rest.bytes()], [206, BYTES.slice(10)]);
  }
});

Deno.test("checksums and signature are passed on as they were published", async () => {
  const { request } = made();
  strictEqual(await (await request("/download/SHA256SUMS")).text(), "sums\n");
  strictEqual(await (await request("/download/SHA256SUMS.sig")).text(), "signed\n");
  const unsigned = made({
    published: () => Promise.resolve({ sums: "sums\n", signature: undefined }),
  });
  const answer = await unsigned.request("/download/SHA256SUMS.sig");
  strictEqual(answer.status, 404);
  match((await answer.json()).detail, /has no signature/);
});

Deno.test("the script downloads from the address at which it was asked for", async () => {
  const { request } = made();
  const fromOf = async (headers: Record<string, string> = {}) => {
    const answer = await request("/install.sh", { headers });
    strictEqual(answer.status, 200, await answer.clone().text());
    return /^FROM='(.*)'$/m.exec(await answer.text())?.[1];
  };
  strictEqual(await fromOf({ host: "10.0.0.7:8116" }), "http://10.0.0.7:8116/download");
  strictEqual(await fromOf({ host: "[::1]:8116" }), "http://[::1]:8116/download");
  const behind = { host: "10.0.0.7", "x-forwarded-proto": "https", "x-forwarded-prefix": "/peer" };
  strictEqual(await fromOf(behind), "https://10.0.0.7/peer/download");
  // Whatever the header has, it cannot end the quotes.
  for (const host of ["10.0.0.7'; rm -rf x; '", "$(id)", "10.0.0.7:80/'"]) {
    ok((await request("/install.sh", { headers: { host } })).status >= 400, host);
  }
});

Deno.test("other platforms, other names and a run from source get the reason", async () => {
  const { request } = made();
  const why = async (path: string, of = request) => {
    const answer = await of(path);
    strictEqual(answer.status, 404, path);
    return (await answer.json()).detail as string;
  };
  match(
    await why("/download/p2p-peer-macos-aarch64"),
    /only the executable that it runs, p2p-peer-linux-x86_64/,
  );
  match(await why("/download/passwd"), /no such file/);
  match(await why("/download/..%2fweb-token"), /no such file/);
  const source = appOver({}).request;
  for (const path of ["/install.sh", "/download/p2p-peer", "/download/SHA256SUMS"]) {
    match(await why(path, source), /runs from its source/);
  }
});

Deno.test("with private reading, everything of it requires the login", async () => {
  const { request } = made({}, { isPrivate: true });
  for (
    const path of [
      "/install.sh",
      "/download/p2p-peer",
      "/download/SHA256SUMS",
      "/download/SHA256SUMS.sig",
    ]
  ) {
    strictEqual((await request(path)).status, 401, path);
    strictEqual((await request(path, { headers: BEARER })).status, 200, path);
  }
});
