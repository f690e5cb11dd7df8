// The folder of a running peer: what people and programs do in it, and what the network learns of that.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { ForeignPeer } from "../wire/foreign.ts";
import { Folder } from "./folder.ts";
import { held, named, SHARED_MS, start } from "./network.ts";
import { SANITIZED, together } from "./together.ts";

Deno.test(
  "only regular files with ordinary names, directly in the folder, are shared",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using peer = await start(folder, "kashifm", []);
    await folder.write("secret.txt", "secret");
    const store = folder.at("storage_kashifm");
    await folder.folder("storage_kashifm", "subfolder");
    for (const name of [".hidden", "metadata.json.damaged-2026-11-28", "subfolder/below.txt"]) {
      await Deno.writeTextFile(`${store}/${name}`, name);
    }
    await Deno.symlink(folder.at("secret.txt"), `${store}/link.txt`);
    await Deno.symlink("/dev/zero", `${store}/device`);
    await folder.write("storage_kashifm/plain.txt", "plain");
    await named(peer, "plain.txt", SHARED_MS);
    // Found by another scan, which had all the other entries in view too.
    await folder.write("storage_kashifm/later.txt", "later");
    await named(peer, "later.txt", SHARED_MS);
    deepStrictEqual((await held(peer)).map(({ file_name }) => file_name).sort(), [
      "later.txt",
      "plain.txt",
    ]);
  },
);

Deno.test(
  "a file changed or removed behind the peer's back is no longer listed or served",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using peer = await start(folder, "kashifm", [], { args: ["--auto-fetch", "0"] });
    await using asker = await ForeignPeer.start({ style: "same-connection", peerId: "asker" });
    const ids = await together(["changed", "removed", "stays"].map(async (name) => {
      await folder.write(`storage_kashifm/${name}`, `${name} ${"x".repeat(5_000)}`);
      return (await named(peer, name, SHARED_MS)).file_id;
    }));
    await Deno.writeTextFile(folder.at("storage_kashifm", "changed"), "something else");
    await Deno.remove(folder.at("storage_kashifm", "removed"));
    const isHeld = async (fileId: string) =>
      (await held(peer)).some(({ file_id }) => file_id === fileId);
    await peer.until("both changes to be noticed", async () => {
      return !(await isHeld(ids[0]!)) && !(await isHeld(ids[1]!));
    }, SHARED_MS);
    await asker.gossip(peer);
    await peer.until("a file list", () => asker.catalogue.has(ids[2]!));
    ok(!asker.catalogue.has(ids[0]!) && !asker.catalogue.has(ids[1]!));
    strictEqual(await asker.get(peer, ids[0]!), undefined);
    strictEqual(await asker.get(peer, ids[1]!), undefined);
    ok(await asker.get(peer, ids[2]!));
    const news = await named(peer, "changed", SHARED_MS);
    strictEqual(new TextDecoder().decode(await peer.content(news.file_id)), "something else");
  },
);

Deno.test(
  "a deletion is recorded before metadata.json drops the file, and a failed snapshot is retried",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using peer = await start(folder, "kashifm", []);
    const store = folder.at("storage_kashifm");
    await folder.write("storage_kashifm/mine.txt", "mine");
    const { file_id } = await named(peer, "mine.txt", SHARED_MS);
    const read = (name: string) => Deno.readTextFile(`${store}/${name}`).catch(() => "");
    await peer.until("a snapshot", async () => (await read("metadata.json")).includes(file_id));
    // From now on metadata.json cannot be replaced.
    await Deno.rename(`${store}/metadata.json`, `${store}/metadata.json.aside`);
    await Deno.mkdir(`${store}/metadata.json/in-the-way`, { recursive: true });
    const { token } = await peer.login();
    const deleted = await fetch(`http://127.0.0.1:${peer.httpPort}/api/v1/files/${file_id}`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${token}` },
    });
    strictEqual(deleted.status, 200);
    await deleted.body?.cancel();
    await peer.until("the deletion in its snapshot", async () => {
      return (await read(".p2p-peer/deleted.json")).includes(file_id);
    });
    await Deno.remove(`${store}/metadata.json`, { recursive: true });
    await peer.until("metadata.json to be written automatically", async () => {
      const text = await read("metadata.json");
      return text !== "" && !text.includes(file_id);
    });
  },
);
