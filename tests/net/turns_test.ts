// A stream that is always ready gives way to other work, and leaves nothing open.

import { ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { Connection } from "../../net/connection.ts";

const IDLE_MS = 60_000;
/** Sends as fast as it can, which is faster than small pieces are read. */
const SENDER = `
  onmessage = async ({ data: port }) => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    const piece = new Uint8Array(4 * 1024 ** 2);
    try {
      for (;;) await conn.write(piece);
    } catch {
      conn.close();
      postMessage("gone");
    }
  };
`;

/** Calls `act` with a function that reads from a connection on which something is always there, and works on it. */
async function withStream(act: (readOn: () => Promise<void>) => Promise<void>) {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const url = URL.createObjectURL(new Blob([SENDER], { type: "text/javascript" }));
  const sender = new Worker(url, { type: "module" });
  URL.revokeObjectURL(url);
  const gone = new Promise((go) => sender.onmessage = go);
  sender.postMessage(listener.addr.port);
  const stream = new Connection(await listener.accept());
  const small = new Uint8Array(4_096);
  const large = new Uint8Array(512 * 1024);
  try {
    await act(async () => {
      await stream.read(small, IDLE_MS);
      createHash("sha256").update(large); // as whoever receives content does
    });
  } finally {
    stream.close();
    await gone;
    sender.terminate();
  }
}

// About 60 pieces; without turns, 400.
Deno.test("while a stream runs, new connections are accepted and answered, and timers fire", async () => {
  const other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const answers: string[] = [];
  const asking = (async () => {
    // Each step needs what the one before it gave.
    for (let i = 0; i < 5; i++) {
      const [asked, asker] = await Promise.all([
        other.accept(),
        Deno.connect({ hostname: "127.0.0.1", port: other.addr.port }),
      ]);
      await asker.write(new TextEncoder().encode("question"));
      const buffer = new Uint8Array(100);
      await asked.read(buffer);
      await asked.write(new TextEncoder().encode("answer"));
      const read = await asker.read(buffer);
      answers.push(new TextDecoder().decode(buffer.subarray(0, read!)));
      await new Promise((go) => setTimeout(go, 0));
      asked.close();
      asker.close();
    }
  })();
  let pieces = 0;
  await withStream(async (readOn) => {
    for (; answers.length < 5 && pieces < 200; pieces++) await readOn();
    strictEqual(answers.length, 5, `${pieces} pieces were read meanwhile`);
  });
  await asking;
  other.close();
});

Deno.test("a failed attempt to connect to ourselves leaves nothing open", async () => {
  const { connect } = Deno;
  await withStream(async (readOn) => {
    let tried = 0;
    Deno.connect = (() => {
      tried++;
      return Promise.reject(new Error("Too many open files"));
    }) as unknown as typeof connect;
    try {
      for (let i = 0; i < 200 && tried === 0; i++) await readOn();
      for (let i = 0; i < 50; i++) await readOn();
    } finally {
      Deno.connect = connect;
    }
    ok(tried <= 1, "it is tried again only later");
  });
});

Deno.test("streams go on if there is no connection to ourselves", async () => {
  const { listen } = Deno;
  let refused = 0;
  await withStream(async (readOn) => {
    Deno.listen = (() => {
      refused++;
      throw new Deno.errors.PermissionDenied("no loopback");
    }) as typeof listen;
    let fired = 0;
    const timer = setInterval(() => fired++, 1);
    try {
      for (let i = 0; i < 5_000 && fired < 5; i++) await readOn();
    } finally {
      clearInterval(timer);
      Deno.listen = listen;
    }
    strictEqual(fired >= 5, true);
    // It is tried again only later.
    ok(refused <= 1, `${refused}`);
  });
});
