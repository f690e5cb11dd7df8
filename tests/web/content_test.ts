// Content as a download: whole or as one range, with validators, never rendered as a page, and always closed.

import assert from "node:assert/strict";
import fc from "fast-check";
import { attachment, rangeOf } from "../../web/content.ts";
import { appOver, appWithFile, NOW } from "./fixture.ts";

const TEN = new TextEncoder().encode("0123456789");

async function ask(headers: Record<string, string>, method = "GET", bytes = TEN) {
  const app = appWithFile(bytes);
  const response = await app.request(app.path, { method, headers });
  const body = await response.text();
  assert.deepEqual(app.opened.map(({ closed }) => closed), [1], "closed once");
  return {
    response,
    body,
    etag: `"${app.file.fileId}"`,
    get: (name: string) => response.headers.get(name),
  };
}

Deno.test("a held file is served whole, with its length, and its id as validator", async () => {
  const { response, body, etag, get } = await ask({});
  assert.equal(response.status, 200);
  assert.equal(body, "0123456789");
  assert.equal(get("content-length"), "10");
  assert.equal(get("etag"), etag);
  assert.equal(get("accept-ranges"), "bytes");
  assert.equal(get("content-range"), null);
});

Deno.test("content and events are sent as is; pages and lists are compressed for clients that accept it", async () => {
  const app = appWithFile(TEN);
  const get = (path: string) =>
    app.request(path, { headers: { "accept-encoding": "gzip, deflate, br" } });
  for (const path of [app.path, "/api/v1/events"]) {
    const response = await get(path);
    assert.equal(response.headers.get("content-encoding"), null, path);
    await response.body?.cancel();
  }
  const legacy = await app.request("/api/download", {
    headers: { "accept-encoding": "gzip", "x-file-name": app.file.name },
  });
  assert.equal(legacy.headers.get("content-encoding"), null);
  assert.equal(await legacy.text(), "0123456789");
  for (const path of ["/", "/style.css", "/browser/live.js"]) {
    const response = await get(path);
    assert.equal(response.headers.get("content-encoding"), "gzip", path);
    await response.body?.cancel();
  }
});

Deno.test("a large file is streamed in chunks, byte for byte", async () => {
  const bytes = new Uint8Array(1_000_003);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31 + (i >> 8)) & 255;
  const app = appWithFile(bytes);
  const response = await app.request(app.path);
  assert.deepEqual(new Uint8Array(await response.arrayBuffer()), bytes);
  assert.equal(app.opened[0]?.closed, 1);
  const part = await app.request(app.path, { headers: { range: "bytes=300000-899999" } });
  assert.deepEqual(new Uint8Array(await part.arrayBuffer()), bytes.subarray(300_000, 900_000));
});

Deno.test("an empty file is served with no content", async () => {
  const { response, body, get } = await ask({}, "GET", new Uint8Array());
  assert.deepEqual([response.status, body, get("content-length")], [200, "", "0"]);
});

Deno.test("HEAD returns the headers of GET and no content", async () => {
  const whole = await ask({});
  const { response, body, get } = await ask({}, "HEAD");
  assert.deepEqual([response.status, body], [200, ""]);
  for (const name of ["content-length", "etag", "content-disposition", "content-type"]) {
    assert.equal(get(name), whole.get(name), name);
  }
});

Deno.test("HEAD ignores ranges (RFC 9110, 14.2)", async () => {
  for (const range of ["bytes=0-3", "bytes=100-"]) {
    const { response, get } = await ask({ range }, "HEAD");
    assert.deepEqual([response.status, get("content-length")], [200, "10"], range);
  }
});

Deno.test("a single range is served as requested", async () => {
  const table: [string, string, string][] = [
    ["bytes=0-3", "0123", "bytes 0-3/10"],
    ["bytes=4-", "456789", "bytes 4-9/10"],
    ["bytes=-3", "789", "bytes 7-9/10"],
    ["bytes=-100", "0123456789", "bytes 0-9/10"],
    ["bytes=9-9", "9", "bytes 9-9/10"],
    ["bytes=5-1000000", "56789", "bytes 5-9/10"],
    ["Bytes= 1 - 2 ", "12", "bytes 1-2/10"],
  ];
  for (const [range, content, contentRange] of table) {
    const { response, body, get } = await ask({ range });
    assert.deepEqual([response.status, body, get("content-range")], [206, content, contentRange]);
    assert.equal(get("content-length"), String(content.length));
  }
});

Deno.test("a range past the end is 416 and gives the length of the file", async () => {
  for (const range of ["bytes=10-", "bytes=10-20", "bytes=999999-", "bytes=-0"]) {
    const { response, body, get } = await ask({ range });
    assert.deepEqual([response.status, get("content-range")], [416, "bytes */10"], range);
    assert.equal(get("content-type"), "application/problem+json");
    assert.equal(get("content-disposition"), null);
    assert.match(JSON.parse(body).detail, /which has 10 bytes$/);
  }
  const empty = await ask({ range: "bytes=0-" }, "GET", new Uint8Array());
  assert.equal(empty.response.status, 416);
});

Deno.test("a condition that does not hold is 412, in the usual error format", async () => {
  for (
    const headers of [{ "if-match": '"other"' }, {
      "if-unmodified-since": "Thu, 01 Jan 1970 00:00:00 GMT",
    }] as Record<string, string>[]
  ) {
    const { response, body, get } = await ask(headers);
    assert.deepEqual([response.status, get("content-type")], [412, "application/problem+json"]);
    assert.ok(JSON.parse(body).hint);
    assert.equal(get("content-range"), null);
  }
});

Deno.test("a time in the future is not sent as Last-Modified", async () => {
  for (const [seconds, isTold] of [[NOW, true], [NOW + 60, false]] as const) {
    const timestamp = { text: String(seconds), quoted: false };
    const app = appWithFile(TEN, { timestamp });
    const modified = (await app.request(app.path)).headers.get("last-modified");
    assert.equal(modified, isTold ? new Date(NOW * 1000).toUTCString() : null);
    const since = { "if-modified-since": new Date((NOW + 999) * 1000).toUTCString() };
    const { status } = await app.request(app.path, { headers: since });
    assert.equal(status, isTold ? 304 : 200);
  }
});

Deno.test("an unsupported or malformed range is ignored", async () => {
  const thousand = `bytes=${Array.from({ length: 1_000 }, (_, i) => `${i}-${i}`).join(",")}`;
  const odd = [
    "bytes=0-1,3-4",
    thousand,
    "bytes=5-3",
    "bytes=",
    "bytes=-",
    "bytes=a-b",
    "items=0-3",
  ];
  odd.push("0-3", "bytes 0-3", "bytes=0x1-0x2", "bytes=--1", "bytes=1e0-2", "bytes=0-3;", " ");
  for (const range of odd) {
    const { response, body } = await ask({ range });
    assert.deepEqual([response.status, body], [200, "0123456789"], range.slice(0, 40));
  }
});

Deno.test("any Range header yields a slice of the file, all of it, or 416", () => {
  const edge = fc.oneof(fc.nat(30).map(String), fc.constantFrom("", "00", " 1", "999999999999999"));
  fc.assert(fc.property(edge, edge, fc.nat(20), (first, last, size) => {
    const range = rangeOf(`bytes=${first}-${last}`, size);
    if (range === undefined || range === "unsatisfiable") return;
    assert.ok(Number.isInteger(range.start) && Number.isInteger(range.end));
    assert.ok(0 <= range.start && range.start < range.end && range.end <= size);
  }));
  fc.assert(fc.property(fc.string(), (text) => {
    const range = rangeOf(text, 10);
    assert.ok(range === undefined || range === "unsatisfiable" || range.start < range.end);
  }));
});

Deno.test("If-Range serves the range if the content is unchanged, else the whole file", async () => {
  const { etag } = await ask({});
  const table: [string, number, string][] = [
    [etag, 206, "0123"],
    [`"${"0".repeat(64)}"`, 200, "0123456789"],
    [`W/${etag}`, 200, "0123456789"],
    ["Sun, 15 Jun 2025 21:36:41 GMT", 200, "0123456789"],
    ["", 200, "0123456789"],
  ];
  for (const [ifRange, status, content] of table) {
    const { response, body } = await ask({ range: "bytes=0-3", "if-range": ifRange });
    assert.deepEqual([response.status, body], [status, content], ifRange);
  }
  const beyond = await ask({ range: "bytes=99-", "if-range": '"other"' });
  assert.equal(beyond.response.status, 200);
});

Deno.test("a client that already has this content gets 304 without content", async () => {
  const { etag } = await ask({});
  const other = `"${"0".repeat(64)}"`;
  for (const known of [etag, "*", `${other}, ${etag}`, `W/${etag}`]) {
    for (const method of ["GET", "HEAD"]) {
      const { response, body, get } = await ask({ "if-none-match": known }, method);
      assert.deepEqual([response.status, body, get("etag")], [304, "", etag], `${method} ${known}`);
    }
  }
  for (const known of [other, etag.slice(1, -1), "", "x"]) {
    assert.equal((await ask({ "if-none-match": known })).response.status, 200, known);
  }
});

Deno.test("content is always a sandboxed download, whatever its type", async () => {
  const page = new TextEncoder().encode("<script>alert(1)</script>");
  for (const name of ["a.html", "a.svg", "a.js", "a.pdf", "a"]) {
    const app = appWithFile(page, { name });
    for (const range of ["", "bytes=0-3"]) {
      const response = await app.request(app.path, { headers: { range } });
      await response.body?.cancel();
      assert.match(response.headers.get("content-disposition") ?? "", /^attachment; filename="/);
      assert.equal(response.headers.get("content-type"), "application/octet-stream");
      assert.equal(response.headers.get("x-content-type-options"), "nosniff");
      assert.match(response.headers.get("content-security-policy") ?? "", /^sandbox\b(?!.*allow)/);
      assert.match(response.headers.get("cache-control") ?? "", /private|no-store/);
    }
  }
});

Deno.test("an id that is malformed, unknown, or not held here is 404", async () => {
  const { request, opened } = appOver();
  const id = "a".repeat(64);
  const ids = [id, "a".repeat(63), "a".repeat(65), "A".repeat(64), "g".repeat(64), `${id}%0a`, "x"];
  ids.push(
    "..",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "%zz",
    "__proto__",
    "metadata.json",
    `${id}%2f`,
  );
  for (const each of ids) {
    for (const method of ["GET", "HEAD"]) {
      const response = await request(`/api/v1/files/${each}/content`, { method });
      await response.body?.cancel();
      assert.equal(response.status, 404, `${method} ${each}`);
    }
  }
  assert.deepEqual(opened, []);
});

Deno.test("a name cannot break out of its header", async () => {
  const table: [string, string, string][] = [
    ["plain.txt", "plain.txt", "plain.txt"],
    ['a"b.txt', "a_b.txt", "a%22b.txt"],
    ["a\r\nSet-Cookie: x=1", "a__Set-Cookie: x=1", "a%0D%0ASet-Cookie%3A%20x%3D1"],
    ["naïve – 😀.txt", "na_ve _ __.txt", "na%C3%AFve%20%E2%80%93%20%F0%9F%98%80.txt"],
    ["100%.txt", "100_.txt", "100%25.txt"],
    ["back\\slash", "back_slash", "back%5Cslash"],
    ["it's (1)*.txt", "it's (1)*.txt", "it%27s%20%281%29%2A.txt"],
    ["\ud800", "_", "%EF%BF%BD"],
    ["", "", ""],
  ];
  for (const [name, ascii, encoded] of table) {
    const header = `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`;
    assert.equal(attachment(name), header);
    const app = appWithFile(TEN, { name });
    const response = await app.request(app.path);
    await response.body?.cancel();
    assert.equal(response.headers.get("content-disposition"), header);
    assert.equal(response.headers.get("set-cookie"), null);
  }
});

Deno.test("any name yields one well-formed header that decodes to the same name", () => {
  const unit = fc.oneof(fc.nat(0x7f), fc.nat(0xffff), fc.integer({ min: 0xd800, max: 0xdfff }));
  fc.assert(fc.property(fc.array(unit, { maxLength: 80 }), (units) => {
    const name = String.fromCharCode(...units);
    const match = /^attachment; filename="([^"\\\r\n]*)"; filename\*=UTF-8''([\w.!#$&+^`|~%-]*)$/
      .exec(attachment(name));
    assert.ok(match, attachment(name));
    assert.ok(!/[^ -~]/.test(match[1]!));
    assert.equal(decodeURIComponent(match[2]!), name.toWellFormed());
  }));
});

Deno.test("content is closed once if the reader leaves midway", async () => {
  const app = appWithFile(new Uint8Array(1_000_000));
  const response = await app.request(app.path);
  const reader = response.body!.getReader();
  await reader.read();
  await reader.cancel();
  assert.equal(app.opened[0]?.closed, 1);
});

Deno.test("a file that shrank ends the response with an error, and is closed once", async () => {
  const app = appWithFile(new Uint8Array(1_000), {}, (content) => content.endsAt = 400);
  const response = await app.request(app.path);
  await assert.rejects(response.arrayBuffer(), /shrank/);
  assert.equal(app.opened[0]?.closed, 1);
});

Deno.test("a file that cannot be read ends the response with an error, and is closed once", async () => {
  const app = appWithFile(new Uint8Array(1_000_000), {}, (content) => content.failsAt = 300_000);
  const response = await app.request(app.path);
  await assert.rejects(response.arrayBuffer());
  assert.equal(app.opened[0]?.closed, 1);
});

Deno.test("an offset that cannot be reached is an error, and the file is closed once", async () => {
  const app = appWithFile(TEN, {}, (content) => {
    content.seek = () => {
      throw new Error("Illegal seek");
    };
  });
  const response = await app.request(app.path);
  await response.body?.cancel();
  assert.equal(response.status, 500);
  assert.equal(app.opened[0]?.closed, 1);
});
