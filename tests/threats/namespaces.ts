// Two machines for one test: a pair of network namespaces with a cable between them, removed when the test ends. "Here" is
// where the program and its honest peers run, "there" is the attacker's machine. Needs root and ip(8). Where namespaces
// cannot be created, the tests are ignored and say so.

export const HERE = "10.77.0.1";
export const THERE = "10.77.0.2";

async function ip(...args: string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command("ip", { args, stdout: "null", stderr: "null" })
      .output();
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

export class TwoMachines implements AsyncDisposable {
  private constructor(readonly here: string, readonly there: string) {}

  /** @throws Error if a step fails; everything created until then is removed */
  static async make(names: Readonly<Record<string, string>> = {}): Promise<TwoMachines> {
    const id = crypto.randomUUID().slice(0, 6);
    const machines = new TwoMachines(`p2p-here-${id}`, `p2p-there-${id}`);
    const { here, there } = machines;
    const [cable, end] = [`h${id}`, `t${id}`];
    const steps = [
      `netns add ${here}`,
      `netns add ${there}`,
      `link add ${cable} netns ${here} type veth peer name ${end} netns ${there}`,
      `-n ${here} addr add ${HERE}/24 dev ${cable}`,
      `-n ${there} addr add ${THERE}/24 dev ${end}`,
      `-n ${here} link set lo up`,
      `-n ${there} link set lo up`,
      `-n ${here} link set ${cable} up`,
      `-n ${there} link set ${end} up`,
      `-n ${here} route add default via ${THERE}`,
    ];
    try {
      for (const step of steps) {
        if (!await ip(...step.split(" "))) throw new Error(`Command failed: ip ${step}`);
      }
      await machines.#write(names);
      return machines;
    } catch (error) {
      await machines[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await ip("netns", "del", this.here); // this also removes the cable
    await ip("netns", "del", this.there);
    await Deno.remove(this.#etc, { recursive: true }).catch(() => {}); // it may never have been created
  }

  /** Files that ip(8) overlays on /etc for commands run in this namespace. */
  get #etc(): string {
    return `/etc/netns/${this.here}`;
  }

  /** Sets the host names known on this machine, in addition to localhost. */
  async #write(names: Readonly<Record<string, string>>): Promise<void> {
    await Deno.mkdir(this.#etc, { recursive: true });
    const lines = Object.entries({ localhost: "127.0.0.1", ...names })
      .map(([name, address]) => `${address} ${name}\n`);
    await Deno.writeTextFile(`${this.#etc}/hosts`, lines.join(""));
  }
}

async function canMake(): Promise<boolean> {
  try {
    await using _ = await TwoMachines.make();
    return true;
  } catch {
    return false; // no root, no ip(8), no namespaces: the reason does not matter
  }
}

export const hasNamespaces = await canMake();
if (!hasNamespaces) {
  console.log("Tests of a remote sender are skipped: they need network namespaces");
}
