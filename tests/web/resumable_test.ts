// Uploads that are interrupted and continued, against a fake peer: what each request answers, and what it leaves.

import assert from "node:assert/strict";
import { appOver, BEARER, type Made } from "./fixture.ts";

const FILES = "/api/v1/files";
const TYPES = "https://iana.org/assignments/http-problem-types";

function ask(made: Made, method: string, path: string, init: {
  readonly body?: BodyInit | null;
  readonly headers?: Record<string, string>;
} = {}) {
  const headers = { ...BEARER, ...init.headers };
  return made.request(path, { method, headers, ...(init.body == null ? {} : { body: init.body }) });
}

async function begin(made: Made, headers: Record<string, string> = {}, body?: BodyInit) {
  const response = await ask(made, "POST", `${FILES}?name=a.bin`, {
    headers: { "upload-complete": "?0", ...headers },
    body: body ?? null,
  });
  assert.equal(response.status, 201);
  return { response, path: response.headers.get("location")! };
}

const patch = (
  made: Made,
  path: string,
  offset: number,
  body: BodyInit,
  complete = "?0",
  headers: Record<string, string> = {},
) =>
  ask(made, "PATCH", path, {
    body,
    headers: { "upload-offset": `${offset}`, "upload-complete": complete, ...headers },
  });

/** A body that ends in an error after some bytes. */
const broken = (text: string) =>
  new ReadableStream({
    type: "bytes",
    start: (controller) => controller.enqueue(new TextEncoder().encode(text)),
    pull: (controller) => controller.error(new Error("reset")),
  });

const state = ({ headers }: Response) =>
  ["upload-offset", "upload-complete", "upload-length"].map((name) => headers.get(name));

Deno.test("an upload is begun, asked for, continued after an interruption, and shared when complete", async () => {
  const made = appOver({ files: [] });
  const { response, path } = await begin(made, { "upload-length": "11" });
  assert.deepEqual(state(response), ["0", "?0", "11"]);
  assert.match(response.headers.get("upload-limit")!, /^max-size=1000000000, max-age=86400$/);
  assert.equal((await patch(made, path, 0, broken("hello"))).status, 400);
  const asked = await ask(made, "HEAD", path);
  assert.deepEqual([asked.status, ...state(asked)], [204, "5", "?0", "11"]);
  assert.equal(asked.headers.get("cache-control"), "no-store");
  const more = await patch(made, path, 5, " wo");
  assert.deepEqual([more.status, ...state(more)], [204, "8", "?0", "11"]);
  const last = await patch(made, path, 8, "rld", "?1");
  assert.deepEqual([last.status, ...state(last)], [201, "11", "?1", "11"]);
  const { files: [file] } = await last.json();
  assert.equal(last.headers.get("location"), `${FILES}/${file.file_id}`);
  assert.equal(file.file_name, "a.bin");
  assert.equal(new TextDecoder().decode(made.uploads[0]!.bytes), "hello world");
  // A client that did not get this answer asks again.
  assert.deepEqual(state(await ask(made, "HEAD", path)), ["11", "?1", "11"]);
  const again = await patch(made, path, 11, "", "?1");
  assert.deepEqual([again.status, (await again.json()).type], [400, `${TYPES}#completed-upload`]);
});

Deno.test("a request for another position is refused, and told the right one", async () => {
  const made = appOver();
  const { path } = await begin(made, {}, "abc");
  for (const offset of [0, 2, 4]) {
    const response = await patch(made, path, offset, "x");
    assert.deepEqual([response.status, ...state(response)], [409, "3", "?0", null]);
    const { type, ...fields } = await response.json();
    assert.equal(type, `${TYPES}#mismatching-upload-offset`);
    assert.deepEqual([fields["expected-offset"], fields["provided-offset"]], [3, offset]);
    assert.equal(fields.hint, "Continue at 3");
  }
  assert.equal(made.uploads[0]!.bytes.length, 3);
});

Deno.test("a request that does not say where its content belongs is refused", async () => {
  const made = appOver();
  const { path } = await begin(made);
  for (
    const headers of [
      {},
      { "upload-offset": "0" },
      { "upload-complete": "?1" },
      { "upload-complete": "1", "upload-offset": "0" },
      { "upload-complete": "?0", "upload-offset": "-1" },
      { "upload-complete": "?0", "upload-offset": "1e3" },
      { "upload-complete": "?0", "upload-offset": "9".repeat(30) },
    ] as Record<string, string>[]
  ) {
    const response = await ask(made, "PATCH", path, { body: "x", headers });
    assert.equal(response.status, 400, JSON.stringify(headers));
    assert.match((await response.json()).hint, /Upload-Offset/);
  }
  assert.equal(made.uploads[0]!.bytes.length, 0);
});

Deno.test("sizes that contradict each other are refused", async () => {
  const made = appOver();
  const { path } = await begin(made, { "upload-length": "5" });
  const type = `${TYPES}#inconsistent-upload-length`;
  const cases = [
    await patch(made, path, 0, "abcdef"),
    await patch(made, path, 0, "abc", "?0", { "upload-length": "6" }),
    await patch(made, path, 0, "abc", "?1"),
  ];
  for (const response of cases) {
    assert.equal(response.status, 400);
    assert.equal((await response.json()).type, type);
  }
  const empty = await patch(made, (await begin(made)).path, 0, "", "?1");
  assert.deepEqual([empty.status, (await empty.json()).detail], [
    400,
    "The file is empty, so no peer could fetch it",
  ]);
});

Deno.test("a whole file in one request is shared at once, and the name is taken from where clients put it", async () => {
  const names: [Record<string, string>, string][] = [
    [{ "x-file-name": "a%20b" }, "a b"],
    [{ "content-disposition": `attachment; filename="a b.txt"` }, "a b.txt"],
    [{ "content-disposition": "attachment; filename*=UTF-8''%C3%A4.txt" }, "ä.txt"],
    [{ "content-disposition": "attachment; filename=plain.txt" }, "plain.txt"],
    [{ "upload-metadata": "filetype YQ==,filename w6QudHh0" }, "ä.txt"],
    [{ "upload-metadata": "filename ZGlyL2E=" }, "a"],
  ];
  for (const [headers, name] of names) {
    const made = appOver({ files: [] });
    const response = await ask(made, "POST", FILES, {
      body: "abc",
      headers: { "upload-complete": "?1", ...headers },
    });
    assert.deepEqual([response.status, ...state(response).slice(0, 2)], [201, "3", "?1"]);
    assert.equal(made.uploads[0]!.name, name);
  }
  const made = appOver();
  const headers = { "upload-complete": "?1" };
  assert.equal((await ask(made, "POST", FILES, { body: "abc", headers })).status, 400, "no name");
  const cut = await ask(made, "POST", `${FILES}?name=a`, { body: broken("abc"), headers });
  assert.equal(cut.status, 400);
  const { uploads } = await (await ask(made, "GET", "/api/v1/uploads")).json();
  assert.deepEqual(uploads, [], "nobody knows where to continue it");
});

Deno.test("earlier drafts are answered in their own words", async () => {
  const made = appOver({ files: [] });
  const first = await ask(made, "POST", `${FILES}?name=a`, {
    headers: { "upload-incomplete": "?1", "upload-draft-interop-version": "3" },
  });
  assert.deepEqual([first.status, first.headers.get("upload-incomplete")], [201, "?1"]);
  assert.equal(first.headers.get("upload-draft-interop-version"), "3");
  const last = await ask(made, "PATCH", first.headers.get("location")!, {
    body: "abc",
    headers: { "upload-incomplete": "?0", "upload-offset": "0" },
  });
  assert.deepEqual([last.status, last.headers.get("upload-incomplete")], [201, "?0"]);
});

Deno.test("uploads are listed and given up, and unknown ones are not found", async () => {
  const made = appOver();
  const { path } = await begin(made, { "upload-length": "9" }, "abc");
  const list = async () => (await (await ask(made, "GET", "/api/v1/uploads")).json()).uploads;
  const id = path.split("/").at(-1);
  assert.deepEqual(await list(), [{ id, file_name: "a.bin", offset: 3, size_bytes: 9 }]);
  assert.equal((await ask(made, "DELETE", path)).status, 204);
  assert.deepEqual(await list(), []);
  for (const method of ["HEAD", "DELETE"]) {
    assert.equal((await ask(made, method, path)).status, 404, method);
  }
  assert.equal((await patch(made, path, 3, "x")).status, 404);
  for (const wrong of ["x", "..%2f..%2fx", "A".repeat(32)]) {
    assert.equal((await ask(made, "HEAD", `/api/v1/uploads/${wrong}`)).status, 404, wrong);
  }
});

Deno.test("curl continues an interrupted PUT where the error says, and nowhere else", async () => {
  const made = appOver({ files: [] });
  const put = (body: BodyInit, headers: Record<string, string>) =>
    ask(made, "PUT", "/api/v1/files/by-name/a.bin", { body, headers });
  const range = (first: number) => ({ "content-range": `bytes ${first}-10/11` });
  const nothing = await put("world", range(6));
  assert.deepEqual([nothing.status, (await nothing.json()).detail], [
    409,
    "Nothing of a.bin is here to continue",
  ]);
  assert.equal((await put(broken("hello "), { "content-length": "11" })).status, 400);
  const wrong = await put("orld", range(7));
  assert.equal(wrong.status, 409);
  assert.equal((await wrong.json()).hint, "Continue there: curl -C 6 -T FILE");
  const other = await put("world", { "content-range": "bytes 6-10/12" });
  assert.equal(other.status, 409, "another size is another file");
  assert.equal((await put("world", range(6))).status, 201);
  assert.equal(new TextDecoder().decode(made.uploads.at(-1)!.bytes), "hello world");
  assert.equal((await put("hello world", range(0))).status, 201, "as curl -C - sends it");
  for (const text of ["bytes 5-4/5", "bytes */5", "lines 0-1/5", "bytes 0-1/*"]) {
    assert.equal((await put("abc", { "content-range": text })).status, 400, text);
  }
});

Deno.test("a whole PUT begins again, whatever is kept, and an empty one keeps nothing", async () => {
  const made = appOver({ files: [] });
  const put = (body: BodyInit) => ask(made, "PUT", "/api/v1/files/by-name/a.bin", { body });
  const kept = async () =>
    (await (await ask(made, "GET", "/api/v1/uploads")).json()).uploads.length;
  assert.equal((await put(broken("hel"))).status, 400);
  assert.equal(await kept(), 1);
  assert.equal((await put(broken("hello"))).status, 400);
  assert.equal(await kept(), 1, "the one before is of no use");
  assert.equal((await put("")).status, 400);
  assert.equal(await kept(), 0);
});

Deno.test("a PUT continues only what came with PUT", async () => {
  const made = appOver({ files: [] });
  await begin(made, { "upload-length": "11" }, "hello ");
  const put = (body: string, headers: Record<string, string>) =>
    ask(made, "PUT", "/api/v1/files/by-name/a.bin", { body, headers });
  const rest = { "content-range": "bytes 6-10/11" };
  assert.equal((await put("world", rest)).status, 409, "it is somebody else's");
  assert.equal((await put("hello world", { "content-length": "11" })).status, 201);
  const { uploads } = await (await ask(made, "GET", "/api/v1/uploads")).json();
  assert.equal(uploads.length, 1, "the other one is still there");
});
