// Which source to ask for a file: those that deliver come first, and no source is asked for too much at once. PURE.
// Invariants: a source delivers at most `MAX_DOWNLOADS_PER_SOURCE` requests at a time if there is another one; one that
// recently failed to deliver a file is asked for it last; one that is avoided is asked only if a person insists.

import { type Bounded, ExpiringSet } from "../bounds/expiring.ts";
import {
  MAX_DOWNLOADS_PER_SOURCE,
  MAX_QUEUED_DOWNLOADS,
  MAX_REQUESTS,
  SOURCE_FAILURE_MS,
} from "../limits.ts";
import { type PeerRecord, shuffleFront } from "../members/membership.ts";
import type { PeerState } from "../state.ts";

/** Chooses sources. */
export class SourceChoice {
  /** Pairs of file and source that failed recently. */
  readonly #failures = new ExpiringSet(MAX_QUEUED_DOWNLOADS, SOURCE_FAILURE_MS);
  /** Number of running requests to each source. */
  readonly #perSource = new Map<string, number>();

  /** Shares `state` with the other parts of the peer. `isInsisted`: a person requested the file. */
  constructor(readonly state: PeerState, readonly isInsisted: (fileId: string) => boolean) {}

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    return [
      { name: "sources in use", size: () => this.#perSource.size, max: () => MAX_REQUESTS },
      {
        name: "sources that failed",
        size: () => this.#failures.size,
        max: () => MAX_QUEUED_DOWNLOADS,
      },
    ];
  }

  /** Notes that a request to a source begins. */
  began(source: string): void {
    this.#perSource.set(source, (this.#perSource.get(source) ?? 0) + 1);
  }

  /** Notes that a request to a source ended. */
  ended(source: string): void {
    const left = this.#perSource.get(source)! - 1;
    if (left > 0) this.#perSource.set(source, left);
    else this.#perSource.delete(source);
  }

  /** Notes that a source did not deliver a file. */
  failed(fileId: string, source: string): void {
    this.#failures.add(`${fileId} ${source}`, this.state.nowMs);
  }

  /** Returns whether a source recently failed to deliver a file. */
  hasFailed(fileId: string, source: string): boolean {
    return this.#failures.has(`${fileId} ${source}`, this.state.nowMs);
  }

  /** Returns whether a holder of the file is not avoided and has not recently failed to deliver it. */
  hasFresh(fileId: string): boolean {
    const { catalogue, membership } = this.state;
    return [...catalogue.get(fileId)?.holders ?? []].some((peerId) => {
      const record = membership.get(peerId);
      return record !== undefined && !this.state.pauseOf(record) &&
        !this.hasFailed(fileId, peerId);
    });
  }

  /** Returns whether every source of the file already delivers as much as one source may, and `more` requests more. */
  areAllBusy(fileId: string, more = 0): boolean {
    const { catalogue } = this.state;
    let holders = 0;
    for (const peerId of catalogue.get(fileId)?.holders ?? []) {
      if (!this.mayAsk(fileId, peerId)) continue;
      if (!this.#isBusy(peerId, more)) return false;
      holders++;
    }
    return holders > 0;
  }

  /** Returns the peer if it may be asked: it is tracked, and not avoided unless a person requested the file. */
  mayAsk(fileId: string, peerId: string): PeerRecord | undefined {
    const record = this.state.membership.get(peerId);
    if (!record) return undefined;
    return this.isInsisted(fileId) || !this.state.pauseOf(record) ? record : undefined;
  }

  /**
   * Returns the best source not tried yet that `isMeant`: bootstraps first, then a random peer; those that recently failed to
   * deliver this file, are busy, or are avoided come last, in this order.
   */
  choose(
    fileId: string,
    holders: Iterable<string>,
    tried: ReadonlySet<string>,
    isMeant: (record: PeerRecord) => boolean = () => true,
  ): PeerRecord | undefined {
    const left: PeerRecord[] = [];
    for (const peerId of holders) {
      const record = tried.has(peerId) ? undefined : this.mayAsk(fileId, peerId);
      if (record && isMeant(record)) left.push(record);
    }
    shuffleFront(left, left.length, () => this.state.random());
    const rank = (record: PeerRecord) =>
      (this.state.pauseOf(record) ? 16 : 0) +
      (this.#isBusy(record.peerId) ? 8 : 0) +
      (this.hasFailed(fileId, record.peerId) ? 2 : 0) +
      (record.bootstrap ? 0 : 1);
    const inOrder = left.toSorted((a, b) => rank(a) - rank(b));
    return inOrder.find((record) => this.state.mayReach(record));
  }

  #isBusy(peerId: string, more = 0): boolean {
    return (this.#perSource.get(peerId) ?? 0) >= MAX_DOWNLOADS_PER_SOURCE + more;
  }
}
