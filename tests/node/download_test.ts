// One download against scripted sources: liars about sizes, empty answers, connections that close, late bytes. What is
// reported, who is blamed, and what is kept.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Connection } from "../../net/connection.ts";
import { Download } from "../../node/download.ts";
import type { Receipts } from "../../node/receipts.ts";
import type { Sources } from "../../node/sources.ts";
import { TransferLog } from "../../node/transfer_log.ts";
import type { TransferOptions, TransferStore } from "../../node/transfer_options.ts";
import type { Input } from "../../protocol/effects.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import { Ranges } from "../../protocol/ranges.ts";
import type { FileRecord } from "../../protocol/wire/message.ts";
import { rawHeader } from "../../protocol/wire/raw.ts";
import { Assembly, type Begun } from "../../storage/assembly.ts";
import { Space } from "../../storage/space.ts";
import { inTempDir } from "../storage/fixture.ts";
import { until } from "../until.ts";

const MIB = 1024 ** 2;
const TIMESTAMP = { text: "1744170562", quoted: false };
/** Id under which some sources hold the content. */
const TWIN = "7".repeat(64);
const utf8 = new TextEncoder();

/** What a source does with its nth request. */
type Answer =
  | {
    readonly total: number;
    readonly content: Uint8Array;
    /** The answer, or each MiB of it, waits for this. */
    readonly after?: Promise<void>;
    readonly piecesAfter?: Promise<void>;
  }
  | { readonly text: string; readonly after?: Promise<void> }
  | "closes";
type Script = (offset: number, length: number, n: number) => Answer;

function contentOf(sizeBytes: number, seed = 1): Uint8Array {
  const content = new Uint8Array(sizeBytes);
  for (let i = 0; i < sizeBytes; i++) content[i] = i * seed + (i >> 10);
  return content;
}

const honest = (content: Uint8Array): Script => () => ({ total: content.length, content });
const ABSENT = { text: `{"type":"FILE_DATA","file_id":null,"data":null}` };
const IN_HEX = { text: `{"type":"FILE_DATA","data":"6865` };

/** The near end of a connection to a scripted source. */
class Scripted {
  readonly ip = "127.0.0.1";
  closed = false;
  #pieces: Uint8Array[] = [];
  #isAtEnd = false;
  #wake = () => {};
  #turn: Promise<void> = Promise.resolve();
  #n = 0;

  constructor(
    readonly file: FileRecord,
    readonly script: Script,
    readonly asked: [number, number][],
  ) {}

  write(bytes: Uint8Array): Promise<void> {
    const { file_id: fileId, ext: { raw } } = JSON.parse(new TextDecoder().decode(bytes));
    strictEqual(fileId, this.file.fileId, "the id that this source knows");
    const [offset, length] = raw;
    this.asked.push([offset, length]);
    const answer = this.script(offset, length, this.#n++);
    this.#turn = this.#turn.then(() => this.#answer(answer, offset, length));
    return Promise.resolve();
  }

  async #answer(answer: Answer, offset: number, wanted: number): Promise<void> {
    if (answer === "closes") return this.#end();
    await answer.after;
    if ("text" in answer) {
      this.#push(utf8.encode(answer.text));
      return this.#end();
    }
    const length = Math.min(wanted, answer.total - offset);
    this.#push(rawHeader(this.file, { v: 1 }, { offset, length }, answer.total));
    for (let at = 0; at < length; at += MIB) {
      await answer.piecesAfter;
      this.#push(answer.content.subarray(offset + at, offset + Math.min(length, at + MIB)));
    }
  }

  #push(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#wake();
  }

  #end(): void {
    this.#isAtEnd = true;
    this.#wake();
  }

  async readContent(buffer: Uint8Array): Promise<number | null> {
    while (this.#pieces.length === 0) {
      if (this.closed) throw new Deno.errors.BadResource("Closed");
      if (this.#isAtEnd) return null;
      await new Promise<void>((go) => this.#wake = go);
    }
    const piece = this.#pieces[0]!;
    const read = Math.min(piece.length, buffer.length);
    buffer.set(piece.subarray(0, read));
    if (read < piece.length) this.#pieces[0] = piece.subarray(read);
    else this.#pieces.shift();
    return read;
  }

  close(): void {
    this.closed = true;
    this.#wake();
  }

  giveUp(): void {
    this.close();
  }
}

interface Scene {
  readonly content: Uint8Array;
  /** The sources; the first one is asked first, the others once more are wanted. */
  readonly sources: Readonly<Record<string, Script>>;
  /** Those of them that are said to hold the content under another id. */
  readonly elsewhere?: readonly string[];
  /** The size that was announced. */
  readonly announced?: number;
  readonly begun?: Begun;
  /** Called when the download has begun. */
  readonly act?: (download: Download) => void;
}

interface Told {
  /** What was reported: for each report its kind, source and failure. */
  readonly reports: readonly string[];
  readonly asked: Readonly<Record<string, readonly [number, number][]>>;
  /** What `run` resolved to. */
  readonly isOver: boolean;
  /** What became of the content: "kept" for the next attempt, with its size, "removed", or handed on. */
  readonly fate: string;
}

/** Runs a download to its end. */
async function download(
  { content, sources, elsewhere, announced, begun, act }: Scene,
): Promise<Told> {
  let told: Told | undefined;
  await inTempDir(async (dir) => {
    const fileId = createHash("sha256").update(content).update(TIMESTAMP.text).digest("hex");
    const file = {
      fileId,
      name: "large.bin",
      owner: "hawk",
      timestamp: TIMESTAMP,
      size: 1,
      ...(announced === undefined ? {} : { sizeBytes: announced }),
    };
    const path = `${dir}/partial`;
    if (begun) {
      const there = new Uint8Array(begun.done.spans.at(-1)![1]);
      there.set(content.subarray(0, there.length));
      await Deno.writeFile(path, there);
    }
    const space = new Space(dir, 0, () => false);
    space.freeBytes = () => 10 * 1024 ** 3;
    let fate = "handed on";
    const assembly = new Assembly(path, 1e12, space, begun, () => fate = "removed");
    const store: Pick<TransferStore, "assemble" | "suspend"> = {
      assemble: () => assembly,
      suspend: () => fate = `kept ${assembly.sizeBytes}`,
    };
    const asked: Record<string, [number, number][]> = {};
    const [first, ...others] = Object.keys(sources);
    const at = (host: string) => ({
      from: { host, port: 1 },
      voucher: "operator" as const,
      hasParts: false,
      ...(elsewhere?.includes(host) ? { askFor: TWIN } : {}),
    });
    const scripted: Pick<Sources, "ask"> = {
      ask: async ({ from: { host }, onConnection, ask }) => {
        await Promise.resolve();
        const twin = { ...file, fileId: TWIN, timestamp: { text: "1", quoted: false } };
        const known = elsewhere?.includes(host) ? twin : file;
        const one = new Scripted(known, sources[host]!, asked[host] ??= []);
        const connection = one as unknown as Connection;
        try {
          onConnection(connection);
          const { answer } = await ask({ connection, onAnswering: () => {} });
          return { answer, ip: one.ip };
        } finally {
          one.close();
        }
      },
    };
    const reports: string[] = [];
    const dispatch = (input: Input) => {
      if (input.kind === "more-sources") { for (const host of others) running.add(host, at(host)); }
      else if (input.kind === "arrived") reports.push(`arrived ${input.source}`);
      else if (input.kind === "source-failed" || input.kind === "fetch-failed") {
        reports.push(`${input.kind} ${input.source} ${input.failure}`);
      }
    };
    const log = new TransferLog(() => performance.now());
    const move = log.begin({
      kind: "fetch",
      fileId,
      name: file.name,
      peer: first!,
      totalBytes: announced,
    });
    const downLimit = () => 0;
    const options = { store, dispatch, downLimit, limits: DEFAULT_LIMITS, ext: () => ({ v: 1 }) };
    const running = new Download(
      {
        options: options as unknown as TransferOptions,
        sources: scripted as Sources,
        receipts: { add: () => 1 } as unknown as Receipts,
      },
      {
        kind: "fetch",
        attempt: 1,
        file,
        timestamps: [TIMESTAMP],
        source: first!,
        ...at(first!),
        isRaw: true,
      },
      move,
    );
    const ending = running.run();
    act?.(running);
    const isOver = await ending;
    if (fate === "handed on" && isOver) {
      assembly.close();
      deepStrictEqual(await Deno.readFile(path), content);
    } else assembly.close();
    told = { reports, asked, isOver, fate };
  });
  return told!;
}

const covered = (asked: readonly [number, number][] = []) =>
  new Ranges(asked.map(([offset, length]) => [offset, offset + length] as const)).bytes;

Deno.test("one source delivers a file in parts, each of which is asked for once", async () => {
  const content = contentOf(9 * MIB + 5);
  for (
    const announced of [undefined, content.length, 3 * MIB, 100 * MIB, Number.MAX_SAFE_INTEGER]
  ) {
    const { reports, asked } = await download({
      content,
      sources: { a: honest(content) },
      ...(announced === undefined ? {} : { announced }),
    });
    deepStrictEqual(reports, ["arrived a"], `${announced}`);
    ok(covered(asked.a) >= content.length);
  }
});

Deno.test("a source that says that the file is empty is the one to blame, and has one turn", async () => {
  const content = contentOf(20 * MIB);
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const { reports, asked } = await download({
    content,
    announced: content.length,
    sources: {
      first: (_offset, _length, n) => n === 0 ? { total: content.length, content } : "closes",
      liar: (offset) => offset > 0 ? ABSENT : { total: 0, content },
      slow: () => ({ total: content.length, content, after: gate }),
    },
    act: () => setTimeout(open, 50),
  });
  deepStrictEqual(reports.at(-1), "arrived slow");
  deepStrictEqual(reports.filter((report) => /mismatch|garbage|first absent/.test(report)), []);
  ok(asked.liar!.length <= 6, `${asked.liar!.length} requests to the liar`);
});

Deno.test("one word against many on the size: the many are right, and one against one is settled in turns", async () => {
  const content = contentOf(20 * MIB);
  const longer = contentOf(30 * MIB, 7);
  for (const others of [["b"], ["b", "c"]]) {
    const sources = Object.fromEntries(others.map((name) => [name, honest(content)]));
    const { reports } = await download({
      content,
      sources: { liar: honest(longer), ...sources },
    });
    ok(/^arrived [bc]$/.test(reports.at(-1)!), reports.join());
    deepStrictEqual(reports.filter((report) => / [bc] /.test(report)), [], "nobody else failed");
  }
});

Deno.test("an honest answer that comes while wrong content is verified is not mixed with it", async () => {
  const content = contentOf(20 * MIB);
  const wrong = contentOf(64 * MIB, 3);
  const { reports } = await download({
    content,
    announced: wrong.length,
    begun: { totalBytes: wrong.length, done: new Ranges([[0, 4 * MIB], [20 * MIB, 64 * MIB]]) },
    sources: { liar: honest(wrong), b: honest(content) },
  });
  strictEqual(reports.at(-1), "arrived b");
  deepStrictEqual(reports.filter((report) => / b /.test(report)), []);
});

Deno.test("content that is about to verify is not thrown away for what another source says of its size", async () => {
  const content = contentOf(64 * MIB);
  const longer = contentOf(65 * MIB, 7);
  const { promise: isComplete, resolve } = Promise.withResolvers<void>();
  const { reports, asked } = await download({
    content,
    announced: content.length,
    // What is there is hashed at the end, which takes a while.
    begun: { totalBytes: content.length, done: new Ranges([[16 * MIB, 64 * MIB]]) },
    sources: {
      a: honest(content),
      liar: () => ({ total: longer.length, content: longer, after: isComplete }),
    },
    act: ({ move }) =>
      void until("all of it", () => move.doneBytes === content.length).then(() => resolve()),
  });
  deepStrictEqual(reports, ["arrived a"]);
  strictEqual(covered(asked.a), 16 * MIB, "nothing is fetched again");
});

Deno.test("a source that contradicts two others on the size is left out, and nothing is fetched again", async () => {
  const content = contentOf(20 * MIB);
  const longer = contentOf(21 * MIB, 7);
  const { promise: agreed, resolve } = Promise.withResolvers<void>();
  let answers = 0;
  const counting: Script = () => {
    if (++answers === 4) resolve();
    return { total: content.length, content };
  };
  const { reports, asked } = await download({
    content,
    announced: content.length,
    sources: {
      a: counting,
      b: counting,
      liar: () => ({ total: longer.length, content: longer, after: agreed }),
    },
  });
  ok(/^arrived [ab]$/.test(reports.join()), reports.join());
  const requested = [...asked.a!, ...asked.b!].reduce((sum, [, length]) => sum + length, 0);
  ok(requested < 1.5 * content.length, `${requested} bytes were asked for`);
});

Deno.test("a newcomer's word on the size does not decide against the one that delivers", async () => {
  const content = contentOf(20 * MIB);
  const longer = contentOf(21 * MIB, 7);
  const { promise: never } = Promise.withResolvers<void>();
  const { promise: begun, resolve } = Promise.withResolvers<void>();
  const { reports } = await download({
    content,
    announced: content.length,
    sources: {
      a: (_o, _l, n) => {
        if (n > 0) resolve();
        return { total: content.length, content };
      },
      liar: () => ({ total: longer.length, content: longer, after: begun, piecesAfter: never }),
    },
  });
  strictEqual(reports.at(-1), "arrived a");
});

Deno.test("a source that trickles in its turn gives way to the next one, and each has one turn", async () => {
  const content = contentOf(20 * MIB);
  const wrong = contentOf(20 * MIB, 3);
  const { promise: never } = Promise.withResolvers<void>();
  const now = performance.now;
  let skewMs = 0;
  performance.now = () => now.call(performance) + skewMs;
  const dials = new Map<string, number>();
  const trickling = (name: string): Script => (_o, _l, n) => {
    if (n === 0) dials.set(name, (dials.get(name) ?? 0) + 1);
    const isTurn = dials.get(name)! > 1;
    return { total: wrong.length, content: wrong, ...(isTurn ? { piecesAfter: never } : {}) };
  };
  try {
    const { reports } = await download({
      content,
      announced: content.length,
      sources: { x: trickling("x"), y: trickling("y") },
      act: (running) => {
        let turns = 0;
        const look = setInterval(() => {
          skewMs += 16_000;
          if (++turns < 6) return;
          clearInterval(look);
          running.move.ended("Canceled here");
          running.move.stop();
        }, 300);
      },
    });
    strictEqual(reports.length, 1);
    for (const [name, count] of dials) ok(count <= 2, `${name} was dialed ${count} times`);
    strictEqual(dials.size, 2);
  } finally {
    performance.now = now;
  }
});

Deno.test("a size for which there is no space is the failure of the source that says it, and what is there stays", async () => {
  const content = contentOf(20 * MIB);
  const done = new Ranges([[0, 19 * MIB]]);
  const { reports, fate } = await download({
    content,
    announced: content.length,
    begun: { totalBytes: content.length, done },
    sources: { liar: (offset) => offset > 0 ? ABSENT : { total: 900e9, content } },
  });
  deepStrictEqual(reports, ["fetch-failed liar cut-short"]);
  strictEqual(fate, `kept ${19 * MIB}`);
});

Deno.test("what is there outlives an announcement of a smaller or an impossible size", async () => {
  const content = contentOf(8 * MIB);
  for (const announced of [1, MIB, Number.MAX_SAFE_INTEGER]) {
    const { reports, fate } = await download({
      content,
      announced,
      begun: { totalBytes: undefined, done: new Ranges([[0, 6 * MIB]]) },
      sources: { gone: () => "closes" },
    });
    deepStrictEqual(reports, ["fetch-failed gone absent"], `${announced}`);
    strictEqual(fate, `kept ${6 * MIB}`);
  }
});

Deno.test("a source that closes after it delivered something was cut short, and does not lack the file", async () => {
  const content = contentOf(20 * MIB);
  const { reports, fate } = await download({
    content,
    announced: content.length,
    sources: { a: (_o, _l, n) => n === 0 ? { total: content.length, content } : "closes" },
  });
  deepStrictEqual(reports, ["fetch-failed a cut-short"]);
  strictEqual(fate, `kept ${4 * MIB}`);
});

Deno.test("wrong content of one source is its own; wrong content of several is settled in turns", async () => {
  const content = contentOf(20 * MIB);
  const wrong = contentOf(20 * MIB, 3);
  const alone = await download({ content, sources: { liar: honest(wrong) } });
  deepStrictEqual(alone.reports, ["fetch-failed liar mismatch"]);
  strictEqual(alone.fate, "removed");
  const { reports } = await download({
    content,
    announced: content.length,
    sources: { liar: honest(wrong), b: honest(content), c: honest(content) },
  });
  ok(/^arrived [bc]$/.test(reports.at(-1)!));
  deepStrictEqual(reports.filter((report) => / [bc] /.test(report)), []);
});

Deno.test("a source that answers in hex is asked for hex only if it is the first one and nobody else is left", async () => {
  const content = contentOf(12 * MIB);
  const only = await download({ content, sources: { old: () => IN_HEX } });
  deepStrictEqual([only.reports, only.isOver], [[], false]);
  const { reports, isOver } = await download({
    content,
    announced: content.length,
    sources: {
      a: (_o, _l, n) => n === 0 ? { total: content.length, content } : "closes",
      old: () => ({ ...IN_HEX, after: new Promise((go) => setTimeout(go, 50)) }),
    },
  });
  strictEqual(isOver, true);
  deepStrictEqual(reports, ["source-failed a cut-short", "fetch-failed old cut-short"]);
});

Deno.test("a download that nobody wants any longer ends at once, is reported once, and keeps what is there", async () => {
  const content = contentOf(12 * MIB);
  const { promise: never } = Promise.withResolvers<void>();
  const { reports, fate } = await download({
    content,
    announced: content.length,
    sources: {
      a: (_o, _l, n) => ({
        total: content.length,
        content,
        ...(n > 0 ? { piecesAfter: never } : {}),
      }),
    },
    act: ({ move }) =>
      void until("the first part", () => move.doneBytes >= 4 * MIB).then(() => {
        move.ended("Canceled here");
        move.stop();
      }),
  });
  deepStrictEqual(reports, ["fetch-failed a storage"]);
  strictEqual(fate, `kept ${4 * MIB}`);
});

Deno.test("a source that holds the content under another id delivers parts of it, or all of it", async () => {
  const content = contentOf(40 * MIB);
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const slow: Script = (_offset, _length, n) => ({
    total: content.length,
    content,
    ...(n === 0 ? { piecesAfter: gate } : {}),
  });
  const twin: Script = (_offset, _length, n) => {
    if (n === 1) open();
    return { total: content.length, content };
  };
  const both = await download({ content, sources: { a: slow, b: twin }, elsewhere: ["b"] });
  match(both.reports.join(), /^arrived [ab]$/);
  ok(both.asked.b!.length > 1);
  const alone = await download({ content, sources: { b: honest(content) }, elsewhere: ["b"] });
  deepStrictEqual(alone.reports, ["arrived b"]);
});

Deno.test("a source of other content under another id changes neither the size nor who is asked alone", async () => {
  const content = contentOf(40 * MIB);
  for (const other of [contentOf(40 * MIB, 5), contentOf(41 * MIB, 5), contentOf(3 * MIB, 5)]) {
    const { reports, asked } = await download({
      content,
      announced: content.length,
      sources: { a: honest(content), b: honest(other) },
      elsewhere: ["b"],
    });
    strictEqual(reports.at(-1), "arrived a", `${other.length}`);
    deepStrictEqual(reports.filter((report) => / a /.test(report)), []);
    if (other.length !== content.length) strictEqual(asked.b!.length, 1);
  }
});

Deno.test("if only other content is left, nobody but its source is named", async () => {
  const content = contentOf(40 * MIB);
  const other = contentOf(40 * MIB, 5);
  const { reports, fate } = await download({
    content,
    announced: content.length,
    sources: {
      a: (_offset, _length, n) => n === 0 ? { total: content.length, content } : "closes",
      b: honest(other),
    },
    elsewhere: ["b"],
  });
  strictEqual(reports.at(-1), "fetch-failed b mismatch", reports.join());
  strictEqual(fate, "removed");
});

Deno.test("a twin that answers in hex is not asked for the file itself", async () => {
  const { reports, isOver } = await download({
    content: contentOf(MIB),
    sources: { b: () => IN_HEX },
    elsewhere: ["b"],
  });
  deepStrictEqual([reports, isOver], [["fetch-failed b cut-short"], true]);
});
