// Peers on one network find each other with no configuration, in networks of the test's own making.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Folder } from "./folder.ts";
import { Lan, type Machine, noNamespaces } from "./namespaces.ts";
import type { Program } from "./program.ts";
import { until } from "../until.ts";
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
  "a packet that cannot be read ends nothing",
  OPTIONS,
  async () => {
    await using room = await Room.make();
    const { lan } = room;
    const ann = room.start("ann", await lan.machine(2));
    await ann.waitForLine(/^AUTO FETCH PROCESS COMPLETE/);
    const other = await lan.machine(3);
    // An answer is promised, and there is none.
    const packet = "\\x00\\x00\\x84\\x00\\x00\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00";
    for (let i = 0; i < 3; i++) {
      await other.run("bash", "-c", `printf '${packet}' > /dev/udp/10.9.0.2/5353`);
    }
    room.start("bob", other);
    await ann.until("bob", async () => (await room.known("ann")).join() === "bob");
    ok(!ann.lines.some((line) => line.includes("found automatically")));
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

async function has(...commands: string[]): Promise<boolean> {
  try {
    for (const command of commands) {
      await new Deno.Command(command, { args: ["--version"] }).output();
    }
    return true;
  } catch {
    console.log(`Skipped: needs ${commands.join(", ")}`);
    return false;
  }
}

const BUS = (path: string) =>
  `<busconfig><type>system</type><auth>EXTERNAL</auth><listen>unix:path=${path}</listen>
<policy context="default"><allow send_destination="*"/><allow own="*"/><allow receive_sender="*"/></policy></busconfig>`;
const AVAHI = `[server]
use-ipv6=no
allow-interfaces=eth0
enable-dbus=yes
disallow-other-stacks=no
[publish]
publish-workstation=no
`;

Deno.test({
  ...OPTIONS,
  ignore: OPTIONS.ignore || !await has("avahi-daemon", "avahi-browse", "dbus-daemon"),
  name: "next to a daemon on the same port, a peer finds others, and avahi-browse shows both",
  async fn() {
    await using room = await Room.make();
    const { lan, folder } = room;
    const machine = await lan.machine(2);
    await folder.write("bus.conf", BUS(folder.at("bus")));
    await folder.write("avahi.conf", AVAHI);
    const env = { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${folder.at("bus")}` };
    await using services = new AsyncDisposableStack();
    const spawn = (...args: string[]) => {
      const child = new Deno.Command("ip", {
        args: ["netns", "exec", machine.namespace, ...args],
        env,
        stdout: "null",
        stderr: "null",
      }).spawn();
      services.defer(async () => {
        child.kill("SIGKILL");
        await child.status;
      });
    };
    spawn("dbus-daemon", `--config-file=${folder.at("bus.conf")}`, "--nofork");
    await until("the bus", () => exists(folder.at("bus")));
    const plain = ["--no-drop-root", "--no-chroot", "--no-proc-title"];
    spawn("avahi-daemon", ...plain, "-f", folder.at("avahi.conf"));
    const ann = room.start("ann", machine);
    room.start("bob", await lan.machine(3));
    await ann.until("bob", async () => (await room.known("ann")).join() === "bob");
    const browse = ["avahi-browse", "-r", "-t", "-p", "_p2p-peer._tcp"];
    await ann.until("both on the list", async () => {
      const { stdout } = await new Deno.Command("ip", {
        args: ["netns", "exec", machine.namespace, ...browse],
        env,
        stderr: "null",
      }).output();
      const shown = new TextDecoder().decode(stdout).split("\n").filter((line) =>
        line.startsWith("=")
      );
      const seen = shown.map((line) => line.split(";")).map((cells) =>
        `${cells[3]?.slice(0, 4)} ${cells[7]}`
      );
      return seen.sort().join() === "ann- 10.9.0.2,bob- 10.9.0.3";
    });
  },
});

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
