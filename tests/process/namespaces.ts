// Machines of a test's own making: network namespaces on one cable. Making them takes root; where that is not possible, tests
// that need them are skipped.

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
    await ran("ip", "netns", "del", name);
    return undefined;
  } catch (error) {
    return (error as Error).message;
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

  /** Starts a peer on this machine, on free ports. Its address is found, not given. */
  start(name: string, args: readonly string[], options: LaunchOptions): Program {
    const command = ["ip", "netns", "exec", this.namespace, ...COMMAND];
    return new Program([name, "0", "0", ...args], { ...options, command });
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
