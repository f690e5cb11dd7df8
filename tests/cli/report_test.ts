// Events as log lines: each is reported once, on one line, without anything that a terminal would interpret.

import assert from "node:assert/strict";
import { count, type Line, type MovedContent, Reporter } from "../../cli/report.ts";
import type { NodeEvent } from "../../protocol/effects.ts";
import type { FileRecord } from "../../protocol/wire/message.ts";

const EVIL = "evil\u001b[2J\u0007\r\n\u202e\u009b31m";
const SHOWN = "evil\\u{1b}[2J\\u{7}\\u{d}\\u{a}\\u{202e}\\u{9b}31m";

const address = { host: "10.0.0.7", port: 8115 };
const other = { host: "::1", port: 8116 };
const fileOf = (name: string): FileRecord => ({
  fileId: "a".repeat(64),
  name,
  owner: name,
  timestamp: { text: "1744169352", quoted: false },
  size: 1,
});

/** One of each event, with `name` as the text that comes from other peers. */
function events(name: string): NodeEvent[] {
  const file = fileOf(name);
  const evil = name === EVIL ? { host: EVIL, port: 1 } : address;
  return [
    { name: "synchronized", afterMs: 123.4, peers: 1, files: 2 },
    { name: "downloaded", file, source: name },
    { name: "auto-fetch-complete", fetched: 1, failed: 2, pending: 0, reason: "done" },
    { name: "alone", isTrying: true },
    { name: "bootstrap-silent", address: evil, text: `${name} does not answer` },
    { name: "request", ip: "10.0.0.8", text: `GET_FILE ${name}` },
    { name: "sent", what: "GOSSIP", to: evil, peerId: name },
    { name: "login", ip: name },
    { name: "send-failed", what: "GOSSIP", text: name },
    { name: "peer-joined", peerId: name, address: evil },
    { name: "peer-left", peerId: name, address: evil, lastHeardMs: 0 },
    { name: "peer-moved", peerId: name, address: evil, other },
    { name: "peer-conflict", peerId: name, address: evil, other },
    { name: "own-address", address: evil, other, peers: 2 },
    { name: "attempt-failed", fileId: "a", fileName: name, source: name, text: name },
    { name: "attempt-failed", fileId: "a", fileName: name, text: name },
    {
      name: "download-failed",
      fileId: "a",
      fileName: name,
      text: name,
      why: "wrong",
      willRetry: true,
    },
    { name: "held", file, how: "found" },
    { name: "lost", file },
    { name: "deleted", file, by: "owner" },
    { name: "deleted", file, by: "us" },
    { name: "deleted", file, by: "us-here-only" },
    { name: "many-deleted", owner: name, files: 3 },
    { name: "deletions-spread", files: 9, told: 2, left: 1, slow: 1, slowMs: 60_000 },
    { name: "replicated", file, peerId: name },
    { name: "overload", overload: "copies-not-offered", times: 3 },
    { name: "refused", who: name, reason: "not-json", text: name },
    { name: "passed-over", text: name },
    { name: "indexed", files: 3, bytes: 4_000, seconds: 0.25, longestBlockMs: 12.4 },
    { name: "trouble", text: name },
  ];
}

const one = (event: NodeEvent): Line[] => new Reporter(() => 0).lines(event);
const texts = (event: NodeEvent): string[] => one(event).map(({ text }) => text);

Deno.test("each event gives at least one line, without line breaks or placeholders", () => {
  for (const event of events("bob")) {
    const lines = one(event);
    assert.ok(lines.length === (event.name === "downloaded" ? 2 : 1), event.name);
    for (const { text } of lines) {
      assert.ok(text.length > 2 && !text.includes("\n") && !/undefined|\[object/.test(text), text);
    }
  }
});

Deno.test("no control character or text direction mark reaches the terminal", () => {
  for (const event of events(EVIL)) {
    for (const { text } of one(event)) {
      assert.ok(
        !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text),
        `${event.name}: ${JSON.stringify(text)}`,
      );
    }
  }
  assert.ok(texts({ name: "trouble", text: EVIL })[0]?.includes(SHOWN));
});

Deno.test("a long name does not make a long line", () => {
  for (const event of events("x".repeat(100_000))) {
    for (const { text } of one(event)) {
      assert.ok(text.length < 2_100, `${event.name} ${text.length}`);
    }
  }
});

Deno.test("the milestones have the exact words that people wait for, and are plain lines", () => {
  const file = fileOf("test.png");
  const [downloaded] = one({ name: "downloaded", file, source: "kashifm" });
  assert.deepEqual([downloaded?.text, downloaded?.plain], [
    "Successfully downloaded file from kashifm",
    true,
  ]);
  const [synchronized] = one({ name: "synchronized", afterMs: 123.4, peers: 1, files: 2 });
  assert.equal(synchronized?.plain, true);
  assert.match(synchronized!.text, /^Synchronized in 123 ms: 1 peer, 2 files/);
  for (const reason of ["done", "nothing-missing", "no-peers", "off"] as const) {
    const [line] = one({ name: "auto-fetch-complete", fetched: 0, failed: 0, pending: 0, reason });
    assert.equal(line?.plain, true);
    assert.match(line!.text, /^AUTO FETCH PROCESS COMPLETE \(.+\)$/, reason);
  }
  const counted = {
    name: "auto-fetch-complete",
    fetched: 1,
    failed: 2,
    pending: 0,
    reason: "done",
  } as const;
  assert.match(texts(counted)[0]!, /1 file fetched, 2 failed/);
});

Deno.test("what peers say to each other is logged at DEBUG, what a person would want to know at INFO, our own faults at ERROR", () => {
  const levels = Object.fromEntries(
    events("bob").map((event) => [event.name, one(event)[0]!.level]),
  );
  assert.deepEqual(
    [
      levels.request,
      levels.sent,
      levels["send-failed"],
      levels.login,
      levels["peer-joined"],
      levels.refused,
      levels["passed-over"],
      levels.trouble,
    ],
    ["DEBUG", "DEBUG", "DEBUG", "INFO", "INFO", "WARNING", "INFO", "ERROR"],
  );
});

Deno.test("a refusal is a warning once per peer, reason and minute, and otherwise at DEBUG", () => {
  let nowMs = 1_000_000_020_000;
  const reporter = new Reporter(() => nowMs);
  const level = (who: string, reason: "not-json" | "bad-field") =>
    reporter.lines({ name: "refused", who, reason, text: "t" })[0]!.level;
  assert.equal(level("bob", "not-json"), "WARNING");
  for (let i = 0; i < 3; i++) assert.equal(level("bob", "not-json"), "DEBUG");
  assert.equal(level("bob", "bad-field"), "WARNING");
  assert.equal(level("eve", "not-json"), "WARNING");
  assert.equal(level("eve", "not-json"), "DEBUG");
  nowMs += 60_000;
  assert.equal(level("bob", "not-json"), "WARNING");
  assert.equal(level("bob", "not-json"), "DEBUG");
});

Deno.test("ten thousand unknown peers cannot flood the log within a minute", () => {
  const reporter = new Reporter(() => 0);
  let warnings = 0;
  for (let i = 0; i < 10_000; i++) {
    const [line] = reporter.lines({ name: "refused", who: `${i}`, reason: "not-json", text: "t" });
    if (line?.level === "WARNING") warnings++;
  }
  assert.equal(warnings, 4_096);
});

Deno.test("addresses are shown in the form in which they can be typed", () => {
  const moved = { name: "peer-moved", peerId: "bob", address, other } as const;
  assert.match(texts(moved)[0]!, /from \[::1\]:8116 to 10\.0\.0\.7:8115/);
  const own = { name: "own-address", address, other, peers: 1 } as const;
  assert.match(
    texts(own)[0]!,
    /at 10\.0\.0\.7:8115 now, no longer at \[::1\]:8116; telling 1 peer$/,
  );
});

Deno.test("a count of one is in the singular", () => {
  assert.deepEqual([0, 1, 2].map((n) => count(n, "file")), ["0 files", "1 file", "2 files"]);
});

Deno.test("a limit is logged at most once a minute, whoever reaches it, with how often and the option that sets it", () => {
  let nowMs = 1_000_000;
  const reporter = new Reporter(() => nowMs);
  const warnings = (lines: readonly Line[]) =>
    lines.filter(({ level }) => level === "WARNING").map(({ text }) => text);
  const push = (who: string, times: number) =>
    warnings(reporter.lines({ name: "refused", who, reason: "push-rate", text: "t", times }));
  const text = "Pushes refused because there were too many at once";
  assert.deepEqual(push("eve", 1), ["eve: t. --push-rate sets the limit [push-rate]"]);
  for (let i = 0; i < 100; i++) assert.deepEqual(push(`bob ${i}`, 3), []);
  assert.deepEqual(warnings(reporter.due()), []);
  const copies = { name: "overload", overload: "copies-not-offered", times: 1 } as const;
  assert.equal(warnings(reporter.lines(copies)).length, 1, "another limit has its own line");
  nowMs += 60_000;
  assert.deepEqual(warnings(reporter.due()), [
    `${text}: 300. --push-rate sets the limit [push-rate]`,
  ]);
  assert.deepEqual(warnings(reporter.due()), []);
  assert.deepEqual(push("eve", 1), []);
  nowMs += 60_000;
  assert.deepEqual(push("eve", 1), [
    `${text}: 2. The latest: eve: t. --push-rate sets the limit [push-rate]`,
  ]);
});

Deno.test("who else was refused because of a limit is logged at DEBUG", () => {
  const reporter = new Reporter(() => 1e6);
  const event = { name: "refused", reason: "push-quota", text: "Push refused" } as const;
  assert.equal(reporter.lines({ ...event, who: "eve" })[0]!.level, "WARNING");
  assert.deepEqual(reporter.lines({ ...event, who: "bob" }), [
    { level: "DEBUG", text: "bob: Push refused [push-quota]" },
  ]);
});

Deno.test("an announcement to all is one line, and gossip to all is none at INFO", () => {
  const line = (what: "ANNOUNCE" | "DELETE" | "GOSSIP") =>
    one({ name: "broadcast", what, peers: 12 })[0]!;
  assert.deepEqual([line("ANNOUNCE").level, line("ANNOUNCE").text], [
    "INFO",
    "Sending ANNOUNCE to 12 peers",
  ]);
  assert.deepEqual([line("DELETE").level, line("GOSSIP").level], ["INFO", "DEBUG"]);
});

Deno.test("files that moved are logged once: who, what and how much, many at once in one line", () => {
  let nowMs = 0;
  const reporter = new Reporter(() => nowMs);
  const moved = (kind: MovedContent["kind"], peer: string, state = "done", name = "a.bin") =>
    reporter.moved({ kind, name, peer, doneBytes: 1_000_000, state, why: "it left" });
  assert.deepEqual(moved("serve", "bob"), []);
  assert.deepEqual(reporter.due(), []);
  nowMs += 2_000;
  assert.deepEqual(reporter.due().map(({ text }) => text), ["Sent a.bin (1.00 MB) to bob"]);
  for (let i = 0; i < 500; i++) moved("serve", i % 2 === 0 ? "bob" : EVIL);
  moved("download", "10.0.0.9");
  moved("upload", "10.0.0.9", "done", "mine.txt");
  assert.deepEqual(moved("fetch", "bob"), [], "its own event tells");
  nowMs += 2_000;
  const lines = reporter.due();
  assert.deepEqual(lines.map(({ text }) => text), [
    "Sent 250 files (250 MB) to bob",
    `Sent 250 files (250 MB) to ${SHOWN}`,
    "Sent a.bin (1.00 MB) to a browser or script at 10.0.0.9",
    "Received mine.txt (1.00 MB) from a browser or script at 10.0.0.9",
  ]);
  assert.ok(lines.every(({ level }) => level === "INFO"));
  const [broken] = moved("download", "10.0.0.9", "failed");
  assert.equal(broken?.text, "Sending a.bin to 10.0.0.9 ended: it left");
  assert.equal(moved("serve", "bob", "failed")[0]?.level, "DEBUG");
  for (let i = 0; i < 1_000; i++) moved("serve", `peer${i}`);
  nowMs += 2_000;
  assert.ok(reporter.due().length <= 256, "no more is remembered");
});
