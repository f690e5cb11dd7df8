// The head of a request as the gateway reads it: what it may contain, and how long the body after it is.

import assert from "node:assert/strict";
import { BadHead, ChunkedBody, endOfHead, requestHead } from "../../http/request_head.ts";

const readAll = (lines: string[]) => requestHead(lines.join("\r\n") + "\r\n\r\n", "x: 1");
const read = (first: string, ...lines: string[]) => readAll([first, "Host: h", ...lines]);

Deno.test("the end of a head is found wherever the bytes are split", () => {
  const bytes = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET");
  const end = bytes.length - 3;
  for (let cut = 0; cut <= bytes.length; cut++) {
    const found = endOfHead(bytes.subarray(0, cut), 0);
    assert.equal(found, cut >= end ? end : -1, `cut at ${cut}`);
    assert.equal(endOfHead(bytes, Math.min(cut, end - 1)), end, `searched up to ${cut}`);
  }
});

Deno.test("a request without a length has no body, and the line is added after the first one", () => {
  assert.deepEqual(read("GET /a HTTP/1.1", "Accept: */*"), {
    body: 0,
    text: "GET /a HTTP/1.1\r\nx: 1\r\nHost: h\r\nAccept: */*\r\n\r\n",
  });
});

Deno.test("the body is as long as Content-Length says, in upper or lower case", () => {
  assert.equal(read("PUT /a HTTP/1.1", "content-LENGTH:\t 5368709120 ").body, 5_368_709_120);
});

Deno.test("nothing follows a chunked body, and the server is told so", () => {
  const head = read("PUT /a HTTP/1.1", "Connection: keep-alive", "Transfer-Encoding: chunked");
  assert.equal(head.body, "chunked");
  assert.match(head.text, /\r\nconnection: close\r\n/);
  assert.doesNotMatch(head.text, /keep-alive/);
});

Deno.test("a head that can be read in two ways is refused", () => {
  const bad: [string, ...string[]][] = [
    ["GET /a HTTP/1.1", "Content-Length: 3", "Content-Length: 3"],
    ["GET /a HTTP/1.1", "Content-Length: 3", "Transfer-Encoding: chunked"],
    ["GET /a HTTP/1.1", "Content-Length: +3"],
    ["GET /a HTTP/1.1", "Content-Length: 3, 3"],
    ["GET /a HTTP/1.1", "Content-Length:"],
    ["GET /a HTTP/1.1", "Content-Length: 0x3"],
    ["GET /a HTTP/1.1", "Content-Length: 9999999999999999"],
    ["GET /a HTTP/1.1", "Content-Length : 3"],
    ["GET /a HTTP/1.1", "Accept: a", " folded"],
    ["GET /a HTTP/1.1", "no colon"],
    ["GET /a b HTTP/1.1"],
    ["PRI * HTTP/2.0"],
    ["GET /a HTTP/1.1\nAccept: a"],
    ["GET /a"],
    [""],
  ];
  for (const lines of bad) assert.throws(() => read(...lines), BadHead, JSON.stringify(lines));
});

Deno.test("a request names its host exactly once (RFC 9112, 3.2); an HTTP/1.0 request need not", () => {
  assert.throws(() => readAll(["GET / HTTP/1.1", "Accept: */*"]), BadHead);
  assert.throws(() => readAll(["GET / HTTP/1.1", "Host: a", "host: b"]), BadHead);
  assert.throws(() => readAll(["GET / HTTP/1.0", "Host: a", "Host: a"]), BadHead);
  assert.equal(readAll(["GET / HTTP/1.0", "Accept: */*"]).body, 0);
});

Deno.test("a chunked body ends after its last chunk and its trailers, however it is split", () => {
  const bodies = [
    "0\r\n\r\n",
    "3\r\nabc\r\n0\r\n\r\n",
    "a;name=value\r\n0\r\n\r\n12345\r\n00\r\nTrailer: x\r\n\r\n",
  ];
  for (const body of bodies) {
    const bytes = new TextEncoder().encode(body);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const chunks = new ChunkedBody();
      chunks.push(bytes.subarray(0, cut));
      assert.equal(chunks.isOver, cut === bytes.length, `${body} at ${cut}`);
      chunks.push(bytes.subarray(cut));
      assert.equal(chunks.isOver, true);
    }
  }
});

Deno.test("an invalid chunked body never ends here, and uses no memory", () => {
  for (
    const body of ["zz\r\nabc\r\n0\r\n\r\n", "-1\r\n\r\n", "x".repeat(100_000), "fffffffffffff\r\n"]
  ) {
    const chunks = new ChunkedBody();
    chunks.push(new TextEncoder().encode(body));
    chunks.push(new TextEncoder().encode("0\r\n\r\n"));
    assert.equal(chunks.isOver, false, body.slice(0, 20));
  }
});
