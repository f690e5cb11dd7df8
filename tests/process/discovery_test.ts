// Peers on one network find each other with no configuration, in networks of the test's own making.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Folder } from "./folder.ts";
import { Lan, type Machine, noNamespaces } from "./namespaces.ts";
import type { Program } from "./program.ts";
import { SANITIZED } from "./together.ts";

const OPTIONS = { ...SANITIZED, ignore: noNamespaces !== undefined };
const ARGS = ["--auto-fetch", "0", "--min-free", "0", "--web-auth", "off", "--no-bootstrap"];

/** A network, and peers that know nothing of each other. */
class Room implements AsyncDisposable {
  readonly #all = new AsyncDisposableStack();
  readonly peers = new Map<string, { readonly machine: Machine; readonly program: Program }>();

  private constructor(readonly folder: Folder, readonly lan: Lan) {}

  static async make(): Promise<Room> {
    const room = new Room(await Folder.make(), await Lan.make());
    room.#all.use(room.folder);
    room.#all.use(room.lan);
    return room;
  }

  start(name: string, machine: Machine, ...args: string[]): Program {
    const dir = ["--dir", this.folder.at(name)];
    const program = this.#all.use(
      machine.start(name, [...ARGS, ...dir, ...args], { cwd: this.folder.path }),
    );
    this.peers.set(name, { machine, program });
    return program;
  }

  /** Returns the names of the peers that a peer knows. */
  async known(name: string): Promise<string[]> {
    const { machine, program } = this.peers.get(name)!;
    const port = (await program.waitForLine(/^HTTP address: http:\S+:(\d+)$/))[1]!;
    const url = `http://127.0.0.1:${port}/api/v1/peers`;
    const text = await machine.run("curl", "-sS", "--noproxy", "*", url);
    const { peers } = JSON.parse(text) as { peers: { peerId: string }[] };
    return peers.map(({ peerId }) => peerId).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#all.disposeAsync();
  }
}

Deno.test(
  "peers on one network find each other, and each is announced until it stops",
  OPTIONS,
  async () => {
    await using room = await Room.make();
    const { lan } = room;
    const names = ["ann", "bob", "cat"];
    for (const [i, name] of names.entries()) room.start(name, await lan.machine(2 + i));
    for (const name of names) {
      const others = names.filter((each) => each !== name);
      const { program } = room.peers.get(name)!;
      await program.until(
        "the others",
        async () => (await room.known(name)).join() === others.join(),
      );
    }
    // One that does not look is not found, and finds nobody.
    const dan = room.start("dan", await lan.machine(9), "--no-discovery");
    await dan.waitForLine(/^AUTO FETCH PROCESS COMPLETE/);
    // A latecomer knows all of them; by then dan would have been heard of.
    const eve = room.start("eve", await lan.machine(10));
    await eve.until("the others", async () => (await room.known("eve")).length === 3);
    deepStrictEqual(await room.known("dan"), []);
  },
);

Deno.test(
  "a course of thirty peers knows itself without anybody typing an address",
  OPTIONS,
  async () => {
    await using room = await Room.make();
    const names = Array.from({ length: 30 }, (_, i) => `peer${i}`);
    const machines = [];
    for (const [i] of names.entries()) machines.push(await room.lan.machine(20 + i));
    for (const [i, name] of names.entries()) room.start(name, machines[i]!);
    for (const name of names) {
      const { program } = room.peers.get(name)!;
      await program.until(
        "all others",
        async () => (await room.known(name)).length === 29,
        120_000,
      );
    }
  },
);

Deno.test(
  "where there is no multicast, a peer says so once, and works all the same",
  OPTIONS,
  async () => {
    await using room = await Room.make();
    const machine = await room.lan.machine(2);
    await machine.nft(`table inet deaf { chain out { type filter hook output priority 0;
      ip daddr 224.0.0.251 reject;
    }
    }`);
    const ann = room.start("ann", machine);
    const [line] = await ann.waitForLine(/Peers on this network are not found automatically.*/);
    match(
      line!,
      /multicast does not work at 10\.9\.0\.2 .*Join through a bootstrap, or with connect/,
    );
    deepStrictEqual(await room.known("ann"), []);
    strictEqual(ann.lines.filter((each) => each.includes("found automatically")).length, 1);
    strictEqual(await ann.stop(), 0);
    ok(true);
  },
);
