// A machine gets another address while its peer runs, or its first one. Both sides know at once, and no file is lost.

import { strictEqual } from "node:assert/strict";
import { Folder } from "./folder.ts";
import { Cable, type Machine, noNamespaces } from "./namespaces.ts";
import type { Program } from "./program.ts";
import { SANITIZED } from "./together.ts";

const OPTIONS = { ...SANITIZED, ignore: noNamespaces !== undefined };
const ARGS = ["--auto-fetch", "all", "--min-free", "0", "--web-auth", "off", "--no-discovery"];

/** Returns the names of the files that a peer on this machine knows, and who holds each. */
async function known(machine: Machine, http: string): Promise<string> {
  const text = await machine.run("curl", "-sS", "--noproxy", "*", `${http}/api/v1/files`);
  const { files } = JSON.parse(text) as {
    files: { file_name: string; peers_with_file: string[] }[];
  };
  return files.map(({ file_name, peers_with_file }) =>
    `${file_name}: ${peers_with_file.toSorted().join(" ")}`
  ).sort().join("; ");
}

const httpOf = async (program: Program) =>
  (await program.waitForLine(/^HTTP address: (http:\S+)$/))[1]!;
const portOf = async (program: Program) =>
  (await program.waitForLine(/^TCP address: \S+:(\d+) /))[1]!;

/** Two machines with at most one address each, and a folder with a file for the peer on each. */
class Lab implements AsyncDisposable {
  readonly #all = new AsyncDisposableStack();

  private constructor(readonly folder: Folder, readonly machines: readonly [Machine, Machine]) {}

  static async make(...addresses: (string | undefined)[]): Promise<Lab> {
    const folder = await Folder.make();
    const cable = await Cable.make();
    const lab = new Lab(folder, cable.machines);
    lab.#all.use(folder);
    lab.#all.use(cable);
    for (const [i, name] of ["a", "b"].entries()) {
      const address = addresses[i];
      if (address !== undefined) await cable.machines[i]!.ip(`addr add ${address} dev eth0 nodad`);
      await folder.folder(name);
      await folder.write(`${name}/from ${name}.txt`, name);
    }
    return lab;
  }

  /** Starts ann on the first machine, or bob on the second. */
  start(name: "ann" | "bob", ...args: string[]): Program {
    const machine = this.machines[name === "ann" ? 0 : 1];
    const dir = ["--dir", this.folder.at(name[0]!)];
    return this.#all.use(
      machine.start(name, [...ARGS, ...dir, ...args], { cwd: this.folder.path }),
    );
  }

  /** Starts a peer without extensions on the second machine. */
  startOld(name: string, host: string): Program {
    return this.#all.use(this.machines[1].startOld(name, host, { cwd: this.folder.path }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#all.disposeAsync();
  }
}

const through = async (host: string, program: Program) => [
  "--bootstrap",
  `${host}:${await portOf(program)}`,
];

Deno.test(
  "when a machine's address changes, its peer and the others know it at once, and no file is lost",
  OPTIONS,
  async () => {
    await using lab = await Lab.make("10.9.0.2/24", "10.9.0.3/24");
    const [a, b] = lab.machines;
    const bob = lab.start("bob", "--no-bootstrap");
    const ann = lab.start("ann", ...await through("10.9.0.3", bob));
    const own = await portOf(ann);
    const all = "from a.txt: ann bob; from b.txt: ann bob";
    const [annHttp, bobHttp] = [await httpOf(ann), await httpOf(bob)];
    await ann.until(all, async () => await known(a, annHttp) === all);
    await bob.until(all, async () => await known(b, bobHttp) === all);

    await a.ip("addr del 10.9.0.2/24 dev eth0");
    await a.ip("addr add 10.9.0.7/24 dev eth0");
    await ann.waitForLine(
      new RegExp(
        `This machine is at 10\\.9\\.0\\.7:${own} now, no longer at 10\\.9\\.0\\.2:${own}; telling 1 peer`,
      ),
    );
    await bob.waitForLine(
      new RegExp(`Peer ann moved from 10\\.9\\.0\\.2:${own} to 10\\.9\\.0\\.7:${own}`),
    );
    strictEqual(await known(b, bobHttp), all);
    // A file that appears now is fetched from the new address.
    await lab.folder.write("a/later.txt", "later");
    await bob.until(
      "the later file",
      async () => (await known(b, bobHttp)).includes("later.txt: ann bob"),
    );
  },
);

Deno.test(
  "a peer that starts without a network says so, and joins once there is one",
  OPTIONS,
  async () => {
    await using lab = await Lab.make(undefined, "10.9.0.3/24");
    const bob = lab.start("bob", "--no-bootstrap");
    const ann = lab.start("ann", ...await through("10.9.0.3", bob));
    await ann.waitForLine(/^This machine has no network/);
    const own = await portOf(ann);
    await lab.machines[0].ip("addr add 10.9.0.2/24 dev eth0");
    await ann.waitForLine(new RegExp(`This machine is at 10\\.9\\.0\\.2:${own} now`));
    await ann.waitForLine(/Synchronized/);
    await bob.waitForLine(new RegExp(`Peer ann joined at 10\\.9\\.0\\.2:${own}`));
  },
);

Deno.test(
  "a machine with IPv6 alone advertises its IPv6 address, and others fetch from there",
  OPTIONS,
  async () => {
    await using lab = await Lab.make("fd00:9::2/64", "fd00:9::3/64");
    const ann = lab.start("ann", "--no-bootstrap");
    await ann.waitForLine(/^TCP address: \[fd00:9::2\]:\d+ /);
    const bob = lab.start("bob", ...await through("[fd00:9::2]", ann));
    await bob.waitForLine(/Synchronized/);
    const http = await httpOf(bob);
    await bob.until(
      "the file",
      async () => (await known(lab.machines[1], http)).includes("from a.txt: ann bob"),
    );
    await ann.waitForLine(/Peer bob joined at \[fd00:9::3\]:\d+/);
  },
);

Deno.test(
  "a peer to which nobody can connect says so, and what may help, instead of blaming the others",
  OPTIONS,
  async () => {
    await using lab = await Lab.make("10.9.0.2/24", "10.9.0.3/24");
    // A peer without extensions answers on a new connection, and in no other way.
    const bob = lab.startOld("bob", "10.9.0.3");
    // Nothing from outside gets in, as behind a firewall.
    const closed = ["--listen-host", "127.0.0.1"];
    const ann = lab.start("ann", ...await through("10.9.0.3", bob), ...closed);
    const own = await portOf(ann);
    await ann.waitForLine(
      new RegExp(`nobody has connected to 10\\.9\\.0\\.2:${own} to answer: .*open TCP port ${own}`),
    );
  },
);
