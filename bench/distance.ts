// Measures transfers over a long way: everything goes through a proxy that delays each byte by 50 ms, in both directions.
// `deno task bench distance [rounds]`: 1,000 files of 4 KiB next to the rsync daemon, 100 MiB next to curl from nginx, each
// through proxies of the same kind. What is compared is round trips, so the machine matters little.

import { once } from "node:events";
import net from "node:net";
import { Folder, randomBytes } from "../tests/process/folder.ts";
import { Program } from "../tests/process/program.ts";
import { freePort, isInstalled, OTHERS } from "./others.ts";
import { holds, median, QUIET } from "./peers.ts";

const MIB = 1024 * 1024;
const DELAY_MS = 50;
/** What a proxy holds back at most, in bytes: more than fits on its way in 100 ms. */
const MOST_WAITING_BYTES = 256 * MIB;
const [, roundsText = "3"] = Deno.args;

/** Passes on what comes on one connection to another, 50 ms later. */
function delay(from: net.Socket, to: net.Socket): void {
  let waiting = 0;
  const later = (act: () => void) => setTimeout(act, DELAY_MS);
  from.on("data", (bytes: Uint8Array) => {
    waiting += bytes.length;
    if (waiting > MOST_WAITING_BYTES) from.pause();
    later(() => {
      to.write(bytes, () => {
        waiting -= bytes.length;
        if (waiting <= MOST_WAITING_BYTES) from.resume();
      });
    });
  });
  from.on("end", () => later(() => to.end()));
  from.on("error", () => to.destroy());
  from.on("close", () => later(() => to.end()));
}

/** Listens on one address, and passes everything on to a port of this machine, from the address `as`, 50 ms later. */
async function proxy(host: string, port: number, as: string): Promise<Disposable> {
  const open = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (near) => {
    const far = net.connect({ host: "127.0.0.1", port, localAddress: as, allowHalfOpen: true });
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      open.add(socket);
      socket.on("close", () => open.delete(socket));
    }
    delay(near, far);
    delay(far, near);
  });
  server.listen(port, host);
  await once(server, "listening");
  return {
    [Symbol.dispose]() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

/** Seconds until a peer has all files of another one, both behind proxies. */
async function own(folder: Folder, files: readonly (readonly [string, Uint8Array])[]) {
  const names = ["ann", "bob"] as const;
  const ports = names.map(() => freePort());
  const hosts = ["127.0.0.3", "127.0.0.4"];
  using _first = await proxy(hosts[0]!, ports[0]!, hosts[1]!);
  using _second = await proxy(hosts[1]!, ports[1]!, hosts[0]!);
  const dirs = await Promise.all(names.map((name) => folder.folder(`${name}${ports[0]}`)));
  for (const [name, content] of files) await Deno.writeFile(`${dirs[0]}/${name}`, content);
  const launch = (who: 0 | 1, args: string[]) =>
    new Program(
      [
        names[who],
        hosts[who]!,
        `${ports[who]}`,
        "0",
        "--listen-host",
        "127.0.0.1",
        "--dir",
        dirs[who]!,
        ...QUIET,
        ...args,
      ],
      { cwd: folder.path },
    );
  const ready = async (program: Program) => {
    const [, http] = await program.waitForLine(/^HTTP address: http:\/\/127\.0\.0\.1:(\d+)/);
    program.httpPort = Number(http);
  };
  await using ann = launch(0, ["--no-bootstrap"]);
  await ready(ann);
  await holds(ann, files.length);
  await using bob = launch(1, ["--bootstrap", `${hosts[0]}:${ports[0]}`, "--auto-fetch", "all"]);
  await ready(bob);
  await bob.waitForLine(/Synchronized/);
  const beganMs = performance.now();
  await holds(bob, files.length, 120_000);
  return (performance.now() - beganMs) / 1000;
}

/** Seconds that another program takes for the same. */
async function other(
  name: string,
  folder: Folder,
  files: readonly (readonly [string, Uint8Array])[],
) {
  const other = OTHERS.find((each) => each.name.startsWith(name))!;
  for (const need of other.needs) if (!await isInstalled(need)) return NaN;
  const [from, to, work] = await Promise.all(
    ["from", "to", "work"].map((each) => folder.folder(each + freePort())),
  );
  for (const [file, content] of files) await Deno.writeFile(`${from}/${file}`, content);
  await using server = await other.serve(from!, work!);
  const command = await server.client(to!);
  const at = command.findIndex((word) => /127\.0\.0\.1:\d+/.test(word));
  const port = Number(/127\.0\.0\.1:(\d+)/.exec(command[at]!)![1]);
  using _proxy = await proxy("127.0.0.5", port, "127.0.0.6");
  command[at] = command[at]!.replace("127.0.0.1", "127.0.0.5");
  const beganMs = performance.now();
  const { success } = await new Deno.Command(command[0]!, { args: command.slice(1) }).output();
  if (!success) throw new Error(`${name} failed`);
  return (performance.now() - beganMs) / 1000;
}

const small = Array.from({ length: 1_000 }, (_, i) => [`${i}.bin`, randomBytes(4096)] as const);
const large = [["big.bin", randomBytes(100 * MIB)] as const];
for (
  const [title, files, rival] of [
    ["1,000 files of 4 KiB", small, "rsync"],
    ["100 MiB", large, "curl"],
  ] as const
) {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < Number(roundsText); round++) {
    await using folder = await Folder.make();
    ours.push(await own(folder, files));
    theirs.push(await other(rival, folder, files));
    console.log(
      `${title}: this program ${ours.at(-1)!.toFixed(2)} s, ${rival} ${
        theirs.at(-1)!.toFixed(2)
      } s`,
    );
  }
  const [own_, other_] = [median(ours), median(theirs)];
  console.log(
    JSON.stringify({
      title: `${title}, 50 ms each way`,
      seconds: own_,
      rival,
      rivalSeconds: other_,
      ratio: own_ / other_,
    }),
  );
}
Deno.exit(0);
