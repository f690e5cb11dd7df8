// What others are told to reach us by, when the person did not say.
// The system's routing table cannot be read with the permissions that this program runs with. Where there are
// several addresses, a connection to a bootstrap tells which one leads to the others (session.ts); without one, the
// first usable interface stands for the one with the default route: real hardware before tunnels and bridges of
// containers, in the order of the system.

/** Interfaces that lead to other machines seldom: bridges of containers and machines, tunnels. */
const virtual =
  /^(lo|docker|br-|veth|virbr|vmnet|vboxnet|tun|tap|wg|zt|tailscale|cni|flannel|podman)/;

type Interface = Pick<Deno.NetworkInterfaceInfo, "name" | "family" | "address">;

/** Global IPv4 addresses, the likeliest first. */
export function globalAddresses(interfaces: readonly Interface[]): string[] {
  const usable = interfaces.filter(({ family, address }) => family === "IPv4" && isGlobal(address));
  const rank = ({ name }: Interface) => virtual.test(name) ? 1 : 0;
  return usable.toSorted((a, b) => rank(a) - rank(b)).map(({ address }) => address);
}

function isGlobal(address: string): boolean {
  return !/^(127\.|0\.|169\.254\.|22[4-9]\.|2[3-5]\d\.)/.test(address);
}
