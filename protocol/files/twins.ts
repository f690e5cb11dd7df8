// Twins: files with the same content under several ids. What a peer says about the SHA-256 of a file is a hint that saves a
// transfer if it is true. PURE.
// Invariants: a claim is never a proof: content counts only once it verifies for the id itself; a claim that turned out
// wrong is not tried again, and neither are others by the same peer for a while.

import { type Bounded, ExpiringSet } from "../bounds/expiring.ts";
import type { HeldFile } from "../effects.ts";
import { MAX_DOWNLOADS, MAX_QUEUED_DOWNLOADS, MAX_SOURCES, SOURCE_FAILURE_MS } from "../limits.ts";
import type { PeerState } from "../state.ts";
import type { Entry } from "./catalogue.ts";

/** A peer that holds a file, and the id under which it does. */
export interface TwinSource {
  /** Name of the peer. */
  readonly peerId: string;
  /** The id to ask for. */
  readonly askFor: string;
}

/** Maximum number of twins of one file whose holders are looked at. */
const MAX_TWINS = 16;

/** Finds twins. */
export class Twins {
  /** Files of which a claim turned out wrong. */
  readonly #wrong = new ExpiringSet(MAX_QUEUED_DOWNLOADS, SOURCE_FAILURE_MS);
  /** Peers that made such a claim. */
  readonly #distrusted: ExpiringSet;
  /** Comparisons that are running: the peer that told what each is about, by attempt. */
  readonly #running = new Map<number, string | undefined>();

  /** Shares `state` with the other parts of the peer. */
  constructor(readonly state: PeerState) {
    this.#distrusted = new ExpiringSet(state.config.limits.maxPeers, SOURCE_FAILURE_MS);
  }

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    return [
      {
        name: "comparisons with our own content",
        size: () => this.#running.size,
        max: () => MAX_DOWNLOADS,
      },
      {
        name: "wrong claims about content",
        size: () => this.#wrong.size,
        max: () => MAX_QUEUED_DOWNLOADS,
      },
      {
        name: "peers that made wrong claims about content",
        size: () => this.#distrusted.size,
        max: () => this.state.config.limits.maxPeers,
      },
    ];
  }

  /** Returns the SHA-256 that the content of a file is said to have, unless that is known to be wrong. */
  claimOf({ file: { fileId, sha256 }, verified, toldBy }: Entry): string | undefined {
    if (sha256 === undefined || verified) return sha256;
    const { nowMs } = this.state;
    const isDoubtful = this.#wrong.has(fileId, nowMs) ||
      (toldBy !== undefined && this.#distrusted.has(toldBy, nowMs));
    return isDoubtful ? undefined : sha256;
  }

  /** Returns whether our own content may be read for one more comparison. */
  get mayCompare(): boolean {
    return this.#running.size < MAX_DOWNLOADS;
  }

  /** Notes that a file, which is part of `attempt`, is being compared with the content of a held file. */
  comparing(attempt: number, { toldBy }: Entry): void {
    this.#running.set(attempt, toldBy);
  }

  /** Notes that a comparison ended. Returns who told what it was about. */
  compared(attempt: number): string | undefined {
    const toldBy = this.#running.get(attempt);
    this.#running.delete(attempt);
    return toldBy;
  }

  /** Returns the id of a held file that is said to have the same content. */
  hereAs(entry: Entry): string | undefined {
    const sha256 = this.claimOf(entry);
    const twin = sha256 === undefined ? undefined : this.state.catalogue.heldWith(sha256);
    if (twin === undefined) return undefined;
    // A claim that contradicts itself is not worth reading a file for.
    const { sizeBytes = 0 } = entry.file;
    return this.state.catalogue.get(twin)!.file.sizeBytes === sizeBytes ? twin : undefined;
  }

  /**
   * Returns peers that hold the same content under other ids, at most `MAX_SOURCES`. Looks at every known file: ask only
   * for what is worth that.
   */
  heldElsewhere(entry: Entry): TwinSource[] {
    const sha256 = this.claimOf(entry);
    const found: TwinSource[] = [];
    if (sha256 === undefined) return found;
    let twins = 0;
    for (const other of this.state.catalogue.all()) {
      if (other === entry || other.file.sha256 !== sha256) continue;
      if (this.claimOf(other) === undefined || ++twins > MAX_TWINS) continue;
      for (const peerId of other.holders) {
        if (found.length >= MAX_SOURCES) return found;
        if (!entry.holders.has(peerId)) found.push({ peerId, askFor: other.file.fileId });
      }
    }
    return found;
  }

  /** Notes that content which is known to have the SHA-256 that `toldBy` told of a file did not verify for its id. */
  disproved(fileId: string, toldBy: string | undefined): void {
    const { nowMs } = this.state;
    this.#wrong.add(fileId, nowMs);
    if (toldBy !== undefined) this.#distrusted.add(toldBy, nowMs);
  }

  /** Notes that two files which are said to be the same are not: one of the claims is wrong, and nobody knows which. */
  differ(fileId: string, twin: string): void {
    const { catalogue, nowMs } = this.state;
    this.#wrong.add(fileId, nowMs);
    if (!catalogue.get(twin)?.verified) this.#wrong.add(twin, nowMs);
  }

  /** Blames the peer that told a wrong SHA-256 of a file that is now verified. */
  judge({ file: { fileId, sha256 } }: HeldFile): void {
    const { catalogue, membership } = this.state;
    const known = catalogue.get(fileId);
    if (!known || known.verified || known.toldBy === undefined || sha256 === undefined) return;
    if (known.file.sha256 === sha256) return;
    const record = membership.get(known.toldBy);
    this.disproved(fileId, known.toldBy);
    if (!record) return;
    const text = `named a wrong SHA-256 for ${known.file.name}`;
    membership.refusedOf(record.peerId);
    this.state.refuse(record.peerId, "wrong-claim", `It ${text}`);
    this.state.offended(record, text);
  }
}
