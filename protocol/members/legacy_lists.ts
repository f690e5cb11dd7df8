// Lists for peers without extensions, sent in pieces, each in turn: what a peer has not heard of first, our own and the
// newest of it before the rest; then everything again, so that each file is listed at least once an hour. PURE.
// Such peers parse all of a message again with each 4,096 bytes that arrive, so a piece is small, and a round has at most
// `legacyListFiles` files. One implementation opens a connection for each listed file that it lacks, all at once, and
// never retries one that was refused. So a peer gets the next piece once it has requested the files of the last one, or
// has had time to. When all such peers together know of more files than may wait to be served, each still gets pieces,
// only slowly.
// Invariants: a piece names files held when it is sent, under their current names, at most `LEGACY_PIECE_FILES` of
// them and `LEGACY_PART_BYTES`; what a peer has heard is a few positions, however many files there are.

import type { Bounded } from "../bounds/expiring.ts";
import {
  LEGACY_ASK_MS,
  LEGACY_CYCLE_MS,
  LEGACY_OFFERED,
  LEGACY_OPEN_GETS,
  LEGACY_PART_BYTES,
  LEGACY_PIECE_FILES,
  LEGACY_PIECE_MS,
  LEGACY_QUIET_MS,
  LEGACY_QUIET_OFFERS,
  LEGACY_RESEND_MS,
  LEGACY_RESENDS,
  LEGACY_ROUND_MS,
  UNPROVEN_REPLY_BYTES,
} from "../limits.ts";
import { isProven, machineOf, type PeerRecord } from "./membership.ts";
import type { FileRecord } from "../wire/message.ts";
import type { PeerState } from "../state.ts";
import { HeldLogs, type Moved } from "./held_log.ts";

/** Encodes and sends the pieces. */
export interface PieceSender {
  /** Returns the size of a file's entry in a list, in bytes. */
  sizeOf(file: FileRecord): number;
  /** Sends a piece. Returns false if a rate limit does not allow it now. */
  send(record: PeerRecord, files: readonly FileRecord[], isReply: boolean): boolean;
}

/** How far a peer has been told of one log, as positions in it. */
interface Place {
  /** It was told of everything from `low` up to `high`. */
  high: number;
  low: number;
  /** What is told again in turn: everything below this. */
  turn: number;
}

/** What one peer was told, and what follows. */
interface Outbox {
  own: Place;
  others: Place;
  /** Ids of the files in the last piece that did not arrive. */
  again: readonly string[];
  /** Number of the newest files to tell first, because it asked for a list that it may have lost. */
  head: number;
  /** Number of files to tell again without delay, because it asked. */
  asked: number;
  /** When the next piece of files that it knows is due, if it does not ask. */
  turnDueMs: number;
  /** When the last piece was sent, or since when the first one has been waiting. */
  lastMs: number;
  /** Ids of the files in the last piece. */
  last: readonly string[];
  /** Number of pieces that were not delivered and are sent again, since it last asked. */
  resends: number;
  /** When the current round began, and how many files were listed in it. */
  roundMs: number;
  listed: number;
  /** Number of pieces in a row of which it requested nothing. */
  quiet: number;
  /** Whether it requested files that it had heard of before: it probably restarted, and lacks all of them. */
  isBlank: boolean;
}

/** The files of the last piece, which the peer may still request. */
interface Offer {
  readonly machine: string;
  /** Whether it had heard of all of them before, so that it will hardly request any. */
  readonly isKnown: boolean;
  left: number;
  readonly sinceMs: number;
  /** When the peer last requested a file. */
  askedMs: number;
}

/** A piece, and the state of the outbox once it is sent. */
interface Piece {
  readonly files: readonly FileRecord[];
  readonly next: Outbox;
  readonly isKnown: boolean;
  /** Number of its files that were told again in turn. */
  readonly turned: number;
  /** Whether there may be more, although it names no file. */
  readonly isCut: boolean;
}

const KINDS = ["own", "others"] as const;

/** Bytes reserved in each piece for the fields around the list. */
const HEAD_BYTES = 1024;
/** Maximum number of places looked at for one piece: files that are no longer held leave holes. */
const MAX_LOOKED_AT = 4_096;

/** Sends lists to peers without extensions. */
export class LegacyLists {
  /** Number of places looked at so far. Tests limit it. */
  steps = 0;
  readonly #logs: HeldLogs;
  readonly #outboxes = new Map<string, Outbox>();
  readonly #offers = new Map<string, Offer>();
  #serving = { ms: -Infinity, count: 0 };

  /** Shares `state` with the other parts of the peer. */
  constructor(readonly state: PeerState, readonly sender: PieceSender) {
    this.#logs = new HeldLogs(state.catalogue, state.config.peerId);
  }

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    const { catalogue, config: { limits: { maxPeers: max } } } = this.state;
    return [
      { name: "lists to legacy peers", size: () => this.#outboxes.size, max: () => max },
      {
        name: "files for legacy peers",
        size: () => this.#logs.own.length + this.#logs.others.length,
        // Holes are cut when the log is used, so it may be as long as the list was then.
        max: () => 4 * Math.max(catalogue.maxEntries, catalogue.heldCount) + 4_096,
      },
      { name: "legacy peers offered files", size: () => this.#offers.size, max: () => max },
    ];
  }

  /** Answers a gossip with the next piece of the list. Returns false if that has to wait, and nothing was sent. */
  reply(record: PeerRecord): boolean {
    const isNew = !this.#outboxes.has(record.peerId);
    const outbox = this.#outboxOf(record.peerId);
    outbox.resends = 0;
    const { own, others } = this.#logs;
    const limit = this.state.config.limits.legacyListFiles;
    const isLong = own.length + others.length > limit;
    // Nobody can tell whether it restarted and knows nothing, so it hears of the newest first.
    if (!isNew && isLong) outbox.head = LEGACY_PIECE_FILES;
    if (!isNew && outbox.asked === 0 && this.#hasHeardAll(outbox)) {
      outbox.asked = limit;
      if (!isLong) { for (const kind of KINDS) outbox[kind].turn = this.#logs[kind].length; }
    }
    return this.#continue(record, outbox, true);
  }

  /** Tells a peer of files that have just appeared, in its turn. */
  tell(record: PeerRecord): void {
    const outbox = this.#outboxOf(record.peerId);
    if (isProven(record)) this.#continue(record, outbox, false);
  }

  /** Notes that a peer at this address requested a file. */
  asked(ip: string): void {
    let isCounted = false;
    for (const [peerId, offer] of this.#offers) {
      if (offer.machine !== ip) continue;
      if (!isCounted && offer.left > 0) {
        offer.left--;
        isCounted = true;
      }
      offer.askedMs = this.state.nowMs; // it may have been any of the peers there
      const outbox = this.#outboxes.get(peerId);
      if (!outbox) continue;
      outbox.quiet = 0;
      if (offer.isKnown) outbox.isBlank = true;
    }
  }

  /** Sends pieces that had to wait, first to the peers that have waited longest. */
  tick(): void {
    if (this.#outboxes.size === 0) return;
    const { membership } = this.state;
    this.#update();
    for (const [peerId, outbox] of [...this.#outboxes]) {
      const record = membership.get(peerId);
      if (!record || record.extended) this.forget(peerId);
      else if (isProven(record)) this.#continue(record, outbox, false);
    }
  }

  /** Schedules the last piece again because it did not reach the peer, up to `LEGACY_RESENDS` times. */
  notDelivered(record: PeerRecord): void {
    const outbox = this.#outboxes.get(record.peerId);
    if (!outbox || outbox.last.length === 0) return;
    const offer = this.#offers.get(record.peerId);
    if (offer) offer.left = Math.max(0, offer.left - outbox.last.length);
    const { last } = outbox;
    outbox.last = [];
    // Its files are listed again within the hour.
    if (outbox.resends >= LEGACY_RESENDS) return this.state.overload("lists-given-up");
    outbox.again = last;
    outbox.resends++;
    outbox.lastMs = this.state.nowMs + LEGACY_RESEND_MS - LEGACY_PIECE_MS;
  }

  /** Forgets a peer that is gone or has restarted. */
  forget(peerId: string): void {
    this.#outboxes.delete(peerId);
    this.#offers.delete(peerId);
  }

  #update(): void {
    this.#logs.update((kind, moved) => this.#onMoved(kind, moved));
  }

  #onMoved(kind: "own" | "others", moved: Moved): void {
    for (const outbox of this.#outboxes.values()) {
      const { high, low, turn } = outbox[kind];
      outbox[kind] = { high: moved(high), low: moved(low), turn: moved(turn) };
    }
  }

  #outboxOf(peerId: string): Outbox {
    this.#update();
    let outbox = this.#outboxes.get(peerId);
    if (!outbox) {
      const placeIn = ({ length }: { length: number }) => ({
        high: length,
        low: length,
        turn: length,
      });
      outbox = {
        own: placeIn(this.#logs.own),
        others: placeIn(this.#logs.others),
        again: [],
        head: 0,
        asked: 0,
        turnDueMs: this.state.nowMs,
        lastMs: -Infinity,
        last: [],
        resends: 0,
        roundMs: this.state.nowMs,
        listed: 0,
        quiet: 0,
        isBlank: false,
      };
      this.#outboxes.set(peerId, outbox);
    }
    return outbox;
  }

  /** Returns whether a peer was told of every file at least once. */
  #hasHeardAll(outbox: Outbox): boolean {
    return KINDS.every((kind) => {
      const { high, low } = outbox[kind];
      return low === 0 && high >= this.#logs[kind].length;
    });
  }

  #continue(record: PeerRecord, outbox: Outbox, isReply: boolean): boolean {
    const { nowMs } = this.state;
    if (!this.#isReady(record, outbox)) return false;
    const piece = this.#piece(record, outbox);
    if (piece.files.length === 0) {
      Object.assign(outbox, piece.next); // the files that it would have named are no longer held
      if (!piece.isCut) this.#scheduleTurn(outbox, LEGACY_PIECE_FILES, false);
      return false;
    }
    if (!this.sender.send(record, piece.files, isReply)) return false;
    const before = this.#offers.get(record.peerId);
    const isQuiet = before !== undefined && before.askedMs < before.sinceMs;
    const quiet = isQuiet ? outbox.quiet + 1 : outbox.quiet;
    const isBlank = outbox.isBlank && !isQuiet;
    const isWalk = KINDS.some((kind) => outbox[kind].low > 0);
    Object.assign(outbox, piece.next, {
      last: piece.files.map(({ fileId }) => fileId),
      lastMs: nowMs,
      listed: outbox.listed + piece.files.length,
      asked: Math.max(0, piece.next.asked - piece.turned),
      quiet,
      isBlank,
    });
    if (piece.turned > 0 || isWalk || outbox.turnDueMs <= nowMs) {
      this.#scheduleTurn(outbox, piece.files.length, piece.turned > 0);
    }
    this.#offers.set(record.peerId, {
      machine: machineOf(record),
      isKnown: (piece.isKnown && !isBlank) || quiet >= LEGACY_QUIET_OFFERS,
      left: piece.files.length,
      sinceMs: nowMs,
      askedMs: -Infinity,
    });
    // To the end of the line.
    this.#outboxes.delete(record.peerId);
    this.#outboxes.set(record.peerId, outbox);
    return true;
  }

  /**
   * Sets when the next piece of known files is due: after the share of the hour that the last one takes. `isTurn`: that
   * was such a piece, too, and may have been late.
   */
  #scheduleTurn(outbox: Outbox, listed: number, isTurn: boolean): void {
    const { nowMs } = this.state;
    const { own, others } = this.#logs;
    const shareMs = LEGACY_CYCLE_MS * Math.min(1, listed / Math.max(1, own.length + others.length));
    // A peer that was busy does not get everything at once that it has missed.
    outbox.turnDueMs = shareMs +
      (isTurn ? Math.max(nowMs - LEGACY_ROUND_MS, outbox.turnDueMs) : nowMs);
  }

  /** Returns the next piece. Changes nothing. */
  #piece(record: PeerRecord, outbox: Outbox): Piece {
    const { catalogue, config: { limits }, nowMs } = this.state;
    const next: Outbox = { ...outbox, own: { ...outbox.own }, others: { ...outbox.others } };
    const files: FileRecord[] = [];
    const named = new Set<string>();
    const isFirst = outbox.lastMs === -Infinity || outbox.listed === 0;
    let bytes = isFirst && !isProven(record) ? UNPROVEN_REPLY_BYTES : LEGACY_PART_BYTES;
    bytes -= HEAD_BYTES;
    let places = Math.min(LEGACY_PIECE_FILES, limits.legacyListFiles - outbox.listed);
    let looked = 0;
    /** Adds a file, if it is held. Returns false if the piece is full. */
    const take = (fileId: string): boolean => {
      looked++;
      const entry = catalogue.get(fileId);
      if (!entry?.held || named.has(fileId)) return looked < MAX_LOOKED_AT;
      const size = this.sender.sizeOf(entry.file) + 2; // for a comma and the space before a brace at a read boundary
      if (places <= 0 || (files.length > 0 && size > bytes)) return false;
      files.push(entry.file);
      named.add(fileId);
      bytes -= size;
      places--;
      return true;
    };
    const isTold = this.#takeNews(next, take);
    const isKnown = files.length === 0;
    const isDue = next.asked > 0 || nowMs >= outbox.turnDueMs;
    const isTurn = isTold && isDue && files.length === 0;
    if (isTurn) this.#takeInTurn(next, take);
    this.steps += looked;
    const isCut = looked >= MAX_LOOKED_AT;
    return { files, next, isKnown, turned: isTurn ? files.length : 0, isCut };
  }

  /** Takes what comes before everything else. Returns false if the piece is full. */
  #takeNews(next: Outbox, take: (fileId: string) => boolean): boolean {
    for (const fileId of next.again) if (!take(fileId)) return false;
    next.again = [];
    for (const kind of KINDS) {
      const log = this.#logs[kind];
      for (let n = 1; n <= next.head / 2 && n <= log.length; n++) {
        if (!take(log.at(log.length - n))) return false;
      }
    }
    next.head = 0;
    for (const kind of KINDS) {
      const [log, place] = [this.#logs[kind], next[kind]];
      for (; place.high < log.length; place.high++) if (!take(log.at(place.high))) return false;
      for (; place.low > 0; place.low--) if (!take(log.at(place.low - 1))) return false;
    }
    return true;
  }

  /** Takes what it has heard of, in turn, once around at most. */
  #takeInTurn(next: Outbox, take: (fileId: string) => boolean): void {
    for (const kind of KINDS) {
      const [log, place] = [this.#logs[kind], next[kind]];
      for (; place.turn > 0; place.turn--) if (!take(log.at(place.turn - 1))) return;
    }
    for (const kind of KINDS) next[kind].turn = this.#logs[kind].length;
    next.asked = 0;
  }

  /** Returns whether the peer may get the next piece now. */
  #isReady(record: PeerRecord, outbox: Outbox): boolean {
    const { nowMs, serving, config: { limits } } = this.state;
    if (nowMs - outbox.lastMs < LEGACY_PIECE_MS) return false;
    if (nowMs - outbox.roundMs >= LEGACY_ROUND_MS) {
      outbox.roundMs = nowMs;
      outbox.listed = 0;
    }
    if (outbox.listed >= limits.legacyListFiles) return false;
    const machine = machineOf(record);
    const offer = this.#offers.get(record.peerId);
    if (offer && !this.#isOver(offer)) return false;
    if ((serving.get(machine) ?? 0) > LEGACY_OPEN_GETS) return false;
    if (!this.#hasMore(outbox)) return false;
    // Of what it has heard of before, it will request hardly anything.
    if (this.#hasHeardAll(outbox) && outbox.again.length === 0 && !outbox.isBlank) return true;
    let open = this.#openGets();
    for (const each of this.#offers.values()) {
      if (!each.isKnown && !this.#isOver(each)) open += each.left;
    }
    if (open + LEGACY_PIECE_FILES <= LEGACY_OFFERED) return true;
    // No peer waits forever, whatever others do.
    if (outbox.lastMs === -Infinity) outbox.lastMs = nowMs - LEGACY_PIECE_MS;
    return nowMs - outbox.lastMs >= LEGACY_ASK_MS;
  }

  /** Returns whether there is something to tell the peer now. */
  #hasMore(outbox: Outbox): boolean {
    return outbox.again.length > 0 || outbox.head > 0 || outbox.asked > 0 ||
      !this.#hasHeardAll(outbox) || this.state.nowMs >= outbox.turnDueMs;
  }

  /** Returns whether the peer has requested everything it wants of a piece, or does not fetch at all. */
  #isOver({ isKnown, left, sinceMs, askedMs }: Offer): boolean {
    if (left === 0) return true;
    const idleMs = this.state.nowMs - Math.max(sinceMs, askedMs);
    return idleMs >= (isKnown || askedMs >= sinceMs ? LEGACY_QUIET_MS : LEGACY_ASK_MS);
  }

  /** Returns the number of open GET_FILEs from machines with such peers, counting at most one piece per machine. */
  #openGets(): number {
    const { nowMs, membership, serving } = this.state;
    if (this.#serving.ms === nowMs) return this.#serving.count;
    const machines = new Set<string>();
    for (const record of membership.all()) if (!record.extended) machines.add(machineOf(record));
    let count = 0;
    for (const machine of machines) {
      count += Math.min(serving.get(machine) ?? 0, LEGACY_PIECE_FILES);
    }
    this.#serving = { ms: nowMs, count };
    return count;
  }
}
