// Machines of a test's own making: network namespaces on one cable or switch, firewalls and routers. Making them takes root;
// where that is not possible, tests that need them are skipped, and say why.

import { fileURLToPath } from "node:url";
import { COMMAND, type LaunchOptions, Program } from "./program.ts";

/** Runs a command. Throws with what it printed. */
export async function ran(...words: string[]): Promise<string> {
  const [command = "", ...args] = words;
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output()
    .catch((error) => ({
      success: false,
      stdout: new Uint8Array(),
      stderr: new TextEncoder().encode(`${error}`),
    }));
  const text = new TextDecoder().decode(stdout);
  if (!success) throw new Error(`${words.join(" ")}: ${new TextDecoder().decode(stderr)}${text}`);
  return text;
}

/** Why there can be no namespaces here; undefined if there can. */
export const noNamespaces: string | undefined = await (async () => {
  const name = `p2p-${crypto.randomUUID().slice(0, 8)}`;
  try {
    await ran("ip", "netns", "add", name);
    // Bridges and packet filters need modules of the kernel.
    await ran("ip", "-n", name, "link", "add", "hub", "type", "bridge");
    await ran("ip", "netns", "exec", name, "nft", "add table ip nat");
    await ran(
      "ip",
      "netns",
      "exec",
      name,
      "nft",
      "add chain ip nat out { type nat hook postrouting priority 100; }",
    );
    return undefined;
  } catch (error) {
    return (error as Error).message;
  } finally {
    await ran("ip", "netns", "del", name).catch(() => {}); // it was not made
  }
})();
if (noNamespaces !== undefined) console.log(`Skipped, no network namespaces: ${noNamespaces}`);

/** A machine with an interface "eth0". */
export class Machine {
  constructor(readonly namespace: string) {}

  /** Runs `ip` on this machine. */
  async ip(words: string): Promise<string> {
    return await ran("ip", "-n", this.namespace, ...words.split(" "));
  }

  /** Runs a command on this machine. */
  async run(...words: string[]): Promise<string> {
    return await ran("ip", "netns", "exec", this.namespace, ...words);
  }

  /** Runs a command on this machine that may fail. Resolves to what it printed. */
  async runs(...words: string[]): Promise<string> {
    const args = ["netns", "exec", this.namespace, ...words];
    const { stdout } = await new Deno.Command("ip", { args }).output();
    return new TextDecoder().decode(stdout);
  }

  /** Loads rules of nftables. */
  async nft(rules: string): Promise<void> {
    await this.run("nft", rules);
  }

  /** Lets no connections from outside in: "drop" says nothing, "reject" says no. */
  async close(how: "drop" | "reject"): Promise<void> {
    const rule = how === "drop" ? "drop" : "reject with tcp reset";
    await this.nft(`table inet wall { chain in { type filter hook input priority 0;
      iifname "eth0" tcp flags & (syn | ack) == syn ${rule};
    }
    }`);
  }

  /** Loses everything of one family on its way to and from this machine, as behind a broken tunnel. */
  async lose(family: 4 | 6): Promise<void> {
    const rule = `meta nfproto ipv${family} tcp dport > 0 drop`;
    await this.nft(`table inet lossy {
      chain in { type filter hook input priority 0; iifname "eth0" ${rule}; }
      chain out { type filter hook output priority 0; oifname "eth0" ${rule}; }
    }`);
  }

  /** Lets them in again. */
  async open(): Promise<void> {
    await this.nft("delete table inet wall");
  }

  /** Starts a peer without extensions on this machine, which joins through `bootstrap` and has one file. */
  startOld(
    name: string,
    host: string,
    options: LaunchOptions & { readonly bootstrap?: string; readonly file?: readonly string[] },
  ): Program {
    const script = fileURLToPath(new URL("old_peer.ts", import.meta.url));
    const command = ["ip", "netns", "exec", this.namespace, Deno.execPath(), "run", "-A", script];
    const { bootstrap = "", file = [] } = options;
    return new Program([name, host, bootstrap, ...file], { ...options, command });
  }

  /** Starts a peer on this machine, on free ports. Without `host`, its address is found. */
  start(name: string, args: readonly string[], options: LaunchOptions, host?: string): Program {
    const command = ["ip", "netns", "exec", this.namespace, ...COMMAND];
    const given = host === undefined ? [] : [host];
    return new Program([name, ...given, "0", "0", ...args], { ...options, command });
  }
}

/** Machines on one switch, and networks behind routers. Every name and address is the test's own. */
export class Lan implements AsyncDisposable {
  readonly #all = new AsyncDisposableStack();
  #interfaces = 0;

  private constructor(readonly network: string, readonly hub: string, readonly parent?: Lan) {}

  /** Makes a switch. `network`: the first three numbers of its addresses. */
  static async make(network = "10.9.0", parent?: Lan): Promise<Lan> {
    const lan = new Lan(network, `p2p-${crypto.randomUUID().slice(0, 6)}`, parent);
    await lan.#namespace(lan.hub);
    await ran("ip", "-n", lan.hub, "link", "add", "hub", "type", "bridge");
    await ran("ip", "-n", lan.hub, "link", "set", "hub", "up");
    return lan;
  }

  /** Adds a machine. `last`: the last number of its addresses; `families`: which it has. */
  async machine(last: number, families: readonly (4 | 6)[] = [4]): Promise<Machine> {
    const machine = new Machine(`${this.hub}-${last}`);
    await this.#namespace(machine.namespace);
    await machine.ip("link set lo up");
    await this.#plug(machine, "eth0");
    if (families.includes(4)) await machine.ip(`addr add ${this.at(last)}/24 dev eth0`);
    if (families.includes(6)) await machine.ip(`addr add ${this.at6(last)}/64 dev eth0 nodad`);
    if (this.parent) await machine.ip(`route add default via ${this.at(1)}`);
    return machine;
  }

  /** Adds a network whose machines reach this one through a router, which lets no connections in. */
  async behindRouter(last: number, network: string): Promise<Lan> {
    const inner = await Lan.make(network, this);
    this.#all.use(inner);
    const router = await this.machine(last);
    await inner.#plug(router, "eth1");
    await router.ip(`addr add ${inner.at(1)}/24 dev eth1`);
    await router.run("sysctl", "-q", "net.ipv4.ip_forward=1");
    await router.nft(`table ip nat { chain out { type nat hook postrouting priority 100;
      oifname "eth0" masquerade;
    }
    }`);
    return inner;
  }

  /** Returns an address in this network. */
  at(last: number): string {
    return `${this.network}.${last}`;
  }

  /** Returns an address of IPv6 in this network. */
  at6(last: number): string {
    return `fd00:9::${last}`;
  }

  async #namespace(name: string): Promise<void> {
    await ran("ip", "netns", "add", name);
    this.#all.defer(async () => {
      await ran("ip", "netns", "del", name);
    });
  }

  async #plug({ namespace }: Machine, name: string): Promise<void> {
    const end = `port${++this.#interfaces}`;
    const link = `link add ${name} netns ${namespace} type veth peer name ${end} netns ${this.hub}`;
    await ran("ip", ...link.split(" "));
    await ran("ip", "-n", this.hub, "link", "set", end, "master", "hub", "up");
    await ran("ip", "-n", namespace, "link", "set", name, "up");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#all.disposeAsync();
  }
}

/** Two machines on one cable, without addresses. */
export class Cable implements AsyncDisposable {
  private constructor(readonly machines: readonly [Machine, Machine]) {}

  static async make(): Promise<Cable> {
    const id = crypto.randomUUID().slice(0, 6);
    const [a, b] = [`p2p-${id}-a`, `p2p-${id}-b`];
    const cable = new Cable([new Machine(a), new Machine(b)]);
    for (const name of [a, b]) await ran("ip", "netns", "add", name);
    await ran(
      ..."ip link add eth0 netns".split(" "),
      a,
      ..."type veth peer name eth0 netns".split(" "),
      b,
    );
    for (const machine of cable.machines) {
      await machine.ip("link set lo up");
      await machine.ip("link set eth0 up");
    }
    return cable;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { namespace } of this.machines) await ran("ip", "netns", "del", namespace);
  }
}
