// Passing on between two connections, on real loopback sockets.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Connection } from "../../net/connection.ts";
import { relay, type RelayOptions } from "../../net/relay.ts";
import { Throttle } from "../../net/throttle.ts";

/** Both ends of a connection. */
async function pair(): Promise<readonly [Deno.TcpConn, Deno.TcpConn]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = listener.accept();
  return [await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }), await accepting];
}

/** Two outer ends, and what passes on between them. */
async function scene(options: Partial<RelayOptions> = {}) {
  const [[a, innerA], [b, innerB]] = [await pair(), await pair()];
  let moved = 0;
  const over = relay(new Connection(innerA), new Connection(innerB), {
    idleMs: 10_000,
    throttles: [new Throttle()],
    onMoved: (bytes) => moved += bytes,
    ...options,
  });
  return { a, b, over, moved: () => moved };
}

const text = (conn: Deno.Conn) => new Response(conn.readable).text();
const say = async (conn: Deno.Conn, what: string) => {
  await conn.write(new TextEncoder().encode(what));
};

Deno.test("what comes on one side goes to the other, and so does the end, while the other side goes on", async () => {
  const { a, b, over, moved } = await scene();
  await say(a, "question");
  await a.closeWrite();
  const buffer = new Uint8Array(100);
  const read = await b.read(buffer);
  strictEqual(new TextDecoder().decode(buffer.subarray(0, read!)), "question");
  strictEqual(await b.read(buffer), null);
  await say(b, "a long answer");
  await b.closeWrite();
  strictEqual(await text(a), "a long answer");
  await over;
  strictEqual(moved(), "question".length + "a long answer".length);
  b.close();
});

Deno.test("much content arrives as it was, and no more is in memory than a buffer", async () => {
  const { a, b, over } = await scene();
  const content = crypto.getRandomValues(new Uint8Array(65_536));
  const pieces = 200;
  const sending = (async () => {
    for (let i = 0; i < pieces; i++) {
      for (let at = 0; at < content.length;) at += await a.write(content.subarray(at));
    }
    await a.closeWrite();
  })();
  const got = new Uint8Array(await new Response(b.readable).arrayBuffer());
  await sending;
  strictEqual(got.length, pieces * content.length);
  deepStrictEqual(got.subarray(-content.length), content);
  await over;
  a.close();
});

Deno.test("when one side goes away, the other one is told, and closed if it says nothing more", async () => {
  const { a, b, over } = await scene({ idleMs: 300 });
  await say(a, "x");
  const buffer = new Uint8Array(1);
  await b.read(buffer);
  b.close();
  ok(await a.read(buffer).then((read) => read === null, () => true));
  await over;
  a.close();
});

Deno.test("two sides that are silent are closed", async () => {
  const { a, b, over } = await scene({ idleMs: 200 });
  await over;
  for (const conn of [a, b]) {
    ok(await conn.read(new Uint8Array(1)).then((read) => read === null, () => true));
    conn.close();
  }
});

Deno.test("what is passed on keeps to the limit", async () => {
  const waits: number[] = [];
  let nowMs = 0;
  const clock = {
    now: () => nowMs,
    wait: (ms: number) => {
      waits.push(ms);
      nowMs += ms;
      return Promise.resolve();
    },
  };
  const { a, b, over } = await scene({
    throttles: [new Throttle(400_000, clock), new Throttle(100_000, clock)],
  });
  const content = new Uint8Array(50_000);
  for (let at = 0; at < content.length;) at += await a.write(content.subarray(at));
  await a.closeWrite();
  strictEqual((await new Response(b.readable).arrayBuffer()).byteLength, content.length);
  await over;
  ok(nowMs >= 400 && nowMs <= 500, `${nowMs} ms for half a second's worth`);
  a.close();
});
