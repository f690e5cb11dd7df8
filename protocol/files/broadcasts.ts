// Messages to everybody, spread over time: what one input sets off is bounded, however many files and peers there are. PURE.
// Always holds: at most `MAX_BROADCAST_SENDS` sends are under way; one address gets one copy of a message, however many
// names it has; a message without a recipient is not encoded; files that come in crowds are announced as lists.

import { TokenBucket } from "../bounds/rate_limit.ts";
import type { Ticket } from "../effects.ts";
import type { Bounded } from "../bounds/expiring.ts";
import {
  ANNOUNCE_BATCH,
  ANNOUNCE_BURST,
  ANNOUNCES_PER_SECOND,
  MAX_BROADCAST_SENDS,
  MAX_SINGLE_ANNOUNCES,
} from "../limits.ts";
import type { Lists } from "../members/lists.ts";
import { isProven, type PeerRecord } from "../members/membership.ts";
import { encodeMessage, type FileRecord, type Message } from "../wire/message.ts";
import { type PeerState, placeOf } from "../state.ts";

/** A message on its way to everybody. */
interface Broadcast {
  readonly what: Message["type"];
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly to: readonly string[];
  readonly ticket: Ticket;
  next: number;
}

/** Maximum number of messages that wait for their turn; a person can delete faster than peers answer. */
const MAX_WAITING = 2_048;

export class Broadcasts {
  /** Messages that are going out, the first one first. */
  readonly #queue: Broadcast[] = [];
  /** Held files that are to be announced, and since when: who came later has heard of them in a list. */
  readonly #files = new Map<string, number>();
  readonly #announces: TokenBucket;
  #underWay = 0;

  constructor(readonly state: PeerState, readonly lists: Lists) {
    this.#announces = new TokenBucket(ANNOUNCE_BURST, ANNOUNCES_PER_SECOND, 0);
  }

  get sizes(): Bounded[] {
    const { maxCatalogueEntries } = this.state.config.limits;
    return [
      { name: "broadcasts waiting", size: () => this.#queue.length, max: () => MAX_WAITING },
      { name: "broadcasts sent", size: () => this.#underWay, max: () => MAX_BROADCAST_SENDS },
      {
        name: "files to announce",
        size: () => this.#files.size,
        max: () => Math.max(maxCatalogueEntries, this.state.catalogue.heldCount),
      },
    ];
  }

  /**
   * Sends a message to every peer that has been tracked since before `sinceMs`, one address once. False when so many
   * messages wait already that it is dropped.
   */
  toAll(message: Message, ticket: Ticket = { for: "broadcast" }, sinceMs = Infinity): boolean {
    const to = this.#everybody(sinceMs);
    if (to.length === 0) return true;
    if (this.#queue.length >= MAX_WAITING) return false;
    this.#queue.push({ what: message.type, bytes: encodeMessage(message), to, ticket, next: 0 });
    this.state.tell({ name: "broadcast", what: message.type, peers: to.length });
    this.#pump();
    return true;
  }

  /** Tells everybody that we hold these files: at once where there are few of them, otherwise soon and together. */
  announce(fileIds: Iterable<string>): void {
    if (this.state.membership.size === 0) return; // who comes later gets the whole list
    for (const fileId of fileIds) this.#files.set(fileId, this.state.nowMs);
    this.#announceSome();
  }

  /** A send of ours ended, however it did: the next one may begin. */
  sendEnded(): void {
    this.#underWay = Math.max(0, this.#underWay - 1);
    this.#pump();
  }

  tick(): void {
    this.#pump();
    this.#announceSome();
  }

  #everybody(sinceMs: number): string[] {
    const places = new Set<string>();
    const names: string[] = [];
    for (const record of this.state.membership.all()) {
      if (record.firstHeardMs > sinceMs) continue;
      const place = placeOf(record);
      if (places.has(place)) continue;
      places.add(place);
      names.push(record.peerId);
    }
    return names;
  }

  #pump(): void {
    const { state } = this;
    for (let [first] = this.#queue; first; [first] = this.#queue) {
      while (first.next < first.to.length) {
        if (this.#underWay >= MAX_BROADCAST_SENDS) return;
        const record = state.membership.get(first.to[first.next++]!); // it may have left meanwhile
        if (record && state.sendBytes(record, first.what, first.bytes, first.ticket, true)) {
          this.#underWay++;
        }
      }
      this.#queue.shift();
    }
  }

  #announceSome(): void {
    const { state } = this;
    if (this.#files.size === 0 || this.#queue.length > 0) return;
    if (!this.#announces.take(state.nowMs)) return;
    const batch: { readonly file: FileRecord; readonly sinceMs: number }[] = [];
    for (const [fileId, sinceMs] of this.#files) {
      if (batch.length >= ANNOUNCE_BATCH) break;
      this.#files.delete(fileId);
      const entry = state.catalogue.get(fileId);
      if (entry?.held) batch.push({ file: entry.file, sinceMs });
    }
    const latestMs = batch.at(-1)?.sinceMs ?? -Infinity;
    const peers = this.#everybody(latestMs).length;
    if (batch.length > 1 && batch.length * peers > MAX_SINGLE_ANNOUNCES) {
      return this.#announceList(batch.map(({ file }) => file), latestMs);
    }
    for (const { file, sinceMs } of batch) {
      const message = {
        type: "ANNOUNCE",
        from: state.config.peerId,
        file,
        ext: state.ext,
      } as const;
      this.toAll(message, { for: "broadcast" }, sinceMs);
    }
  }

  /** Many files at once are told as pieces of a list, which every peer takes. */
  #announceList(files: readonly FileRecord[], sinceMs: number): void {
    const { state } = this;
    const to = this.#everybody(sinceMs).map((peerId) => state.membership.get(peerId)!).filter(
      isProven,
    );
    const isNew = (record: PeerRecord) => record.extended;
    const extended = to.filter(isNew).map(({ peerId }) => peerId);
    for (const bytes of extended.length > 0 ? this.lists.piecesOf(files) : []) {
      const ticket = { for: "broadcast" } as const;
      this.#queue.push({ what: "GOSSIP_REPLY", bytes, to: extended, ticket, next: 0 });
    }
    // Peers without extensions get theirs at the pace at which they fetch.
    for (const record of to) if (!isNew(record)) this.lists.tellOf(record, files);
    if (to.length > 0) {
      state.tell({ name: "broadcast", what: "GOSSIP_REPLY", peers: to.length });
    }
    this.#pump();
  }
}
