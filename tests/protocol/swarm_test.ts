// Many peers that want one file of one slow source, simulated: their plans, and what the source tells them. How much leaves
// the source, and how much longer it takes than for one.

import assert from "node:assert/strict";
import { CHUNK_BYTES, wholeChunks } from "../../protocol/chunks.ts";
import { RangePlan } from "../../protocol/range_plan.ts";
import { Ranges, type Span } from "../../protocol/ranges.ts";
import { PARTS, RAW } from "../../protocol/wire/capabilities.ts";
import { Random } from "../sim/random.ts";
import { seeds } from "../sim/seeds.ts";
import { fileOfNumber, heldOf, idOf, Machine, newPeer, only } from "./machine.ts";

const MIB = 1024 ** 2;
const TICK_MS = 10;
const POLL_MS = 250;
const REFERRED_MS = 500;

interface Order {
  at: number;
  readonly end: number;
  readonly from: string;
}

/** A peer that fetches. */
class Fetching {
  readonly plan: RangePlan;
  readonly orders: Order[] = [];
  readonly polled = new Map<string, number>();
  referredMs = -Infinity;
  referredBytes = -1;
  doneMs = Infinity;

  constructor(readonly name: string, readonly ip: string, size: number, random: Random) {
    this.plan = new RangePlan(size, new Ranges(), () => random.unit());
  }
}

/**
 * Lets `count` peers fetch a file of `sizeMib` from a source that sends 20 MiB a second in all; each of them sends 100.
 * Returns the seconds until the last one has it, and what left the source, in files.
 */
function swarm(count: number, sizeMib: number, seed: number) {
  const random = new Random(seed);
  const size = sizeMib * MIB;
  const source = new Machine({ seed });
  const file = fileOfNumber(1, { sizeBytes: size });
  source.do({ kind: "held", files: [heldOf(file, size)], how: "loaded" });
  const peers = Array.from({ length: count }, (_, i) => {
    const { peerId, host, port, ip } = newPeer(`p${i}`, i + 1);
    const ext = { v: 1, node: "A".repeat(43), can: [RAW, PARTS] };
    source.message({ type: "GOSSIP_REPLY", peerId, host, port, files: [], ext }, ip);
    return new Fetching(peerId, ip, size, random);
  });
  const byName = new Map(peers.map((peer) => [peer.name, peer]));
  let sent = 0;
  let nowMs = 0;
  /** Sends a request to the source. Returns the order, if it is one. */
  const askSource = (peer: Fetching): Order | undefined => {
    if (nowMs - peer.referredMs < REFERRED_MS) return undefined;
    const span = peer.plan.next("source", nowMs);
    if (!span) return undefined;
    const insists = peer.plan.done.bytes <= peer.referredBytes;
    const raw = [span[0], span[1] - span[0]];
    const here = { have: wholeChunks(peer.plan.done, size), peer: peer.name };
    source.nowMs = nowMs;
    const message = {
      type: "GET_FILE",
      fileId: idOf(1),
      ext: { v: 1, raw, ...insists ? {} : here },
    } as const;
    const { sharing } = only(source.message(message, peer.ip), "serve")[0]!;
    for (const name of sharing?.peers ?? []) {
      if (peer.polled.size < 16 && !peer.polled.has(name)) peer.polled.set(name, -Infinity);
    }
    if (sharing?.next) {
      peer.plan.hint("source", [sharing.next[0], sharing.next[0] + sharing.next[1]]);
    }
    if (!sharing?.isRedirected) return { at: span[0], end: span[1], from: "source" };
    peer.plan.cut("source", span, span[0]);
    if (!sharing.next) {
      peer.referredMs = nowMs;
      peer.referredBytes = peer.plan.done.bytes;
    }
    return undefined;
  };
  const has = (name: string): Span[] => wholeChunks(byName.get(name)!.plan.done, size);
  for (const peer of peers) peer.plan.add("source", 0);
  for (; peers.some(({ doneMs }) => doneMs === Infinity); nowMs += TICK_MS) {
    assert.ok(nowMs < 600_000, "it ends");
    for (const peer of peers) {
      if (peer.plan.isDone) continue;
      for (let order = askSource(peer); order; order = askSource(peer)) peer.orders.push(order);
      for (const [name, atMs] of peer.polled) {
        if (nowMs - atMs >= POLL_MS) {
          peer.polled.set(name, nowMs);
          if (atMs === -Infinity) peer.plan.add(name, nowMs, new Ranges());
          peer.plan.limit(name, new Ranges(has(name)));
        }
        for (let span = peer.plan.next(name, nowMs); span; span = peer.plan.next(name, nowMs)) {
          peer.orders.push({ at: span[0], end: span[1], from: name });
        }
      }
    }
    // Whoever sends shares what it can send among those who wait.
    for (const from of ["source", ...byName.keys()]) {
      const waiting = peers.map((peer) => ({
        peer,
        order: peer.orders.find((order) => order.from === from),
      }))
        .filter(({ order }) => order);
      const share = (from === "source" ? 20 : 100) * MIB * TICK_MS / 1000 / waiting.length;
      for (const { peer, order } of waiting) {
        const bytes = Math.min(Math.ceil(share), order!.end - order!.at);
        peer.plan.received(from, order!.at, bytes, nowMs);
        if (from === "source") sent += bytes;
        order!.at += bytes;
        if (order!.at === order!.end) peer.orders.splice(peer.orders.indexOf(order!), 1);
        if (peer.plan.isDone) peer.doneMs = Math.min(peer.doneMs, nowMs);
      }
    }
  }
  return { seconds: Math.max(...peers.map(({ doneMs }) => doneMs)) / 1000, sent: sent / size };
}

Deno.test("what many peers want of a slow source leaves it little more than once, and reaches all in little more time", () => {
  const [seed] = seeds() as [number];
  const { seconds: alone } = swarm(1, 64, seed);
  for (const count of [2, 4, 16]) {
    const { seconds, sent } = swarm(count, 64, seed);
    const text =
      `${count} peers: ${seconds} s instead of ${alone} s, ${sent} files sent (seed ${seed})`;
    assert.ok(seconds <= 1.35 * alone, text);
    assert.ok(sent <= 1.2, text);
  }
});

Deno.test("many more peers than know of each other still spread what one source has", () => {
  const [seed] = seeds() as [number];
  const { seconds: alone } = swarm(1, 64, seed);
  const { seconds, sent } = swarm(40, 64, seed);
  const text = `${seconds} s instead of ${alone} s, ${sent} files sent (seed ${seed})`;
  assert.ok(seconds <= 3 * alone && sent <= 3, text);
});

Deno.test("a small file costs each of two peers what it costs one", () => {
  const { sent } = swarm(2, 1, seeds()[0]!);
  assert.ok(sent <= 2 && CHUNK_BYTES === MIB);
});
