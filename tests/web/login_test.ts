// Who may make changes (THREATS 28 and 29): login, sessions, attempts, and where a request comes from.

import assert from "node:assert/strict";
import { appOver, BASE, BEARER, fileOf, type Made, NOW, TOKEN, transferOf } from "./fixture.ts";

const { fileId } = fileOf();
const held = () => ({ file: fileOf(), held: true, holders: ["us"] });
const made = (options = {}) =>
  appOver({
    files: [held()],
    transfers: [transferOf(), transferOf({ id: 2, state: "failed" })],
    options,
  });

/** Every possible change, as a script would request it. */
const CHANGES: readonly [string, string, RequestInit?][] = [
  ["POST", "/api/v1/files?name=b.txt", { body: "content" }],
  ["PUT", "/api/v1/files/by-name/b.txt", { body: "content" }],
  ["POST", `/api/v1/files/${fileId}/fetch`],
  ["POST", `/api/v1/files/${fileId}/restore`],
  ["DELETE", `/api/v1/files/${fileId}`],
  ["DELETE", "/api/v1/transfers/1"],
  ["POST", "/api/v1/transfers/2/retry"],
  ["POST", "/api/upload", { body: "content", headers: { "x-file-name": "b.txt" } }],
  ["DELETE", "/api/delete", { headers: { "x-file-name": "a.txt" } }],
];

async function ask(
  { request }: Made,
  [method, path, init = {}]: readonly [string, string, RequestInit?],
  headers: Record<string, string> = {},
  ip?: string,
): Promise<Response> {
  const all = { ...init.headers as Record<string, string>, ...headers };
  return await request(path, { ...init, method, headers: all }, ip);
}

async function enter({ request }: Made, token = TOKEN, ip = "127.0.0.1", headers = {}) {
  const body = JSON.stringify({ token });
  return await request("/api/v1/session", { method: "POST", body, headers }, ip);
}

const cookieOf = (response: Response) =>
  response.headers.getSetCookie().map((cookie) => cookie.split(";", 1)[0]!).find((cookie) =>
    !cookie.endsWith("=")
  ) ?? "";

Deno.test("every change requires a login, and says how to get one", async () => {
  const app = made();
  for (const change of CHANGES) {
    const response = await ask(app, change);
    assert.equal(response.status, 401, change.join(" "));
    assert.match(await response.text(), /--web-auth off/, change.join(" "));
  }
  assert.deepEqual(app.done, []);
});

Deno.test("with a Bearer token or a session, every change is carried out", async () => {
  const cookie = cookieOf(await enter(made()));
  assert.match(cookie, /^session_id_8115=[\w-]{43}$/);
  for (const change of CHANGES) {
    const app = made();
    const session = cookieOf(await enter(app));
    for (const headers of [BEARER, { cookie: session }]) {
      app.done.length = 0;
      const response = await ask(app, change, headers);
      assert.ok(response.ok, `${change.join(" ")}: ${response.status}`);
      assert.equal(app.done.length, 1, change.join(" "));
    }
  }
});

Deno.test("a session cookie is same-site, out of reach of scripts, and new at each login", async () => {
  const app = made();
  const [first, second] = [await enter(app), await enter(app)];
  const [cookie] = first.headers.getSetCookie();
  for (const attribute of ["HttpOnly", "SameSite=Strict", "Path=/"]) {
    assert.ok(cookie!.includes(attribute), cookie);
  }
  assert.notEqual(cookieOf(first), cookieOf(second));
});

Deno.test("a login ends the browser's previous session, and a logout ends the current one", async () => {
  const app = made();
  const old = cookieOf(await enter(app));
  const fresh = cookieOf(await enter(app, TOKEN, "127.0.0.1", { cookie: old }));
  const isIn = async (cookie: string) =>
    (await (await app.request("/api/v1/session", { headers: { cookie } })).json()).logged_in;
  assert.deepEqual([await isIn(old), await isIn(fresh)], [false, true]);
  const left = await app.request("/api/v1/session", {
    method: "DELETE",
    headers: { cookie: fresh },
  });
  assert.equal(left.status, 204);
  assert.equal(await isIn(fresh), false);
});

Deno.test("other programs' cookies on this host are left alone, and ours is found among them", async () => {
  const app = made();
  const foreign = "session_id=somebody-elses";
  const ask = (method: string, path: string, cookie: string, body?: string) =>
    app.request(path, { method, headers: { cookie }, ...(body && { body }) });
  const username = JSON.stringify({ username: TOKEN });
  for (
    const [method, path, body] of [
      ["POST", "/api/v1/session", JSON.stringify({ token: TOKEN })],
      ["DELETE", "/api/v1/session"],
      ["POST", "/api/login", username],
      ["DELETE", "/api/login"],
    ]
  ) {
    const response = await ask(method!, path!, foreign, body);
    assert.ok(response.ok);
    const set = response.headers.getSetCookie();
    assert.ok(
      set.every((cookie) => !cookie.startsWith("session_id=")),
      `${method} ${path}: ${set}`,
    );
  }
  // If no other program uses it, the older page's cookie keeps its name and expires when its session ends.
  const ours = cookieOf(await ask("POST", "/api/login", "", username));
  assert.match(ours, /^session_id=[\w-]{43}$/);
  const isIn = async (cookie: string) =>
    (await (await app.request("/api/v1/session", { headers: { cookie } })).json()).logged_in;
  assert.equal(
    await isIn(`${foreign}; ${ours}`),
    true,
    "a browser sends both if their paths differ",
  );
  const left = await ask("DELETE", "/api/login", `${foreign}; ${ours}`);
  assert.match(left.headers.getSetCookie().join(), /^session_id=; Max-Age=0;/);
  assert.equal(await isIn(ours), false);
});

Deno.test("a login sets one cookie, even if it replaces a session", async () => {
  const app = made();
  const cookie = cookieOf(await enter(app));
  const [set, ...more] = (await enter(app, TOKEN, "127.0.0.1", { cookie })).headers.getSetCookie();
  assert.match(set!, /^session_id_8115=[\w-]{43};/);
  assert.deepEqual(more, []);
});

Deno.test("a session that has been unused for a month expires", async () => {
  const clock = { now: NOW * 1000 };
  const app = appOver({ files: [held()], clock });
  const cookie = cookieOf(await enter(app));
  const days = (n: number) => clock.now += n * 86_400_000;
  const isIn = async () =>
    (await (await app.request("/api/v1/session", { headers: { cookie } })).json()).logged_in;
  for (let i = 0; i < 3; i++) {
    days(29);
    assert.equal(await isIn(), true);
  }
  days(31);
  assert.equal(await isIn(), false);
});

Deno.test("after five wrong tokens in a minute an address gets 429; others, and the right token, are served", async () => {
  const clock = { now: NOW * 1000 };
  const app = appOver({ files: [held()], clock });
  const statuses: number[] = [];
  for (let i = 0; i < 200; i++) {
    const response = i % 2 === 0
      ? await enter(app, `wrong${i}`, "10.0.0.66")
      : await ask(app, CHANGES[4]!, { authorization: `Bearer wrong${i}` }, "10.0.0.66");
    statuses.push(response.status);
    if (response.status === 429) assert.match(response.headers.get("retry-after")!, /^\d+$/);
    await response.body?.cancel();
  }
  assert.deepEqual(statuses, [...Array(5).fill(401), ...Array(195).fill(429)]);
  assert.equal((await enter(app, "wrong", "10.0.0.7")).status, 401);
  assert.equal((await enter(app, TOKEN, "10.0.0.7")).status, 204);
  assert.equal((await enter(app, TOKEN, "10.0.0.66")).status, 204, "nobody locks the owner out");
  assert.equal((await app.request("/api/v1/status", {}, "10.0.0.66")).status, 200);
  clock.now += 61_000;
  assert.equal((await enter(app, "wrong", "10.0.0.66")).status, 401);
  assert.deepEqual(app.done, []);
});

Deno.test("no change is carried out for a page on another site, logged in or not", async () => {
  const foreign: Record<string, string>[] = [
    { origin: "https://evil.example" },
    { origin: "null" },
    { origin: "http://127.0.0.1:9999" },
    { origin: "http://127.0.0.1:8116.evil.example" },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
    { origin: BASE, "sec-fetch-site": "cross-site" },
  ];
  const bodies: [string, string][] = [
    ["application/x-www-form-urlencoded", "a=b"],
    ["text/plain", "{}"],
    ["application/json", JSON.stringify({ token: TOKEN })],
    ["application/octet-stream", "content"],
    ["multipart/form-data; boundary=x", "--x--"],
  ];
  const app = made();
  const session = cookieOf(await enter(app));
  for (const site of foreign) {
    for (
      const [method, path] of [...CHANGES, ["POST", "/api/v1/session"], [
        "DELETE",
        "/api/v1/session",
      ]]
    ) {
      for (const [type, body] of bodies) {
        const response = await app.request(path!, {
          method: method!,
          body,
          headers: { host: "127.0.0.1:8116", cookie: session, "content-type": type, ...site },
        });
        assert.equal(response.status, 403, `${method} ${path} ${JSON.stringify(site)}`);
        const { hint, message } = await response.json();
        assert.ok(hint ?? message);
      }
    }
  }
  assert.deepEqual(app.done, []);
});

Deno.test("this peer's own page is accepted, under each of its names and behind TLS", async () => {
  for (
    const [host, origin] of [
      ["127.0.0.1:8116", "http://127.0.0.1:8116"],
      ["localhost:8116", "http://localhost:8116"],
      ["[::1]:8116", "http://[::1]:8116"],
      ["127.0.0.1", "https://127.0.0.1"],
    ]
  ) {
    const app = made();
    const response = await ask(app, CHANGES[4]!, {
      ...BEARER,
      host: host!,
      origin: origin!,
      "sec-fetch-site": "same-origin",
    });
    assert.equal(response.status, 200, origin);
  }
});

Deno.test("with --web-auth off everyone may make changes, except pages on other sites", async () => {
  for (const change of CHANGES) {
    const app = made({ token: undefined });
    assert.ok((await ask(app, change)).ok, change.join(" "));
    const foreign = await ask(app, change, { origin: "https://evil.example" });
    assert.equal(foreign.status, 403);
    assert.equal(app.done.length, 1);
  }
  const { login_needed, logged_in } =
    await (await made({ token: undefined }).request("/api/v1/session")).json();
  assert.deepEqual([login_needed, logged_in], [false, true]);
});

Deno.test("with --web-read private nothing is shown without a login", async () => {
  const app = made({ isPrivate: true });
  const paths = ["/", "/stats", "/stats.json", "/metrics", "/api/list", "/api/peers"];
  for (const path of ["status", "peers", "files", "files/deleted", "transfers", "events"]) {
    paths.push(`/api/v1/${path}`);
  }
  paths.push(`/api/v1/files/${fileId}`, `/api/v1/files/${fileId}/content`, "/api/download");
  for (const path of paths) {
    const response = await app.request(path);
    assert.equal(response.status, 401, path);
    assert.ok(!(await response.text()).includes("a.txt"), path);
  }
  for (const path of ["/healthz", "/style.css", "/api/v1/session", "/api/session-status"]) {
    const response = await app.request(path);
    assert.equal(response.status, 200, path);
    await response.body?.cancel();
  }
  const status = await app.request("/api/v1/status", { headers: BEARER });
  assert.equal(status.status, 200);
});

Deno.test("a refusal names the option that would allow the request, whether a read or a change", async () => {
  const app = made({ isPrivate: true });
  const hint = async (path: string, method: string) =>
    (await (await app.request(path, { method })).json()).hint as string;
  assert.match(await hint("/api/v1/status", "GET"), /--web-read open/);
  const change = await hint(`/api/v1/files/${fileId}`, "DELETE");
  assert.match(change, /--web-auth off/);
  assert.doesNotMatch(change, /--web-read/);
});
