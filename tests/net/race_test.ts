// Several addresses of one machine, dialed in order, each with a head start: the first that answers wins.

import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { race } from "../../net/race.ts";
import { until } from "../until.ts";

/** Dials that the test answers. */
class Dials {
  readonly begun: string[] = [];
  readonly closed: string[] = [];
  readonly aborted: string[] = [];
  readonly #answers = new Map<string, PromiseWithResolvers<{ close(): void }>>();

  dial = (address: string, signal: AbortSignal): Promise<{ close(): void }> => {
    this.begun.push(address);
    signal.addEventListener("abort", () => this.aborted.push(address));
    return this.#of(address).promise;
  };

  answer(address: string): void {
    this.#of(address).resolve({ close: () => void this.closed.push(address) });
  }

  fail(address: string): void {
    this.#of(address).reject(new Error(address));
  }

  #of(address: string) {
    const known = this.#answers.get(address) ?? Promise.withResolvers();
    this.#answers.set(address, known);
    return known;
  }
}

Deno.test("the first address that answers wins, and no further one is read", async () => {
  const dials = new Dials();
  const read: string[] = [];
  function* addresses() {
    for (const each of ["a", "b"]) {
      read.push(each);
      yield each;
    }
  }
  dials.answer("a");
  await race(addresses(), dials.dial);
  deepStrictEqual([read, dials.begun, dials.closed], [["a"], ["a"], []]);
});

Deno.test("an address that takes long is not waited for, and its connection is closed when it comes", async () => {
  const dials = new Dials();
  const winner = race(["a", "b", "c"], dials.dial);
  await until("the second dial", () => dials.begun.length === 2);
  dials.answer("b");
  (await winner).close();
  deepStrictEqual([dials.begun, dials.closed, dials.aborted], [["a", "b"], ["b"], ["a", "b"]]);
  dials.answer("a");
  await until("the late one is closed", () => dials.closed.includes("a"));
  deepStrictEqual(dials.begun, ["a", "b"], "nothing is dialed once there is a winner");
});

Deno.test("after a failure the next address follows at once, and the slow first may still win", async () => {
  const dials = new Dials();
  const winner = race(["a", "b", "c"], dials.dial);
  await until("the second dial", () => dials.begun.length === 2);
  dials.fail("b");
  await until("the third dial", () => dials.begun.length === 3);
  dials.answer("a");
  (await winner).close();
  dials.fail("c");
  deepStrictEqual(dials.closed, ["a"]);
});

Deno.test("if no address answers, all failures are told in the order of the addresses", async () => {
  const dials = new Dials();
  const winner = race(["a", "b"], dials.dial);
  await until("the second dial", () => dials.begun.length === 2);
  dials.fail("b");
  dials.fail("a");
  await rejects(winner, (error: AggregateError) => {
    deepStrictEqual(error.errors.map(({ message }) => message), ["a", "b"]);
    return true;
  });
  await rejects(race([], dials.dial), (error) => {
    ok(error instanceof AggregateError);
    strictEqual(error.errors.length, 0);
    return true;
  });
});
