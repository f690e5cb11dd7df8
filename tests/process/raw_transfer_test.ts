// Raw content with the real program on one end: what it serves on one connection, and how it fetches from a source that
// can send raw content, closes idle connections, lies, or answers in hex after all.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import net from "node:net";
import { Raw, shout } from "../hostile/raw.ts";
import {
  ALONE,
  dataOf,
  EAGER,
  entryOf,
  type Message,
  randomFile,
  refusals,
} from "../threats/scene.ts";
import { type ForeignFile, foreignFile } from "../wire/foreign.ts";
import { until } from "../until.ts";
import { Folder, randomBytes } from "./folder.ts";
import { named } from "./network.ts";
import { Program } from "./program.ts";
import { SANITIZED } from "./together.ts";

const TO_THE_END = Number.MAX_SAFE_INTEGER;
const latin1 = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);

function get(fileId: string, raw: unknown): Message {
  return { type: "GET_FILE", file_id: fileId, ext: { v: 1, raw } };
}

/** The answers on one connection, in order, each with this many bytes of content. */
class Answers {
  #at = 0;
  constructor(readonly raw: Raw) {}

  async next(): Promise<{ header: Record<string, unknown>; content: string }> {
    const [line] = await until("a header line", () => {
      return this.raw.text.slice(this.#at).match(/^[^\n]*\n/) ?? undefined;
    });
    const header = JSON.parse(line);
    this.#at += line.length;
    const [, length = 0] = header.ext.raw as number[];
    await until("its content", () => this.raw.text.length >= this.#at + length);
    const content = this.raw.text.slice(this.#at, this.#at + length);
    this.#at += length;
    return { header, content };
  }
}

Deno.test(
  "one connection serves a whole file, parts of it, and another file, exactly and raw",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const contents = [randomBytes(3_000_000), randomBytes(5)];
    await using program = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    await folder.write("storage_kashifm/large.bin", contents[0]!);
    await folder.write("storage_kashifm/small.bin", contents[1]!);
    const { file_id: large } = await named(program, "large.bin");
    const { file_id: small } = await named(program, "small.bin");
    using raw = await Raw.open(program);
    const answers = new Answers(raw);
    const cases: [string, Uint8Array, number, number][] = [
      [large, contents[0]!, 0, TO_THE_END],
      [small, contents[1]!, 0, TO_THE_END],
      [large, contents[0]!, 1_234_567, 1_000_001],
      [large, contents[0]!, 2_999_999, 100],
      [small, contents[1]!, 5, 1],
      [small, contents[1]!, 2, 0],
    ];
    for (const [fileId, content, offset, length] of cases) {
      raw.send(get(fileId, [offset, length]));
      const expected = content.subarray(offset, Math.min(content.length, offset + length));
      const got = await answers.next();
      strictEqual(got.header.file_id, fileId);
      deepStrictEqual((got.header.ext as Message).raw, [offset, expected.length, content.length]);
      ok(got.content === latin1(expected), `${offset} ${length}`);
    }
    ok(!raw.ended && !raw.isClosed, "the connection stays open");
  },
);

for (
  const [what, range] of [
    ["negative", [-1, 5]],
    ["not an integer", [0.5, 5]],
    ["past the end", [2_001, 1]],
    ["no pair", [0]],
    ["text", "all"],
  ] as const
) {
  Deno.test(
    `a range that is ${what} gets "I do not have it", and is counted`,
    SANITIZED,
    async () => {
      await using folder = await Folder.make();
      await using program = await Program.peer("kashifm", ALONE, { cwd: folder.path });
      await folder.write("storage_kashifm/file.bin", randomBytes(2_000));
      const { file_id: fileId } = await named(program, "file.bin");
      using raw = await Raw.open(program);
      raw.send(get(fileId, range));
      await raw.untilClosed();
      match(raw.text, /^\{"type":"FILE_DATA","file_name":null,.*"data":null/);
      strictEqual(await refusals(program, /^bad-field$/), 1);
    },
  );
}

/** A source that says that it can send raw content. `answer` gets each request. */
class RawSource implements AsyncDisposable {
  readonly sockets: net.Socket[] = [];
  /** For each GET_FILE: the number of its connection, and the request. */
  readonly asked: { readonly on: number; readonly request: Record<string, unknown> }[] = [];
  readonly #server: net.Server;

  constructor(readonly answer: (socket: net.Socket, request: Record<string, unknown>) => void) {
    this.#server = net.createServer({ allowHalfOpen: true }, (socket) => {
      const on = this.sockets.push(socket);
      socket.on("error", () => {});
      let text = "";
      socket.on("data", (bytes: Uint8Array) => {
        text += latin1(bytes);
        let request: Record<string, unknown>;
        try {
          request = JSON.parse(text);
        } catch {
          return; // incomplete
        }
        text = "";
        if (request.type !== "GET_FILE") return void socket.end();
        this.asked.push({ on, request });
        this.answer(socket, request);
      });
      socket.on("end", () => socket.end());
    });
  }

  #port = 0;

  async listen(): Promise<void> {
    if (this.#server.listening) return;
    await new Promise<void>((go) => this.#server.listen(this.#port, "127.0.0.1", go));
    this.#port = (this.#server.address() as net.AddressInfo).port;
  }

  /** Refuses connections until `listen` is called. */
  async leave(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((go) => this.#server.close(() => go()));
  }

  async join(to: Program, can = ["raw"]): Promise<void> {
    await this.listen();
    const port = this.#port;
    const ext = { v: 1, can };
    const gossip = { type: "GOSSIP", host: "127.0.0.1", port, peerId: "hawk", ext };
    const seen = to.tracks("hawk");
    await shout(to, { ...gossip, id: crypto.randomUUID() });
    await seen;
  }

  /** Announces many files with one message. */
  async list(
    to: Program,
    files: readonly ForeignFile[],
    sizes?: ReadonlyMap<string, number>,
  ): Promise<void> {
    const entries = files.map((file) => ({
      ...entryOf(file),
      size_bytes: sizes?.get(file.fileId) ?? file.content.length,
    }));
    const ext = { v: 1, can: BATCHES };
    const list = { type: "GOSSIP_REPLY", host: "127.0.0.1", port: this.#port, peerId: "hawk", ext };
    await shout(to, { ...list, files: entries }, { how: "half-closes" });
  }

  async announce(to: Program, file: ForeignFile): Promise<void> {
    await shout(to, { type: "ANNOUNCE", from: "hawk", ...entryOf(file), ext: { v: 1 } }, {
      how: "half-closes",
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.leave();
  }
}

function sendRaw(
  socket: net.Socket,
  file: ForeignFile,
  raw = [0, file.content.length, file.content.length],
): void {
  const header = JSON.stringify({ type: "FILE_DATA", ...entryOf(file), ext: { v: 1, raw } });
  socket.write(`${header}\n`);
  socket.write(file.content);
}

Deno.test(
  "files of one source come raw on one connection, also after it closed an idle one",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", EAGER, { cwd: folder.path });
    const files = Array.from({ length: 3 }, (_, i) => randomFile(`file ${i}.bin`, "hawk", 200_000));
    await using source = new RawSource((socket, { file_id: fileId }) => {
      sendRaw(socket, files.find((file) => file.fileId === fileId)!);
    });
    await source.join(program);
    for (const file of files.slice(0, 2)) {
      await source.announce(program, file);
      await program.holds(file.fileId);
    }
    const [first, second] = source.asked;
    strictEqual(offsetOf(first!.request), 0);
    strictEqual(second!.on, first!.on, "one connection for both");
    source.sockets[first!.on - 1]!.destroy();
    await source.announce(program, files[2]!);
    await program.holds(files[2]!.fileId);
    ok(source.asked.at(-1)!.on > first!.on, "a new connection for the third");
    const { transfers } = await program.api<{ transfers: { state: string }[] }>("transfers");
    deepStrictEqual(transfers.map(({ state }) => state), ["done", "done", "done"]);
  },
);

Deno.test("a source that can send raw content may answer in hex", SANITIZED, async () => {
  await using folder = await Folder.make();
  await using program = await Program.peer("kashifm", EAGER, { cwd: folder.path });
  const file = randomFile("hex.bin", "hawk");
  await using source = new RawSource((socket) => socket.end(JSON.stringify(dataOf(file))));
  await source.join(program);
  await source.announce(program, file);
  await program.holds(file.fileId);
});

for (
  const [what, answer] of [
    ["other content", (socket, file) => sendRaw(socket, { ...file, content: randomBytes(2_000) })],
    ["another range", (socket, file) => sendRaw(socket, file, [1, 1_999, 2_000])],
    [
      "another file's header",
      (socket, file) => sendRaw(socket, { ...file, fileId: randomFile("x", "hawk").fileId }),
    ],
    ["more than there is", (socket, file) => sendRaw(socket, file, [0, 1_999, 1_999])],
  ] as [string, (socket: net.Socket, file: ForeignFile) => void][]
) {
  Deno.test(`a source that sends ${what} is blamed, and nothing is kept`, SANITIZED, async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", EAGER, { cwd: folder.path });
    const file = foreignFile("file.bin", randomBytes(2_000), "hawk", "1744170562");
    await using source = new RawSource((socket) => answer(socket, file));
    await source.join(program);
    await source.announce(program, file);
    await program.until(
      "the refusal",
      async () => await refusals(program, /^(content-mismatch|bad-answer)$/) === 1,
    );
    const kept = await Array.fromAsync(Deno.readDir(folder.at("storage_kashifm")));
    deepStrictEqual(kept.map(({ name }) => name).filter((name) => name.includes("file")), []);
  });
}

const BATCHES = ["raw", "batch-get"];

/** The ids that a request names. */
const idsIn = ({ file_id: first, ext }: Record<string, unknown>) =>
  [first, ...(ext as { more?: string[] }).more ?? []] as string[];

/** A program that fetches everything, and a source of many small files that can send batches. */
async function listed(
  files: readonly ForeignFile[],
  answer: (socket: net.Socket, wanted: readonly ForeignFile[], asked: number) => void,
  sizes?: ReadonlyMap<string, number>,
) {
  await using made = new AsyncDisposableStack();
  const folder = made.use(await Folder.make());
  const program = made.use(await Program.peer("kashifm", EAGER, { cwd: folder.path }));
  const byId = new Map(files.map((file) => [file.fileId, file]));
  const source: RawSource = made.use(
    new RawSource((socket, request) => {
      const wanted = idsIn(request).map((fileId) => byId.get(fileId)!);
      answer(socket, wanted, source.asked.length);
    }),
  );
  await source.join(program, BATCHES);
  await source.list(program, files, sizes);
  const kept = made.move();
  return { program, source, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

const smallFiles = (count: number) =>
  Array.from({ length: count }, (_, i) => randomFile(`small ${i}.bin`, "hawk", 1_000 + i));

const allHeld = (program: Program, files: readonly ForeignFile[]) =>
  program.until(
    "all files",
    async () =>
      (await program.api<{ files: { held: number } }>("status")).files.held ===
        files.length,
    30_000,
  );

Deno.test(
  "many small files come in few requests, each verified and under its own name",
  SANITIZED,
  async () => {
    const files = smallFiles(300);
    await using scene = await listed(files, (socket, wanted) => {
      for (const file of wanted) sendRaw(socket, file);
    });
    await allHeld(scene.program, files);
    const batches = scene.source.asked.filter(({ request }) => idsIn(request).length > 1);
    ok(scene.source.asked.length <= 8, `${scene.source.asked.length} requests`);
    ok(batches.length >= 2);
    strictEqual(scene.source.asked.flatMap(({ request }) => idsIn(request)).length, 300);
  },
);

Deno.test(
  "a file of a batch that is not as it should be costs only that file",
  SANITIZED,
  async () => {
    const files = smallFiles(60);
    const [bad, absent] = [files[40]!, files[50]!];
    await using scene = await listed(files, (socket, wanted) => {
      for (const file of wanted) {
        if (file === bad) sendRaw(socket, { ...file, content: randomBytes(file.content.length) });
        else if (file !== absent) sendRaw(socket, file);
        else if (wanted.length === 1) socket.end(JSON.stringify({ type: "FILE_DATA", data: null }));
        else {
          const nothing = { type: "FILE_DATA", file_id: file.fileId, ext: { v: 1, raw: [] } };
          socket.write(`${JSON.stringify(nothing)}\n`);
        }
      }
    });
    const { program } = scene;
    await allHeld(program, files.slice(2));
    strictEqual(await refusals(program, /^content-mismatch$/), 1);
  },
);

Deno.test(
  "a source that dies in the middle of a batch is asked for the rest again",
  SANITIZED,
  async () => {
    const files = smallFiles(120);
    await using scene = await listed(files, (socket, wanted, asked) => {
      if (wanted.length === 1 || asked > 8) {
        for (const file of wanted) sendRaw(socket, file);
        return;
      }
      for (const file of wanted.slice(0, 5)) sendRaw(socket, file);
      socket.write("{");
      socket.end();
    });
    const { program } = scene;
    await allHeld(program, files);
    strictEqual(await refusals(program), 0, "nobody is blamed for a connection that broke");
  },
);

Deno.test(
  "a file that is larger than its holder said comes all the same, through the disk",
  SANITIZED,
  async () => {
    const files = [...smallFiles(20), randomFile("large.bin", "hawk", 3_000_000)];
    await using scene = await listed(
      files.map((file) => ({ ...file })),
      (socket, wanted) => {
        for (const file of wanted) sendRaw(socket, file);
      },
    );
    await allHeld(scene.program, files);
  },
);

Deno.test(
  "one request for several files is answered by one stream, which says what is not here",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const contents = [randomBytes(300_000), randomBytes(5), randomBytes(1)];
    await using program = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    for (const [i, content] of contents.entries()) {
      await folder.write(`storage_kashifm/file ${i}.bin`, content);
    }
    const ids: string[] = [];
    for (const i of contents.keys()) ids.push((await named(program, `file ${i}.bin`)).file_id);
    using raw = await Raw.open(program);
    const answers = new Answers(raw);
    const more = [ids[1], "ab".repeat(32), ids[2], ids[0]];
    for (let times = 0; times < 2; times++) {
      raw.send({ type: "GET_FILE", file_id: ids[0]!, ext: { v: 1, raw: [0, TO_THE_END], more } });
      for (const content of [contents[0]!, contents[1]!, undefined, contents[2]!, contents[0]!]) {
        const got = await answers.next();
        const range = (got.header.ext as Message).raw;
        deepStrictEqual(range, content ? [0, content.length, content.length] : []);
        ok(got.content === latin1(content ?? new Uint8Array()));
      }
    }
    ok(!raw.ended && !raw.isClosed, "the connection stays open");
  },
);

/** Sends the bytes that were asked for, and closes in the middle if they are cut at a position. */
function sendAsked(
  socket: net.Socket,
  file: ForeignFile,
  request: Record<string, unknown>,
  until = Infinity,
): void {
  const { length: total } = file.content;
  const [offset, asked] = (request.ext as Message).raw as [number, number];
  const length = Math.min(asked, total - offset);
  const end = Math.min(offset + length, until);
  const part = { ...file, content: file.content.subarray(offset, end) };
  sendRaw(socket, part, [offset, length, total]);
  if (end < offset + length) socket.end();
}

/** Where the bytes that a request asks for begin, or "hex". */
const offsetOf = (request: Record<string, unknown>) =>
  (request.ext as { raw?: number[] }).raw?.[0] ?? "hex";

/** A program that fetches everything, and a source that has just announced one file of this size to it. */
async function announced(
  sizeBytes: number,
  answer: (socket: net.Socket, request: Record<string, unknown>, file: ForeignFile) => void,
) {
  await using made = new AsyncDisposableStack();
  const folder = made.use(await Folder.make());
  const program = made.use(await Program.peer("kashifm", EAGER, { cwd: folder.path }));
  const file = randomFile("large.bin", "hawk", sizeBytes);
  const source = made.use(new RawSource((socket, request) => answer(socket, request, file)));
  await source.join(program);
  await source.announce(program, file);
  const kept = made.move();
  return { program, file, source, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

Deno.test(
  "a download that was cut off continues where it stopped, and says so",
  SANITIZED,
  async () => {
    await using scene = await announced(4_000_000, (socket, request, file) => {
      sendAsked(socket, file, request, offsetOf(request) === 0 ? 2_500_000 : undefined);
    });
    const { program, source, file } = scene;
    await program.holds(file.fileId, 30_000); // it is retried after 5 s
    deepStrictEqual(source.asked.map(({ request }) => offsetOf(request)), [0, 2_500_000]);
    const { transfers } = await program.api<{ transfers: { resumed_bytes: number }[] }>(
      "transfers",
    );
    deepStrictEqual(transfers.map(({ resumed_bytes: bytes }) => bytes), [0, 2_500_000]);
  },
);

Deno.test(
  "a beginning that was wrong is thrown away, and whoever sent the rest is not blamed",
  SANITIZED,
  async () => {
    let isCut = false;
    await using scene = await announced(4_000_000, (socket, request, file) => {
      const isFirst = !isCut;
      isCut = true;
      const wrong = { ...file, content: randomBytes(4_000_000) };
      if (isFirst) sendAsked(socket, wrong, request, 2_500_000);
      else sendAsked(socket, file, request);
    });
    const { program, source, file } = scene;
    await program.holds(file.fileId, 30_000);
    deepStrictEqual(source.asked.map(({ request }) => offsetOf(request)), [0, 2_500_000, 0]);
    strictEqual(await refusals(program), 0);
  },
);

Deno.test(
  "a source that answers in hex after a beginning sends all of it, which replaces the beginning",
  SANITIZED,
  async () => {
    await using scene = await announced(3_000_000, (socket, request, file) => {
      if (offsetOf(request) === 0) sendAsked(socket, file, request, 2_500_000);
      else socket.end(JSON.stringify(dataOf(file)));
    });
    const { program, source, file } = scene;
    await program.holds(file.fileId, 30_000);
    deepStrictEqual(source.asked.map(({ request }) => offsetOf(request)), [0, 2_500_000, "hex"]);
  },
);

Deno.test(
  "a beginning outlives sources that do not have the file, or cannot be reached",
  SANITIZED,
  async () => {
    let isAbsent = false;
    await using scene = await announced(4_000_000, (socket, request, file) => {
      if (isAbsent) {
        return socket.end(JSON.stringify({ type: "FILE_DATA", file_id: null, data: null }));
      }
      sendAsked(socket, file, request, offsetOf(request) === 0 ? 2_500_000 : undefined);
    });
    const { program, source, file } = scene;
    const failures = async () => {
      const { transfers } = await program.api<{ transfers: { state: string }[] }>("transfers");
      return transfers.filter(({ state }) => state === "failed").length;
    };
    await program.until("the cut", async () => await failures() === 1);
    await source.leave();
    await program.until(
      "the attempt that reached nobody",
      async () => await failures() === 2,
      30_000,
    );
    isAbsent = true;
    await source.join(program);
    await source.announce(program, file);
    await program.until("the answer that it is absent", async () => await failures() === 3, 30_000);
    isAbsent = false;
    await source.announce(program, file);
    await program.holds(file.fileId, 60_000);
    const offsets = source.asked.map(({ request }) => offsetOf(request));
    deepStrictEqual(offsets, [0, 2_500_000, 0, 2_500_000]);
  },
);

Deno.test("a download continues after SIGKILL", SANITIZED, async () => {
  await using folder = await Folder.make();
  const file = randomFile("large.bin", "hawk", 4_000_000);
  await using source = new RawSource((socket, request) => {
    if (offsetOf(request) !== 0) return sendAsked(socket, file, request);
    // Most of it, and then nothing until the process is gone.
    const { length: total } = file.content;
    sendRaw(socket, { ...file, content: file.content.subarray(0, 3_000_000) }, [0, total, total]);
  });
  {
    await using program = await Program.peer("kashifm", EAGER, { cwd: folder.path });
    await source.join(program);
    await source.announce(program, file);
    await program.until("most of it", async () => {
      const { transfers } = await program.api<{ transfers: { done_bytes: number }[] }>("transfers");
      return transfers.some(({ done_bytes: bytes }) => bytes === 3_000_000);
    });
    await program.stop("SIGKILL");
  }
  await using program = await Program.peer("kashifm", EAGER, { cwd: folder.path });
  await source.join(program);
  await source.announce(program, file);
  await program.holds(file.fileId);
  const offset = offsetOf(source.asked.at(-1)!.request);
  ok(typeof offset === "number" && offset >= 3_000_000 - 256 * 1024, `${offset}`);
});
