// What peers on one network tell each other: records, and what is read of those of others.

import { deepStrictEqual, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { decode, encode } from "dns-packet";
import {
  announcementsIn,
  instanceOf,
  isAsked,
  isOnLink,
  type Record,
  recordsOf,
  SERVICE,
} from "../../net/dnssd.ts";

const ANN = {
  peerId: "ann",
  node: "aB3_".padEnd(43, "x"),
  port: 8115,
  httpPort: 8116,
  machine: "eagle",
  ips: ["10.0.0.2"],
};

/** Sends records through the real codec. */
function sent(records: readonly Record[]): Record[] {
  const packet = { type: "response", answers: records } as unknown as Parameters<typeof encode>[0];
  return (decode(encode(packet)) as { answers: Record[] }).answers;
}

Deno.test("what one peer announces, another reads: its port and its key", () => {
  deepStrictEqual(announcementsIn(sent(recordsOf(ANN))), [{ port: 8115, node: ANN.node }]);
  deepStrictEqual(announcementsIn(sent(recordsOf(ANN, 0))), [], "a goodbye announces nobody");
  const names = sent(recordsOf(ANN)).map(({ name, type }) => `${type} ${name}`);
  deepStrictEqual(names, [
    `PTR ${SERVICE}`,
    `SRV ann-aB3xxxxx.${SERVICE}`,
    `TXT ann-aB3xxxxx.${SERVICE}`,
    "A eagle-aB3xxxxx.local",
    "PTR _services._dns-sd._udp.local",
  ]);
});

Deno.test("peers of one name have instances of different names, and any name fits into a label", () => {
  notStrictEqual(instanceOf(ANN), instanceOf({ ...ANN, node: "Zz".padEnd(43, "y") }));
  for (
    const peerId of ["x".repeat(128), "ü".repeat(128), "a.b.c", "😀".repeat(60), "\x1b[31m", ""]
  ) {
    const records = recordsOf({ ...ANN, peerId });
    const label = instanceOf({ ...ANN, peerId }).slice(0, -SERVICE.length - 1);
    ok(new TextEncoder().encode(label).length <= 63 && !label.includes("."), label);
    deepStrictEqual(announcementsIn(sent(records)), [{ port: 8115, node: ANN.node }], peerId);
  }
});

Deno.test("questions about the service or the instance are ours, others are not", () => {
  const asks = (name: string) => isAsked([{ name, type: "PTR" }], ANN);
  ok(asks(SERVICE) && asks(SERVICE.toUpperCase()) && asks(instanceOf(ANN)));
  ok(!asks("_http._tcp.local") && !asks("eagle.local") && !isAsked([], ANN));
});

Deno.test("announcements that do not fit are left out, and a packet announces only so many", () => {
  const ptr = (data: unknown, ttl = 120) => ({ name: SERVICE, type: "PTR", ttl, data });
  const srv = (name: string, port: unknown) => ({ name, type: "SRV", ttl: 120, data: { port } });
  const table: [string, Record[]][] = [
    ["no port", [ptr("a")]],
    ["another one's port", [ptr("a"), srv("b", 8115)]],
    ["port 0", [ptr("a"), srv("a", 0)]],
    ["port 65536", [ptr("a"), srv("a", 65_536)]],
    ["no number", [ptr("a"), srv("a", "8115")]],
    ["no name", [ptr(7), srv("a", 8115)]],
    ["another service", [{ ...ptr("a"), name: "_http._tcp.local" }, srv("a", 8115)]],
    ["a goodbye", [ptr("a", 0), srv("a", 8115)]],
    ["nothing", [{ name: "a", type: "SRV" }]],
  ];
  for (const [what, records] of table) deepStrictEqual(announcementsIn(records), [], what);
  const bad = { name: "a", type: "TXT", ttl: 1, data: [new Uint8Array([255, 254]), "node=short"] };
  deepStrictEqual(announcementsIn([ptr("a"), srv("a", 8115), bad]), [{
    port: 8115,
    node: undefined,
  }]);
  const many = Array.from({ length: 500 }, (_, i) => [ptr(`p${i}`), srv(`p${i}`, 8115)]).flat();
  strictEqual(announcementsIn(many).length, 32);
});

Deno.test("only addresses on our own networks count, and not our own", () => {
  const own = [
    { address: "10.1.2.3", netmask: "255.255.252.0" },
    { address: "192.168.7.9", netmask: "255.255.255.0" },
    { address: "172.16.0.1", netmask: "0.0.0.0" },
  ];
  for (const ip of ["10.1.0.1", "10.1.3.254", "192.168.7.1"]) ok(isOnLink(ip, own), ip);
  const others = [
    "10.1.4.1",
    "10.1.2.3",
    "192.168.8.1",
    "8.8.8.8",
    "127.0.0.1",
    "fd00::1",
    "eagle",
    "",
  ];
  for (const ip of others) ok(!isOnLink(ip, own), ip);
});
