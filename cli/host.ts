// Chooses which of this machine's addresses to advertise when the user named none.
// The permissions of this program do not allow reading the system's routing table. If there are several addresses, a
// connection to a bootstrap shows which one reaches other peers (app/addresses.ts). Without a bootstrap, the first
// usable interface is assumed to have the default route: real hardware before tunnels and container bridges, in the
// system's order.

/** Interfaces that rarely reach other machines: bridges of containers and virtual machines, tunnels. */
const virtual =
  /^(lo|docker|br-|veth|virbr|vmnet|vboxnet|tun|tap|wg|zt|tailscale|cni|flannel|podman)/;

type Interface = Pick<Deno.NetworkInterfaceInfo, "name" | "family" | "address">;

/** Returns the IPv4 addresses that other machines may reach, the most likely one first. */
export function globalAddresses(interfaces: readonly Interface[]): string[] {
  const usable = interfaces.filter(({ family, address }) => family === "IPv4" && isGlobal(address));
  const rank = ({ name }: Interface) => virtual.test(name) ? 1 : 0;
  return usable.toSorted((a, b) => rank(a) - rank(b)).map(({ address }) => address);
}

function isGlobal(address: string): boolean {
  return !/^(127\.|0\.|169\.254\.|22[4-9]\.|2[3-5]\d\.)/.test(address);
}
