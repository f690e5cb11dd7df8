// Changes for watchers: batched, numbered, kept for a while, and bounded.

import assert from "node:assert/strict";
import { FakeTime } from "../app/faketime.ts";
import { Feed, MAX_WATCHERS, MAX_WATCHERS_EACH } from "../../web/feed.ts";
import type { ViewedChange, ViewedEvent } from "../../web/view.ts";

/** What removed files it names, or its data where it names none. */
const told = ({ type, data }: ViewedEvent) =>
  `${type} ${type === "files" ? JSON.parse(data).removed : data}`;

function scene() {
  const time = new FakeTime();
  const pending: ViewedChange[] = [];
  const watched: boolean[] = [];
  const feed = new Feed({
    watch: (isWatched) => watched.push(isWatched),
    changes: () => pending.splice(0),
  });
  const change = (...data: string[]) => {
    for (const each of data) pending.push({ type: "files", changed: [], removed: [each] });
    time.pass(100);
  };
  const watcher = (lastId?: string, who = "me") => {
    const events: ViewedEvent[] = [];
    const it = { who, hasEnded: false };
    const stop = feed.watch(lastId, {
      who,
      tell: (event) => events.push(event),
      end: () => it.hasEnded = true,
    });
    const data = () => events.map(told);
    return Object.assign(it, { events, stop, data });
  };
  return {
    feed,
    change,
    watched,
    watcher,
    time,
    [Symbol.dispose]() {
      feed.close();
      time.restore();
    },
  };
}

Deno.test("a new watcher is told to read everything first, and then receives each change", () => {
  using s = scene();
  const first = s.watcher();
  s.change("1", "2");
  const second = s.watcher();
  s.change("3");
  assert.deepEqual(first.data(), ["reset {}", "files 1", "files 2", "files 3"]);
  assert.deepEqual(second.data(), ["reset {}", "files 3"]);
  assert.equal(new Set(first.events.map(({ id }) => id)).size, 4);
});

Deno.test("a new watcher receives each change even after a long time without watchers", () => {
  for (const idleMs of [0, 29_950, 30_000, 60_000]) {
    using s = scene();
    s.time.pass(60_000); // a process that has been running for a while
    if (idleMs > 0) {
      s.watcher().stop();
      s.time.pass(idleMs);
    }
    const late = s.watcher();
    s.change("1");
    s.change("2");
    assert.deepEqual(late.data(), ["reset {}", "files 1", "files 2"], `after ${idleMs} ms`);
    assert.equal(s.watched.at(-1), true);
  }
});

Deno.test("a watcher that returns receives what it missed, from where it left off", () => {
  using s = scene();
  const before = s.watcher();
  s.change("1", "2");
  before.stop();
  s.change("3", "4");
  const after = s.watcher(before.events.at(-1)!.id);
  assert.deepEqual(after.data(), ["files 3", "files 4"]);
  const current = s.watcher(after.events.at(-1)!.id);
  assert.deepEqual(current.data(), []);
  assert.deepEqual(s.watcher(before.events[0]!.id).data(), [1, 2, 3, 4].map((n) => `files ${n}`));
});

Deno.test("a watcher that was away too long, or names an event of another run, reads everything again", () => {
  using s = scene();
  const before = s.watcher();
  s.change("1");
  const { id } = before.events.at(-1)!;
  const [boot] = id.split("-");
  for (const strange of ["", "x", `${boot}-999`, `${boot}--1`, "00000000-1", `${boot}-1e3`]) {
    assert.deepEqual(s.watcher(strange).data(), ["reset {}"], strange);
  }
  for (let i = 0; i < 1_100; i++) s.change(`${i}`);
  assert.deepEqual(s.watcher(id).data(), ["reset {}"]);
});

Deno.test("large events are dropped sooner: the history is bounded in bytes too", () => {
  using s = scene();
  const before = s.watcher();
  s.change("1");
  const { id } = before.events.at(-1)!;
  for (let i = 0; i < 50; i++) s.change("x".repeat(100_000));
  assert.deepEqual(s.watcher(id).data(), ["reset {}"]);
});

Deno.test("half a minute after the last watcher leaves, gathering stops, and no one can resume from before", () => {
  using s = scene();
  const before = s.watcher();
  s.change("1");
  before.stop();
  s.time.pass(29_000);
  assert.deepEqual(s.watched, [true]);
  s.time.pass(2_000);
  assert.deepEqual(s.watched, [true, false]);
  assert.deepEqual(s.watcher(before.events.at(-1)!.id).data(), ["reset {}"]);
});

Deno.test("one address gets a few places, which its newest watchers take", () => {
  using s = scene();
  const greedy = Array.from({ length: 100 }, () => s.watcher(undefined, "greedy"));
  assert.equal(s.feed.watchers, MAX_WATCHERS_EACH);
  assert.ok(greedy.slice(0, -MAX_WATCHERS_EACH).every(({ hasEnded }) => hasEnded));
  assert.ok(!greedy.slice(-MAX_WATCHERS_EACH).some(({ hasEnded }) => hasEnded));
});

Deno.test("if all places are taken, the address with the most gives up its oldest", () => {
  using s = scene();
  const honest = [s.watcher(undefined, "a"), s.watcher(undefined, "b")];
  const greedy = Array.from(
    { length: MAX_WATCHERS - 2 },
    (_, i) => s.watcher(undefined, `greedy${Math.floor(i / MAX_WATCHERS_EACH)}`),
  );
  const late = [s.watcher(undefined, "c"), s.watcher(undefined, "d")];
  assert.equal(s.feed.watchers, MAX_WATCHERS);
  assert.equal(greedy.filter(({ hasEnded }) => hasEnded).length, 2);
  assert.equal(greedy[0]!.hasEnded, true);
  assert.ok(![...honest, ...late].some(({ hasEnded }) => hasEnded));
  s.change("1");
  assert.equal(honest[0]!.data().at(-1), "files 1");
  assert.equal(greedy[0]!.data().at(-1), "reset {}", "it receives nothing more");
  greedy[0]!.stop();
  assert.equal(s.feed.watchers, MAX_WATCHERS);
});
