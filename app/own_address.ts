// The address of this machine while the peer runs: a laptop moves from one network to another.
// Invariants: a host that somebody chose is kept; an address that this machine still has is kept, unless it is that of a bridge
// or tunnel and the machine's addresses change; without a network, nothing is announced; what others say about our address changes nothing here.

import { furtherAddresses, globalAddresses, isVirtual } from "../cli/host.ts";
import { type Address, canonicalHost } from "../protocol/wire/address.ts";
import { hostToTell, isWildcard, ownIps } from "./addresses.ts";

/** How often the interfaces are looked at, in milliseconds: it takes 0.1 ms. */
export const LOOK_MS = 2_000;

/** What is needed to follow the address. */
export interface OwnAddressOptions {
  /** Whether somebody chose the host to advertise. */
  readonly isChosen: boolean;
  /** The address to listen on: where nothing is listened on, others need not try. */
  readonly listenHost: string;
  /** Returns the host that is advertised. */
  readonly host: () => string;
  /** Among several addresses, the one that leads to one of these is preferred. */
  readonly bootstraps: readonly Address[];
  /**
   * Called when the addresses of this machine, or those to advertise, have changed. `also`: those that peers may try besides the
   * host.
   */
  readonly onChange: (host: string, ips: readonly string[], also: readonly string[]) => void;
  /** Returns the network interfaces. */
  readonly interfaces?: () => Deno.NetworkInterfaceInfo[];
}

/** Follows the address of this machine. */
export class OwnAddress {
  #ips: string;

  /** Remembers the addresses that the machine has now. */
  constructor(readonly options: OwnAddressOptions) {
    this.#ips = ownIps(this.#interfaces()).sort().join();
  }

  /** Looks at the interfaces. Never rejects. */
  async look(): Promise<void> {
    try {
      const interfaces = this.#interfaces();
      const ips = ownIps(interfaces).sort();
      const hasChanged = ips.join() !== this.#ips;
      const old = this.options.host();
      const isKept = this.options.isChosen || this.#isThere(old, interfaces, hasChanged);
      const host = isKept ? old : await this.#next(old, interfaces);
      if (!hasChanged && host === old) return;
      this.#ips = ips.join();
      this.options.onChange(host, ips, alsoFor(host, this.options, interfaces));
    } catch {
      // The interfaces cannot be read now. The next look may work.
    }
  }

  /** Reports the addresses that the machine has now. */
  start(): void {
    const { host, onChange } = this.options;
    const interfaces = this.#interfaces();
    onChange(host(), ownIps(interfaces), alsoFor(host(), this.options, interfaces));
  }

  #interfaces(): Deno.NetworkInterfaceInfo[] {
    return this.options.interfaces?.() ?? Deno.networkInterfaces();
  }

  /** Returns whether the machine has an address. `isReal`: that of a bridge or tunnel does not count. */
  #isThere(host: string, interfaces: Deno.NetworkInterfaceInfo[], isReal: boolean): boolean {
    const counted = interfaces.filter((each) => !isReal || !isVirtual(each));
    return globalAddresses(counted).some((each) => canonicalHost(each) === canonicalHost(host));
  }

  async #next(old: string, interfaces: Deno.NetworkInterfaceInfo[]): Promise<string> {
    // A bridge of containers stays when the network is gone.
    const hasNetwork = globalAddresses(interfaces.filter((each) => !isVirtual(each))).length > 0;
    return hasNetwork ? await hostToTell(undefined, this.options.bootstraps, interfaces) : old;
  }
}

/** A host that somebody chose is the only one. */
function alsoFor(
  host: string,
  { isChosen, listenHost }: Pick<OwnAddressOptions, "isChosen" | "listenHost">,
  interfaces: Deno.NetworkInterfaceInfo[],
): string[] {
  if (isChosen || !isWildcard(listenHost)) return [];
  return furtherAddresses(host, interfaces, listenHost === "::" ? ["IPv4", "IPv6"] : ["IPv4"]);
}
