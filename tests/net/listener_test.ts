// Which connections are served, on real loopback sockets.

import assert from "node:assert/strict";
import { Listener } from "../../net/listener.ts";
import { until } from "../until.ts";
import { connect, holding, limits } from "../wire/holding.ts";

async function isClosed(conn: Deno.Conn): Promise<boolean> {
  try {
    return await conn.read(new Uint8Array(1)) === null;
  } catch {
    return true; // reset
  }
}

Deno.test("Connections beyond the limits are closed at once if none may wait", async () => {
  using server = holding({ limits: { ...limits, maxWaitingConnections: 0 } });
  const conns = await Promise.all([1, 2].map(() => connect(server.listener.port)));
  await until("two are served", () => server.served.length === 2);
  const third = await connect(server.listener.port);
  assert.equal(await isClosed(third), true);
  assert.equal(server.served.length, 2);
  for (const conn of [...conns, third]) conn.close();
});

Deno.test("A burst from a known peer waits for its turn, up to the limit, and is then served", async () => {
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

Deno.test("A stalled connection is closed in favor of a new one, and fails as too slow", async () => {
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

Deno.test("Content is sent in turn: slow readers leave slots for messages, and the next reader follows", async () => {
  using server = holding({ limits: { ...limits, maxConnectionsPerAddress: 3 } });
  const conns = await Promise.all([1, 2, 3].map(() => connect(server.listener.port)));
  await until("three are served", () => server.served.length === 3);
  const sent: number[] = [];
  const ends = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
  const outcomes = server.served.map(({ connection }, i) =>
    server.listener.inTurn(connection, false, () => {
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

Deno.test("A port that is in use is an error at once", () => {
  using server = holding();
  assert.throws(
    () => new Listener({ ...server.listener.options, port: server.listener.port }),
    Deno.errors.AddrInUse,
  );
});

Deno.test("Closing waits until every connection has been served to its end", async () => {
  const [end, begun] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const steps: string[] = [];
  const { listener } = holding({
    serve: async (connection) => {
      begun.resolve();
      await connection.read(new Uint8Array(1), 60_000).catch(() => steps.push("dropped"));
      await end.promise;
      steps.push("served");
    },
  });
  const conn = await connect(listener.port);
  await begun.promise;
  const closing = listener.close().then(() => steps.push("closed"));
  await until("it is dropped", () => steps.length > 0);
  end.resolve();
  await closing;
  assert.deepEqual(steps, ["dropped", "served", "closed"]);
  conn.close();
});
