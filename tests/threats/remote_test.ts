// Threat 21 in docs/SECURITY-TESTS.md: a sender on another machine names loopback, link-local, and multicast addresses, and
// privileged or own ports, in every spelling, and through names that resolve to them. None may be dialed. Two network
// namespaces stand in for the machines. Outgoing packets are captured; a legitimate address proves that the capture works.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { COMMAND } from "../process/program.ts";
import { SANITIZED } from "../process/together.ts";
import { hasNamespaces, THERE, TwoMachines } from "./namespaces.ts";
import { NAMES, PRIVILEGED, PROPER_PORT, type Seen } from "./remote_scene.ts";

const SCENE = fileURLToPath(new URL("./remote_scene.ts", import.meta.url));

async function seen(machines: TwoMachines, kind: "literals" | "names"): Promise<Seen> {
  const deno = [...COMMAND.slice(0, -1), "--allow-run", "--no-prompt", SCENE];
  const { success, stdout, stderr } = await new Deno.Command("ip", {
    args: ["netns", "exec", machines.here, ...deno, machines.there, kind],
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`The remote scene failed:\n${out}\n${err}`);
  return JSON.parse(out!.trim().split("\n").at(-1)!);
}

function isForbidden(dial: string, { baitPort }: Seen): boolean {
  const [address, port] = dial.split(" ") as [string, string];
  if (/^(169\.254|2[2-5]\d)\.|^f[ef]/.test(address)) return true;
  if (address === THERE) return Number(port) !== PROPER_PORT;
  // The querying peers use 127.0.0.1 and are answered there.
  if (address !== "127.0.0.1") return true;
  return [baitPort, ...PRIVILEGED].includes(Number(port));
}

function assertNoneForbidden(seen: Seen): void {
  const { dials, taken, ownPorts, baitPort, heardItself, report } = seen;
  ok(dials.includes(`${THERE} ${PROPER_PORT}`), `A legitimate address must be dialed. ${report}`);
  const forbidden = new Set(dials.filter((dial) => isForbidden(dial, seen)));
  const { connects, bytes } = taken;
  const came =
    `${connects} connections and ${bytes} bytes arrived at ${baitPort}, own ports: ${ownPorts}`;
  deepStrictEqual([...forbidden], [], came);
  strictEqual(heardItself, false, report);
}

Deno.test({
  ...SANITIZED,
  ignore: !hasNamespaces,
  name:
    "threat 21: a remote sender cannot have a forbidden address or port dialed, however it is spelled",
  async fn() {
    await using machines = await TwoMachines.make();
    const all = await seen(machines, "literals");
    assertNoneForbidden(all);
    const counted = Object.values(all.refused).reduce((sum, count) => sum + count, 0);
    ok(counted >= 40, `Too few refusals counted: ${JSON.stringify(all.refused)}`);
  },
});

Deno.test({
  ...SANITIZED,
  ignore: !hasNamespaces,
  name:
    "threat 21: names that resolve to forbidden addresses are rejected before the dial, not after",
  async fn() {
    await using machines = await TwoMachines.make(NAMES);
    assertNoneForbidden(await seen(machines, "names"));
  },
});
