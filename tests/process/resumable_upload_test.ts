// Uploads that real clients interrupt and continue: tus-js-client with two drafts, curl, and a peer that is killed.

import { ok, strictEqual } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Upload, type UploadOptions } from "tus-js-client";
import { assertSameBytes, Folder, randomBytes } from "./folder.ts";
import { named } from "./network.ts";
import { Program } from "./program.ts";

const SIZE = 3_000_000;
const ALONE = ["--no-bootstrap", "--auto-fetch", "0"];

/** The base of the API, and what allows changes. */
async function access(peer: Program): Promise<{ base: string; token: string }> {
  const { base, token } = await peer.login();
  return { base: `${base}/api/v1`, token };
}

/** Returns a function that makes requests with the right to change things. */
const asking =
  ({ base, token }: { base: string; token: string }) =>
  (method: string, path: string, headers: Record<string, string>, body?: BodyInit) =>
    fetch(new URL(path, base), {
      method,
      headers: { authorization: `Bearer ${token}`, ...headers },
      ...(body === undefined ? {} : { body }),
    });

/** Returns how much of the only upload is here, in bytes. */
async function kept(peer: Program): Promise<number | undefined> {
  const { uploads } = await peer.api<{ uploads: { offset: number }[] }>("uploads");
  return uploads[0]?.offset;
}

/** Fails unless a file was shared as it was sent. */
async function assertShared(peer: Program, name: string, content: Uint8Array): Promise<void> {
  const { file_id, size_bytes } = await named(peer, name);
  strictEqual(size_bytes, content.length);
  assertSameBytes(await peer.content(file_id), content, name);
}

/** Uploads with tus-js-client. Resolves to the address of the upload, and rejects with its error. */
function uploadWith(content: Uint8Array, options: UploadOptions, stopAfter = Infinity) {
  return new Promise<string>((done, fail) => {
    const upload: Upload = new Upload(Buffer.from(content), {
      retryDelays: null,
      chunkSize: 1_000_000,
      metadata: { filename: "from tus.bin" },
      ...options,
      onError: fail,
      onSuccess: () => done(upload.url!),
      onChunkComplete: (_size: number, accepted: number) => {
        if (accepted < stopAfter || accepted === SIZE) return;
        void upload.abort().then(() => done(upload.url!));
      },
    });
    upload.start();
  });
}

for (const protocol of ["ietf-draft-03", "ietf-draft-05"] as const) {
  Deno.test({
    name: `tus-js-client (${protocol}) uploads in pieces, stops, and another one continues`,
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      await using folder = await Folder.make();
      await using peer = await Program.peer("us", ALONE, { cwd: folder.path });
      const { base, token } = await access(peer);
      const content = randomBytes(SIZE);
      const options = {
        protocol,
        endpoint: `${base}/files`,
        headers: { authorization: `Bearer ${token}` },
      };
      const url = await uploadWith(content, options, 1_000_000);
      const before = await kept(peer) ?? 0;
      ok(before >= 1_000_000 && before < SIZE, `${before}`);
      let sent = 0;
      await uploadWith(content, {
        ...options,
        uploadUrl: url,
        onProgress: (bytes: number) => sent ||= bytes,
      });
      await assertShared(peer, "from tus.bin", content);
      const { transfers } = await peer.api<{ transfers: { resumed_bytes: number }[] }>("transfers");
      ok(transfers.some(({ resumed_bytes }) => resumed_bytes >= 1_000_000), "it continued");
    },
  });
}

Deno.test("curl continues with -C what a killed peer had received, and the file is the same", async () => {
  await using folder = await Folder.make();
  const content = randomBytes(SIZE);
  await folder.write("file", content);
  const curl = (base: string, token: string, ...args: string[]) =>
    new Deno.Command("curl", {
      args: ["-sS", "-H", `Authorization: Bearer ${token}`, "-T", folder.at("file"), ...args]
        .concat(`${base}/files/by-name/curl.bin`),
      stdout: "piped",
      stderr: "null",
    });
  let [offset, token] = [0, ""];
  {
    await using peer = await Program.peer("us", ALONE, { cwd: folder.path });
    const first = await access(peer);
    token = first.token;
    const { base } = first;
    const child = curl(base, token, "--limit-rate", "1M").spawn();
    offset = await peer.until("a part of it", async () => {
      const bytes = await kept(peer) ?? 0;
      return bytes > 500_000 ? bytes : undefined;
    });
    peer.signal("SIGKILL");
    await peer.exit();
    child.kill("SIGKILL");
    await child.output();
  }
  await using peer = await Program.peer("us", ALONE, { cwd: folder.path });
  const [, address] = await peer.waitForLine(/^HTTP address: (.*)$/);
  const base = `${address}/api/v1`;
  const { stdout } = await curl(base, token, "-C", "1").output();
  const { detail, hint } = JSON.parse(new TextDecoder().decode(stdout));
  const [, right] = /^Continue there: curl -C (\d+) -T FILE$/.exec(hint) ?? [];
  ok(Number(right) >= offset, `${detail}: ${right} of at least ${offset}`);
  const { code } = await curl(base, token, "-f", "-C", right!).output();
  strictEqual(code, 0);
  await assertShared(peer, "curl.bin", content);
});

Deno.test({
  name:
    "a client that comes back ends its lost request, and an upload that is canceled here is gone",
  // `fetch` keeps what is left of a body that its server did not want.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await using folder = await Folder.make();
    await using peer = await Program.peer("us", ALONE, { cwd: folder.path });
    const ask = asking(await access(peer));
    const begun = await ask("POST", "/api/v1/files?name=slow.bin", { "upload-complete": "?0" });
    const path = begun.headers.get("location")!;
    await begun.body?.cancel();
    // A request that sends a little and then nothing, like one whose network is gone.
    const slow = new ReadableStream({
      start: (controller) => controller.enqueue(new Uint8Array(70_000)),
    });
    const at = (offset: number) => ({ "upload-offset": `${offset}`, "upload-complete": "?0" });
    const lost = ask("PATCH", path, at(0), slow).then(({ status }) => status, () => 0);
    await peer.until("what came of it", async () => await kept(peer) === 70_000);
    const asked = await ask("HEAD", path, {});
    strictEqual(asked.headers.get("upload-offset"), "70000");
    ok([0, 409].includes(await lost), "the first request has ended");
    const again = ask(
      "PATCH",
      path,
      at(70_000),
      new ReadableStream({
        start: (controller) => controller.enqueue(new Uint8Array(10)),
      }),
    ).then(({ status }) => status, () => 0);
    interface Transfers {
      readonly transfers: readonly { readonly id: number; readonly state: string }[];
    }
    const { id } = await peer.until(
      "a transfer to cancel",
      async () =>
        (await peer.api<Transfers>("transfers")).transfers.find(({ state }) => state === "running"),
    );
    strictEqual((await ask("DELETE", `/api/v1/transfers/${id}`, {})).status, 204);
    await again;
    strictEqual((await ask("HEAD", path, {})).status, 404);
  },
});

Deno.test({
  name: "however many requests continue an upload at the same time, the file is shared as it is",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await using folder = await Folder.make();
    await using peer = await Program.peer("us", ALONE, { cwd: folder.path });
    const content = randomBytes(SIZE);
    const ask = asking(await access(peer));
    const begun = await ask("POST", "/api/v1/files?name=many.bin", {
      "upload-complete": "?0",
      "upload-length": `${SIZE}`,
    });
    const path = begun.headers.get("location")!;
    await begun.body?.cancel();
    const at = { "upload-offset": "0", "upload-complete": "?1" };
    const answers = await Promise.all(
      Array.from({ length: 6 }, () =>
        ask("PATCH", path, at, content).then(async (answer) => {
          await answer.body?.cancel();
          return answer.status;
        }, () => 0)),
    );
    // Those that were ended by others know where to continue; one may be left.
    ok(answers.filter((status) => status === 201).length <= 1, answers.join());
    const asked = await ask("HEAD", path, {});
    const offset = Number(asked.headers.get("upload-offset"));
    if (asked.headers.get("upload-complete") === "?0") {
      const rest = { "upload-offset": `${offset}`, "upload-complete": "?1" };
      const last = await ask("PATCH", path, rest, content.subarray(offset));
      strictEqual(last.status, 201);
      await last.body?.cancel();
    }
    await assertShared(peer, "many.bin", content);
  },
});
