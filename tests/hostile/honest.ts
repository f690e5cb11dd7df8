// An honest legacy peer next to the attack. It gossips, gets, and pushes, and each of these must be answered within
// its deadline, whatever else is happening. Records how long each took, for benchmarks.

import { assertSameBytes } from "../process/folder.ts";
import { DEADLINE_MS, type Program } from "../process/program.ts";
import { type ForeignFile, foreignFile, ForeignPeer } from "../wire/foreign.ts";
import { until } from "../until.ts";

/** Deadline for answers, in milliseconds. The threat model demands an answer to honest GOSSIP within 1 s; times five. */
export const HONEST_MS = 5_000;
/** Number of names that take turns, since each name gets only five immediate answers. */
const NAMES = 5;

export class Honest implements AsyncDisposable {
  readonly gossipMs: number[] = [];
  readonly getMs: number[] = [];
  readonly pushMs: number[] = [];
  #turn = 0;
  #pushes = 0;

  private constructor(
    readonly program: Program,
    readonly peers: readonly ForeignPeer[],
    readonly file: ForeignFile,
  ) {}

  /** Starts peers and introduces them to the program, which fetches nothing from them automatically. */
  static async beside(program: Program): Promise<Honest> {
    const peers: ForeignPeer[] = [];
    for (let i = 0; i < NAMES; i++) {
      peers.push(
        await ForeignPeer.start({
          style: "closes-at-once",
          peerId: `honest-${i}-${crypto.randomUUID().slice(0, 8)}`,
          forwards: false,
          patienceMs: DEADLINE_MS,
        }),
      );
    }
    const content = crypto.getRandomValues(new Uint8Array(20_000));
    const file = foreignFile(
      `honest-${crypto.randomUUID()}.bin`,
      content,
      peers[0]!.peerId,
      "1744170562",
    );
    const honest = new Honest(program, peers, file);
    await honest.gossip(DEADLINE_MS);
    await honest.push(file, DEADLINE_MS);
    return honest;
  }

  /** Sends one gossip, which must be answered within the deadline. */
  async gossip(deadlineMs = HONEST_MS): Promise<void> {
    const peer = this.peers[this.#turn++ % NAMES]!;
    const replies = () => peer.received.filter(({ type }) => type === "GOSSIP_REPLY").length;
    const before = replies();
    const began = performance.now();
    await peer.gossip(this.program);
    await this.program.until("an answer to an honest gossip", () => replies() > before, deadlineMs);
    this.gossipMs.push(performance.now() - began);
  }

  /** Gets a file that the program holds, which must arrive intact. */
  async get(deadlineMs = HONEST_MS): Promise<void> {
    const began = performance.now();
    const got = this.peers[0]!.get(this.program, this.file.fileId);
    const isLate = () => performance.now() - began > deadlineMs;
    let answer: Awaited<typeof got> | "none yet" = "none yet";
    got.then((found) => answer = found);
    await until(
      "an answer to an honest get",
      () => answer !== "none yet" || isLate(),
      2 * deadlineMs,
    );
    if (answer === "none yet") {
      throw new Error(`No answer to an honest get. ${this.program.report()}`);
    }
    const content = (answer as Awaited<typeof got>)?.content;
    if (!content) {
      throw new Error(`An honest get was answered without content. ${this.program.report()}`);
    }
    assertSameBytes(content, this.file.content, "the content of an honest get");
    this.getMs.push(performance.now() - began);
  }

  /** Pushes a new file, which the program must announce as held. */
  async push(file = this.#fresh(), deadlineMs = HONEST_MS): Promise<void> {
    const [peer] = this.peers;
    const began = performance.now();
    await peer!.push(this.program, file);
    await this.program.until("an announcement of an honest push", () => {
      return peer!.received.some(({ type, file_id: fileId }) =>
        type === "ANNOUNCE" && fileId === file.fileId
      );
    }, deadlineMs);
    this.pushMs.push(performance.now() - began);
  }

  /** Gossips, gets, and pushes, one after the other. */
  async check(deadlineMs = HONEST_MS): Promise<void> {
    await this.gossip(deadlineMs);
    await this.get(deadlineMs);
    await this.push(this.#fresh(), deadlineMs);
  }

  /**
   * Checks repeatedly until the attack is over, and once more afterward. Gossips at most as often as one name's
   * budget allows (a burst of five, then one every ten seconds). Gets and pushes every half second.
   */
  async during<T>(attack: Promise<T>): Promise<T> {
    let isOver = false;
    attack.finally(() => isOver = true).catch(() => {});
    for (let round = 0; !isOver; round++) {
      if (this.gossipMs.length < 4 * NAMES) await this.gossip();
      await this.get();
      if (round % 4 === 0) await this.push();
      await until("time for the next honest request", tick(500), DEADLINE_MS);
    }
    const outcome = await attack;
    await this.get();
    return outcome;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.peers) await peer.stop();
  }

  #fresh(): ForeignFile {
    const content = crypto.getRandomValues(new Uint8Array(500));
    return foreignFile(`push-${++this.#pushes}.bin`, content, this.peers[0]!.peerId, "1744170563");
  }
}

/** Returns a probe that is true once this much time has passed. */
function tick(ms: number): () => boolean {
  const began = performance.now();
  return () => performance.now() - began >= ms;
}
