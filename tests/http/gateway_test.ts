// The gateway for browsers on real connections: deadlines of each request, stalled bodies and readers, slots.
// Deadlines are short here; the tests wait for connections to end.

import assert from "node:assert/strict";
import { Gateway, type GatewayOptions, type Handler } from "../../http/gateway.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import { Raw } from "../hostile/raw.ts";
import { until } from "../until.ts";

const HEAD_MS = 500;
const IDLE_MS = 600;

class Scene implements AsyncDisposable {
  /** Requests whose body could not be read to its end. */
  broken = 0;
  handled = 0;

  private constructor(readonly folder: string, readonly front: Gateway) {}

  static async open(
    limits: Partial<GatewayOptions["limits"]> = {},
    more: Readonly<Record<string, Handler>> = {},
    options: Pick<GatewayOptions, "isUnix"> = {},
  ): Promise<Scene> {
    const folder = await Deno.makeTempDir();
    const front = new Gateway({
      ...options,
      hostname: "127.0.0.1",
      port: 0,
      limits: { ...DEFAULT_LIMITS, messageTimeoutMs: HEAD_MS, idleTimeoutMs: IDLE_MS, ...limits },
    });
    const scene = new Scene(folder, front);
    front.begin(async (request, client) => {
      scene.handled++;
      const { pathname } = new URL(request.url);
      const special = more[pathname];
      if (special) return await special(request, client);
      try {
        const { length } = await request.bytes();
        return new Response(`${request.method} ${pathname} ${length} from ${client.ip}\n`);
      } catch {
        scene.broken++;
        return new Response("broken", { status: 400 });
      }
    }, folder);
    return scene;
  }

  get target() {
    return { host: "127.0.0.1", port: this.front.port };
  }

  open(options = {}): Promise<Raw> {
    return Raw.open(this.target, options);
  }

  /** Returns what is answered to these bytes until the other side closes. */
  async say(text: string, from = "127.0.0.1"): Promise<string> {
    using raw = await this.open({ from });
    raw.write(text);
    await raw.untilClosed();
    return raw.text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.front.stop();
    await Deno.remove(this.folder, { recursive: true });
  }
}

const request = (line: string, ...fields: string[]) =>
  [line, "Host: 127.0.0.1", ...fields].join("\r\n") + "\r\n\r\n";
const get = (path: string, ...fields: string[]) => request(`GET ${path} HTTP/1.1`, ...fields);

Deno.test("HEAD claims the length that the application gives, and no other", async () => {
  const answer = (status: number, headers = {}) => () => new Response(null, { status, headers });
  await using scene = await Scene.open({}, {
    "/events": answer(200, { "content-type": "text/event-stream" }),
    "/file": answer(200, { "content-length": "77" }),
    "/empty": answer(200, { "content-length": "0" }),
    "/same": answer(304),
    "/none": answer(204),
  });
  const table = [["/events"], ["/file", "77"], ["/empty", "0"], ["/same"], ["/none"]] as const;
  for (const [path, length] of table) {
    const text = await scene.say(request(`HEAD ${path} HTTP/1.1`, "Connection: close"));
    assert.match(text, /^HTTP\/1\.1 \d{3} /);
    assert.equal(/^content-length: (\d+)\r$/im.exec(text)?.[1], length, text);
    assert.ok(text.endsWith("\r\n\r\n"), "and no content follows");
  }
});

Deno.test("the application knows the address from which a request comes", async () => {
  await using scene = await Scene.open();
  for (const from of ["127.0.0.1", "127.0.0.9"]) {
    const text = await scene.say(get("/a", "Connection: close"), from);
    assert.match(text, new RegExp(`GET /a 0 from ${from.replaceAll(".", "\\.")}\n`));
  }
});

Deno.test("a head that does not arrive in time is answered with 408, and the connection is closed", async () => {
  await using scene = await Scene.open();
  using raw = await scene.open();
  raw.write("GET /a HTTP/1.1\r\nHost: h");
  await raw.untilClosed();
  assert.match(raw.text, /^HTTP\/1\.1 408 [\s\S]*"hint":/);
  assert.equal(scene.handled, 0);
});

Deno.test("a head that arrives one byte at a time has one deadline for all bytes", async () => {
  await using scene = await Scene.open();
  using raw = await scene.open();
  raw.drip("GET /a HTTP/1.1\r\nX: ".padEnd(500, "y"), 50);
  await raw.untilText(/^HTTP\/1\.1 408 /);
  assert.equal(scene.handled, 0);
});

Deno.test("a silent connection is closed without an answer", async () => {
  await using scene = await Scene.open();
  assert.equal(await scene.say(""), "");
});

Deno.test("the second request on a connection has the same deadline", async () => {
  await using scene = await Scene.open();
  const text = await scene.say(get("/a") + "GET /b HTTP/1.1\r\n");
  assert.match(text, /GET \/a 0 from[\s\S]*\nHTTP\/1\.1 408 /);
  assert.equal(scene.handled, 1);
  assert.match(await scene.say(get("/a")), /GET \/a 0 from [\d.]+\n$/);
});

Deno.test("several requests on one connection are answered in their order, with and without bodies", async () => {
  await using scene = await Scene.open();
  const put = (path: string, body: string) =>
    request(`PUT ${path} HTTP/1.1`, `Content-Length: ${body.length}`) + body;
  const text = await scene.say(
    `\r\n${get("/1")}${put("/2", "abc")}\r\n${get("/3")}${put("/4", get("/inner"))}` +
      get("/5", "Connection: close") + get("/never"),
  );
  assert.deepEqual([...text.matchAll(/\w+ (\/\w+) (\d+) from/g)].map(([, path, n]) => [path, n]), [
    ["/1", "0"],
    ["/2", "3"],
    ["/3", "0"],
    ["/4", String(get("/inner").length)],
    ["/5", "0"],
  ]);
});

Deno.test("a chunked body is passed on, and its connection ends with the answer", async () => {
  await using scene = await Scene.open();
  const head = request("POST /c HTTP/1.1", "Transfer-Encoding: chunked");
  const text = await scene.say(`${head}3\r\nabc\r\n0\r\n\r\n${get("/never")}`);
  assert.match(text, /connection: close[\s\S]*POST \/c 3 from/i);
  assert.equal(scene.handled, 1);
});

Deno.test("a stalled body ends its connection; a moving one does not", async () => {
  await using scene = await Scene.open();
  using still = await scene.open();
  using moving = await scene.open();
  still.write(request("PUT /still HTTP/1.1", "Content-Length: 9") + "abc");
  moving.write(request("PUT /moving HTTP/1.1", "Content-Length: 12"));
  // Longer than the deadline in total, each step within it.
  moving.drip("abcdefghijkl", IDLE_MS / 4);
  await still.untilClosed();
  await until("the application hears of it", () => scene.broken === 1);
  await moving.untilText(/PUT \/moving 12 from/);
});

Deno.test("the gateway does not wait for a client that disappears in the middle of its body", async () => {
  for (const how of ["resets", "closes", "half-closes"]) {
    for (const length of ["Content-Length: 9", "Transfer-Encoding: chunked"]) {
      await using scene = await Scene.open({ idleTimeoutMs: 60_000 });
      using raw = await scene.open();
      raw.write(request("PUT /gone HTTP/1.1", length) + "3\r\nabc");
      await until("the application to be asked", () => scene.handled === 1);
      if (how === "resets") raw.reset();
      else if (how === "closes") raw.close();
      else raw.halfClose();
      await until(`the application to hear of it (${how}, ${length})`, () => scene.broken === 1);
      await until("its place to be free", () => scene.front.connections === 0);
    }
  }
});

Deno.test("a stalled reader ends its connection, and its answer is abandoned", async () => {
  const given = Promise.withResolvers<void>();
  await using scene = await Scene.open({}, {
    "/endless": () =>
      new Response(
        new ReadableStream({
          pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
          cancel: () => given.resolve(),
        }),
      ),
  });
  using raw = await scene.open({ reads: false });
  raw.write(get("/endless"));
  await given.promise;
  await until("its place is free", () => scene.front.connections === 0);
});

Deno.test("an answer sent before the end of the body arrives complete, and the rest of the body is dropped", async () => {
  await using scene = await Scene.open({}, {
    "/no": () => new Response("not you\n", { status: 401 }),
  });
  using raw = await scene.open();
  raw.write(request("PUT /no HTTP/1.1", "Content-Length: 50000000"));
  raw.write(new Uint8Array(5_000_000));
  await raw.untilText(/^HTTP\/1\.1 401 [\s\S]*not you\n/);
  raw.halfClose();
  await raw.untilClosed();
  assert.equal(scene.handled, 1);
});

// The runtime releases the body of such a request only when it is garbage collected.
const UNREAD = { sanitizeResources: false };

Deno.test(
  "clients that keep sending after an early answer, and then reset, affect nobody else",
  UNREAD,
  async () => {
    await using scene = await Scene.open({}, {
      "/some": async (request) => {
        const reader = request.body!.getReader();
        await reader.read();
        return new Response("enough\n", { status: 401 });
      },
    });
    for (let round = 0; round < 2; round++) {
      const raws = await Raw.openMany(scene.target, 10, ["127.0.0.2", "127.0.0.3"]);
      for (const raw of raws) {
        raw.write(request("PUT /some HTTP/1.1", "Content-Length: 50000000"));
        raw.drip(Array(100).fill("x".repeat(2_000)), 0);
      }
      for (const raw of raws) await raw.untilText(/401 [\s\S]*enough\n/);
      for (const raw of raws) raw.reset();
    }
    await until("their places to be free", () => scene.front.connections === 0);
  },
);

Deno.test("a request is answered even if the client has closed its sending side", async () => {
  await using scene = await Scene.open();
  using raw = await scene.open();
  raw.write(get("/half"));
  raw.halfClose();
  await raw.untilText(/GET \/half 0 from/);
});

Deno.test("heads that are too long or not HTTP/1.1 are refused with an explanation", async () => {
  await using scene = await Scene.open();
  const long = await scene.say(get(`/${"a".repeat(40_000)}`));
  assert.match(long, /^HTTP\/1\.1 431 [\s\S]*"detail":/);
  const bad = ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "hello\r\n\r\n", get("/", "Bad Name: 1")];
  bad.push(request("POST / HTTP/1.1", "Content-Length: 1", "Content-Length: 2") + "ab");
  for (const text of bad) {
    const answer = await scene.say(text);
    assert.match(answer, /^HTTP\/1\.1 400 [\s\S]*"detail":/, text);
    // Like all answers of the server: nothing in it is a page.
    assert.match(answer, /\r\ncontent-security-policy: default-src 'none'\r\n/);
    assert.match(answer, /\r\nx-content-type-options: nosniff\r\n/);
  }
  assert.equal(scene.handled, 0);
});

Deno.test("nobody reaches the application without passing the gateway", async () => {
  await using scene = await Scene.open();
  const [{ name }] = [...Deno.readDirSync(scene.folder)] as [Deno.DirEntry];
  const conn = await Deno.connect({ transport: "unix", path: `${scene.folder}/${name}` });
  await conn.write(new TextEncoder().encode(get("/a", "Connection: close")));
  const buffer = new Uint8Array(1000);
  const read = await conn.read(buffer);
  assert.match(new TextDecoder().decode(buffer.subarray(0, read!)), /^HTTP\/1\.1 421 /);
  conn.close();
  assert.equal(scene.handled, 0);
});

Deno.test("when the socket's folder is removed, serving continues, and no request in progress is lost", async () => {
  const answer = Promise.withResolvers<void>();
  await using scene = await Scene.open({}, {
    "/thinking": async () => {
      await answer.promise;
      return new Response("at last\n");
    },
  });
  using raw = await scene.open();
  raw.write(get("/thinking"));
  await until("it is under way", () => scene.handled === 1);
  await Deno.remove(scene.folder, { recursive: true });
  for (let i = 0; i < 3; i++) {
    assert.match(await scene.say(get("/a", "Connection: close")), /GET \/a 0 from/);
  }
  answer.resolve();
  await raw.untilText(/at last\n/);
  await Deno.mkdir(scene.folder);
});

Deno.test("if the socket's path would be too long, it is created elsewhere, and nothing of it remains", async () => {
  const parent = await Deno.makeTempDir();
  const folder = `${parent}/${"a".repeat(120)}`;
  await Deno.mkdir(folder);
  const front = new Gateway({ hostname: "127.0.0.1", port: 0, limits: DEFAULT_LIMITS });
  front.begin(() => new Response("here\n"), folder);
  const response = await fetch(`http://127.0.0.1:${front.port}/`);
  assert.equal(await response.text(), "here\n");
  await front.stop();
  assert.deepEqual([...Deno.readDirSync(folder)], []);
  await Deno.remove(parent, { recursive: true });
});

Deno.test("a silent connection gives up its slot to a new one", async () => {
  const silent = { messageTimeoutMs: 60_000, maxConnections: 8, maxConnectionsPerAddress: 4 };
  await using scene = await Scene.open(silent);
  const attackers = await Raw.openMany(scene.target, 60, ["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
  assert.match(await scene.say(get("/a", "Connection: close")), /GET \/a 0 from/);
  for (const raw of attackers) raw.close();
});

Deno.test("a client is not dropped because its answer takes long to compute", async () => {
  const answer = Promise.withResolvers<void>();
  await using scene = await Scene.open({}, {
    "/thinking": async () => {
      await answer.promise;
      return new Response("at last\n");
    },
  });
  using raw = await scene.open();
  using chunked = await scene.open();
  raw.write(get("/thinking"));
  chunked.write(request("POST /thinking HTTP/1.1", "Transfer-Encoding: chunked") + "0\r\n\r\n");
  // A connection opened after it and closed by its deadline shows that the deadline has passed for both.
  using other = await scene.open();
  other.write(request("PUT /still HTTP/1.1", "Content-Length: 9"));
  await other.untilClosed();
  assert.deepEqual([raw.isClosed, chunked.isClosed], [false, false]);
  answer.resolve();
  await raw.untilText(/at last\n/);
  await chunked.untilText(/at last\n/);
});

Deno.test("stopping waits for requests in progress, but not forever", async () => {
  const scene = await Scene.open({}, { "/never": () => new Promise<Response>(() => {}) });
  using raw = await scene.open();
  raw.write(get("/never"));
  await until("it is under way", () => scene.handled === 1);
  await scene[Symbol.asyncDispose]();
  await raw.untilClosed();
});

Deno.test("without Unix sockets, as on Windows, requests go through a loopback port, and nobody gets past the gateway", async () => {
  const listening: number[] = [];
  const { serve } = Deno;
  // What the server behind the gateway listens on.
  const spied = ((...args: Parameters<typeof serve>) => {
    const server = serve(...args);
    if ("port" in server.addr) listening.push(server.addr.port as number);
    return server;
  }) as typeof serve;
  Object.assign(Deno, { serve: spied });
  await using scene = await Scene.open({}, {}, { isUnix: false });
  Object.assign(Deno, { serve });
  assert.equal(listening.length, 1);
  const body = "x".repeat(200_000);
  const text = await scene.say(
    request("POST /a HTTP/1.1", `Content-Length: ${body.length}`, "Connection: close") + body,
  );
  assert.match(text, /^HTTP\/1.1 200 /);
  assert.match(text, /POST \/a 200000 from 127.0.0.1/);
  assert.equal([...Deno.readDirSync(scene.folder)].length, 0);
  const past = await fetch(`http://127.0.0.1:${listening[0]}/a`);
  assert.equal(past.status, 421);
  await past.body?.cancel();
  assert.equal(scene.handled, 1);
});
