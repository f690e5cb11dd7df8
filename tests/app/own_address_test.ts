// Which address a peer advertises while its machine moves from one network to another.

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { listenHostFor } from "../../app/addresses.ts";
import { OwnAddress } from "../../app/own_address.ts";

const on = (...addresses: string[]) =>
  ["127.0.0.1", ...addresses].map((address, i) => ({
    name: i === 0 ? "lo" : address.startsWith("172.17.") ? "docker0" : `eth${i}`,
    family: address.includes(":") ? "IPv6" : "IPv4",
    address,
  } as Deno.NetworkInterfaceInfo));

/** Follows the address through these states. Returns what was told. */
async function told(
  host: string,
  states: readonly (readonly string[] | Error)[],
  isChosen = false,
): Promise<[string, string][]> {
  let current = host;
  let state: readonly string[] | Error = host.startsWith("127.") ? [] : [host];
  const changes: [string, string][] = [];
  const own = new OwnAddress({
    isChosen,
    listenHost: "::",
    host: () => current,
    bootstraps: [],
    onChange: (next, ips) => {
      current = next;
      changes.push([next, ips.join(" ")]);
    },
    interfaces: () => {
      if (state instanceof Error) throw state;
      return on(...state);
    },
  });
  for (state of states) await own.look();
  return changes;
}

Deno.test("the address that is advertised follows the machine, and is kept as long as the machine has it", async () => {
  const table: [string, (readonly string[] | Error)[], [string, string][]][] = [
    ["10.9.0.2", [["10.9.0.2"], ["10.9.0.7"]], [["10.9.0.7", "10.9.0.7"]]],
    ["10.9.0.2", [["10.9.0.7", "10.9.0.2"]], [["10.9.0.2", "10.9.0.2 10.9.0.7"]]],
    ["10.9.0.2", [["10.9.0.7", "10.9.0.2"], ["10.9.0.7"]], [
      ["10.9.0.2", "10.9.0.2 10.9.0.7"],
      ["10.9.0.7", "10.9.0.7"],
    ]],
    // The cable is out, and in again: nothing is announced.
    ["10.9.0.2", [[], [], ["10.9.0.2"]], [["10.9.0.2", ""], ["10.9.0.2", "10.9.0.2"]]],
    ["10.9.0.2", [[], ["10.1.1.1"]], [["10.9.0.2", ""], ["10.1.1.1", "10.1.1.1"]]],
    ["127.0.0.1", [[], ["10.1.1.1"]], [["10.1.1.1", "10.1.1.1"]]],
    ["10.9.0.2", [["2001:db8::5", "fe80::1"]], [["2001:db8::5", "2001:db8::5 fe80::1"]]],
    ["2001:db8::5", [["10.9.0.7", "2001:db8::5"]], [["10.9.0.7", "10.9.0.7 2001:db8::5"]]],
    // A bridge of containers is there all the time, and never a new network.
    ["10.9.0.2", [["10.9.0.2", "172.17.0.1"], ["172.17.0.1"], ["10.1.1.1", "172.17.0.1"]], [
      ["10.9.0.2", "10.9.0.2 172.17.0.1"],
      ["10.9.0.2", "172.17.0.1"],
      ["10.1.1.1", "10.1.1.1 172.17.0.1"],
    ]],
    ["172.17.0.1", [["172.17.0.1"], ["10.1.1.1", "172.17.0.1"]], [
      ["10.1.1.1", "10.1.1.1 172.17.0.1"],
    ]],
    ["10.9.0.2", [new Error("not now"), ["10.9.0.7"]], [["10.9.0.7", "10.9.0.7"]]],
  ];
  for (const [host, states, changes] of table) {
    deepStrictEqual(await told(host, states), changes, JSON.stringify(states));
  }
});

Deno.test("a host that somebody chose is kept, and what may not be dialed is known all the same", async () => {
  deepStrictEqual(await told("10.9.0.2", [["10.9.0.7"]], true), [["10.9.0.2", "10.9.0.7"]]);
});

Deno.test("a machine without a network listens for the one that it may get, unless loopback was chosen", () => {
  strictEqual(listenHostFor("127.0.0.1", "", true), "127.0.0.1");
  strictEqual(listenHostFor("::1", "", true), "::1");
  strictEqual(/^(::|0\.0\.0\.0)$/.test(listenHostFor("127.0.0.1", "", false)), true);
  strictEqual(listenHostFor("127.0.0.1", "10.0.0.1", false), "10.0.0.1");
});

Deno.test("further addresses are told where all interfaces are listened on, and nobody chose one", () => {
  const of = (isChosen: boolean, listenHost: string) => {
    let told: readonly string[] = [];
    new OwnAddress({
      isChosen,
      listenHost,
      host: () => "10.9.0.2",
      bootstraps: [],
      onChange: (_, __, also) => told = also,
      interfaces: () => on("10.9.0.2", "10.9.1.2", "2001:db8::5", "fe80::1", "172.17.0.1"),
    }).start();
    return told.join(" ");
  };
  strictEqual(of(false, "::"), "2001:db8::5 10.9.1.2");
  strictEqual(of(false, "0.0.0.0"), "10.9.1.2");
  strictEqual(of(false, "10.9.0.2"), "");
  strictEqual(of(true, "::"), "");
});
