// What happens on one connection, over real loopback sockets: messages are received, files requested and sent.

import assert from "node:assert/strict";
import { ProtocolError } from "../../protocol/wire/errors.ts";
import {
  type ContentReader,
  type Host,
  receiveMessages,
  requestFile,
  sendFile,
} from "../../net/exchange.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import type { FileRecord, Message } from "../../protocol/wire/message.ts";
import { Connection } from "../../net/connection.ts";

const limits = { ...DEFAULT_LIMITS, messageTimeoutMs: 200, idleTimeoutMs: 200 };
const ext = { v: 1 };
const file: FileRecord = {
  fileId: "ab".repeat(32),
  name: "x.bin",
  owner: "kashifm",
  timestamp: { text: "1744170562", quoted: false },
  size: 0,
};

/** Both ends of one connection. */
async function pair() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [near, far] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  listener.close();
  const connection = new Connection(near);
  return {
    connection,
    far,
    [Symbol.dispose]() {
      connection.close();
      try {
        far.close();
      } catch {
        // The test closed it.
      }
    },
  };
}

class Collected {
  readonly chunks: Uint8Array[] = [];
  restarts = 0;
  aborted = false;
  write(content: Uint8Array): void {
    this.chunks.push(content.slice());
  }
  restart(): void {
    this.chunks.length = 0;
    this.restarts++;
  }
  abort(): void {
    this.aborted = true;
  }
  get text(): string {
    return new TextDecoder().decode(new Uint8Array(this.chunks.flatMap((chunk) => [...chunk])));
  }
}

function recordingHost() {
  const messages: Message[] = [];
  const refused: ProtocolError[] = [];
  const pushes: { intake: Collected; file: FileRecord }[] = [];
  const intakes: Collected[] = [];
  const host: Host = {
    onMessage: (message) => void messages.push(message),
    onRefused: (error) => void refused.push(error),
    offerPush: () => {
      const intake = new Collected();
      intakes.push(intake);
      return intake;
    },
    onPush: (intake, described) => {
      pushes.push({ intake: intake as Collected, file: described });
      return Promise.resolve();
    },
  };
  return { host, messages, refused, pushes, intakes };
}

const send = async (conn: Deno.Conn, text: string) => {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
};
const get = `{"type":"GET_FILE","file_id":"${file.fileId}"}`;
const described =
  `"file_id":"${file.fileId}","file_name":"x.bin","file_owner":"o","file_timestamp":1744170562,"file_size":1`;

Deno.test("Several messages on one connection count, each as soon as it is complete", async () => {
  using ends = await pair();
  const seen = recordingHost();
  const receiving = receiveMessages(ends.connection, seen.host, limits);
  await send(ends.far, `${get}\n${get}  ${get}`);
  ends.far.close();
  await receiving;
  assert.equal(seen.messages.length, 3);
  assert.deepEqual(seen.refused, []);
});

Deno.test("An invalid message is dropped, garbage ends the connection, and earlier messages count", async () => {
  using ends = await pair();
  const seen = recordingHost();
  const receiving = receiveMessages(ends.connection, seen.host, limits);
  await send(ends.far, `{"type":"HELLO"}${get}rubbish${get}`);
  await receiving;
  assert.equal(seen.messages.length, 1);
  assert.deepEqual(seen.refused.map(({ reason }) => reason), ["unknown-type", "not-json"]);
});

Deno.test("A message that stops in the middle is refused after its deadline; a silent peer is not", async () => {
  using slow = await pair();
  const seen = recordingHost();
  const receiving = receiveMessages(slow.connection, seen.host, limits);
  await send(slow.far, get.slice(0, 20));
  await receiving;
  assert.deepEqual(seen.refused.map(({ reason }) => reason), ["too-slow"]);

  using silent = await pair();
  const unheard = recordingHost();
  await receiveMessages(silent.connection, unheard.host, limits);
  assert.deepEqual(unheard.refused, []);
});

Deno.test("Pushed content arrives wherever the data field is and however the bytes are split", async () => {
  for (
    const text of [
      `{"type":"FILE_DATA",${described},"data":"68656c6c6f"}`,
      `{"data":"68656c6c6f","type":"FILE_DATA",${described}}`,
      `{"type":"FILE_DATA","data":"00ff","data":"68656C6C6F",${described}}`,
    ]
  ) {
    using ends = await pair();
    const seen = recordingHost();
    const receiving = receiveMessages(ends.connection, seen.host, {
      ...limits,
      messageTimeoutMs: 10_000,
    });
    for (const byte of text) await send(ends.far, byte);
    ends.far.close();
    await receiving;
    assert.equal(seen.pushes.length, 1, text);
    assert.equal(seen.pushes[0]!.intake.text, "hello");
    assert.equal(seen.pushes[0]!.file.fileId, file.fileId);
  }
});

Deno.test("Content that is cut short, not hex, undescribed or part of another message is aborted", async () => {
  for (
    const text of [
      `{"type":"FILE_DATA",${described},"data":"6865`,
      `{"type":"FILE_DATA",${described},"data":"686"}`,
      `{"type":"FILE_DATA",${described},"data":"68zz"}`,
      `{"type":"FILE_DATA","data":"6865"}`,
      `{"data":"6865",${get.slice(1)}`,
    ]
  ) {
    using ends = await pair();
    const seen = recordingHost();
    const receiving = receiveMessages(ends.connection, seen.host, limits);
    await send(ends.far, text);
    await ends.far.closeWrite();
    await receiving;
    assert.equal(seen.pushes.length, 0, text);
    assert.deepEqual(seen.intakes.map(({ aborted }) => aborted), [true], text);
  }
});

const reader = (content: Uint8Array): ContentReader & { closed: boolean } => {
  let at = 0;
  return {
    sizeBytes: content.length,
    closed: false,
    readInto(buffer) {
      const piece = content.subarray(at, at + buffer.length);
      buffer.set(piece);
      at += piece.length;
      return piece.length;
    },
    close() {
      this.closed = true;
    },
  };
};

for (const size of [0, 1, 4096, 256 * 1024, 256 * 1024 + 1, 3_000_001]) {
  Deno.test(`A file of ${size} bytes arrives unchanged`, async () => {
    using ends = await pair();
    const content = crypto.getRandomValues(new Uint8Array(Math.min(size, 65_536)));
    const whole = new Uint8Array(size).map((_, i) => content[i % 65_536]!);
    const sink = new Collected();
    const far = new Connection(ends.far as Deno.TcpConn);
    const request = new Uint8Array(1024);
    const [answer] = await Promise.all([
      requestFile(ends.connection, file.fileId, ext, sink, { ...limits, idleTimeoutMs: 10_000 }),
      far.read(request, 10_000).then(() => sendFile(far, file, reader(whole), ext, 10_000)),
    ]);
    far.close();
    assert.equal(answer.outcome, "content");
    let at = 0;
    for (const chunk of sink.chunks) {
      assert.deepEqual(chunk, whole.slice(at, at + chunk.length));
      at += chunk.length;
    }
    assert.equal(at, size);
  });
}

for (
  const [name, answer] of [
    ["all fields null", `{"type":"FILE_DATA","file_name":null,"file_id":null,"data":null}`],
    ["data null", `{"type":"FILE_DATA","file_id":"${file.fileId}","data":null}`],
    ["null as strings", `{"type":"FILE_DATA","file_id":"null","data":"null"}`],
    ["a closed connection", ""],
  ] as const
) {
  Deno.test(`"I do not have it" is understood as ${name}`, async () => {
    using ends = await pair();
    const asking = requestFile(ends.connection, file.fileId, ext, new Collected(), DEFAULT_LIMITS);
    await send(ends.far, answer);
    await ends.far.closeWrite();
    assert.deepEqual(await asking, { outcome: "absent" });
  });
}

for (
  const [reason, answer, ends] of [
    ["cut-short", `{"type":"FILE_DATA",${described},"data":"6865`, true],
    ["bad-hex", `{"type":"FILE_DATA",${described},"data":"xy"}`, false],
    ["not-json", "<html>", false],
    ["too-slow", `{"type":"FILE_DATA",${described},"data":"6865`, false],
  ] as const
) {
  Deno.test(`An answer that is ${reason} fails with that reason`, async () => {
    using both = await pair();
    const patience = reason === "too-slow" ? limits : DEFAULT_LIMITS;
    const asking = requestFile(both.connection, file.fileId, ext, new Collected(), patience);
    asking.catch(() => {}); // on a busy machine, it may fail before it is waited for
    await send(both.far, answer);
    if (ends) both.far.close();
    await assert.rejects(
      asking,
      (error) => error instanceof ProtocolError && error.reason === reason,
    );
  });
}

Deno.test("A file that became shorter is not passed off as complete", async () => {
  using ends = await pair();
  const short = { ...reader(new Uint8Array(10)), sizeBytes: 20 };
  await assert.rejects(sendFile(ends.connection, file, short, ext, 1_000), /shorter/);
  ends.connection.close();
  const buffer = new Uint8Array(4096);
  const read = await ends.far.read(buffer);
  const text = read === null ? "" : new TextDecoder().decode(buffer.subarray(0, read));
  assert.ok(!text.endsWith("}"));
});
