// What `doctor` says of addresses and clocks; ports, bootstraps and reach are tested with processes.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { addressFinding, clockFindingOf, reachFinding } from "../../app/doctor.ts";
import { findingsText } from "../../cli/findings_text.ts";

const on = (name: string, address: string) =>
  ({ name, address, family: address.includes(":") ? "IPv6" : "IPv4" }) as const;

Deno.test("an address that others cannot reach, or hardly, is told from one that they can", () => {
  const interfaces = [
    on("lo", "127.0.0.1"),
    on("eth0", "10.0.0.2"),
    on("eth0", "2001:db8::2"),
    on("eth0", "fe80::1"),
    on("docker0", "172.17.0.1"),
    on("tun0", "10.8.0.9"),
  ];
  const of = (host: string) => {
    const { is, text, cure = "" } = addressFinding(host, interfaces);
    return [is, text, cure] as const;
  };
  deepStrictEqual(of("10.0.0.2"), [
    "fine",
    "10.0.0.2 is advertised; new peers also try 2001:db8::2",
    "",
  ]);
  deepStrictEqual(of("eagle.example.org"), ["fine", "eagle.example.org is advertised", ""]);
  for (const host of ["127.0.0.1", "localhost", "::1"]) {
    const [is, text, cure] = of(host);
    strictEqual(is, "note");
    match(`${text}. ${cure}`, /only peers on this machine can connect. Connect this machine/);
  }
  for (const host of ["172.17.0.1", "10.8.0.9"]) {
    const [is, text] = of(host);
    strictEqual(is, "note");
    match(text, /the address of (docker0|tun0): a tunnel, or a bridge/);
  }
});

Deno.test("a network that keeps its machines apart is named among the causes of what others say", () => {
  const text = "3 peers cannot connect to 10.0.0.2:8115 (timed out)";
  const blocked = reachFinding({ peers: 3, unreachable: { text } });
  deepStrictEqual([blocked.is, blocked.text, blocked.kind], ["wrong", text, "unreachable"]);
  match(blocked.cure ?? "", /guest networks and some Wi-Fi/);
  strictEqual(reachFinding({ peers: 3, unreachable: null }).is, "fine");
  for (const nobodyKnows of [undefined, { peers: 0, unreachable: null }]) {
    strictEqual(reachFinding(nobodyKnows).is, "note");
  }
});

Deno.test("a clock that is certainly wrong is told from one that may be", () => {
  const now = Date.UTC(2027, 5, 1);
  strictEqual(clockFindingOf(now, undefined).is, "fine");
  strictEqual(clockFindingOf(now, now + 3_600_000).is, "fine");
  strictEqual(clockFindingOf(now, now + 2 * 86_400_000).is, "note");
  for (const wrong of [0, Date.UTC(2019, 1, 1), Date.UTC(2090, 1, 1)]) {
    strictEqual(clockFindingOf(wrong, undefined).is, "wrong");
  }
});

Deno.test("findings are lines with what to do, and a count of those that are wrong", () => {
  const text = findingsText([
    { what: "disk", is: "fine", text: "5 GB free" },
    { what: "P2P port", is: "wrong", text: "It is in use", cure: "Choose another one" },
  ]);
  deepStrictEqual(text.split("\n"), [
    "ok     disk      5 GB free",
    "WRONG  P2P port  It is in use. Choose another one",
    "1 of 2 points are wrong",
  ]);
  ok(findingsText([]).endsWith("Nothing is wrong"));
});
