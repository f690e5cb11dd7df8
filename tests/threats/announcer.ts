// Announces many peers that do not exist, from wherever it is started: a packet each, as fast as the network takes them.
// Arguments: how many, and the address to send from. Prints a line when it is done.

import dgram from "node:dgram";
import { encode } from "dns-packet";

const [count = "0", from = ""] = Deno.args;
const SERVICE = "_p2p-peer._tcp.local";
const socket = dgram.createSocket({ type: "udp4", reuseAddr: true });
await new Promise<void>((go) => socket.bind(0, from, go));
socket.setMulticastInterface(from);
for (let i = 0; i < Number(count); i++) {
  const name = `fake${i}.${SERVICE}`;
  const node = `node=${`${i}`.padStart(43, "n")}`;
  const answers = [
    { name: SERVICE, type: "PTR", ttl: 4_500, data: name },
    { name, type: "SRV", ttl: 120, data: { port: 2_000 + i % 60_000, target: "fake.local" } },
    { name, type: "TXT", ttl: 4_500, data: [node] },
    // Where it says it is; nobody should go there.
    { name: "fake.local", type: "A", ttl: 120, data: "10.9.0.77" },
  ];
  const packet = { type: "response", answers } as unknown as Parameters<typeof encode>[0];
  const bytes = encode(packet);
  await new Promise<void>((go) => socket.send(bytes, 5353, "224.0.0.251", () => go()));
}
socket.close();
console.log("announced");
