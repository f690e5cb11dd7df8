// Replication: one random peer gets a copy of a file published here, so that it outlives this peer. It is offered the copy
// and fetches it, or, if it is of an earlier version, is sent all of it. PURE.
// Invariants: a file is offered to one peer at a time, to each once per round and to at most `MAX_PUSH_TRIES`; a file
// that no peer took is offered again, with increasing delays, while it is held here and nowhere else; at most
// `MAX_COPIES` files are tracked.

import type { Bounded } from "../bounds/expiring.ts";
import {
  FIRST_RETRY_MS,
  LAST_RETRY_MS,
  MAX_PUSH_TRIES,
  offerMs,
  WISHES_PER_TICK,
} from "../limits.ts";
import { isProven, type PeerRecord } from "../members/membership.ts";
import { OFFER, RAW } from "../wire/capabilities.ts";
import { encodeMessage, type FileRecord } from "../wire/message.ts";
import type { PeerState } from "../state.ts";

/** Maximum number of files for which a copy is being offered or will be offered again. */
const MAX_COPIES = 1_000;

/** A published file that no peer has taken a copy of yet. */
export interface Copying {
  /** The file. */
  readonly file: FileRecord;
  /** Names of the peers that were offered it in this round. */
  readonly asked: Set<string>;
  /** Number of rounds, including this one. */
  readonly tries: number;
  /**
   * When the next peer is asked or the next round starts, in milliseconds on the monotonic clock; undefined while a peer is
   * being offered it.
   */
  readonly dueMs: number | undefined;
  /** Whether a peer may be fetching it. */
  readonly isOffered?: boolean;
}

/** Pushes copies of published files. */
export class Replication {
  readonly #copies = new Map<string, Copying>();

  /** Shares `state` with the other parts of the peer. */
  constructor(readonly state: PeerState) {}

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    return [{ name: "copies being offered", size: () => this.#copies.size, max: () => MAX_COPIES }];
  }

  /**
   * Pushes a copy to one random tracked peer that can take it, or schedules the next round if there is none. `before`
   * continues a round. Files above `legacyPushBytes` are not pushed to peers without extensions.
   */
  offer(file: FileRecord, before?: Copying): void {
    const { state } = this;
    const { fileId, sizeBytes = 0 } = file;
    if (!before && this.#copies.size >= MAX_COPIES) return state.overload("copies-not-offered");
    const { legacyPushBytes } = state.config.limits;
    const holders = state.catalogue.get(fileId)?.holders;
    const asked = before?.asked ?? new Set<string>();
    const tries = before?.tries ?? 1;
    const [record] = asked.size >= MAX_PUSH_TRIES ? [] : state.membership.pick(
      1,
      () => state.random(),
      (candidate) =>
        isProven(candidate) && !state.pauseOf(candidate) && !asked.has(candidate.peerId) &&
        !holders?.has(candidate.peerId) && (candidate.extended || sizeBytes <= legacyPushBytes),
    );
    if (!record) {
      const waitMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (tries - 1));
      const dueMs = state.nowMs + waitMs;
      this.#copies.set(fileId, { file, asked: new Set(), tries: tries + 1, dueMs });
      return;
    }
    asked.add(record.peerId);
    this.#copies.set(fileId, { file, asked, tries, dueMs: undefined });
    if (record.can.includes(OFFER) && record.can.includes(RAW)) return this.#offerTo(record, file);
    const { peerId, address: to, voucher } = record;
    state.emit({ kind: "replicate", file, to, voucher, peerId });
  }

  #offerTo(record: PeerRecord, file: FileRecord): void {
    const { state } = this;
    const ext = { ...state.ext, offer: true } as const;
    const message = { type: "ANNOUNCE", from: state.config.peerId, file, ext } as const;
    const ticket = { for: "offer", fileId: file.fileId } as const;
    const bytes = encodeMessage(message, true);
    if (!state.sendBytes(record, "ANNOUNCE", bytes, ticket)) this.failed(file.fileId);
  }

  /** Notes that an offer arrived: the peer may fetch the file now. */
  offered(fileId: string): void {
    const copying = this.#copies.get(fileId);
    if (!copying) return;
    const dueMs = this.state.nowMs + offerMs(copying.file.sizeBytes ?? 0);
    this.#copies.set(fileId, { ...copying, dueMs, isOffered: true });
  }

  /** Starts the rounds that are due. */
  tick(): void {
    const { catalogue, nowMs } = this.state;
    let offered = 0;
    for (const [fileId, copying] of this.#copies) {
      if (copying.dueMs === undefined || copying.dueMs > nowMs) continue;
      if (++offered > WISHES_PER_TICK) return;
      const entry = catalogue.get(fileId);
      if (!entry?.held || entry.holders.size > 0) this.#copies.delete(fileId);
      else this.offer(entry.file, copying);
    }
  }

  /** Makes all waiting rounds due, because a peer appeared, moved or restarted. */
  peerCame(): void {
    for (const [fileId, copying] of this.#copies) {
      if (copying.dueMs !== undefined && !copying.isOffered) {
        this.#copies.set(fileId, { ...copying, dueMs: this.state.nowMs });
      }
    }
  }

  /** Notes that a peer has a copy. */
  taken(fileId: string, peerId: string): void {
    if (!this.#copies.delete(fileId)) return;
    const file = this.state.catalogue.get(fileId)?.file;
    if (file) this.state.tell({ name: "replicated", file, peerId });
  }

  /** Offers the file to another peer, because the last one did not take it. */
  failed(fileId: string): void {
    const copying = this.#copies.get(fileId);
    const entry = this.state.catalogue.get(fileId);
    if (copying && entry?.held) this.offer(entry.file, copying);
    else this.#copies.delete(fileId);
  }

  /** Stops offering copies of a file. */
  forget(fileId: string): void {
    this.#copies.delete(fileId);
  }
}
