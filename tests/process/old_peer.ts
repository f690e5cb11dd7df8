// A peer without extensions as a process of its own, for machines of a test's own making. It fetches whatever it hears of from
// whoever it believes has it, and prints what it gets.
// Usage: deno run -A tests/process/old_peer.ts <name> <host> <bootstrap host:port> [<file name> <content>]

import { foreignFile, ForeignPeer } from "../wire/foreign.ts";

const EVERY_MS = 300;
const GOSSIP_MS = 5_000;

const [peerId = "", host = "", bootstrap = "", name, content = ""] = Deno.args;
const file = name === undefined
  ? []
  : [foreignFile(name, new TextEncoder().encode(content), peerId, "1744170562")];
await using peer = await ForeignPeer.start({ style: "closes-at-once", peerId, host, files: file });
console.log(`TCP address: ${peer.host}:${peer.port} `);
const got = new Set<string>();
const to = { host: bootstrap.replace(/:\d+$/, ""), port: Number(bootstrap.replace(/.*:/, "")) };
for (let gossipedMs = -Infinity;;) {
  if (bootstrap !== "" && performance.now() - gossipedMs > GOSSIP_MS) {
    gossipedMs = performance.now();
    await peer.gossip(to).catch(() => {});
  }
  for (const [fileId, { entry, holders }] of peer.catalogue) {
    for (const holder of holders) {
      const from = peer.peers.get(holder);
      if (!from || got.has(fileId) || !await peer.get(from, fileId)) continue;
      got.add(fileId);
      console.log(`Got ${entry.file_name} from ${holder}`);
    }
  }
  for (const { fileId, name } of peer.files.values()) {
    if (got.has(fileId)) continue;
    got.add(fileId);
    console.log(`Got ${name} by a push`);
  }
  await new Promise((go) => setTimeout(go, EVERY_MS));
}
