// Threat 28 in docs/SECURITY-TESTS.md: a page of another site sends requests here with whatever login the browser adds. It
// learns nothing and changes nothing: files on disk, lists, and sessions are compared before and after.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { forEachOf, SANITIZED } from "../process/together.ts";
import { READING, Scene, told } from "./browser_scene.ts";
import {
  type Answer,
  ask,
  type Asked,
  bearer,
  cookieOf,
  headersOf,
  login,
  tokenOf,
} from "./web.ts";
import { World } from "./world.ts";

/** Headers that browsers add to a request from another site. */
const foreign = (port: number): Record<string, string>[] => [
  { Origin: "http://evil.example" },
  { Origin: "null" },
  { Origin: `https://evil.example:${port}`, "Sec-Fetch-Site": "cross-site" },
  { Origin: `http://127.0.0.1:${port}.evil.example` },
  { Origin: `http://127.0.0.1:${port}@evil.example` },
  { Origin: `http://127.0.0.1:${port + 1}` },
  { Origin: `http://127.0.0.2:${port}` },
  { Origin: `http://evil.example`, Referer: `http://127.0.0.1:${port}/` },
  { Origin: "http://evil.example", "Sec-Fetch-Site": "same-origin" },
  { Origin: `http://127.0.0.1:${port}`, "Sec-Fetch-Site": "cross-site" },
  { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate" },
  { "Sec-Fetch-Site": "same-site" },
];

/** Bodies that a form or script of another site can send without a preflight request, and ones that need it. */
const BODIES: readonly (readonly [string, string | undefined])[] = [
  ["application/x-www-form-urlencoded", "name=planted.txt&token=x"],
  ["text/plain", undefined],
  ["application/json", undefined],
  ["application/octet-stream", undefined],
  [
    "multipart/form-data; boundary=b",
    '--b\r\nContent-Disposition: form-data; name="file"; filename="planted.txt"\r\n' +
    "Content-Type: text/html\r\n\r\nplanted\r\n--b--\r\n",
  ],
];

Deno.test(
  "threat 28: a page of another site changes nothing, whatever it sends and whatever login the browser adds",
  SANITIZED,
  async () => {
    await using scene = await Scene.make();
    const { world: { program, honest }, token } = scene;
    const cookies = [await cookieOf(program, token), await cookieOf(program, token, true)];
    const logins: Record<string, string>[] = [
      {},
      { Cookie: cookies[0]! },
      { Cookie: cookies.join("; ") },
      bearer(token),
    ];
    const before = await scene.state();
    const requests = scene.changes().flatMap((change, i) =>
      foreign(program.httpPort).flatMap((headers, k) =>
        logins.flatMap((login, l) =>
          // Use all bodies for the first change, and cycle through them for the others.
          BODIES.filter((_, b) => i === 0 || (k + l) % BODIES.length === b).map(([type, body]) => ({
            ...change,
            headers: { ...change.headers, ...headers, ...login, "Content-Type": type },
            ...(body !== undefined && change.body !== undefined && { body }),
          }))
        )
      )
    );
    await forEachOf(requests, async (asked) => {
      const { status, headers } = await ask(program, asked);
      strictEqual(status, 403, told(asked));
      ok(!headers.some(([name]) => name === "set-cookie"), told(asked));
    }, 8);
    deepStrictEqual(await scene.state(), before);
    // The sessions are still valid, and the same requests from our own page succeed.
    const own = {
      Origin: `http://127.0.0.1:${program.httpPort}`,
      "Sec-Fetch-Site": "same-origin",
      Cookie: cookies[0]!,
    };
    for (const [i, expected] of [[0, 201], [4, 200], [5, 200]] as const) {
      const change = scene.changes()[i]!;
      const answer = await ask(program, { ...change, headers: own });
      strictEqual(answer.status, expected, `${told(change)}: ${answer.body}`);
    }
    await honest.gossip();
  },
);

Deno.test(
  "threat 28: preflight requests grant nothing to pages of other sites, on any path",
  SANITIZED,
  async () => {
    await using scene = await Scene.make();
    const { world: { program, honest }, token, ids } = scene;
    const before = await scene.state();
    const paths = [...READING, `/api/v1/files/${ids.here}/content`, "/healthz", "*"]
      .concat(scene.changes().map(({ path }) => path));
    await forEachOf(paths, async (path) => {
      for (const method of ["PUT", "DELETE", "POST", "GET"]) {
        // `ask` checks that no response has an access-control-* header.
        const answer: Answer = await ask(program, {
          method: "OPTIONS",
          path,
          headers: {
            Origin: "http://evil.example",
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization, content-type",
            "Access-Control-Request-Private-Network": "true",
          },
        });
        ok(answer.status < 500, `OPTIONS ${path}: ${answer.status}`);
      }
      const read = { path, headers: { Origin: "http://evil.example", ...bearer(token) } };
      if (!path.endsWith("/events") && path !== "*") {
        const answer = await ask(program, read);
        deepStrictEqual(headersOf(answer, "cross-origin-resource-policy"), ["same-origin"], path);
      }
    });
    deepStrictEqual(await scene.state(), before);
    await honest.gossip();
  },
);

Deno.test(
  "threat 28: read-only methods never change anything, even with method-override headers or parameters",
  SANITIZED,
  async () => {
    await using scene = await Scene.make();
    const { world: { program, honest }, token } = scene;
    const cookie = await cookieOf(program, token);
    const before = await scene.state();
    const requests: Asked[] = scene.changes().flatMap(({ method = "POST", path, headers }) =>
      ["GET", "HEAD"].flatMap((reading) =>
        [
          { path },
          { path: `${path}${path.includes("?") ? "&" : "?"}_method=${method}` },
          { path, as: { "X-HTTP-Method-Override": method } },
          { path, as: { "X-HTTP-Method": method, "X-Method-Override": method } },
        ].map(({ path, as = {} }) => ({
          method: reading,
          path,
          headers: { ...headers, ...as as Record<string, string>, Cookie: cookie },
        }))
      )
    );
    await forEachOf(requests, async (asked) => {
      const { status } = await ask(program, asked);
      ok(status < 500, `${told(asked)}: ${status}`);
    });
    deepStrictEqual(await scene.state(), before);
    // Read requests must not end the session either.
    const asked = { ...scene.changes()[1]!, headers: { Cookie: cookie } };
    strictEqual((await ask(program, asked)).status, 201);
    await honest.gossip();
  },
);

Deno.test(
  "threat 28: the login cookie is hidden from scripts and not sent with requests from other sites",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const token = await tokenOf(world.program);
    for (const older of [false, true]) {
      const cookies = headersOf(await login(world.program, token, { older }), "set-cookie");
      strictEqual(cookies.length, 1);
      const [value, ...attributes] = cookies[0]!.split(/; */);
      match(value!, /^\w+=[\w-]{43,}$/);
      const names = attributes.map((attribute) => attribute.toLowerCase());
      ok(names.includes("httponly") && names.includes("samesite=strict"), cookies[0]);
      ok(!names.some((name) => name.startsWith("domain")), cookies[0]);
      ok(!cookies[0]!.includes(token), "the cookie must not contain the token itself");
    }
    await world.honest.gossip();
  },
);
