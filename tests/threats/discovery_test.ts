// Threat 35 in docs/SECURITY-TESTS.md: peers announced on the local network that do not exist, or are elsewhere.
// (The rules are tested in tests/protocol/members/discovered_test.ts and tests/net/dnssd_test.ts.)

import { ok, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Folder } from "../process/folder.ts";
import { Lan, type Machine, noNamespaces } from "../process/namespaces.ts";
import { SANITIZED } from "../process/together.ts";

const OPTIONS = { ...SANITIZED, ignore: noNamespaces !== undefined };
const ARGS = ["--auto-fetch", "0", "--min-free", "0", "--web-auth", "off", "--no-bootstrap"];

/** Counts connections that somebody tries to open to a machine. */
async function counting(machine: Machine): Promise<() => Promise<number>> {
  await machine.nft(`table inet seen { counter opened { }
    chain in { type filter hook input priority 0;
      iifname "eth0" tcp flags & (syn | ack) == syn counter name opened;
    }
  }`);
  return async () => {
    const text = await machine.run("nft", "list", "counter", "inet", "seen", "opened");
    return Number(/packets (\d+)/.exec(text)?.[1]);
  };
}

Deno.test(
  "threat 35: thousands of forged announcements cost a few dials to their sender, and nobody else is dialed",
  OPTIONS,
  async () => {
    await using folder = await Folder.make();
    await using lan = await Lan.make();
    const [home, hostile, third] = [
      await lan.machine(2),
      await lan.machine(66),
      await lan.machine(77),
    ];
    const dir = ["--dir", folder.at("ann")];
    await using ann = home.start("ann", [...ARGS, ...dir], { cwd: folder.path });
    await ann.waitForLine(/^AUTO FETCH PROCESS COMPLETE/);
    const [toSender, toThird] = [await counting(hostile), await counting(third)];
    const script = fileURLToPath(new URL("announcer.ts", import.meta.url));
    const said = await hostile.run(Deno.execPath(), "run", "-A", "-q", script, "3000", lan.at(66));
    strictEqual(said.trim(), "announced");
    // One that is really there is found all the same.
    const bobDir = ["--dir", folder.at("bob")];
    await using bob = (await lan.machine(3)).start("bob", [...ARGS, ...bobDir], {
      cwd: folder.path,
    });
    await ann.waitForLine(/Peer bob joined at 10\.9\.0\.3:/);
    await bob.waitForLine(/Peer ann joined at 10\.9\.0\.2:/);
    const dials = await toSender();
    ok(
      dials > 0 && dials <= 80,
      `${dials} connections for 3,000 announcements (each may be tried twice by the system)`,
    );
    strictEqual(
      await toThird(),
      0,
      "the address in a record is not where the announcement came from",
    );
  },
);
