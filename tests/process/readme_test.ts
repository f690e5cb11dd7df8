// The README does what it says: its commands run, and its links lead somewhere.

import { deepStrictEqual, ok } from "node:assert/strict";
import { Folder } from "./folder.ts";
import { COMMAND, Program, surroundings } from "./program.ts";
import { SANITIZED } from "./together.ts";

const root = new URL("../../", import.meta.url);
const DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"];

async function documents(): Promise<string[]> {
  const pages = await Array.fromAsync(Deno.readDir(new URL("docs/", root)));
  const names = pages.map(({ name }) => name).filter((name) => name.endsWith(".md")).sort();
  return [...DOCUMENTS, ...names.map((name) => `docs/${name}`)];
}

/** Returns the blocks of a document that are marked as ones to run. */
function blocks(text: string): string[] {
  return [...text.matchAll(/<!-- run -->\n```sh\n([\s\S]*?)```/g)].map(([, block]) => block!);
}

Deno.test("the commands in blocks marked as runnable run", SANITIZED, async () => {
  let count = 0;
  for (const name of await documents()) {
    for (const block of blocks(await Deno.readTextFile(new URL(name, root)))) {
      count++;
      await using folder = await Folder.make();
      const words = COMMAND.map((word) => `'${word}'`).join(" ");
      await Deno.mkdir(folder.at("bin"));
      const program = folder.at("bin/p2p-peer");
      await Deno.writeTextFile(program, `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
      await folder.write("report.pdf", "a report");
      await folder.write("notes.txt", "one\ntwo\n");
      const args = ["--no-bootstrap", "--auto-fetch", "0", "--no-repl", "--min-free", "0"];
      await using _peer = await Program.peer("kashifm", args, { cwd: folder.path });
      const { PATH = "", ...env } = surroundings();
      for (const line of block.split("\n").filter((each) => each.trim() !== "")) {
        const { success, stdout, stderr } = await new Deno.Command("bash", {
          args: ["-o", "pipefail", "-c", line],
          cwd: folder.path,
          env: { ...env, PATH: `${folder.at("bin")}:${PATH}` },
          clearEnv: true,
        }).output();
        const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
        ok(success, `${name}: ${line}\n${text(stdout)}${text(stderr)}`);
      }
    }
  }
  ok(count > 0);
});

Deno.test("links in the documents lead to files and headings that exist", async () => {
  const dead: string[] = [];
  const headings = (text: string) =>
    new Set(
      [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
        title!.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
      ),
    );
  for (const name of await documents()) {
    const text = await Deno.readTextFile(new URL(name, root));
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue; // tests do not use the internet
      const [path = "", heading] = target!.split("#");
      try {
        const url = path === "" ? new URL(name, root) : new URL(path, new URL(name, root));
        const there = heading === undefined ? "" : await Deno.readTextFile(url);
        await Deno.stat(url);
        if (heading !== undefined && !headings(there).has(heading)) dead.push(`${name}: ${target}`);
      } catch {
        dead.push(`${name}: ${target}`);
      }
    }
  }
  deepStrictEqual(dead, []);
});

Deno.test(
  "two peers on one machine find each other as the README says, and one fetches what the other shares",
  SANITIZED,
  async () => {
    const readme = await Deno.readTextFile(new URL("README.md", root));
    const [, block = ""] = /<!-- two peers -->\n```sh\n([\s\S]*?)```/.exec(readme) ?? [];
    const [ann = [], bob = [], ...more] = block.trim().split("\n").map((line) => line.split(" "));
    deepStrictEqual([ann.slice(0, 5), bob.slice(0, 5), more], [
      ["p2p-peer", "ann", "127.0.0.1", "8115", "8116"],
      ["p2p-peer", "bob", "127.0.0.1", "8117", "8118"],
      [],
    ]);
    await using folder = await Folder.make();
    // With free ports in place of those.
    await using first = await Program.peer("ann", ann.slice(5), { cwd: folder.path });
    const args = bob.slice(5).map((word) => word.replace(":8115", `:${first.port}`));
    await using second = await Program.peer("bob", args, { cwd: folder.path });
    await folder.write("storage_ann/README.md", "read me");
    await second.until(
      "bob has the file",
      async () => (await second.files()).some(({ has_copy }) => has_copy),
    );
  },
);
