// Shared by the threat tests: one real process, an honest peer that it knows, and addresses that belong to the attacker, at
// which invented peers may live. The effect of a message is read from the process's API.

import { ok } from "node:assert/strict";
import { memoryMib } from "../hostile/gauge.ts";
import { Honest } from "../hostile/honest.ts";
import { Raw } from "../hostile/raw.ts";
import { HostileServer } from "../hostile/server.ts";
import { Folder } from "../process/folder.ts";
import { type FileRow, Program } from "../process/program.ts";

/** The peer id of the process. */
export const NAME = "kashifm";
/** The attacker's addresses; the honest peer is at 127.0.0.1. */
export const ATTACKERS: readonly string[] = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];
/** Joins no one and fetches nothing, whatever the free disk space. */
export const ALONE: readonly string[] = ["--no-bootstrap", "--auto-fetch", "0", "--min-free", "0"];
/** Budgets high enough not to interfere where they are not what is tested. */
export const GENEROUS: readonly string[] = [
  ...["--push-rate", "100000", "--push-burst", "100000"],
  ...["--replies-per-minute", "100000", "--unproven-dials-per-minute", "100000"],
];

export type Counts = Readonly<Record<string, number>>;

/** Returns the sum of all counts. */
export const sum = (counts: Counts): number =>
  Object.values(counts).reduce((all, count) => all + count, 0);

/** Tracks the peak memory of a process from now until `stop`. */
export class Peak {
  mostMib = 0;
  #isOver = false;
  readonly #watching: Promise<void>;

  constructor(pid: number) {
    this.#watching = (async () => {
      do this.mostMib = Math.max(this.mostMib, await memoryMib(pid)); while (!this.#isOver);
    })();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#watching;
  }
}

export class World implements AsyncDisposable {
  /** Addresses that received the process's list, once per list, however many messages it took. */
  readonly repliedTo: string[] = [];

  private constructor(
    readonly folder: Folder,
    readonly program: Program,
    readonly honest: Honest,
    /** Listens on all loopback addresses, and closes after each message. */
    readonly sink: HostileServer,
    readonly args: readonly string[],
  ) {}

  /** @param command the command that runs the program, if not Deno itself */
  static async make(args = GENEROUS, command?: readonly string[]): Promise<World> {
    await using made = new AsyncDisposableStack();
    const folder = made.use(await Folder.make());
    const program = made.use(
      await Program.peer(NAME, [...ALONE, ...args], {
        cwd: folder.path,
        ...(command && { command }),
      }),
    );
    const honest = made.use(await Honest.beside(program));
    const sink = made.use(
      await HostileServer.start((socket, message) => {
        const { type, peerId, ext } = message ?? {};
        const [k = 1] = (ext as { part?: number[] } | undefined)?.part ?? [];
        const isList = type === "GOSSIP_REPLY" && peerId === NAME && k === 1;
        if (isList) world.repliedTo.push(`${socket.localAddress}`);
        socket.end();
      }, { host: "0.0.0.0" }),
    );
    const world = new World(folder, program, honest, sink, args);
    made.move();
    return world;
  }

  /** Writes on its own connection, half-closes it, and waits until the process has handled everything. */
  async say(data: string | Uint8Array, from = ATTACKERS[0]!): Promise<Raw> {
    const raw = await Raw.open(this.program, { from });
    try {
      await raw.writeAll(data);
      raw.halfClose();
      await raw.untilClosed();
      return raw;
    } finally {
      raw.close();
    }
  }

  async counts(): Promise<{ received: Counts; refused: Counts }> {
    const { received, refused } = await this.program.status();
    return { received: received as Counts, refused: refused as Counts };
  }

  /** Returns the API's file rows by file_id. Checks that each is listed once. */
  async listed(): Promise<Map<string, FileRow>> {
    const rows = await this.program.files();
    const byId = new Map(rows.map((row) => [row.file_id, row]));
    ok(byId.size === rows.length, "a file_id is listed twice");
    return byId;
  }

  /** Returns the API's peer names. Checks that each is listed once. */
  async tracked(): Promise<Set<string>> {
    const names = (await this.program.peers()).map(({ peerId }) => peerId);
    const unique = new Set(names);
    ok(unique.size === names.length, "a peer is listed twice");
    return unique;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.honest[Symbol.asyncDispose]();
    await this.program[Symbol.asyncDispose]();
    await this.sink[Symbol.asyncDispose]();
    await this.folder[Symbol.asyncDispose]();
  }
}
