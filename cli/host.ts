// What others are told to reach us by, when the person did not say.
// The operating system's routing table cannot be read with the permissions that this program runs with, so
// the first usable interface stands for the one with the default route: real hardware before tunnels and
// container bridges, in the order of the system.

/** Interfaces that lead to other machines seldom: bridges of containers and machines, tunnels. */
const virtual =
  /^(lo|docker|br-|veth|virbr|vmnet|vboxnet|tun|tap|wg|zt|tailscale|cni|flannel|podman)/;

type Interface = Pick<Deno.NetworkInterfaceInfo, "name" | "family" | "address">;

/** The first global IPv4 address; undefined where there is none. */
export function firstGlobalAddress(interfaces: readonly Interface[]): string | undefined {
  const usable = interfaces.filter(({ family, address }) => family === "IPv4" && isGlobal(address));
  const real = usable.find(({ name }) => !virtual.test(name));
  return (real ?? usable[0])?.address;
}

function isGlobal(address: string): boolean {
  return !/^(127\.|0\.|169\.254\.|22[4-9]\.|2[3-5]\d\.)/.test(address);
}
