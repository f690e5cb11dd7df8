// Messages to all tracked peers (ANNOUNCE), spread over time so that one input causes bounded work. PURE.
// Invariants: at most `MAX_BROADCAST_SENDS` sends are in progress; an address gets one copy of a message, no matter how
// many names it has; a message without recipients is not encoded; many files at once are announced as lists.

import { TokenBucket } from "../bounds/rate_limit.ts";
import type { Ticket } from "../effects.ts";
import type { Bounded } from "../bounds/expiring.ts";
import {
  ANNOUNCE_BATCH,
  ANNOUNCE_BURST,
  ANNOUNCES_PER_SECOND,
  FEW_ANNOUNCES,
  MAX_BROADCAST_SENDS,
  MAX_SINGLE_ANNOUNCES,
} from "../limits.ts";
import type { Lists } from "../members/lists.ts";
import { isProven, type PeerRecord } from "../members/membership.ts";
import { encodeMessage, type FileRecord, type Message } from "../wire/message.ts";
import { type PeerState, placeOf } from "../state.ts";

/** A message being sent to all peers. */
interface Broadcast {
  readonly what: Message["type"];
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What peers with extensions get. */
  readonly extendedBytes: Uint8Array<ArrayBuffer>;
  readonly to: readonly string[];
  readonly ticket: Ticket;
  next: number;
}

/** Maximum number of messages that wait for their turn. A person can share files faster than peers accept messages. */
const MAX_WAITING = 2_048;

/** Sends messages to all tracked peers. */
export class Broadcasts {
  /** Messages being sent, oldest first. */
  readonly #queue: Broadcast[] = [];
  /** Held files to announce, and since when: a peer that appeared later has seen them in our list. */
  readonly #files = new Map<string, number>();
  readonly #announces: TokenBucket;
  #underWay = 0;

  /** Shares `state` with the other parts of the peer. */
  constructor(readonly state: PeerState, readonly lists: Lists) {
    this.#announces = new TokenBucket(ANNOUNCE_BURST, ANNOUNCES_PER_SECOND, 0);
  }

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    const { maxCatalogueEntries } = this.state.config.limits;
    return [
      { name: "broadcasts waiting", size: () => this.#queue.length, max: () => MAX_WAITING },
      {
        name: "broadcast sends in progress",
        size: () => this.#underWay,
        max: () => MAX_BROADCAST_SENDS,
      },
      {
        name: "files to announce",
        size: () => this.#files.size,
        max: () => Math.max(maxCatalogueEntries, this.state.catalogue.heldCount),
      },
    ];
  }

  /**
   * Sends a message to every peer that was tracked by `sinceMs`, once per address; `to` leaves others out. Drops the
   * message, and counts that, if too many are waiting already.
   */
  toAll(
    message: Message,
    ticket: Ticket = { for: "broadcast" },
    sinceMs = Infinity,
    isMeant?: (record: PeerRecord) => boolean,
  ): void {
    const to = this.#everybody(sinceMs, isMeant).map(({ peerId }) => peerId);
    if (to.length === 0) return;
    if (this.#queue.length >= MAX_WAITING) return this.state.overload("announcements-dropped");
    const [bytes, extendedBytes] = [encodeMessage(message), encodeMessage(message, true)];
    this.#queue.push({ what: message.type, bytes, extendedBytes, to, ticket, next: 0 });
    this.state.tell({ name: "broadcast", what: message.type, peers: to.length });
    this.#pump();
  }

  /** Announces to all peers that we hold these files: at once if they are few, otherwise soon and together. */
  announce(fileIds: Iterable<string>): void {
    if (this.state.membership.size === 0) return; // peers that appear later get the whole list
    for (const fileId of fileIds) this.#files.set(fileId, this.state.nowMs);
    this.#announceSome();
  }

  /** Notes that a broadcast send ended, successfully or not, so that the next one can start. */
  sendEnded(): void {
    this.#underWay = Math.max(0, this.#underWay - 1);
    this.#pump();
  }

  /** Continues what had to wait. */
  tick(): void {
    this.#pump();
    this.#announceSome();
  }

  #everybody(sinceMs: number, isMeant: (record: PeerRecord) => boolean = () => true) {
    const places = new Set<string>();
    const records: PeerRecord[] = [];
    for (const record of this.state.membership.all()) {
      if (record.firstHeardMs > sinceMs || !isMeant(record)) continue;
      const place = placeOf(record);
      if (places.has(place)) continue;
      places.add(place);
      records.push(record);
    }
    return records;
  }

  #pump(): void {
    const { state } = this;
    for (let [first] = this.#queue; first; [first] = this.#queue) {
      while (first.next < first.to.length) {
        if (this.#underWay >= MAX_BROADCAST_SENDS) return;
        const record = state.membership.get(first.to[first.next++]!); // it may have left in the meantime
        const bytes = record?.extended ? first.extendedBytes : first.bytes;
        if (record && state.sendBytes(record, first.what, bytes, first.ticket, true)) {
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
    const files = batch.map(({ file }) => file);
    // Peers with extensions understand a piece of a list at any time; each ANNOUNCE is a connection.
    const isListed = batch.length > FEW_ANNOUNCES;
    const old = this.#everybody(latestMs, (record) => !record.extended);
    const isPaced = batch.length > 1 && batch.length * old.length > MAX_SINGLE_ANNOUNCES;
    if (isListed) this.#announceList(files, latestMs);
    // Peers without extensions get many files at the pace at which they fetch.
    if (isPaced) { for (const record of old) if (isProven(record)) this.lists.tellLegacy(record); }
    if (isListed && isPaced) return;
    const isMeant = ({ extended }: PeerRecord) => extended ? !isListed : !isPaced;
    for (const { file, sinceMs } of batch) {
      const { peerId: from } = state.config;
      const message = { type: "ANNOUNCE", from, file, ext: state.ext } as const;
      this.toAll(message, { for: "broadcast" }, sinceMs, isMeant);
    }
  }

  /** Announces many files at once, as pieces of a list, to the peers with extensions. */
  #announceList(files: readonly FileRecord[], sinceMs: number): void {
    const isMeant = (record: PeerRecord) => record.extended && isProven(record);
    const to = this.#everybody(sinceMs, isMeant).map(({ peerId }) => peerId);
    if (to.length === 0) return;
    for (const bytes of this.lists.piecesOf(files)) {
      const ticket = { for: "broadcast" } as const;
      const what = "GOSSIP_REPLY";
      this.#queue.push({ what, bytes, extendedBytes: bytes, to, ticket, next: 0 });
    }
    this.state.tell({ name: "broadcast", what: "GOSSIP_REPLY", peers: to.length });
    this.#pump();
  }
}
