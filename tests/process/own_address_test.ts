// A machine gets another address while its peer runs, or its first one. Both sides know at once, and no file is lost.

import { strictEqual } from "node:assert/strict";
import { Folder } from "./folder.ts";
import { Cable, type Machine, noNamespaces } from "./namespaces.ts";
import type { Program } from "./program.ts";
import { SANITIZED } from "./together.ts";

const OPTIONS = { ...SANITIZED, ignore: noNamespaces !== undefined };
const ARGS = ["--auto-fetch", "all", "--min-free", "0", "--web-auth", "off"];

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

Deno.test(
  "when a machine's address changes, its peer and the others know it at once, and no file is lost",
  OPTIONS,
  async () => {
    await using folder = await Folder.make();
    await using cable = await Cable.make();
    const [a, b] = cable.machines;
    await a.ip("addr add 10.9.0.2/24 dev eth0");
    await b.ip("addr add 10.9.0.3/24 dev eth0");
    await folder.folder("a");
    await folder.folder("b");
    await folder.write("a/from a.txt", "a");
    await folder.write("b/from b.txt", "b");
    const args = (name: string) => [...ARGS, "--dir", folder.at(name)];
    await using bob = b.start("bob", [...args("b"), "--no-bootstrap"], { cwd: folder.path });
    const port = await portOf(bob);
    const bootstrap = ["--bootstrap", `10.9.0.3:${port}`];
    await using ann = a.start("ann", [...args("a"), ...bootstrap], { cwd: folder.path });
    const own = await portOf(ann);
    const all = "from a.txt: ann bob; from b.txt: ann bob";
    const [annHttp, bobHttp] = [await httpOf(ann), await httpOf(bob)];
    const knows = async (machine: Machine, program: Program, http: string) => {
      await program.until(all, async () => await known(machine, http) === all);
    };
    await knows(a, ann, annHttp);
    await knows(b, bob, bobHttp);

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
    await folder.write("a/later.txt", "later");
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
    await using folder = await Folder.make();
    await using cable = await Cable.make();
    const [a, b] = cable.machines;
    await b.ip("addr add 10.9.0.3/24 dev eth0");
    const args = (name: string) => [...ARGS, "--dir", folder.at(name)];
    await folder.folder("b");
    await folder.write("b/from b.txt", "b");
    await using bob = b.start("bob", [...args("b"), "--no-bootstrap"], { cwd: folder.path });
    const bootstrap = ["--bootstrap", `10.9.0.3:${await portOf(bob)}`];
    await using ann = a.start("ann", [...args("a"), ...bootstrap], { cwd: folder.path });
    await ann.waitForLine(/^This machine has no network/);
    const own = await portOf(ann);
    await a.ip("addr add 10.9.0.2/24 dev eth0");
    await ann.waitForLine(new RegExp(`This machine is at 10\\.9\\.0\\.2:${own} now`));
    await ann.waitForLine(/Synchronized/);
    await bob.waitForLine(new RegExp(`Peer ann joined at 10\\.9\\.0\\.2:${own}`));
  },
);

Deno.test(
  "a machine with IPv6 alone advertises its IPv6 address, and others fetch from there",
  OPTIONS,
  async () => {
    await using folder = await Folder.make();
    await using cable = await Cable.make();
    const [a, b] = cable.machines;
    await a.ip("addr add fd00:9::2/64 dev eth0 nodad");
    await b.ip("addr add fd00:9::3/64 dev eth0 nodad");
    const args = (name: string) => [...ARGS, "--dir", folder.at(name)];
    await folder.folder("a");
    await folder.write("a/from a.txt", "a");
    await using ann = a.start("ann", [...args("a"), "--no-bootstrap"], { cwd: folder.path });
    await ann.waitForLine(/^TCP address: \[fd00:9::2\]:\d+ /);
    const [, port] = await ann.waitForLine(/^TCP address: \S+:(\d+) /);
    const bootstrap = ["--bootstrap", `[fd00:9::2]:${port}`];
    await using bob = b.start("bob", [...args("b"), ...bootstrap], { cwd: folder.path });
    await bob.waitForLine(/Synchronized/);
    const http = await httpOf(bob);
    await bob.until("the file", async () => await known(b, http) === "from a.txt: ann bob");
    await ann.waitForLine(/Peer bob joined at \[fd00:9::3\]:\d+/);
  },
);

Deno.test(
  "a peer to which nobody can connect says so, and what may help, instead of blaming the others",
  OPTIONS,
  async () => {
    await using folder = await Folder.make();
    await using cable = await Cable.make();
    const [a, b] = cable.machines;
    await a.ip("addr add 10.9.0.2/24 dev eth0");
    await b.ip("addr add 10.9.0.3/24 dev eth0");
    const args = (name: string) => [...ARGS, "--dir", folder.at(name)];
    await using bob = b.start("bob", [...args("b"), "--no-bootstrap"], { cwd: folder.path });
    const bootstrap = ["--bootstrap", `10.9.0.3:${await portOf(bob)}`];
    // Nothing from outside gets in, as behind a firewall.
    const closed = ["--listen-host", "127.0.0.1"];
    await using ann = a.start("ann", [...args("a"), ...bootstrap, ...closed], { cwd: folder.path });
    const own = await portOf(ann);
    await ann.waitForLine(
      new RegExp(`nobody has connected to 10\\.9\\.0\\.2:${own} to answer: .*open TCP port ${own}`),
    );
  },
);
