// Peers that others cannot connect to, in networks of the test's own making: what they see, and what others get from them.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Folder } from "./folder.ts";
import { Lan, type Machine, noNamespaces } from "./namespaces.ts";
import { COMMAND, type Program } from "./program.ts";
import { SANITIZED } from "./together.ts";

const OPTIONS = { ...SANITIZED, ignore: noNamespaces !== undefined };
const ARGS = ["--auto-fetch", "all", "--min-free", "0", "--web-auth", "off", "--no-discovery"];

/** A peer on a machine, with one file of its own. */
class Lab implements AsyncDisposable {
  readonly #all = new AsyncDisposableStack();
  readonly peers = new Map<string, { readonly machine: Machine; readonly program: Program }>();

  private constructor(readonly folder: Folder, readonly lan: Lan) {}

  static async make(): Promise<Lab> {
    const folder = await Folder.make();
    const lan = await Lan.make();
    const lab = new Lab(folder, lan);
    lab.#all.use(folder);
    lab.#all.use(lan);
    return lab;
  }

  /** Starts a peer; `through` is the one that it joins through, `host` the one that it is told to advertise. */
  async start(
    name: string,
    machine: Machine,
    through?: string,
    { args = [], host }: { readonly args?: readonly string[]; readonly host?: string } = {},
  ) {
    await this.folder.folder(name);
    await this.folder.write(`${name}/from ${name}.txt`, name);
    const bootstrap = through === undefined
      ? args.includes("--bootstrap") || args.includes("--no-bootstrap") ? [] : ["--no-bootstrap"]
      : ["--bootstrap", await this.addressOf(through)];
    const dir = ["--dir", this.folder.at(name)];
    const program = this.#all.use(
      machine.start(
        name,
        [...ARGS, ...dir, ...bootstrap, ...args],
        { cwd: this.folder.path },
        host,
      ),
    );
    this.peers.set(name, { machine, program });
    await this.addressOf(name);
    return program;
  }

  /** Starts a peer without extensions. */
  startOld(name: string, machine: Machine, host: string, bootstrap: string): Program {
    const file = [`from ${name}.txt`, name];
    return this.#all.use(
      machine.startOld(name, host, { cwd: this.folder.path, bootstrap, file }),
    );
  }

  async addressOf(name: string): Promise<string> {
    const { program } = this.peers.get(name)!;
    return (await program.waitForLine(/^TCP address: (\S+) /))[1]!;
  }

  /** Returns the arguments to join through a peer at another address of its machine. */
  async through(name: string, host: string | undefined): Promise<string[]> {
    const address = await this.addressOf(name);
    return ["--bootstrap", host === undefined ? address : address.replace(/^.*(?=:)/, host)];
  }

  /** Returns the peers that a peer tracks. */
  async peersOf(name: string): Promise<{ peerId: string; host: string }[]> {
    return (await this.api(name, "peers") as { peers: { peerId: string; host: string }[] }).peers;
  }

  /** Returns what a peer's API answers. */
  async api(name: string, path: string): Promise<unknown> {
    const { machine, program } = this.peers.get(name)!;
    const port = (await program.waitForLine(/^HTTP address: http:\S+:(\d+)$/))[1]!;
    const url = `http://127.0.0.1:${port}/api/v1/${path}`;
    return JSON.parse(await machine.run("curl", "-sS", "--noproxy", "*", url));
  }

  /** Returns the names of the files that a peer has. */
  async files(name: string): Promise<string> {
    const { files } = await this.api(name, "files") as {
      files: { file_name: string; has_copy: boolean }[];
    };
    return files.filter(({ has_copy }) => has_copy).map(({ file_name }) => file_name).sort().join();
  }

  /** Waits until a peer has one file of each of these. */
  async hasAll(name: string, of: readonly string[]): Promise<void> {
    const all = of.map((each) => `from ${each}.txt`).sort().join();
    const { program } = this.peers.get(name)!;
    await program.until(`${name} has ${all}`, async () => await this.files(name) === all);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#all.disposeAsync();
  }
}

for (const how of ["drop", "reject"] as const) {
  Deno.test(
    `a peer whose firewall ${how}s connections joins, gets files, and others get its own`,
    OPTIONS,
    async () => {
      await using lab = await Lab.make();
      const { lan } = lab;
      const [a, b, c] = [await lan.machine(2), await lan.machine(3), await lan.machine(4)];
      await a.close(how);
      await lab.start("bob", b);
      lab.startOld("old", await lan.machine(5), lan.at(5), await lab.addressOf("bob"));
      const ann = await lab.start("ann", a, "bob");
      await ann.waitForLine(/Synchronized in (\d+) ms/);
      await ann.waitForLine(
        new RegExp(
          `^1 peer cannot connect to 10\\.9\\.0\\.2:\\d+ \\(${
            how === "drop" ? "timed out" : "refused"
          }\\)\\. Open TCP port \\d+ in this machine's firewall; until then you can fetch, and others fetch from you through connections that this peer keeps open to bob$`,
        ),
      );
      await lab.start("cat", c, "bob");
      // What others say is what doctor says, too.
      const doctor = [...COMMAND, "doctor", "--json", "--dir", lab.folder.at("ann")];
      const { findings } = JSON.parse(await a.runs(...doctor, "--no-bootstrap"));
      const reach = findings.find(({ what }: { what: string }) => what === "reach");
      deepStrictEqual([reach.is, reach.kind], ["wrong", "unreachable"]);
      ok(reach.text.startsWith("1 peer cannot connect to 10.9.0.2"), reach.text);
      const all = ["ann", "bob", "cat", "old"];
      for (const name of all.slice(0, 3)) await lab.hasAll(name, all);
    },
  );
}

Deno.test("two peers behind routers exchange files through a third one", OPTIONS, async () => {
  await using lab = await Lab.make();
  const { lan } = lab;
  await lab.start("bob", await lan.machine(3), undefined, { args: ["--auto-fetch", "0"] });
  lab.startOld("old", await lan.machine(4), lan.at(4), await lab.addressOf("bob"));
  for (const [i, name] of ["ann", "cat"].entries()) {
    // Both have the same address, each behind its own router.
    const inner = await lan.behindRouter(10 + i, "192.168.7");
    await lab.start(name, await inner.machine(2), "bob");
  }
  for (const name of ["ann", "cat"]) await lab.hasAll(name, ["ann", "bob", "cat", "old"]);
  await lab.peers.get("ann")!.program.waitForLine(
    /^1 peer cannot connect to 192\.168\.7\.2:\d+.* and sees this machine at 10\.9\.0\.10, so it is behind a router\. Forward TCP port \d+ there to this machine, and start this peer with 10\.9\.0\.10 as its host;/,
  );
});

Deno.test(
  "a peer behind a firewall and one without extensions get each other's files, through a third one",
  OPTIONS,
  async () => {
    await using lab = await Lab.make();
    const { lan } = lab;
    const a = await lan.machine(2);
    await a.close("drop");
    // It gets no file of its own accord, so that what it is asked for goes through it.
    await lab.start("bob", await lan.machine(3), undefined, { args: ["--auto-fetch", "0"] });
    const old = lab.startOld("old", await lan.machine(4), lan.at(4), await lab.addressOf("bob"));
    await lab.start("ann", a, "bob");
    await lab.hasAll("ann", ["ann", "bob", "old"]);
    // A new file gets a copy at one other peer at once, and so does this one: at bob, or at the old peer itself.
    await old.waitForLine(/^Got from ann\.txt (from bob|by a push)$/);
  },
);

Deno.test("with --no-relay, nothing is passed on", OPTIONS, async () => {
  await using lab = await Lab.make();
  const { lan } = lab;
  const bob = await lab.start("bob", await lan.machine(3), undefined, { args: ["--no-relay"] });
  for (const [i, name] of ["ann", "cat"].entries()) {
    const inner = await lan.behindRouter(10 + i, "192.168.7");
    await lab.start(name, await inner.machine(2), "bob");
  }
  // What bob has fetched is his to give.
  for (const name of ["ann", "bob", "cat"]) await lab.hasAll(name, ["ann", "bob", "cat"]);
  await lab.peers.get("ann")!.program.waitForLine(/Keeping a connection to bob open/);
  const { work } = await lab.api("bob", "status") as { work: Record<string, number> };
  strictEqual(work.relays, 0);
  ok(!bob.text.includes("CONNECT to "), bob.text);
});

Deno.test(
  "a peer that is told to advertise an address that it does not have says so, and is reached",
  OPTIONS,
  async () => {
    await using lab = await Lab.make();
    const { lan } = lab;
    await lab.start("bob", await lan.machine(3));
    const ann = await lab.start("ann", await lan.machine(2), "bob", { host: "10.9.0.99" });
    for (const name of ["ann", "bob"]) await lab.hasAll(name, ["ann", "bob"]);
    await ann.waitForLine(
      /^1 peer cannot connect to 10\.9\.0\.99:\d+.*, which is not an address of this machine\. Start this peer with 10\.9\.0\.2 instead;/,
    );
  },
);

Deno.test(
  "when the firewall lets connections in, the peer keeps none open any more, and says so",
  OPTIONS,
  async () => {
    await using lab = await Lab.make();
    const { lan } = lab;
    const a = await lan.machine(2);
    await a.close("reject");
    await lab.start("bob", await lan.machine(3));
    const ann = await lab.start("ann", a, "bob");
    await ann.waitForLine(/^1 peer cannot connect/);
    await a.open();
    await ann.waitForLine(/No longer keeping a connection to bob open/, 0, 120_000);
    await ann.waitForLine(
      /^Other peers no longer report that connections to this one fail$/,
      0,
      120_000,
    );
    await lab.folder.write("ann/later.txt", "later");
    await lab.peers.get("bob")!.program.until(
      "the later file",
      async () => (await lab.files("bob")).includes("later.txt"),
    );
  },
);

Deno.test(
  "twenty peers, fifteen of them behind firewalls: everyone gets every file, and nobody keeps more than eight connections",
  OPTIONS,
  async () => {
    await using lab = await Lab.make();
    const { lan } = lab;
    const names = Array.from({ length: 20 }, (_, i) => `peer${i}`);
    for (const [i, name] of names.entries()) {
      const machine = await lan.machine(20 + i);
      if (i >= 5) await machine.close(i % 2 === 0 ? "drop" : "reject");
      await lab.start(name, machine, i === 0 ? undefined : `peer${i < 5 ? 0 : i % 5}`);
    }
    for (const name of names) await lab.hasAll(name, names);
    // While they all come at once, some look for another peer to keep a connection to.
    const isSettled = async () => {
      const kept = await Promise.all(names.map(async (name) => {
        const { work } = await lab.api(name, "status") as { work: Record<string, number> };
        return work.links!;
      }));
      return kept.every((links, i) => links <= 8 && (i < 5 || links > 0));
    };
    await lab.peers.get("peer0")!.program.until("few connections", isSettled, 60_000);
  },
);

for (const [broken, works] of [[6, 4], [4, 6]] as const) {
  Deno.test(
    `where IPv${broken} is broken, peers with both families use IPv${works}, and each is one peer`,
    OPTIONS,
    async () => {
      await using lab = await Lab.make();
      const { lan } = lab;
      const names = ["ann", "bob", "cat"];
      for (const [i, name] of names.entries()) {
        const machine = await lan.machine(2 + i, [4, 6]);
        await machine.lose(broken);
        const at = broken === 6 ? undefined : `[${lan.at6(2)}]`;
        const args = i === 0 ? ["--no-bootstrap"] : await lab.through("ann", at);
        await lab.start(name, machine, undefined, { args });
      }
      for (const name of names) await lab.hasAll(name, names);
      for (const name of names) {
        const others = names.filter((each) => each !== name);
        const seen = (await lab.peersOf(name)).map(({ peerId, host }) => `${peerId} ${host}`);
        const at = (each: string) => {
          const last = 2 + names.indexOf(each);
          return works === 4 ? lan.at(last) : lan.at6(last);
        };
        deepStrictEqual(seen.sort(), others.map((each) => `${each} ${at(each)}`).sort());
        const { program } = lab.peers.get(name)!;
        ok(!/cannot connect to/.test(program.text), program.text);
      }
    },
  );
}

Deno.test(
  "a peer with IPv6 alone exchanges files with peers that have both families, and these with old peers",
  OPTIONS,
  async () => {
    await using lab = await Lab.make();
    const { lan } = lab;
    await lab.start("bob", await lan.machine(3, [4, 6]));
    await lab.start("cat", await lan.machine(4, [4, 6]), "bob");
    const old = lab.startOld("old", await lan.machine(5), lan.at(5), await lab.addressOf("bob"));
    const args = await lab.through("bob", `[${lan.at6(3)}]`);
    await lab.start("ann", await lan.machine(2, [6]), undefined, { args });
    for (const name of ["ann", "bob", "cat"]) await lab.hasAll(name, ["ann", "bob", "cat", "old"]);
    const seen = (await lab.peersOf("ann")).map(({ peerId }) => peerId).sort().join();
    ok(/^bob,cat/.test(seen), seen);
    await old.waitForLine(/^Got from \w+\.txt (from bob|from cat|by a push)$/);
  },
);

Deno.test(
  "when an interface goes down and comes up, the peers find each other again, and nothing is missing",
  OPTIONS,
  async () => {
    await using lab = await Lab.make();
    const { lan } = lab;
    const args = ["--peer-timeout", "10", "--gossip-interval", "3"];
    const a = await lan.machine(2, [4, 6]);
    const bob = await lab.start("bob", await lan.machine(3, [4, 6]), undefined, { args });
    await lab.start("ann", a, "bob", { args });
    for (const name of ["ann", "bob"]) await lab.hasAll(name, ["ann", "bob"]);
    await a.ip("link set eth0 down");
    await bob.waitForLine(/Dropped peer ann/, 0, 60_000);
    await lab.folder.write("ann/from down.txt", "down");
    await lab.folder.write("bob/from up.txt", "up");
    await a.ip("link set eth0 up");
    for (const name of ["ann", "bob"]) await lab.hasAll(name, ["ann", "bob", "down", "up"]);
  },
);

Deno.test(
  "when a relay is suspended, two peers that nobody can connect to use another one",
  OPTIONS,
  async () => {
    await using lab = await Lab.make();
    const { lan } = lab;
    const args = ["--auto-fetch", "0"];
    const bob = await lab.start("bob", await lan.machine(3), undefined, { args });
    await lab.start("dan", await lan.machine(4), "bob", { args });
    for (const [i, name] of ["ann", "cat"].entries()) {
      const machine = await lan.machine(10 + i);
      await machine.close("drop");
      const program = await lab.start(name, machine, "bob");
      for (const each of ["bob", "dan"]) {
        await program.waitForLine(new RegExp(`Keeping a connection to ${each} open`));
      }
    }
    for (const name of ["ann", "cat"]) await lab.hasAll(name, ["ann", "bob", "cat", "dan"]);
    bob.signal("SIGSTOP");
    await lab.folder.write("ann/from later.txt", "later");
    await lab.hasAll("cat", ["ann", "bob", "cat", "dan", "later"]);
    bob.signal("SIGCONT");
  },
);
