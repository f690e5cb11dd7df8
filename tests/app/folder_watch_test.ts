// When the folder is looked at, and what: on a clock that advances only when the test says so.

import assert from "node:assert/strict";
import { FolderWatch, type FolderWatcher, type Looked } from "../../app/folder_watch.ts";
import type { Timers } from "../../app/timers.ts";

const DIR = "/folder";
/** A look at everything that takes so long, in milliseconds, is avoided where possible. */
const LONG_MS = 500;
const NOTHING: Looked = { lookedMs: 0, againMs: undefined, waiting: [] };

/** A watched folder, and the looks at it: names, or "all". */
class Watched {
  readonly looks: string[] = [];
  /** What the next looks find; by default nothing. */
  readonly results: Partial<Looked>[] = [];
  state = "1";
  lookedMs = LONG_MS;
  nowMs = 0;
  readonly #timers = new Map<number, { readonly atMs: number; readonly act: () => void }>();
  #serial = 0;
  #events: Pick<Deno.FsEvent, "kind" | "paths" | "flag">[] = [];
  #wake = Promise.withResolvers<void>();
  readonly #now = performance.now;

  constructor() {
    performance.now = () => this.nowMs;
    const timers = {
      after: (delayMs: number, act: () => void) => {
        this.#timers.set(++this.#serial, { atMs: this.nowMs + delayMs, act });
        return this.#serial;
      },
      cancel: (timer: number) => this.#timers.delete(timer),
    };
    new FolderWatch({
      dir: DIR,
      timers: timers as unknown as Timers,
      look: (names) => this.#look(names),
      stateOfFolder: () => Promise.resolve(this.state),
      watchFolder: () => this.#watcher(),
    }).start();
  }

  #look(names: readonly string[] | undefined): Promise<Looked> {
    this.looks.push(names ? [...names].sort().join() : "all");
    if (!names) this.nowMs += this.lookedMs;
    const lookedMs = names ? 1 : this.lookedMs;
    return Promise.resolve({ ...NOTHING, lookedMs, ...this.results.shift() });
  }

  async *#watch() {
    for (;;) {
      yield* this.#events.splice(0);
      await this.#wake.promise;
      this.#wake = Promise.withResolvers();
    }
  }

  #watcher(): FolderWatcher {
    return { [Symbol.asyncIterator]: () => this.#watch() };
  }

  /** The system reports changes of these files. */
  async report(...names: string[]): Promise<void> {
    for (const name of names) this.#events.push({ kind: "modify", paths: [`${DIR}/${name}`] });
    this.#wake.resolve();
    await settled();
  }

  /** The system reports that it lost reports. */
  async rescan(): Promise<void> {
    this.#events.push({ kind: "other", paths: [], flag: "rescan" });
    this.#wake.resolve();
    await settled();
  }

  /** Lets time pass. Returns the looks in that time. */
  async pass(ms: number): Promise<string[]> {
    const from = this.looks.length;
    const untilMs = this.nowMs + ms;
    await settled();
    for (;;) {
      const [first] = [...this.#timers].sort(([, a], [, b]) => a.atMs - b.atMs);
      if (!first || first[1].atMs > untilMs) break;
      this.#timers.delete(first[0]);
      this.nowMs = Math.max(this.nowMs, first[1].atMs);
      first[1].act();
      await settled();
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
    return this.looks.slice(from);
  }

  restore(): void {
    performance.now = this.#now;
  }
}

/** Lets everything run that waits for nothing. */
async function settled(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

/** Runs with a large folder that was looked at once and has been idle since, so that it may be looked at again. */
async function withLarge(act: (folder: Watched) => Promise<void>): Promise<void> {
  const folder = new Watched();
  try {
    assert.deepEqual(await folder.pass(0), ["all"]);
    await folder.pass(20 * LONG_MS);
    assert.deepEqual(folder.looks, ["all"]);
    await act(folder);
  } finally {
    folder.restore();
  }
}

Deno.test("of a large folder, only the files that are reported are looked at, within 2 s", async () => {
  await withLarge(async (folder) => {
    await folder.report("a", "b");
    folder.state = "2";
    assert.deepEqual(await folder.pass(1_000), ["a,b"]);
    await folder.report("c");
    assert.deepEqual(await folder.pass(1_000), ["c"]);
    assert.deepEqual(await folder.pass(10_000), []);
  });
});

Deno.test("a small folder is looked at as a whole, and checked every 1.5 s", async () => {
  const folder = new Watched();
  try {
    folder.lookedMs = 1;
    await folder.pass(0);
    await folder.report("a");
    assert.deepEqual(await folder.pass(200), ["all"]);
    const looks = await folder.pass(15_000);
    assert.deepEqual(new Set(looks), new Set(["all"]));
    assert.ok(looks.length >= 9 && looks.length <= 10, `${looks.length} looks`);
  } finally {
    folder.restore();
  }
});

Deno.test("a burst of reports, which may have gaps, leads to a look at everything", async () => {
  await withLarge(async (folder) => {
    await folder.report("1", "2", "3", "4", "5", "6", "7", "8");
    assert.deepEqual(await folder.pass(1_000), ["all"]);
  });
});

Deno.test("seven reports are no burst", async () => {
  await withLarge(async (folder) => {
    await folder.report("1", "2", "3", "4", "5", "6", "7");
    assert.deepEqual(await folder.pass(1_000), ["1,2,3,4,5,6,7"]);
  });
});

Deno.test("reports that the system lost lead to a look at everything", async () => {
  await withLarge(async (folder) => {
    await folder.rescan();
    assert.deepEqual(await folder.pass(1_000), ["all"]);
  });
});

Deno.test("a change that nobody reported leads to a look at everything", async () => {
  await withLarge(async (folder) => {
    folder.state = "2";
    assert.deepEqual(await folder.pass(2_000), ["all"]);
    assert.deepEqual(await folder.pass(9_000), [], "and to no other one soon");
  });
});

Deno.test("a change that nobody reported is noticed while other files wait", async () => {
  await withLarge(async (folder) => {
    // A file that is being written waits again and again.
    for (let i = 0; i < 20; i++) folder.results.push({ againMs: 400, waiting: ["growing"] });
    await folder.report("growing");
    assert.deepEqual(await folder.pass(1_000), ["growing", "growing", "growing"]);
    folder.state = "2";
    assert.deepEqual((await folder.pass(2_000)).filter((look) => look === "all"), ["all"]);
  });
});

Deno.test("files that wait for another look get one, and no others do", async () => {
  await withLarge(async (folder) => {
    folder.results.push({ againMs: 400, waiting: ["new"] }, { againMs: 0, waiting: ["new"] });
    await folder.report("new", "done");
    assert.deepEqual(await folder.pass(150), ["done,new"]);
    assert.deepEqual(await folder.pass(300), []);
    assert.deepEqual(await folder.pass(200), ["new", "new"]);
    assert.deepEqual(await folder.pass(5_000), []);
  });
});

Deno.test("more files than are looked at one by one lead to a look at everything", async () => {
  await withLarge(async (folder) => {
    const waiting = Array.from({ length: 1_001 }, (_, i) => `${i}`);
    folder.results.push({ againMs: 100, waiting });
    await folder.report("one");
    assert.deepEqual(await folder.pass(2_000), ["one", "all"]);
  });
});

Deno.test("while nothing happens, looks at everything take half a percent of the time; while everything changes, a twentieth", async () => {
  await withLarge(async (folder) => {
    const idle = await folder.pass(1_000 * LONG_MS);
    assert.deepEqual(new Set(idle), new Set(["all"]));
    assert.ok(idle.length >= 4 && idle.length <= 5, `${idle.length} idle looks`);
    let busy = 0;
    for (let i = 0; i < 1_000; i++) {
      folder.state = `busy ${i}`;
      busy += (await folder.pass(LONG_MS)).length;
    }
    assert.ok(busy >= 40 && busy <= 50, `${busy} looks while everything changes`);
  });
});

Deno.test("the peer's own files in the folder lead to no look", async () => {
  await withLarge(async (folder) => {
    await folder.report("metadata.json", ".p2p-peer", "metadata.json.tmp");
    assert.deepEqual(await folder.pass(1_000), []);
  });
});
