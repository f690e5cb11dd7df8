// The peers on the same network, found without configuration: starts discovery where it makes sense, and follows the interfaces.
// Invariants: nothing is announced where only this machine can connect; what goes wrong is told once.

import { isVirtual } from "../cli/host.ts";
import { Discovery } from "../net/discovery.ts";
import type { OnLink } from "../net/dnssd.ts";
import type { Node } from "../node/node.ts";
import { isLoopbackHost } from "../protocol/wire/address.ts";

/** What is needed to look for peers. */
export interface LocalNetworkOptions {
  readonly peerId: string;
  /** Public key of this peer. */
  readonly nodeKey: string;
  readonly node: Node;
  readonly httpPort: number;
  /** Called with a sentence about what does not work. */
  readonly onTrouble: (text: string) => void;
}

/** Looks for peers on the networks of this machine until it is stopped. */
export class LocalNetwork {
  readonly #discovery: Discovery;
  #isTold = false;

  /** Does nothing until `update`. */
  constructor(readonly options: LocalNetworkOptions) {
    const { peerId, nodeKey, node, httpPort, onTrouble } = options;
    this.#discovery = new Discovery({
      announced: () => ({
        peerId,
        node: nodeKey,
        port: node.address.port,
        httpPort,
        machine: Deno.hostname().split(".")[0] ?? "",
      }),
      onFound: (host, { port, node: key }) =>
        node.dispatch({ kind: "discovered", address: { host, port }, node: key }),
      onTrouble: (address, text) => {
        if (this.#isTold) return;
        this.#isTold = true;
        onTrouble(
          `Peers on this network are not found automatically: multicast does not work at ${address} (${text}). Join through a bootstrap, or with connect`,
        );
      },
      random: () => Math.random(),
    });
  }

  /** Follows the interfaces of this machine. */
  update(interfaces = Deno.networkInterfaces()): void {
    const isOff = isLoopbackHost(this.options.node.address.host);
    this.#discovery.update(isOff ? [] : onLink(interfaces));
  }

  /** Stops, and takes the announcement back. Never rejects. */
  async stop(): Promise<void> {
    await this.#discovery.stop();
  }
}

/** Returns the IPv4 addresses of real interfaces, with their networks. */
export function onLink(
  interfaces: readonly Pick<Deno.NetworkInterfaceInfo, "name" | "family" | "address" | "netmask">[],
): OnLink[] {
  return interfaces
    .filter((each) =>
      each.family === "IPv4" && !isVirtual(each) && !/^(127\.|169\.254\.)/.test(each.address)
    )
    .map(({ address, netmask }) => ({ address, netmask }));
}
