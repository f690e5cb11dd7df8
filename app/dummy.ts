// The dummy: a bootstrap with sample files in a temporary store, which may misbehave on purpose; and `dev`, a dummy and a
// peer that joins it, in one process.
// Invariant: the temporary store is removed when the dummy stops, or cannot start.

import type { DummyConfig, RunConfig } from "../cli/arguments.ts";
import { misbehavingSend, sampleFiles } from "../cli/dummy.ts";
import { DEV_BOOTSTRAP, OPTIONS } from "../cli/options.ts";
import { count } from "../cli/report.ts";
import { UsageError } from "../cli/values.ts";
import { sendFile } from "../net/exchange.ts";
import type { NodeEvent } from "../protocol/effects.ts";
import { DEFAULT_LIMITS } from "../protocol/limits.ts";
import { addressText, isLoopbackHost } from "../protocol/wire/address.ts";
import { freePort, listenHostFor, ownIps } from "./addresses.ts";
import { PeerConsole } from "./console.ts";
import { openService } from "./open.ts";
import { runPeer } from "./run.ts";
import type { Service } from "./service.ts";
import { Shutdown } from "./shutdown.ts";

/** Runs a bootstrap with sample files until it is told to exit. Resolves to the exit code. */
export async function runDummy(config: DummyConfig): Promise<number> {
  const output = new PeerConsole(config.logLevel);
  const shutdown = new Shutdown();
  const dummy = await startDummy(config, output.onEvent);
  await output.begin();
  const held = dummy.service.node.peer.catalogue.heldCount;
  output.print(
    `Dummy peer at ${addressText(dummy.service.node.address)} with ${count(held, "file")}`,
  );
  if (config.misbehave) output.print(`It misbehaves: ${config.misbehave}`);
  const code = await shutdown.requested();
  output.print("Stopping");
  await dummy.stop();
  return code;
}

/** Runs a dummy bootstrap and a peer that joins it, in one process. Resolves to the exit code. */
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
    // Several dummies on one machine must not share a name.
    const ownPort = port === 0 ? (freePort(host, 0) ?? 0) : port;
    const service = await openService({
      peerId: ownPort === DEV_BOOTSTRAP.port ? "dummy" : `dummy-${ownPort}`,
      host,
      port: ownPort,
      listenHost: isLoopbackHost(host) ? listenHostFor(host, "", true) : host,
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
    service.join();
    for await (const { name, isFile } of Deno.readDir(files ?? samples)) {
      if (isFile && !name.startsWith(".")) {
        await service.operations.push(`${files ?? samples}/${name}`);
      }
    }
    const stop = async () => {
      await service.stop();
      await removeDir();
    };
    return { service, stop };
  } catch (error) {
    await removeDir();
    if (error instanceof Deno.errors.NotFound && files !== undefined) {
      throw new UsageError(`There is no folder ${files}`, {
        hint: "Name an existing one with --files",
        cause: error,
      });
    }
    throw error;
  }
}

/** Modification time of the samples, in Unix seconds. */
const SAMPLES_MADE = 1_700_000_000;

async function writeSamples(dir: string): Promise<void> {
  await Deno.mkdir(dir);
  for (const { name, content } of sampleFiles()) {
    await Deno.writeFile(`${dir}/${name}`, content);
    // The same time in every run gives the same ids, so peers that have a sample already have this one.
    await Deno.utime(`${dir}/${name}`, SAMPLES_MADE, SAMPLES_MADE);
  }
}
