// What moves and what moved a while ago, for people: every file on its way in or out, whoever carries it.
// Only bookkeeping lives here. Always holds: a move ends once, whatever else is said about it; at most
// `MAX_RECENT` of those that ended are remembered.

/** Ended moves that are remembered. */
const MAX_RECENT = 100;

/**
 * "fetch": from a peer to us; "push": by a peer that was not asked; "serve": to a peer that asked; "copy": pushed to
 * a peer; "upload" and "download": by somebody at the pages.
 */
export type TransferKind = "fetch" | "push" | "serve" | "copy" | "upload" | "download";

export interface Transfer {
  readonly id: number;
  readonly kind: TransferKind;
  /** "" while it is not known. */
  readonly fileId: string;
  readonly name: string;
  /** Peer or address at the other end. */
  readonly peer: string;
  /** Undefined while it is not known. */
  readonly totalBytes: number | undefined;
  readonly doneBytes: number;
  readonly state: "running" | "done" | "failed" | "cancelled";
  /** Monotonic. */
  readonly startedMs: number;
  readonly endedMs: number | undefined;
  /** Why it failed, for people. */
  readonly why: string | undefined;
}

export const isInbound = ({ kind }: Pick<Transfer, "kind">): boolean =>
  kind === "fetch" || kind === "push" || kind === "upload";

type Beginning = Pick<Transfer, "kind" | "fileId" | "name" | "peer" | "totalBytes">;

/** One transfer, told by who carries it. */
export class Move implements Transfer {
  readonly kind: TransferKind;
  fileId: string;
  name: string;
  readonly peer: string;
  readonly totalBytes: number | undefined;
  doneBytes = 0;
  state: Transfer["state"] = "running";
  endedMs: number | undefined;
  why: string | undefined;

  constructor(
    readonly id: number,
    beginning: Beginning,
    readonly startedMs: number,
    readonly log: TransferLog,
  ) {
    this.kind = beginning.kind;
    this.fileId = beginning.fileId;
    this.name = beginning.name;
    this.peer = beginning.peer;
    this.totalBytes = beginning.totalBytes;
  }

  /** What `cancel` does besides saying so: ends the connection, as a rule. */
  stop: () => void = () => {};

  moved(bytes: number): void {
    this.doneBytes += bytes;
    if (isInbound(this)) this.log.bytesIn += bytes;
    else this.log.bytesOut += bytes;
  }

  /** It begins anew: what came does not count. */
  restart(): void {
    this.doneBytes = 0;
  }

  done(): void {
    this.log.end(this, "done");
  }

  failed(why: string): void {
    this.log.end(this, "failed", why);
  }

  /** Nobody wants it any more, which is no failure. */
  ended(why: string): void {
    this.log.end(this, "cancelled", why);
  }

  /** It is about to be done: from here on it cannot be cancelled. */
  seal(): void {
    this.#isSealed = true;
  }

  #isSealed = false;

  get isCancellable(): boolean {
    return this.state === "running" && !this.#isSealed;
  }

  /** A person wants it to end. */
  cancel(): void {
    if (!this.isCancellable) return;
    this.log.end(this, "cancelled", "Cancelled here");
    this.stop();
  }
}

export class TransferLog {
  readonly #running = new Map<number, Move>();
  readonly #recent: Move[] = [];
  #serial = 0;
  /** Content in all, also of what failed. */
  bytesIn = 0;
  bytesOut = 0;

  constructor(
    readonly nowMs: () => number,
    /** Hears of each end. */
    readonly onEnded: (transfer: Transfer) => void = () => {},
  ) {}

  get running(): readonly Move[] {
    return [...this.#running.values()];
  }

  /** Those that run and those that ended last, the newest last. */
  all(): readonly Move[] {
    return [...this.#recent, ...this.#running.values()];
  }

  get(id: number): Move | undefined {
    return this.#running.get(id) ?? this.#recent.find((move) => move.id === id);
  }

  begin(beginning: Beginning): Move {
    const move = new Move(++this.#serial, beginning, this.nowMs(), this);
    this.#running.set(move.id, move);
    return move;
  }

  /** A fetch that failed before anybody could be asked; nothing when an attempt of it tells of it already. */
  neverBegan(fileId: string, name: string, why: string): void {
    const last = this.#recent.findLast((move) => move.fileId === fileId && move.kind === "fetch");
    if (last && last.state !== "done") return;
    this.begin({ kind: "fetch", fileId, name, peer: "", totalBytes: undefined }).failed(why);
  }

  end(move: Move, state: Transfer["state"], why?: string): void {
    if (move.state !== "running") return;
    move.state = state;
    move.endedMs = this.nowMs();
    move.why = why;
    this.#running.delete(move.id);
    this.#recent.push(move);
    if (this.#recent.length > MAX_RECENT) this.#recent.shift();
    this.onEnded(move);
  }
}
