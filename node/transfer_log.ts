// Current and recent transfers, for people: every file on its way in or out, whoever carries it. Only bookkeeping.
// Invariants: a transfer ends once, whatever is reported about it later, unless it is continued; at most `MAX_RECENT` ended transfers are
// remembered.

import type { Slowness } from "./slowness.ts";

/** Maximum number of ended transfers that are remembered. */
const MAX_RECENT = 100;

/**
 * "fetch": from a peer to us. "push": from a peer that we did not ask. "serve": to a peer that asked. "copy":
 * pushed to a peer. "upload" and "download": by somebody using the web pages.
 */
export type TransferKind = "fetch" | "push" | "serve" | "copy" | "upload" | "download";

/** What one of several sources has delivered. */
export interface SourceShare {
  /** Name of the source. */
  readonly peer: string;
  /** Content that it delivered, in bytes. */
  readonly bytes: number;
  /** Its current speed, in bytes per second; 0 if it delivers nothing now. */
  readonly bytesPerSecond: number;
}

/** One transfer, as people see it. */
export interface Transfer {
  /** Serial number in this run. */
  readonly id: number;
  /** Which way the file moves, and why. */
  readonly kind: TransferKind;
  /** Id of the file; "" while it is not known. */
  readonly fileId: string;
  /** Name of the file; "" while it is not known. */
  readonly name: string;
  /** Peer or address at the other end. */
  readonly peer: string;
  /** Size of the file, in bytes; `undefined` if it is not known. */
  readonly totalBytes: number | undefined;
  /** Content moved so far, in bytes. */
  readonly doneBytes: number;
  /** The part of it that an earlier attempt had moved, in bytes. */
  readonly resumedBytes: number;
  /** The sources of a file that comes from several, with the most first; empty if there is only `peer`. */
  readonly sources: readonly SourceShare[];
  /** Whether it is running, or how it ended. */
  readonly state: "running" | "done" | "failed" | "cancelled";
  /** When it began, in monotonic milliseconds. */
  readonly startedMs: number;
  /** When it ended, in monotonic milliseconds; `undefined` while it is running. */
  readonly endedMs: number | undefined;
  /** Why it failed or was canceled, for people. */
  readonly why: string | undefined;
  /** What holds it up while it is slow, as far as that is known. */
  readonly slow: Slowness | undefined;
}

/** Returns whether content moves to this peer. */
export const isInbound = ({ kind }: Pick<Transfer, "kind">): boolean =>
  kind === "fetch" || kind === "push" || kind === "upload";

type Beginning = Pick<Transfer, "kind" | "fileId" | "name" | "peer" | "totalBytes">;

/** One transfer, updated by whoever carries it. */
export class Move implements Transfer {
  readonly kind: TransferKind;
  fileId: string;
  name: string;
  readonly peer: string;
  totalBytes: number | undefined;
  doneBytes = 0;
  resumedBytes = 0;
  state: Transfer["state"] = "running";
  endedMs: number | undefined;
  why: string | undefined;

  /** Created by `TransferLog.begin`. */
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

  /** Returns the sources; set by whoever has several. */
  shares: () => readonly SourceShare[] = () => [];

  /** Returns what holds it up, as far as that is known; set by whoever knows. */
  slowness: () => Slowness | undefined = () => undefined;

  get slow(): Slowness | undefined {
    return this.state === "running" ? this.slowness() : undefined;
  }

  get sources(): readonly SourceShare[] {
    const shares = this.shares();
    return shares.length > 1 ? shares : [];
  }

  /** Called by `cancel` to stop the transfer, usually by closing its connection. */
  stop: () => void = () => {};

  /** Records content that was moved. */
  moved(bytes: number): void {
    this.doneBytes += bytes;
    if (isInbound(this)) this.log.bytesIn += bytes;
    else this.log.bytesOut += bytes;
  }

  /** Records that the transfer continues after what an earlier attempt has moved. */
  resume(bytes: number): void {
    this.doneBytes = this.resumedBytes = bytes;
  }

  /** Records that some of what has arrived does not count. */
  forgot(bytes: number): void {
    this.doneBytes -= bytes;
  }

  /** Records that the transfer starts over: what has arrived does not count. */
  restart(): void {
    this.doneBytes = this.resumedBytes = 0;
  }

  /** Records success. */
  done(): void {
    this.log.end(this, "done");
  }

  /** Records a failure, with the reason for people. */
  failed(why: string): void {
    this.log.end(this, "failed", why);
  }

  /** Records that nobody wants it any longer, which is not a failure. */
  ended(why: string): void {
    this.log.end(this, "cancelled", why);
  }

  /** Marks it as about to succeed: it can no longer be canceled. */
  seal(): void {
    this.#isSealed = true;
  }

  #isSealed = false;

  /** Whether it can still be canceled. */
  get isCancellable(): boolean {
    return this.state === "running" && !this.#isSealed;
  }

  /** Cancels it for a person. Does nothing if it can no longer be canceled. */
  cancel(): void {
    if (!this.isCancellable) return;
    this.log.end(this, "cancelled", "Canceled here");
    this.stop();
  }
}

/** All transfers of one run. */
export class TransferLog {
  readonly #running = new Map<number, Move>();
  readonly #recent: Move[] = [];
  #serial = 0;
  /** Total content received, in bytes, including failed transfers. */
  bytesIn = 0;
  /** Total content sent, in bytes, including failed transfers. */
  bytesOut = 0;

  /** Starts empty. `nowMs` returns monotonic milliseconds. */
  constructor(
    readonly nowMs: () => number,
    /** Called when a transfer has ended. */
    readonly onEnded: (transfer: Transfer) => void = () => {},
  ) {}

  /** The running transfers, the oldest first. */
  get running(): readonly Move[] {
    return [...this.#running.values()];
  }

  /** Returns recent and running transfers, the newest last. */
  all(): readonly Move[] {
    return [...this.#recent, ...this.#running.values()];
  }

  /** Returns a running or recent transfer. */
  get(id: number): Move | undefined {
    return this.#running.get(id) ?? this.#recent.find((move) => move.id === id);
  }

  /** Starts a transfer. */
  begin(beginning: Beginning): Move {
    const move = new Move(++this.#serial, beginning, this.nowMs(), this);
    this.#running.set(move.id, move);
    return move;
  }

  /** Continues a recent transfer that was done: so many more bytes follow. Returns false if it is none. */
  again(move: Move, bytes: number): boolean {
    const index = this.#recent.indexOf(move);
    if (index < 0 || move.state !== "done") return false;
    this.#recent.splice(index, 1);
    move.state = "running";
    move.endedMs = undefined;
    move.totalBytes = (move.totalBytes ?? move.doneBytes) + bytes;
    this.#running.set(move.id, move);
    return true;
  }

  /** Records a fetch that failed before any peer could be asked. Does nothing if an attempt already reported it. */
  neverBegan(fileId: string, name: string, why: string): void {
    const last = this.#recent.findLast((move) => move.fileId === fileId && move.kind === "fetch");
    if (last && last.state !== "done") return;
    this.begin({ kind: "fetch", fileId, name, peer: "", totalBytes: undefined }).failed(why);
  }

  /** Ends a transfer. Does nothing if it has already ended. */
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
