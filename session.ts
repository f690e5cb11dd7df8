// One run of the program: a peer with its face to the person (lines, prompt, pages) and to the system
// (addresses, ports, signals). What it throws is for main.ts to turn into a sentence and an exit code.

import { lookup } from "node:dns/promises";
import { resolve } from "node:path";
import type { Logger } from "@logtape/logtape";
import { type DummyConfig, type RunConfig } from "./cli/arguments.ts";
import { COMMAND_NAMES, menuText, runCommand, verifyText } from "./cli/commands.ts";
import { misbehavingSend, sampleFiles } from "./cli/dummy.ts";
import { globalAddresses } from "./cli/host.ts";
import { configureLog } from "./cli/log.ts";
import { DEV_BOOTSTRAP, OPTIONS, UsageError } from "./cli/options.ts";
import { count, Reporter } from "./cli/report.ts";
import { plainOutput, PromptTerminal, type Terminal } from "./cli/terminal.ts";
import {
  type Address,
  addressText,
  canonicalHost,
  canonicalIp,
  isLoopback,
  isLoopbackHost,
} from "./protocol/address.ts";
import { sendFile } from "./protocol/exchange.ts";
import { DEFAULT_LIMITS } from "./protocol/limits.ts";
import { visible } from "./protocol/text.ts";
import type { NodeEvent } from "./protocol/effects.ts";
import { Service, type ServiceOptions } from "./service.ts";
import { commandsOf, viewOf } from "./views.ts";
import { createApp } from "./web/app.ts";

/** What a person asked for was not all saved. */
const EXIT_STORAGE = 7;
/** How long a bootstrap may take to tell which of our addresses leads to it. */
const ROUTE_MS = 1_000;
/** A command that takes longer goes on while the next ones are carried out. */
const COMMAND_MS = 300;

/** Runs a peer until it is told to stop; resolves with the exit code. Throws what keeps it from starting. */
export async function runPeer(config: RunConfig): Promise<number> {
  const face = new Face(config.logLevel);
  const host = await hostToTell(config.host, config.bootstraps);
  const listenHost = listenHostFor(host, config.listenHost);
  const webHost = config.webHost === "" ? listenHost : config.webHost;
  if (config.port === config.httpPort && config.port !== 0) {
    throw new UsageError(
      `The P2P and the HTTP port are both ${config.port}; choose two different ones`,
    );
  }
  const ending = new Ending();
  const app: { fetch?: (request: Request) => Response | Promise<Response> } = {};
  const web = serveWeb(webHost, config.httpPort, (request) => app.fetch!(request));
  let service: Service;
  try {
    service = await openService({
      ...config,
      host,
      listenHost,
      ownIps: ownIps(),
      ownPorts: [web.addr.port],
      onEvent: face.onEvent,
    });
  } catch (error) {
    await web.shutdown();
    throw error;
  }
  const names = hostNames(host, config.allowedHost);
  app.fetch = createApp(viewOf(service, names), Date.now, (error) => {
    face.onEvent({ name: "trouble", text: error.stack ?? error.message });
  }).fetch;
  await face.begin();

  const url = `http://${
    addressText({ host: isWildcard(webHost) ? host : webHost, port: web.addr.port })
  }`;
  face.print(`Storage directory: ${resolve(config.storageDir)}`);
  face.print(
    `TCP address: ${addressText(service.node.address)} (listening on ${
      addressText({ host: listenHost, port: service.node.address.port })
    })`,
  );
  face.print(`HTTP address: ${url}`);
  for (const note of service.store.loaded.notes) face.print(visible(note, 1_000));
  tellUnclaimed(service, face);
  const { settling } = service;
  face.print(
    `${count(service.node.peer.state.catalogue.heldCount, "file")} here` +
      (settling > 0 ? `, ${settling} more changed just now and are looked at` : ""),
  );

  const commands = commandsOf(service, {
    setLogLevel: (level) => face.setLevel(level),
    exit: () => ending.end(0),
  });
  if (!config.noRepl && Deno.stdin.isTerminal() && Deno.stdout.isTerminal()) {
    face.print(menuText());
    face.terminal = await promptOf(service, face, ending, async (line) => {
      if (ending.isOver) return;
      const done = runCommand(line, commands, (text) => face.print(text)).then((answer) => {
        if (answer !== "") face.print(answer);
      });
      // A download may take minutes; the next command does not wait for it.
      await Promise.race([done, new Promise((go) => setTimeout(go, COMMAND_MS))]);
    });
  }
  service.join();
  if (config.verify) {
    verifyText(commands, (text) => face.print(text)).then(
      (text) => face.print(text),
      (error) => face.onEvent({ name: "trouble", text: `Not verified: ${error.message}` }),
    );
  }

  const code = await ending.wait();
  face.print("Stopping");
  const [isSaved] = await Promise.all([service.stop(), abandon(web)]);
  face.terminal.close();
  return isSaved ? code : EXIT_STORAGE;
}

/** Runs a bootstrap with sample files until it is told to stop. */
export async function runDummy(config: DummyConfig): Promise<number> {
  const face = new Face(config.logLevel);
  const ending = new Ending();
  const dummy = await startDummy(config, face.onEvent);
  await face.begin();
  const held = dummy.service.node.peer.state.catalogue.heldCount;
  face.print(
    `Dummy peer at ${addressText(dummy.service.node.address)} with ${count(held, "file")}`,
  );
  if (config.misbehave) face.print(`It misbehaves: ${config.misbehave}`);
  const code = await ending.wait();
  face.print("Stopping");
  await dummy.stop();
  return code;
}

/** A dummy bootstrap and a peer that joins it, in one process: the whole program at a glance. */
export async function runDev(config: RunConfig): Promise<number> {
  const { host, port } = DEV_BOOTSTRAP;
  const dummy = await startDummy({
    host,
    port,
    files: undefined,
    misbehave: undefined,
    logLevel: "WARNING",
  }, () => {});
  try {
    console.log(`Dummy peer at ${addressText(DEV_BOOTSTRAP)}`);
    return await runPeer(config);
  } finally {
    await dummy.stop();
  }
}

async function startDummy(
  { host, port, files, misbehave }: DummyConfig,
  onEvent: (event: NodeEvent) => void,
): Promise<{ service: Service; stop: () => Promise<void> }> {
  const dir = await Deno.makeTempDir({ prefix: "p2p-peer-dummy-" });
  const removeDir = () => Deno.remove(dir, { recursive: true });
  try {
    const samples = `${dir}/samples`;
    if (files === undefined) await writeSamples(samples);
    // Several dummies beside each other must not share a name.
    const ownPort = port === 0 ? (freePort(host, 0) ?? 0) : port;
    const service = await openService({
      peerId: ownPort === DEV_BOOTSTRAP.port ? "dummy" : `dummy-${ownPort}`,
      host,
      port: ownPort,
      listenHost: isLoopbackHost(host) ? listenHostFor(host, "") : host,
      ownIps: ownIps(),
      ownPorts: [],
      bootstraps: [],
      storageDir: `${dir}/store`,
      autoFetch: 0,
      gossipInterval: OPTIONS.gossipInterval.fallback,
      peerTimeout: OPTIONS.peerTimeout.fallback,
      durability: "normal",
      limits: { ...DEFAULT_LIMITS, minFreeBytes: 0 },
      ...(misbehave ? { sendFile: misbehavingSend(misbehave, sendFile) } : {}),
      onEvent,
    });
    for await (const { name, isFile } of Deno.readDir(files ?? samples)) {
      if (isFile && !name.startsWith(".")) {
        await service.requests.push(`${files ?? samples}/${name}`);
      }
    }
    service.join();
    const stop = async () => {
      await service.stop();
      await removeDir();
    };
    return { service, stop };
  } catch (error) {
    await removeDir();
    if (error instanceof Deno.errors.NotFound && files !== undefined) {
      throw new UsageError(`There is no folder ${files}; give one with --files`, { cause: error });
    }
    throw error;
  }
}

async function writeSamples(dir: string): Promise<void> {
  await Deno.mkdir(dir);
  for (const { name, content } of sampleFiles()) await Deno.writeFile(`${dir}/${name}`, content);
}

/** Lines to the person: milestones as they are, the rest through the log, all above the prompt. */
class Face {
  terminal: Terminal = plainOutput;
  #logger: Logger | undefined;
  readonly #reporter = new Reporter(Date.now);
  /** What happened before the log was there. */
  #early: NodeEvent[] | undefined = [];

  constructor(public level: string) {}

  async begin(): Promise<void> {
    await this.setLevel(this.level);
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const event of early) this.onEvent(event);
  }

  async setLevel(level: string): Promise<void> {
    this.level = level;
    this.#logger = await configureLog(level, (line) => this.terminal.print(line));
  }

  print(text: string): void {
    this.terminal.print(text);
  }

  readonly onEvent = (event: NodeEvent): void => {
    if (this.#early) {
      this.#early.push(event);
      return;
    }
    for (const { level, text, plain } of this.#reporter.lines(event)) {
      if (plain) this.print(text);
      else {
        switch (level) {
          case "DEBUG":
            this.#logger?.debug("{text}", { text });
            break;
          case "INFO":
            this.#logger?.info("{text}", { text });
            break;
          case "WARNING":
            this.#logger?.warn("{text}", { text });
            break;
          case "ERROR":
            this.#logger?.error("{text}", { text });
            break;
          default:
            level satisfies never;
        }
      }
    }
  };
}

/** When the program ends: on a signal, a command, or at once on a second signal. */
class Ending {
  readonly #end = Promise.withResolvers<number>();
  #ended = false;

  constructor() {
    Deno.addSignalListener("SIGINT", () => this.insist(130));
    Deno.addSignalListener("SIGTERM", () => this.insist(0));
  }

  get isOver(): boolean {
    return this.#ended;
  }

  /** The program is to end; what says so later changes nothing. */
  end(code: number): void {
    this.#ended = true;
    this.#end.resolve(code);
  }

  /** As `end`, and the second time at once. */
  insist(code: number): void {
    if (this.#ended) Deno.exit(code);
    this.end(code);
  }

  wait(): Promise<number> {
    return this.#end.promise;
  }
}

async function openService(options: ServiceOptions): Promise<Service> {
  try {
    return await Service.open(options);
  } catch (error) {
    throw listenError(error, "P2P", options.listenHost, options.port);
  }
}

function serveWeb(
  hostname: string,
  port: number,
  handler: (request: Request) => Response | Promise<Response>,
): Deno.HttpServer<Deno.NetAddr> {
  try {
    return Deno.serve({ hostname, port, onListen: () => {} }, handler);
  } catch (error) {
    throw listenError(error, "HTTP", hostname, port);
  }
}

/** Requests under way get a moment; a download in a browser must not keep the peer alive. */
async function abandon(web: Deno.HttpServer): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const patience = new Promise<void>((go) => timer = setTimeout(go, 1_000));
  await Promise.race([web.shutdown(), patience]);
  clearTimeout(timer);
}

/** Errors of listening as sentences that name the cure. */
function listenError(error: unknown, what: string, hostname: string, port: number): unknown {
  if (error instanceof Deno.errors.AddrInUse) {
    const free = freePort(hostname, port + 1);
    return new UsageError(
      `The ${what} port ${port} is in use; "ss -ltnp sport = :${port}" shows by whom` +
        (free === undefined ? "" : `, ${free} is free`),
      { cause: error },
    );
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return new UsageError(
      `${hostname} is no address of this machine; choose another one to listen on`,
      {
        cause: error,
      },
    );
  }
  if (error instanceof Deno.errors.PermissionDenied && port > 0 && port < 1024) {
    return new UsageError(
      `The ${what} port ${port} needs rights of the administrator; use one above 1023`,
      {
        cause: error,
      },
    );
  }
  if (error instanceof Error && /failed to lookup address|ENOTFOUND/.test(error.message)) {
    return new UsageError(
      `The host ${visible(hostname)} does not resolve; check the spelling, or give an address`,
      { cause: error },
    );
  }
  return error;
}

/** A port that is free now, at or above `from`; any one for 0. */
function freePort(hostname: string, from: number): number | undefined {
  for (let port = from; port < Math.min(from + 100, 65536); port++) {
    try {
      const listener = Deno.listen({ hostname, port });
      listener.close();
      return listener.addr.port;
    } catch {
      // Taken too; the next one.
    }
  }
  return undefined;
}

/** What others are told. Throws `UsageError` when a given host leads nowhere. */
async function hostToTell(
  given: string | undefined,
  bootstraps: readonly Address[],
): Promise<string> {
  if (given === undefined) {
    const found = globalAddresses(Deno.networkInterfaces());
    if (found.length > 1) return await addressTowards(bootstraps, found) ?? found[0]!;
    return found[0] ?? "127.0.0.1"; // no network: only peers on this machine can come
  }
  if (canonicalIp(given) !== undefined) return given;
  if (!/^[\w.-]{1,253}$/.test(given)) {
    throw new UsageError(`The host must be a name or an address, got "${visible(given)}"`);
  }
  try {
    await lookup(given);
    return given;
  } catch (cause) {
    throw new UsageError(
      `The host ${given} does not resolve; check the spelling, or leave it out to use this machine's address`,
      { cause },
    );
  }
}

/** A connection to a bootstrap tells which of several addresses leads to the others; within a second, or not at all. */
async function addressTowards(
  bootstraps: readonly Address[],
  ours: readonly string[],
): Promise<string | undefined> {
  const signal = AbortSignal.timeout(ROUTE_MS);
  const probe = async ({ host: hostname, port }: Address) => {
    const conn = await Deno.connect({ hostname, port, signal });
    const address = canonicalIp(conn.localAddr.hostname);
    conn.close();
    if (address === undefined || !ours.includes(address)) throw new Error("It is on this machine");
    return address;
  };
  const timeout = new Promise<never>((_, no) => signal.addEventListener("abort", () => no()));
  const probes = Promise.any(bootstraps.map(probe));
  return await Promise.race([probes, timeout]).catch(() => undefined);
}

/** All interfaces, unless a loopback host says that only this machine is meant. */
function listenHostFor(host: string, given: string): string {
  if (given !== "") return given;
  if (isLoopbackHost(host)) return canonicalIp(host) === "::1" ? "::1" : "127.0.0.1";
  try {
    Deno.listen({ hostname: "::", port: 0 }).close();
    return "::";
  } catch {
    return "0.0.0.0"; // no IPv6 here
  }
}

const isWildcard = (host: string) => host === "::" || host === "0.0.0.0";

function ownIps(): string[] {
  return Deno.networkInterfaces()
    .map(({ address }) => canonicalIp(address))
    .filter((ip): ip is string => ip !== undefined && !isLoopback(ip));
}

/** Names under which browsers may come. */
function hostNames(host: string, allowed: readonly string[]): ReadonlySet<string> {
  const machine = Deno.hostname().toLowerCase();
  return new Set([canonicalHost(host), machine, `${machine}.local`, ...allowed.map(canonicalHost)]);
}

function tellUnclaimed(service: Service, face: Face): void {
  const names = service.store.unclaimed;
  if (names.length === 0) return;
  face.print(
    `${
      names.length === 1 ? "1 file here is" : `${names.length} files here are`
    } not shared, for nobody knows any more whose they are (${
      names.slice(0, 3).map((name) => visible(name, 40)).join(", ")
    }${names.length > 3 ? ", …" : ""}); "push" shares one as yours`,
  );
}

async function promptOf(
  service: Service,
  face: Face,
  ending: Ending,
  onLine: (line: string) => Promise<void>,
): Promise<Terminal> {
  const { history: path } = service.store.layout;
  const text = await Deno.readTextFile(path).catch(() => ""); // the first run has none
  return new PromptTerminal({
    history: text.split("\n").filter((line) => line !== ""),
    complete: (line) => completions(service, line),
    onLine,
    onInterrupt: () => ending.insist(130),
    onEnd: () => ending.end(0),
    onHistory: (lines) => {
      service.store.snapshots.saveHistory(lines)
        .catch((error) =>
          face.onEvent({ name: "trouble", text: `History is not kept: ${error.message}` })
        );
    },
  });
}

/** Commands at the beginning of a line, names and ids of files behind them. */
function completions(service: Service, line: string): string[] {
  const space = line.lastIndexOf(" ");
  if (space < 0) {
    return COMMAND_NAMES.filter((name) => name.startsWith(line)).map((name) => `${name} `);
  }
  const word = line.slice(space + 1);
  const found: string[] = [];
  for (const { file } of service.node.peer.state.catalogue.all()) {
    for (const text of [file.name, file.fileId]) {
      if (text.startsWith(word) && visible(text) === text && !text.includes(" ")) {
        found.push(line.slice(0, space + 1) + text);
      }
    }
    if (found.length >= 50) break;
  }
  return found;
}
