// One file from several sources: who is asked to help, and what becomes of those that fail.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../../protocol/effects.ts";
import { MAX_SOURCES } from "../../../protocol/limits.ts";
import { RAW } from "../../../protocol/wire/capabilities.ts";
import { events, fileOfNumber, idOf, Machine, newPeer, oldPeer, only } from "../machine.ts";

const LARGE = fileOfNumber(1, { sizeBytes: 1024 ** 3 });
const fileId = idOf(1);

function join(machine: Machine, n: number): Effect[] {
  const who = newPeer(`p${n}`, n);
  const ext = { v: 1, node: "A".repeat(43), can: [RAW] };
  return machine.message(
    {
      type: "GOSSIP_REPLY",
      peerId: who.peerId,
      host: who.host,
      port: who.port,
      files: [LARGE],
      ext,
    },
    who.ip,
  );
}

/** A peer that fetches a large file from one of several sources, whose first answer came. */
function fetching(sources: number) {
  const machine = new Machine({});
  for (let n = 1; n <= sources; n++) join(machine, n);
  const [fetch] = only(machine.do({ kind: "want", fileId }), "fetch");
  const { attempt, source } = fetch!;
  const effects = machine.do({ kind: "more-sources", fileId, attempt });
  return { machine, attempt, source, effects };
}

const helpers = (effects: readonly Effect[]) =>
  only(effects, "fetch-also").map(({ source }) => source);

Deno.test("once more sources are wanted, others that can send raw content help, up to a limit", () => {
  const { effects, source, attempt } = fetching(MAX_SOURCES + 3);
  const asked = helpers(effects);
  strictEqual(asked.length, MAX_SOURCES - 1);
  strictEqual(new Set([...asked, source]).size, MAX_SOURCES, "each once");
  ok(only(effects, "fetch-also").every((effect) => effect.attempt === attempt));
  const { machine, effects: none } = fetching(1);
  deepStrictEqual(helpers(none), []);
  machine.reply(oldPeer("old", 50), [LARGE]);
  deepStrictEqual(helpers(machine.announce(oldPeer("older", 51), LARGE)), [], "only in hex");
});

Deno.test("a peer that comes to hold the file helps at once", () => {
  const { machine } = fetching(2);
  deepStrictEqual(helpers(join(machine, 9)), ["p9"]);
  deepStrictEqual(helpers(join(machine, 9)), [], "only once");
});

Deno.test("a source that fails while others deliver is replaced, and bears the consequences", () => {
  const { machine, attempt, effects } = fetching(MAX_SOURCES + 1);
  const failing = helpers(effects)[0]!;
  const fail = (failure: "mismatch" | "cut-short", source: string) =>
    machine.do({ kind: "source-failed", fileId, attempt, source, failure, text: "failed" });
  const after = fail("mismatch", failing);
  strictEqual(helpers(after).length, 1);
  strictEqual(events(after, "attempt-failed").length, 1);
  strictEqual(events(after, "refused").length, 1);
  ok(!machine.peer.catalogue.get(fileId)!.holders.has(failing));
  const last = fail("cut-short", helpers(after)[0]!);
  deepStrictEqual([helpers(last).length, events(last, "refused").length], [0, 0]);
  strictEqual(machine.peer.pendingDownloads, 1, "the others go on");
});

Deno.test("reports about an attempt that is over change nothing", () => {
  const { machine, attempt, source } = fetching(3);
  machine.do({ kind: "cancel", fileId });
  deepStrictEqual(machine.do({ kind: "more-sources", fileId, attempt }), []);
  const late = { kind: "source-failed", fileId, attempt, source, failure: "mismatch" } as const;
  deepStrictEqual(machine.do({ ...late, text: "failed" }), []);
});
