// Ways to a peer, tried on real loopback sockets: which goes first, what follows, and what becomes of those that come too late.

import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Effect, Input, Ways } from "../../protocol/effects.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import { Connection } from "../../net/connection.ts";
import { Dialer, DialError } from "../../net/dialer.ts";
import { Shares } from "../../net/shares.ts";
import { Throttle } from "../../net/throttle.ts";
import { LineEnded, Lines } from "../../node/lines.ts";
import { Routes } from "../../node/routes.ts";
import { until } from "../until.ts";

const DIRECT: Ways = { dial: "first", relays: [] };

/** Routes of one peer, and a place where others listen. */
class Scene implements Disposable {
  readonly inputs: Input[] = [];
  readonly said: [number, Record<string, unknown>][] = [];
  readonly served: Connection[] = [];
  /** Further addresses that were about to be dialed, and for how many bytes. */
  readonly asked: [string, number][] = [];
  readonly accepted: Deno.TcpConn[] = [];
  readonly shares = new Shares(new Throttle(), 1);
  readonly listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  ways: Ways = DIRECT;
  onSaid: (message: Record<string, unknown>) => void = () => {};
  readonly dialer = new Dialer(DEFAULT_LIMITS, () => ({ ips: [], ports: [] }));
  readonly routes = new Routes({
    dialer: this.dialer,
    waysTo: () => this.ways,
    mayDialAlso: (_, ip, sizeBytes) => {
      this.asked.push([ip, sizeBytes]);
      return ip !== "127.0.0.3";
    },
    isReached: () => false,
    say: (connection, bytes) => {
      const message = JSON.parse(new TextDecoder().decode(bytes));
      this.said.push([connection, message]);
      this.onSaid(message);
      return Promise.resolve();
    },
    serve: (connection) => void this.served.push(connection),
    onMoved: () => {},
    shares: this.shares,
    limits: DEFAULT_LIMITS,
    ext: () => ({ v: 1 }),
    dispatch: (input) => void this.inputs.push(input),
  });

  constructor() {
    this.#accept();
  }

  get address() {
    return { host: "127.0.0.1", port: this.listener.addr.port };
  }

  /** An address at which nobody listens. */
  static nowhere() {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    return { host: "127.0.0.1", port: listener.addr.port };
  }

  async #accept(): Promise<void> {
    try {
      for (;;) this.accepted.push(await this.listener.accept());
    } catch {
      // It is over.
    }
  }

  /** A message to the peer at an address. */
  message(to = this.address): Extract<Effect, { kind: "send" }> {
    const bytes = new Uint8Array(10);
    return { kind: "send", to, voucher: "operator", what: "GOSSIP", bytes, peerId: "far" };
  }

  dial(to = this.address) {
    return this.routes.dial(to, "operator", "file", "far");
  }

  [Symbol.dispose](): void {
    this.routes.close();
    this.dialer.close();
    this.listener.close();
    for (const conn of this.accepted) {
      try {
        conn.close();
      } catch {
        // It was closed already.
      }
    }
  }
}

const outcomes = (inputs: readonly Input[]) =>
  inputs.flatMap((input) => input.kind === "dialed" ? [input.outcome] : []);

/** Opens a connection with a token, as a peer that was asked to does. */
async function callBack(scene: Scene, token: string): Promise<Deno.TcpConn> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: scene.listener.addr.port });
  await until("it was accepted", () => scene.accepted.length > 0);
  const taken = scene.routes.arrived(token, new Connection(scene.accepted.pop()!));
  ok(taken, "it is awaited");
  return conn;
}

Deno.test("a peer that can be dialed is dialed, and nobody else is asked", async () => {
  using scene = new Scene();
  scene.ways = { dial: "first", on: 3, call: 3, relays: [] };
  const connection = await scene.dial();
  deepStrictEqual([outcomes(scene.inputs), scene.said, connection.isPassedOn], [
    ["reached"],
    [],
    false,
  ]);
  connection.close();
});

Deno.test("a peer that refuses is asked on its LINK to open a connection", async () => {
  using scene = new Scene();
  scene.ways = { dial: "first", on: 3, call: 3, relays: [] };
  const dialing = scene.dial(Scene.nowhere());
  await until("it is asked", () => scene.said.length > 0);
  const [[line, { type, token, relayed }]] = scene.said as [[number, Record<string, unknown>]];
  deepStrictEqual([line, type, relayed], [3, "CONNECT", undefined]);
  using far = await callBack(scene, token as string);
  const connection = await dialing;
  deepStrictEqual(outcomes(scene.inputs), ["refused"]);
  await far.write(new TextEncoder().encode("!"));
  strictEqual(await connection.read(new Uint8Array(1), 1_000), 1);
  strictEqual(scene.routes.arrived(token as string, connection), undefined, "a token is good once");
  connection.close();
});

Deno.test("a way that is found while a dial goes on is used", async () => {
  using scene = new Scene();
  // Nothing answers a connection to a listener whose backlog is full; here the dialer has no turn left for it.
  const slow = new Dialer({ maxDials: 0, dialTimeoutMs: 60_000 }, () => ({ ips: [], ports: [] }));
  const routes = new Routes({ ...scene.routes.options, dialer: slow });
  const sending = routes.toSend(scene.message());
  scene.ways = { dial: "first", on: 9, relays: [] };
  deepStrictEqual(await sending, { on: 9 });
  slow.close();
});

Deno.test("a connection that comes too late is closed", async () => {
  using scene = new Scene();
  const dialing = Promise.withResolvers<Connection>();
  const slow = { dial: () => dialing.promise } as unknown as Dialer;
  const routes = new Routes({ ...scene.routes.options, dialer: slow });
  scene.ways = { dial: "first", on: 9, relays: [] };
  deepStrictEqual(await routes.toSend(scene.message()), { on: 9 });
  const late = new Connection(
    await Deno.connect({ hostname: "127.0.0.1", port: scene.address.port }),
  );
  dialing.resolve(late);
  await until("it is closed", () => late.closed);
});

Deno.test("a peer that must not be dialed is not, whatever else fails", async () => {
  using scene = new Scene();
  scene.ways = { dial: "no", relays: [] };
  await rejects(scene.dial(), DialError);
  await rejects(scene.routes.toSend({ ...scene.message(), noDial: true }), DialError);
  strictEqual(scene.accepted.length, 0);
});

Deno.test("where nobody answered lately, a dial comes last", async () => {
  using scene = new Scene();
  scene.ways = {
    dial: "last",
    relays: [{ peerId: "relay", to: Scene.nowhere(), voucher: "operator" }],
  };
  const connection = await scene.dial();
  deepStrictEqual(outcomes(scene.inputs), ["reached"]);
  connection.close();
});

Deno.test("a relay is asked by name, and what comes through it counts as coming from nobody", async () => {
  using scene = new Scene();
  scene.ways = {
    dial: "no",
    relays: [{ peerId: "relay", to: scene.address, voucher: "operator" }],
  };
  const dialing = scene.dial(Scene.nowhere());
  await until("the relay is dialed", () => scene.accepted.length > 0);
  const [relay] = scene.accepted;
  const buffer = new Uint8Array(1_000);
  const asked = JSON.parse(
    new TextDecoder().decode(buffer.subarray(0, (await relay!.read(buffer))!)),
  );
  deepStrictEqual([asked.type, asked.to], ["CONNECT", "far"]);
  await relay!.write(new TextEncoder().encode('{"type":"CONNECT","to":"far"}'));
  await relay!.write(new TextEncoder().encode("\n"));
  const connection = await dialing;
  deepStrictEqual([connection.isPassedOn, connection.ip], [true, "relay 127.0.0.1"]);
  connection.close();
});

Deno.test("a relay that closes, or says more than it should, is left for the next one", async () => {
  using scene = new Scene();
  const relay = { peerId: "relay", to: scene.address, voucher: "operator" } as const;
  scene.ways = { dial: "no", relays: [relay, relay] };
  const dialing = scene.dial(Scene.nowhere());
  dialing.catch(() => {});
  await until("the first", () => scene.accepted.length === 1);
  scene.accepted[0]!.close();
  await until("the second", () => scene.accepted.length === 2);
  await scene.accepted[1]!.write(new Uint8Array(5_000).fill(32));
  await rejects(dialing, /relay did not connect to far/);
  // It was left although it said nothing more: nobody waited for the end of the line.
  strictEqual(scene.accepted.length, 2);
});

Deno.test("what is served because it was asked for is begun with its token, and reported when it is over", async () => {
  using scene = new Scene();
  const bytes = new TextEncoder().encode('{"type":"CONNECT","token":"t"}');
  const call = {
    kind: "call-back",
    key: "far",
    to: scene.address,
    voucher: "operator",
    bytes,
  } as const;
  const calling = scene.routes.callBack({ ...call, isRelayed: true });
  await until("it is served", () => scene.served.length > 0);
  strictEqual(scene.served[0]!.ip, "relay 127.0.0.1");
  const buffer = new Uint8Array(100);
  const read = await scene.accepted[0]!.read(buffer);
  strictEqual(
    new TextDecoder().decode(buffer.subarray(0, read!)),
    '{"type":"CONNECT","token":"t"}',
  );
  deepStrictEqual(scene.inputs, []);
  scene.served[0]!.close();
  await calling;
  deepStrictEqual(scene.inputs, [{ kind: "passed-on", what: "call-back", key: "far" }]);
  await scene.routes.callBack({ ...call, to: Scene.nowhere(), isRelayed: false });
  strictEqual(scene.inputs.length, 2, "also if it cannot be opened");
});

Deno.test("messages on an open connection follow each other, and it is closed after them", async () => {
  using scene = new Scene();
  const near = new Connection(
    await Deno.connect({ hostname: "127.0.0.1", port: scene.address.port }),
  );
  const lines = new Lines(1_000);
  await rejects(lines.say(1, new Uint8Array(1)), LineEnded);
  lines.add(1, near);
  // More than the system takes at once.
  const each = 8_000_000;
  const messages = [97, 98, 99].map((byte) => new Uint8Array(each).fill(byte));
  const saying = [...messages.map((bytes) => lines.say(1, bytes)), lines.hangUp(1)];
  await until("it was accepted", () => scene.accepted.length > 0);
  const got = new Uint8Array(await new Response(scene.accepted.pop()!.readable).arrayBuffer());
  await Promise.all(saying);
  strictEqual(got.length, 3 * each);
  for (const [i, bytes] of messages.entries()) {
    strictEqual(Buffer.compare(got.subarray(i * each, (i + 1) * each), bytes), 0, `message ${i}`);
  }
  ok(near.closed);
});

Deno.test("where nobody answers at a peer's address, its further ones are dialed, as far as they may be", async () => {
  using scene = new Scene();
  scene.ways = { ...DIRECT, also: ["127.0.0.3", "127.0.0.1"] };
  // Nobody listens on the port at the first address.
  const to = { host: "127.0.0.2", port: scene.address.port };
  const way = await scene.routes.toSend(scene.message(to));
  ok("connection" in way);
  strictEqual(way.ip, "127.0.0.1");
  deepStrictEqual(scene.asked, [["127.0.0.3", 10], ["127.0.0.1", 10]]);
  const told = scene.inputs.filter(({ kind }) => kind === "dialed");
  deepStrictEqual(told, [{ kind: "dialed", peerId: "far", to, outcome: "reached" }]);
  way.connection.close();
});

Deno.test("a connection that was passed on, or could not be, leaves nothing behind", async () => {
  using scene = new Scene();
  const effect = { key: "from 10.0.0.1\nto far", link: 3, bytes: new Uint8Array(2) };
  const asker = () => scene.dialer.dial(scene.address, "operator");
  const relaying = scene.routes.relay(await asker(), effect);
  await until("the peer is asked", () => scene.said.length === 1);
  strictEqual(scene.shares.size, 2);
  const other = await asker();
  scene.routes.arrived(String(scene.said[0]![1].token), other);
  await until("both ends are open", () => scene.accepted.length === 2);
  for (const conn of scene.accepted) conn.close();
  await relaying;
  strictEqual(scene.shares.size, 0);
  deepStrictEqual(scene.inputs, [{ kind: "passed-on", what: "relay", key: effect.key }]);
});
