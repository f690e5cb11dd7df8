// Sharing through the API: raw bodies, forms, and curl -T, and interrupted uploads.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { decoded, uploadName } from "../../web/upload.ts";
import { NotPossible } from "../../web/view.ts";
import { appOver, BEARER, type Made, type Parts } from "./fixture.ts";

const content = Uint8Array.from({ length: 700_000 }, (_, i) => (i * 7919) >> 3);
const app = (parts: Parts = {}) => appOver({ files: [], ...parts });

async function send(
  { request }: Made,
  method: string,
  path: string,
  body: BodyInit | null,
  headers: Record<string, string> = {},
) {
  const response = await request(path, { method, body, headers: { ...BEARER, ...headers } });
  return {
    status: response.status,
    location: response.headers.get("location"),
    ...await response.json(),
  };
}

/** A body that ends in an error after some bytes. */
function broken(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    type: "bytes",
    start: (controller) => controller.enqueue(bytes.slice()),
    pull: (controller) => controller.error(new Error("reset")),
  });
}

Deno.test("a raw body is shared under the name in the header, the query, or the path", async () => {
  for (
    const [method, path, headers] of [
      ["POST", "/api/v1/files", { "x-file-name": "a%20b%27%C3%A4.bin" }],
      ["POST", "/api/v1/files?name=a%20b%27%C3%A4.bin", {}],
      ["PUT", "/api/v1/files/by-name/a%20b%27%C3%A4.bin", {}],
    ] as const
  ) {
    const made = app();
    const { status, files, location } = await send(made, method, path, content, headers);
    assert.equal(status, 201, path);
    assert.equal(files[0].file_name, "a b'ä.bin");
    assert.equal(location, `/api/v1/files/${files[0].file_id}`);
    const [upload] = made.uploads;
    assert.deepEqual(upload!.bytes, content);
    assert.equal(upload!.state, "shared");
  }
});

Deno.test("a name that does not decode is taken as is, and folders before it are removed", async () => {
  const made = app();
  for (
    const [name, kept] of [["100%.txt", "100%.txt"], ["..%2F..%2Fetc%2Fx", "x"], ["C%3A%5Cy", "y"]]
  ) {
    const { status } = await send(made, "POST", "/api/v1/files", "x", { "x-file-name": name! });
    assert.equal(status, 201, name);
    assert.equal(made.uploads.at(-1)!.name, kept);
  }
});

Deno.test("invalid names are refused with an explanation", () => {
  for (const name of ["", "a/", ".", "..", "a\nb", "a\0", "x".repeat(256), "\ud800"]) {
    assert.throws(() => uploadName(name), NotPossible, JSON.stringify(name));
  }
  assert.equal(uploadName("x".repeat(255)).length, 255);
});

Deno.test("the modification time and the client's address are passed on", async () => {
  const made = app();
  await send(made, "POST", "/api/v1/files?name=a", "abc", { "x-file-timestamp": "1744169352.5" });
  assert.deepEqual(
    [made.uploads[0]!.options.modifiedSeconds, made.uploads[0]!.options.client],
    [1744169352.5, "127.0.0.1"],
  );
});

Deno.test("every file of a form is shared under its name, and other fields are ignored", async () => {
  const made = app();
  const form = new FormData();
  form.append("comment", "hello");
  form.append("a", new File([content], "one.bin"));
  form.append("b", new File(["two"], "it's ü.txt"));
  const { status, files } = await send(made, "POST", "/api/v1/files", form);
  assert.equal(status, 201);
  assert.deepEqual(files.map((file: { file_name: string }) => file.file_name), [
    "one.bin",
    "it's ü.txt",
  ]);
  assert.deepEqual(made.uploads[0]!.bytes, content);
});

Deno.test("a form that is malformed, has no file, or is cut short is refused and leaves nothing behind", async () => {
  const type = { "content-type": "multipart/form-data; boundary=x" };
  const head = '--x\r\ncontent-disposition: form-data; name="f"; filename="a"\r\n\r\n';
  const cases: [BodyInit, Record<string, string>][] = [
    ["anything", { "content-type": "multipart/form-data" }],
    ["--x--\r\n", type],
    ["no form at all", type],
    [`${head}abc`, type],
    [broken(new TextEncoder().encode(`${head}abc`)), type],
    ['--x\r\ncontent-disposition: form-data; name="f"\r\n\r\nabc\r\n--x--\r\n', type],
  ];
  for (const [i, [body, headers]] of cases.entries()) {
    const made = app();
    const { status, hint } = await send(made, "POST", "/api/v1/files", body, headers);
    assert.equal(status, 400, `case ${i}`);
    assert.ok(hint);
    for (const upload of made.uploads) assert.match(upload.state, /^aborted/, `case ${i}`);
  }
});

Deno.test("a body that is cut short, shorter than announced, or empty leaves nothing behind", async () => {
  for (
    const [body, headers] of [
      [broken(content), {}],
      [content, { "content-length": "700001" }],
      ["", {}],
      [null, {}],
    ] as [BodyInit | null, Record<string, string>][]
  ) {
    const made = app();
    const { status } = await send(made, "POST", "/api/v1/files?name=a", body, headers);
    assert.equal(status, 400);
    assert.match(made.uploads[0]!.state, /^aborted/);
  }
});

Deno.test("a file that the store refuses is reported with its status and hint", async () => {
  const made = app({ roomBytes: 500_000 });
  const { status, detail, hint } = await send(made, "POST", "/api/v1/files?name=a", content);
  assert.deepEqual([status, detail, hint], [507, "There is no room", "Make some"]);
  assert.match(made.uploads[0]!.state, /^aborted/);
});

Deno.test("an upload that is canceled on this peer ends", async () => {
  const made = app();
  let turn: Promise<unknown> = Promise.resolve();
  const endless = new ReadableStream({
    type: "bytes",
    async pull(controller) {
      controller.enqueue(new Uint8Array(1000));
      if (made.uploads[0]?.bytes.length) made.uploads[0].cancel();
      await (turn = new Promise((go) => setTimeout(go)));
    },
  });
  const { status, detail } = await send(made, "POST", "/api/v1/files?name=a", endless);
  assert.deepEqual([status, detail], [409, "The upload was canceled on this peer"]);
  assert.equal(made.uploads[0]!.state, "aborted: Canceled here");
  await turn;
});

Deno.test("a partial or encoded file is not shared as if it were the whole file", async () => {
  const refusals = [
    [{ "content-range": "bytes 100-104/1000" }, 400],
    [{ "content-encoding": "gzip" }, 415],
    [{ "transfer-encoding": "gzip, chunked" }, 501],
  ] as [Record<string, string>, number][];
  for (const [headers, expected] of refusals) {
    for (
      const [method, path] of [
        ["PUT", "/api/v1/files/by-name/a"],
        ["POST", "/api/v1/files?name=a"],
        ["POST", "/api/upload"],
      ] as const
    ) {
      const made = app();
      // PUT takes the rest of an interrupted upload.
      if (method === "PUT" && "content-range" in headers) continue;
      const { status, hint, message } = await send(made, method, path, "abc", {
        "x-file-name": "a",
        ...headers,
      });
      assert.equal(status, expected, `${path} ${JSON.stringify(headers)}`);
      assert.ok(hint ?? message);
      assert.equal(made.uploads.length, 0);
    }
  }
  const whole = { "content-encoding": "identity", "transfer-encoding": "chunked" };
  assert.equal((await send(app(), "PUT", "/api/v1/files/by-name/a", "abc", whole)).status, 201);
});

/** A form as it arrives over a slow link: in small pieces, with other work in between. */
function slowForm(
  parts: readonly [string, Uint8Array | string][],
  pieceBytes: number,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const all: number[] = [];
  for (const [name, part] of parts) {
    const head = `--x\r\ncontent-disposition: form-data; name="f"; filename="${name}"\r\n\r\n`;
    const bytes = typeof part === "string" ? encoder.encode(part) : part;
    for (const piece of [encoder.encode(head), bytes, encoder.encode("\r\n")]) all.push(...piece);
  }
  all.push(...encoder.encode("--x--\r\n"));
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      await new Promise((go) => setTimeout(go));
      const piece = Uint8Array.from(all.slice(at, at += pieceBytes));
      if (piece.length > 0) controller.enqueue(piece);
      else controller.close();
    },
  });
}

const FORM = { "content-type": "multipart/form-data; boundary=x" };

Deno.test("each file of a form has its own outcome: some are shared while others are refused", async () => {
  const large = new Uint8Array(60_000).fill(7);
  for (const pieceBytes of [5_000, 20_000, 1_000_000]) {
    const made = app({ roomBytes: 50_000 });
    const parts: [string, Uint8Array | string][] = [
      ["a.txt", "a"],
      ["a\tb", "x"],
      ["empty.txt", ""],
      ["large.bin", large],
      ["b.txt", "b"],
    ];
    const body = slowForm(parts, pieceBytes);
    const { status, files, failed } = await send(made, "POST", "/api/v1/files", body, FORM);
    assert.equal(status, 201);
    const names = (rows: { file_name: string }[]) => rows.map(({ file_name }) => file_name);
    assert.deepEqual(names(files), ["a.txt", "b.txt"]);
    assert.deepEqual(names(failed), ["a\tb", "empty.txt", "large.bin"]);
    assert.ok(failed.every(({ detail, hint }: Record<string, string>) => detail && hint));
    const states = made.uploads.map(({ state }) => /^\w+/.exec(state)![0]);
    assert.deepEqual(states, ["shared", "aborted", "aborted", "shared"]);
  }
});

Deno.test("a form in which every file is refused is refused with the first reason", async () => {
  const body = slowForm([["a\tb", "x"], ["empty.txt", ""]], 40);
  const { status, detail } = await send(app(), "POST", "/api/v1/files", body, FORM);
  assert.deepEqual([status, /name/.test(detail)], [400, true]);
});

Deno.test("files beyond a form's hundredth are reported as not read", async () => {
  const parts = Array.from({ length: 120 }, (_, i) => [`${i}.txt`, "x"] as [string, string]);
  const body = slowForm(parts, 100_000);
  const { status, files, failed } = await send(app(), "POST", "/api/v1/files", body, FORM);
  assert.deepEqual([status, files.length, failed.length], [201, 100, 1]);
  assert.match(failed[0].detail, /100 files/);
});

Deno.test("canceling one file of a form does not keep the files after it from being shared", async () => {
  const made = app();
  const watching = setInterval(() => {
    const [first] = made.uploads;
    if (first?.bytes.length) first.cancel();
  }, 1);
  try {
    const body = slowForm([["a.bin", new Uint8Array(50_000)], ["b.txt", "b"]], 1_000);
    const { status, files, failed } = await send(made, "POST", "/api/v1/files", body, FORM);
    assert.deepEqual([status, files[0].file_name, failed[0].file_name], [201, "b.txt", "a.bin"]);
  } finally {
    clearInterval(watching);
  }
});

Deno.test("a name in raw UTF-8 is decoded, and any other stays as is", () => {
  const raw = (text: string) => String.fromCharCode(...new TextEncoder().encode(text));
  assert.equal(decoded(raw("ü ☃.txt")), "ü ☃.txt");
  assert.equal(decoded("\xfc.txt"), "\xfc.txt", "Latin-1 is no UTF-8");
  assert.equal(decoded("%C3%BC.txt"), "ü.txt");
  assert.equal(decoded("100%"), "100%");
});

Deno.test("a body is shared only if it matches the digests sent with it (RFC 9530)", async () => {
  const hashOf = (text: string) => createHash("sha256").update(text).digest("base64");
  const [right, wrong] = [hashOf("content"), hashOf("other")];
  const table: [Record<string, string>, number][] = [
    [{ "content-digest": `sha-256=:${right}:` }, 201],
    [{ "repr-digest": `sha-512=:AAAA:, sha-256=:${right}:` }, 201],
    [{ "content-digest": `sha-256=:${wrong}:` }, 400],
    [{ "repr-digest": `sha-256=:${wrong}:` }, 400],
    [{ "content-digest": `sha-256=:${right}:`, "repr-digest": `sha-256=:${wrong}:` }, 400],
    [{ "content-digest": "sha-512=:AAAA:" }, 201],
    [{ "content-digest": "unixsum=:AAAA:, x" }, 201],
  ];
  for (const [headers, status] of table) {
    for (
      const [method, path] of [["POST", "/api/v1/files?name=a"], [
        "PUT",
        "/api/v1/files/by-name/a",
      ]] as const
    ) {
      const made = app();
      const answer = await send(made, method, path, "content", headers);
      assert.equal(answer.status, status, JSON.stringify(headers));
      const [upload] = made.uploads;
      if (status === 201) assert.equal(upload!.state, "shared");
      else assert.match(upload!.state, /^aborted: The content does not match its digest$/);
    }
  }
});

Deno.test("a file already shared under the same name gets 200 and is marked as such", async () => {
  for (const isSharedAlready of [false, true]) {
    const made = app({ isSharedAlready });
    const answer = await send(made, "PUT", "/api/v1/files/by-name/a.txt", "same");
    assert.equal(answer.status, isSharedAlready ? 200 : 201);
    assert.equal(answer.files[0].already_shared, isSharedAlready);
    assert.ok(answer.location?.endsWith(answer.files[0].file_id));
    const old = await send(made, "POST", "/api/upload", "same", { "x-file-name": "a.txt" });
    assert.equal(old.status, isSharedAlready ? 200 : 201);
  }
});
