// The peer as a whole: the same inputs give the same effects, time only moves forward, and what counts as a sign of life.

import { deepStrictEqual, notDeepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import type { Effect, Input } from "../../protocol/effects.ts";
import type { Message } from "../../protocol/wire/message.ts";
import { describe } from "../../protocol/peer.ts";
import {
  events,
  fileOfNumber,
  files,
  heldOf,
  idOf,
  Machine,
  newPeer,
  oldPeer,
  only,
  refusals,
} from "./machine.ts";

const WHOS = [
  oldPeer("a", 1),
  newPeer("b", 2),
  newPeer("owner", 3),
  oldPeer("c", 1, 6001),
  newPeer("b", 4),
];

/** Returns a random input. */
const input: fc.Arbitrary<Input> = (() => {
  const who = fc.constantFrom(...WHOS);
  const n = fc.integer({ min: 1, max: 12 });
  const file = n.map((n) => fileOfNumber(n));
  const message = fc.oneof(
    fc.tuple(who, fc.nat(40)).map(([{ peerId, host, port, ext }, id]) => ({
      type: "GOSSIP",
      peerId,
      host,
      port,
      id: `${id}`,
      ...(ext ? { ext } : {}),
    })),
    fc.tuple(who, fc.array(file)).map(([{ peerId, host, port, ext }, files]) => ({
      type: "GOSSIP_REPLY",
      peerId,
      host,
      port,
      files,
      ...(ext ? { ext } : {}),
    })),
    n.map((n) => ({ type: "GET_FILE", fileId: idOf(n) })),
    fc.tuple(who, file).map(([{ peerId }, file]) => ({ type: "ANNOUNCE", from: peerId, file })),
    fc.tuple(who, n).map(([{ peerId }, n]) => ({ type: "DELETE", from: peerId, fileId: idOf(n) })),
  ) as fc.Arbitrary<Message>;
  const address = who.map(({ host, port }) => ({ host, port }));
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc.tuple(message, who).map(([message, { ip }]) => ({
        kind: "message",
        message,
        ip,
        connection: 1,
      })),
    },
    { weight: 4, arbitrary: fc.constant({ kind: "tick" }) },
    { weight: 1, arbitrary: fc.constant({ kind: "start" }) },
    fc.tuple(address, who).map(([to, { peerId, ip }]) => ({ kind: "sent", to, peerId, ip })),
    fc.tuple(address, who).map(([to, { peerId }]) => ({
      kind: "unreachable",
      what: "GOSSIP",
      to,
      peerId,
      ticket: { for: "probe", peerId },
      text: "",
    })),
    fc.tuple(n, who).map(([n, { ip }]) => ({
      kind: "push-offered",
      ip,
      connection: 1,
      fileId: idOf(n),
    })),
    fc.tuple(n, who, fc.boolean()).map(([n, { ip, peerId }, isPush]) => ({
      kind: "arrived",
      receipt: n,
      held: heldOf(fileOfNumber(n)),
      ip,
      ...(isPush ? {} : { source: peerId }),
    })),
    fc.tuple(n, who).map(([n, { peerId }]) => ({
      kind: "fetch-failed",
      fileId: idOf(n),
      source: peerId,
      failure: "absent",
      text: "",
    })),
    n.map((n) => ({ kind: "keep-failed", fileId: idOf(n), text: "" })),
    fc.tuple(n, fc.constantFrom("fetched", "pushed", "published")).map(([n, how]) => ({
      kind: "held",
      files: [heldOf(fileOfNumber(n))],
      how,
    })),
    n.map((n) => ({ kind: "lost", fileIds: [idOf(n)], why: "missing" })),
    n.map((n) => ({ kind: "want", fileId: idOf(n) })),
    n.map((n) => ({ kind: "delete", fileId: idOf(n) })),
    n.map((n) => ({ kind: "unwanted", fileIds: [idOf(n)] })),
    fc.boolean().map((isWatched) => ({ kind: "watch", isWatched })),
    n.map((n) => ({
      kind: "load",
      files: [{ file: fileOfNumber(n), away: ["a"], isUnwanted: n % 2 === 0 }],
      deleted: [[idOf(n + 1), 0]],
      unwanted: [idOf(n + 2)],
    })),
  ) as fc.Arbitrary<Input>;
})();
const inputs = fc.array(fc.tuple(input, fc.nat(20_000)), { maxLength: 80 });

const run = (seed: number, steps: readonly (readonly [Input, number])[]): Effect[][] => {
  const machine = new Machine({
    seed,
    autoFetch: Infinity,
    bootstraps: [{ host: "10.0.0.1", port: 6000 }],
  });
  return steps.map(([input, waitMs]) => {
    machine.nowMs += waitMs;
    return machine.do(input);
  });
};

Deno.test("the same inputs, times and random numbers give the same effects", () => {
  fc.assert(
    fc.property(inputs, fc.nat(), (steps, seed) => {
      deepStrictEqual(run(seed, steps), run(seed, steps));
    }),
  );
  const gossips = Array.from({ length: 30 }, () => [{ kind: "start" }, 1] as const);
  notDeepStrictEqual(run(1, gossips), run(2, gossips), "chance has its part");
});

Deno.test("no input in any order throws or breaks an invariant", () => {
  fc.assert(
    fc.property(inputs, (steps) => {
      const machine = new Machine({
        autoFetch: Infinity,
        bootstraps: [{ host: "10.0.0.1", port: 6000 }],
      });
      const running = new Set<string>();
      for (const [input, waitMs] of steps) {
        machine.nowMs += waitMs;
        const wasHeld = input.kind === "message" && input.message.type === "GET_FILE" &&
          machine.catalogue.get(input.message.fileId)?.held === true;
        const effects = machine.do(input);
        if (input.kind === "message" && input.message.type === "GET_FILE") {
          strictEqual(only(effects, "serve").length, wasHeld ? 1 : 0);
          strictEqual(only(effects, "answer-absent").length, wasHeld ? 0 : 1);
        }
        if (input.kind === "arrived") {
          strictEqual(only(effects, "keep").length + only(effects, "drop").length, 1);
        }
        if (input.kind === "push-offered") strictEqual(only(effects, "push-verdict").length, 1);
        for (const { file } of only(effects, "fetch")) running.add(file.fileId);
        ok(machine.peer.pendingDownloads <= running.size + 12);
        for (const { holders, file } of machine.catalogue.all()) {
          for (const peerId of holders) {
            ok(machine.membership.get(peerId), `${peerId} is gone but still holds ${file.name}`);
          }
        }
        strictEqual(machine.membership.get("me"), undefined);
        ok(
          !effects.some((effect) => effect.kind === "send" && effect.to.host === "10.9.9.9"),
          "it never writes to itself",
        );
      }
    }),
    { numRuns: 200 },
  );
});

Deno.test("each effect is returned once", () => {
  const machine = new Machine();
  ok(machine.gossip(oldPeer("a", 1)).length > 0);
  deepStrictEqual(machine.do({ kind: "lost", fileIds: [idOf(1)], why: "missing" }), [{
    kind: "save",
  }]);
  const about = { fileId: idOf(1), fileName: "file 1", source: "a" };
  deepStrictEqual(machine.do({ kind: "keep-failed", ...about, text: "" }), []);
});

Deno.test("a clock that goes back undoes nothing and drops nobody", () => {
  const machine = new Machine();
  machine.start();
  machine.nowMs = 100_000;
  machine.meet(oldPeer("a", 1));
  for (const at of [50_000, 0, -1e9]) {
    machine.peer.handle({ kind: "tick" }, at);
    strictEqual(machine.peer.nowMs, 100_000);
  }
  strictEqual(machine.membership.size, 1);
  machine.nowMs = 160_000;
  deepStrictEqual(events(machine.do({ kind: "tick" }), "peer-left").map(({ peerId }) => peerId), [
    "a",
  ]);
});

Deno.test("a clock that jumps far ahead expires what is due, and the peer keeps working", () => {
  const machine = new Machine({ bootstraps: [{ host: "10.0.0.1", port: 6000 }] });
  machine.start();
  machine.reply(oldPeer("a", 1), files(3));
  machine.nowMs += 40 * 86_400_000;
  machine.do({ kind: "tick" });
  strictEqual(machine.membership.size, 0);
  machine.nowMs += 8 * 86_400_000;
  machine.do({ kind: "tick" });
  strictEqual(machine.catalogue.size, 0);
  ok(only(machine.gossip(oldPeer("a", 1)), "send").length > 0);
});

Deno.test("a message without a name is a sign of life of the only peer at its address", () => {
  for (const [others, isAlive] of [[[], true], [[oldPeer("b", 1, 6001)], false]] as const) {
    for (
      const message of [{ type: "GET_FILE", fileId: idOf(1) }, {
        type: "FILE_DATA",
        hasContent: true,
      }] as Message[]
    ) {
      const machine = new Machine();
      machine.start();
      machine.meet(oldPeer("a", 1), ...others);
      machine.nowMs = 40_000;
      machine.message(message, "10.0.0.1");
      machine.message(message, "10.0.0.77");
      machine.wait(30_000);
      strictEqual(machine.membership.get("a") !== undefined, isAlive, message.type);
    }
  }
});

Deno.test("a refusal is reported with its address and counted for the only peer there", () => {
  const machine = new Machine();
  machine.meet(oldPeer("a", 1));
  const refuse = (ip: string) =>
    machine.do({ kind: "refused", ip, reason: "bad-hex", text: "No hex" });
  deepStrictEqual([refusals(refuse("10.0.0.1")), refusals(refuse("10.0.0.9"))], [["bad-hex"], [
    "bad-hex",
  ]]);
  deepStrictEqual(events(refuse("10.0.0.1"), "refused").map(({ who }) => who), ["10.0.0.1"]);
  deepStrictEqual(events(refuse("10.0.0.9"), "refused").map(({ who }) => who), ["10.0.0.9"]);
  strictEqual(machine.membership.get("a")!.refusals, 2);
});

Deno.test("each message is reported in one line that says what it asks", () => {
  const messages: Message[] = [
    { type: "GOSSIP", peerId: "p", host: "", port: 1, id: "i" },
    { type: "GOSSIP_REPLY", peerId: "p", host: "", port: 1, files: [] },
    { type: "GET_FILE", fileId: idOf(1) },
    { type: "FILE_DATA", hasContent: false },
    { type: "ANNOUNCE", from: "p", file: fileOfNumber(1) },
    { type: "DELETE", from: "p", fileId: idOf(1) },
  ];
  for (const message of messages) {
    ok(describe(message).startsWith(message.type));
    deepStrictEqual(
      events(new Machine().message(message, "10.0.0.1"), "request").map((
        { ip, text },
      ) => [ip, text]),
      [["10.0.0.1", describe(message)]],
    );
  }
});

Deno.test("what is remembered from earlier runs is known before the peer starts, and is not reported as news", () => {
  const machine = new Machine({ autoFetch: Infinity });
  machine.nowMs = 10_000;
  const known = { away: [], sinceMs: undefined, holderlessSinceMs: undefined, isUnwanted: false };
  const effects = machine.do({
    kind: "load",
    files: [
      {
        ...known,
        file: fileOfNumber(1),
        away: ["a", "b"],
        sinceMs: 4_000,
        holderlessSinceMs: 5_000,
      },
      { ...known, file: fileOfNumber(2), isUnwanted: true },
      { ...known, file: fileOfNumber(3) },
    ],
    deleted: [[idOf(3), 9_000]],
    unwanted: [idOf(4)],
  });
  deepStrictEqual(effects, [], "nothing is sent, saved or reported");
  const { catalogue } = machine;
  deepStrictEqual([...catalogue.all()].map(({ file }) => file.fileId), [idOf(1), idOf(2)]);
  const { away, sinceMs } = catalogue.get(idOf(1))!;
  deepStrictEqual([away, sinceMs, catalogue.holderlessSince(idOf(1))], [["a", "b"], 4_000, 5_000]);
  strictEqual(catalogue.get(idOf(2))!.sinceMs, 10_000);
  deepStrictEqual([...catalogue.unwanted], [idOf(4), idOf(2)]);
  ok(catalogue.tombstones.has(idOf(3), machine.nowMs));
});

Deno.test("a file that a person removed while the peer was not running is not fetched, unless it is held after all", () => {
  const machine = new Machine({ autoFetch: Infinity });
  machine.do({ kind: "held", files: [heldOf(fileOfNumber(1))], how: "loaded" });
  machine.do({ kind: "unwanted", fileIds: [idOf(1), idOf(2)] });
  deepStrictEqual([...machine.catalogue.unwanted], [idOf(2)]);
});

Deno.test("while watched, the peer names the entries that each input changed", () => {
  const machine = new Machine();
  const changed = (input: Input) =>
    only(machine.do(input), "changed").map(({ fileIds }) => fileIds);
  const hold = (n: number): Input => ({
    kind: "held",
    files: [heldOf(fileOfNumber(n))],
    how: "found",
  });
  deepStrictEqual(changed(hold(1)), [], "nobody watches");
  deepStrictEqual(changed({ kind: "watch", isWatched: true }), []);
  deepStrictEqual(changed(hold(2)), [[idOf(2)]]);
  deepStrictEqual(changed({ kind: "tick" }), []);
  const files = Array.from({ length: 25_000 }, (_, i) => heldOf(fileOfNumber(i + 10)));
  deepStrictEqual(changed({ kind: "held", files, how: "found" }), ["many"]);
  deepStrictEqual(changed({ kind: "lost", fileIds: [idOf(1)], why: "missing" }), [[idOf(1)]]);
  deepStrictEqual(changed({ kind: "watch", isWatched: false }), []);
  deepStrictEqual(changed(hold(3)), []);
});
