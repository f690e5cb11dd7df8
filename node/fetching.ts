// One file fetched from one source, and continued where an earlier attempt stopped.
// No rules here: the state machine decides what is fetched from whom. This file carries that out, verifies content, and
// reports what happened.
// Invariants: content is reported as arrived only if it verifies; nobody is blamed for what came from someone else.

import type { Effect, FetchFailure } from "../protocol/effects.ts";
import { type AnswerSink, requestFile } from "../net/exchange.ts";
import { requestRaw } from "../net/raw.ts";
import type { Timestamp } from "../protocol/wire/fileid.ts";
import { TO_THE_END } from "../protocol/wire/raw.ts";
import { absent, explainFailure, mismatch, NotDelivered } from "./failures.ts";
import type { Receipts } from "./receipts.ts";
import { NotWanted, type Sources } from "./sources.ts";
import type { Move } from "./transfer_log.ts";
import { type StoreIntake, type TransferOptions, verified } from "./transfer_options.ts";

type Fetch = Extract<Effect, { kind: "fetch" }>;

/** Failures that say nothing against what has arrived so far. */
const UNFINISHED: ReadonlySet<FetchFailure> = new Set(["cut-short", "too-slow", "unreachable"]);

/** The fetches of single files. */
export class Fetching {
  /** Fetches in progress, by attempt. */
  readonly #attempts = new Map<number, Move>();

  /** Starts without fetches. */
  constructor(
    readonly options: TransferOptions,
    readonly sources: Sources,
    readonly receipts: Receipts,
  ) {}

  /** Fetches one file from one source. Reports `arrived` or `fetch-failed`. Never throws. */
  async fetch(fetch: Fetch): Promise<void> {
    const { attempt, file: { fileId, name, sizeBytes }, source } = fetch;
    const beginning = { kind: "fetch", fileId, name, peer: source, totalBytes: sizeBytes } as const;
    const move = this.options.transferLog.begin(beginning);
    this.#attempts.set(attempt, move);
    try {
      await new FileFetch(this, fetch, move).run();
    } finally {
      this.#attempts.delete(attempt);
    }
  }

  /** Ends an attempt that nobody wants any longer. Returns false if it is not here. */
  stop(attempt: number, text: string): boolean {
    const move = this.#attempts.get(attempt);
    move?.ended(text);
    move?.stop();
    return move !== undefined;
  }
}

/** One file on its way. */
class FileFetch implements AnswerSink {
  #intake: StoreIntake | undefined;

  constructor(readonly all: Fetching, readonly fetch: Fetch, readonly move: Move) {}

  async run(): Promise<void> {
    const { fetch, move, all: { receipts, options: { store, dispatch } } } = this;
    const { attempt, file, source } = fetch;
    try {
      const { timestamp, ip } = await this.#deliver();
      const intake = this.#intake!;
      const receipt = receipts.add(intake);
      move.done();
      const held = { file: { ...file, timestamp }, sizeBytes: intake.sizeBytes };
      dispatch({ kind: "arrived", receipt, held, ip, source, attempt });
    } catch (error) {
      const { failure, text } = explainFailure(error);
      const isUnfinished = move.state === "cancelled" || UNFINISHED.has(failure);
      if (this.#intake && isUnfinished) store.suspend(file.fileId, this.#intake);
      else this.#intake?.abort();
      move.failed(`${source} ${text}`);
      dispatch({ kind: "fetch-failed", fileId: file.fileId, source, attempt, failure, text });
    }
  }

  /** Bytes so far. */
  get sizeBytes(): number {
    return this.#intake?.sizeBytes ?? 0;
  }

  write(content: Uint8Array): void {
    this.#intake!.write(content);
    this.move.moved(content.length);
  }

  restart(): void {
    this.#intake!.restart();
    this.move.restart();
  }

  /** Continues what was begun, and if that does not lead to the file, fetches all of it. Throws `NotDelivered`. */
  async #deliver(): Promise<{ readonly timestamp: Timestamp; readonly ip: string }> {
    const { fetch: { file: { fileId }, isRaw }, all: { options: { store } } } = this;
    if (isRaw) this.#intake = await store.resume(fileId);
    const resumedBytes = this.#intake?.sizeBytes ?? 0;
    this.move.resume(resumedBytes);
    if (!this.#intake || resumedBytes === 0) return await this.#request(0);
    try {
      return await this.#request(resumedBytes);
    } catch (error) {
      if (!(error instanceof NotDelivered)) throw error;
      // What came from an earlier source may be wrong, or longer than the file. Nobody is blamed, and nothing is said of
      // this source, until all of it was asked for. What this source sent nothing against stays.
      const begun = this.#intake;
      this.#intake = undefined;
      this.move.restart();
      if (begun.sizeBytes > resumedBytes) {
        begun.abort();
        return await this.#request(0);
      }
      try {
        return await this.#request(0);
      } finally {
        // Content from the beginning takes the place of what did not fit the file.
        if (this.sizeBytes > 0) begun.abort();
        else store.suspend(fileId, begun);
      }
    }
  }

  /** Requests the file from a byte on, and verifies it. Throws `NotDelivered`. */
  async #request(offset: number): Promise<{ readonly timestamp: Timestamp; readonly ip: string }> {
    const { fetch, move, all: { sources, options: { store, limits, ext } } } = this;
    const { file: { fileId }, from, voucher, isRaw } = fetch;
    const { answer, ip } = await sources.ask({
      from,
      voucher,
      isKept: isRaw,
      onConnection: (connection) => {
        move.stop = () => connection.close();
        if (move.state !== "running") throw new NotWanted("It is no longer wanted");
        this.#intake ??= store.intake(undefined, fileId);
      },
      ask: async ({ connection, onAnswering }) => {
        try {
          const rest = { offset, length: TO_THE_END };
          if (isRaw) {
            return await requestRaw(connection, fileId, rest, ext(), this, limits, onAnswering);
          }
          const answer = await requestFile(connection, fileId, ext(), this, limits);
          return { answer, isOpen: false };
        } finally {
          move.stop = () => {}; // the connection may serve another file by then
        }
      },
    });
    if (answer.outcome === "absent") throw absent();
    const told = answer.file ? [...fetch.timestamps, answer.file.timestamp] : fetch.timestamps;
    const timestamp = verified(this.#intake!, fileId, told);
    if (timestamp) return { timestamp, ip };
    throw this.#intake!.sizeBytes === 0 ? absent() : mismatch();
  }
}
