// Attackers and the network they attack: floods, a third-party address that others are aimed at, a list to walk.

import type { Effect } from "../../protocol/effects.ts";
import { files, Machine, newPeer, oldPeer, only, type Who } from "./machine.ts";

export const ATTACKER = "10.66.66.66";
export const SINK = "10.50.50.50";
/** Spellings that all lead to the victim (the sink). */
export const SPELLINGS = [
  ...[SINK, "::ffff:10.50.50.50", "0x0a323232", "10.50.12850", "171061810", "10.50.50.50."],
  ...["012.50.50.50", "10.0x32.50.50", "::ffff:a32:3232", "0xa.0x32.0x32.0x32"],
];
const MINUTE = 60_000;

/** Returns the number of dials to a host, and the bytes of the replies sent there. */
export function traffic(effects: readonly Effect[], isThere: (host: string) => boolean) {
  const sends = only(effects, "send").filter(({ to }) => isThere(to.host));
  const fetches = only(effects, "fetch").filter(({ from }) => isThere(from.host));
  const copies = only(effects, "replicate").filter(({ to }) => isThere(to.host));
  const replies = sends.filter(({ what }) => what === "GOSSIP_REPLY");
  return {
    dials: sends.length + fetches.length + copies.length,
    bytes: replies.reduce((sum, { bytes }) => sum + bytes.length, 0),
  };
}

/** Sends messages over half a minute and returns the effects of the whole minute. */
export function flood(machine: Machine, count: number, send: (i: number) => Effect[]): Effect[] {
  const all: Effect[] = [];
  const endMs = machine.nowMs + MINUTE - 1;
  for (let i = 0; i < count; i++) {
    if (i % (count / 50) === 0) all.push(...machine.wait(MINUTE / 100, MINUTE / 100));
    all.push(...send(i));
  }
  all.push(...machine.wait(endMs - machine.nowMs));
  return all;
}

/** Counts how often entries of our own list are visited. */
export function countWalks({ catalogue }: Machine): { entries: number } {
  const walked = { entries: 0 };
  const held = catalogue.held.bind(catalogue);
  catalogue.held = function* () {
    for (const entry of held()) {
      walked.entries++;
      yield entry;
    }
  };
  return walked;
}

/** Returns a peer in a network of three that holds many files. */
export function busyMachine(fileCount = 2_000): Machine {
  const machine = new Machine({
    bootstraps: [{ host: "10.0.0.1", port: 6000 }],
    autoFetch: Infinity,
  });
  machine.hold(files(fileCount));
  machine.start();
  machine.meet(oldPeer("boot", 1), oldPeer("b", 2), oldPeer("c", 3));
  machine.reply(oldPeer("boot", 1), []);
  machine.wait(1_000, 250);
  return machine;
}

/** Returns an invented peer that claims, from elsewhere, to be at the victim's address. */
export const sink = (i: number, over: Partial<Who> = {}): Who => ({
  ...newPeer(`fake ${i}`, 0),
  host: SINK,
  ip: ATTACKER,
  ...over,
});
