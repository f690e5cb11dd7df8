// Copies: what is published here is pushed to one peer, so that it outlives this one. PURE.
// Always holds: one peer at a time is offered a file, each once per round and at most `MAX_PUSH_TRIES` of them; a file that
// nobody took is offered again, less and less often, as long as it is held here and nowhere else; at most `MAX_COPIES`
// files are followed.

import type { Bounded } from "../bounds/expiring.ts";
import { FIRST_RETRY_MS, LAST_RETRY_MS, MAX_PUSH_TRIES, WISHES_PER_TICK } from "../limits.ts";
import { isProven } from "../members/membership.ts";
import type { FileRecord } from "../wire/message.ts";
import type { PeerState } from "../state.ts";

/** Maximum number of files of which a copy is being offered or is to be offered again. */
const MAX_COPIES = 1_000;

/** A published file of which nobody has taken a copy yet. */
interface Copying {
  readonly file: FileRecord;
  /** Peers that were asked in this round. */
  readonly asked: Set<string>;
  readonly tries: number;
  /** When it is offered again; undefined while it is. */
  readonly dueMs: number | undefined;
}

export class Replication {
  readonly #copies = new Map<string, Copying>();

  constructor(readonly state: PeerState) {}

  get sizes(): Bounded[] {
    return [{ name: "copies under way", size: () => this.#copies.size, max: () => MAX_COPIES }];
  }

  /** One tracked peer that can take it gets a copy; while nobody does, it is offered again later. */
  offer(file: FileRecord, before?: Copying): void {
    const { state } = this;
    const { fileId, sizeBytes = 0 } = file;
    if (!before && this.#copies.size >= MAX_COPIES) return;
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
    const { peerId, address: to, voucher } = record;
    state.emit({ kind: "replicate", file, to, voucher, peerId });
  }

  /** Files of which nobody has taken a copy yet are offered again when their time has come. */
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

  /** A peer came, or came back: what waits is offered again now. */
  peerCame(): void {
    for (const [fileId, copying] of this.#copies) {
      if (copying.dueMs !== undefined) {
        this.#copies.set(fileId, { ...copying, dueMs: this.state.nowMs });
      }
    }
  }

  taken(fileId: string, peerId: string): void {
    this.#copies.delete(fileId);
    const file = this.state.catalogue.get(fileId)?.file;
    if (file) this.state.tell({ name: "replicated", file, peerId });
  }

  /** The peer that was asked did not take it: another one is asked. */
  failed(fileId: string): void {
    const copying = this.#copies.get(fileId);
    const entry = this.state.catalogue.get(fileId);
    if (copying && entry?.held) this.offer(entry.file, copying);
    else this.#copies.delete(fileId);
  }

  /** Nobody is to get a copy any more. */
  forget(fileId: string): void {
    this.#copies.delete(fileId);
  }
}
