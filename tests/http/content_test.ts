// Content that the gateway sends itself: complete, in its place among other answers, and never after its end.

import assert from "node:assert/strict";
import { type Content, isLastAnswer, MarkedHead, sendContent } from "../../http/content.ts";
import { Gateway, type Handler } from "../../http/gateway.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import { Raw } from "../hostile/raw.ts";
import { until } from "../until.ts";

const LARGE = 700_000;

/** Content of letters that say where they are, which was asked for and ended. */
class Letters implements Content {
  at = 0;
  counted = 0;
  readonly ends: unknown[] = [];

  constructor(readonly totalBytes = LARGE, readonly failsAt = Infinity) {}

  readInto(buffer: Uint8Array): number {
    const bytes = Math.min(buffer.length, 100_000);
    for (let i = 0; i < bytes; i++) buffer[i] = 97 + (this.at + i) % 26;
    this.at += bytes;
    if (this.at >= this.failsAt) throw new Error("unreadable");
    return bytes;
  }

  sent(bytes: number): void {
    this.counted += bytes;
  }

  ended(why?: unknown): void {
    this.ends.push(why instanceof Error ? why.message : why);
  }
}

const text = (sizeBytes: number) =>
  Array.from({ length: sizeBytes }, (_, i) => String.fromCharCode(97 + i % 26)).join("");

/** Serves each content under its path; "/small" is answered by the server. */
async function serving(
  contents: Readonly<Record<string, Letters>>,
  act: (front: Gateway, read: () => number) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const limits = { ...DEFAULT_LIMITS, idleTimeoutMs: 600 };
  const front = new Gateway({ hostname: "127.0.0.1", port: 0, limits });
  let read = 0;
  const handler: Handler = (request, client) => {
    const content = contents[new URL(request.url).pathname];
    if (!content) return new Response("small\n");
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        read++;
        controller.enqueue(new Uint8Array(content.totalBytes).fill(46));
        controller.close();
      },
    }, { highWaterMark: 0 });
    client.handOver!(body, content);
    return new Response(body, { headers: { "content-length": String(content.totalBytes) } });
  };
  front.begin(handler, folder);
  try {
    await act(front, () => read);
    await until("all places are free", () => front.connections === 0);
  } finally {
    await front.stop();
    await Deno.remove(folder, { recursive: true });
  }
}

const get = (path: string, ...fields: string[]) =>
  [`GET ${path} HTTP/1.1`, "Host: h", ...fields].join("\r\n") + "\r\n\r\n";
const LAST = "Connection: close";

async function say(front: Gateway, words: string): Promise<string> {
  using raw = await Raw.open({ host: "127.0.0.1", port: front.port });
  raw.write(words);
  await raw.untilClosed();
  return raw.text;
}

/** Splits what came into heads and bodies, by their lengths. */
function answersIn(all: string): { readonly head: string; readonly body: string }[] {
  const answers = [];
  for (let rest = all; rest !== "";) {
    const end = rest.indexOf("\r\n\r\n") + 4;
    const head = rest.slice(0, end);
    const length = Number(/^content-length: (\d+)\r$/im.exec(head)![1]);
    answers.push({ head, body: rest.slice(end, end + length) });
    rest = rest.slice(end + length);
  }
  return answers;
}

Deno.test("large content comes whole and in its place, on the same connection, and the server reads none of it", async () => {
  const [first, second] = [new Letters(), new Letters(300_000)];
  await serving({ "/1": first, "/2": second }, async (front, read) => {
    const words = get("/small") + get("/1") + get("/small") + get("/2") + get("/small", LAST);
    const answers = answersIn(await say(front, words));
    assert.deepEqual(answers.map(({ body }) => body.length), [6, LARGE, 6, 300_000, 6]);
    assert.equal(answers[1]!.body, text(LARGE));
    assert.equal(answers[3]!.body, text(300_000));
    assert.ok(answers.every(({ head }) => /^HTTP\/1\.1 200 OK\r\n/.test(head)));
    assert.ok(answers.every(({ head }) => !/x-content|x-exchange/i.test(head)), answers[1]!.head);
    assert.deepEqual([first.ends, first.counted], [[undefined], LARGE]);
    assert.equal(read(), 0);
  });
});

Deno.test("small content, and HEAD, are the server's", async () => {
  const small = new Letters(1_000);
  await serving({ "/1": small, "/2": new Letters() }, async (front, read) => {
    const [answer] = answersIn(await say(front, get("/1", LAST)));
    assert.equal(answer!.body, ".".repeat(1_000));
    assert.equal(read(), 1);
    const head = await say(front, get("/2", LAST).replace("GET", "HEAD"));
    assert.match(head, /^content-length: 700000\r$/im);
    assert.ok(head.endsWith("\r\n\r\n"));
    assert.deepEqual(small.ends, []);
  });
});

Deno.test("a connection ends after its last answer", async () => {
  const contents = { "/1": new Letters(), "/2": new Letters() };
  await serving(contents, async (front) => {
    assert.equal(answersIn(await say(front, get("/1", LAST) + get("/small"))).length, 1);
    const old = get("/2").replace("HTTP/1.1", "HTTP/1.0");
    const [answer, ...others] = answersIn(await say(front, old + get("/small")));
    assert.equal(answer!.body, text(LARGE));
    assert.deepEqual(others, []);
  });
});

Deno.test("content that cannot be read to its end is cut off, and so is its connection", async () => {
  const broken = new Letters(LARGE, 400_000);
  await serving({ "/1": broken }, async (front) => {
    const all = await say(front, get("/1") + get("/small"));
    assert.ok(all.length > 250_000 && all.length < 400_000, `${all.length}`);
    assert.ok(!all.includes("small"));
    assert.deepEqual(broken.ends, ["unreadable"]);
  });
});

Deno.test("content ends when its client reads nothing, or is gone, and the gateway does not wait for it when it stops", async () => {
  const contents = { "/1": new Letters(1e9), "/2": new Letters(1e9), "/3": new Letters(1e9) };
  await serving(contents, async (front) => {
    const target = { host: "127.0.0.1", port: front.port };
    using stalled = await Raw.open(target, { reads: false });
    stalled.write(get("/1"));
    using gone = await Raw.open(target, { reads: false });
    gone.write(get("/2"));
    await until("it is being sent", () => contents["/2"].counted > 0);
    gone.reset();
    await until(
      "both have ended",
      () => contents["/1"].ends.length + contents["/2"].ends.length === 2,
    );
    assert.deepEqual([contents["/1"].ends, contents["/2"].ends], [["stopped"], ["stopped"]]);
    using reading = await Raw.open(target, { reads: false });
    reading.write(get("/3"));
    await until("it is being sent", () => contents["/3"].counted > 0);
    await front.stop();
    assert.deepEqual(contents["/3"].ends, ["stopped"]);
  });
});

Deno.test("content that is handed over after its client has gone is closed at once", async () => {
  const folder = await Deno.makeTempDir();
  const front = new Gateway({ hostname: "127.0.0.1", port: 0, limits: DEFAULT_LIMITS });
  const content = new Letters();
  const [asked, gone] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  front.begin(async (_request, client) => {
    asked.resolve();
    await gone.promise;
    const body = new ReadableStream<Uint8Array>();
    client.handOver!(body, content);
    return new Response(body);
  }, folder);
  using raw = await Raw.open({ host: "127.0.0.1", port: front.port });
  raw.write(get("/1"));
  await asked.promise;
  const stopping = front.stop();
  await raw.untilClosed();
  gone.resolve();
  await until("it is closed", () => content.ends.length > 0);
  assert.deepEqual(content.ends, ["stopped"]);
  await stopping;
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a marked head is found wherever the bytes are split, behind any answer", () => {
  const head = "HTTP/1.1 206 Partial Content\r\na: b\r\n";
  const marked = `${head}x-mark: 7\r\nc: d\r\n\r\n`;
  const before = `tail of HTTP/1.1 200 OK\r\nx-mark: 6\r\n\r\n${".".repeat(40_000)}\r\n`;
  const all = new TextEncoder().encode(before + marked);
  for (let at = 0; at <= all.length; at += at > 100 && at < before.length - 5 ? 997 : 1) {
    const search = new MarkedHead("x-mark: 7");
    const found = [all.subarray(0, at), all.subarray(at)].map((piece) => search.push(piece));
    const passed = found.map((each) => new TextDecoder().decode(each.before)).join("");
    assert.equal(passed, before);
    assert.equal(found.map((each) => each.head ?? "").join(""), `${head}c: d\r\n\r\n`);
  }
});

Deno.test("what follows an answer depends on its head", () => {
  const table = [
    ["HTTP/1.1 200 OK\r\n\r\n", false],
    ["HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", true],
    ["HTTP/1.1 200 OK\r\nx: y\r\nconnection:close \r\n\r\n", true],
    ["HTTP/1.0 200 OK\r\nx: y\r\n\r\n", true],
    ["HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\n", false],
  ] as const;
  for (const [head, isLast] of table) assert.equal(isLastAnswer(head), isLast, head);
});

Deno.test("only content is counted as sent, however little of it is taken at a time", async () => {
  const letters = new Letters(300_000);
  const taken: number[] = [];
  await sendContent("HEAD", letters, (bytes, onWritten) => {
    for (let at = 0; at < bytes.length; at += 3) onWritten(Math.min(3, bytes.length - at));
    taken.push(bytes.length);
    return Promise.resolve();
  });
  assert.equal(letters.counted, 300_000);
  assert.equal(taken.reduce((sum, bytes) => sum + bytes), 300_004);
  const short = new Letters(300_000);
  short.readInto = () => 0;
  await assert.rejects(sendContent("", short, () => Promise.resolve()), /shrank/);
  assert.equal(short.ends.length, 1);
});
