// Runs each configuration in docs/DEPLOY.md with the real proxy in front of a real peer, and checks the page and
// everything it loads, login, large uploads, range requests, and that live updates arrive immediately.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Gateway } from "../../http/gateway.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import { until } from "../until.ts";
import { appOver } from "../web/fixture.ts";
import { Folder, randomBytes } from "./folder.ts";
import { DEADLINE_MS, Program } from "./program.ts";

const docs = await Deno.readTextFile(new URL("../../docs/DEPLOY.md", import.meta.url));
const NAME = "files.example.org";

/** Returns one configuration from docs/DEPLOY.md, by proxy and title. */
const blockOf = (proxy: string, title: string) => {
  const match = new RegExp(`^\`\`\`${proxy} ${title}\n(.*?)^\`\`\`$`, "ms").exec(docs);
  ok(match, `docs/DEPLOY.md has no configuration "${proxy} ${title}"`);
  return match[1]!;
};

interface Kind {
  readonly command: string;
  /** Returns a complete configuration: the documented block with the test's ports, isolated from this machine's own. */
  readonly config: (block: string, port: number, peerPort: number, folder: string) => string;
  readonly args: (folder: string) => string[];
}

/** Replaces each text, and fails if one is missing, so that what runs is what the document shows. */
function replaced(block: string, pairs: readonly (readonly [string, string])[]): string {
  for (const [from, to] of pairs) {
    ok(block.includes(from), `The configuration does not contain "${from}"`);
    block = block.replaceAll(from, to);
  }
  return block;
}

const NGINX: Kind = {
  command: "nginx",
  config: (block, port, peerPort, folder) => `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
${
    replaced(block, [
      ["listen 80;", `listen 127.0.0.1:${port};`],
      ["http://127.0.0.1:8116", `http://127.0.0.1:${peerPort}`],
    ])
  }
}
`,
  args: (folder) => ["-p", folder, "-c", `${folder}/config`, "-e", "stderr"],
};

const CADDY: Kind = {
  command: "caddy",
  config: (block, port, peerPort) => `
{
	admin off
	auto_https off
}
${
    replaced(block, [
      [`${NAME} {`, `http://${NAME}:${port} {\n\tbind 127.0.0.1`],
      ["reverse_proxy 127.0.0.1:8116", `reverse_proxy 127.0.0.1:${peerPort}`],
    ])
  }
`,
  args: (folder) => ["run", "--config", `${folder}/config`, "--adapter", "caddyfile"],
};

/** A running proxy, stopped on disposal. */
class Proxy implements AsyncDisposable {
  private constructor(readonly port: number, readonly child: Deno.ChildProcess) {}

  static async start(kind: Kind, block: string, peerPort: number, folder: string): Promise<Proxy> {
    const errors: string[] = [];
    // The port is free when chosen, but another process may take it before the proxy does.
    for (let attempt = 0; attempt < 5; attempt++) {
      const port = freePort();
      await Deno.writeTextFile(`${folder}/config`, kind.config(block, port, peerPort, folder));
      const child = new Deno.Command(kind.command, {
        args: kind.args(folder),
        env: {
          PATH: `${Deno.env.get("PATH")}:/usr/sbin:/sbin`,
          HOME: folder,
          XDG_DATA_HOME: folder,
          XDG_CONFIG_HOME: folder,
        },
        stdout: "null",
        stderr: "piped",
      }).spawn();
      const text = new Response(child.stderr).text();
      let hasEnded = false;
      child.status.then(() => hasEnded = true);
      const isUp = await until(`${kind.command} to listen`, async () => {
        if (hasEnded) return "ended";
        const conn = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined);
        conn?.close();
        return conn && "up";
      });
      if (isUp === "up" && !hasEnded) return new Proxy(port, child);
      errors.push(await text);
    }
    throw new Error(`${kind.command} failed to start:\n${errors.join("\n")}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.child.kill("SIGTERM");
    } catch {
      // It has already exited.
    }
    await this.child.status;
    await this.child.stderr.cancel().catch(() => {}); // already read to the end
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Makes one request with curl, because `fetch` does not allow setting the Host header. */
async function curl(port: number, path: string, args: readonly string[] = []): Promise<Answer> {
  const host = `${NAME}:${port}`;
  const { code, stdout, stderr } = await new Deno.Command("curl", {
    args: [
      ...["-sS", "-i", "--max-time", `${DEADLINE_MS / 1000}`, "--resolve", `${host}:127.0.0.1`],
      ...args,
      `http://${host}${path}`,
    ],
  }).output();
  strictEqual(code, 0, `${path}: ${new TextDecoder().decode(stderr)}`);
  const all = new TextDecoder("latin1").decode(stdout).replace(
    /^(HTTP\/1\.1 100 .*?\r\n\r\n)+/s,
    "",
  );
  const end = all.indexOf("\r\n\r\n");
  const [first, ...lines] = all.slice(0, end).split("\r\n");
  const headers = new Headers(lines.map((line) => {
    const [name, ...value] = line.split(":");
    return [name!, value.join(":").trim()] as [string, string];
  }));
  return { status: Number(first!.split(" ")[1]), headers, text: all.slice(end + 4) };
}

/** Checks that everything the page loads, directly or through its import map, is served. */
async function loadsWhole(port: number, page: string): Promise<void> {
  const { status, text } = await curl(port, page);
  strictEqual(status, 200, page);
  const root = new URL(page, `http://${NAME}:${port}`);
  const { imports } = JSON.parse(/<script type="importmap">([^]*?)<\/script>/.exec(text)![1]!);
  const links = [...text.matchAll(/<(?:script|link|img)[^>]*\s(?:src|href)="([^"]+)"/g)]
    .map(([, link]) => link!);
  const paths = new Set(
    [...links, ...Object.values<string>(imports)].map((link) => new URL(link, root).pathname),
  );
  ok(paths.size > 30, `${paths.size}`);
  for (const path of paths) strictEqual((await curl(port, path)).status, 200, path);
}

/** Collects everything an event stream has sent so far. */
class Events implements AsyncDisposable {
  heard = "";
  readonly #child: Deno.ChildProcess;
  readonly #hearing: Promise<void>;

  constructor(port: number, path: string) {
    this.#child = new Deno.Command("curl", {
      args: ["-sSN", "--resolve", `${NAME}:${port}:127.0.0.1`, `http://${NAME}:${port}${path}`],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#hearing = this.#hear();
  }

  async #hear(): Promise<void> {
    const pieces = this.#child.stdout.pipeThrough(new TextDecoderStream());
    for await (const piece of pieces) this.heard += piece;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await Promise.all([this.#hearing, this.#child.status]);
  }
}

const block = (kind: Kind) => blockOf(kind.command, "name");
/** The documented configuration without its HTTP version: nginx then defaults to HTTP/1.0 and forwards full buffers. */
const stock = blockOf("nginx", "name").replace(/^ *proxy_http_version .*\n/m, "");

for (
  const [what, kind, config] of [
    ["nginx", NGINX, block(NGINX)],
    ["nginx with HTTP/1.0", NGINX, stock],
    ["caddy", CADDY, block(CADDY)],
  ] as const
) {
  Deno.test(`${what} forwards each event immediately, even if no other follows`, async () => {
    await using folder = await Folder.make();
    const made = appOver({ hostNames: [NAME] });
    const limits = DEFAULT_LIMITS;
    const front = new Gateway({ hostname: "127.0.0.1", port: 0, limits });
    front.begin((request, client) => made.app.fetch(request, client), folder.path);
    try {
      await using proxy = await Proxy.start(kind, config, front.port, folder.path);
      await using events = new Events(proxy.port, "/api/v1/events");
      const watcher = await until("a watcher", () => [...made.watchers][0]);
      watcher.tell({ id: "b-1", type: "files", data: "{}" });
      await until("the event", () => events.heard.includes("id: b-1\nevent: files\ndata: {}\n\n"));
    } finally {
      await front.stop();
    }
  });
}

for (
  const [kind, title, base] of [
    [NGINX, "name", ""],
    [NGINX, "path", "/peer"],
    [NGINX, "stripped", "/peer"],
    [CADDY, "name", ""],
    [CADDY, "path", "/peer"],
    [CADDY, "stripped", "/peer"],
  ] as const
) {
  Deno.test(`${kind.command} serves a peer as configured in docs/DEPLOY.md: ${title}`, async () => {
    await using folder = await Folder.make();
    const args = ["--no-bootstrap", "--min-free", "0", "--allowed-host", NAME];
    args.push("--trusted-proxy", "127.0.0.1");
    if (title === "path") args.push("--base-path", base);
    await using peer = await Program.peer("kashifm", args, { cwd: folder.path });
    const { token } = await peer.login();
    await using proxy = await Proxy.start(
      kind,
      blockOf(kind.command, title),
      peer.httpPort,
      folder.path,
    );
    const { port } = proxy;
    const ask = (path: string, ...more: string[]) => curl(port, base + path, more);

    await loadsWhole(port, `${base}/`);
    if (base !== "") {
      const bare = await curl(port, base);
      ok([301, 302, 308].includes(bare.status), `${bare.status}`);
      strictEqual(new URL(bare.headers.get("location")!, `http://${NAME}`).pathname, `${base}/`);
    }

    // Log in from the page's own origin. The cookie must be limited to this path.
    const origin = ["-H", `Origin: http://${NAME}:${port}`];
    const entered = await ask("/api/v1/session", ...origin, "-d", JSON.stringify({ token }));
    strictEqual(entered.status, 204, entered.text);
    const [, cookie, path] = /^(session_id_\d+=[\w-]+);.* Path=([^;]+)/.exec(
      entered.headers.get("set-cookie")!,
    )!;
    strictEqual(path, `${base}/`);
    const foreign = await ask("/api/v1/session", "-H", "Origin: http://evil.example", "-d", "{}");
    strictEqual(foreign.status, 403);

    // Larger than any default limit of the proxies.
    const content = randomBytes(3_000_000);
    await Deno.writeFile(`${folder.path}/large.bin`, content);
    const shared = await ask(
      "/api/v1/files/by-name/sp%20ace%25.bin",
      ...["-T", `${folder.path}/large.bin`, "-b", cookie!, ...origin],
    );
    strictEqual(shared.status, 201, shared.text);
    const [file] = JSON.parse(shared.text).files;
    strictEqual(file.file_name, "sp ace%.bin", "the name must survive the proxy's path rewriting");
    const location = shared.headers.get("location")!;
    strictEqual(location, `${base}/api/v1/files/${file.file_id}`);
    strictEqual((await curl(port, location)).status, 200);
    const part = await ask(`/api/v1/files/${file.file_id}/content`, "-r", "1000000-1000009");
    deepStrictEqual([part.status, part.headers.get("content-range")], [
      206,
      "bytes 1000000-1000009/3000000",
    ]);
    const head = await ask(`/api/v1/files/${file.file_id}/content`, "-I");
    strictEqual(head.headers.get("content-length"), "3000000");

    await using events = new Events(port, `${base}/api/v1/events`);
    await until("the first event", () => /^event: reset$/m.test(events.heard));
    const small = await ask("/api/v1/files?name=small.txt", "-d", "small", "-b", cookie!);
    strictEqual(small.status, 201, small.text);
    await until("the file's event", () => events.heard.includes("small.txt"));

    // The peer counts wrong tokens per real client address, whatever X-Forwarded-For value the client sends.
    const statuses = [];
    for (let i = 0; i < 7; i++) {
      const wrong = ["-H", `X-Forwarded-For: 192.0.2.${i}`, "-d", '{"token":"wrong"}'];
      statuses.push((await ask("/api/v1/session", ...wrong)).status);
    }
    deepStrictEqual(statuses, [401, 401, 401, 401, 401, 429, 429]);
  });
}

/** Runs one of the documented scripts with these commands in place of the real ones. */
async function runScript(
  title: string,
  folder: Folder,
  commands: Readonly<Record<string, string>>,
) {
  await Deno.mkdir(folder.at("bin"), { recursive: true });
  for (const [name, script] of Object.entries(commands)) {
    await Deno.writeTextFile(folder.at(`bin/${name}`), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  const { code, stdout, stderr } = await new Deno.Command("bash", {
    args: ["-e", "-u", "-c", blockOf("sh", title)],
    cwd: folder.path,
    env: { PATH: `${folder.at("bin")}:${Deno.env.get("PATH")}`, STAGE: folder.path },
    clearEnv: true,
  }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  strictEqual(code, 0, text);
  return text;
}

/** A "host" is a folder; what runs there finds its home in it. */
const SSH = 'shift; host=$1; cd "$STAGE/$host" && HOME=$STAGE/$host HOST=$host sh -c "$2"';
/** A "peer" writes down how it was called. */
const PEER = 'echo "$@" >>"$HOME/calls"';

Deno.test("the loops for many hosts in docs/DEPLOY.md start and update a peer on each of them", async () => {
  await using folder = await Folder.make();
  const hosts = ["hawk", "owl", "wren"];
  await Deno.writeTextFile(folder.at("hosts"), hosts.map((host) => `${host}\n`).join(""));
  for (const host of hosts) await Deno.mkdir(folder.at(host));
  const install =
    `mkdir -p "$HOME/.local/bin" && printf '%s\\n' '#!/bin/sh' '${PEER}' >"$HOME/.local/bin/p2p-peer" && chmod +x "$HOME/.local/bin/p2p-peer"`;
  const calls = (host: string) => Deno.readTextFile(folder.at(`${host}/calls`)).catch(() => "");
  const commands = {
    ssh: SSH,
    // The script that a peer serves.
    curl: `[ "$2" = http://eagle:8116/install.sh ] && cat "$STAGE/install"`,
    hostname: `echo "$HOST"`,
    pkill: "exit 0",
    pgrep: "exit 1",
  };
  await Deno.writeTextFile(folder.at("install"), install);
  await runScript("hosts", folder, commands);
  const started = (host: string) => `${host} 8115 8116 --no-repl\n`;
  for (const host of hosts) {
    // They go on in the background.
    await until(`a peer on ${host}`, async () => await calls(host) === started(host));
  }
  await runScript("update", folder, commands);
  const update = "update --from http://eagle:8116/download\n";
  for (const host of hosts) {
    await until(
      `a new peer on ${host}`,
      async () => await calls(host) === `${started(host)}${update}${started(host)}`,
    );
  }
});

Deno.test("a token that is written before the first start, as docs/DEPLOY.md says, is the one that counts", async () => {
  await using folder = await Folder.make();
  await runScript("token", folder, {});
  const token = (await Deno.readTextFile(folder.at("storage_eagle/.p2p-peer/web-token"))).trim();
  await using program = await Program.peer("eagle", ["--no-bootstrap", "--no-repl"], {
    cwd: folder.path,
  });
  const answer = await fetch(`http://127.0.0.1:${program.httpPort}/api/v1/session`, {
    headers: { authorization: `Bearer ${token}` },
  });
  strictEqual((await answer.json()).logged_in, true);
});
