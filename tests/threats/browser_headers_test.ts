// Threat 32 in docs/SECURITY-TESTS.md, headers in and out: names that try to end a header, endless ranges, and invalid
// file ids. Responses are read as raw bytes, so that an injected header is noticed.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { forEachOf, SANITIZED } from "../process/together.ts";
import { bring, dataOf, entryOf, randomFile, Source } from "./scene.ts";
import {
  type Answer,
  ask,
  bearer,
  bytesOf,
  filesOf,
  headerOf,
  headersOf,
  tokenOf,
  upload,
} from "./web.ts";
import { World } from "./world.ts";

/** Names that try to inject headers, and names that a header cannot contain unencoded. */
const NAMES = [
  "a\r\nX-Injected: yes.txt",
  "a\r\n\r\n<script>alert(1)</script>",
  "a\nX-Injected: yes",
  "a\rX-Injected: yes",
  "a\u2028X-Injected: yes\u2029",
  "a\u0085X-Injected: yes",
  "a\u560d\u560aX-Injected: yes", // CR and LF where only the low bytes are kept
  "a\0b.txt",
  "a\tb\x7f\x1b[31m.txt",
  'a".html; x="b',
  'a\\"; filename=b.html; x="',
  "a'; filename*=UTF-8''b.html",
  "a%0d%0aX-Injected: yes",
  "a%22%00.txt",
  "Grüße, ☃ und 漢字 🎲.txt",
  "\u202Egnp.exe",
  "=?utf-8?b?eA==?=",
  " x ",
  ";",
  "é".repeat(100),
];

/** Returns the name that a browser would save the file under, by RFC 6266 and RFC 8187. */
function nameOf(answer: Answer): string {
  const value = headerOf(answer, "content-disposition");
  const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
  const parameters = new RegExp(`; *(${token}) *= *("(?:[^"\\\\]|\\\\.)*"|${token})`, "gy");
  match(value, /^attachment;/);
  let at = "attachment".length;
  const found = new Map<string, string>();
  for (const [all, name, text] of value.slice(at).matchAll(parameters)) {
    at += all.length;
    ok(!found.has(name!), `${name} appears twice in ${value}`);
    found.set(name!, text!);
  }
  strictEqual(at, value.length, `Unexpected text after the parameters of ${value}`);
  deepStrictEqual([...found.keys()].filter((name) => !/^filename\*?$/.test(name)), [], value);
  match(value, /^[\x20-\x7e]*$/);
  const [, encoded] = /^UTF-8''((?:[!#$&+.^_`|~0-9A-Za-z-]|%[0-9A-F]{2})+)$/i
    .exec(found.get("filename*") ?? "") ?? [];
  ok(encoded !== undefined, value);
  return decodeURIComponent(encoded);
}

Deno.test(
  "threat 32: a name yields exactly one header, encoded per RFC 8187, wherever the name came from",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program, honest } = world;
    const token = await tokenOf(program);
    for (const name of NAMES) {
      const encoded = encodeURIComponent(name);
      const content = () => crypto.randomUUID();
      const octets = { ...bearer(token), "Content-Type": "application/octet-stream" };
      const doors = [
        { method: "POST", path: `/api/v1/files?name=${encoded}`, headers: octets, body: content() },
        {
          method: "PUT",
          path: `/api/v1/files/by-name/${encoded}`,
          headers: octets,
          body: content(),
        },
        {
          method: "POST",
          path: "/api/upload",
          headers: { ...octets, "X-File-Name": encoded },
          body: content(),
        },
        {
          method: "POST",
          path: "/api/v1/files",
          headers: { ...bearer(token), "Content-Type": "multipart/form-data; boundary=b" },
          body: "--b\r\nContent-Disposition: form-data; name=file; " +
            `filename*=UTF-8''${encoded}\r\n\r\n${content()}\r\n--b--\r\n`,
        },
      ];
      for (const asked of doors) {
        const answer = await ask(program, asked);
        ok([200, 201, 400].includes(answer.status), `${asked.path}: ${answer.status}`);
        deepStrictEqual(headersOf(answer, "x-injected"), [], answer.head);
      }
      // The attacker's own route, a push over the protocol, which needs no login.
      await bring(program, dataOf(randomFile(name, "x")));
    }
    await honest.push(); // once this is done, everything before it has been handled
    const rows = await program.files();
    ok(rows.length > NAMES.length);
    await forEachOf(rows, async ({ file_id: fileId, file_name: shown }) => {
      for (const method of ["GET", "HEAD"]) {
        const answer = await ask(program, { method, path: `/api/v1/files/${fileId}/content` });
        strictEqual(answer.status, 200, shown);
        deepStrictEqual(headersOf(answer, "x-injected"), [], answer.head);
        const name = nameOf(answer);
        ok(!/[/\\]/.test(name), JSON.stringify(name));
        if (/^[\p{L}\p{N} .,;=]+$/u.test(shown) && shown === shown.trim()) strictEqual(name, shown);
      }
    });
    const names = rows.map(({ file_name: name }) => name);
    ok(names.includes("Grüße, ☃ und 漢字 🎲.txt"), names.join("\n"));
    await honest.gossip();
  },
);

const LENGTH = 2_000;
const many = (range: (i: number) => string) =>
  `bytes=${Array.from({ length: 1_000 }, (_, i) => range(i)).join(",")}`;

const RANGES: readonly string[] = [
  ...[many((i) => `${i}-${i}`), many(() => "0-"), many(() => "-1"), many((i) => `${i}-`)],
  ...[many((i) => `${999 - i}-${1999 - i}`), "bytes=0-0,1-1", "bytes=0-99,50-149", "bytes=-1,0-"],
  ...["bytes=5-2", "bytes=1999-0", "bytes=2000-", "bytes=2000-2000", "bytes=9999-99999"],
  ...["bytes=-0", "bytes=-", "bytes=--5", "bytes=5--5", "bytes=-5-10", "bytes=", "bytes=,", ""],
  ...["bytes=0-99999999999999999999999999", "bytes=99999999999999999999999999-", "bytes=1e3-"],
  ...["bytes=9007199254740993-9007199254740995", "bytes=-99999999999999999999", "bytes=0x1-0x5"],
  ...["bytes=1.5-3", "bytes=+1-3", "bytes=a-b", "bytes=1-b", "bytes=NaN-", "bytes=-Infinity"],
  ...["items=0-5", "bits=0-5", "bytes", "bytes 0-5", "0-5", "bytes=0-5;x", "bytes=0-5-7"],
  ...["bytes = 0-5", "bytes=0 - 5", "bytes=0-5,", "BYTES=0-5", `bytes=${" ".repeat(9_000)}0-5`],
  ...[`bytes=${"0".repeat(5_000)}1-5`, "bytes=0-\u0665", "bytes=\uff11-\uff15"],
];
/** Valid single ranges, which must be served exactly. */
const GOOD: readonly (readonly [string, number, number])[] = [
  ["bytes=0-0", 0, 1],
  ["bytes=10-19", 10, 20],
  ["bytes=1990-", 1990, LENGTH],
  ["bytes=-10", 1990, LENGTH],
  ["bytes=1999-1999", 1999, LENGTH],
];

/** Checks that a response is the whole file, one part whose Content-Range is correct, or an error. */
function assertPart(answer: Answer, content: Uint8Array, range: string): void {
  const what = `${range.slice(0, 100)}: ${answer.head}`;
  ok([200, 206, 400, 416].includes(answer.status), what);
  ok(!headersOf(answer, "content-type").some((type) => /multipart/i.test(type)), what);
  const body = bytesOf(answer.body);
  if (answer.status === 200) return deepStrictEqual(body, content, what);
  if (answer.status === 400) return ok(body.length < 1_000, what);
  const found = headerOf(answer, "content-range");
  if (answer.status === 416) return strictEqual(found, `bytes */${content.length}`, what);
  const [, first, last] = new RegExp(`^bytes (\\d+)-(\\d+)/${content.length}$`).exec(found) ?? [];
  ok(last !== undefined && Number(last) < content.length, what);
  deepStrictEqual(body, content.subarray(Number(first), Number(last) + 1), what);
}

Deno.test(
  "threat 32: multiple, overlapping, reversed, and endless ranges are answered with 200 or 416, and with the right bytes",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program, honest } = world;
    const content = crypto.getRandomValues(new Uint8Array(LENGTH));
    const path = `/api/v1/files/${await upload(
      program,
      await tokenOf(program),
      "x.bin",
      content,
    )}/content`;
    for (const [range, first, end] of GOOD) {
      const answer = await ask(program, { path, headers: { Range: range } });
      strictEqual(answer.status, 206, range);
      assertPart(answer, content, range);
      deepStrictEqual(bytesOf(answer.body), content.slice(first, end), range);
    }
    await forEachOf(RANGES, async (range) => {
      for (const method of ["GET", "HEAD"]) {
        const answer = await ask(program, { method, path, headers: { Range: range } });
        if (method === "GET") assertPart(answer, content, range);
        else strictEqual(answer.body, "", range);
        if (range.includes(",") && /\d,|,\d/.test(range)) {
          // A trailing comma still leaves a single range.
          if (range !== "bytes=0-5,") ok([200, 416].includes(answer.status), range.slice(0, 99));
        }
      }
    });
    const etags = ['"x"', 'W/"x"', "Thu, 01 Jan 1970 00:00:00 GMT", "*", "x".repeat(5_000)];
    for (const ifRange of etags) {
      const headers = { Range: "bytes=0-4", "If-Range": ifRange };
      const answer = await ask(program, { path, headers });
      assertPart(answer, content, ifRange);
      strictEqual(answer.status, 200, ifRange);
    }
    const twice = "bytes=0-1\r\nRange: bytes=5-9";
    assertPart(await ask(program, { path, headers: { Range: twice } }), content, twice);
    await honest.gossip();
  },
);

Deno.test(
  "threat 32: anything but 64 lowercase hex digits is no file on any route, even if it looks like one",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program, honest } = world;
    const token = await tokenOf(program);
    const here = await upload(program, token, "here.txt", "here");
    const gone = await upload(program, token, "gone.txt", "gone");
    await ask(program, {
      method: "DELETE",
      path: `/api/v1/files/${gone}`,
      headers: bearer(token),
    });
    await using source = await Source.start("elsewhere", (socket) => socket.end());
    const file = randomFile("elsewhere.bin", "elsewhere");
    await source.join(program, [entryOf(file)]);
    await program.until(
      "its file to be known",
      async () => (await world.listed()).has(file.fileId),
    );
    const state = async () => [
      await program.files(),
      await program.api("files/deleted"),
      // Metadata that is being written passes through this folder.
      new Map([...filesOf(world)].filter(([path]) => !path.includes("/temporary/"))),
    ];
    const before = await state();
    const spoiled = (id: string) => [
      id.replace(/[a-f]/, (letter) => letter.toUpperCase()),
      id.toUpperCase(),
      id.slice(1),
      id.slice(0, -1),
      `${id}0`,
      `0${id}`,
      `${id}%0a`,
      `${id}%0d%0a`,
      `%0a${id}`,
      `${id}%20`,
      `%20${id}`,
      `${id}%00`,
      `${id}.txt`,
      `${id}%2f`,
      `.%2f${id}`,
      `x%2f..%2f${id}`,
      `${id};x`,
      `0x${id}`,
      `${id.slice(0, -1)}g`,
      id.replace(/\d/, (digit) => encodeURIComponent(String.fromCharCode(0xff10 + Number(digit)))),
      ...["*", "%", "__proto__", "constructor", "here.txt", "0", "-1", "%7Bid%7D"],
    ];
    const routes = [
      ...spoiled(here).flatMap((id) => [
        { path: `/api/v1/files/${id}` },
        { path: `/api/v1/files/${id}/content` },
        { method: "DELETE", path: `/api/v1/files/${id}` },
      ]),
      ...spoiled(gone).map((id) => ({ method: "POST", path: `/api/v1/files/${id}/restore` })),
      ...spoiled(file.fileId).map((id) => ({ method: "POST", path: `/api/v1/files/${id}/fetch` })),
    ];
    const wrong: string[] = [];
    await forEachOf(routes, async (asked) => {
      const { status } = await ask(program, { ...asked, headers: bearer(token) });
      // A lone percent sign does not form a valid path.
      const isPath = !asked.path.split("/").includes("%");
      if (status !== 404 && (isPath || status !== 400)) {
        wrong.push(`${asked.method ?? "GET"} ${asked.path}: ${status}`);
      }
    });
    deepStrictEqual(wrong, []);
    strictEqual(source.asked(file.fileId), 0);
    deepStrictEqual(await state(), before);
    await honest.gossip();
  },
);
