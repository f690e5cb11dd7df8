// What people would use instead, each started as its users start it: a server that has the files, and a client that copies
// them to an empty folder. Only programs that are installed take part.

/** A server that offers a folder. */
export interface Server extends AsyncDisposable {
  /** Returns the command that copies everything to `target`. */
  client(target: string): string[];
  /** Process ids of the server. */
  readonly pids: readonly number[];
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
  const found = await new Deno.Command("sh", { args: ["-c", `command -v ${program}`] }).output();
  return found.success;
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function untilListening(port: number): Promise<void> {
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

async function nginx(
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
];
