// A source that sends bad data is avoided for a while, and nobody can incriminate somebody else.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../../protocol/effects.ts";
import {
  FIRST_PAUSE_MS,
  LAST_PAUSE_MS,
  MAX_OFFENDERS,
  OFFENCE_DECAY_MS,
} from "../../../protocol/limits.ts";
import { Reputation } from "../../../protocol/members/reputation.ts";
import {
  events,
  fileOfNumber,
  files,
  idOf,
  Machine,
  newPeer,
  oldPeer,
  only,
  receivers,
  type Who,
} from "../machine.ts";

const LIE = "sent bytes that do not match";

/** Returns the pauses for several offenses in a row, each right after the pause before it. */
function pauses(count: number): number[] {
  const reputation = new Reputation();
  let nowMs = 0;
  return Array.from({ length: count }, () => {
    reputation.offended("place", LIE, nowMs);
    const leftMs = reputation.pause("place", nowMs)?.leftMs ?? 0;
    nowMs += leftMs;
    return leftMs;
  });
}

Deno.test("the first bad response costs an attempt, the next ones pauses that double up to ten minutes", () => {
  const first = FIRST_PAUSE_MS;
  deepStrictEqual(pauses(8), [
    0,
    first,
    2 * first,
    4 * first,
    8 * first,
    16 * first,
    LAST_PAUSE_MS,
    LAST_PAUSE_MS,
  ]);
  strictEqual(pauses(1_000).at(-1), LAST_PAUSE_MS);
});

Deno.test("one good delivery clears everything, and time halves the count", () => {
  const reputation = new Reputation();
  for (let i = 0; i < 2; i++) reputation.offended("place", LIE, 0);
  reputation.served("place");
  reputation.offended("place", LIE, 0);
  strictEqual(reputation.pause("place", 0), undefined);

  let nowMs = 0;
  for (let i = 0; i < 4; i++) {
    reputation.offended("place", LIE, nowMs);
    nowMs += reputation.pause("place", nowMs)?.leftMs ?? 0;
  }
  nowMs += OFFENCE_DECAY_MS; // two of five offenses are left
  reputation.offended("place", LIE, nowMs);
  strictEqual(reputation.pause("place", nowMs)!.offences, 3);
  nowMs += reputation.pause("place", nowMs)!.leftMs + 10 * OFFENCE_DECAY_MS;
  reputation.offended("place", LIE, nowMs);
  strictEqual(reputation.pause("place", nowMs), undefined, "as after a first offense");
});

Deno.test("transfers in progress when a pause began do not make it longer", () => {
  const reputation = new Reputation();
  for (let i = 0; i < 5; i++) reputation.offended("place", LIE, 0);
  deepStrictEqual(reputation.pause("place", 0), { leftMs: FIRST_PAUSE_MS, offences: 2, text: LIE });
});

Deno.test("the number of offenders remembered is bounded", () => {
  const reputation = new Reputation();
  for (let i = 0; i < 2 * MAX_OFFENDERS; i++) reputation.offended(`place ${i}`, LIE, i);
  strictEqual(reputation.size, MAX_OFFENDERS);
});

/** Every peer holds every file; nothing is fetched automatically. */
function network(...whos: Who[]): Machine {
  const machine = new Machine();
  machine.start();
  machine.meet(...whos);
  for (const who of whos) machine.reply(who, files(9));
  return machine;
}

const liar = oldPeer("liar", 1);
const honest = oldPeer("honest", 2);

/** Requests one file after another until the source is asked, and lets it fail in this way. */
function failBy(
  machine: Machine,
  source: string,
  n: number,
  failure: "mismatch" | "garbage" | "cut-short" | "absent",
) {
  machine.do({ kind: "want", fileId: idOf(n) });
  const effects: Effect[] = [];
  for (let tries = 0; tries < 3 && machine.peer.pendingDownloads > 0; tries++) {
    for (const peerId of ["liar", "honest"]) {
      effects.push(
        ...machine.failFetch(idOf(n), peerId, peerId === source ? failure : "cut-short", LIE),
      );
    }
  }
  return effects;
}

Deno.test("after two bad responses a peer gets no gossip, pushes or requests, and the reason is reported", () => {
  const machine = network(liar, honest);
  failBy(machine, "liar", 1, "mismatch");
  const [told] = events(failBy(machine, "liar", 2, "garbage"), "backed-off");
  deepStrictEqual([told?.peerId, told?.offences, told?.text], ["liar", 2, LIE]);

  machine.nowMs += 1_000;
  const forwards = receivers(machine.gossip(newPeer("new", 3)), "GOSSIP");
  ok(forwards.includes("honest") && !forwards.includes("liar"), `${forwards}`);
  const fetches = only(machine.do({ kind: "want", fileId: idOf(3) }), "fetch");
  deepStrictEqual(fetches.map(({ source }) => source), ["honest"]);
  for (let i = 20; i < 30; i++) {
    const copies = only(machine.hold([fileOfNumber(i)], "published"), "replicate");
    ok(copies.every(({ peerId }) => peerId !== "liar"), "it gets no copies");
  }
});

Deno.test("an avoided peer is still answered, and may be asked again when its time is over", () => {
  const machine = network(liar, honest);
  for (const n of [1, 2]) failBy(machine, "liar", n, "mismatch");
  machine.nowMs += 1_000;
  deepStrictEqual(receivers(machine.gossip(liar), "GOSSIP_REPLY"), ["liar"]);
  machine.nowMs += FIRST_PAUSE_MS;
  machine.gossip(liar);
  const round = receivers(machine.wait(35_000), "GOSSIP");
  ok(round.includes("liar"), `${round}`);
});

Deno.test("a file that a person requested is asked of an avoided peer if nobody else holds it", () => {
  const machine = network(liar);
  for (const n of [1, 2]) failBy(machine, "liar", n, "mismatch");
  const fetches = only(machine.do({ kind: "want", fileId: idOf(3) }), "fetch");
  deepStrictEqual(fetches.map(({ source }) => source), ["liar"]);
});

Deno.test("auto-fetch skips an avoided peer, and reports why nothing was fetched", () => {
  const machine = new Machine({
    autoFetch: Infinity,
    bootstraps: [{ host: "10.0.0.1", port: 6000 }],
  });
  machine.start();
  machine.meet(liar);
  const effects = machine.reply(liar, files(9));
  effects.push(...machine.wait(1_000, 250));
  const failed = new Set<string>();
  for (let i = 0; i < 20; i++) {
    const past = effects.splice(0);
    for (const { text } of events(past, "download-failed")) failed.add(text);
    for (const { file, source } of only(past, "fetch")) {
      const { fileId } = file;
      effects.push(
        ...machine.failFetch(fileId, source, "mismatch", LIE),
      );
    }
  }
  ok(failed.has(`liar is avoided for a while: it ${LIE}`), [...failed].join());
});

Deno.test("being slow, cut short, absent or away is not an offense", () => {
  const machine = network(liar, honest);
  for (const [i, failure] of (["cut-short", "absent", "cut-short", "absent"] as const).entries()) {
    deepStrictEqual(events(failBy(machine, "liar", i + 1, failure), "backed-off"), []);
  }
});

Deno.test("invalid data counts only on a connection that we opened", () => {
  const machine = network(liar, honest);
  const rubbish = (dialed?: string) =>
    machine.do({
      kind: "refused",
      ip: "10.0.0.1",
      reason: "not-json",
      text: "Message is not JSON",
      ...(dialed === undefined ? {} : { dialed }),
    });
  for (let i = 0; i < 100; i++) deepStrictEqual(events(rubbish(), "backed-off"), []);
  rubbish("liar");
  strictEqual(events(rubbish("liar"), "backed-off").length, 1);
  strictEqual(events(rubbish("liar"), "backed-off").length, 0, "it is reported once");
  strictEqual(machine.membership.get("liar")!.refusals, 103, "its row counts them all");
});

Deno.test("what others say about a peer's files never gets it avoided", () => {
  const machine = network(honest);
  const stranger = { ...oldPeer("stranger", 7), peerId: "honest" };
  for (let n = 100; n < 200; n++) {
    const effects = machine.announce(stranger, fileOfNumber(n));
    effects.push(...machine.do({ kind: "want", fileId: idOf(n) }));
    for (const { file, source } of only(effects, "fetch")) {
      const { fileId } = file;
      // It never had them, and says so.
      machine.failFetch(fileId, source, "absent", "does not have it");
    }
  }
  strictEqual(machine.remembered("offenders"), 0);
});
