// Records what happened: a trace hash that shows whether two runs are identical, and a meter that shows what a
// round costs. Nothing here affects the run.

import { createHash } from "node:crypto";

/** A hash of everything delivered, in order. */
export class Trace {
  readonly #hash = createHash("sha256");
  readonly #buffer = new Uint8Array(1 << 16);
  readonly #view = new DataView(this.#buffer.buffer);
  #used = 0;
  readonly #utf8 = new TextEncoder();

  note(atMs: number, host: number, kind: string, bytes?: Uint8Array): void {
    const length = bytes?.length ?? 0;
    if (this.#used + 64 + kind.length * 3 + length > this.#buffer.length) this.#flush();
    this.#view.setFloat64(this.#used, atMs);
    this.#view.setUint32(this.#used + 8, host);
    this.#view.setUint32(this.#used + 12, length);
    this.#used += 16;
    this.#used += this.#utf8.encodeInto(kind, this.#buffer.subarray(this.#used)).written;
    if (bytes === undefined) return;
    if (length > this.#buffer.length / 2) {
      this.#flush();
      this.#hash.update(bytes);
    } else {
      this.#buffer.set(bytes, this.#used);
      this.#used += length;
    }
  }

  /** Returns the hash so far, in hex. The trace can continue afterwards. */
  digest(): string {
    this.#flush();
    return this.#hash.copy().digest("hex");
  }

  #flush(): void {
    this.#hash.update(this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }
}

/** What hosts sent during one interval. */
export interface Tally {
  messages: number;
  bytes: number;
  readonly byType: Map<string, { messages: number; bytes: number }>;
  /** Number of messages by host index. */
  readonly byHost: Map<number, number>;
}

/** Counts messages by round and type. */
export class Meter {
  readonly rounds: Tally[] = [];
  /** Number of rejections by reason, across all hosts. */
  readonly refusals = new Map<string, number>();
  /** Number of user-visible events by name. */
  readonly events = new Map<string, number>();
  dials = 0;
  failedDials = 0;

  constructor(readonly roundMs: number) {}

  sent(atMs: number, host: number, type: string, bytes: number): void {
    const tally = this.round(Math.floor(atMs / this.roundMs));
    tally.messages++;
    tally.bytes += bytes;
    let sort = tally.byType.get(type);
    if (!sort) tally.byType.set(type, sort = { messages: 0, bytes: 0 });
    sort.messages++;
    sort.bytes += bytes;
    tally.byHost.set(host, (tally.byHost.get(host) ?? 0) + 1);
  }

  round(index: number): Tally {
    while (this.rounds.length <= index) {
      this.rounds.push({ messages: 0, bytes: 0, byType: new Map(), byHost: new Map() });
    }
    return this.rounds[index]!;
  }

  /** Returns the sum of the rounds in [from, to). */
  between(from: number, to: number): Tally {
    const sum: Tally = { messages: 0, bytes: 0, byType: new Map(), byHost: new Map() };
    for (const tally of this.rounds.slice(from, to)) {
      sum.messages += tally.messages;
      sum.bytes += tally.bytes;
      for (const [type, { messages, bytes }] of tally.byType) {
        const sort = sum.byType.get(type) ?? { messages: 0, bytes: 0 };
        sum.byType.set(type, { messages: sort.messages + messages, bytes: sort.bytes + bytes });
      }
      for (const [host, messages] of tally.byHost) {
        sum.byHost.set(host, (sum.byHost.get(host) ?? 0) + messages);
      }
    }
    return sum;
  }
}
