// The head of a request as the door reads it: what may stand in it, and how long the body behind it is.

import assert from "node:assert/strict";
import { BadHead, endOfHead, requestHead } from "../../door/head.ts";

const read = (...lines: string[]) => requestHead(lines.join("\r\n") + "\r\n\r\n", "x: 1");

Deno.test("the end of a head is found wherever the bytes were cut", () => {
  const bytes = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET");
  const end = bytes.length - 3;
  for (let cut = 0; cut <= bytes.length; cut++) {
    const found = endOfHead(bytes.subarray(0, cut), 0);
    assert.equal(found, cut >= end ? end : -1, `cut at ${cut}`);
    assert.equal(endOfHead(bytes, Math.min(cut, end - 1)), end, `searched up to ${cut}`);
  }
});

Deno.test("a request without a length has no body, and gets its line behind the first", () => {
  assert.deepEqual(read("GET /a HTTP/1.1", "Host: h"), {
    body: 0,
    text: "GET /a HTTP/1.1\r\nx: 1\r\nHost: h\r\n\r\n",
  });
});

Deno.test("the body is as long as Content-Length says, in any case of letters", () => {
  assert.equal(read("PUT /a HTTP/1.1", "content-LENGTH:\t 5368709120 ").body, 5_368_709_120);
});

Deno.test("behind a chunked body nothing follows, and the server is told so", () => {
  const head = read("PUT /a HTTP/1.1", "Connection: keep-alive", "Transfer-Encoding: chunked");
  assert.equal(head.body, "until-end");
  assert.match(head.text, /\r\nconnection: close\r\n/);
  assert.doesNotMatch(head.text, /keep-alive/);
});

Deno.test("what can be read in two ways is refused", () => {
  const bad: string[][] = [
    ["GET /a HTTP/1.1", "Content-Length: 3", "Content-Length: 3"],
    ["GET /a HTTP/1.1", "Content-Length: 3", "Transfer-Encoding: chunked"],
    ["GET /a HTTP/1.1", "Content-Length: +3"],
    ["GET /a HTTP/1.1", "Content-Length: 3, 3"],
    ["GET /a HTTP/1.1", "Content-Length:"],
    ["GET /a HTTP/1.1", "Content-Length: 0x3"],
    ["GET /a HTTP/1.1", "Content-Length: 9999999999999999"],
    ["GET /a HTTP/1.1", "Content-Length : 3"],
    ["GET /a HTTP/1.1", "Host: h", " folded"],
    ["GET /a HTTP/1.1", "no colon"],
    ["GET /a b HTTP/1.1"],
    ["PRI * HTTP/2.0"],
    ["GET /a HTTP/1.1\nHost: h"],
    ["GET /a"],
    [""],
  ];
  for (const lines of bad) assert.throws(() => read(...lines), BadHead, JSON.stringify(lines));
});
