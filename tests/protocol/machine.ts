// One peer under test: inputs at a virtual time in, effects out, and the bytes it sends are read back with the
// real scanner and decoder. No clock, no network, and all randomness from one seed.

import type { Address } from "../../protocol/wire/address.ts";
import type { Effect, FetchFailure, HeldFile, Input, PeerEvent } from "../../protocol/effects.ts";
import type { Reason } from "../../protocol/wire/errors.ts";
import { unpack } from "../../net/packing.ts";
import { FrameScanner } from "../../protocol/wire/frame.ts";
import { DEFAULT_LIMITS, type Limits } from "../../protocol/limits.ts";
import type { Ext } from "../../protocol/wire/ext.ts";
import { decodeMessage, type FileRecord, type Message } from "../../protocol/wire/message.ts";
import { Peer } from "../../protocol/peer.ts";
import type { PeerConfig } from "../../protocol/state.ts";
import { Random } from "../sim/random.ts";

/** Another peer, as it introduces itself. `ip` is where its messages come from. */
export interface Who extends Address {
  readonly peerId: string;
  readonly ip: string;
  readonly ext?: Ext;
}

/** Returns a peer without extensions, with its own address. */
export function oldPeer(peerId: string, last: number, port = 6000): Who {
  const host = `10.0.${last >> 8}.${last & 255}`;
  return { peerId, host, port, ip: host };
}

/** Returns a peer with extensions. */
export function newPeer(peerId: string, last: number, port = 6000): Who {
  const node = peerId.replace(/[^\w-]/g, "_").padEnd(43, "A").slice(0, 43);
  return { ...oldPeer(peerId, last, port), ext: { v: 1, node, boot: "boot1" } };
}

export const OWN: Address = { host: "10.9.9.9", port: 5000 };
export const OWN_NODE = "O".repeat(43);

export type Overrides = Partial<Omit<PeerConfig, "limits">> & {
  readonly limits?: Partial<Limits>;
  readonly seed?: number;
};

export function configOf({ limits, seed = 1, ...rest }: Overrides = {}): PeerConfig {
  const random = new Random(seed);
  return {
    peerId: "me",
    address: OWN,
    own: { ips: [OWN.host], ports: [OWN.port, 8080] },
    node: OWN_NODE,
    boot: "boot-of-me",
    bootstraps: [],
    rejoin: [],
    gossipIntervalMs: 30_000,
    peerTimeoutMs: 60_000,
    autoFetch: 0,
    limits: { ...DEFAULT_LIMITS, ...limits },
    random: () => random.unit(),
    ...rest,
  };
}

/** Returns the file_id for a number; different numbers have different ids. */
export const idOf = (n: number) => n.toString(16).padStart(64, "0");

/** Returns a file that may be fetched; the same number is the same file. */
export function fileOfNumber(n: number, over: Partial<FileRecord> = {}): FileRecord {
  return {
    fileId: idOf(n),
    name: `file ${n}`,
    owner: "owner",
    timestamp: { text: "1744170562", quoted: false },
    size: 1,
    ...over,
  };
}

export const files = (count: number, from = 1): FileRecord[] =>
  Array.from({ length: count }, (_, i) => fileOfNumber(from + i));

export function heldOf(file: FileRecord, sizeBytes = 10): HeldFile {
  return { file: { ...file, sizeBytes }, sizeBytes };
}

type EffectOf<K extends Effect["kind"]> = Extract<Effect, { kind: K }>;
/** The members of the union that may have this name (some share one). */
type EventOf<N, E = PeerEvent> = E extends { name: infer M } ? (N extends M ? E : never) : never;

export function only<K extends Effect["kind"]>(effects: readonly Effect[], kind: K) {
  return effects.filter((effect): effect is EffectOf<K> => effect.kind === kind);
}

export function events<N extends PeerEvent["name"]>(effects: readonly Effect[], name: N) {
  return only(effects, "event").map(({ event }) => event)
    .filter((event) => event.name === name) as EventOf<N>[];
}

export const refusals = (effects: readonly Effect[]): Reason[] =>
  events(effects, "refused").map(({ reason }) => reason);

/** Returns all messages in some bytes. */
export function readBack(bytes: Uint8Array): Message[] {
  const found: Message[] = [];
  const scanner = new FrameScanner({
    message: (text, streamed) => void found.push(decodeMessage(text, streamed, unpack).message),
    dataStart: () => {},
    data: () => {},
    dataEnd: () => {},
  }, DEFAULT_LIMITS);
  scanner.feed(bytes);
  if (!scanner.idle) throw new Error("What was sent is no whole message");
  return found;
}

/** Returns the messages sent, read back from their bytes. */
export interface Sent<T extends Message = Message> {
  readonly to: Address;
  readonly peerId: string | undefined;
  readonly message: T;
  readonly effect: EffectOf<"send">;
}

export function sent<T extends Message["type"]>(effects: readonly Effect[], type: T) {
  return only(effects, "send").filter(({ what }) => what === type).map((effect) => {
    const [message, ...more] = readBack(effect.bytes);
    if (message?.type !== type || more.length > 0) throw new Error("Sent something else");
    const { to, peerId } = effect;
    return { to, peerId, message: message as Extract<Message, { type: T }>, effect };
  });
}

/** Returns the names of the receivers of a type of message, in alphabetical order. */
export const receivers = (effects: readonly Effect[], type: Message["type"]): string[] =>
  sent(effects, type).map(({ peerId, to }) => peerId ?? `${to.host}:${to.port}`).sort();

/** A peer and its virtual time. */
export class Machine {
  readonly peer: Peer;
  nowMs = 0;
  #ids = 0;
  #receipts = 0;
  readonly #attempts = new Map<string, number>();

  constructor(overrides: Overrides = {}) {
    this.peer = new Peer(configOf(overrides));
  }

  get catalogue() {
    return this.peer.catalogue;
  }

  /** Returns how many things of one kind it remembers (`Peer.sizes`). */
  remembered(name: string): number {
    return this.peer.sizes.find((bound) => bound.name === name)!.size();
  }

  get membership() {
    return this.peer.membership;
  }

  do(input: Input): Effect[] {
    const effects = this.peer.handle(input, this.nowMs);
    for (const { file, source, attempt } of only(effects, "fetch")) {
      this.#attempts.set(`${file.fileId} ${source}`, attempt);
    }
    return effects;
  }

  /** Returns the number of the latest attempt to fetch a file from a source. */
  attempt(fileId: string, source: string): number {
    return this.#attempts.get(`${fileId} ${source}`) ?? 0;
  }

  /** Lets the latest attempt to fetch a file from a source fail. */
  failFetch(fileId: string, source: string, failure: FetchFailure, text: string = failure) {
    const attempt = this.attempt(fileId, source);
    return this.do({ kind: "fetch-failed", fileId, source, attempt, failure, text });
  }

  start(): Effect[] {
    return this.do({ kind: "start" });
  }

  /** Lets time pass, tick by tick; `answer` can feed in how the network reacts to the effects. */
  wait(ms: number, stepMs = 1000, answer?: (effects: Effect[]) => void): Effect[] {
    const all: Effect[] = [];
    for (const until = this.nowMs + ms; this.nowMs < until;) {
      this.nowMs = Math.min(until, this.nowMs + stepMs);
      const effects = this.do({ kind: "tick" });
      all.push(...effects);
      answer?.(effects);
    }
    return all;
  }

  message(message: Message, ip: string, connection = 1): Effect[] {
    return this.do({ kind: "message", message, ip, connection });
  }

  /** Receives a gossip of this peer, from its own address unless `ip` says otherwise. */
  gossip(
    { peerId, host, port, ext, ip }: Who,
    { via = ip, id = `g${++this.#ids}`, want = false } = {},
  ): Effect[] {
    const told = ext && want ? { ...ext, want: ["me"] } : ext;
    return this.message(
      { type: "GOSSIP", peerId, host, port, id, ...(told ? { ext: told } : {}) },
      via,
    );
  }

  reply(
    { peerId, host, port, ext, ip }: Who,
    files: readonly FileRecord[],
    part?: readonly [number, number, string],
    rev?: readonly [number, number],
  ): Effect[] {
    const told = ext && { ...ext, ...(part ? { part } : {}), ...(rev ? { rev } : {}) };
    return this.message(
      { type: "GOSSIP_REPLY", peerId, host, port, files, ...(told ? { ext: told } : {}) },
      ip,
    );
  }

  announce(from: Who, file: FileRecord, ip = from.ip): Effect[] {
    return this.message({ type: "ANNOUNCE", from: from.peerId, file }, ip);
  }

  delete(from: string, fileId: string, ip: string): Effect[] {
    return this.message({ type: "DELETE", from, fileId }, ip);
  }

  /** Introduces peers and lets the gossip that follows finish. */
  meet(...whos: Who[]): void {
    for (const who of whos) this.gossip(who);
  }

  hold(files: readonly FileRecord[], how: "published" | "restored" = "restored"): Effect[] {
    return this.do({ kind: "held", files: files.map((file) => heldOf(file)), how });
  }

  /** Receives verified content, as a push or from the source that was asked. */
  arrive(file: FileRecord, { ip = "10.0.0.1", source = "", sizeBytes = 10 } = {}): Effect[] {
    return this.do({
      kind: "arrived",
      receipt: ++this.#receipts,
      held: heldOf(file, sizeBytes),
      ip,
      ...(source === "" ? {} : { source, attempt: this.attempt(file.fileId, source) }),
    });
  }

  /** Executes what the peer told the store to keep. */
  keep(effects: readonly Effect[]): Effect[] {
    return only(effects, "keep").flatMap(({ held, source }) =>
      this.do({
        kind: "held",
        files: [held],
        how: source === undefined ? "pushed" : "fetched",
        ...(source === undefined ? {} : { source }),
      })
    );
  }
}
