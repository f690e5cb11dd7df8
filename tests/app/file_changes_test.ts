// Who hears which files change: the stream of changes and the index, of which each may come and go.

import assert from "node:assert/strict";
import { type Changed, FileChanges, KeptChanges } from "../../app/file_changes.ts";
import { FakeTime } from "./faketime.ts";

class FakeNode {
  onChanged: ((changed: Changed) => void) | undefined;
  readonly watched: boolean[] = [];
  dispatch(input: { kind: string; isWatched?: boolean }): void {
    assert.equal(input.kind, "watch");
    this.watched.push(input.isWatched!);
  }
}

Deno.test("the core notes changes while anybody listens, and everybody hears them", () => {
  const node = new FakeNode();
  const changes = new FileChanges(node as never);
  const heard: string[] = [];
  const leave = ["a", "b"].map((who) => changes.listen((ids) => heard.push(`${who} ${ids}`)));
  node.onChanged!(["1", "2"]);
  leave[0]!();
  leave[0]!();
  node.onChanged!("many");
  leave[1]!();
  assert.deepEqual(heard, ["a 1,2", "b 1,2", "b many"]);
  assert.deepEqual([node.watched, node.onChanged], [[true, false], undefined]);
});

Deno.test("changes are kept until they are taken; first, and if there are many, everything counts as changed", () => {
  const node = new FakeNode();
  const kept = new KeptChanges(new FileChanges(node as never), () => {});
  node.onChanged!(["1"]);
  assert.equal(kept.take(), "many");
  assert.deepEqual(kept.take(), []);
  node.onChanged!(["1", "2"]);
  node.onChanged!(["2", "3"]);
  assert.deepEqual(kept.take(), ["1", "2", "3"]);
  for (let i = 0; i < 3; i++) {
    node.onChanged!(Array.from({ length: 10_000 }, (_, k) => `${i} ${k}`));
  }
  assert.equal(kept.take(), "many");
  node.onChanged!(["4"]);
  node.onChanged!("many");
  assert.equal(kept.take(), "many");
  kept.end();
});

Deno.test("an index that nobody uses for minutes is told to go, and one in use is not", () => {
  const time = new FakeTime();
  try {
    const node = new FakeNode();
    let ended = 0;
    const kept = new KeptChanges(new FileChanges(node as never), () => ended++);
    for (let i = 0; i < 10; i++) {
      time.pass(100_000);
      kept.take();
    }
    assert.deepEqual([ended, node.watched], [0, [true]]);
    time.pass(200_000);
    assert.deepEqual([ended, node.watched], [1, [true, false]]);
    time.pass(200_000);
    kept.end();
    assert.equal(ended, 1);
  } finally {
    time.restore();
  }
});
