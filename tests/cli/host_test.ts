// The address to advertise: the first global IPv4 address, preferring real hardware.

import assert from "node:assert/strict";
import { furtherAddresses, globalAddresses } from "../../cli/host.ts";

const v4 = (name: string, address: string) => ({ name, address, family: "IPv4" as const });
const v6 = (name: string, address: string) => ({ name, address, family: "IPv6" as const });

Deno.test("the first global IPv4 address is advertised", () => {
  const interfaces = [
    v4("lo", "127.0.0.1"),
    v6("eth0", "2001:db8::1"),
    v4("eth0", "130.179.28.112"),
  ];
  assert.equal(globalAddresses(interfaces)[0], "130.179.28.112");
  assert.equal(globalAddresses([...interfaces, v4("eth1", "10.0.0.1")])[0], "130.179.28.112");
});

Deno.test("an address that other machines cannot reach is not advertised", () => {
  const useless = [
    "127.0.0.1",
    "127.0.1.1",
    "169.254.10.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
  ];
  for (const address of useless) {
    assert.equal(globalAddresses([v4("eth0", address)])[0], undefined, address);
    assert.equal(globalAddresses([v4("eth0", address), v4("eth1", "10.0.0.1")])[0], "10.0.0.1");
  }
  for (const address of ["223.255.255.254", "126.0.0.1", "169.253.0.1", "1.0.0.1", "192.168.1.7"]) {
    assert.equal(globalAddresses([v4("eth0", address)])[0], address);
  }
});

Deno.test("container bridges and tunnels rank after hardware", () => {
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
    assert.equal(globalAddresses(both)[0], "10.0.0.5", name);
    assert.equal(globalAddresses(both.slice(0, 1))[0], "172.17.0.1", `${name} alone`);
  }
});

Deno.test("without a network there is no address", () => {
  assert.equal(globalAddresses([])[0], undefined);
  assert.equal(globalAddresses([v4("lo", "127.0.0.1"), v6("lo", "::1")])[0], undefined);
});

Deno.test("an IPv6 address is advertised only where there is no other, and what reaches furthest first", () => {
  const six = [v6("eth0", "fe80::1"), v6("eth0", "fd00::5"), v6("eth1", "2001:db8::5")];
  assert.deepEqual(globalAddresses(six), ["2001:db8::5", "fd00::5"]);
  assert.deepEqual(globalAddresses([...six, v4("eth2", "10.0.0.1")]), ["10.0.0.1"]);
});

Deno.test("further addresses are those of real interfaces, both families by turns, and at most six", () => {
  const interfaces = [
    v4("eth0", "10.0.0.1"),
    v6("eth0", "2001:DB8::0:1"),
    v6("eth0", "fd00::1"),
    v6("eth0", "fe80::1"),
    v4("wlan0", "10.1.0.1"),
    v4("docker0", "172.17.0.1"),
    v6("docker0", "fd17::1"),
  ];
  const of = (host: string, ...families: ("IPv4" | "IPv6")[]) =>
    furtherAddresses(host, interfaces, families);
  assert.deepEqual(of("10.0.0.1", "IPv4", "IPv6"), ["2001:db8::1", "10.1.0.1", "fd00::1"]);
  assert.deepEqual(of("2001:db8::1", "IPv4", "IPv6"), ["fd00::1", "10.0.0.1", "10.1.0.1"]);
  assert.deepEqual(of("10.0.0.1", "IPv4"), ["10.1.0.1"]);
  const many = Array.from({ length: 9 }, (_, i) => v6("eth0", `2001:db8::${i + 1}`));
  assert.equal(furtherAddresses("10.0.0.1", many, ["IPv6"]).length, 6);
});
