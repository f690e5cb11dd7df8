// Chooses which of this machine's addresses to advertise when the user named none, and which others to tell peers that can
// choose.
// The permissions of this program do not allow reading the system's routing table. If there are several addresses, a
// connection to a bootstrap shows which one reaches other peers (app/addresses.ts). Without a bootstrap, the first
// usable interface is assumed to have the default route: real hardware before tunnels and container bridges, in the
// system's order.

import { canonicalHost } from "../protocol/wire/address.ts";
import { MAX_ALSO } from "../protocol/wire/ext.ts";

/** Interfaces that rarely reach other machines: bridges of containers and virtual machines, tunnels. */
const virtual =
  /^(lo|docker|br-|veth|virbr|vmnet|vboxnet|tun|tap|wg|zt|tailscale|cni|flannel|podman)/;

type Interface = Pick<Deno.NetworkInterfaceInfo, "name" | "family" | "address">;

/**
 * Returns the addresses that other machines may reach, the most likely one first: those of IPv4, which all peers understand,
 * or, if there are none, those of IPv6, global ones before unique-local ones.
 */
export function globalAddresses(interfaces: readonly Interface[]): string[] {
  const rank = (each: Interface) => isVirtual(each) ? 1 : 0;
  const ranked = interfaces.toSorted((a, b) => rank(a) - rank(b));
  const of = (family: "IPv4" | "IPv6", passes: (address: string) => boolean) =>
    ranked.filter((each) => each.family === family && passes(each.address))
      .map(({ address }) => address);
  const ipv4 = of("IPv4", isGlobal);
  if (ipv4.length > 0) return ipv4;
  return [
    ...of("IPv6", (address) => /^[23]/.test(address)),
    ...of("IPv6", (address) => /^f[cd]/i.test(address)),
  ];
}

/**
 * Returns the addresses besides `host` at which peers may try this machine too, of IPv6 and IPv4 by turns (RFC 8305, section 4), in
 * canonical form. Those of bridges and tunnels are left out: others have the same ones.
 */
export function furtherAddresses(
  host: string,
  interfaces: readonly Interface[],
  families: readonly Interface["family"][],
): string[] {
  const real = interfaces.filter((each) => !isVirtual(each));
  const [ipv6 = [], ipv4 = []] = (["IPv6", "IPv4"] as const).map((family) =>
    globalAddresses(families.includes(family) ? real.filter((each) => each.family === family) : [])
      .map(canonicalHost).filter((each) => each !== canonicalHost(host))
  );
  const turns = Array.from(
    { length: Math.max(ipv6.length, ipv4.length) },
    (_, i) => [ipv6[i], ipv4[i]],
  );
  return turns.flat().filter((each) => each !== undefined).slice(0, MAX_ALSO);
}

/** Returns whether an interface rarely reaches other machines. */
export const isVirtual = ({ name }: Pick<Interface, "name">): boolean => virtual.test(name);

function isGlobal(address: string): boolean {
  return !/^(127\.|0\.|169\.254\.|22[4-9]\.|2[3-5]\d\.)/.test(address);
}
