// Conditional requests, ranges, and digests, following RFC 9110 (8.6, 8.8, 13, 14) and RFC 9530 sentence by sentence.

import assert from "node:assert/strict";
import { httpDate } from "../../web/preconditions.ts";
import { appOver, appWithFile, BEARER, fileOf, type Made, NOW } from "./fixture.ts";

const TEN = new TextEncoder().encode("0123456789");
/** The content's date in the three formats of an HTTP date (RFC 9110, 5.6.7), and a second before and after. */
const SECONDS = 784_111_777;
const FORMS = [
  "Sun, 06 Nov 1994 08:49:37 GMT",
  "Sunday, 06-Nov-94 08:49:37 GMT",
  "Sun Nov  6 08:49:37 1994",
];
const BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT";
const AFTER = "Sun, 06 Nov 1994 08:49:38 GMT";
const made = () => appWithFile(TEN, { timestamp: { text: String(SECONDS), quoted: false } });
const etag = `"${made().file.fileId}"`;

async function ask(headers: Record<string, string>, method = "GET") {
  const app = made();
  const response = await app.request(app.path, { method, headers });
  const body = await response.text();
  assert.deepEqual(app.opened.map(({ closed }) => closed), [1], "closed once");
  return { status: response.status, body, headers: response.headers };
}

const statusOf = async (headers: Record<string, string>) => (await ask(headers)).status;

Deno.test("an HTTP date has three formats, all in UTC, and nothing else is accepted", () => {
  for (const form of FORMS) assert.equal(httpDate(form, NOW), SECONDS, form);
  assert.equal(httpDate("Sun Nov 16 08:49:37 1994", NOW), SECONDS + 10 * 86_400);
  assert.equal(httpDate("Sat, 31 Dec 2016 23:59:60 GMT", NOW), 1_483_228_800, "a leap second");
  // NOW is in 2025: two-digit years up to 50 years ahead are in the future.
  const years = [["75", 2075], ["76", 1976], ["25", 2025], ["24", 2024], ["00", 2000]] as const;
  for (const [short, year] of years) {
    const text = `Sunday, 06-Nov-${short} 08:49:37 GMT`;
    assert.equal(new Date(httpDate(text, NOW)! * 1000).getUTCFullYear(), year, text);
  }
  const none = ["", "0", "2025", "784111777", "1994-11-06T08:49:37Z", "Nov 6, 1994", "yesterday"];
  none.push("Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 +0000");
  none.push(
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 06 nov 1994 08:49:37 GMT",
    `${FORMS[0]}, ${FORMS[0]}`,
  );
  none.push(
    "Sun, 31 Feb 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
  );
  none.push(
    "Sun, 06 Abc 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:60:00 GMT",
    "Sun, 06 Nov 1994 08:49:61 GMT",
  );
  for (const text of none) assert.equal(httpDate(text, NOW), undefined, text);
});

Deno.test("If-None-Match: a list of tags that may contain commas, compared weakly (13.1.2)", async () => {
  const same = [
    etag,
    `W/${etag}`,
    `"a,b", ${etag}`,
    `"x" ,, ${etag} ,`,
    `,${etag}`,
    `"a",W/${etag}`,
  ];
  same.push("*", " * ", `"\\",${etag}`); // a backslash escapes nothing in a tag
  for (const header of same) {
    for (const method of ["GET", "HEAD"]) {
      assert.equal((await ask({ "if-none-match": header }, method)).status, 304, header);
    }
  }
  const other = ['"a,*,b"', `"${etag.slice(1, -1)},x"`, `"x,${etag.slice(1, -1)}"`, `w/${etag}`];
  other.push(
    "**",
    `*, ${etag}`,
    `${etag}, x`,
    `${etag} "x"`,
    `${etag}x`,
    `W/ ${etag}`,
    etag.toUpperCase(),
    '""',
  );
  for (const header of other) {
    assert.equal(await statusOf({ "if-none-match": header }), 200, header);
  }
});

Deno.test("If-Match: compared strongly, and a malformed list matches nothing (13.1.1)", async () => {
  for (const header of [etag, "*", `"a,b", ${etag}`, `W/"x", ${etag}`]) {
    assert.equal(await statusOf({ "if-match": header }), 200, header);
  }
  const other = [`W/${etag}`, '"a,*,b"', '"x"', "", etag.slice(1, -1), `${etag};x`, `${etag}, x`];
  for (const header of other) assert.equal(await statusOf({ "if-match": header }), 412, header);
});

Deno.test("dates: an equal date means not modified, an earlier one modified, and an invalid one is ignored", async () => {
  for (const form of [...FORMS, AFTER]) {
    assert.equal(await statusOf({ "if-modified-since": form }), 304, form);
    assert.equal(await statusOf({ "if-unmodified-since": form }), 200, form);
  }
  assert.equal(await statusOf({ "if-modified-since": BEFORE }), 200);
  assert.equal(await statusOf({ "if-unmodified-since": BEFORE }), 412);
  // `Date.parse` would accept these as dates, some long after and some long before the content's.
  for (const text of ["2099", "2099-01-01", "1", "Jan 1, 1970", `${FORMS[0]}, ${AFTER}`]) {
    assert.equal(await statusOf({ "if-modified-since": text }), 200, text);
    assert.equal(await statusOf({ "if-unmodified-since": text }), 200, text);
  }
});

Deno.test("tags take precedence over dates, and conditions over ranges (13.2.2)", async () => {
  const far = { range: "bytes=99-" };
  const table: [Record<string, string>, number][] = [
    [{ "if-match": etag, "if-unmodified-since": BEFORE }, 200],
    [{ "if-match": '"x"', "if-unmodified-since": AFTER }, 412],
    [{ "if-none-match": '"x"', "if-modified-since": AFTER }, 200],
    [{ "if-none-match": etag, "if-modified-since": BEFORE }, 304],
    [{ "if-match": '"x"', "if-none-match": etag }, 412],
    [{ "if-match": etag, "if-none-match": etag }, 304],
    [{ ...far, "if-none-match": etag }, 304],
    [{ ...far, "if-match": '"x"' }, 412],
    [{ ...far, "if-match": etag }, 416],
    [{ range: "bytes=0-3", "if-none-match": '"x"' }, 206],
  ];
  for (const [headers, status] of table) {
    assert.equal(await statusOf(headers), status, JSON.stringify(headers));
  }
});

Deno.test("If-Range: this strong tag or exact date, else the whole file; ignored without Range (13.1.5)", async () => {
  for (const same of [etag, ...FORMS]) {
    assert.equal(await statusOf({ range: "bytes=0-3", "if-range": same }), 206, same);
    assert.equal(await statusOf({ range: "bytes=99-", "if-range": same }), 416, same);
    assert.equal(await statusOf({ "if-range": same }), 200, same);
  }
  for (
    const other of [
      `W/${etag}`,
      '"x"',
      BEFORE,
      AFTER,
      "*",
      `${etag}, "x"`,
      "1994-11-06T08:49:37Z",
      "",
    ]
  ) {
    assert.equal(await statusOf({ range: "bytes=0-3", "if-range": other }), 200, other);
    assert.equal(await statusOf({ range: "bytes=99-", "if-range": other }), 200, other);
  }
});

Deno.test("a range may end far past the end, however large the number (14.1.2)", async () => {
  const max = "9223372036854775807";
  const table: [string, number, string][] = [
    [`bytes=0-${max}`, 206, "0123456789"],
    [`bytes=7-${"9".repeat(100)}`, 206, "789"],
    [`bytes=-${max}`, 206, "0123456789"],
    ["bytes=000000000000000000000001-2", 206, "12"],
    [`bytes=${max}-`, 416, ""],
    ["bytes=,0-3,", 206, "0123"],
    ["bytes= ,\t0-3", 206, "0123"],
    ["bytes=0-3,5-6", 200, "0123456789"],
    ["bytes=0-3,99-", 200, "0123456789"],
    [`bytes=0-${"9".repeat(400)}`, 200, "0123456789"],
  ];
  for (const [range, status, content] of table) {
    const { status: found, body, headers } = await ask({ range });
    assert.equal(found, status, range.slice(0, 40));
    if (status === 416) assert.equal(headers.get("content-range"), "bytes */10");
    else assert.equal(body, content, range.slice(0, 40));
  }
});

Deno.test("a 304 has only the headers that update a cached copy (15.4.5); a 206 has all those of a 200", async () => {
  const whole = (await ask({})).headers;
  const { headers } = await ask({ "if-none-match": etag });
  for (const name of ["etag", "cache-control"]) {
    assert.equal(headers.get(name), whole.get(name), name);
    assert.ok(headers.get(name));
  }
  for (const name of ["content-type", "content-length", "content-disposition", "repr-digest"]) {
    assert.equal(headers.get(name), null, name);
    assert.ok(whole.get(name), name);
  }
  const part = (await ask({ range: "bytes=0-3" })).headers;
  for (const name of ["etag", "cache-control", "content-type", "last-modified", "accept-ranges"]) {
    assert.equal(part.get(name), whole.get(name), name);
  }
  assert.equal(whole.get("last-modified"), FORMS[0]);
  assert.equal(whole.get("accept-ranges"), "bytes");
});

Deno.test("digests: Repr-Digest covers the whole file in every response, Content-Digest is sent only for all of it (RFC 9530)", async () => {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", TEN)).toBase64();
  const table: [Record<string, string>, string, string | null][] = [
    [{}, "GET", `sha-256=:${hash}:`],
    [{}, "HEAD", `sha-256=:${hash}:`],
    [{ range: "bytes=2-5" }, "GET", null],
    // A range that covers the whole file still looks like a part to clients that read only the headers.
    [{ range: "bytes=0-9" }, "GET", null],
  ];
  for (const [asked, method, content] of table) {
    const { headers } = await ask(asked, method);
    assert.equal(headers.get("repr-digest"), `sha-256=:${hash}:`);
    assert.equal(headers.get("digest"), `SHA-256=${hash}`, "for aria2, which supports no other");
    assert.equal(headers.get("content-digest"), content);
  }
  const { headers } = await ask({ range: "bytes=99-" });
  assert.equal(headers.get("repr-digest"), null, "an error is not the file");
});

Deno.test("a failed condition prevents the change (13.1.1, 13.1.2)", async () => {
  const file = fileOf();
  const id = `"${file.fileId}"`;
  const change = async (
    [method, path]: readonly [string, string],
    headers: Record<string, string>,
  ) => {
    const app: Made = appOver({ files: [{ file, held: true, holders: ["us"] }] });
    const body = method === "PUT" ? "content" : undefined;
    const response = await app.request(path, {
      method,
      headers: { ...BEARER, ...headers },
      body: body ?? null,
    });
    await response.body?.cancel();
    return [response.status, app.done.length];
  };
  const remove = ["DELETE", `/api/v1/files/${file.fileId}`] as const;
  const put = ["PUT", "/api/v1/files/by-name/b.txt"] as const;
  const table: [readonly [string, string], Record<string, string>, number][] = [
    [remove, { "if-match": id }, 200],
    [remove, { "if-match": "*" }, 200],
    [remove, { "if-none-match": '"x"' }, 200],
    [remove, { "if-match": `W/${id}` }, 412],
    [remove, { "if-match": '"x"' }, 412],
    [remove, { "if-none-match": "*" }, 412],
    [remove, { "if-none-match": id }, 412],
    [put, { "if-none-match": "*" }, 201],
    [put, { "if-match": "*" }, 412],
    [put, { "if-match": id }, 412],
  ];
  for (const [what, headers, status] of table) {
    const done = status < 300 ? 1 : 0;
    assert.deepEqual(
      await change(what, headers),
      [status, done],
      `${what} ${JSON.stringify(headers)}`,
    );
  }
});

Deno.test("responses that depend on the user are not for shared caches, and every 401 has a challenge", async () => {
  const app = appOver({ options: { isPrivate: true } });
  for (const path of ["/", "/api/v1/status", "/api/list", "/metrics"]) {
    const response = await app.request(path);
    await response.body?.cancel();
    assert.equal(response.status, 401, path);
    assert.match(response.headers.get("www-authenticate") ?? "", /^Bearer /, path);
    const seen = await app.request(path, { headers: BEARER });
    await seen.body?.cancel();
    assert.match(seen.headers.get("cache-control") ?? "", /\bprivate\b/, path);
  }
});
