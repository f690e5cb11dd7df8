// Opens everything that one peer needs: addresses, ports, store and pages. Nothing is served or announced yet.
// Invariant: what was opened before something fails is closed again.

import type { RunConfig } from "../cli/arguments.ts";
import { UsageError } from "../cli/values.ts";
import { Gateway, type GatewayOptions } from "../http/gateway.ts";
import { loadNodeKey, loadWebToken } from "../storage/identity.ts";
import { inUse, isInUse, layoutOf, lstatOrNothing, makeFolders } from "../storage/layout.ts";
import { createApp } from "../web/app.ts";
import { Metrics } from "../web/metrics.ts";
import {
  hostNames,
  hostToTell,
  listenError,
  listenHostFor,
  ownIps,
  portTrouble,
} from "./addresses.ts";
import type { PeerConsole } from "./console.ts";
import { ownExecutable } from "./own_executable.ts";
import { Service, type ServiceOptions } from "./service.ts";
import { viewedTransfer } from "./status.ts";
import { spansOfTransfers } from "./tracing.ts";
import { type RunningView, webViewOf } from "./web_view.ts";

/** Where a peer is. */
export interface Hosts {
  /** Host that other peers are given. */
  readonly host: string;
  /** Host to accept peer connections on. */
  readonly listenHost: string;
  /** Host to accept browser connections on. */
  readonly webHost: string;
}

/** A peer that is open, and serves nobody yet. */
export interface OpenPeer extends Hosts {
  readonly config: RunConfig;
  readonly service: Service;
  readonly gateway: Gateway;
  readonly app: ReturnType<typeof createApp>;
  readonly view: RunningView;
  readonly token: string;
  /** The token was made just now. */
  readonly isNewToken: boolean;
}

/** Opens a peer. Throws `UsageError` and `StorageError`. */
export async function openPeer(given: RunConfig, output: PeerConsole): Promise<OpenPeer> {
  const hosts = await hostsOf(given);
  await checkPorts(given, hosts);
  const config = given.isNamed ? given : { ...given, peerId: await ownName(given) };
  const legacyPage = config.legacyPage === "" ? undefined : await readPage(config.legacyPage);
  const metrics = new Metrics();
  const { limits } = config;
  // Checked before the ports: a peer that already runs here has those as well, and they would be blamed.
  const layout = layoutOf(config.storageDir);
  if (await isInUse(layout).catch(() => false)) throw inUse(layout);
  let service: Service | undefined;
  const trace = await spansOfTransfers((text) => output.onEvent({ name: "trouble", text }));
  const gateway = openGateway({
    hostname: hosts.webHost,
    port: config.httpPort,
    limits,
    onOverload: (overload) => service?.node.noteOverload(overload),
  });
  try {
    service = await openService({
      ...config,
      ...hosts,
      isHostFound: config.host === undefined,
      isRelay: !config.noRelay,
      ownIps: ownIps(),
      ownPorts: [gateway.port],
      onEvent: output.onEvent,
      onMoved: (transfer) => {
        const { kind, state, startedMs, endedMs = startedMs } = transfer;
        metrics.transferred(kind, state, (endedMs - startedMs) / 1000);
        trace?.(transfer);
        if (service) output.moved(viewedTransfer(service, transfer));
      },
    });
    const web = await webOf(config, service, { output, metrics, legacyPage });
    return { config, ...hosts, service, gateway, ...web };
  } catch (error) {
    await gateway.stop();
    await service?.stop();
    throw error;
  }
}

/** Returns the hosts to advertise and to listen on. Throws `UsageError`. */
async function hostsOf(config: RunConfig): Promise<Hosts> {
  const host = await hostToTell(config.host, config.bootstraps);
  const listenHost = listenHostFor(host, config.listenHost, config.host !== undefined);
  const webHost = config.webHost === "" ? listenHost : config.webHost;
  if (config.port === config.httpPort && config.port !== 0) {
    throw new UsageError(`The P2P port and the HTTP port are both ${config.port}`, {
      hint: "Choose two different ports",
    });
  }
  return { host, listenHost, webHost };
}

/**
 * A first start that fails must not leave a folder, which would then be one of several peers here. Whatever else is wrong, starting
 * says. Throws `UsageError`.
 */
async function checkPorts(
  { storageDir, port, httpPort }: RunConfig,
  { listenHost, webHost }: Hosts,
): Promise<void> {
  const before = lstatOrNothing(layoutOf(storageDir).private);
  if (await before.catch(() => "unknown")) return;
  const trouble = portTrouble("P2P", listenHost, port) ?? portTrouble("HTTP", webHost, httpPort);
  if (trouble instanceof UsageError) throw trouble;
}

/** Makes the pages of a peer. Throws `StorageError` when its token cannot be read. */
async function webOf(
  config: RunConfig,
  service: Service,
  { output, metrics, legacyPage }: {
    readonly output: PeerConsole;
    readonly metrics: Metrics;
    readonly legacyPage: string | undefined;
  },
): Promise<Pick<OpenPeer, "app" | "view" | "token" | "isNewToken">> {
  const { token, isNew: isNewToken } = await loadWebToken(service.store.layout.webToken);
  const names = () => hostNames(service.node.address.host, config.allowedHost);
  const view = webViewOf(service, names, {
    logLevel: () => output.level,
    setLogLevel: (level) => output.setLevel(level),
  });
  const app = createApp(view, {
    now: Date.now,
    onError: (error) => output.onEvent({ name: "trouble", text: error.stack ?? error.message }),
    token: config.webAuth === "off" ? undefined : token,
    isPrivate: config.webRead === "private",
    onOverload: (overload) => service.node.noteOverload(overload),
    onLogin: (ip) => output.onEvent({ name: "login", ip }),
    legacyPage,
    metrics,
    executable: ownExecutable(service),
    basePath: config.basePath,
    trustedProxies: new Set(config.trustedProxy),
  });
  return { app, view, token, isNewToken };
}

/** Opens the store and takes the P2P port. Throws `StorageError`, and `UsageError` when it cannot listen. */
export async function openService(options: ServiceOptions): Promise<Service> {
  try {
    return await Service.open(options);
  } catch (error) {
    throw listenError(error, "P2P", options.listenHost, options.port);
  }
}

/** Number of letters of the store's key added to the machine's name, so that two unnamed peers differ. */
const NAME_LETTERS = 4;

/** Returns the peer id for a peer that nobody named: the machine's name and some letters of this store's key. */
async function ownName({ peerId, storageDir }: RunConfig): Promise<string> {
  const layout = layoutOf(storageDir);
  await makeFolders(layout);
  const key = await loadNodeKey(layout.key);
  const letters = key.toLowerCase().replaceAll(/[^a-z0-9]/g, "").slice(0, NAME_LETTERS);
  return `${peerId}-${letters}`;
}

async function readPage(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    throw new UsageError(`Cannot read --legacy-page ${path}`, { hint: "Give an HTML file", cause });
  }
}

function openGateway(options: GatewayOptions): Gateway {
  try {
    return new Gateway(options);
  } catch (error) {
    throw listenError(error, "HTTP", options.hostname, options.port);
  }
}
