// One run of the program: a peer with its face to the person (lines, prompt, pages) and to the system
// (addresses, ports, signals). What it throws is for main.ts to turn into a sentence and an exit code.

import { resolve } from "node:path";
import { type DummyConfig, type RunConfig } from "../cli/arguments.ts";
import { COMMAND_NAMES, menuText, runCommand, verifyText } from "../cli/commands.ts";
import { misbehavingSend, sampleFiles } from "../cli/dummy.ts";
import { DEV_BOOTSTRAP, OPTIONS } from "../cli/options.ts";
import { count } from "../cli/report.ts";
import { PromptTerminal, type Terminal } from "../cli/terminal.ts";
import { UsageError } from "../cli/values.ts";
import { Ending, Face } from "./console.ts";
import { NoSocketError } from "../http/upstream.ts";
import { Front, type FrontOptions } from "../http/gateway.ts";
import {
  freePort,
  hostNames,
  hostToTell,
  isWildcard,
  listenError,
  listenHostFor,
  ownIps,
} from "./addresses.ts";
import { addressText, isLoopbackHost } from "../protocol/wire/address.ts";
import { sendFile } from "../net/exchange.ts";
import { DEFAULT_LIMITS } from "../protocol/limits.ts";
import { visible } from "../protocol/wire/text.ts";
import type { NodeEvent } from "../protocol/effects.ts";
import { Service, type ServiceOptions, within } from "./service.ts";
import { readText } from "../storage/atomic.ts";
import { loadNodeKey, loadWebToken } from "../storage/identity.ts";
import { layoutOf, makeFolders } from "../storage/layout.ts";
import { commandsOf } from "./prompt_commands.ts";
import { createApp } from "../web/app.ts";
import { Metrics } from "../web/metrics.ts";
import { webViewOf } from "./web_view.ts";

/** How long the pages may take to end, in milliseconds. */
const STOP_WEB_MS = 4_500;
/** What a person asked for was not all saved. */
const EXIT_STORAGE = 7;
/** A command that takes longer goes on while the next ones are carried out. */
const COMMAND_MS = 300;

/** Runs a peer until it is told to stop; resolves with the exit code. Throws what keeps it from starting. */
export async function runPeer(given: RunConfig): Promise<number> {
  const config = given.isNamed ? given : { ...given, peerId: await ownName(given) };
  const face = new Face(config.logLevel);
  const host = await hostToTell(config.host, config.bootstraps);
  const listenHost = listenHostFor(host, config.listenHost);
  const webHost = config.webHost === "" ? listenHost : config.webHost;
  if (config.port === config.httpPort && config.port !== 0) {
    throw new UsageError(
      `The P2P and the HTTP port are both ${config.port}; choose two different ones`,
    );
  }
  const legacyPage = config.legacyPage === "" ? undefined : await readPage(config.legacyPage);
  const metrics = new Metrics();
  const ending = new Ending();
  const web = openFront({ hostname: webHost, port: config.httpPort, limits: config.limits });
  let service: Service;
  try {
    const opening = openService({
      ...config,
      host,
      listenHost,
      ownIps: ownIps(),
      ownPorts: [web.port],
      onEvent: face.onEvent,
      onMoved: ({ kind, state, startedMs, endedMs = startedMs }) => {
        metrics.transferred(kind, state, (endedMs - startedMs) / 1000);
      },
    });
    // A large folder takes minutes to be read for the first time. Nothing is lost by ending in the middle of that.
    const opened = await Promise.race([opening, ending.wait()]);
    if (typeof opened === "number") {
      opening.catch(() => {}); // the process ends
      console.log("Stopping");
      return opened;
    }
    service = opened;
  } catch (error) {
    await web.stop();
    throw error;
  }
  const view = webViewOf(service, hostNames(host, config.allowedHost));
  const { token, isNew } = await loadWebToken(service.store.layout.webToken);
  const app = createApp(view, {
    now: Date.now,
    onError: (error) => face.onEvent({ name: "trouble", text: error.stack ?? error.message }),
    token: config.webAuth === "off" ? undefined : token,
    isPrivate: config.webRead === "private",
    legacyPage,
    metrics,
    basePath: config.basePath,
    trustedProxies: new Set(config.trustedProxy),
  });
  await face.begin();

  const url = `http://${
    addressText({ host: isWildcard(webHost) ? host : webHost, port: web.port })
  }`;
  face.print(`Storage directory: ${resolve(config.storageDir)}`);
  face.print(
    `TCP address: ${addressText(service.node.address)} (listening on ${
      addressText({ host: listenHost, port: service.node.address.port })
    })`,
  );
  face.print(`HTTP address: ${url}`);
  const login = loginText(url, config.webAuth === "off" ? undefined : token);
  if (isNew || config.webAuth === "off") face.print(login);
  for (const note of service.store.notes) face.print(visible(note, 1_000));
  tellUnclaimed(service, face);
  const { settling } = service;
  face.print(
    `${count(service.node.peer.catalogue.heldCount, "file")} here` +
      (settling > 0 ? `, ${settling} more changed just now and are looked at` : ""),
  );

  const commands = commandsOf(service, {
    setLogLevel: (level) => face.setLevel(level),
    exit: () => ending.end(0),
    login: () => login,
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
  try {
    web.begin((request, client) => app.fetch(request, client), service.store.layout.private);
  } catch (error) {
    await Promise.all([service.stop(), web.stop()]);
    throw error instanceof NoSocketError ? new UsageError(error.message, { cause: error }) : error;
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
  view.close();
  // Whatever hangs, the end is not far: `service.stop` has a deadline of its own.
  const [isSaved] = await Promise.all([service.stop(), within(STOP_WEB_MS, web.stop())]);
  face.terminal.close();
  return isSaved ? code : EXIT_STORAGE;
}

/** Letters of the key behind the machine's name, so that two peers that nobody named have different names. */
const NAME_LETTERS = 4;

/** The peer id where nobody gave one: the machine's name and some letters of this store's key. */
async function ownName({ peerId, storageDir }: RunConfig): Promise<string> {
  const layout = layoutOf(storageDir);
  await makeFolders(layout);
  const key = await loadNodeKey(layout.key);
  const letters = key.toLowerCase().replaceAll(/[^a-z0-9]/g, "").slice(0, NAME_LETTERS);
  return `${peerId}-${letters}`;
}

/** Runs a bootstrap with sample files until it is told to stop. */
export async function runDummy(config: DummyConfig): Promise<number> {
  const face = new Face(config.logLevel);
  const ending = new Ending();
  const dummy = await startDummy(config, face.onEvent);
  await face.begin();
  const held = dummy.service.node.peer.catalogue.heldCount;
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

/** When the samples were made, Unix seconds. */
const SAMPLES_MADE = 1_700_000_000;

async function writeSamples(dir: string): Promise<void> {
  await Deno.mkdir(dir);
  for (const { name, content } of sampleFiles()) {
    await Deno.writeFile(`${dir}/${name}`, content);
    // The same time in each run: whoever has a sample already has this one.
    await Deno.utime(`${dir}/${name}`, SAMPLES_MADE, SAMPLES_MADE);
  }
}

async function openService(options: ServiceOptions): Promise<Service> {
  try {
    return await Service.open(options);
  } catch (error) {
    throw listenError(error, "P2P", options.listenHost, options.port);
  }
}

/** How a browser is let in; the part behind # never leaves it. */
function loginText(url: string, token: string | undefined): string {
  return token === undefined
    ? "Anybody who reaches the web pages may share and delete files here (--web-auth off)"
    : `To share and delete in a browser, open ${url}/#token=${token}`;
}

/** Throws `UsageError`. */
async function readPage(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    throw new UsageError(`--legacy-page ${path} cannot be read; give an HTML file`, { cause });
  }
}

/** Throws `UsageError` and other errors of listening. */
function openFront(options: FrontOptions): Front {
  try {
    return new Front(options);
  } catch (error) {
    throw listenError(error, "HTTP", options.hostname, options.port);
  }
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
  const text = await readText(path) ?? ""; // the first run has none
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
  for (const { file } of service.node.peer.catalogue.all()) {
    for (const text of [file.name, file.fileId]) {
      if (text.startsWith(word) && visible(text) === text && !text.includes(" ")) {
        found.push(line.slice(0, space + 1) + text);
      }
    }
    if (found.length >= 50) break;
  }
  return found;
}
