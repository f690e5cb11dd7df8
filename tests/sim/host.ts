// One host of the virtual network: a peer's state machine with a disk, a clock, and a listening address.
// It does what the I/O layers do for a real peer and decides nothing: it passes inputs in and carries out effects.
// Nothing that belongs to a killed process ever reaches its successor.

import type { Address, Voucher } from "../../protocol/wire/address.ts";
import type { Effect, Input, Ours } from "../../protocol/effects.ts";
import { DEFAULT_LIMITS, type Limits } from "../../protocol/limits.ts";
import type { FileRecord } from "../../protocol/wire/message.ts";
import { sameAddress } from "../../protocol/members/membership.ts";
import type { DialRank } from "../../net/dial_queue.ts";
import type { Catalogue } from "../../protocol/files/catalogue.ts";
import { Peer } from "../../protocol/peer.ts";
import { Causes } from "./causes.ts";
import { recordOf } from "./content.ts";
import { Dialer } from "./dialer.ts";
import { Lines, type Opening } from "./lines.ts";
import type { Dialed, Endpoint, Network, Reply } from "./network.ts";
import { ROUND_MS, TIMEOUT_MS } from "./network.ts";
import type { Random } from "./random.ts";
import { Transfers } from "./transfers.ts";
import { Inbound, joined, withoutExtensions } from "./wire.ts";

export interface HostOptions {
  readonly bootstraps?: readonly Host[];
  readonly autoFetch?: number;
  readonly port?: number;
  /** Speaks the legacy protocol: neither sends nor reads extensions. */
  readonly isLegacy?: boolean;
  readonly limits?: Limits;
  /** Nobody can connect to it. */
  readonly isClosed?: boolean;
}

/** What a lying host does instead of serving the correct file. */
export type Lie = "wrong" | "absent" | "cut" | "silent";

/** Tick interval, in milliseconds. Longer than the real one, to keep 300 hosts affordable. */
const TICK_MS = 1_000;
const LISTEN_PORT = 8115;

export class Host implements Endpoint {
  readonly index: number;
  readonly ip: string;
  readonly peerId: string;
  readonly random: Random;
  port: number;
  state: "up" | "down" | "silent" = "down";
  life = 0;
  peer!: Peer;
  /** Stored content by `file_id`. */
  readonly disk = new Map<string, string>();
  /** How this host lies about each file. */
  readonly lies = new Map<string, Lie>();
  readonly transfers: Transfers;
  lines = new Lines(this);
  readonly isHost = true;
  isClosed: boolean;
  causes = new Causes();
  #dialer = new Dialer(this);
  #node: string;
  #boot = "";
  #restarts = 0;
  #rejoin: readonly { address: Address; voucher: Voucher }[] = [];
  #tombstones: [string, number][] = [];
  #files: FileRecord[] = [];
  /** How far the host's monotonic clock lags behind the network's, in milliseconds. */
  #clockLagMs = 0;
  #asleep: (() => void)[] | undefined;

  constructor(readonly network: Network, readonly options: HostOptions) {
    ({ index: this.index, ip: this.ip } = network.newPlace(this));
    this.random = network.random.fork();
    this.peerId = `peer-${this.index}`;
    this.port = options.port ?? LISTEN_PORT;
    this.isClosed = options.isClosed ?? false;
    this.#node = this.random.token(43);
    this.transfers = new Transfers(this);
    this.#newPeer();
  }

  get address(): Address {
    return { host: this.ip, port: this.port };
  }

  get isLiar(): boolean {
    return this.lies.size > 0;
  }

  get clockMs(): number {
    return this.network.nowMs - this.#clockLagMs;
  }

  /** Starts listening and joins. */
  start(): void {
    this.state = "up";
    this.life++;
    this.network.listen(this, this);
    this.take({ kind: "start" });
    const tick = this.mine(() => {
      this.take({ kind: "tick" });
      this.network.clock.after(TICK_MS, tick);
    });
    this.network.clock.after(this.random.between(0, TICK_MS), tick);
  }

  /** Kills the process without warning. "silent" takes down the whole machine. */
  kill(how: "down" | "silent" = "down"): void {
    const { membership, catalogue } = this.peer;
    const alive = [...membership.all()].map(({ address, voucher }) => ({ address, voucher }));
    // Earlier contacts are remembered for days, after the current ones.
    const isKnown = ({ address }: { address: Address }) =>
      alive.some((other) => sameAddress(other.address, address));
    this.#rejoin = [...alive, ...this.#rejoin.filter((before) => !isKnown(before))];
    this.#tombstones = [...catalogue.tombstones.all()];
    this.#files = [...catalogue.held()].map(({ file }) => file);
    this.lines.died(how === "silent");
    this.life++;
    this.state = how;
    this.#asleep = undefined;
    if (how === "down") this.network.listen(this, undefined);
  }

  /** Restarts with what is on its disk. With `forgets`, it does not remember the peers it knew. */
  restart({ newPort = this.port, newKey = false, forgets = false } = {}): void {
    if (this.state === "up") this.kill();
    if (forgets) this.#rejoin = [];
    this.network.listen(this, undefined);
    this.port = newPort;
    this.#restarts++;
    if (newKey) this.#node = this.random.token(43);
    this.#newPeer();
    this.take({ kind: "load", files: [], deleted: this.#tombstones, unwanted: [] });
    this.#hold(this.#files.filter(({ fileId }) => this.disk.has(fileId)), "loaded");
    this.start();
  }

  /**
   * Suspends the host for a while. "stopped": the kernel still accepts connections, and the clock keeps running.
   * "asleep": the machine is off the network, and its monotonic clock stands still.
   */
  suspend(ms: number, how: "stopped" | "asleep" = "stopped"): void {
    this.#asleep = [];
    if (how === "asleep") this.state = "silent";
    const { life } = this;
    this.network.clock.after(ms, () => {
      if (this.life !== life) return;
      const missed = this.#asleep ?? [];
      this.#asleep = undefined;
      this.state = "up";
      if (how === "asleep") this.#clockLagMs += ms;
      for (const run of missed) run();
    });
  }

  /** Makes the monotonic clock jump ahead, as after a sleep that the clock includes. */
  jump(ms: number): void {
    this.#clockLagMs -= ms;
  }

  /** Publishes a file of its own. */
  publish(name: string, content: string): FileRecord {
    const file = recordOf(name, content, this.peerId, this.network.nowMs);
    this.disk.set(file.fileId, content);
    this.network.published.set(file.fileId, { file, host: this });
    this.#hold([file], this.state === "up" ? "published" : "loaded");
    return file;
  }

  /** Has published many files of its own, as if before its start. */
  publishMany(count: number): FileRecord[] {
    const files = Array.from({ length: count }, (_, n) => {
      const content = `row ${n} of ${this.peerId}`;
      const file = recordOf(`row ${n}`, content, this.peerId, this.network.nowMs);
      this.disk.set(file.fileId, content);
      return file;
    });
    this.#hold(files, "loaded");
    return files;
  }

  /** Has copies of files of another peer, as if from before its start. */
  keepAll(files: readonly FileRecord[]): void {
    files.forEach((file, n) => this.disk.set(file.fileId, `row ${n} of ${file.owner}`));
    this.#hold(files, "loaded");
  }

  /** Claims to hold a file that it does not have. */
  pretend(file: FileRecord, lie: Lie): void {
    this.lies.set(file.fileId, lie);
    this.#hold([file], "found");
  }

  /** Deletes a file as its user would. */
  delete(fileId: string): void {
    if (this.network.published.get(fileId)?.host === this) this.network.published.delete(fileId);
    this.take({ kind: "delete", fileId });
  }

  /** Passes one input to the state machine and carries out its effects. */
  take(input: Input, bytes?: Uint8Array): void {
    const { network } = this;
    network.trace.note(network.nowMs, this.index, input.kind, bytes);
    let effects: Effect[];
    try {
      effects = this.peer.handle(input, this.clockMs);
    } catch (cause) {
      const text = cause instanceof Error ? cause.stack : cause;
      return network.invariants.fail(this.peerId, `handle() threw for "${input.kind}": ${text}`);
    }
    network.invariants.afterStep(this, input, effects);
    for (const effect of effects) this.#carryOut(effect);
  }

  /** Hears a message on an open connection. */
  hears(
    bytes: Uint8Array,
    on: { readonly connection: number; readonly ip: string; readonly ours?: Ours },
  ): void {
    this.mine(() => {
      const { connection, ip, ours: why } = on;
      const ours = why ? { ours: why } : {};
      const inbound = new Inbound({
        message: (message, bytes) =>
          this.take({ kind: "message", message, ip, connection, ...ours }, bytes),
        offered: () => false,
        refused: ({ reason, message }) => this.take({ kind: "refused", ip, reason, text: message }),
      });
      inbound.feed(bytes);
    })();
  }

  receive(
    pieces: readonly Uint8Array[],
    ip: string,
    reply?: Reply,
    opening?: Opening,
  ): boolean {
    if (this.#asleep) {
      const copies = pieces.map((piece) => piece.slice());
      this.#asleep.push(() => this.receive(copies, ip, reply, opening));
      return true;
    }
    const connection = this.network.newConnection();
    let isTaken = true;
    this.lines.opened(connection, opening, () => {
      isTaken = this.#receive(pieces, ip, connection, reply, opening?.as);
    });
    return isTaken;
  }

  #receive(
    pieces: readonly Uint8Array[],
    ip: string,
    connection: number,
    reply: Reply | undefined,
    as: Opening["as"],
  ): boolean {
    const ours = as ? { ours: as.ours } : {};
    if (reply) this.transfers.replies.set(connection, reply);
    let isTaken = true;
    const inbound = new Inbound({
      message: (message, bytes, content) => {
        if (message.type === "FILE_DATA" && content !== undefined) {
          this.transfers.pushed(message, content, ip);
        }
        this.take({ kind: "message", message, ip, connection, ...ours }, bytes);
      },
      offered: (fileId) => {
        const verdict = this.transfers.offer(ip, connection, fileId);
        if (verdict === "refuse") isTaken = false;
        return verdict === "take";
      },
      refused: ({ reason, message }) => {
        isTaken = false;
        this.take({ kind: "refused", ip, reason, text: message });
      },
    });
    for (const piece of this.options.isLegacy ? [withoutExtensions(joined(pieces))] : pieces) {
      inbound.feed(piece);
    }
    this.transfers.replies.delete(connection);
    return isTaken;
  }

  /** Opens a connection for this process. Reports the outcome only while the process lives. */
  dial(
    to: Address,
    voucher: Voucher,
    done: (dialed: Dialed) => void,
    rank: DialRank = "news",
  ): void {
    const { life } = this;
    this.#dialer.dial(to, voucher, rank, (dialed) => {
      if (this.life !== life) return;
      if (this.#asleep) this.#asleep.push(this.mine(() => done(dialed)));
      else done(dialed);
    });
  }

  /** Wraps a callback to run only while this process lives, and to wait while it is suspended. */
  mine(run: () => void): () => void {
    const { life } = this;
    const guarded = () => {
      if (this.life !== life) return;
      if (this.#asleep) this.#asleep.push(guarded);
      else run();
    };
    return guarded;
  }

  /** Like `mine`, for a callback with an argument. */
  mineOf<T>(run: (value: T) => void): (value: T) => void {
    const { life } = this;
    return (value) => {
      if (this.life !== life) return;
      if (this.#asleep) this.#asleep.push(this.mine(() => run(value)));
      else run(value);
    };
  }

  /** Like `mine`, for a reply. */
  replied(run: Reply): Reply {
    const { life } = this;
    return (answer, way) => {
      if (this.life !== life) return;
      if (this.#asleep) this.#asleep.push(this.mine(() => run(answer, way)));
      else run(answer, way);
    };
  }

  /** Returns the bytes that this host really writes. */
  outgoing(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    return this.options.isLegacy ? withoutExtensions(bytes) : bytes;
  }

  #newPeer(): void {
    const { bootstraps = [], autoFetch = 0, limits = DEFAULT_LIMITS } = this.options;
    this.#boot = this.random.token(16);
    const chance = this.random.fork();
    this.#dialer = new Dialer(this);
    this.lines = new Lines(this);
    this.causes = new Causes();
    this.peer = new Peer({
      peerId: this.peerId,
      address: this.address,
      own: { ips: [this.ip, "127.0.0.1"], ports: [this.port] },
      node: this.#node,
      boot: this.#boot,
      bootstraps: bootstraps.map(({ address }) => address),
      rejoin: this.#rejoin,
      gossipIntervalMs: ROUND_MS,
      peerTimeoutMs: TIMEOUT_MS,
      autoFetch,
      limits,
      random: () => chance.unit(),
    });
    // Legacy peers in the field add the files that a list names, and never remove files that it does not name.
    if (this.options.isLegacy) (this.peer.catalogue as Catalogue).wholeList = () => false;
  }

  #hold(files: readonly FileRecord[], how: "published" | "loaded" | "found"): void {
    const held = files.map((file) => ({ file, sizeBytes: file.sizeBytes ?? 0 }));
    if (held.length > 0) this.take({ kind: "held", files: held, how });
  }

  #carryOut(effect: Effect): void {
    const { meter } = this.network;
    switch (effect.kind) {
      case "send":
        return this.#send(effect);
      case "hold":
        return this.lines.hold(effect);
      case "say":
        this.lines.say(effect.connection, effect.bytes);
        return;
      case "hang-up":
        this.transfers.replies.get(effect.connection)?.("closed");
        return this.lines.hangUp(effect.connection);
      case "link":
        return this.lines.link(effect);
      case "probe":
        return this.lines.probe(effect);
      case "call-back":
        return this.lines.callBack(effect);
      case "relay":
        return this.lines.relay(effect);
      case "save":
      case "changed":
        return;
      case "trash":
        for (const fileId of effect.fileIds) this.disk.delete(fileId);
        return;
      case "event": {
        const { event } = effect;
        meter.events.set(event.name, (meter.events.get(event.name) ?? 0) + 1);
        if (event.name === "refused") {
          meter.refusals.set(event.reason, (meter.refusals.get(event.reason) ?? 0) + 1);
        }
        return;
      }
      default:
        return this.transfers.carryOut(effect);
    }
  }

  #send(effect: Extract<Effect, { kind: "send" }>): void {
    const { to, voucher, peerId, ticket, what, noDial = false } = effect;
    const { network } = this;
    const bytes = this.outgoing(effect.bytes);
    network.meter.sent(network.nowMs, this.index, what, bytes.length);
    const about = { to, ...(peerId ? { peerId } : {}), ...(ticket ? { ticket } : {}) };
    const rank = what === "GOSSIP_REPLY" ? "answer" : "news";
    this.lines.reach(to, voucher, rank, peerId, { noDial, isMessage: true }, (way, isDialed) => {
      if ("failure" in way) {
        const kind = way.isOurs ? "unsent" : "unreachable";
        return this.take({ kind, ...about, what, text: way.failure });
      }
      if ("on" in way && !this.lines.say(way.on, bytes)) {
        return this.take({ kind: "unreachable", ...about, what, text: "the connection ended" });
      }
      const led = isDialed && "at" in way ? { ip: way.at.ip } : {};
      this.take({ kind: "sent", ...about, ...led });
      if ("on" in way) return;
      // Answers may come on the connection of a gossip.
      const connection = network.newConnection();
      const opening = { from: this, life: this.life, connection };
      network.carry(this, way, bytes, what === "GOSSIP" ? { opening } : {});
    });
  }
}
