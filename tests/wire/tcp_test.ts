// Sockets with deadlines and limits, on real loopback connections.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { ProtocolError } from "../../protocol/errors.ts";
import { Dialer, DialError } from "../../protocol/dialer.ts";
import { Connection, Listener, type ListenOptions } from "../../protocol/tcp.ts";
import { until } from "../until.ts";

const limits = { maxConnections: 3, maxConnectionsPerAddress: 2, maxWaitingConnections: 2 };

/** A listener whose connections stay until they are let go. Its clock stands, so nobody seems to stand still. */
function holding(options: Partial<ListenOptions> = {}) {
  const served: { connection: Connection; letGo: () => void }[] = [];
  const listener = new Listener({
    hostname: "127.0.0.1",
    port: 0,
    limits,
    isKnown: () => false,
    nowMs: () => 0,
    serve: (connection) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      served.push({ connection, letGo: resolve });
      return promise;
    },
    ...options,
  });
  listener.begin();
  return {
    listener,
    served,
    [Symbol.dispose]() {
      for (const { letGo } of served) letGo();
      listener.close();
    },
  };
}

const connect = (port: number) => Deno.connect({ hostname: "127.0.0.1", port });

async function isClosed(conn: Deno.Conn): Promise<boolean> {
  try {
    return await conn.read(new Uint8Array(1)) === null;
  } catch {
    return true; // reset
  }
}

Deno.test("Connections beyond the limits are closed at once where none may wait", async () => {
  using server = holding({ limits: { ...limits, maxWaitingConnections: 0 } });
  const conns = await Promise.all([1, 2].map(() => connect(server.listener.port)));
  await until("two are served", () => server.served.length === 2);
  const third = await connect(server.listener.port);
  assert.equal(await isClosed(third), true);
  assert.equal(server.served.length, 2);
  for (const conn of [...conns, third]) conn.close();
});

Deno.test("A known peer's burst waits for its turn, up to the limit, and then is served", async () => {
  using server = holding({ isKnown: () => true });
  const conns: Deno.Conn[] = [];
  for (let i = 0; i < 4; i++) conns.push(await connect(server.listener.port));
  await until("two are served and two wait", () => server.listener.connections === 4);
  const fifth = await connect(server.listener.port);
  assert.equal(await isClosed(fifth), true);
  server.served[0]!.letGo();
  await until("the next one is served", () => server.served.length === 3);
  server.served[1]!.letGo();
  await until("and the last one", () => server.served.length === 4);
  for (const conn of [...conns, fifth]) conn.close();
});

Deno.test("A connection that stands still is closed for one that comes, and its end says why", async () => {
  let nowMs = 0;
  const reasons: unknown[] = [];
  using server = holding({
    nowMs: () => nowMs,
    serve: (connection) =>
      connection.read(new Uint8Array(1), 60_000).then(() => {}, (error) => {
        reasons.push(error.reason);
      }),
  });
  const conns = await Promise.all([1, 2].map(() => connect(server.listener.port)));
  await until("both are served", () => server.listener.connections === 2);
  nowMs = 1_000;
  const third = await connect(server.listener.port);
  await until("one gave its place up", () => reasons.length === 1);
  assert.deepEqual([reasons, server.listener.connections], [["too-slow"], 2]);
  for (const conn of [...conns, third]) conn.close();
});

Deno.test("Content is sent in turn: slow readers leave places for messages, and the next one follows", async () => {
  using server = holding({ limits: { ...limits, maxConnectionsPerAddress: 3 } });
  const conns = await Promise.all([1, 2, 3].map(() => connect(server.listener.port)));
  await until("three are served", () => server.served.length === 3);
  const sent: number[] = [];
  const ends = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
  const outcomes = server.served.map(({ connection }, i) =>
    server.listener.inTurn(connection, () => {
      sent.push(i);
      return ends[i]!.promise;
    })
  );
  const fourth = await connect(server.listener.port);
  await until("who waits for content gives its place back", () => server.served.length === 4);
  assert.deepEqual(sent, [0, 1]);
  server.served[3]!.letGo();
  ends[0]!.resolve();
  await until("its turn", () => sent.length === 3);
  ends[1]!.resolve();
  ends[2]!.resolve();
  assert.deepEqual(await Promise.all(outcomes), [true, true, true]);
  for (const conn of [...conns, fourth]) conn.close();
});

Deno.test("A connection is settled when the system let go of it, at the latest when the other side went", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const reader = await connect(listener.addr.port);
  const connection = new Connection(await listener.accept());
  await connection.settled(); // nothing is under way yet
  await assert.rejects(connection.write(new Uint8Array(64 * 1024 ** 2), 200));
  assert.equal(connection.closed, true);
  reader.close();
  await connection.settled();
});

/** Writes zeros to a port from a thread of its own, so that the reader always finds some. */
const PUMP = `self.onmessage = async ({ data: { port, sizeBytes } }) => {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const bytes = new Uint8Array(1024 ** 2);
  for (let sent = 0; sent < sizeBytes;) sent += await conn.write(bytes);
  conn.close();
  self.close();
};`;

Deno.test("A fast stream leaves turns to timers and others", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const sizeBytes = 512 * 1024 ** 2;
  const pump = new Worker(`data:text/javascript,${encodeURIComponent(PUMP)}`, { type: "module" });
  pump.postMessage({ port: listener.addr.port, sizeBytes });
  const connection = new Connection(await listener.accept());
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  const buffer = new Uint8Array(1024 ** 2);
  const hash = createHash("sha256");
  let received = 0;
  let [longest, sinceTurn] = [0, 0];
  for (let read; (read = await connection.read(buffer, 30_000)) !== null;) {
    hash.update(buffer.subarray(0, read)); // work that lets the next bytes come meanwhile
    received += read;
    sinceTurn = turns === 0 ? sinceTurn + read : 0;
    turns = 0;
    longest = Math.max(longest, sinceTurn);
  }
  clearInterval(timer);
  pump.terminate();
  connection.close();
  assert.ok(received >= sizeBytes);
  assert.ok(longest < sizeBytes / 8, `no turn of the timer while ${longest} bytes passed`);
});

Deno.test("A port that is taken is an error at once", () => {
  using server = holding();
  assert.throws(
    () => new Listener({ ...server.listener.options, port: server.listener.port }),
    Deno.errors.AddrInUse,
  );
});

Deno.test("A read that brings nothing before its deadline ends the connection", async () => {
  using server = holding();
  const connection = new Connection(await connect(server.listener.port));
  await assert.rejects(
    connection.read(new Uint8Array(10), 20),
    (error) => error instanceof ProtocolError && error.reason === "too-slow",
  );
  assert.equal(connection.closed, true);
});

Deno.test("The deadline counts from the last piece, and again after a pause in which nobody read", async () => {
  using server = holding();
  const far = await connect(server.listener.port);
  await until("it is served", () => server.served.length === 1);
  const { connection } = server.served[0]!;
  const buffer = new Uint8Array(1);
  const timeoutMs = 1_500;
  const beganMs = performance.now();
  // Twice as long as the deadline in all; the pause comes when the timer of the first pieces has run out.
  for (const waitMs of [400, 400, 400, 400, 1_600, 400, 400]) {
    const reading = waitMs > timeoutMs ? undefined : connection.read(buffer, timeoutMs);
    await new Promise((go) => setTimeout(go, waitMs));
    await far.write(new Uint8Array(1));
    assert.equal(await (reading ?? connection.read(buffer, timeoutMs)), 1);
  }
  assert.ok(performance.now() - beganMs > 2 * timeoutMs);
  await assert.rejects(
    connection.read(buffer, timeoutMs),
    (error) => error instanceof ProtocolError && error.reason === "too-slow",
  );
  far.close();
});

Deno.test("A shorter deadline counts though a longer one was set before", async () => {
  using server = holding();
  const far = await connect(server.listener.port);
  await until("it is served", () => server.served.length === 1);
  const { connection } = server.served[0]!;
  await far.write(new Uint8Array(1));
  assert.equal(await connection.read(new Uint8Array(1), 3_600_000), 1);
  await assert.rejects(connection.read(new Uint8Array(1), 50), ProtocolError);
  far.close();
});

Deno.test("A read that nobody waits for any more does not lift the deadline of the one after it", async () => {
  using server = holding();
  const far = await connect(server.listener.port);
  await until("it is served", () => server.served.length === 1);
  const { connection } = server.served[0]!;
  const abandoned = connection.read(new Uint8Array(1), 3_600_000);
  const waiting = connection.read(new Uint8Array(1), 300);
  await far.write(new Uint8Array(1));
  assert.equal(await abandoned, 1);
  await assert.rejects(waiting, ProtocolError);
  far.close();
});

Deno.test("Closing ends what waits, and is no deadline", async () => {
  using server = holding();
  const far = await connect(server.listener.port);
  await until("it is served", () => server.served.length === 1);
  const { connection } = server.served[0]!;
  const waiting = [
    connection.read(new Uint8Array(1), 3_600_000),
    connection.write(new Uint8Array(64 * 1024 ** 2), 3_600_000),
  ];
  await new Promise((go) => setTimeout(go, 50));
  connection.close();
  for (const ended of waiting) {
    await assert.rejects(ended, (error) => !(error instanceof ProtocolError));
  }
  await assert.rejects(connection.read(new Uint8Array(1), 3_600_000));
  far.close();
});

Deno.test("A reader that takes nothing is given up, and what was written is bounded", async () => {
  using server = holding();
  const silent = await connect(server.listener.port);
  await until("it is served", () => server.served.length === 1);
  const { connection } = server.served[0]!;
  const megabyte = new Uint8Array(1024 * 1024);
  let written = 0;
  await assert.rejects(async () => {
    for (; written < 200; written++) await connection.write(megabyte, 200);
  }, ProtocolError);
  assert.ok(written < 100, `the system's buffers hold less than ${written} MiB`);
  silent.close();
});

const nothingOwn = () => ({ ips: [], ports: [] });
const dialLimits = { maxDials: 2, dialTimeoutMs: 500 };

Deno.test("A remote peer cannot make us dial loopback, whatever the spelling", async () => {
  using server = holding();
  const dialer = new Dialer(dialLimits, nothingOwn);
  const spellings = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.1",
    "0.0.0.0",
    "::ffff:127.0.0.1",
    "localhost",
  ];
  for (const host of spellings) {
    await assert.rejects(
      dialer.dial({ host, port: server.listener.port }, "remote"),
      (error) => error instanceof DialError && error.forbidden,
      host,
    );
  }
  assert.equal(server.served.length, 0);
  const connection = await dialer.dial({ host: "localhost", port: server.listener.port }, "local");
  connection.close();
});

Deno.test("Nobody makes us dial ourselves", async () => {
  using server = holding();
  const { port } = server.listener;
  const dialer = new Dialer(dialLimits, () => ({ ips: [], ports: [port] }));
  for (const voucher of ["operator", "local", "remote"] as const) {
    await assert.rejects(dialer.dial({ host: "127.0.0.1", port }, voucher), /our own/);
  }
});

Deno.test("A refused dial says so in words, and frees its place for the next", async () => {
  const dialer = new Dialer(dialLimits, nothingOwn);
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = closed.addr;
  closed.close();
  const dials = Array.from({ length: 6 }, () => dialer.dial({ host: "127.0.0.1", port }, "local"));
  for (const { status, reason } of (await Promise.allSettled(dials)) as PromiseRejectedResult[]) {
    assert.equal(status, "rejected");
    assert.match(reason.message, /127\.0\.0\.1:\d+ refuses connections/);
  }
});

Deno.test("Files are dialled for before answers, and answers before news", async () => {
  using server = holding({
    limits: { ...limits, maxConnections: 99, maxConnectionsPerAddress: 99 },
  });
  const dialer = new Dialer({ ...dialLimits, maxDials: 1 }, nothingOwn);
  const done: string[] = [];
  const dial = async (rank: "file" | "answer" | "news") => {
    const to = { host: "127.0.0.1", port: server.listener.port };
    const connection = await dialer.dial(to, "local", rank);
    done.push(rank);
    connection.close();
  };
  await Promise.all((["news", "news", "answer", "news", "file", "answer"] as const).map(dial));
  assert.deepEqual(done, ["news", "file", "answer", "answer", "news", "news"]);
});

Deno.test("An answer does not wait behind news", async () => {
  using server = holding();
  const dialer = new Dialer({ maxDials: 4, dialTimeoutMs: 60_000 }, nothingOwn);
  const to = { host: "127.0.0.1", port: server.listener.port };
  const dials = Array.from({ length: 20 }, () => dialer.dial(to, "local", "news"));
  const answer = dialer.dial(to, "local", "answer");
  const first = await Promise.race([
    answer.then(() => "answer"),
    Promise.all(dials.slice(3)).then(() => "news"),
  ]);
  assert.equal(first, "answer", "twenty of the news waited before it");
  for (const connection of await Promise.all([...dials, answer])) connection.close();
});

Deno.test("A name that leads nowhere is a dial that fails", async () => {
  const dialer = new Dialer(dialLimits, nothingOwn);
  await assert.rejects(
    dialer.dial({ host: "no-such-host.invalid", port: 8999 }, "operator"),
    DialError,
  );
});
