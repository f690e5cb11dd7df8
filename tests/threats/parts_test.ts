// Threats 9 and 20 in docs/SECURITY-TESTS.md, for files that several peers fetch at the same time: wrong parts, and requests in
// somebody else's name.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Raw, shout } from "../hostile/raw.ts";
import { HostileServer } from "../hostile/server.ts";
import { Folder, randomBytes } from "../process/folder.ts";
import { named, start } from "../process/network.ts";
import { BLAME, fetchFile, FETCHING, holder, servedBy, SIZE } from "../process/parts.ts";
import { Source } from "../process/source.ts";
import { SANITIZED } from "../process/together.ts";
import { until } from "../until.ts";
import { randomFile, refusals } from "./scene.ts";

const MIB = 1024 ** 2;

Deno.test(
  "threat 9: wrong parts of a peer that fetches the file too are fetched again, and it is blamed",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const content = randomBytes(SIZE);
    await using source = await holder(folder, content);
    const { file_id } = await named(source, "large.bin");
    await using peer = await start(folder, "kashifm", [source], { args: [...FETCHING] });
    const file = { ...randomFile("large.bin", "source", 1), content, fileId: file_id };
    const lying = (_file: unknown, _offset: number, length: number) => randomBytes(length);
    const parts = { can: ["raw", "parts", "offer"], isFellow: true };
    await using liar = new Source("liar", file, lying, Infinity, parts);
    await liar.join(source);
    await liar.join(peer);
    await liar.fetchFrom(source);
    await fetchFile(peer);
    await named(peer, "large.bin", 120_000);
    deepStrictEqual(await Deno.readFile(folder.at("storage_kashifm/large.bin")), content);
    ok(liar.sentBytes >= MIB, `the liar sent ${liar.sentBytes} bytes`);
    strictEqual(await refusals(peer, /^content-mismatch$/), 1);
    strictEqual(await refusals(peer, BLAME), 1, "nobody else is blamed");
    const sent = await servedBy(source);
    ok(sent <= SIZE + 8 * MIB, `${sent} bytes left the source`);
  },
);

Deno.test(
  "threat 20: who asks for a file in another peer's name gets that peer named to nobody, and nobody is named who is not known",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using source = await holder(folder, randomBytes(SIZE));
    const { file_id } = await named(source, "large.bin");
    const target = { host: "127.0.0.1", port: source.port! };
    const ext = { v: 1, can: ["raw", "parts", "offer"] };
    await using servers = new AsyncDisposableStack();
    for (const [peerId, from] of [["victim", "127.0.0.7"], ["asker", "127.0.0.8"]] as const) {
      const { port } = servers.use(await HostileServer.sink({ host: from }));
      const seen = source.tracks(peerId);
      const gossip = { type: "GOSSIP", host: from, port, peerId, ext, id: crypto.randomUUID() };
      await shout(source, gossip, { from });
      await seen;
    }
    /** Asks for a byte, and resolves to the peers that the answer names. */
    const peersTold = async (peer: string, from: string): Promise<string[] | undefined> => {
      using raw = await Raw.open(target, { from });
      const asks = { v: 1, raw: [0, 1], have: [], peer };
      raw.write(JSON.stringify({ type: "GET_FILE", file_id, ext: asks }));
      await until("an answer", () => raw.text.includes("\n"));
      return JSON.parse(raw.text.split("\n")[0]!).ext.peers;
    };
    for (let i = 0; i < 50; i++) {
      strictEqual(await peersTold("victim", "127.0.0.9"), undefined);
      strictEqual(await peersTold(`nobody ${i}`, "127.0.0.9"), undefined);
    }
    deepStrictEqual(await peersTold("asker", "127.0.0.8"), []);
    deepStrictEqual(
      await peersTold("victim", "127.0.0.7"),
      ["asker"],
      "from its own address, it is",
    );
  },
);
