// Run by remote_test.ts inside a network namespace, with the attacker's namespace as its argument: the program, peers that
// query it over loopback, and an attacker on another machine who names addresses that nobody may be made to dial. A packet
// socket records every outgoing SYN. Prints what was seen as one line of JSON.

import { Honest } from "../hostile/honest.ts";
import { HostileServer } from "../hostile/server.ts";
import { Folder } from "../process/folder.ts";
import { Program } from "../process/program.ts";
import { HERE, THERE } from "./namespaces.ts";
import { together } from "../process/together.ts";
import { EAGER, entryOf, listed, type Message, randomFile } from "./scene.ts";

export interface Seen {
  /** Outgoing dials, as "address port". */
  readonly dials: readonly string[];
  /** A port named only by the attacker. */
  readonly baitPort: number;
  readonly ownPorts: readonly number[];
  /** Whether the program dialed itself. */
  readonly heardItself: boolean;
  /** What arrived at the bait port. */
  readonly taken: { readonly connects: number; readonly bytes: number };
  readonly refused: Readonly<Record<string, number>>;
  readonly report: string;
}

/** The port at which the attacker may legitimately be dialed. */
export const PROPER_PORT = 8000;
export const PRIVILEGED = [1, 22, 80, 443, 1023];

const LOOPBACK = "127.0.0.1 127.1 127.0.1 0x7f000001 0x7f.1 2130706433 0177.0.0.1 017700000001 " +
  "127.255.255.254 localhost LOCALHOST LocalHost. ::1 [::1] 0:0:0:0:0:0:0:1 ::ffff:127.0.0.1 " +
  "[::ffff:127.0.0.1] ::ffff:7f00:1 ::127.0.0.1 0.0.0.0 0 0x0 :: [::] ::ffff:0.0.0.0 " +
  "64:ff9b::7f00:1";
const LINK_LOCAL = "169.254.169.254 169.254.0.1 0xa9fea9fe 2852039166 169.16689662 " +
  "::ffff:169.254.169.254 ::ffff:a9fe:a9fe fe80::1 [fe80::1]";
const MULTICAST = "224.0.0.1 239.255.255.250 255.255.255.255 240.0.0.1 0xe0000001 ff02::1 " +
  "[ff02::1] ::ffff:224.0.0.1";
const OWN = `${HERE} ::ffff:${HERE} 0x0a4d0001 172818433`;

/** Host names known on this machine, for addresses that are judged only after they are resolved. */
export const NAMES = {
  "loop.test": "127.0.0.1",
  "loop6.test": "::1",
  "any.test": "0.0.0.0",
  "link.test": "169.254.169.254",
  "link6.test": "fe80::1",
  "many.test": "224.0.0.1",
  "own.test": HERE,
};

/** Runs on the attacker's machine. Sends each message on its own connection. */
const BRING = `
import json, socket, sys
for text in json.load(sys.stdin):
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
    s.settimeout(20)
    s.sendall(text.encode())
    s.shutdown(socket.SHUT_WR)
    while s.recv(65536): pass
    s.close()
`;

/** Runs on the attacker's machine. Accepts everything and answers nothing. */
const TAKE = `
import socket, sys, threading
def take(c):
    while c.recv(65536): pass
    c.close()
s = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=100)
print("ready", flush=True)
while True: threading.Thread(target=take, args=(s.accept()[0],), daemon=True).start()
`;

/** Runs on this machine. Prints a line for each SYN without ACK that leaves through any interface. */
const WATCH = `
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
print("ready", flush=True)
while True:
    data, (_, proto, kind, *_) = s.recvfrom(65536)
    if kind != socket.PACKET_OUTGOING: continue
    if proto == 0x800 and data[9] == 6:
        to, tcp = socket.inet_ntop(socket.AF_INET, data[16:20]), data[(data[0] & 15) * 4:]
    elif proto == 0x86dd and data[6] == 6:
        to, tcp = socket.inet_ntop(socket.AF_INET6, data[24:40]), data[40:]
    else: continue
    if tcp[13] & 0x12 == 2: print(to, struct.unpack("!H", tcp[2:4])[0], flush=True)
`;

function at(namespace: string, ...command: string[]): string[] {
  return ["ip", "netns", "exec", namespace, ...command];
}

async function bringFrom(there: string, port: number, messages: readonly string[]): Promise<void> {
  const [command, ...args] = at(there, "python3", "-c", BRING, HERE, `${port}`);
  const child = new Deno.Command(command!, { args, stdin: "piped", stderr: "inherit" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(messages)));
  await writer.close();
  if (!(await child.status).success) throw new Error("The attacker failed to send its messages");
}

/** Returns, for each address, a gossip, a list with a file that is missing here, and an announcement of that file. */
function bait(places: readonly Message[]): string[] {
  return places.flatMap((place, i) => {
    const peerId = `bait-${i}`;
    const entry = entryOf(randomFile(`bait-${i}.bin`, peerId));
    return [
      { type: "GOSSIP", ...place, id: crypto.randomUUID(), peerId },
      { type: "GOSSIP_REPLY", ...place, peerId, files: [entry] },
      { type: "ANNOUNCE", from: peerId, ...entry },
    ].map((message) => JSON.stringify(message));
  });
}

/** Returns the forbidden addresses, in every spelling. */
function literals(baitPort: number, ownPorts: readonly number[]): Message[] {
  const hosts = [LOOPBACK, LINK_LOCAL, MULTICAST].flatMap((text) => text.split(" "));
  return [
    ...hosts.map((host) => ({ host, port: baitPort })),
    ...OWN.split(" ").flatMap((host) => ownPorts.map((port) => ({ host, port }))),
    ...PRIVILEGED.map((port) => ({ host: THERE, port })),
    ...PRIVILEGED.map((port) => ({ host: "", port: `${port}` })),
    ...["127.0.0.1", "localhost", "::1"].map((host) => ({ host, port: 80 })),
  ];
}

/** Returns addresses by host name, which mean nothing until they are resolved. */
function names(baitPort: number, ownPorts: readonly number[]): Message[] {
  return Object.keys(NAMES).flatMap((host) => {
    const ports = host === "own.test" ? ownPorts : [baitPort];
    return ports.map((port) => ({ host, port }));
  });
}

async function start(folder: Folder): Promise<Program> {
  const args = [...EAGER, "--gossip-interval", "0.5", "--log-level", "DEBUG"];
  const program = new Program(["kashifm", HERE, "0", "0", ...args], { cwd: folder.path });
  const [, tcp] = await program.waitForLine(/^TCP address: [^ ]*:(\d+)\b/);
  const [, http] = await program.waitForLine(/^HTTP address: http:\/\/[^ ]*:(\d+)/);
  program.port = Number(tcp);
  program.httpPort = Number(http);
  return program;
}

async function scene(there: string, places: typeof literals): Promise<Seen> {
  await using folder = await Folder.make();
  await using watcher = new Program([], {
    cwd: folder.path,
    command: ["python3", "-c", WATCH],
  });
  await watcher.waitForLine(/^ready$/);
  // Would receive what the bait causes. No one else names this port.
  await using sink = await HostileServer.sink({ host: "::" });
  await using proper = new Program([], {
    cwd: folder.path,
    command: at(there, "python3", "-c", TAKE, THERE, `${PROPER_PORT}`),
  });
  await proper.waitForLine(/^ready$/);
  await using program = await start(folder);
  const ownPorts = [program.port, program.httpPort];
  const messages = bait(places(sink.port, ownPorts));
  messages.push(JSON.stringify({
    type: "GOSSIP",
    host: "",
    port: PROPER_PORT,
    id: crypto.randomUUID(),
    peerId: "proper",
  }));
  // Legacy peers would dial addresses forwarded to them, so during the capture the querying peers dial only the program.
  await together<unknown>([
    bringFrom(there, program.port, messages),
    listed(program),
    listed(program),
  ]);
  // Each gossip round picks five tracked peers at random, so wait for several rounds.
  const properly = () => watcher.out.filter((line) => line === `${THERE} ${PROPER_PORT}`).length;
  const sofar = properly();
  await program.until("rounds of gossip after the attack", () => properly() >= sofar + 6);
  const dials = watcher.out.slice(1);
  await using honest = await Honest.beside(program);
  await honest.check();
  const { refused } = await program.status() as { refused: Record<string, number> };
  return {
    dials,
    baitPort: sink.port,
    ownPorts,
    heardItself: program.lines.some((line) =>
      / Received from \S+: GOSSIP\w* of kashifm\b/.test(line)
    ),
    taken: { connects: sink.connects, bytes: sink.bytes },
    refused,
    report: program.report(),
  };
}

if (import.meta.main) {
  const [there, kind] = Deno.args as [string, string];
  console.log(JSON.stringify(await scene(there, kind === "names" ? names : literals)));
}
