// One run of the program: a peer is opened, presented to the person, serves, and stops. What this throws, `main.ts` turns
// into a sentence and an exit code.

import type { RunConfig } from "../cli/arguments.ts";
import { verifyText } from "../cli/commands.ts";
import { UsageError } from "../cli/values.ts";
import { replaceFile } from "../storage/atomic.ts";
import { removeIfThere } from "../storage/layout.ts";
import { NoSocketError } from "../http/upstream.ts";
import { PeerConsole } from "./console.ts";
import { Gets } from "./gets.ts";
import { type OpenPeer, openPeer } from "./open.ts";
import { isPiped, runPiped } from "./piped.ts";
import { loginText, ownUrl, present, qrCode, startPrompt } from "./present.ts";
import { commandsOf } from "./prompt_commands.ts";
import { within } from "./service.ts";
import { Shutdown } from "./shutdown.ts";

/** Maximum time the web server may take to close, in milliseconds. */
const STOP_WEB_MS = 4_500;
/** Interval between checks whether there is more to log about limits that were reached, in milliseconds. */
const REPORT_MS = 5_000;
/** How soon a second Ctrl-C has to follow the first to stop the peer, in milliseconds. (A guess.) */
const AGAIN_MS = 5_000;
/** Exit code when not everything could be saved. */
const EXIT_STORAGE = 7;

/** Runs a peer until it is told to exit. Resolves to the exit code. Throws what keeps it from starting. */
export async function runPeer(config: RunConfig): Promise<number> {
  const output = new PeerConsole(config.logLevel, config.logFormat);
  const shutdown = new Shutdown();
  const opening = openPeer(config, output);
  // Resolving a name may take minutes. Nothing is lost by exiting meanwhile.
  const peer = await Promise.race([opening, shutdown.requested()]);
  if (typeof peer === "number") {
    opening.catch(() => {}); // the process exits
    console.log("Stopping");
    return peer;
  }
  await output.begin();
  present(peer, output);
  const gets = new Gets(peer.service);
  const own = {
    logLevel: () => output.level,
    setLogLevel: (level: string) => output.setLevel(level),
    exit: () => shutdown.request(0),
    login: () => loginText(peer),
    qr: (isLogin: boolean) => qrCode(peer, isLogin),
  };
  const commands = commandsOf(peer.service, own, gets);
  let interruptedMs = -Infinity;
  const onInterrupt = (typed: string): boolean => {
    if (gets.interrupt()) return false;
    if (typed !== "") return true;
    const nowMs = performance.now();
    if (nowMs - interruptedMs < AGAIN_MS) shutdown.insist(130);
    else output.print("Press Ctrl-C again to stop the peer");
    interruptedMs = nowMs;
    return false;
  };
  await startPrompt(peer, output, shutdown, commands, onInterrupt);
  await serve(peer);
  if (!config.noDiscovery) {
    peer.service.discover(peer.gateway.port).catch((error) =>
      output.onEvent({ name: "trouble", text: `No peers are looked for: ${error.message}` })
    );
  }
  if (!config.noRepl && isPiped()) {
    const print = (text: string) => output.print(text);
    runPiped(commands, peer.service.ready, print).then((code) => {
      if (code !== undefined) shutdown.request(code);
    }, () => {}); // the folder cannot be read, which ends everything
  }
  const ticker = setInterval(() => output.tick(), REPORT_MS);
  if (peer.config.verify) {
    verifyText(commands, (text) => output.print(text)).then(
      (text) => output.print(text),
      (error) => output.onEvent({ name: "trouble", text: `Not verified: ${error.message}` }),
    );
  }
  const failed = Promise.withResolvers<never>();
  peer.service.loaded.catch(failed.reject);
  try {
    return await stop(peer, output, await Promise.race([shutdown.requested(), failed.promise]));
  } catch (error) {
    await stop(peer, output, 0); // nothing can be served without its journal
    throw error;
  } finally {
    clearInterval(ticker);
  }
}

/** Serves the pages and joins the network. Throws `UsageError` when the pages cannot be served. */
async function serve(peer: OpenPeer): Promise<void> {
  const { gateway, app, service } = peer;
  const { layout } = service.store;
  try {
    gateway.begin((request, client) => app.fetch(request, client), layout.private);
    await replaceFile(layout.address, [`${ownUrl(peer)}\n`], { ...layout, mode: 0o600 });
  } catch (error) {
    await Promise.all([service.stop(), gateway.stop()]);
    throw error instanceof NoSocketError ? new UsageError(error.message, { cause: error }) : error;
  }
  service.join();
}

/** Stops a running peer. Resolves to the exit code: `code`, unless not everything could be saved. */
async function stop(
  { service, gateway, view }: OpenPeer,
  output: PeerConsole,
  code: number,
): Promise<number> {
  output.print("Stopping");
  view.close();
  await removeIfThere(service.store.layout.address).catch(() => {}); // the lock tells, too
  // Whatever hangs, the end is near: `service.stop` has a deadline of its own.
  const [isSaved] = await Promise.all([service.stop(), within(STOP_WEB_MS, gateway.stop())]);
  output.terminal.close();
  return isSaved ? code : EXIT_STORAGE;
}
