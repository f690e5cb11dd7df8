// Behind a reverse proxy: under a path prefix, with the client's own address, and with the Host that proxies forward.

import { OPTIONS } from "../../cli/options.ts";
import { PRELOADED } from "../../web/assets.ts";
import assert from "node:assert/strict";
import { appOver, BEARER, fileOf, type Made, TOKEN } from "./fixture.ts";

const PROXY = "10.0.0.80";
const STRANGER = "10.0.0.66";
const made = (options = {}) =>
  appOver({
    files: [{ file: fileOf(), held: true, holders: ["us"] }],
    hostNames: ["files.example.org"],
    options: { trustedProxies: new Set([PROXY]), ...options },
  });

async function share({ request }: Made, path: string, headers = {}, ip?: string) {
  const response = await request(`${path}/api/v1/files?name=b.txt`, {
    method: "POST",
    body: "content",
    headers: { ...BEARER, ...headers },
  }, ip);
  assert.equal(response.status, 201);
  await response.body?.cancel();
  return response.headers.get("location") ?? "";
}

async function login({ request }: Made, path = "", headers = {}, ip?: string) {
  const body = JSON.stringify({ token: TOKEN });
  const response = await request(`${path}/api/v1/session`, { method: "POST", body, headers }, ip);
  assert.equal(response.status, 204);
  return /; Path=([^;]*)/.exec(response.headers.getSetCookie().join())?.[1];
}

const serverOf = async ({ request }: Made, path: string, headers = {}, ip?: string) =>
  (await (await request(`${path}/api/v1/openapi.json`, { headers }, ip)).json()).servers[0].url;

Deno.test("everything is served under a base path, and still without it", async () => {
  const app = made({ basePath: "/peer" });
  for (const base of ["/peer", ""]) {
    for (const path of ["/", "/stats", "/style.css", "/browser/page.js", "/lib/uqr.js"]) {
      const response = await app.request(base + path);
      await response.body?.cancel();
      assert.equal(response.status, 200, base + path);
    }
    assert.match(await share(app, base), new RegExp(`^${base}/api/v1/files/[0-9a-f]{64}$`));
    assert.equal(await login(app, base), `${base}/`);
    assert.equal(await serverOf(app, base), `${base}/api/v1`);
    const docs = await (await app.request(`${base}/api/docs`)).text();
    assert.ok(docs.includes(`TOKEN&quot; -T FILE ${base}/api/v1/files/by-name/`), docs);
  }
  for (const path of ["/peers/", "/peer/peer/", "/Peer/", "/peer//"]) {
    const response = await app.request(path);
    await response.body?.cancel();
    assert.equal(response.status, 404, path);
  }
});

Deno.test("no base path may be the folder of an asset, or requests without it would be ambiguous", () => {
  const folders = new Set(PRELOADED.map((path) => `/${path.split("/")[1]}`));
  assert.deepEqual([...folders].sort(), ["/browser", "/shared"]);
  for (const folder of [...folders, "/lib", "/api"]) {
    assert.throws(() => OPTIONS.basePath.parse(folder), /must not start with/, folder);
  }
});

Deno.test("the bare base path redirects to the page below it, keeping the query", async () => {
  const response = await made({ basePath: "/lab/peer" }).request("/lab/peer?q=x");
  assert.equal(response.status, 308);
  assert.equal(response.headers.get("location"), "/lab/peer/?q=x");
});

Deno.test("a prefix is trusted from loopback and from a named proxy, and from nobody else", async () => {
  const headers = { "x-forwarded-prefix": "/peer/" };
  for (const [ip, prefix] of [["127.0.0.1", "/peer"], [PROXY, "/peer"], [STRANGER, ""]]) {
    const app = made();
    assert.match(await share(app, "", headers, ip), new RegExp(`^${prefix}/api/v1/files/`), ip);
    assert.equal(await login(app, "", headers, ip), `${prefix}/`, ip);
    assert.equal(await serverOf(app, "", headers, ip), `${prefix}/api/v1`, ip);
  }
});

Deno.test("behind TLS, the session cookie is for TLS only", async () => {
  const cookie = async (ip: string, proto: string) => {
    const response = await made().request("/api/v1/session", {
      method: "POST",
      body: JSON.stringify({ token: TOKEN }),
      headers: { "x-forwarded-proto": proto },
    }, ip);
    return response.headers.getSetCookie().join();
  };
  assert.match(await cookie(PROXY, "https"), /; Secure(;|$)/);
  assert.match(await cookie("127.0.0.1", "HTTPS"), /; Secure(;|$)/);
  assert.doesNotMatch(await cookie(PROXY, "http"), /Secure/);
  assert.doesNotMatch(await cookie(STRANGER, "https"), /Secure/);
});

Deno.test("a prefix that is not a plain path is ignored", async () => {
  const odd = ["peer", "//evil.example", "/a//b", "/a;b", "/..", "/a, /b", "/a b", "/é", "/%2e"];
  odd.push("https://evil.example/", `/${"a".repeat(300)}`);
  for (const prefix of odd) {
    const location = await share(made(), "", { "x-forwarded-prefix": encodeURI(prefix) });
    assert.match(location, /^\/api\/v1\/files\//, prefix);
  }
});

Deno.test("the client is the last address that is not a named proxy; nothing else is trusted", async () => {
  const table: [connection: string, forwarded: string, client: string][] = [
    ["127.0.0.1", "192.0.2.7", "127.0.0.1"],
    [PROXY, "6.6.6.6, 192.0.2.7", "192.0.2.7"],
    [PROXY, `192.0.2.7, ${PROXY}, ${PROXY}`, "192.0.2.7"],
    [PROXY, "192.0.2.7, 127.0.0.1", "127.0.0.1"],
    [PROXY, "[2001:db8::7]", "2001:db8::7"],
    [PROXY, "::ffff:192.0.2.7", "192.0.2.7"],
    [PROXY, PROXY, PROXY],
    [PROXY, "192.0.2.7, unknown", PROXY],
    [PROXY, "", PROXY],
    [STRANGER, "192.0.2.7", STRANGER],
  ];
  for (const [connection, forwarded, client] of table) {
    const app = made();
    await share(app, "", { "x-forwarded-for": forwarded }, connection);
    assert.equal(app.uploads[0]?.options.client, client, `${connection}: ${forwarded}`);
  }
});

Deno.test("wrong tokens are counted by client, not by proxy", async () => {
  const app = made();
  const enter = async (client: string) => {
    const body = JSON.stringify({ token: "wrong" });
    const headers = { "x-forwarded-for": client };
    const response = await app.request("/api/v1/session", { method: "POST", body, headers }, PROXY);
    await response.body?.cancel();
    return response.status;
  };
  for (let i = 0; i < 5; i++) assert.equal(await enter("192.0.2.7"), 401);
  assert.equal(await enter("192.0.2.7"), 429);
  assert.equal(await enter("192.0.2.8"), 401);
});

Deno.test("our own Origin is accepted whatever port a proxy forwards, and other sites' are not", async () => {
  const remove = async (ip: string, host: string, origin: string, site?: string) => {
    const headers = { ...BEARER, host, origin, ...(site && { "sec-fetch-site": site }) };
    const path = `/api/v1/files/${fileOf().fileId}`;
    const response = await made().request(path, { method: "DELETE", headers }, ip);
    await response.body?.cancel();
    return response.status;
  };
  const [name, at] = ["files.example.org", "http://files.example.org:8080"];
  const table: [ip: string, host: string, origin: string, status: number][] = [
    // As sent by nginx with `Host $host`.
    [PROXY, name, at, 200],
    ["127.0.0.1", name, at, 200],
    ["127.0.0.1", "[::1]", "http://[::1]:8080", 200],
    // Without a proxy, browsers send every port that is not the scheme's default.
    [STRANGER, name, at, 403],
    [STRANGER, name, "http://files.example.org", 200],
    [STRANGER, name, "https://files.example.org", 200],
    // As sent with `Host $host:$server_port`.
    [STRANGER, `${name}:443`, "https://files.example.org", 200],
    [STRANGER, `${name}:80`, "http://files.example.org", 200],
    [STRANGER, `${name}:443`, "http://files.example.org", 403],
    [PROXY, `${name}:9999`, at, 403],
    [PROXY, `${name}:8080`, "http://files.example.org", 403],
    [PROXY, name, "http://evil.example:8080", 403],
    [PROXY, name, "http://evil.example", 403],
    [PROXY, name, "http://files.example.org.evil.example:8080", 403],
    [PROXY, name, "http://files.example.org:8080@evil.example", 403],
    [PROXY, name, "null", 403],
    [PROXY, name, name, 403],
    [PROXY, name, "ftp://files.example.org", 403],
  ];
  for (const [ip, host, origin, status] of table) {
    assert.equal(await remove(ip, host, origin), status, `${ip} ${host} ${origin}`);
  }
  assert.equal(
    await remove(PROXY, name, at, "same-site"),
    403,
    "the browser itself says that it is another site",
  );
});
