// The web interface of real peers, as browsers and scripts use it: resumed downloads, uploads of any size, login,
// events, and transfers that are canceled and retried.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { memoryMib } from "../hostile/gauge.ts";
import { HostileServer } from "../hostile/server.ts";
import { Raw, shout } from "../hostile/raw.ts";
import { Folder, randomBytes } from "./folder.ts";
import { start } from "./network.ts";
import { DEADLINE_MS, Program } from "./program.ts";
import { SANITIZED } from "./together.ts";

const ROOM = ["--no-bootstrap", "--min-free", "0"];
/** Size of the large upload, in bytes. The criterion for its memory use is a peak of 80 MB. */
const UPLOAD_BYTES = 256 * 1024 ** 2;

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

interface Transfer {
  readonly id: number;
  readonly kind: string;
  readonly state: string;
  readonly done_bytes: number;
  readonly why: string | null;
}

class Web {
  readonly base: string;
  readonly token: string;

  constructor(readonly program: Program) {
    this.base = `http://127.0.0.1:${program.httpPort}`;
    const line = /^To share and delete in a browser, open (.*) and log in with the token in (.*)$/m;
    const [, base, path] = program.out.join("\n").match(line) ?? [];
    this.token = path === undefined ? "" : Deno.readTextFileSync(path).trim();
    if (base !== undefined) strictEqual(base, this.base);
  }

  async ask(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    return await fetch(`${this.base}${path}`, {
      method,
      signal: AbortSignal.timeout(DEADLINE_MS),
      ...init,
      headers: { authorization: `Bearer ${this.token}`, ...init.headers as Record<string, string> },
    });
  }

  /** Shares a file and returns its id. */
  async share(name: string, body: BodyInit): Promise<string> {
    const response = await this.ask("PUT", `/api/v1/files/by-name/${name}`, { body });
    strictEqual(response.status, 201);
    return (await response.json()).files[0].file_id;
  }

  async transfers(): Promise<Transfer[]> {
    return (await (await this.ask("GET", "/api/v1/transfers")).json()).transfers;
  }

  content(fileId: string): string {
    return `${this.base}/api/v1/files/${fileId}/content`;
  }
}

async function peer(folder: Folder, args: readonly string[] = []): Promise<Program> {
  return await Program.peer("kashifm", [...ROOM, ...args], { cwd: folder.path });
}

async function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args: [...args], cwd })
    .output();
  const text = new TextDecoder().decode(stdout);
  strictEqual(code, 0, `${command}: ${text} ${new TextDecoder().decode(stderr)}`);
  return text;
}

async function isThere(command: string): Promise<boolean> {
  try {
    await new Deno.Command(command, { args: ["--version"], stdout: "null" }).output();
    return true;
  } catch {
    return false;
  }
}

Deno.test(
  "the first start says where the token is, and what is no terminal never gets the token itself",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    let token = "";
    {
      await using program = await peer(folder);
      token = new Web(program).token;
      ok(token);
      ok(!program.lines.join("\n").includes(token));
      strictEqual(await program.stop(), 0);
    }
    await using again = await peer(folder);
    ok(!again.lines.join("\n").includes(token) && !again.text.includes("the token in"));
    const stored = await Deno.readTextFile(folder.at("storage_kashifm", ".p2p-peer", "web-token"));
    strictEqual(stored.trim(), token);
  },
);

Deno.test(
  "with --web-auth off, the startup lines say plainly who may do what",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await peer(folder, ["--web-auth", "off"]);
    await program.waitForLine(
      /^Anybody who reaches the web pages may share and delete.*--web-auth/,
    );
    const response = await fetch(`http://127.0.0.1:${program.httpPort}/api/v1/files?name=a.txt`, {
      method: "POST",
      body: "content",
    });
    strictEqual(response.status, 201);
    await response.body?.cancel();
  },
);

Deno.test(
  "an unreadable page is reported at startup; a readable one is served at /legacy",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const args = ["kashifm", "127.0.0.1", "0", "0", ...ROOM, "--legacy-page", "none.html"];
    const { code, err } = await Program.toEnd(args, { cwd: folder.path });
    strictEqual(code, 2);
    match(err.join("\n"), /Cannot read --legacy-page none\.html\. Give an HTML file/);
    await folder.write("old.html", "<script>old()</script>");
    await using program = await peer(folder, ["--legacy-page", "old.html"]);
    const response = await fetch(`http://127.0.0.1:${program.httpPort}/legacy`);
    strictEqual(await response.text(), "<script>old()</script>");
  },
);

Deno.test(
  "curl shares a file with -T, downloads it, and resumes the download",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await peer(folder);
    const web = new Web(program);
    const bytes = randomBytes(3_000_000);
    await folder.write("it's a file.bin", bytes);
    const answer = await run("curl", [
      ...["-sS", "-f", "-H", `Authorization: Bearer ${web.token}`, "-T", "it's a file.bin"],
      `${web.base}/api/v1/files/by-name/`,
    ], folder.path);
    const [{ file_id, file_name }] = JSON.parse(answer).files;
    strictEqual(file_name, "it's a file.bin");
    const url = web.content(file_id);
    const stored = folder.at("storage_kashifm", "it's a file.bin");
    deepStrictEqual(sha256(await Deno.readFile(stored)), sha256(bytes));

    await run("curl", ["-sS", "-f", "-OJ", url], await folder.folder("named"));
    await folder.write("cut.bin", bytes.slice(0, 1_234_567));
    await run("curl", ["-sS", "-f", "-C", "-", "-o", "cut.bin", url], folder.path);
    for (const path of ["named/it's a file.bin", "cut.bin"]) {
      strictEqual(sha256(await Deno.readFile(folder.at(path))), sha256(bytes), path);
    }
    const form = ["-F", "a=@it's a file.bin", "-F", "b=@cut.bin;filename=b.bin"];
    const shared = await run("curl", [
      ...["-sS", "-f", "-H", `Authorization: Bearer ${web.token}`, ...form],
      `${web.base}/api/v1/files`,
    ], folder.path);
    strictEqual(JSON.parse(shared).files.length, 2);
  },
);

Deno.test("wget -c and aria2c -x8 download and resume", SANITIZED, async () => {
  await using folder = await Folder.make();
  await using program = await peer(folder);
  const web = new Web(program);
  const bytes = randomBytes(12_000_000);
  const fileId = await web.share("large.bin", bytes);
  await folder.write("wget.bin", bytes.slice(0, 5_000_000));
  await run("wget", ["-q", "-c", "-O", "wget.bin", web.content(fileId)], folder.path);
  strictEqual(sha256(await Deno.readFile(folder.at("wget.bin"))), sha256(bytes));
  if (!await isThere("aria2c")) return console.log("skipped: aria2c is not installed");
  const args = ["-q", "-x8", "-s8", "-k1M", "-o", "aria2.bin", web.content(fileId)];
  await run("aria2c", args, folder.path);
  strictEqual(sha256(await Deno.readFile(folder.at("aria2.bin"))), sha256(bytes));
  await folder.write("whole.bin", bytes.slice(0, 5_000_000));
  const resume = ["-q", "-c", "-x8", "-o", "whole.bin", web.content(fileId)];
  await run("aria2c", resume, folder.path);
  strictEqual(sha256(await Deno.readFile(folder.at("whole.bin"))), sha256(bytes));
});

Deno.test({
  ...SANITIZED,
  name: "a large upload arrives intact, with a memory peak that does not depend on its size",
  ignore: Deno.build.os !== "linux", // the peak is read from /proc
  async fn() {
    await using folder = await Folder.make();
    await using program = await peer(folder);
    const web = new Web(program);
    const peak = async () => {
      const text = await run("cat", [`/proc/${program.pid}/status`], folder.path);
      return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)![1]) * 1024;
    };
    await web.share("warm.bin", randomBytes(4_000_000));
    const before = await peak();
    const piece = randomBytes(1024 ** 2);
    const hash = createHash("sha256");
    let left = UPLOAD_BYTES / piece.length;
    const body = new ReadableStream({
      pull(controller) {
        if (left-- === 0) return controller.close();
        hash.update(piece);
        controller.enqueue(piece.slice());
      },
    });
    const fileId = await web.share("large.bin", body);
    const grown = await peak() - before;
    ok(grown < 40_000_000, `Memory grew by ${Math.round(grown / 1e6)} MB`);
    const head = await web.ask("HEAD", `/api/v1/files/${fileId}/content`);
    const digest = hash.digest("base64");
    strictEqual(head.headers.get("repr-digest"), `sha-256=:${digest}:`);
    strictEqual(head.headers.get("content-length"), `${UPLOAD_BYTES}`);
  },
});

for (
  const [request, why, kept] of [
    ["POST /api/v1/files?name=cut.bin", "The sender stopped", 0],
    [
      "PUT /api/v1/files/by-name/cut.bin",
      "The sender stopped; the upload can be continued for a day",
      1,
    ],
  ] as const
) {
  Deno.test(
    `an upload by ${request} that is interrupted says what happened`,
    SANITIZED,
    async () => {
      await using folder = await Folder.make();
      await using program = await peer(folder);
      const web = new Web(program);
      using raw = await Raw.open({ host: "127.0.0.1", port: program.httpPort });
      raw.write(
        `${request} HTTP/1.1\r\nHost: 127.0.0.1\r\n` +
          `Authorization: Bearer ${web.token}\r\nContent-Length: 1000000\r\n\r\n${
            "x".repeat(5000)
          }`,
      );
      await program.until("the upload to begin", async () => {
        return (await web.transfers()).some(({ done_bytes }) => done_bytes > 0);
      });
      raw.reset();
      await program.until("the upload to be abandoned", async () => {
        return (await web.transfers()).some(({ kind, state }) =>
          kind === "upload" && state !== "running"
        );
      });
      const [upload] = await web.transfers();
      deepStrictEqual([upload!.state, upload!.why], ["cancelled", why]);
      // Metadata snapshots are also written there and exist briefly.
      await program.until("the folder of temporary files to be empty", () => {
        const temporaries = folder.at("storage_kashifm", ".p2p-peer", "temporary");
        return [...Deno.readDirSync(temporaries)].length === 0;
      });
      deepStrictEqual(await program.files(), []);
      const { uploads } = await program.api<{ uploads: unknown[] }>("uploads");
      strictEqual(uploads.length, kept);
    },
  );
}

Deno.test(
  "a download that the receiver stops early does not count as a failure",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await peer(folder);
    const web = new Web(program);
    const fileId = await web.share("long.bin", randomBytes(64 * 1024 ** 2));
    const download = async () => (await web.transfers()).find(({ kind }) => kind === "download");
    const response = await web.ask("GET", `/api/v1/files/${fileId}/content`);
    const reader = response.body!.getReader();
    await reader.read();
    await program.until("the download to begin", download);
    await reader.cancel();
    await program.until("the download to end", async () => (await download())?.state !== "running");
    const { state, why } = (await download())!;
    deepStrictEqual([state, why], ["cancelled", "The receiver stopped"]);
  },
);

Deno.test(
  "a hanging fetch is canceled, leaves no files, and is retried",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    let asked = 0;
    await using server = await HostileServer.start((socket, message) => {
      if (message?.type !== "GET_FILE") return void socket.end();
      asked++; // and sends no answer
    });
    await using program = await peer(folder, ["--auto-fetch", "0"]);
    const web = new Web(program);
    const fileId = "ab".repeat(32);
    const { host, port } = server;
    await shout(program, {
      type: "GOSSIP",
      host,
      port,
      id: crypto.randomUUID(),
      peerId: "slow",
    });
    await program.tracks("slow"); // otherwise the list may arrive first, and no holder of the file is known
    await shout(program, {
      type: "GOSSIP_REPLY",
      host,
      port,
      peerId: "slow",
      files: [{
        file_name: "a.bin",
        file_size: 1,
        file_id: fileId,
        file_owner: "slow",
        file_timestamp: 1744170562,
      }],
    });
    await program.until("the file to be known", async () => (await program.files()).length === 1);
    for (let round = 1; round <= 2; round++) {
      if (round === 1) {
        const fetching = await web.ask("POST", `/api/v1/files/${fileId}/fetch`);
        strictEqual(fetching.status, 202);
        await fetching.body?.cancel();
      }
      const { id } = await program.until("the fetch to start", async () => {
        return asked === round && (await web.transfers()).find(({ state }) => state === "running");
      });
      const cancelled = await web.ask("DELETE", `/api/v1/transfers/${id}`);
      strictEqual(cancelled.status, 204);
      const ended = (await web.transfers()).find((each) => each.id === id)!;
      deepStrictEqual([ended.state, ended.why], ["cancelled", "Canceled here"]);
      if (round === 2) break;
      const retried = await web.ask("POST", `/api/v1/transfers/${id}/retry`);
      strictEqual(retried.status, 202);
      await retried.body?.cancel();
    }
    // Metadata snapshots are also written there and exist briefly.
    await program.until("the folder of temporary files to be empty", () => {
      const temporaries = folder.at("storage_kashifm", ".p2p-peer", "temporary");
      return [...Deno.readDirSync(temporaries)].length === 0;
    });
  },
);

Deno.test(
  "a file shared in one peer's browser is shown to watchers of another peer and fetched intact",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using first = await start(folder, "first", [], { args: ["--min-free", "0"] });
    await using second = await start(folder, "second", [first], {
      args: ["--min-free", "0", "--auto-fetch", "0"],
    });
    const [from, to] = [new Web(first), new Web(second)];
    await second.tracks("first");
    const controller = new AbortController();
    const events = await fetch(`${to.base}/api/v1/events`, { signal: controller.signal });
    const reader = events.body!.pipeThrough(new TextDecoderStream()).getReader();
    let told = "";
    const hear = async (pattern: RegExp) => {
      while (!pattern.test(told)) told += (await reader.read()).value ?? "";
    };
    await hear(/event: reset/);
    const bytes = randomBytes(100_000);
    const fileId = await from.share("a b.bin", bytes);
    await hear(new RegExp(`event: files\\ndata: .*${fileId}`));
    const fetched = await to.ask("POST", `/api/v1/files/${fileId}/fetch?wait=true`);
    strictEqual(fetched.status, 200);
    deepStrictEqual((await fetched.json()).file.peers_with_file.sort(), ["first", "second"]);
    await hear(/event: transfers\ndata: .*"state":"done"/);
    strictEqual(sha256(await second.content(fileId)), sha256(bytes));

    const deleted = await to.ask("DELETE", `/api/v1/files/${fileId}`);
    deepStrictEqual(await deleted.json(), { where: "here" });
    await second.until("the file to be in the trash", async () => {
      const { files } = await (await to.ask("GET", "/api/v1/files/deleted")).json();
      return files.some(({ file_id }: { file_id: string }) => file_id === fileId);
    });
    const restored = await to.ask("POST", `/api/v1/files/${fileId}/restore`);
    strictEqual((await restored.json()).file.has_copy, true);
    controller.abort();
    await reader.cancel().catch(() => {});
  },
);

Deno.test({
  ...SANITIZED,
  name: "thousands of requests on one connection do not accumulate in memory",
  ignore: Deno.build.os !== "linux", // memory is read from /proc
  async fn() {
    await using folder = await Folder.make();
    await using program = await peer(folder);
    using raw = await Raw.open({ host: "127.0.0.1", port: program.httpPort });
    const request = `GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ${"x".repeat(30_000)}\r\n\r\n`;
    const answers = () => raw.text.split("HTTP/1.1 200").length - 1;
    const send = async (count: number) => {
      const until = answers() + count;
      for (let i = 0; i < count; i++) raw.write(request);
      await program.until("the answers", () => answers() >= until);
    };
    await send(200);
    const before = await memoryMib(program.pid);
    for (let i = 0; i < 20; i++) await send(150);
    const grown = await memoryMib(program.pid) - before;
    ok(
      grown < 100,
      `Memory grew by ${Math.round(grown)} MiB; retained request heads would take more than 200`,
    );
  },
});
