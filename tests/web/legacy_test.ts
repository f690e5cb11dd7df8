// Older peers' unchanged pages against this peer: paths, names, and errors as they expect them.

import assert from "node:assert/strict";
import { appOver, FakeContent, fileOf, type Made, NOW, peerOf, TOKEN } from "./fixture.ts";

const file = (name: string, over = {}) => fileOf({ name, ...over });
const row = (name: string, over = {}, held = true) => ({
  file: file(name, over),
  held,
  holders: held ? ["us", "bob"] : ["bob"],
});

/** Logs in the way those pages do. */
const parse = (text: string) => JSON.parse(text.replace(/'/g, '"'));

async function login({ request }: Made, username: string): Promise<Response> {
  const body = JSON.stringify({ username });
  return await request("/api/login", { method: "POST", body });
}

const cookieOf = (response: Response) => response.headers.getSetCookie()[0]?.split(";")[0] ?? "";

Deno.test("the token logs in as the username, and the session can be checked and ended", async () => {
  const made = appOver();
  const status = async (cookie: string) =>
    await (await made.request("/api/session-status", { headers: { cookie } })).json();
  assert.deepEqual(await status(""), { loggedIn: false });
  const wrong = await login(made, "kashifm");
  assert.equal(wrong.status, 401);
  assert.ok((await wrong.json()).message);
  const cookie = cookieOf(await login(made, TOKEN));
  assert.match(cookie, /^session_id=/);
  assert.deepEqual(await status(cookie), { loggedIn: true });
  await made.request("/api/login", { method: "DELETE", headers: { cookie } });
  assert.deepEqual(await status(cookie), { loggedIn: false });
});

Deno.test("with --web-auth off any username logs in; a malformed login is refused with a message", async () => {
  const made = appOver({ options: { token: undefined } });
  assert.equal((await login(made, "anybody")).status, 200);
  for (
    const body of ["", "[]", "null", "{}", '{"username":7}', '{"username":""}', "x".repeat(20_000)]
  ) {
    const response = await made.request("/api/login", { method: "POST", body });
    assert.ok([400, 413].includes(response.status), body.slice(0, 20));
    assert.ok((await response.json()).message);
  }
});

Deno.test("with --web-auth off a login still shows as logged in until it is ended", async () => {
  const made = appOver({ options: { token: undefined } });
  const status = async (cookie: string) =>
    await (await made.request("/api/session-status", { headers: { cookie } })).json();
  const cookie = cookieOf(await login(made, "anybody"));
  assert.deepEqual(await status(cookie), { loggedIn: true });
  await made.request("/api/login", { method: "DELETE", headers: { cookie } });
  assert.deepEqual(await status(cookie), { loggedIn: false });
});

Deno.test("with --web-auth off nobody in a browser tells this peer where to connect", async () => {
  const made = appOver({ options: { token: undefined } });
  const body = JSON.stringify({ address: "127.0.0.1:8115" });
  const response = await made.request("/api/v1/peers", { method: "POST", body });
  assert.equal(response.status, 403);
  assert.match((await response.json()).hint, /connect at the prompt/);
  assert.deepEqual(made.done, []);
});

Deno.test("lists survive having apostrophes turned into quotes", async () => {
  const name = `it's "quoted" <b>\\'`;
  const made = appOver({
    files: [row(name, { owner: "o'hara" })],
    peers: [peerOf({ peerId: "d'or" })],
  });
  const [listed] = parse(await (await made.request("/api/list")).text());
  assert.deepEqual([listed.file_name, listed.file_owner, listed.peer_w_file], [name, "o'hara", [
    "us",
    "bob",
  ]]);
  const stats = parse(await (await made.request("/stats.json")).text());
  assert.equal(stats.peers[0].peerId, "d'or");
  assert.equal(stats.files[0].file_name, name);
});

Deno.test("last_seen is an age in seconds in one list and Unix time in the other", async () => {
  const made = appOver({ peers: [peerOf()] });
  assert.deepEqual(parse(await (await made.request("/api/peers")).text()), [
    { peer_name: "bob", host: "10.0.0.7", port: 8115, last_seen: 5 },
  ]);
  const { peerId, peers } = parse(await (await made.request("/stats.json")).text());
  assert.deepEqual([peerId, peers[0].last_seen], ["us", NOW - 5]);
});

Deno.test("an upload takes its name, size, and time from headers", async () => {
  const made = appOver({ files: [] });
  const cookie = cookieOf(await login(made, TOKEN));
  const upload = (headers: Record<string, string>) =>
    made.request("/api/upload", {
      method: "POST",
      body: "content",
      headers: { cookie, "content-type": "application/octet-stream", ...headers },
    });
  const whole = await upload({
    "x-file-name": "a%20b.txt",
    "x-file-size": "7",
    "x-file-timestamp": "1744169352",
  });
  assert.equal(whole.status, 201);
  const [first] = made.uploads;
  assert.deepEqual([first!.name, first!.options.modifiedSeconds], ["a b.txt", 1744169352]);
  const cut = await upload({ "x-file-name": "a%20b.txt", "x-file-size": "8" });
  assert.equal(cut.status, 400);
  assert.match((await cut.json()).message, /Received 7 bytes, expected 8/);
  const nameless = await upload({});
  assert.equal(nameless.status, 400);
});

Deno.test("a name refers to our newest file of that name, else the newest held here", async () => {
  const at = (text: string) => ({ timestamp: { text, quoted: false } });
  const id = (n: number) => ({ fileId: String(n).repeat(64) });
  const rows = [
    row("a", { ...id(1), ...at("100") }),
    row("a", { ...id(2), ...at("50"), owner: "us" }),
    row("a", { ...id(3), ...at("60"), owner: "us" }),
    row("b", { ...id(4), ...at("100") }),
    row("b", { ...id(5), ...at("200") }),
    row("b", { ...id(6), ...at("300") }, false),
    row("c", { ...id(7) }, false),
  ];
  const made = appOver({ files: rows, options: { token: undefined } });
  const remove = async (name: string) =>
    await made.request("/api/delete", { method: "DELETE", headers: { "x-file-name": name } });
  await remove("a");
  await remove("b");
  assert.deepEqual(made.done, [`remove ${"3".repeat(64)}`, `remove ${"5".repeat(64)}`]);
  for (const name of ["c", "nothing", ""]) {
    const response = await remove(name);
    assert.equal(response.status, 404, name);
    assert.ok((await response.json()).message);
  }
});

Deno.test("without a login nothing is changed, and a message says why", async () => {
  const made = appOver({ files: [row("it's")] });
  for (const [method, path] of [["POST", "/api/upload"], ["DELETE", "/api/delete"]]) {
    const response = await made.request(path!, { method: method! });
    assert.equal(response.status, 401);
    assert.match(parse(await response.text()).message, /login/);
  }
  assert.deepEqual(made.done, []);
});

Deno.test("an older page is served at /legacy if one is given, and inline scripts may run only there", async () => {
  const legacyPage = "<script>alert(1)</script>";
  const made = appOver({ options: { legacyPage } });
  const response = await made.request("/legacy");
  assert.equal(await response.text(), legacyPage);
  assert.match(response.headers.get("content-security-policy")!, /script-src 'unsafe-inline'/);
  assert.equal((await appOver().request("/legacy")).status, 404);
});

Deno.test("errors from earlier middleware are messages too, without an apostrophe", async () => {
  const made = appOver();
  const headers = { origin: "http://evil's.example" };
  const answers = [
    await made.request("/api/upload", { method: "POST", headers }),
    await made.request("/api/nothing"),
    await made.request("/api/list", { headers: { host: "evil.example" } }),
  ];
  for (const [i, response] of answers.entries()) {
    const text = await response.text();
    assert.equal(response.status, [403, 404, 421][i]);
    assert.ok(!text.includes("'"), text);
    assert.deepEqual(Object.keys(parse(text)), ["message"]);
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
  }
  const { title } = await (await made.request("/api/v1/nothing")).json();
  assert.equal(title, "Not found", "the newer API has its own shape");
});

Deno.test("a download does not start a fetch: a held file is served, and any other is refused", async () => {
  const id = (n: number) => ({ fileId: String(n).repeat(64) });
  const files = [
    row("a", { ...id(1), owner: "us" }, false),
    row("b", { ...id(2), owner: "us" }, false),
    row("b", id(3)),
  ];
  const content = (fileId: string) => new FakeContent(file("b", { fileId }), new Uint8Array([7]));
  const made = appOver({ files, content });
  const get = (name: string) => made.request("/api/download", { headers: { "x-file-name": name } });
  const absent = await get("a");
  assert.equal(absent.status, 404);
  await absent.body?.cancel();
  const here = await get("b");
  assert.deepEqual([...new Uint8Array(await here.arrayBuffer())], [7]);
  assert.equal(made.opened[0]!.file.fileId, "3".repeat(64));
  assert.deepEqual(made.done, []);
});
