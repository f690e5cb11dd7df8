// Long lists for peers without extensions: bounded per round, our own and the newest first, and everything again within
// the hour, at the pace at which such peers fetch.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../../protocol/effects.ts";
import { LEGACY_CYCLE_MS, LEGACY_PIECE_FILES, LEGACY_ROUND_MS } from "../../../protocol/limits.ts";
import { LegacyLists } from "../../../protocol/members/legacy_lists.ts";
import { PeerState } from "../../../protocol/state.ts";
import {
  configOf,
  fileOfNumber,
  files,
  heldOf,
  idOf,
  Machine,
  oldPeer,
  only,
  type Overrides,
} from "../machine.ts";

const HOUR_MS = 3_600_000;
const old = oldPeer("old", 1);
const own = (count: number, from = 1) =>
  files(count, from).map((file) => ({ ...file, owner: "me" }));

/** Returns the ids that the lists of some effects name, without decoding all of them. */
function listed(effects: readonly Effect[], host = old.host): string[] {
  return only(effects, "send").filter(({ what, to }) => what === "GOSSIP_REPLY" && to.host === host)
    .flatMap(({ bytes }) =>
      new TextDecoder().decode(bytes).match(/(?<="file_id":")[0-9a-f]{64}/g) ?? []
    );
}

/** A peer that is told of files, and what it was told: when each was listed last, and the longest gap. */
class Reader {
  readonly lastMs = new Map<string, number>();
  longestGapMs = 0;
  mostPerRound = 0;
  #round = 0;
  #inRound = 0;

  constructor(readonly machine: Machine, readonly host = old.host) {}

  take = (effects: readonly Effect[]): string[] => {
    const { nowMs } = this.machine;
    const ids = listed(effects, this.host);
    const round = Math.floor(nowMs / LEGACY_ROUND_MS);
    if (round !== this.#round) this.#inRound = 0;
    this.#round = round;
    this.#inRound += ids.length;
    this.mostPerRound = Math.max(this.mostPerRound, this.#inRound);
    for (const fileId of ids) {
      this.longestGapMs = Math.max(this.longestGapMs, nowMs - (this.lastMs.get(fileId) ?? nowMs));
      this.lastMs.set(fileId, nowMs);
    }
    return ids;
  };

  /** Returns how long the file has not been listed that was listed least recently, in milliseconds. */
  get oldestMs(): number {
    return this.machine.nowMs - Math.min(...[...this.lastMs.values()].slice(0, 1e5));
  }
}

/** Lets time pass; the old peer stays, and gossips at an interval, or only once. */
function pass(machine: Machine, reader: Reader, ms: number, gossipMs = Infinity, fetches = false) {
  const until = machine.nowMs + ms;
  let gossips = machine.nowMs;
  let serial = 0;
  const known = new Set<string>();
  const react = (effects: readonly Effect[]) => {
    for (const fileId of reader.take(effects)) {
      if (!fetches || known.has(fileId)) continue;
      known.add(fileId);
      machine.message({ type: "GET_FILE", fileId }, old.ip, ++serial);
      machine.do({ kind: "served", ip: old.ip });
    }
  };
  while (machine.nowMs < until) {
    machine.nowMs += 250;
    react(machine.do({ kind: "tick" }));
    if (machine.nowMs - gossips < gossipMs) continue;
    gossips += gossipMs;
    react(machine.gossip(old));
  }
}

const patient: Overrides = { peerTimeoutMs: 1e9 };

Deno.test("with 100,000 files, each is listed at least once an hour, to peers that fetch and that do not, and gossip or not", () => {
  for (
    const [gossipMs, fetches] of [[Infinity, false], [30_000, false], [Infinity, true]] as const
  ) {
    const machine = new Machine(patient);
    machine.hold(files(100_000));
    const reader = new Reader(machine);
    reader.take(machine.gossip(old));
    pass(machine, reader, HOUR_MS, gossipMs, fetches);
    const how = `gossips every ${gossipMs} ms, fetches: ${fetches}`;
    strictEqual(reader.lastMs.size, 100_000, how);
    pass(machine, reader, HOUR_MS + 1_000, gossipMs, fetches);
    ok(reader.longestGapMs <= HOUR_MS, `${how}: ${reader.longestGapMs} ms between two lists`);
    ok(reader.oldestMs <= HOUR_MS, `${how}: ${reader.oldestMs} ms since the last list`);
    ok(
      reader.mostPerRound <= 1_000 + LEGACY_PIECE_FILES,
      `${how}: ${reader.mostPerRound} in a round`,
    );
  }
});

Deno.test("a short list is told again within the hour as well, in few messages", () => {
  const machine = new Machine(patient);
  machine.hold(files(100));
  const reader = new Reader(machine);
  reader.take(machine.gossip(old));
  let messages = 0;
  const count = reader.take;
  reader.take = (effects) => {
    messages += only(effects, "send").filter(({ what }) => what === "GOSSIP_REPLY").length;
    return count(effects);
  };
  pass(machine, reader, 4 * HOUR_MS);
  strictEqual(reader.lastMs.size, 100);
  ok(reader.longestGapMs > 0 && reader.longestGapMs <= HOUR_MS, `${reader.longestGapMs} ms`);
  ok(messages <= 2 + 2 * 5, `${messages} messages in four hours`);
});

Deno.test("above what fits into the hour, everything is listed in turn, and the limit per round holds", () => {
  const machine = new Machine({ ...patient, limits: { legacyListFiles: 100 } });
  machine.hold(files(20_000));
  const reader = new Reader(machine);
  reader.take(machine.gossip(old));
  const cycleMs = 20_000 / 100 * LEGACY_ROUND_MS; // 100 minutes
  pass(machine, reader, 1.1 * cycleMs);
  strictEqual(reader.lastMs.size, 20_000);
  pass(machine, reader, 1.1 * cycleMs);
  ok(reader.longestGapMs <= 1.1 * cycleMs, `${reader.longestGapMs} ms`);
  ok(reader.mostPerRound <= 200, `${reader.mostPerRound} in a round, which may be two halves`);
});

Deno.test("our own files come first, then those of others, the newest of both first, and new ones before the rest", () => {
  const machine = new Machine({ ...patient, limits: { legacyListFiles: 128 } });
  machine.hold([...files(300), ...own(100, 1_000), ...files(10, 500)]);
  const told = listed(machine.gossip(old));
  const wait = (ms: number) => told.push(...listed(machine.wait(ms, 250)));
  wait(29_000);
  const expected = [
    ...own(100, 1_000).reverse(),
    ...files(10, 500).reverse(),
    ...files(300).reverse(),
  ].map(({ fileId }) => fileId);
  deepStrictEqual(told, expected.slice(0, 128));
  machine.hold([fileOfNumber(2_000), fileOfNumber(2_001)]);
  told.length = 0;
  wait(30_000);
  deepStrictEqual(told.slice(0, 2), [idOf(2_000), idOf(2_001)]);
  deepStrictEqual(told.slice(2, 10), expected.slice(128, 136), "then the rest continues");
});

Deno.test("a peer that gossips again may have lost everything, so it hears of the newest files first", () => {
  const machine = new Machine(patient);
  machine.hold(files(5_000));
  machine.gossip(old);
  machine.wait(HOUR_MS, 250);
  machine.nowMs += 60_000;
  const again = [...listed(machine.gossip(old)), ...listed(machine.wait(20_000, 250))];
  deepStrictEqual(
    again.slice(0, LEGACY_PIECE_FILES / 2),
    files(LEGACY_PIECE_FILES / 2, 5_001 - LEGACY_PIECE_FILES / 2).reverse().map(({ fileId }) =>
      fileId
    ),
  );
});

Deno.test("a peer that restarted and requests all that it is told again never has more open than can be served", () => {
  const machine = new Machine(patient);
  machine.hold(files(900));
  const known = new Set<string>();
  let open = 0;
  let most = 0;
  let serial = 0;
  const take = (effects: readonly Effect[]) => {
    for (const fileId of listed(effects)) {
      if (known.has(fileId)) continue;
      known.add(fileId);
      open++;
      machine.message({ type: "GET_FILE", fileId }, old.ip, ++serial);
    }
    most = Math.max(most, open);
  };
  const serve = (times: number) => {
    for (let i = 0; i < times; i++) {
      take(machine.wait(250, 250));
      for (let n = 0; n < 10 && open > 0; n++, open--) machine.do({ kind: "served", ip: old.ip });
    }
  };
  take(machine.gossip(old));
  serve(2_000);
  strictEqual(known.size, 900);
  known.clear(); // it restarts and gossips
  most = 0;
  take(machine.gossip(old));
  serve(2_000);
  strictEqual(known.size, 900);
  ok(most <= 3 * LEGACY_PIECE_FILES, `${most} requests at once`);
});

Deno.test("files that are no longer held are left out, and what a round costs does not grow with the list", () => {
  const stepsFor = (count: number) => {
    const state = new PeerState(configOf(patient));
    const lists = new LegacyLists(state, { sizeOf: () => 200, send: () => true });
    const { catalogue } = state;
    for (const file of files(count)) catalogue.hold(heldOf(file), 0);
    const { peerId, ip, ...address } = old;
    state.membership.hear(
      { peerId, address, also: [], ip, ext: undefined, isForwardable: true },
      0,
    );
    const record = state.membership.get(peerId)!;
    lists.reply(record);
    for (let n = 1; n <= count / 2; n++) catalogue.release(idOf(n), 0);
    const before = lists.steps;
    for (let ms = 250; ms < 600_000; ms += 250) {
      state.nowMs = ms;
      if (ms % 30_000 === 0) lists.reply(record);
      lists.tick();
    }
    return lists.steps - before;
  };
  const [one, two] = [stepsFor(20_000), stepsFor(40_000)];
  ok(two <= 1.1 * one + 20_000, `${one} steps for 20,000 files, ${two} for twice as many`);
  ok(LEGACY_CYCLE_MS < HOUR_MS);
});

Deno.test("thousands of files that come and go leave no holes behind", () => {
  const machine = new Machine({ ...patient, limits: { maxCatalogueEntries: 1_000 } });
  machine.gossip(old);
  for (let round = 0; round < 200; round++) {
    const some = own(100, 1 + 100 * round);
    machine.hold(some);
    machine.wait(500, 250);
    machine.do({ kind: "lost", fileIds: some.map(({ fileId }) => fileId), why: "missing" });
    machine.wait(500, 250);
    ok(machine.remembered("files for legacy peers") <= 3_000);
  }
  machine.hold(own(3, 900_000));
  deepStrictEqual(
    new Set(listed(machine.wait(120_000, 250))),
    new Set(own(3, 900_000).map(({ fileId }) => fileId)),
  );
});
