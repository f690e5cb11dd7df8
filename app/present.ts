// What people see first: where the peer is, how to log in, which files are here, and the prompt.

import { resolve } from "node:path";
import { answerTo, menuText } from "../cli/commands.ts";
import { completionsOf } from "../cli/completion.ts";
import { count } from "../cli/report.ts";
import { indexingText } from "../cli/units.ts";
import { type PromptOptions, PromptTerminal, type Terminal } from "../cli/terminal.ts";
import { addressText, isLoopbackHost } from "../protocol/wire/address.ts";
import { visible } from "../protocol/wire/text.ts";
import { readText } from "../storage/atomic.ts";
import { isWildcard } from "./addresses.ts";
import type { PeerConsole } from "./console.ts";
import type { OpenPeer } from "./open.ts";
import type { commandsOf } from "./prompt_commands.ts";
import type { Service } from "./service.ts";
import type { Shutdown } from "./shutdown.ts";

/**
 * Maximum time the prompt waits for a command before it accepts the next one, in milliseconds. Downloads take minutes.
 */
const COMMAND_MS = 300;
/** Interval between lines about the first scan of a large folder, in milliseconds. */
const PROGRESS_MS = 10_000;

/** Prints where the peer is and how to log in, and, once the folder was scanned, how many files are here. */
export function present(peer: OpenPeer, output: PeerConsole): void {
  const { config, listenHost, service, isNewToken } = peer;
  const { address } = service.node;
  const listening = addressText({ host: listenHost, port: address.port });
  output.print(`Storage directory: ${resolve(config.storageDir)}`);
  output.print(`TCP address: ${addressText(address)} (listening on ${listening})`);
  if (config.host === undefined && isLoopbackHost(address.host)) {
    output.print(
      "This machine has no network: other machines cannot reach this peer until it has one",
    );
  }
  output.print(`HTTP address: ${urlOf(peer)}`);
  if (isNewToken || config.webAuth === "off") output.print(loginText(peer));
  printNotes(service, output, 0);
  const told = service.store.notes.length;
  const timer = setInterval(() => {
    if (service.indexing) output.print(`Indexing: ${indexingText(service.indexing)}`);
  }, PROGRESS_MS);
  Deno.unrefTimer(timer);
  service.indexed.then(() => {
    printNotes(service, output, told);
    tellUnclaimed(service, output);
    output.print(`${count(service.node.peer.catalogue.heldCount, "file")} here`);
  }, () => {}).finally(() => clearInterval(timer)); // whoever runs the peer handles errors
}

/** Prints what was found out at the start, from note `first` on. */
function printNotes({ store }: Service, output: PeerConsole, first: number): void {
  for (const note of store.notes.slice(first)) output.print(visible(note, 1_000));
}

/** Starts the prompt if the program runs in a terminal and `--no-repl` is not set. */
export async function startPrompt(
  { config, service }: OpenPeer,
  output: PeerConsole,
  shutdown: Shutdown,
  commands: ReturnType<typeof commandsOf>,
  onInterrupt: PromptOptions["onInterrupt"],
): Promise<void> {
  if (config.noRepl || !Deno.stdin.isTerminal() || !Deno.stdout.isTerminal()) return;
  output.print(menuText(commands.screen()?.columns));
  const onLine = async (line: string) => {
    if (shutdown.isRequested) return;
    const done = answerTo(line, commands, {
      print: (text) => output.print(text),
      show: (text) => output.terminal.progress(text),
      ask: output.terminal.ask,
    }).then(({ text }) => {
      if (text !== "") output.print(text);
    });
    await Promise.race([done, new Promise((go) => setTimeout(go, COMMAND_MS))]);
  };
  const onEnd = () => shutdown.request(0);
  output.terminal = await promptOf(service, output, { onLine, onInterrupt, onEnd });
}

/**
 * Returns the line about logging in from a browser. The part after # never leaves the browser. What is not shown on a terminal may
 * be kept, so it names the file with the token instead.
 */
export function loginText(peer: OpenPeer, isShown = Deno.stdout.isTerminal()): string {
  if (peer.config.webAuth === "off") {
    return "Anybody who reaches the web pages may share and delete files here (--web-auth off)";
  }
  const url = urlOf(peer);
  return isShown
    ? `To share and delete in a browser, open ${url}/#token=${peer.token}`
    : `To share and delete in a browser, open ${url} and log in with the token in ${
      resolve(peer.service.store.layout.webToken)
    }`;
}

/** Resolves to the address of the page as a QR code. */
export async function qrCode(peer: OpenPeer, isLogin: boolean): Promise<string> {
  const { qrText } = await import("../cli/qr_text.ts"); // rarely needed
  const url = `${urlOf(peer)}${peer.config.basePath}/`;
  const needsLogin = peer.config.webAuth !== "off";
  const isHere = isLoopbackHost(URL.parse(url)?.hostname ?? "");
  return qrText(
    isLogin && needsLogin ? `${url}#token=${peer.token}` : url,
    isHere
      ? "Only this machine can open it: start the peer with the host by which phones reach this machine"
      : undefined,
  );
}

/** Returns the URL of the pages for programs on this machine. */
export function ownUrl({ config, webHost, gateway }: OpenPeer): string {
  const host = webHost === "::" || webHost === "0.0.0.0" ? "127.0.0.1" : webHost;
  return `http://${addressText({ host, port: gateway.port })}${config.basePath}`;
}

function urlOf({ host, webHost, gateway }: OpenPeer): string {
  return `http://${
    addressText({ host: isWildcard(webHost) ? host : webHost, port: gateway.port })
  }`;
}

function tellUnclaimed(service: Service, output: PeerConsole): void {
  const names = service.store.unclaimed;
  if (names.length === 0) return;
  output.print(
    `${
      names.length === 1 ? "1 file here is" : `${names.length} files here are`
    } not shared, because their owner is no longer known (${
      names.slice(0, 3).map((name) => visible(name, 40)).join(", ")
    }${names.length > 3 ? ", …" : ""}); "push" shares one as yours`,
  );
}

async function promptOf(
  service: Service,
  output: PeerConsole,
  on: Pick<PromptOptions, "onLine" | "onInterrupt" | "onEnd">,
): Promise<Terminal> {
  const { history: path } = service.store.layout;
  const text = await readText(path) ?? ""; // there is none before the first run
  return new PromptTerminal({
    history: text.split("\n").filter((line) => line !== ""),
    complete: (line) => completionsOf(line, { files: () => filesOf(service), entries: entriesOf }),
    ...on,
    onHistory: (lines) => {
      service.store.snapshots.saveHistory(lines)
        .catch((error) =>
          output.onEvent({ name: "trouble", text: `History is not kept: ${error.message}` })
        );
    },
  });
}

/** Names in a folder, those of folders with a final slash; `~` is the user's own. */
function* entriesOf(folder: string): Iterable<string> {
  const path = folder.replace(/^~(?=\/)/, () => Deno.env.get("HOME") ?? "~");
  for (const { name, isDirectory } of Deno.readDirSync(path)) {
    yield isDirectory ? `${name}/` : name;
  }
}

function* filesOf({ node }: Service) {
  for (const { file } of node.peer.catalogue.all()) yield file;
}
