// Peers that are fetching the same file from us at this moment: they are told of each other, and each is told to ask next
// for a part that nobody else was given, so that together they need everything from us about once. PURE.
// Invariants: a peer is named only if its request came from its own address; what is forgotten costs a transfer from us, not
// more; no answer depends on what a peer claims to have.

import type { Bounded } from "../bounds/expiring.ts";
import { chunkBytesOf } from "../chunks.ts";
import type { Sharing } from "../effects.ts";
import { isFrom, isProven } from "../members/membership.ts";
import { MAX_SPAN_BYTES } from "../range_plan.ts";
import { Ranges, type Span } from "../ranges.ts";
import type { PeerState } from "../state.ts";
import { PARTS } from "../wire/capabilities.ts";
import { type Ext, MAX_PEERS_TOLD } from "../wire/ext.ts";

/** Maximum number of files whose fellows are known; the one that was asked for least recently is forgotten. (A guess.) */
const MAX_SHARED_FILES = 64;
/** Maximum number of fellows known for one file. (A guess.) */
const MAX_FELLOWS_KNOWN = 64;
/** How long a peer counts as fetching after its last request, in milliseconds. (A guess: a chunk at 70 KB/s.) */
const FELLOW_MS = 15_000;

/** A peer that fetches a file. */
interface Fellow {
  /** When it asked last, in milliseconds on the monotonic clock. */
  readonly askedMs: number;
  /** What it was told to ask for next. */
  readonly next: Span | undefined;
}

/** What is known of one file. */
interface Shared {
  /** The peers; the one that asked last is last. */
  readonly fellows: Map<string, Fellow>;
  /** What somebody asked for. */
  given: Ranges;
}

/** Knows who fetches what from us. */
export class Fellows {
  readonly #files = new Map<string, Shared>();

  /** Shares `state` with the other parts of the peer. */
  constructor(readonly state: PeerState) {}

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    const fellows = () =>
      this.#files.values().reduce((sum, { fellows: { size } }) => sum + size, 0);
    return [
      {
        name: "files asked for in parts",
        size: () => this.#files.size,
        max: () => MAX_SHARED_FILES,
      },
      {
        name: "peers that ask for parts",
        size: fellows,
        max: () => MAX_SHARED_FILES * MAX_FELLOWS_KNOWN,
      },
    ];
  }

  /** Returns the name of the peer that made a request, if it passes parts on and the request came from its address. */
  nameIn(ext: Ext | undefined, ip: string): string | undefined {
    const { have, peer } = ext ?? {};
    const record = have && peer !== undefined ? this.state.membership.get(peer) : undefined;
    const isItself = record && isFrom(record, ip) && isProven(record) && record.can.includes(PARTS);
    return isItself ? record.peerId : undefined;
  }

  /**
   * Notes that a peer asks for a range of a file. Returns what the answer says besides. With `sizeBytes`, all of the file is
   * here.
   */
  asked(
    fileId: string,
    peerId: string,
    [offset = 0, length = 0]: readonly number[],
    sizeBytes?: number,
  ): Sharing {
    const { fellows, given } = this.#sharedOf(fileId);
    const isNew = !fellows.delete(peerId);
    const others = [...fellows.keys()];
    // Whoever is not known gets what it asks for, as from a peer that knows nothing of parts.
    if (fellows.size >= MAX_FELLOWS_KNOWN) {
      return { peers: this.#some(others), isRedirected: false };
    }
    const note = (next?: Span) => fellows.set(peerId, { askedMs: this.state.nowMs, next });
    note();
    const peers = this.#some(others);
    if (sizeBytes === undefined) return { peers, isRedirected: false };
    const end = Math.min(sizeBytes, offset + length);
    // In whole chunks, so that the spans stay few, and so much at a time that one request cannot use up a large file.
    const step = chunkBytesOf(sizeBytes);
    const give = (ranges: Ranges) => {
      const last = Math.min(end, offset + MAX_SPAN_BYTES);
      if (offset >= end) return;
      const to = Math.min(sizeBytes, Math.ceil(last / step) * step);
      ranges.add(Math.floor(offset / step) * step, to);
    };
    if (others.length === 0 || offset >= end) {
      give(given);
      return { peers, isRedirected: false };
    }
    const taken = given.copy();
    for (const { next } of fellows.values()) if (next) taken.add(...next);
    const isTaken = !isGap(taken, offset, end);
    const isGiven = given.has(offset, end);
    // A peer that has just begun asks for the beginning, like all others before it.
    if (!isNew || !isTaken) {
      give(given);
      give(taken);
    }
    // What others were told to ask for, they may never ask for.
    const most = isNew ? 0 : length;
    const next = nextPart(taken, sizeBytes, most, others.length + 1) ??
      nextPart(given, sizeBytes, most, others.length + 1);
    // Everything is on its way to somebody. Who gets nothing from the others says so: it asks without `Ext.have`.
    if (!next) return { peers, isRedirected: isGiven };
    note(next);
    return { peers, next: [next[0], next[1] - next[0]], isRedirected: isNew && isTaken };
  }

  #sharedOf(fileId: string): Shared {
    const { nowMs } = this.state;
    const shared = this.#files.get(fileId) ??
      { fellows: new Map<string, Fellow>(), given: new Ranges() };
    this.#files.delete(fileId);
    if (this.#files.size >= MAX_SHARED_FILES) this.#files.delete(this.#files.keys().next().value!);
    this.#files.set(fileId, shared);
    for (const [peerId, { askedMs }] of shared.fellows) {
      if (nowMs - askedMs < FELLOW_MS) break;
      shared.fellows.delete(peerId);
    }
    // Those who were given parts are gone, and perhaps without them.
    if (shared.fellows.size === 0) shared.given = new Ranges();
    return shared;
  }

  /** Returns some of the names, beginning anywhere, so that not everybody is told the same. */
  #some(names: readonly string[]): string[] {
    const from = Math.floor(this.state.random() * names.length);
    return [...names.slice(from), ...names.slice(0, from)].slice(0, MAX_PEERS_TOLD);
  }
}

/** Returns whether nothing of a span is in these ranges. */
function isGap(ranges: Ranges, start: number, end: number): boolean {
  const gap = ranges.gap(start, end);
  return gap !== undefined && gap[0] === start && gap[1] === end;
}

/**
 * Returns the first part that nobody was given, a chunk or `most` bytes: less towards the end, so that all of them end at
 * about the same time.
 */
function nextPart(
  given: Ranges,
  sizeBytes: number,
  most: number,
  fellows: number,
): Span | undefined {
  const gap = given.gap(0, sizeBytes);
  if (!gap) return undefined;
  const step = chunkBytesOf(sizeBytes);
  const fair = Math.min(most, (sizeBytes - given.bytes) / (2 * fellows));
  const end = gap[0] + Math.max(step, fair);
  return [gap[0], Math.min(gap[1], Math.ceil(end / step) * step)];
}
