// Content that comes fast is hashed in another thread.

import { rejects, strictEqual, throws } from "node:assert/strict";
import { Assembly } from "../../storage/assembly.ts";
import { DiskThread } from "../../storage/disk_thread.ts";
import { Follower } from "../../storage/following.ts";
import { Space } from "../../storage/space.ts";
import { inTempDir, sha256 } from "./fixture.ts";

const MIB = 1024 ** 2;
const SIZE = 128 * MIB;

/** Bytes that differ from MiB to MiB. */
function contentOf(sizeBytes: number): Uint8Array {
  const content = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; at += MIB) content.fill(1 + at / MIB, at, at + MIB);
  return content;
}

/** Counts what the thread hashed. */
class Watched extends DiskThread {
  readonly ends: number[] = [];
  override async follow(of: number, path: string, end: number): Promise<void> {
    this.ends.push(end);
    await super.follow(of, path, end);
  }
}

/** An assembly to which `msPerMib` pass with each MiB, and more with the first ones. */
function assembly(dir: string, thread: DiskThread, msPerMib = 1, fastFrom = 0): Assembly {
  const space = new Space(dir, 0, () => false);
  space.freeBytes = () => 1e12;
  let mib = 0;
  let clockMs = 0;
  const nowMs = () => clockMs;
  const assembly = new Assembly(`${dir}/part`, 1e9, space, { thread, nowMs });
  const write = assembly.write.bind(assembly);
  assembly.write = (offset, content) => {
    mib += content.length / MIB;
    clockMs += (mib > fastFrom ? msPerMib : 10) * content.length / MIB;
    write(offset, content);
  };
  return assembly;
}

/** Writes pieces of a MiB, and lets the other thread work. */
async function write(assembly: Assembly, content: Uint8Array, from: number, to: number) {
  for (let at = from; at < to; at += MIB) {
    assembly.write(at, content.subarray(at, Math.min(to, at + MIB)));
    await new Promise((go) => setTimeout(go, 0));
  }
}

async function withThread(run: (dir: string, thread: Watched) => Promise<void>): Promise<void> {
  const thread = new Watched();
  try {
    await inTempDir((dir) => run(dir, thread));
  } finally {
    thread.close(new Error("The test is over"));
  }
}

Deno.test("content that comes fast is hashed by the other thread, each byte once", async () => {
  await withThread(async (dir, thread) => {
    const content = contentOf(SIZE);
    const fast = assembly(dir, thread);
    fast.begin(SIZE);
    await write(fast, content, 0, SIZE);
    strictEqual(await fast.hashAll(["1", "2"]), true);
    strictEqual(thread.ends.length > 0, true);
    strictEqual(thread.ends.every((end, i) => end > (thread.ends[i - 1] ?? 0)), true);
    strictEqual(fast.digestWith(""), sha256(content));
    strictEqual(fast.digestWith("2"), sha256(content, "2"));
    throws(() => fast.digestWith("3"), /not asked for/);
    fast.abort();
  });
});

Deno.test("content that comes slowly, or is small, is hashed here", async () => {
  await withThread(async (dir, thread) => {
    const content = contentOf(SIZE);
    for (const [size, msPerMib] of [[SIZE, 6], [64 * MIB, 1]] as const) {
      const slow = assembly(dir, thread, msPerMib);
      slow.begin(size);
      for (let at = 0; at < size; at += MIB) slow.write(at, content.subarray(at, at + MIB));
      strictEqual(await slow.hashAll([]), true);
      strictEqual(slow.digestWith("3"), sha256(content.subarray(0, size), "3"));
      slow.abort();
    }
    strictEqual(thread.ends.length, 0);
  });
});

Deno.test("content of which much was hashed here stays here, however fast the rest comes", async () => {
  await withThread(async (dir, thread) => {
    const block = contentOf(2 * SIZE);
    for (const [fastFrom, isHere] of [[20, false], [80, true]] as const) {
      const late = assembly(dir, thread, 1, fastFrom);
      late.begin(2 * SIZE);
      await write(late, block, 0, 2 * SIZE);
      strictEqual(await late.hashAll([]), true);
      strictEqual(thread.ends.length === 0, isHere, `${fastFrom}`);
      strictEqual(late.digestWith(""), sha256(block));
      late.abort();
      thread.ends.length = 0;
    }
  });
});

Deno.test("only what has nothing missing before it is hashed, and what was forgotten is hashed again", async () => {
  await withThread(async (dir, thread) => {
    const content = contentOf(SIZE);
    const wrong = content.slice();
    wrong[40 * MIB + 5]! ^= 1;
    const fast = assembly(dir, thread);
    fast.begin(SIZE);
    await write(fast, wrong, 0, 50 * MIB);
    await write(fast, wrong, 60 * MIB, SIZE);
    strictEqual(thread.ends.every((end) => end <= 50 * MIB), true);
    await write(fast, wrong, 50 * MIB, 60 * MIB);
    strictEqual(await fast.hashAll([]), true);
    strictEqual(fast.digestWith(""), sha256(wrong));
    fast.forget([[40 * MIB, 41 * MIB]]);
    fast.write(40 * MIB, content.subarray(40 * MIB, 41 * MIB));
    strictEqual(await fast.hashAll(["x"]), true);
    strictEqual(fast.digestWith(""), sha256(content));
    fast.abort();
  });
});

Deno.test("the thread is never asked for more than it can do soon, and for nothing once nobody follows", async () => {
  await withThread(async (dir, thread) => {
    // All but the beginning is there already, as after a restart.
    const path = `${dir}/part`;
    await Deno.writeFile(path, new Uint8Array(10));
    await Deno.truncate(path, 300 * MIB);
    const follower = new Follower(thread, path);
    follower.upTo(300 * MIB);
    await follower.digests([""]);
    const steps = thread.ends.map((end, i) => end - (thread.ends[i - 1] ?? 0));
    strictEqual(Math.max(...steps), 64 * MIB);
    const late = new Follower(thread, path);
    late.upTo(300 * MIB);
    const digests = rejects(late.digests([""]), /no longer followed/);
    late.close();
    await digests;
    strictEqual(thread.ends.at(-1), 64 * MIB, "the rest was not asked for");
    await rejects(thread.digestsOf(1e6, path, 1, [""]), /no longer followed/);
    follower.close();
  });
});

Deno.test("no thread is started without file descriptors for it: the runtime would end the process", async () => {
  await withThread(async (dir, thread) => {
    const { openSync } = Deno;
    let left = 10;
    Deno.openSync = (path, options) => {
      if (path === "/dev/null" && left-- === 0) throw new Error("Too many open files");
      return openSync(path, options);
    };
    try {
      await rejects(thread.missing(dir, ["a"]), /Too many open files/);
    } finally {
      Deno.openSync = openSync;
    }
    strictEqual(thread.pending, 0);
    strictEqual((await thread.missing(dir, ["a"])).length, 1);
  });
});

Deno.test("without the thread, the content is hashed here, and what was stopped is not told", async () => {
  await withThread(async (dir, thread) => {
    const content = contentOf(SIZE);
    const fast = assembly(dir, thread);
    fast.begin(SIZE);
    await write(fast, content, 0, SIZE);
    strictEqual(await fast.hashAll([], () => true), false);
    thread.close(new Error("It has ended"));
    strictEqual(await fast.hashAll([]), true);
    strictEqual(fast.digestWith("9"), sha256(content, "9"));
    fast.abort();
  });
});
