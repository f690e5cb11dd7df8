// A connection with its deadlines, on real loopback sockets.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Connection } from "../../net/connection.ts";
import { ProtocolError } from "../../protocol/wire/errors.ts";
import { until } from "../until.ts";
import { connect, holding } from "../wire/holding.ts";

Deno.test("A connection is settled once the system has released it, at the latest when the other side closes", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const reader = await connect(listener.addr.port);
  const connection = new Connection(await listener.accept());
  await connection.settled(); // nothing is in progress yet
  await assert.rejects(connection.write(new Uint8Array(64 * 1024 ** 2), 200));
  assert.equal(connection.closed, true);
  reader.close();
  await connection.settled();
});

/** Writes zeros to a port from another thread, so that the reader always finds some. */
const PUMP = `self.onmessage = async ({ data: { port, sizeBytes } }) => {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const bytes = new Uint8Array(1024 ** 2);
  for (let sent = 0; sent < sizeBytes;) sent += await conn.write(bytes);
  conn.close();
  self.close();
};`;

Deno.test("A fast stream yields to timers and other work", async () => {
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
    hash.update(buffer.subarray(0, read)); // work during which the next bytes arrive
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

Deno.test("A read that gets nothing before its deadline closes the connection", async () => {
  using server = holding();
  const connection = new Connection(await connect(server.listener.port));
  await assert.rejects(
    connection.read(new Uint8Array(10), 20),
    (error) => error instanceof ProtocolError && error.reason === "too-slow",
  );
  assert.equal(connection.closed, true);
});

Deno.test("The deadline is counted from the last piece, and again after a pause in which nobody read", async () => {
  using server = holding();
  const far = await connect(server.listener.port);
  await until("it is served", () => server.served.length === 1);
  const { connection } = server.served[0]!;
  const buffer = new Uint8Array(1);
  const timeoutMs = 1_500;
  const beganMs = performance.now();
  // Twice the deadline in total; the pause comes when the timer of the first pieces has expired.
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

Deno.test("A shorter deadline applies even if a longer one was set before", async () => {
  using server = holding();
  const far = await connect(server.listener.port);
  await until("it is served", () => server.served.length === 1);
  const { connection } = server.served[0]!;
  await far.write(new Uint8Array(1));
  assert.equal(await connection.read(new Uint8Array(1), 3_600_000), 1);
  await assert.rejects(connection.read(new Uint8Array(1), 50), ProtocolError);
  far.close();
});

Deno.test("An abandoned read does not lift the deadline of the next one", async () => {
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

const SANITIZED = { sanitizeOps: true, sanitizeResources: true }; // no timer may be left
Deno.test("Closing fails pending operations, but not as too slow", SANITIZED, async () => {
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
  await assert.rejects(connection.read(new Uint8Array(1), 60_000));
  far.close();
});

Deno.test("A peer that reads nothing is given up, and the amount written to it is bounded", async () => {
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
