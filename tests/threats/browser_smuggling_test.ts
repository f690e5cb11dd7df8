// Threat 32 in docs/SECURITY-TESTS.md, request smuggling: requests whose boundaries two readers could see differently. None is
// answered twice, nothing hidden in a body is executed, and the next request on another connection is answered as usual.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Raw } from "../hostile/raw.ts";
import { forEachOf, SANITIZED } from "../process/together.ts";
import { ask, type Asked, bearer, headText, tokenOf, webOf } from "./web.ts";
import { World } from "./world.ts";

/** Returns requests that a careless reader would take for two. `hidden` is a complete one that would plant a file. */
function ambiguous(host: string, hidden: string): Record<string, string> {
  const open = `POST /api/v1/status HTTP/1.1\r\nHost: ${host}\r\n`;
  const chunked = "Transfer-Encoding: chunked\r\n";
  const length = (text: string | number) => `Content-Length: ${text}\r\n`;
  const { length: all } = hidden;
  const shapes: Record<string, string> = {
    "two lengths, the first zero": `${open}${length(0)}${length(all)}\r\n${hidden}`,
    "two lengths, the last zero": `${open}${length(all)}${length(0)}\r\n${hidden}`,
    "two lengths in one line": `${open}${length(`0, ${all}`)}\r\n${hidden}`,
    "a length and chunks": `${open}${length(all + 5)}${chunked}\r\n0\r\n\r\n${hidden}`,
    "chunks and a length": `${open}${chunked}${length(all + 5)}\r\n0\r\n\r\n${hidden}`,
    "chunks and a zero length": `${open}${chunked}${length(0)}\r\n${hidden}`,
    "HTTP/1.0 with chunks": `${open.replace("1.1", "1.0")}${chunked}\r\n0\r\n\r\n${hidden}`,
    "a bare line feed": `${open}X: y\n${length(0)}\r\n${hidden}`,
    "bare line feeds only": `${open}${length(0)}\r\n`.replaceAll("\r", "") + hidden,
    "a bare carriage return": `${open}X: y\r${length(all)}\r\n${hidden}`,
    "a folded header": `${open}X: y\r\n ${length(all)}\r\n${hidden}`,
    "a folded first header": `POST / HTTP/1.1\r\n Host: ${host}\r\n${length(0)}\r\n${hidden}`,
    "a folded length": `${open}Content-Length:\r\n 0\r\n\r\n${hidden}`,
    "a space before the colon": `${open}Content-Length : 0\r\n\r\n${hidden}`,
    "a tab before the colon": `${open}Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n${hidden}`,
    "a header without a name": `${open}: x\r\n\r\n${hidden}`,
    "a header without a colon": `${open}Content-Length 0\r\n\r\n${hidden}`,
    "a NUL in a name": `${open}Content\0-Length: 0\r\n\r\n${hidden}`,
    "a NUL in a value": `${open}X: a\0b\r\n\r\n${hidden}`,
    "a chunk size beyond 64 bits": `${open}${chunked}\r\n10000000000000000\r\n${hidden}`,
    "a chunk without a size": `${open}${chunked}\r\n\r\n${hidden}`,
    "a chunk with a negative size": `${open}${chunked}\r\n-1\r\n${hidden}`,
    "a chunk of 0x0": `${open}${chunked}\r\n0x0\r\n\r\n${hidden}`,
    "a chunk that ends late": `${open}${chunked}\r\n1\r\nab\r\n0\r\n\r\n${hidden}`,
    "a bare line feed after a chunk size": `${open}${chunked}\r\n1;a=b\nx\r\n0\r\n\r\n${hidden}`,
    "no host": `POST /api/v1/status HTTP/1.1\r\n${length(0)}\r\n`,
    "two hosts": `${open}Host: ${host}\r\n${length(0)}\r\n${hidden}`,
    "an invalid version": `${open.replace("1.1", "1.9\x0b")}${length(0)}\r\n${hidden}`,
    "no version": `GET /api/v1/status\r\n\r\n${hidden}`,
    "the preface of HTTP/2": `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${hidden}`,
    "CONNECT to tunnel elsewhere": `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
  };
  const values = ["+0", "-0", "-1", "0x0", "0 0", "0_0", "1e1", "", "NaN", "0;", "'0'", "\x0b0"];
  for (const value of [...values, "9".repeat(30), `${2 ** 64 + 1}`]) {
    shapes[`a length of ${value}`] = `${open}${length(value)}\r\n${hidden}`;
  }
  const codings = [
    "xchunked",
    "chunked, identity",
    "identity",
    "identity, chunked",
    "chunked, chunked",
  ];
  for (
    const coding of [...codings, "gzip, chunked", "\x0bchunked", "chunked\x0b", '"chunked"', ""]
  ) {
    shapes[`a coding of ${coding}`] = `${open}Transfer-Encoding: ${coding}\r\n` +
      `${length(5)}\r\n0\r\n\r\n${hidden}`;
    shapes[`chunks and a coding of ${coding}`] = `${open}${chunked}Transfer-Encoding: ${coding}` +
      `\r\n\r\n0\r\n\r\n${hidden}`;
  }
  return shapes;
}

const answersIn = (text: string): number => text.match(/HTTP\/1\.[01] \d{3}/g)?.length ?? 0;

/** Returns a valid request that plants a file. */
const planting = (world: World, token: string, name: string): string =>
  headText(world.program, {
    method: "PUT",
    path: `/api/v1/files/by-name/${name}`,
    headers: { ...bearer(token), "Content-Length": "7" },
  }) + "planted";

/** Checks that nothing was planted and that valid requests still work. */
async function goesOn(world: World, token: string): Promise<void> {
  const { program, honest } = world;
  const names = (await program.files()).map(({ file_name: name }) => name);
  deepStrictEqual(names.filter((name) => name.startsWith("smuggled")), []);
  const answer = await ask(program, { path: "/healthz" });
  deepStrictEqual([answer.status, answer.body], [200, '{"status":"ok"}']);
  // The same request succeeds when it is not hidden, so it was rejected only because of its position.
  using raw = await Raw.open(webOf(program));
  raw.write(planting(world, token, "control.txt"));
  await raw.untilText(/^HTTP\/1\.1 201 /);
  await honest.gossip();
}

Deno.test(
  "threat 32: a request that could be read as two is refused or ends its connection, and the hidden one is not executed",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program } = world;
    const token = await tokenOf(program);
    const host = `127.0.0.1:${program.httpPort}`;
    const hidden = planting(world, token, "smuggled.txt");
    const wrong: string[] = [];
    await forEachOf(Object.entries(ambiguous(host, hidden)), async ([shape, bytes]) => {
      using raw = await Raw.open(webOf(program));
      raw.write(bytes);
      raw.halfClose();
      await raw.untilClosed();
      const said = raw.text.split("\r\n")[0]!;
      const isRefused = raw.text === "" || /^HTTP\/1\.[01] (?:4\d\d|501|505)\b/.test(said);
      if (answersIn(raw.text) > 1 || !isRefused) {
        wrong.push(`${shape}: ${answersIn(raw.text)} responses, the first ${said}`);
      }
    });
    deepStrictEqual(wrong, []);
    await goesOn(world, token);
  },
);

Deno.test(
  "threat 32: a body is not taken for a request when its own request was answered before the body arrived",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program } = world;
    const token = await tokenOf(program);
    const hidden = planting(world, token, "smuggled.txt");
    const more = { "Content-Length": `${hidden.length}`, Connection: "keep-alive" };
    const early: Asked[] = [
      { method: "PUT", path: "/api/v1/files/by-name/x.txt" }, // without a login
      { method: "PUT", path: "/api/v1/files/by-name/x.txt", headers: { Origin: "null" } },
      { method: "POST", path: "/api/v1/files?name=a%00b", headers: bearer(token) },
      { method: "POST", path: "/nothing", headers: bearer(token) },
      { method: "GET", path: "/api/v1/status" },
      { method: "HEAD", path: "/api/v1/status" },
      { method: "DELETE", path: "/api/v1/status", headers: bearer(token) },
      { method: "OPTIONS", path: "/api/v1/files" },
      { path: "/api/v1/status", headers: { Host: "evil.example" } },
      { path: "/api/v1/status", headers: { Expect: "100-continue" } },
      { path: "/api/v1/status", headers: { Upgrade: "h2c", Connection: "Upgrade" } },
      { path: "/api/v1/status", headers: { Upgrade: "websocket", Connection: "Upgrade" } },
    ];
    for (const waits of [true, false]) {
      await forEachOf(early, async (asked) => {
        const what = JSON.stringify(asked);
        using raw = await Raw.open(webOf(program));
        raw.write(headText(program, { ...asked, headers: { ...more, ...asked.headers } }));
        // Some responses come only after the body, so do not wait for those.
        const isEarly = asked === early[0] || asked === early[1];
        if (waits && isEarly) await raw.untilText(/^HTTP\/1\.1 \d{3}/);
        raw.write(hidden);
        raw.halfClose();
        await raw.untilClosed();
        const text = raw.text.replace(/^HTTP\/1\.1 100 [^]*?\r\n\r\n/, "");
        ok(answersIn(text) <= 1, `${what} is answered ${answersIn(text)} times: ${text}`);
      });
    }
    await goesOn(world, token);
  },
);

Deno.test(
  "threat 32: pipelined requests on one connection are each answered once, in order",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program } = world;
    const token = await tokenOf(program);
    const hidden = planting(world, token, "smuggled.txt");
    const keep = { Connection: "keep-alive" };
    const head = (asked: Asked) =>
      headText(program, { ...asked, headers: { ...keep, ...asked.headers } });
    using raw = await Raw.open(webOf(program));
    const chunk = `${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`;
    raw.write([
      head({ path: "/healthz", headers: { "Content-Length": `${hidden.length}` } }) + hidden,
      head({ path: "/nothing" }),
      head({
        method: "PUT",
        path: "/api/v1/files/by-name/whole.txt",
        headers: { ...bearer(token), "Transfer-Encoding": "chunked" },
      }) + chunk,
      headText(program, { path: "/api/v1/status" }),
    ].join(""));
    await raw.untilClosed();
    const statuses = raw.text.match(/^HTTP\/1\.1 \d{3}/gm)!.map((line) => Number(line.slice(-3)));
    // Closing the connection after an unwanted body is also correct.
    const right = [200, 404, 201, 200];
    deepStrictEqual(statuses, right.slice(0, statuses.length));
    if (statuses.length === right.length) {
      const row = (await program.files()).find(({ file_name: name }) => name === "whole.txt")!;
      strictEqual(new TextDecoder().decode(await program.content(row.file_id)), hidden);
    }
    await goesOn(world, token);
  },
);
