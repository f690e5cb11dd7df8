// Connections kept for the next request: how many, and that none is left open.

import assert from "node:assert/strict";
import type { Connection } from "../../net/connection.ts";
import { IdleConnections, MAX_IDLE, MAX_IDLE_PER_SOURCE } from "../../net/idle_connections.ts";

function fakeConnection() {
  const fake = {
    closed: false,
    close() {
      fake.closed = true;
    },
  };
  return fake as unknown as Connection & { closed: boolean };
}

Deno.test("a connection is taken once, by the source it belongs to, the last one first", () => {
  const idle = new IdleConnections();
  const [first, second] = [fakeConnection(), fakeConnection()];
  idle.keep("a:1", first);
  idle.keep("a:1", second);
  assert.equal(idle.take("b:1"), undefined);
  assert.deepEqual([idle.take("a:1"), idle.take("a:1"), idle.take("a:1")], [
    second,
    first,
    undefined,
  ]);
  assert.equal(idle.size, 0);
});

Deno.test("connections beyond the limits are closed at once, and all when it closes", () => {
  const idle = new IdleConnections();
  const made: ReturnType<typeof fakeConnection>[] = [];
  for (let source = 0; source < MAX_IDLE; source++) {
    for (let i = 0; i < MAX_IDLE_PER_SOURCE + 1; i++) {
      made.push(fakeConnection());
      idle.keep(`${source}:1`, made.at(-1)!);
    }
  }
  assert.equal(idle.size, MAX_IDLE);
  assert.equal(made.filter(({ closed }) => !closed).length, MAX_IDLE);
  assert.ok(made[MAX_IDLE_PER_SOURCE]!.closed, "one source keeps no more than its share");
  idle.close();
  idle.keep("late:1", made[0]!);
  assert.deepEqual([idle.size, made.every(({ closed }) => closed)], [0, true]);
});
