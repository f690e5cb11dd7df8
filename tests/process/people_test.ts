// What people do to files in the folder, observed from outside: through the API, in a download, and across restarts.

import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { Folder, randomBytes } from "./folder.ts";
import { Program } from "./program.ts";
import { SANITIZED } from "./together.ts";

const ALONE = ["--no-bootstrap", "--auto-fetch", "0", "--min-free", "0"];

Deno.test(
  "a file that is overwritten during a download is never mistaken for a complete one",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using peer = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    const path = folder.at("storage_kashifm", "big.bin");
    const old = randomBytes(64 * 1024 ** 2);
    await Deno.writeFile(path, old);
    const row = await peer.until("the file to be shared", async () => (await peer.files())[0]);
    const url = `http://127.0.0.1:${peer.httpPort}/api/v1/files/${row.file_id}/content`;
    const response = await fetch(url);
    strictEqual(response.status, 200);
    const reader = response.body!.getReader();
    let bytes = (await reader.read()).value!.length;
    // Overwrites the end of the file in place, as rsync --inplace does.
    const file = await Deno.open(path, { write: true });
    await file.seek(-1_000, Deno.SeekMode.End);
    await file.write(new Uint8Array(1_000));
    file.close();
    await rejects(async () => {
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        bytes += piece.value.length;
      }
      if (bytes === old.length) {
        throw new RangeError("The download completed with a mix of old and new content");
      }
    }, (error: unknown) => !(error instanceof RangeError));
    ok(bytes < old.length, `${bytes} of ${old.length} bytes`);
  },
);

Deno.test(
  "a renamed file has its new name in lists, searches, and downloads, and keeps it after a restart",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const options = { cwd: folder.path };
    let fileId: string;
    const names = async (peer: Program) => {
      const api = `http://127.0.0.1:${peer.httpPort}/api/v1/files`;
      const found = await (await fetch(`${api}?q=final`)).json();
      const head = await fetch(`${api}/${fileId}/content`);
      await head.body?.cancel();
      return [
        (await peer.files()).map(({ file_name }) => file_name),
        found.files.map(({ file_id }: { file_id: string }) => file_id),
        /filename="([^"]*)"/.exec(head.headers.get("content-disposition") ?? "")?.[1],
      ];
    };
    {
      await using peer = await Program.peer("kashifm", ALONE, options);
      await folder.write("storage_kashifm/draft.txt", "words");
      fileId =
        (await peer.until("the file to be shared", async () => (await peer.files())[0])).file_id;
      await Deno.rename(
        folder.at("storage_kashifm", "draft.txt"),
        folder.at("storage_kashifm", "final.txt"),
      );
      await peer.until("the new name to be listed", async () => {
        return (await peer.files()).some(({ file_name }) => file_name === "final.txt");
      });
      deepStrictEqual(await names(peer), [["final.txt"], [fileId], "final.txt"]);
      strictEqual(await peer.stop("SIGTERM"), 0);
    }
    await using peer = await Program.peer("kashifm", ALONE, options);
    deepStrictEqual(await names(peer), [["final.txt"], [fileId], "final.txt"]);
  },
);

Deno.test(
  "a peer starts even if the temporary folder has a long path",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const long = await folder.folder("x".repeat(120));
    await using peer = await Program.peer("kashifm", [...ALONE, "--dir", `${long}/store`], {
      cwd: folder.path,
      env: { TMPDIR: long },
    });
    strictEqual((await peer.status()).peerId, "kashifm");
    strictEqual(await peer.stop("SIGTERM"), 0);
  },
);

Deno.test(
  "an unnamed peer is named after the machine and part of its key, and the name is stable",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const args = ["run", ...ALONE, "--dir", folder.at("store")];
    const nameOf = async () => {
      const env = { LOGNAME: "", USER: "", P2P_PEER_PORT: "0", P2P_PEER_HTTP_PORT: "0" };
      await using peer = new Program(args, { cwd: folder.path, env });
      const [line] = await peer.waitForLine(/^HTTP address: (.*)$/);
      const url = line!.replace("HTTP address: ", "");
      const { peerId } = await (await fetch(`${url}/api/v1/status`)).json();
      await peer.stop("SIGTERM");
      return peerId as string;
    };
    const first = await nameOf();
    ok(/^[\w-]+-[a-z0-9]{4}$/.test(first), first);
    strictEqual(await nameOf(), first);
  },
);
