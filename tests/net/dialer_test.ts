// Which addresses we dial, in which order, and which never, on real loopback sockets.

import assert from "node:assert/strict";
import { Dialer, DialError } from "../../net/dialer.ts";
import { holding, limits } from "../wire/holding.ts";

const nothingOwn = () => ({ ips: [], ports: [] });
const dialLimits = { maxDials: 2, dialTimeoutMs: 500 };

Deno.test("A remote peer cannot make us dial loopback, however it is spelled", async () => {
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
      (error) => error instanceof DialError && error.fault === "forbidden",
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

Deno.test("A refused dial says so in words, and lets the next one start", async () => {
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

Deno.test("Files are dialed for before answers, and answers before news", async () => {
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
  assert.equal(first, "answer", "twenty dials for news were waiting before it");
  for (const connection of await Promise.all([...dials, answer])) connection.close();
});

Deno.test("Dialing a name that does not resolve fails", async () => {
  const dialer = new Dialer(dialLimits, nothingOwn);
  await assert.rejects(
    dialer.dial({ host: "no-such-host.invalid", port: 8999 }, "operator"),
    DialError,
  );
});

Deno.test("A full queue, stopping and a network failure are our fault; silence and refusal are theirs", async () => {
  const faultOf = async (dial: Promise<unknown>) => {
    try {
      await dial;
      return "none";
    } catch (error) {
      assert.ok(error instanceof DialError, String(error));
      return error.fault;
    }
  };
  const refusing = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = refusing.addr;
  refusing.close();
  const dialer = new Dialer(dialLimits, nothingOwn);
  assert.equal(await faultOf(dialer.dial({ host: "127.0.0.1", port }, "local")), "theirs");

  const connect = Deno.connect;
  const answer = Promise.withResolvers<never>();
  answer.promise.catch(() => {}); // it may settle before anybody waits for it
  Deno.connect = (() => answer.promise) as unknown as typeof Deno.connect;
  try {
    const dials = Array.from(
      { length: 5_000 },
      (_, i) => faultOf(dialer.dial({ host: `10.0.${i >> 8}.${i & 255}`, port: 6000 }, "remote")),
    );
    const unreachable = new Error("Network is unreachable (os error 101)");
    answer.reject(Object.assign(unreachable, { code: "ENETUNREACH" }));
    const faults = await Promise.all(dials);
    assert.deepEqual(new Set(faults), new Set(["ours"]), "beyond the queue and in it");
  } finally {
    Deno.connect = connect;
  }
  dialer.close();
  assert.equal(await faultOf(dialer.dial({ host: "127.0.0.1", port }, "local")), "ours");
});

Deno.test("A further address is dialed where the first refuses, never where it must not be, and not read where the first answers", async () => {
  using server = holding();
  const { port } = server.listener;
  const dialer = new Dialer(dialLimits, nothingOwn);
  const nowhere = { host: "127.0.0.2", port };
  const connection = await dialer.dial(nowhere, "local", "news", ["224.0.0.1", "127.0.0.1"]);
  assert.equal(connection.ip, "127.0.0.1");
  connection.close();
  const unread = { [Symbol.iterator]: () => ({ next: () => assert.fail("it is not needed") }) };
  (await dialer.dial({ host: "127.0.0.1", port }, "local", "news", unread)).close();
  await assert.rejects(
    dialer.dial({ host: "10.255.255.1", port: 80 }, "remote", "news", ["127.0.0.1", "::1"]),
    (error) => error instanceof DialError && error.fault === "forbidden",
  );
});

Deno.test("Of a name with several addresses, the one that answers is used", async () => {
  const all = [{ address: "::1", family: 6 }, { address: "127.0.0.1", family: 4 }];
  const nothing = () => {};
  const dialer = new Dialer(
    dialLimits,
    nothingOwn,
    nothing,
    nothing,
    undefined,
    () => Promise.resolve(all),
  );
  for (const hostname of ["127.0.0.1", "::1"]) {
    using listener = Deno.listen({ hostname, port: 0 });
    const accepted = listener.accept();
    const to = { host: "eagle", port: listener.addr.port };
    const connection = await dialer.dial(to, "operator");
    assert.equal(connection.ip, hostname);
    connection.close();
    (await accepted).close();
  }
  // Old peers listen on IPv4 only, so that goes first.
  using both = Deno.listen({ hostname: "::", port: 0 });
  const accepted = both.accept();
  const connection = await dialer.dial({ host: "eagle", port: both.addr.port }, "operator");
  assert.equal(connection.ip, "127.0.0.1");
  connection.close();
  (await accepted).close();
});

Deno.test("What one address says outweighs that another cannot be reached from here", async () => {
  const connect = Deno.connect;
  const failing = (codes: Record<string, string>) =>
    ((options: { hostname: string }) =>
      Promise.reject(
        Object.assign(new Error("no"), { code: codes[options.hostname] }),
      )) as unknown as typeof Deno.connect;
  const faultOf = async (codes: Record<string, string>) => {
    Deno.connect = failing(codes);
    const [host = "", ...also] = Object.keys(codes);
    try {
      await new Dialer(dialLimits, nothingOwn)
        .dial({ host, port: 6000 }, "remote", "news", also);
      return "none";
    } catch (error) {
      return (error as DialError).fault;
    } finally {
      Deno.connect = connect;
    }
  };
  const [a, b] = ["10.0.0.1", "fd00::1"];
  assert.equal(await faultOf({ [a]: "ENETUNREACH", [b]: "ENETUNREACH" }), "ours");
  assert.equal(await faultOf({ [a]: "ENETUNREACH", [b]: "EHOSTUNREACH" }), "theirs");
  assert.equal(await faultOf({ [a]: "EHOSTUNREACH", [b]: "ENETUNREACH" }), "theirs");
});
