// Streams of real messages, damaged: cut, joined, nested, re-typed, re-encoded. However their bytes arrive, the scanner
// and the decoder throw only ProtocolError, and the peer throws nothing and keeps its invariants.
// P2P_FUZZ_RUNS sets the number of cases. A failure names the number of its case ("Counterexample"), and
// P2P_FUZZ_CASE=NUMBER with P2P_FUZZ_RUNS=1 runs it again.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import type { Effect } from "../../../protocol/effects.ts";
import { ProtocolError } from "../../../protocol/wire/errors.ts";
import { FileDataDecoder } from "../../../protocol/wire/filedata.ts";
import { isBindingTimestamp } from "../../../protocol/wire/fileid.ts";
import { FrameScanner } from "../../../protocol/wire/frame.ts";
import { DEFAULT_LIMITS } from "../../../protocol/limits.ts";
import { decodeMessage, type Message, peekEnvelope } from "../../../protocol/wire/message.ts";
import { Random } from "../../sim/random.ts";
import {
  fileOfNumber,
  files,
  heldOf,
  idOf,
  Machine,
  newPeer,
  oldPeer,
  only,
  readBack,
  sent,
} from "../machine.ts";
import { bytesOf, oneByOne, SAMPLES, textOf } from "./stream.ts";

const RUNS = Number(Deno.env.get("P2P_FUZZ_RUNS") ?? 10_000);
/** The number of one case, as a failure names it: only that one is run. */
const CASE = Deno.env.get("P2P_FUZZ_CASE");
/** Number of cases in one property, so that a million of them need no more memory than these. */
const RUNS_AT_ONCE = 10_000;

/** JSON texts to put in unexpected places. */
const ODD = [
  ...[
    "null",
    "true",
    "0",
    "-0",
    "1e999",
    "-1e-999",
    "9007199254740993",
    "1744169352.0",
    "1".repeat(400),
  ],
  ...[
    '""',
    '"null"',
    '"__proto__"',
    '"\\ud800"',
    '"\\u0000"',
    '"../../etc/passwd"',
    '"}"',
    '"\\u001b[2J"',
  ],
  ...[
    "[]",
    "{}",
    "[[[[[[[]]]]]]]",
    '{"text":""}',
    '{"text":"1","quoted":true}',
    '{"__proto__":{"x":1}}',
    '[1,1,"r"]',
  ],
  ...[
    '{"v":1,"want":["me","x"],"part":[1,2,"r"]}',
    `"${"x".repeat(300)}"`,
    `"${idOf(1)}"`,
    '"me"',
    '"10.9.9.9"',
    "5000",
    "65536",
  ],
];

/** Messages that mean something to the peer below. */
const RELEVANT = [
  '{"type":"GOSSIP","host":"10.0.0.1","port":6000,"id":"f1","peerId":"a"}',
  '{"type":"GOSSIP","host":"10.0.0.66","port":6000,"id":"f2","peerId":"b","ext":{"v":1,"boot":"z","want":["me","x"]}}',
  ...[1, 2, 50].map((n) =>
    `{"type":"GOSSIP_REPLY","host":"10.0.0.2","port":6000,"peerId":"b","files":[{"file_name":"x","file_size":1,` +
    `"file_id":"${
      idOf(n)
    }","file_owner":"owner","file_timestamp":1744170562}],"ext":{"v":1,"part":[1,${
      n % 3 + 1
    },"r"]}}`
  ),
  `{"type":"DELETE","from":"owner","file_id":"${idOf(1)}"}`,
  `{"type":"GET_FILE","file_id":"${idOf(2)}"}`,
];
const CORPUS = [...Object.values(SAMPLES), ...RELEVANT, ...RELEVANT];

const value = /:\s*("(?:[^"\\]|\\.)*"|-?[\d.eE+-]+|null|true|false|\[\]|\{\})/g;

/** Returns one message, changed in one way or left as it is. */
function damage(text: string, random: Random): string {
  const at = random.below(text.length + 1);
  const values = [...text.matchAll(value)];
  const replace = (by: (old: string) => string) => {
    if (values.length === 0) return text;
    const { 1: old, index, 0: all } = random.pick(values);
    const start = index + all.length - old!.length;
    return text.slice(0, start) + by(old!) + text.slice(start + old!.length);
  };
  switch (random.below(15)) {
    case 0:
      return text.slice(0, at); // cut
    case 1:
      return text.slice(0, at) + text.slice(Math.min(text.length, at + 1 + random.below(6)));
    case 2:
      return replace(() => random.pick(ODD)); // re-typed
    case 3:
      return replace(() => random.pick(CORPUS)); // nested
    case 4:
      return replace((old) => `[${old}]`);
    case 5:
      return text.replace(/[A-Za-z]/g, (letter) =>
        // re-encoded
        random.chance(0.2) ? `\\u00${letter.charCodeAt(0).toString(16)}` : letter);
    case 6:
      return text.replace(/([{,:])/g, (sign) => sign + random.pick(["", " ", "\n", "\t\r"]));
    case 7:
      return text.replace(
        "{",
        () => `{${random.pick(random.pick(CORPUS).slice(1, -1).split(/,(?=")/))},`,
      ); // a key twice
    case 8:
      return text.replace(
        /"type"\s*:\s*"\w+"/,
        `"type":"${
          random.pick([
            "GOSSIP",
            "GOSSIP_REPLY",
            "GET_FILE",
            "FILE_DATA",
            "ANNOUNCE",
            "DELETE",
            "X",
          ])
        }"`,
      );
    case 9:
      return text.slice(0, at) + random.pick(CORPUS) + text.slice(at); // one inside another
    case 10:
      return `{"ext":${text},${text.slice(1)}`;
    case 11:
      return text.slice(0, at) +
        random.pick(["\ufeff", "\0", "\ud800", '"', "}", "{", "[", "]", ",", "\\", "é"]) +
        text.slice(at);
    default:
      return text;
  }
}

/** Returns some messages, damaged, joined, and sometimes with one byte replaced. */
function stream(random: Random): Uint8Array {
  const count = 1 + random.below(5);
  const texts = Array.from({ length: count }, () => {
    let text = random.pick(CORPUS);
    for (let i = random.below(3); i > 0; i--) text = damage(text, random);
    return text.slice(0, 20_000);
  });
  const bytes = bytesOf(texts.join(random.pick(["", "", "\n", " "])));
  if (bytes.length > 0 && random.chance(0.3)) bytes[random.below(bytes.length)] = random.below(256);
  return bytes;
}

/** Returns what the edge feeds to the peer for these bytes: messages, contents, refusals. */
function receive(pieces: Iterable<Uint8Array>): (Message | string)[] {
  const got: (Message | string)[] = [];
  const refused = (error: unknown) => {
    if (!(error instanceof ProtocolError)) throw error;
    got.push(`refused: ${error.reason}`);
  };
  let content: FileDataDecoder | undefined;
  const scanner = new FrameScanner({
    dataStart(envelope) {
      got.push(`content: ${JSON.stringify(peekEnvelope(envelope))}`);
      content = new FileDataDecoder({ write: () => {} });
    },
    data: (piece) => content!.write(piece),
    dataEnd: () => void got.push(`is content: ${content!.end()}`),
    message(bytes, streamed) {
      try {
        got.push(decodeMessage(bytes, streamed).message);
      } catch (error) {
        refused(error);
      }
    },
  }, DEFAULT_LIMITS);
  try {
    for (const piece of pieces) scanner.feed(piece);
  } catch (error) {
    refused(error);
  }
  return got;
}

/** Feeds everything to the peer while the network reacts at random to its effects; returns all effects as text. */
function live(machine: Machine, got: readonly (Message | string)[], random: Random): string {
  const ips = ["10.0.0.1", "10.0.0.2", "10.6.6.6", "127.0.0.1", "::1"];
  const all: string[] = [];
  const check = (effects: Effect[]) => {
    all.push(JSON.stringify(effects, (key, part) => key === "bytes" ? textOf(part) : part));
    for (const { name, size, max } of machine.peer.sizes) {
      ok(size() <= max(), `${size()} of "${name}", of which there may be ${max()}`);
    }
    for (const { bytes } of only(effects, "send")) {
      strictEqual(readBack(bytes).length, 1, "what is sent is one whole message");
      ok(bytes.every((byte) => byte >= 0x20 && byte < 0x7f), "in ASCII");
    }
    for (const { to, peerId, ticket, what } of only(effects, "send")) {
      const about = { to, ...(peerId ? { peerId } : {}), ...(ticket ? { ticket } : {}) };
      if (random.chance(0.3)) machine.do({ kind: "unreachable", ...about, what, text: "" });
      else if (random.chance(0.2)) machine.do({ kind: "unsent", ...about, what, text: "" });
      else if (random.chance(0.5)) machine.do({ kind: "sent", ...about, ip: random.pick(ips) });
    }
    for (const { file, source } of only(effects, "fetch")) {
      if (random.chance(0.5)) {
        machine.failFetch(file.fileId, source, "absent");
      } else machine.keep(machine.arrive(file, { source }));
    }
  };
  for (const item of got) {
    machine.nowMs += random.below(5_000);
    if (typeof item === "string") {
      check(machine.do({ kind: "refused", ip: random.pick(ips), reason: "not-json", text: item }));
    } else {
      check(machine.message(item, random.pick(ips)));
      if (item.type === "FILE_DATA" && item.file && isBindingTimestamp(item.file.timestamp)) {
        check(
          machine.do({
            kind: "arrived",
            receipt: 1,
            held: heldOf(item.file),
            ip: random.pick(ips),
          }),
        );
      }
    }
    check(machine.do({ kind: "tick" }));
  }
  return all.join("\n");
}

/** Returns a peer in a small network, with something to lose. */
function settled(seed: number): Machine {
  const machine = new Machine({
    seed,
    autoFetch: Infinity,
    bootstraps: [{ host: "10.0.0.2", port: 6000 }],
  });
  machine.hold(files(2));
  machine.start();
  machine.meet(oldPeer("a", 1), newPeer("b", 2), newPeer("owner", 3));
  machine.reply(newPeer("b", 2), [fileOfNumber(1), fileOfNumber(50)]);
  return machine;
}

/** Runs this many cases and adds what happened in them to `seen`. */
function fuzz(runs: number, seen: Set<string>): void {
  fc.assert(
    fc.property(CASE === undefined ? fc.nat() : fc.constant(Number(CASE)), (number) => {
      const random = new Random(number);
      const bytes = stream(random);
      const whole = receive([bytes]);
      deepStrictEqual(receive(oneByOne(bytes)), whole);
      for (const item of whole) seen.add(typeof item === "string" ? item.slice(0, 40) : item.type);

      const machine = settled(number);
      const effects = live(machine, whole, random);
      if (number % 8 === 0) {
        const again = new Random(number);
        stream(again); // draws the same random numbers as for the bytes
        strictEqual(live(settled(number), whole, again), effects, "the same again");
      }

      machine.nowMs += 60_000;
      const honest = machine.gossip(newPeer("honest", 77), { id: `honest ${number}` });
      strictEqual(sent(honest, "GOSSIP_REPLY").length, 1, "the next honest gossip is answered");
      deepStrictEqual([({} as Record<string, unknown>).x, Object.keys(Object.prototype)], [
        undefined,
        [],
      ]);
    }),
    { numRuns: runs },
  );
}

Deno.test(`${RUNS} damaged streams give the same result whole and byte by byte, and do no harm`, () => {
  const seen = new Set<string>();
  for (let left = RUNS; left > 0; left -= RUNS_AT_ONCE) fuzz(Math.min(left, RUNS_AT_ONCE), seen);
  // Most of what can happen must have happened; otherwise the damage is of the wrong kind.
  if (RUNS < 1_000) return;
  for (const type of ["GOSSIP", "GOSSIP_REPLY", "GET_FILE", "FILE_DATA", "ANNOUNCE", "DELETE"]) {
    ok(seen.has(type), type);
  }
  for (
    const reason of [
      "not-json",
      "not-utf8",
      "bad-field",
      "bad-hex",
      "unknown-type",
      "too-deep",
      "announced-nothing",
    ]
  ) {
    ok(seen.has(`refused: ${reason}`), reason);
  }
});
