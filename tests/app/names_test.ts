// Who is at the other end of a transfer: by name where the peer is known, by address where it is not.

import { strictEqual } from "node:assert/strict";
import { TransferLog } from "../../node/transfer_log.ts";
import type { Service } from "../../app/service.ts";
import { viewedTransfer } from "../../app/status.ts";

/** A service that tracks these peers, by address. */
function serviceOf(tracked: Map<string, string>): Service {
  const soleAt = (ip: string) => {
    const peerId = tracked.get(ip);
    return peerId === undefined ? undefined : { peerId };
  };
  return { node: { peer: { membership: { soleAt } } } } as unknown as Service;
}

Deno.test("a peer that opened the connection is named where it is the only one at its address, and keeps its name when it leaves", () => {
  const tracked = new Map([["127.0.0.1", "eagle"]]);
  const service = serviceOf(tracked);
  const moving = new TransferLog(() => 0);
  const of = { fileId: "a", name: "a.txt", totalBytes: 1 };
  const begin = (kind: "serve" | "push" | "fetch" | "copy" | "upload" | "download", peer: string) =>
    moving.begin({ ...of, kind, peer });
  const serve = begin("serve", "127.0.0.1");
  strictEqual(viewedTransfer(service, serve).peer, "eagle");
  strictEqual(viewedTransfer(service, begin("push", "127.0.0.1")).peer, "eagle");
  strictEqual(viewedTransfer(service, begin("serve", "10.0.0.9")).peer, "10.0.0.9");
  // A browser at the machine of a peer is not that peer, and a name that looks like an address stays a name.
  for (const kind of ["upload", "download", "fetch", "copy"] as const) {
    strictEqual(viewedTransfer(service, begin(kind, "127.0.0.1")).peer, "127.0.0.1", kind);
  }
  tracked.clear();
  strictEqual(viewedTransfer(service, serve).peer, "eagle");
});
