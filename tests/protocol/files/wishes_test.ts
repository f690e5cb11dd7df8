// Wanted files stay wanted: failed downloads, copies that nobody took, DELETEs that somebody missed; and what is no longer
// wanted ends.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../../protocol/effects.ts";
import { LAST_RETRY_MS, MAX_BROADCAST_SENDS, WITHDRAW_MS } from "../../../protocol/limits.ts";
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
  receivers,
  sent,
  type Who,
} from "../machine.ts";

const eagle = newPeer("eagle", 1);
const want = (machine: Machine, n = 1) => machine.do({ kind: "want", fileId: idOf(n) });
const fetches = (effects: readonly Effect[]) => only(effects, "fetch");
const own = (n: number) => fileOfNumber(n, { owner: "me" });

/** Returns a peer that knows of files on this other peer. */
function listing(who: Who, count = 1, over = {}): Machine {
  const machine = new Machine(over);
  machine.start();
  machine.reply(who, files(count), [1, 1, "r"]);
  return machine;
}

/** Reports everything that is sent as delivered. */
function deliver(machine: Machine, effects: readonly Effect[]): Effect[] {
  const more: Effect[] = [];
  for (const { to, peerId, ticket } of only(effects, "send")) {
    more.push(...machine.do({
      kind: "sent",
      to,
      ip: to.host,
      ...(peerId ? { peerId } : {}),
      ...(ticket ? { ticket } : {}),
    }));
  }
  return more;
}

Deno.test("a source that broke off and is back is asked again, though its list has not changed", () => {
  for (const failure of ["unreachable", "cut-short", "too-slow"] as const) {
    const machine = listing(eagle);
    strictEqual(fetches(want(machine)).length, 1);
    const failed = machine.failFetch(idOf(1), "eagle", failure);
    deepStrictEqual(events(failed, "download-failed").map(({ willRetry }) => willRetry), [true]);
    strictEqual(machine.peer.pendingDownloads, 0);
    const later = machine.wait(10_000, 250);
    strictEqual(fetches(later).length, 1, failure);
    machine.keep(machine.arrive(fileOfNumber(1), { source: "eagle" }));
    ok(machine.catalogue.get(idOf(1))!.held);
    strictEqual(machine.peer.wishedDownloads, 0);
  }
});

Deno.test("retries are further and further apart, up to ten minutes, and reported once", () => {
  const machine = listing(eagle, 1, { peerTimeoutMs: 1e9 });
  want(machine);
  let told = events(machine.failFetch(idOf(1), "eagle", "cut-short"), "download-failed").length;
  const times: number[] = [];
  machine.wait(2 * 3_600_000, 1_000, (effects) => {
    for (const _ of fetches(effects)) {
      times.push(machine.nowMs);
      told += events(machine.failFetch(idOf(1), "eagle", "cut-short"), "download-failed").length;
    }
  });
  strictEqual(told, 1);
  ok(times[0]! <= 8_000, `${times[0]}`);
  const gaps = times.slice(1).map((ms, i) => ms - times[i]!);
  ok(Math.max(...gaps) <= 1.3 * LAST_RETRY_MS, `${gaps}`);
  ok(gaps.at(-1)! >= 0.7 * LAST_RETRY_MS, `${gaps}`);
  ok(times.length < 24, `${times.length} attempts in two hours`);
});

Deno.test("a peer's files are retried at once when it restarts, or when another peer holds them", () => {
  const machine = listing(eagle);
  want(machine);
  for (let i = 0; i < 6; i++) {
    machine.failFetch(idOf(1), "eagle", "unreachable");
    machine.wait(200_000, 1_000, () => machine.gossip(eagle));
  }
  machine.failFetch(idOf(1), "eagle", "unreachable");
  machine.gossip({ ...eagle, ext: { ...eagle.ext!, boot: "boot2" } });
  strictEqual(fetches(machine.wait(500, 250)).length, 1, "it was restarted");
  machine.failFetch(idOf(1), "eagle", "unreachable");
  const [other] = fetches(machine.announce(newPeer("hawk", 2), fileOfNumber(1)));
  strictEqual(other, undefined, "hawk is not tracked yet");
  machine.meet(newPeer("hawk", 2));
  strictEqual(fetches(machine.announce(newPeer("hawk", 2), fileOfNumber(1)))[0]?.source, "hawk");
});

Deno.test("downloads that failed for lack of space are retried when there is some, and not earlier", () => {
  const machine = listing(eagle, 3);
  for (const n of [1, 2, 3]) want(machine, n);
  for (const n of [1, 2, 3]) machine.failFetch(idOf(n), "eagle", "storage", "the disk is full");
  strictEqual(machine.peer.wishedDownloads, 3);
  strictEqual(fetches(machine.do({ kind: "space" })).length, 3);
});

Deno.test("content that could not be kept stays wanted", () => {
  const machine = listing(eagle);
  want(machine);
  const kept = only(machine.arrive(fileOfNumber(1), { source: "eagle" }), "keep");
  strictEqual(kept.length, 1);
  const fileId = idOf(1);
  machine.do({ kind: "keep-failed", fileId, fileName: "", source: "eagle", text: "disk full" });
  strictEqual(machine.peer.wishedDownloads, 1);
  strictEqual(fetches(machine.do({ kind: "space" })).length, 1);
});

Deno.test("a source that delivers something else is not asked for a whole transfer again after each of its lists", () => {
  for (const failure of ["mismatch", "garbage", "too-long"] as const) {
    const old = oldPeer("old", 1);
    const machine = new Machine({ autoFetch: Infinity });
    machine.start();
    machine.reply(old, files(1));
    machine.reply(oldPeer("other", 2), files(1));
    want(machine);
    let asked = 0;
    for (let i = 0; i < 40; i++) {
      for (const source of ["old", "other"]) {
        const effects = machine.failFetch(idOf(1), source, failure);
        asked += fetches(effects).length;
      }
      machine.nowMs += 15_000;
      asked += fetches(machine.do({ kind: "tick" })).length;
      for (const who of [old, oldPeer("other", 2)]) {
        asked += fetches(machine.reply(who, files(1))).length;
      }
    }
    ok(asked <= 12, `${failure}: asked ${asked} times in ten minutes`);
  }
});

Deno.test("a canceled, deleted or unwanted file is not retried", () => {
  for (const end of ["cancel", "delete", "owner"] as const) {
    const machine = listing(newPeer("owner", 1));
    want(machine);
    machine.failFetch(idOf(1), "owner", "cut-short");
    strictEqual(machine.peer.wishedDownloads, 1);
    if (end === "owner") machine.delete("owner", idOf(1), "10.0.0.1");
    else machine.do({ kind: end, fileId: idOf(1) });
    strictEqual(machine.peer.wishedDownloads, 0, end);
    deepStrictEqual(fetches(machine.wait(60_000)), []);
  }
});

Deno.test("auto-fetch says how many files are still pending, and fetches them", () => {
  const machine = new Machine({ autoFetch: 3, bootstraps: [{ host: "10.0.0.1", port: 6000 }] });
  machine.start();
  const effects = machine.reply(eagle, files(3), [1, 1, "r"]);
  effects.push(...machine.wait(1_000, 250));
  const [first, ...rest] = fetches(effects).map(({ file }) => file);
  machine.keep(machine.arrive(first!, { source: "eagle" }));
  const end = rest.flatMap(({ fileId }) => machine.failFetch(fileId, "eagle", "cut-short"));
  deepStrictEqual(events(end, "auto-fetch-complete"), [{
    name: "auto-fetch-complete",
    fetched: 1,
    failed: 0,
    pending: 2,
    reason: "done",
  }]);
  strictEqual(fetches(machine.wait(10_000)).length, 2);
});

Deno.test("attempts that are no longer needed are stopped, one by one, and not counted as failures", () => {
  const machine = new Machine({ autoFetch: Infinity });
  machine.start();
  machine.meet(newPeer("owner", 1));
  let running = new Set<number>();
  for (let i = 1; i <= 60; i++) {
    const effects = machine.announce(newPeer("owner", 1), fileOfNumber(i));
    effects.push(...machine.wait(2_000, 500));
    effects.push(...machine.delete("owner", idOf(i), "10.0.0.1"));
    for (const effect of effects) {
      if (effect.kind === "fetch") running.add(effect.attempt);
      if (effect.kind === "stop-fetch") running.delete(effect.attempt);
    }
  }
  strictEqual(running.size, 0);
  running = new Set();
  strictEqual(machine.peer.pendingDownloads, 0);
});

Deno.test("a late failure of an attempt does not end the next one from the same source", () => {
  const machine = listing(eagle);
  const [first] = fetches(want(machine));
  machine.do({ kind: "cancel", fileId: idOf(1) });
  const [second] = fetches(want(machine));
  ok(first!.attempt !== second!.attempt);
  const late = { kind: "fetch-failed", fileId: idOf(1), source: "eagle", text: "" } as const;
  deepStrictEqual(machine.do({ ...late, attempt: first!.attempt, failure: "cut-short" }), []);
  strictEqual(machine.peer.pendingDownloads, 1, "the second one continues");
  strictEqual(only(machine.arrive(fileOfNumber(1), { source: "eagle" }), "keep").length, 1);
});

Deno.test("content that arrives another way stops the running attempt", () => {
  const machine = listing(eagle);
  const [fetch] = fetches(want(machine));
  const effects = machine.keep(machine.arrive(fileOfNumber(1)));
  deepStrictEqual(only(effects, "stop-fetch").map(({ attempt }) => attempt), [fetch!.attempt]);
});

Deno.test("a file that a person removed or edited is not fetched automatically, and a damaged one is", () => {
  for (const why of ["removed", "edited", "damaged"] as const) {
    const machine = new Machine({ autoFetch: Infinity });
    machine.start();
    machine.reply(eagle, files(2), [1, 1, "r"]);
    machine.wait(1_000, 250);
    machine.hold(files(1));
    const effects = machine.do({ kind: "lost", fileIds: [idOf(1)], why });
    effects.push(...machine.reply(eagle, files(2), [1, 1, "s"]));
    effects.push(...machine.announce(newPeer("hawk", 2), fileOfNumber(1)));
    const asked = fetches(effects).some(({ file }) => file.fileId === idOf(1));
    strictEqual(asked, why === "damaged", why);
    if (why !== "damaged") {
      strictEqual(fetches(want(machine)).length, 1, "unless a person requests it");
    }
  }
});

Deno.test("a version of ours that is replaced within minutes is withdrawn, an older one is not", () => {
  for (const ageMs of [60_000, WITHDRAW_MS + 1]) {
    const machine = new Machine({ peerTimeoutMs: 1e9 });
    machine.meet(eagle);
    machine.hold([own(1)], "published");
    machine.nowMs += ageMs;
    machine.announce(eagle, own(1));
    const effects = machine.do({ kind: "lost", fileIds: [idOf(1)], why: "edited" });
    const isRecent = ageMs < WITHDRAW_MS;
    deepStrictEqual(receivers(effects, "DELETE"), isRecent ? ["eagle"] : []);
    strictEqual(machine.catalogue.get(idOf(1)) === undefined, isRecent);
    strictEqual(machine.catalogue.tombstones.has(idOf(1), machine.nowMs), isRecent);
  }
});

Deno.test("a version of ours that left the folder and has no holders is forgotten, and stays unwanted", () => {
  const machine = new Machine({ autoFetch: Infinity, peerTimeoutMs: 1e9 });
  machine.start();
  machine.meet(eagle);
  for (let n = 1; n <= 100; n++) {
    machine.hold([own(n)], "published");
    machine.nowMs += WITHDRAW_MS + 1;
    machine.do({ kind: "lost", fileIds: [idOf(n)], why: "edited" });
  }
  strictEqual(machine.catalogue.size, 0);
  deepStrictEqual(fetches(machine.announce(eagle, own(7))), [], "another peer has one after all");
  strictEqual(machine.catalogue.size, 1);
});

Deno.test("a renamed file is announced under its new name, and other peers accept the name from its owner", () => {
  const machine = new Machine();
  machine.meet(eagle);
  machine.hold([own(1)], "published");
  const renamed = { ...own(1), name: "final.txt" };
  const effects = machine.do({ kind: "renamed", files: [renamed] });
  deepStrictEqual(sent(effects, "ANNOUNCE").map(({ message }) => message.file.name), ["final.txt"]);
  deepStrictEqual(events(effects, "renamed").map(({ from }) => from), ["file 1"]);
  strictEqual(machine.catalogue.get(idOf(1))!.file.name, "final.txt");

  const other = new Machine({ peerId: "other" });
  const owner = newPeer("me", 3);
  other.meet(owner, eagle);
  other.announce(owner, own(1));
  other.announce(eagle, { ...own(1), name: "lie.txt" });
  strictEqual(other.catalogue.get(idOf(1))!.file.name, "file 1", "only the owner may rename it");
  other.announce(owner, renamed, "10.6.6.6");
  strictEqual(other.catalogue.get(idOf(1))!.file.name, "file 1", "and only from its own address");
  other.announce(owner, renamed);
  strictEqual(other.catalogue.get(idOf(1))!.file.name, "final.txt");
});

Deno.test("a copy that nobody took is offered again, also to peers that appear later", () => {
  const machine = new Machine();
  deepStrictEqual(only(machine.hold([own(1)], "published"), "replicate"), [], "no peer is there");
  machine.meet(eagle);
  strictEqual(only(machine.wait(500, 250), "replicate").length, 1, "eagle came");
  const ticket = { for: "replicate", fileId: idOf(1) } as const;
  const to = { host: "10.0.0.1", port: 6000 };
  machine.do({ kind: "unreachable", to, peerId: "eagle", what: "FILE_DATA", ticket, text: "" });
  strictEqual(only(machine.wait(30_000), "replicate").length, 1, "and is asked again");
  machine.do({ kind: "sent", to, peerId: "eagle", ip: to.host, ticket });
  deepStrictEqual(only(machine.wait(60_000), "replicate"), []);
});

/** Returns how many peers have heard of a deletion, and how many have not. */
function spread({ peer }: Machine, n: number) {
  const { reached, left } = peer.deletionProgress(idOf(n))!;
  return { reached, left };
}

Deno.test("a peer that still lists a file that we deleted gets the DELETE again, with increasing delays", () => {
  const machine = new Machine({ peerTimeoutMs: 1e9 });
  machine.meet(eagle);
  machine.hold([own(1)], "published");
  strictEqual(receivers(machine.do({ kind: "delete", fileId: idOf(1) }), "DELETE").length, 1);
  let told = 0;
  for (let minute = 0; minute < 24 * 60; minute++) {
    machine.nowMs += 60_000;
    told += sent(machine.reply(eagle, [own(1)], [1, 1, `r${minute}`]), "DELETE").length;
  }
  ok(told >= 10 && told <= 40, `notified ${told} times in a day`);
  deepStrictEqual(sent(machine.reply(eagle, [fileOfNumber(2)], [1, 1, "x"]), "DELETE"), []);
});

Deno.test("a deletion counts the peers reached, and the others get the DELETE once they can be reached", () => {
  const machine = new Machine();
  const hawk = newPeer("hawk", 2);
  machine.meet(eagle, hawk);
  machine.hold([own(1)], "published");
  const effects = machine.do({ kind: "delete", fileId: idOf(1) });
  deepStrictEqual(spread(machine, 1), { reached: 0, left: 2 });
  for (const { to, peerId, ticket, what } of only(effects, "send")) {
    const about = { to, peerId: peerId!, ticket: ticket! };
    if (peerId === "eagle") machine.do({ kind: "sent", ...about, ip: to.host });
    else machine.do({ kind: "unsent", ...about, what, text: "the queue is full" });
  }
  deepStrictEqual(spread(machine, 1), { reached: 1, left: 1 });
  const again = machine.wait(12_000, 250, (effects) => void deliver(machine, effects));
  deepStrictEqual(receivers(again, "DELETE"), ["hawk"]);
  deepStrictEqual(spread(machine, 1), { reached: 2, left: 0 });
});

Deno.test("a holder that was away during a deletion counts, and gets the DELETE when it lists the file", () => {
  const machine = new Machine();
  machine.start();
  machine.meet(newPeer("hawk", 2));
  machine.reply(eagle, [own(1)], [1, 1, "r"]);
  machine.hold([own(1)], "published");
  machine.wait(61_000, 1_000, () => machine.gossip(newPeer("hawk", 2)));
  deepStrictEqual(machine.catalogue.get(idOf(1))!.away, ["eagle"]);
  const effects = machine.do({ kind: "delete", fileId: idOf(1) });
  deliver(machine, effects);
  deepStrictEqual(spread(machine, 1), { reached: 1, left: 1 });
  const back = machine.reply(eagle, [own(1)], [1, 1, "s"]);
  deepStrictEqual(receivers(back, "DELETE"), ["eagle"]);
});

Deno.test("no matter how much is shared at once, one input causes bounded work, and every peer hears of everything", () => {
  const machine = new Machine({ peerTimeoutMs: 1e9, limits: { unprovenDialsPerMinute: 1e6 } });
  const peers = Array.from({ length: 100 }, (_, i) => newPeer(`p${i}`, i + 1));
  machine.meet(...peers);
  const many = Array.from({ length: 2_000 }, (_, i) => own(i + 1));
  const effects = machine.do({ kind: "held", files: many.map((f) => heldOf(f)), how: "published" });
  const sends = only(effects, "send");
  ok(sends.length <= MAX_BROADCAST_SENDS, `${sends.length} sends from one call`);
  ok(effects.length <= 2 * 2_000 + MAX_BROADCAST_SENDS + 10, `${effects.length} effects`);
  const heard = new Map<string, Set<string>>();
  let connections = 0;
  const note = (all: readonly Effect[]): Effect[] => {
    for (const { to, message } of sent(all, "GOSSIP_REPLY")) {
      connections++;
      const known = heard.get(to.host) ?? new Set();
      for (const { fileId } of message.files) known.add(fileId);
      heard.set(to.host, known);
    }
    return deliver(machine, all);
  };
  let more = note(effects);
  for (let i = 0; i < 100 && (more.length > 0 || i < 40); i++) {
    more = [...note(more), ...machine.wait(250, 250)];
  }
  for (const { host } of peers) strictEqual(heard.get(host)?.size, 2_000, host);
  ok(connections <= 100 * 10, `${connections} connections for 2,000 files and 100 peers`);
});

Deno.test("nothing is encoded or sent without receivers", () => {
  const machine = new Machine();
  const many = Array.from({ length: 2_000 }, (_, i) => own(i + 1));
  const effects = machine.do({ kind: "held", files: many.map((f) => heldOf(f)), how: "loaded" });
  deepStrictEqual(only(effects, "send"), []);
});

Deno.test("DELETEs that wait for a peer are sent when it comes back after a while", () => {
  const machine = new Machine({ peerTimeoutMs: 20_000, gossipIntervalMs: 5_000 });
  machine.start();
  const [eagle, stays] = [newPeer("eagle", 1), newPeer("stays", 2)];
  const own = Array.from({ length: 100 }, (_, i) => fileOfNumber(i + 1, { owner: "me" }));
  machine.hold(own);
  machine.meet(eagle, stays);
  const told = new Set<string>();
  const run = (first: readonly Effect[]) => {
    for (let effects = first; effects.length > 0;) {
      for (const { peerId, message } of sent(effects, "DELETE")) {
        if (peerId === "eagle") told.add(message.fileId);
      }
      effects = only(effects, "send").flatMap(({ to, peerId, ticket }) =>
        machine.do({
          kind: "sent",
          to,
          ip: to.host,
          ...(peerId ? { peerId } : {}),
          ...(ticket ? { ticket } : {}),
        })
      );
    }
  };
  for (const { fileId } of own) run(machine.do({ kind: "delete", fileId }));
  ok(told.size < 100, "more than a peer obeys per minute would be lost");
  const pass = (ms: number, ...there: Who[]) => {
    for (let t = 0; t < ms; t += 5_000) {
      machine.wait(5_000, 500, run);
      for (const peer of there) run(machine.gossip(peer));
    }
  };
  pass(30_000, stays);
  strictEqual(machine.membership.get("eagle"), undefined);
  pass(180_000, stays, eagle);
  strictEqual(told.size, 100);
  deepStrictEqual(spread(machine, 100), { reached: 2, left: 0 });
});

Deno.test("a peer that requests everything at once is never told of more files than can be served", () => {
  const machine = new Machine();
  const old = oldPeer("old", 1);
  machine.hold(files(2_000));
  let open = 0;
  let most = 0;
  const asked = new Set<string>();
  const take = (effects: readonly Effect[]) => {
    for (const { message } of sent(effects, "GOSSIP_REPLY")) {
      for (const { fileId } of message.files) {
        if (asked.has(fileId)) continue;
        asked.add(fileId);
        open++;
        machine.message({ type: "GET_FILE", fileId }, old.ip, asked.size);
      }
    }
    most = Math.max(most, open);
  };
  take(machine.gossip(old));
  for (let i = 0; i < 2_000 && (asked.size < 2_000 || open > 0); i++) {
    for (let served = 0; served < 20 && open > 0; served++) {
      open--;
      machine.do({ kind: "served", ip: old.ip });
    }
    take(machine.wait(250, 250));
  }
  strictEqual(asked.size, 2_000);
  ok(most <= 512, `${most} requests at once`);
  strictEqual(machine.remembered("machines served"), 0);
});
