// Which connections are served, wait or are dropped: slots go to connections that use them, and nobody takes them
// all.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { Admission, type AdmissionLimits } from "../../net/admission.ts";

const LIMITS = { maxConnections: 8, maxConnectionsPerAddress: 4, maxWaitingConnections: 6 };

/** Connections are numbers. Records what each turn decides. */
class Door {
  readonly admission: Admission<number>;
  readonly served = new Set<number>();
  readonly sending = new Set<number>();
  readonly evicted: number[] = [];
  /** Kept connections that were closed. */
  readonly closed: number[] = [];
  nowMs = 0;
  #next = 0;

  constructor(limits: Partial<AdmissionLimits> = {}, known: readonly string[] = []) {
    this.admission = new Admission({ ...LIMITS, ...limits }, (ip) => known.includes(ip));
  }

  /** Returns the number of the connection, or `undefined` if it is closed at once. */
  arrive(ip = "a"): number | undefined {
    const number = this.#next++;
    const isIn = this.admission.arrive(number, ip, this.nowMs);
    this.turn();
    return isIn ? number : undefined;
  }

  arriveMany(count: number, ip = "a"): (number | undefined)[] {
    return Array.from({ length: count }, () => this.arrive(ip));
  }

  leave(number: number): void {
    this.admission.leave(number);
    this.served.delete(number);
    this.sending.delete(number);
    this.turn();
  }

  /** Sends content, after which the connection is kept for a further request. */
  serveKept(number: number): void {
    ok(this.want(number) && this.sending.delete(number));
    this.admission.contentEnded(number, this.nowMs, true);
    this.turn();
  }

  want(number: number): boolean {
    const mayWait = this.admission.wantsContent(number);
    this.turn();
    return mayWait;
  }

  turn(): void {
    const { evict, close, serve, send } = this.admission.turn(this.nowMs);
    for (const number of close) {
      this.closed.push(number);
      this.served.delete(number);
    }
    for (const number of evict) {
      this.evicted.push(number);
      this.served.delete(number);
    }
    for (const number of serve) this.served.add(number);
    for (const number of send) this.sending.add(number);
  }
}

Deno.test("a machine gets its slots and no more; a few strangers wait, the others are closed", () => {
  const door = new Door({ maxWaitingConnections: 100 });
  door.arriveMany(30);
  deepStrictEqual([...door.served], [0, 1, 2, 3]);
  strictEqual(door.admission.size, 4 + 16, "16 may wait");
});

Deno.test("a burst from a known peer waits, up to the limit, and is served in order", () => {
  const door = new Door({}, ["a"]);
  const all = door.arriveMany(12);
  deepStrictEqual(all.map((number) => number !== undefined), [
    ...Array(10).fill(true),
    false,
    false,
  ]);
  for (const number of [0, 1, 2]) door.leave(number);
  deepStrictEqual([...door.served], [3, 4, 5, 6]);
});

Deno.test("stalled connections give way, the longest stalled first, to the same machine or another", () => {
  const door = new Door();
  door.arriveMany(4, "a");
  door.nowMs = 500;
  door.arriveMany(4, "b");
  door.nowMs = 999;
  door.arrive("c");
  // Nobody stalled for a second, but a machine that has none yet gets one from a machine that has many.
  deepStrictEqual(door.evicted, [0]);
  door.nowMs = 1_000;
  door.arrive("a");
  deepStrictEqual(door.evicted, [0, 1]);
  door.arrive("a");
  door.nowMs = 1_500;
  door.arrive("c");
  door.arrive("b");
  deepStrictEqual(door.evicted, [0, 1, 2, 3, 4]);
});

/** Of a machine's eight slots, three may be sent content at once and four may push. */
const WIDE = { maxConnections: 16, maxConnectionsPerAddress: 8 };

Deno.test("a connection that completes messages or pushes content, however slowly, keeps its slot", () => {
  const door = new Door(WIDE, ["a"]);
  door.arriveMany(8);
  for (door.nowMs = 0; door.nowMs < 10_000; door.nowMs += 900) {
    for (const number of [0, 1]) door.admission.completed(number, door.nowMs);
    for (const number of [2, 3, 4, 5]) door.admission.moved(number, 1, door.nowMs); // slow, within the fraction
    door.admission.moved(6, 1, door.nowMs); // slow, beyond it
    door.admission.moved(7, 700, door.nowMs); // beyond it, and fast enough
  }
  door.arriveMany(2);
  deepStrictEqual(door.evicted, [6]);
  door.nowMs += 1_000;
  door.turn();
  deepStrictEqual(door.evicted, [6, 0], "pushed content may pause longer than a message");
});

Deno.test("the machine with the most slots gives one up to a machine that has none, whatever its age", () => {
  const door = new Door({ maxConnections: 8, maxConnectionsPerAddress: 6 });
  door.arriveMany(2, "a");
  door.nowMs = 10;
  door.arriveMany(6, "b");
  door.arrive("c");
  deepStrictEqual(door.evicted, [2]);
});

Deno.test("a finished push leaves its slot to the next one", () => {
  const door = new Door(WIDE);
  door.arriveMany(5);
  for (const number of [0, 1, 2, 3, 4]) door.admission.moved(number, 1, 0);
  door.admission.completed(0, 0);
  door.admission.moved(4, 1, 0);
  door.nowMs = 10_000;
  strictEqual(door.admission.relieve(10_000), 0);
  strictEqual(
    door.admission.relieve(10_000),
    undefined,
    "all four pushes are within their fraction",
  );
});

Deno.test("content is sent on three eighths of the slots; a connection waiting for it gives up its slot", () => {
  const door = new Door(WIDE, ["a"]);
  door.arriveMany(8);
  for (let number = 0; number < 8; number++) ok(door.want(number));
  deepStrictEqual([...door.sending], [0, 1, 2]);
  const message = door.arrive();
  ok(door.served.has(message!), "there is a slot for a message");
  door.admission.contentEnded(0, door.nowMs);
  door.turn();
  deepStrictEqual([...door.sending], [0, 1, 2, 3]);
});

Deno.test("a machine without transfers gets one, whatever the others have", () => {
  const door = new Door({ maxConnections: 16, maxConnectionsPerAddress: 8 }, ["a", "b", "c", "d"]);
  for (const ip of ["a", "b", "c", "d"]) {
    for (const number of door.arriveMany(4, ip)) door.want(number!);
  }
  strictEqual(
    door.sending.size,
    3 + 3 + 2 + 2,
    "the fraction of two machines, and the guaranteed ones of the others",
  );
  const late = door.arrive("e")!;
  ok(door.want(late));
  ok(door.sending.has(late));
});

Deno.test("slow readers and connections waiting for content are never evicted", () => {
  const door = new Door(WIDE, ["a"]);
  door.arriveMany(8);
  for (let number = 0; number < 8; number++) door.want(number);
  door.nowMs = 60_000;
  door.arriveMany(9);
  strictEqual(door.evicted.some((number) => number < 8), false);
});

Deno.test("no more connections wait for content than the limit allows", () => {
  const door = new Door({ maxConnections: 100, maxConnectionsPerAddress: 4 }, ["a"]);
  let refused = 0;
  for (let i = 0; i < 20; i++) {
    const number = door.arrive();
    if (number !== undefined && !door.want(number)) {
      refused++;
      door.leave(number);
    }
  }
  strictEqual(door.sending.size, 2);
  strictEqual(refused, 20 - 2 - LIMITS.maxWaitingConnections);
});

Deno.test("when file descriptors run out, the longest stalled connection is dropped, and no other", () => {
  const door = new Door();
  door.arriveMany(2);
  strictEqual(door.admission.relieve(500), undefined);
  door.admission.completed(0, 500);
  deepStrictEqual([door.admission.relieve(1_200), door.admission.relieve(1_200)], [1, undefined]);
});

Deno.test("in any order of events, no limit is exceeded, and no connection that may be served waits", () => {
  const machines = ["a", "b", "c", "d"];
  const step = fc.record({
    act: fc.constantFrom("arrive", "arrive", "leave", "want", "ended", "completed", "moved"),
    machine: fc.constantFrom(...machines),
    which: fc.nat(40),
    waitMs: fc.constantFrom(0, 0, 10, 400, 1_100),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const door = new Door({}, ["a", "b"]);
    const ips = new Map<number, string>();
    for (const { act, machine, which, waitMs } of steps) {
      door.nowMs += waitMs;
      const known = [...door.served];
      const one = known[which % Math.max(1, known.length)];
      if (act === "arrive") {
        const number = door.arrive(machine);
        if (number !== undefined) ips.set(number, machine);
      } else if (one !== undefined) {
        if (act === "leave") door.leave(one);
        if (act === "want" && !door.sending.has(one) && !door.want(one)) door.leave(one);
        if (act === "ended" && door.sending.delete(one)) {
          door.admission.contentEnded(one, door.nowMs, which % 2 === 0);
        }
        if (act === "completed") door.admission.completed(one, door.nowMs);
        if (act === "moved") door.admission.moved(one, which * 100, door.nowMs);
        door.turn();
      }
      const holding = [...door.served].filter((each) => door.admission.has(each));
      ok(door.admission.size <= LIMITS.maxConnections + LIMITS.maxWaitingConnections);
      ok(holding.length <= LIMITS.maxConnections + LIMITS.maxWaitingConnections);
      const queued = door.admission.size - holding.length;
      ok(queued <= LIMITS.maxWaitingConnections, `${queued} wait`);
      for (const ip of machines) {
        const sending = holding.filter((each) => ips.get(each) === ip && door.sending.has(each));
        ok(sending.length <= 2, `${ip} is sent ${sending.length} contents at once`);
      }
      ok(
        door.evicted.every((each) => !door.sending.has(each)),
        "no content in progress is cut off",
      );
    }
  }));
});

/** Returns the number of guests examined until a burst of this many connections from one peer was served and gone. */
function stepsOf(burst: number, machines: number): number {
  const limits = {
    maxConnections: 256,
    maxConnectionsPerAddress: 64,
    maxWaitingConnections: 4_000,
  };
  const ips = Array.from({ length: machines }, (_, i) => `m${i}`);
  const door = new Door(limits, ips);
  for (let i = 0; i < burst; i++) {
    const number = door.arrive(ips[i % machines]);
    if (number !== undefined) door.admission.completed(number, door.nowMs);
  }
  for (let left = burst; left > 0; left--) {
    const [number] = door.served;
    if (number === undefined) break;
    door.leave(number);
  }
  strictEqual(door.admission.size, 0);
  return door.admission.steps;
}

Deno.test("a connection costs the same whether a hundred or a thousand are waiting", () => {
  for (const machines of [1, 8]) {
    const [once, twice] = [stepsOf(1_000, machines), stepsOf(2_000, machines)];
    ok(twice <= 2.5 * once, `${machines} machines: ${once} steps for 1,000, ${twice} for 2,000`);
  }
});

Deno.test("a connection kept for a further request is the first to go, at once and whatever its machine", () => {
  const door = new Door({ maxConnections: 4 });
  const [list] = door.arriveMany(1, "a");
  const kept = door.arriveMany(3, "b").map((number) => number!);
  door.nowMs = 200;
  for (const number of kept) door.serveKept(number);
  door.nowMs = 900;
  const other = door.arrive("c")!;
  ok(door.served.has(other), "it has a slot without waiting for anybody to stall");
  deepStrictEqual([door.closed, door.evicted], [[kept[0]], []]);
  door.nowMs = 60_000;
  door.arrive("c");
  deepStrictEqual([door.closed, door.evicted], [kept.slice(0, 2), []]);
  ok(door.served.has(list!), "who is in the middle of a message keeps its slot");
  strictEqual(door.admission.relieve(60_000), kept[2], "also when descriptors run out");
});

Deno.test("a kept connection that asks again is like any other", () => {
  const door = new Door({ maxConnections: 2 });
  const [first, second] = door.arriveMany(2).map((number) => number!);
  door.serveKept(first!);
  door.admission.completed(first!, door.nowMs);
  door.arrive();
  deepStrictEqual([door.closed, door.evicted], [[], []]);
  ok(door.served.has(first!) && door.served.has(second!));
});

Deno.test("requests are sent in the order in which they came, however old their connections are", () => {
  const door = new Door({ maxConnections: 16, maxConnectionsPerAddress: 16 });
  const [old, ...busy] = door.arriveMany(3, "a").map((number) => number!);
  const [first, ...others] = door.arriveMany(5, "b").map((number) => number!);
  for (const number of [...busy, first!, ...others]) door.want(number);
  const waiting = others.at(-1)!;
  strictEqual(door.sending.size, 6);
  ok(!door.sending.has(waiting));
  door.want(old!);
  ok(door.sending.delete(first!));
  door.admission.contentEnded(first!, door.nowMs, true);
  door.turn();
  ok(door.sending.has(waiting) && !door.sending.has(old!), "the earlier request is next");
});

Deno.test("whoever waits for content is looked at again, like whoever waits for a slot", () => {
  const door = new Door({ maxConnections: 4, maxConnectionsPerAddress: 4 });
  const [one, two, three] = door.arriveMany(3).map((number) => number!);
  for (const number of [one, two, three]) door.want(number!);
  strictEqual(door.sending.size, 2);
  ok(door.admission.hasWaiting);
});
