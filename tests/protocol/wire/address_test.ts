// Addresses: judged by the machine they lead to, in whatever spelling.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import {
  addressText,
  canonicalHost,
  canonicalIp,
  dialRefusal,
  isLoopback,
  isLoopbackHost,
} from "../../../protocol/wire/address.ts";

const OWN = { ips: ["10.9.9.9", "fd00::9"], ports: [5000, 8080] };

/** All known spellings that reach this machine. */
const LOOPBACKS = [
  ...[
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "017700000001",
  ],
  ...["0x7f.1", "0177.1", "0x7F.0x0.0.1", "127.0.0.1.", "0177.0.0.01", "127.0x1", "0x7f.0.0x0.1"],
  ...[
    "0",
    "0.0",
    "0.0.0.0",
    "0x0",
    "00",
    "0x",
    "::",
    "::0",
    "0::0",
    "::1",
    "[::1]",
    "0:0:0:0:0:0:0:1",
  ],
  ...["::ffff:127.0.0.1", "::FFFF:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:127.0.0.1"],
  ...["::ffff:0.0.0.0", "::ffff:0:0", "::1%lo", "::1%1", "[::ffff:127.9.9.9]", "0000::0001"],
];
const LOOPBACK_NAMES = ["localhost", "LOCALHOST", "localhost.", "a.localhost", "a.b.LocalHost."];

Deno.test("every spelling of loopback is recognized", () => {
  for (const host of LOOPBACKS) {
    const ip = canonicalIp(host);
    ok(ip !== undefined && isLoopback(ip), `${host} is ${ip}`);
    ok(isLoopbackHost(host), host);
  }
  for (const host of LOOPBACK_NAMES) {
    strictEqual(canonicalIp(host), undefined);
    ok(isLoopbackHost(host), host);
  }
  for (
    const host of [
      "128.0.0.1",
      "localhost.example",
      "notlocalhost",
      "12.7.0.1",
      "::2",
      "1270.0.0.1",
    ]
  ) {
    ok(!isLoopbackHost(host), host);
  }
});

Deno.test("any spelling of an IPv4 address is the same address", () => {
  const spell = fc.constantFrom(
    (n: number) => String(n),
    (n: number) => `0x${n.toString(16)}`,
    (n: number) => `0X${n.toString(16).toUpperCase()}`,
    (n: number) => `0${n.toString(8)}`,
    (n: number) => `0x000${n.toString(16)}`,
  );
  fc.assert(
    fc.property(
      fc.tuple(...Array.from({ length: 4 }, () => fc.nat(255))),
      fc.integer({ min: 1, max: 4 }),
      fc.tuple(spell, spell, spell, spell),
      fc.constantFrom("", "."),
      (bytes, parts, spells, dot) => {
        const ip = bytes.join(".");
        const tail = bytes.slice(parts - 1).reduce((sum, byte) => sum * 256 + byte, 0);
        const numbers = [...bytes.slice(0, parts - 1), tail];
        strictEqual(canonicalIp(numbers.map((n, i) => spells[i]!(n)).join(".") + dot), ip);
        strictEqual(canonicalHost(numbers.join(".")), ip);
        for (const v6 of [`::ffff:${ip}`, `0:0:0:0:0:FFFF:${ip}`, `[::ffff:${ip}]`]) {
          strictEqual(canonicalIp(v6), ip, v6);
        }
      },
    ),
  );
});

Deno.test("trailing dots do not change an address", () => {
  for (const ip of ["10.0.0.1", "127.0.0.1", "255.255.255.255"]) {
    strictEqual(canonicalIp(`${ip}.`), ip);
    strictEqual(canonicalHost(`${ip}.`), ip);
  }
});

Deno.test("an IPv6 address has one canonical form", () => {
  const same = [
    "2001:db8::1",
    "2001:DB8::0:1",
    "2001:0db8:0:0:0:0:0:1",
    "[2001:db8::1]",
    "2001:db8::1%eth0",
  ];
  for (const text of same) strictEqual(canonicalIp(text), "2001:db8::1", text);
  strictEqual(canonicalIp("fe80::1%eth0"), "fe80::1");
});

Deno.test("anything that is not an IP address is a name, in lower case and without trailing dots", () => {
  for (
    const name of [
      "eagle",
      "a.example",
      "10.0.0.1.example",
      "x127.0.0.1",
      "",
      "1.2.3.4.5",
      "256.1.1.1.",
      "::g",
      "1:2",
    ]
  ) {
    strictEqual(canonicalIp(name), undefined, name);
  }
  strictEqual(canonicalHost("Eagle.Lab.EXAMPLE."), "eagle.lab.example");
  strictEqual(canonicalHost("eagle"), "eagle");
});

Deno.test("judging an address never throws, and gives the same result for the canonical form", () => {
  const near = fc.string({ unit: fc.constantFrom(..."0123456789abcdefx.:%[]@/#? -") });
  fc.assert(
    fc.property(fc.oneof(near, fc.string({ unit: "binary" })), (text) => {
      const canonical = canonicalHost(text);
      strictEqual(canonicalHost(canonical), canonical);
      const ip = canonicalIp(text);
      if (ip !== undefined) strictEqual(canonicalIp(ip), ip);
      dialRefusal(text, 6000, "remote", OWN);
      isLoopbackHost(text);
    }),
    { numRuns: 200, examples: [["0.."], ["127.1..."], ["."]] },
  );
});

Deno.test("a remote sender cannot have loopback, link-local, multicast or reserved addresses dialed", () => {
  const never = [
    "169.254.1.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "0.1.2.3",
  ];
  never.push(
    "fe80::1",
    "FE80::1",
    "febf::1",
    "ff02::1",
    "::ffff:169.254.169.254",
    "0xa9fea9fe",
    "::ffff:224.0.0.1",
  );
  for (const ip of never) {
    ok(dialRefusal(ip, 6000, "remote", OWN), ip);
    ok(dialRefusal(ip, 6000, "local", OWN), ip);
    strictEqual(dialRefusal(ip, 6000, "operator", OWN), undefined, ip);
  }
  for (const ip of LOOPBACKS) {
    ok(dialRefusal(ip, 6000, "remote", OWN), ip);
    strictEqual(dialRefusal(ip, 6000, "local", OWN), undefined, ip);
    strictEqual(dialRefusal(ip, 6000, "operator", OWN), undefined, ip);
  }
  for (
    const ip of [
      "10.0.0.1",
      "192.168.1.1",
      "172.16.0.1",
      "8.8.8.8",
      "fd00::1",
      "2001:db8::1",
      "223.255.255.255",
    ]
  ) {
    for (const voucher of ["remote", "local", "operator"] as const) {
      strictEqual(dialRefusal(ip, 6000, voucher, OWN), undefined, ip);
    }
  }
});

Deno.test("only the operator may name a privileged port", () => {
  for (const port of [1, 22, 80, 443, 1023]) {
    for (const ip of ["10.0.0.1", "127.0.0.1", "2001:db8::1"]) {
      ok(dialRefusal(ip, port, "remote", OWN), `${ip} ${port}`);
      ok(dialRefusal(ip, port, "local", OWN), `${ip} ${port}`);
      strictEqual(dialRefusal(ip, port, "operator", OWN), undefined);
    }
  }
  strictEqual(dialRefusal("10.0.0.1", 1024, "remote", OWN), undefined);
});

Deno.test("nobody, not even the operator, makes us dial ourselves", () => {
  for (const port of OWN.ports) {
    for (const ip of [...OWN.ips, ...LOOPBACKS, "::ffff:10.9.9.9", "0x0a090909", "FD00:0::9"]) {
      for (const voucher of ["operator", "local", "remote"] as const) {
        ok(dialRefusal(ip, port, voucher, OWN), `${ip} ${port} ${voucher}`);
      }
    }
    strictEqual(dialRefusal("10.9.9.8", port, "remote", OWN), undefined);
  }
  // Another peer on the same machine may be dialed.
  strictEqual(dialRefusal("10.9.9.9", 5001, "remote", OWN), undefined);
});

Deno.test("a host name instead of a resolved address is refused", () => {
  for (const name of ["eagle", "localhost", "", "127.0.0.1.example"]) {
    for (const voucher of ["operator", "local", "remote"] as const) {
      strictEqual(dialRefusal(name, 6000, voucher, OWN), "is not an IP address");
    }
  }
});

Deno.test("an address as text is unambiguous", () => {
  deepStrictEqual(
    [{ host: "10.0.0.1", port: 80 }, { host: "2001:db8::1", port: 80 }, { host: "eagle", port: 1 }]
      .map(addressText),
    ["10.0.0.1:80", "[2001:db8::1]:80", "eagle:1"],
  );
});
