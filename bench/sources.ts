// Measures one file from four sources, each limited to 20 MB/s, and 16 peers that want one file of a source with that limit,
// next to libtorrent if it is installed: `deno task bench sources [MiB] [rounds]`. What is compared is the sum of the limits, so the machine matters little.

import { Folder, randomBytes } from "../tests/process/folder.ts";
import { start } from "../tests/process/network.ts";
import type { Program } from "../tests/process/program.ts";
import { until } from "../tests/until.ts";
import { freePort, isInstalled, PYTHON, TORRENT } from "./others.ts";
import { median, QUIET, sharing, statusOf } from "./peers.ts";

const MIB = 1024 * 1024;
const LIMIT = 20_000_000;
const [, mibText = "512", roundsText = "3"] = Deno.args;
// Test programs gossip twice a second, which is more work for 16 peers than the file.
const CALM = ["--web-auth", "off", "--gossip-interval", "30"];
const LIMITED = ["--max-up", `${LIMIT}`, ...CALM];
const FETCHING = [...QUIET, ...CALM];

/** Lets a peer fetch the only file, and resolves to the seconds until it is held. */
async function fetched(peer: Program, holders: number): Promise<number> {
  const { file_id } = await peer.until(
    "the holders",
    async () =>
      (await peer.files()).find(({ peers_with_file }) => peers_with_file.length >= holders),
    60_000,
  );
  const beganMs = performance.now();
  const url = `http://127.0.0.1:${peer.httpPort}/api/v1/files/${file_id}/fetch?wait=true`;
  const answer = await fetch(url, { method: "POST" });
  await answer.body?.cancel();
  if (!answer.ok) throw new Error(`Not fetched: ${answer.status}`);
  return (performance.now() - beganMs) / 1000;
}

async function fourSources(mib: number) {
  await using folder = await Folder.make();
  const content = randomBytes(mib * MIB);
  const files = [["file.bin", content]] as const;
  const sources: Program[] = [];
  await using stack = new AsyncDisposableStack();
  for (const name of ["a", "b", "c", "d"]) {
    sources.push(stack.use(await sharing(folder, name, files, sources.slice(0, 1), LIMITED)));
  }
  const peer = stack.use(await start(folder, "peer", sources, { args: FETCHING }));
  const seconds = await fetched(peer, 4);
  const outs = await Promise.all(sources.map(async (each) => (await statusOf(each)).bytes.out));
  const sent = outs.reduce((sum, out) => sum + out, 0);
  return { seconds, speed: content.length / seconds / 1e6, twice: sent / content.length - 1 };
}

async function manyPeers(peers: number, mib: number) {
  await using folder = await Folder.make();
  const content = randomBytes(mib * MIB);
  const files = [["file.bin", content]] as const;
  await using stack = new AsyncDisposableStack();
  const source = stack.use(await sharing(folder, "source", files, [], LIMITED));
  const all: Program[] = [];
  for (let i = 0; i < peers; i++) {
    all.push(stack.use(await start(folder, `peer${i}`, [source], { args: FETCHING })));
  }
  const times = await Promise.all(all.map((peer) => fetched(peer, 1)));
  const { bytes } = await statusOf(source);
  return { last: Math.max(...times), sent: bytes.out / content.length };
}

/** The same with libtorrent, all of whose peers know each other from the beginning. */
async function manyTorrents(peers: number, mib: number): Promise<number> {
  await using folder = await Folder.make();
  await Deno.writeFile(`${await folder.folder("files")}/file.bin`, randomBytes(mib * MIB));
  const torrent = folder.at("file.torrent");
  const running: Deno.ChildProcess[] = [];
  const run = (args: readonly string[]) => {
    const process = new Deno.Command(PYTHON, {
      args: [TORRENT, ...args],
      env: { STAY: "1" },
      stdin: "null",
      stdout: "piped",
    }).spawn();
    running.push(process);
    return process;
  };
  try {
    const ports = Array.from({ length: peers + 1 }, () => `${freePort()}`);
    run(["seed", folder.at("files"), torrent, ports[0]!, `${LIMIT}`]);
    await until("the torrent", () => Deno.stat(torrent).then(() => true, () => false));
    const beganMs = performance.now();
    await Promise.all(
      ports.slice(1).map(async (port, i) => {
        const target = await folder.folder(`torrent${i}`);
        const process = run([
          "get",
          torrent,
          target,
          port,
          ...ports.filter((each) => each !== port),
        ]);
        for await (const _piece of process.stdout) return; // "done"
      }),
    );
    return (performance.now() - beganMs) / 1000;
  } finally {
    for (const process of running) {
      try {
        process.kill("SIGKILL");
      } catch {
        // It has ended by itself.
      }
      await process.status;
    }
  }
}

const rounds = [];
for (let i = 0; i < Number(roundsText); i++) {
  const round = await fourSources(Number(mibText));
  console.log(
    `four sources: ${round.seconds.toFixed(2)} s, ${round.speed.toFixed(1)} MB/s, ${
      (100 * round.twice).toFixed(2)
    } % twice`,
  );
  rounds.push(round);
}
const one = (await manyPeers(1, 64)).last;
const many = [];
const torrents: number[] = [];
const hasTorrents = await isInstalled("python3-libtorrent");
const oneTorrent = hasTorrents ? await manyTorrents(1, 64) : NaN;
for (let i = 0; i < Number(roundsText); i++) {
  many.push(await manyPeers(16, 64));
  if (hasTorrents) torrents.push(await manyTorrents(16, 64));
  const { last, sent } = many.at(-1)!;
  console.log(
    `16 peers: ${last.toFixed(2)} s, ${
      sent.toFixed(2)
    } times the file left the source; libtorrent ${torrents.at(-1)?.toFixed(2)} s`,
  );
}
const last = median(many.map(({ last }) => last));
console.log(JSON.stringify({
  title: `${mibText} MiB from four sources of 20 MB/s; 64 MiB from one to 16 peers`,
  fourSources: {
    megabytesPerSecond: median(rounds.map(({ speed }) => speed)),
    twice: median(rounds.map(({ twice }) => twice)),
  },
  manyPeers: {
    one,
    seconds: last,
    timesOne: last / one,
    sent: median(many.map(({ sent }) => sent)),
  },
  libtorrent: {
    one: oneTorrent,
    seconds: median(torrents),
    timesOne: median(torrents) / oneTorrent,
  },
}));
