// How the other end of a transfer is shown: by name if the peer is known, by address otherwise.

import { strictEqual } from "node:assert/strict";
import { TransferLog } from "../../node/transfer_log.ts";
import type { Service } from "../../app/service.ts";
import { viewedTransfer } from "../../app/status.ts";

/** Returns a service that tracks these peers, keyed by address. */
function serviceOf(tracked: Map<string, string>): Service {
  const soleAt = (ip: string) => {
    const peerId = tracked.get(ip);
    return peerId === undefined ? undefined : { peerId };
  };
  return { node: { peer: { membership: { soleAt } } } } as unknown as Service;
}

Deno.test("an incoming connection is shown by peer name if its address has only that peer, even after it leaves", () => {
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
  // A browser on a peer's machine is not that peer, and a name that looks like an address is still a name.
  for (const kind of ["upload", "download", "fetch", "copy"] as const) {
    strictEqual(viewedTransfer(service, begin(kind, "127.0.0.1")).peer, "127.0.0.1", kind);
  }
  tracked.clear();
  strictEqual(viewedTransfer(service, serve).peer, "eagle");
});
