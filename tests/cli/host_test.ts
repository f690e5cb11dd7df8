// What others are told to reach us by: the first global IPv4 address, of real hardware where there is any.

import assert from "node:assert/strict";
import { firstGlobalAddress } from "../../cli/host.ts";

const v4 = (name: string, address: string) => ({ name, address, family: "IPv4" as const });
const v6 = (name: string, address: string) => ({ name, address, family: "IPv6" as const });

Deno.test("the first global IPv4 address is told", () => {
  const interfaces = [
    v4("lo", "127.0.0.1"),
    v6("eth0", "2001:db8::1"),
    v4("eth0", "130.179.28.112"),
  ];
  assert.equal(firstGlobalAddress(interfaces), "130.179.28.112");
  assert.equal(firstGlobalAddress([...interfaces, v4("eth1", "10.0.0.1")]), "130.179.28.112");
});

Deno.test("an address that leads nowhere else is not told", () => {
  const useless = [
    "127.0.0.1",
    "127.0.1.1",
    "169.254.10.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
  ];
  for (const address of useless) {
    assert.equal(firstGlobalAddress([v4("eth0", address)]), undefined, address);
    assert.equal(firstGlobalAddress([v4("eth0", address), v4("eth1", "10.0.0.1")]), "10.0.0.1");
  }
  for (const address of ["223.255.255.254", "126.0.0.1", "169.253.0.1", "1.0.0.1", "192.168.1.7"]) {
    assert.equal(firstGlobalAddress([v4("eth0", address)]), address);
  }
});

Deno.test("bridges of containers and tunnels stand behind hardware", () => {
  const names = [
    "docker0",
    "br-0a1b",
    "veth12",
    "virbr0",
    "tun0",
    "tap0",
    "wg0",
    "tailscale0",
    "cni0",
  ];
  for (const name of names) {
    const both = [v4(name, "172.17.0.1"), v4("wlp2s0", "10.0.0.5")];
    assert.equal(firstGlobalAddress(both), "10.0.0.5", name);
    assert.equal(firstGlobalAddress(both.slice(0, 1)), "172.17.0.1", `${name} alone`);
  }
});

Deno.test("without a network there is none", () => {
  assert.equal(firstGlobalAddress([]), undefined);
  assert.equal(firstGlobalAddress([v4("lo", "127.0.0.1"), v6("lo", "::1")]), undefined);
});
