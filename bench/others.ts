// What people would use instead, each started as its users start it: a server that has the files, and a client that copies
// them to an empty folder. Only programs that are installed take part.

import { fileURLToPath } from "node:url";

/** A server that offers a folder. */
export interface Server extends AsyncDisposable {
  /** Returns the command that copies everything to `target`. May start processes, which are in `pids` and `receivers` then. */
  client(target: string): string[] | Promise<string[]>;
  /** Process ids of the server, and of everything else that runs besides the client. */
  readonly pids: number[];
  /** Those of them that receive. */
  readonly receivers?: readonly number[];
}

/** A program to compare with. */
export interface Other {
  readonly name: string;
  /** Programs that it needs. */
  readonly needs: readonly string[];
  /** Whether it copies a folder of many files, or only single ones. */
  readonly copiesFolders: boolean;
  /** Serves `folder`; configuration may be written to `work`. */
  serve(folder: string, work: string): Promise<Server>;
}

/** Returns whether a program is installed. */
export async function isInstalled(program: string): Promise<boolean> {
  if (program === "python3-libtorrent") {
    const args = ["-c", "import libtorrent"];
    return await new Deno.Command(PYTHON, { args, stderr: "null" }).output()
      .then(({ success }) => success, () => false);
  }
  const found = await new Deno.Command("sh", { args: ["-c", `command -v ${program}`] }).output();
  return found.success;
}

/** Returns a port that nothing listens on. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Resolves once something listens on a port. */
export async function untilListening(port: number): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch {
      await new Promise((go) => setTimeout(go, 20));
    }
  }
  throw new Error(`Nothing listens on port ${port}`);
}

async function started(
  args: readonly string[],
  port: number,
  client: (target: string) => string[],
): Promise<Server> {
  const [program, ...rest] = args;
  const process = new Deno.Command(program!, {
    args: rest,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await untilListening(port);
  return {
    pids: [process.pid],
    client,
    [Symbol.asyncDispose]: async () => {
      process.kill("SIGTERM");
      await process.status;
    },
  };
}

/** Starts nginx for a folder. */
export async function nginx(
  folder: string,
  work: string,
  client: (port: number, target: string) => string[],
): Promise<Server> {
  const port = freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${work}/${name};`).join(" ");
  await Deno.writeTextFile(
    `${work}/nginx.conf`,
    `daemon off; master_process off; user root; pid ${work}/nginx.pid; error_log /dev/null;
events {} http { access_log off; sendfile on; tcp_nopush on; ${temporary}
server { listen 127.0.0.1:${port}; root ${folder}; } }`,
  );
  const args = ["nginx", "-c", `${work}/nginx.conf`, "-p", work];
  return await started(args, port, (target) => client(port, target));
}

/** The Python that has Debian's python3-libtorrent. */
export const PYTHON = "/usr/bin/python3";
/** A BitTorrent peer for benchmarks. */
export const TORRENT: string = fileURLToPath(new URL("torrent.py", import.meta.url));

/** Two Syncthings that know each other; the receiver's folder is paused until the client starts it. */
class Syncthings {
  readonly pids: number[] = [];
  readonly receivers: number[] = [];
  readonly #processes: Deno.ChildProcess[] = [];
  readonly #ids: string[] = [];
  readonly #ports = [freePort(), freePort(), freePort(), freePort()];

  constructor(readonly folder: string, readonly work: string) {}

  home = (who: number) => `${this.work}/syncthing${who}`;
  rest = (who: number, path: string) => `http://127.0.0.1:${this.#ports[2 + who]}/rest/${path}`;

  async prepare(): Promise<void> {
    for (const who of [0, 1]) {
      const home = `--home=${this.home(who)}`;
      const args = ["generate", home, "--no-default-folder"];
      await new Deno.Command("syncthing", { args, stdout: "null", stderr: "null" }).output();
      const { stdout } = await new Deno.Command("syncthing", { args: [home, "--device-id"] })
        .output();
      this.#ids.push(new TextDecoder().decode(stdout).trim());
    }
    await this.#start(0, this.folder, false);
    await this.#until(0, "db/status?folder=f", (text) => /"state": "idle"/.test(text));
  }

  async #start(who: number, folder: string, isPaused: boolean): Promise<void> {
    const devices = this.#ids.map((id, i) =>
      `<device id="${id}" name="d${i}" compression="metadata"><address>tcp://127.0.0.1:${
        this.#ports[i]
      }</address></device>`
    ).join("");
    const of = this.#ids.map((id) => `<device id="${id}"></device>`).join("");
    await Deno.writeTextFile(
      `${this.home(who)}/config.xml`,
      `<configuration version="36">
<folder id="f" label="f" path="${folder}" type="${who === 0 ? "sendonly" : "receiveonly"}"
 rescanIntervalS="3600" fsWatcherEnabled="false" ignorePerms="true">${of}<minDiskFree unit="%">0</minDiskFree>
<paused>${isPaused}</paused><markerName>.</markerName></folder>${devices}
<gui enabled="true"><address>127.0.0.1:${this.#ports[2 + who]}</address><apikey>key</apikey></gui>
<options><listenAddress>tcp://127.0.0.1:${this.#ports[who]}</listenAddress>
<globalAnnounceEnabled>false</globalAnnounceEnabled><localAnnounceEnabled>false</localAnnounceEnabled>
<relaysEnabled>false</relaysEnabled><natEnabled>false</natEnabled><startBrowser>false</startBrowser>
<urAccepted>-1</urAccepted><autoUpgradeIntervalH>0</autoUpgradeIntervalH>
<crashReportingEnabled>false</crashReportingEnabled><reconnectionIntervalS>1</reconnectionIntervalS>
</options></configuration>`,
    );
    const process = new Deno.Command("syncthing", {
      args: ["serve", `--home=${this.home(who)}`, "--no-browser", "--no-restart"],
      env: { STMONITORED: "yes", STNOUPGRADE: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#processes.push(process);
    this.pids.push(process.pid);
    if (who === 1) this.receivers.push(process.pid);
    await untilListening(this.#ports[2 + who]!);
  }

  async #until(who: number, path: string, isSo: (text: string) => boolean): Promise<void> {
    for (let tries = 0; tries < 3_000; tries++) {
      const answer = await fetch(this.rest(who, path), { headers: { "X-API-Key": "key" } });
      if (isSo(await answer.text())) return;
      await new Promise((go) => setTimeout(go, 50));
    }
    throw new Error(`Syncthing never said so: ${path}`);
  }

  async client(target: string): Promise<string[]> {
    await this.#start(1, target, true);
    await this.#until(1, "system/connections", (text) => /"connected": true/.test(text));
    const curl = `curl -s -H 'X-API-Key: key'`;
    const status = `${curl} '${this.rest(1, "db/status?folder=f")}'`;
    return [
      "bash",
      "-c",
      `${curl} -X PATCH -d '{"paused":false}' '${this.rest(1, "config/folders/f")}' > /dev/null
       for _ in $(seq 20000); do s=$(${status})
       [[ $s =~ '"state": "idle"' && $s =~ '"needBytes": 0,' && ! $s =~ '"globalBytes": 0,' ]] && exit 0
       sleep 0.02; done; exit 1`,
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes) {
      process.kill("SIGKILL");
      await process.status;
    }
  }
}

/** The programs to compare with. */
export const OTHERS: readonly Other[] = [
  {
    name: "curl from nginx (unverified)",
    needs: ["nginx", "curl"],
    copiesFolders: false,
    serve: (folder, work) =>
      nginx(folder, work, (port, target) => [
        "curl",
        "-sf",
        "-o",
        `${target}/big.bin`,
        `http://127.0.0.1:${port}/big.bin`,
      ]),
  },
  {
    name: "aria2 -x4 from nginx (unverified)",
    needs: ["nginx", "aria2c"],
    copiesFolders: false,
    serve: (folder, work) =>
      nginx(folder, work, (port, target) => [
        "aria2c",
        "-q",
        "-x4",
        "-s4",
        "--file-allocation=none",
        "-d",
        target,
        `http://127.0.0.1:${port}/big.bin`,
      ]),
  },
  {
    name: "rsync daemon",
    needs: ["rsync"],
    copiesFolders: true,
    serve: async (folder, work) => {
      const port = freePort();
      await Deno.writeTextFile(
        `${work}/rsyncd.conf`,
        `use chroot = no\nuid = root\ngid = root\n[files]\npath = ${folder}\nread only = yes\n`,
      );
      const config = `--config=${work}/rsyncd.conf`;
      const args = ["rsync", "--daemon", "--no-detach", "--address=127.0.0.1", `--port=${port}`];
      return await started([...args, config], port, (target) => [
        "rsync",
        "-a",
        "--exclude=.p2p-peer",
        `rsync://127.0.0.1:${port}/files/`,
        target,
      ]);
    },
  },
  {
    name: "libtorrent over TCP",
    needs: ["python3-libtorrent"],
    copiesFolders: true,
    serve: async (folder, work) => {
      const port = freePort();
      const torrent = `${work}/files.torrent`;
      const args = [PYTHON, TORRENT, "seed", folder, torrent, `${port}`];
      const server = await started(args, port, (target) => [
        PYTHON,
        TORRENT,
        "get",
        torrent,
        target,
        `${freePort()}`,
        `${port}`,
      ]);
      while (!await Deno.stat(torrent).then(() => true, () => false)) {
        await new Promise((go) => setTimeout(go, 20));
      }
      return server;
    },
  },
  {
    name: "Syncthing (fsync, as installed)",
    needs: ["syncthing", "curl"],
    copiesFolders: true,
    serve: async (folder, work) => {
      const pair = new Syncthings(folder, work);
      await pair.prepare();
      return pair;
    },
  },
];
