// Limits on how fast content moves: the rate holds, everybody gets a turn, and without a limit nothing waits.

import assert from "node:assert/strict";
import fc from "fast-check";
import { requestBatch, sendBatch } from "../../net/batch.ts";
import { Connection } from "../../net/connection.ts";
import { Dialer } from "../../net/dialer.ts";
import { receiveMessages, requestFile, sendFile } from "../../net/exchange.ts";
import { Listener } from "../../net/listener.ts";
import { RawRequests, sendRaw } from "../../net/raw.ts";
import { Throttle } from "../../net/throttle.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";

/** A clock that only moves when somebody waits. */
class Clock {
  nowMs = 0;
  #waiting: { atMs: number; go: () => void }[] = [];

  now = () => this.nowMs;
  wait = (ms: number) =>
    new Promise<void>((go) => void this.#waiting.push({ atMs: this.nowMs + ms, go }));

  /** Lets time pass until nobody waits. */
  async run(): Promise<void> {
    for (;;) {
      for (let i = 0; i < 20; i++) await Promise.resolve();
      this.#waiting.sort((a, b) => a.atMs - b.atMs);
      const next = this.#waiting.shift();
      if (!next) return;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.go();
    }
  }
}

Deno.test("whatever is taken, the rate holds", async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 50 });
  await fc.assert(
    fc.asyncProperty(sizes, fc.integer({ min: 1_000, max: 1e7 }), async (pieces, rate) => {
      const clock = new Clock();
      const throttle = new Throttle(rate, clock);
      const taking = (async () => {
        for (const bytes of pieces) await throttle.take(bytes);
      })();
      await clock.run();
      await taking;
      const before = pieces.slice(0, -1).reduce((sum, bytes) => sum + bytes, 0);
      assert.ok(Math.abs(clock.nowMs - before / rate * 1_000) < 1, `${clock.nowMs} ms`);
    }),
    { numRuns: 50 },
  );
});

Deno.test("a small file gets its turn while four large ones are under way", async () => {
  const clock = new Clock();
  const throttle = new Throttle(1_000_000, clock);
  const large = Array.from({ length: 4 }, async () => {
    for (let left = 5_000_000; left > 0;) {
      const piece = throttle.pieceOf(left);
      await throttle.take(piece);
      left -= piece;
    }
  });
  let smallMs = Infinity;
  const small = (async () => {
    await clock.wait(1_000);
    await throttle.take(throttle.pieceOf(4_096));
    smallMs = clock.nowMs;
  })();
  await clock.run();
  await Promise.all([...large, small]);
  assert.ok(smallMs - 1_000 <= 5 * 50, `${smallMs - 1_000} ms`);
  assert.ok(clock.nowMs >= 19_900);
});

Deno.test("without a limit nothing waits, and a limit may come and go at any time", async () => {
  const clock = new Clock();
  const throttle = new Throttle(0, clock);
  await throttle.take(1e12);
  assert.equal(throttle.pieceOf(1e12), 1e12);
  throttle.bytesPerSecond = 100_000;
  assert.equal(throttle.pieceOf(1e12), 5_000);
  assert.equal(throttle.pieceOf(10), 10);
  await throttle.take(100_000);
  const second = throttle.take(1);
  await clock.run();
  await second;
  assert.equal(clock.nowMs, 1_000);
  throttle.bytesPerSecond = 0;
  await throttle.take(1e12);
  throttle.bytesPerSecond = 20;
  assert.equal(
    throttle.pieceOf(1e6),
    1_024,
    "a piece is never so small that it is not worth a turn",
  );
});

const file = {
  fileId: "ab".repeat(32),
  name: "x.bin",
  owner: "kashifm",
  timestamp: { text: "1744170562", quoted: false },
  size: 0,
};
const CONTENT_BYTES = 300_000;
const BYTES_PER_SECOND = 100_000;
const ext = { v: 1 };
const limits = { ...DEFAULT_LIMITS, idleTimeoutMs: 10_000 };

function reader() {
  let [at, end] = [0, CONTENT_BYTES];
  return {
    sizeBytes: CONTENT_BYTES,
    seek: (offset: number, bytes: number) => void ([at, end] = [offset, offset + bytes]),
    readInto: (buffer: Uint8Array) => {
      const read = Math.min(buffer.length, end - at);
      at += read;
      return read;
    },
    close: () => {},
  };
}

const whole = { offset: 0, length: CONTENT_BYTES };

/** Each way in which content moves, as the side that sends it and the side that receives it. */
const WAYS: Readonly<
  Record<
    string,
    { send(to: Connection): Promise<void>; receive(from: Connection): Promise<unknown> }
  >
> = {
  "raw, in parts": {
    send: (to) => sendRaw(to, file, reader(), whole, ext, 10_000),
    receive: async (from) => {
      const requests = new RawRequests(from, file.fileId, ext, limits);
      await requests.request(whole);
      await requests.answer(whole, { begin: () => {}, write: () => {} });
    },
  },
  "in a batch": {
    send: (to) =>
      sendBatch(
        to,
        [1, 2].map(() => ({ fileId: file.fileId, open: { file, reader: reader() } })),
        10_000,
      ),
    receive: (from) => {
      const settled = () => Promise.resolve();
      const sink = { begin: () => {}, write: () => {}, end: () => {}, absent: () => {}, settled };
      return requestBatch(from, [file.fileId, file.fileId], ext, sink, limits);
    },
  },
  "in hex": {
    send: (to) => sendFile(to, file, reader(), ext, 10_000),
    receive: (from) =>
      requestFile(from, file.fileId, ext, { write: () => {}, restart: () => {} }, limits),
  },
  "in a push": {
    send: (to) => sendFile(to, file, reader(), ext, 10_000),
    receive: (from) => {
      const intake = { write: () => {}, abort: () => {} };
      const host = { onMessage: () => {}, onRefused: () => {}, offerPush: () => intake };
      return receiveMessages(from, { ...host, onPush: () => Promise.resolve() }, limits);
    },
  },
};

for (const [way, { send, receive }] of Object.entries(WAYS)) {
  for (const limited of ["up", "down"] as const) {
    Deno.test(`content that moves ${way} keeps to the limit ${limited}`, async () => {
      // The clock jumps to the end of each wait, so what was waited for is what it shows.
      const clock = {
        nowMs: 0,
        now: () => clock.nowMs,
        wait: (ms: number) => Promise.resolve(void (clock.nowMs += ms)),
      };
      const throttles = { up: new Throttle(0), down: new Throttle(0) };
      throttles[limited] = new Throttle(BYTES_PER_SECOND, clock);
      const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const [near, far] = await Promise.all([
        Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
        listener.accept(),
      ]);
      listener.close();
      const [from, to] = [new Connection(near, throttles), new Connection(far, throttles)];
      await Promise.all([send(to), receive(from)]);
      from.close();
      to.close();
      const leastMs = (CONTENT_BYTES - BYTES_PER_SECOND / 20) / BYTES_PER_SECOND * 1_000;
      assert.ok(clock.nowMs >= leastMs, `${clock.nowMs} ms`);
    });
  }
}

Deno.test("connections that are accepted and those that are dialed have the limits", async () => {
  const throttles = { up: new Throttle(0), down: new Throttle(0) };
  const accepted = Promise.withResolvers<Connection>();
  const listener = new Listener({
    hostname: "127.0.0.1",
    port: 0,
    limits: DEFAULT_LIMITS,
    isKnown: () => false,
    throttles,
    serve: (connection) => Promise.resolve(accepted.resolve(connection)),
  });
  listener.begin();
  const none = { ips: [], ports: [] };
  const dialer = new Dialer(DEFAULT_LIMITS, () => none, () => {}, () => {}, throttles);
  const dialed = await dialer.dial({ host: "127.0.0.1", port: listener.port }, "operator");
  assert.equal(dialed.throttles, throttles);
  assert.equal((await accepted.promise).throttles, throttles);
  dialed.close();
  listener.close();
});
