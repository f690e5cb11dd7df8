// The guard (THREATS 27): requests must address this peer by one of its names, and every response has security headers.

import assert from "node:assert/strict";
import { appOver, appWithFile } from "./fixture.ts";

const NAMES = ["eagle.cs.umanitoba.ca", "p2p.local"];

async function statusFor(host: string | undefined, path = "/api/v1/status"): Promise<number> {
  const { request } = appOver({ hostNames: NAMES });
  const response = await request(path, host === undefined ? {} : { headers: { host } });
  await response.body?.cancel();
  return response.status;
}

Deno.test("IP addresses, localhost, and configured names are accepted, with and without a port", async () => {
  const ours = ["127.0.0.1", "10.0.0.7", "130.179.28.112", "[::1]", "[2001:db8::1]", "localhost"];
  for (const host of [...ours, ...NAMES, "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"]) {
    for (const port of ["", ":80", ":8116", ":65535"]) {
      assert.equal(await statusFor(host + port), 200, host + port);
    }
  }
});

Deno.test("IP addresses in unusual notations are accepted too: no DNS name can take their form", async () => {
  for (const host of ["127.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "127.0.0.1."]) {
    assert.equal(await statusFor(host), 200, host);
  }
});

Deno.test("case and a trailing dot make no difference", async () => {
  for (const host of ["LOCALHOST", "localhost.", "Eagle.CS.UManitoba.ca:8116", "p2p.local.:80"]) {
    assert.equal(await statusFor(host), 200, host);
  }
});

Deno.test("an unknown name is refused with a 421 that names the option, on every path", async () => {
  const { request } = appOver({ hostNames: NAMES });
  for (const path of ["/", "/stats", "/style.css", "/api/v1/status", "/api/v1/files", "/nothing"]) {
    const response = await request(path, { headers: { host: "evil.example:8116" } });
    assert.equal(response.status, 421, path);
    const { status, detail, hint } = await response.json();
    assert.equal(status, 421);
    assert.match(detail, /evil\.example/);
    assert.match(hint, /--allowed-host evil\.example/);
    assert.ok(!/us|8115/.test(detail + hint), "gives nothing away");
  }
});

Deno.test("names that only look like ours are refused", async () => {
  const strange = [
    "evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "localhost.evil.example",
    "evil-localhost",
    "xlocalhost",
    "eagle.cs.umanitoba.ca.evil.example",
    "evil.eagle.cs.umanitoba.ca",
    "eagle",
    "__proto__",
    "constructor",
  ];
  for (const host of strange) {
    for (const port of ["", ":8116"]) assert.equal(await statusFor(host + port), 421, host + port);
  }
});

Deno.test("an invalid Host is refused without being echoed raw", async () => {
  const odd = [
    "",
    ":8116",
    "127.0.0.1, evil.example",
    "127.0.0.1,evil.example",
    "evil.example 127.0.0.1",
    "evil.example@127.0.0.1",
    "127.0.0.1%.evil.example",
    "evil.example/127.0.0.1",
    "evil.example#.1",
    "http://127.0.0.1",
    "127.0.0.1:port",
    "127.0.0.1:123456",
    "[::1",
    "[evil]",
    "[]",
    "999.999.999.999",
    "a".repeat(10_000),
  ];
  for (const host of odd) assert.equal(await statusFor(host), 421, host.slice(0, 40));
});

Deno.test("without a Host header, the name in the URL counts", async () => {
  assert.equal(await statusFor(undefined), 200);
  const { request } = appOver();
  assert.equal((await request("http://evil.example/api/v1/status")).status, 421);
});

Deno.test("a request target that names another host is refused, whatever the Host header says", async () => {
  const { request } = appOver();
  const headers = { host: "127.0.0.1:8116" };
  assert.equal((await request("http://evil.example/api/v1/status", { headers })).status, 421);
  assert.equal((await request("http://localhost:8116/api/v1/status", { headers })).status, 200);
});

Deno.test("file content is behind the same guard", async () => {
  const app = appWithFile(new Uint8Array(3));
  const response = await app.request(app.path, { headers: { host: "evil.example" } });
  await response.body?.cancel();
  assert.deepEqual([response.status, app.opened.length], [421, 0]);
});

Deno.test("every response forbids sniffing, framing, cross-origin use, and inline code", async () => {
  const app = appWithFile(new Uint8Array(3));
  const broken = appOver({
    get files(): never {
      throw new Error("broken");
    },
  });
  const answers: [string, Response][] = [];
  for (
    const path of [
      "/",
      "/stats",
      "/style.css",
      "/api/v1/status",
      "/api/v1/peers",
      "/nothing",
      app.path,
    ]
  ) {
    answers.push([path, await app.request(path)]);
  }
  answers.push(["421", await app.request("/", { headers: { host: "evil.example" } })]);
  answers.push(["400", await app.request("/api/v1/files?limit=0")]);
  answers.push(["500", await broken.request("/")]);
  for (const [what, response] of answers) {
    await response.body?.cancel();
    const csp = response.headers.get("content-security-policy") ?? "";
    assert.match(csp, /default-src 'none'/, what);
    assert.ok(!/unsafe|\*|https?:|data:/.test(csp), `${what}: ${csp}`);
    assert.equal(response.headers.get("x-content-type-options"), "nosniff", what);
    assert.equal(response.headers.get("referrer-policy"), "no-referrer", what);
    assert.equal(response.headers.get("cross-origin-resource-policy"), "same-origin", what);
    if (what !== app.path) {
      assert.match(csp, /frame-ancestors 'none'/, what);
      assert.match(csp, /base-uri 'none'/, what);
    }
  }
  assert.equal(broken.errors.length, 1);
});

Deno.test("HEAD gives no length if GET would be compressed", async () => {
  const headers = { "accept-encoding": "gzip" };
  for (const path of ["/", "/style.css"]) {
    const head = await appOver().request(path, { method: "HEAD", headers });
    assert.equal(head.headers.get("content-length"), null, path);
    assert.equal(head.headers.get("vary"), "Accept-Encoding", path);
  }
});

Deno.test("HEAD gives the length of the response to GET", async () => {
  const app = appWithFile(new Uint8Array(3));
  for (const path of ["/", "/healthz", "/api/v1/files", "/api/v1/status", "/api/list", app.path]) {
    const length = (await (await app.request(path)).arrayBuffer()).byteLength;
    const head = await app.request(path, { method: "HEAD" });
    assert.equal(head.headers.get("content-length"), String(length), path);
    assert.equal(head.body, null);
  }
});
