// Single files that are fetched: raw, from several sources and continued where an earlier attempt stopped (download.ts), or
// in hex from one source, from the beginning.
// No rules here: the state machine decides what is fetched from whom. This file carries that out, verifies content, and
// reports what happened.
// Invariants: every attempt is reported once; content is reported as arrived only if it verifies.

import type { Effect, FetchFailure } from "../protocol/effects.ts";
import { type AnswerSink, requestFile } from "../net/exchange.ts";
import { Download } from "./download.ts";
import { absent, explainFailure, mismatch } from "./failures.ts";
import type { Receipts } from "./receipts.ts";
import type { Part } from "./sending.ts";
import { NotWanted, type Sources } from "./sources.ts";
import type { Move } from "./transfer_log.ts";
import { type StoreIntake, type TransferOptions, verified } from "./transfer_options.ts";

type Fetch = Extract<Effect, { kind: "fetch" }>;
type FetchAlso = Extract<Effect, { kind: "fetch-also" }>;

/** Failures that say nothing against what has arrived so far. */
const UNFINISHED: ReadonlySet<FetchFailure> = new Set(["cut-short", "too-slow", "unreachable"]);

/** The fetches of single files. */
export class Fetching {
  /** Fetches in progress, by attempt. */
  readonly #attempts = new Map<number, { readonly move: Move; download?: Download }>();
  /** Raw downloads in progress, by file id. */
  readonly #downloads = new Map<string, Download>();

  /** Starts without fetches. */
  constructor(
    readonly options: TransferOptions,
    readonly sources: Sources,
    readonly receipts: Receipts,
  ) {}

  /** Fetches one file. Reports `arrived` or `fetch-failed` in the end. Never throws. */
  async fetch(fetch: Fetch): Promise<void> {
    const { attempt, file: { fileId, name, sizeBytes }, source } = fetch;
    const beginning = { kind: "fetch", fileId, name, peer: source, totalBytes: sizeBytes } as const;
    const move = this.options.transferLog.begin(beginning);
    const running: { readonly move: Move; download?: Download } = { move };
    this.#attempts.set(attempt, running);
    try {
      if (fetch.isRaw) {
        const download = running.download = new Download(this, fetch, move);
        this.#downloads.set(fileId, download);
        const isOver = await download.run();
        if (this.#downloads.get(fileId) === download) this.#downloads.delete(fileId);
        delete running.download;
        if (isOver) return;
      }
      await this.#fetchHex(fetch, move);
    } finally {
      this.#attempts.delete(attempt);
    }
  }

  /** Lets a further source deliver parts of a file that is being fetched. */
  also({ attempt, source, ...address }: FetchAlso): void {
    this.#attempts.get(attempt)?.download?.add(source, address);
  }

  /** Returns what is here of a file that is being fetched raw. */
  partOf(fileId: string): Part | undefined {
    return this.#downloads.get(fileId)?.part;
  }

  /** Ends an attempt that nobody wants any longer. Returns false if it is not here. */
  stop(attempt: number, text: string): boolean {
    const move = this.#attempts.get(attempt)?.move;
    move?.ended(text);
    move?.stop();
    return move !== undefined;
  }

  /** Fetches a file in hex, from the beginning. Reports `arrived` or `fetch-failed`. */
  async #fetchHex(fetch: Fetch, move: Move): Promise<void> {
    const { receipts, sources, options: { store, dispatch, limits, ext } } = this;
    const { attempt, file, timestamps, source, from, voucher, maxBytes } = fetch;
    let intake: StoreIntake | undefined;
    try {
      const { answer, ip } = await sources.ask({
        source,
        from,
        voucher,
        isKept: false,
        onConnection: (connection) => {
          move.stop = () => connection.close();
          if (move.state !== "running") throw new NotWanted("It is no longer wanted");
        },
        ask: async ({ connection }) => {
          const taken = intake = store.intake(maxBytes, file.fileId);
          const sink = counted(taken, move);
          const answer = await requestFile(connection, file.fileId, ext(), sink, limits);
          return { answer: { ...answer, taken }, isOpen: false };
        },
      });
      if (answer.outcome === "absent") throw absent();
      const { taken } = answer;
      const told = answer.file ? [...timestamps, answer.file.timestamp] : timestamps;
      const timestamp = verified(taken, file.fileId, told);
      if (!timestamp) throw taken.sizeBytes === 0 ? absent() : mismatch();
      const receipt = receipts.add(taken);
      move.done();
      const held = { file: { ...file, timestamp }, sizeBytes: taken.sizeBytes };
      dispatch({ kind: "arrived", receipt, held, ip, source, attempt });
    } catch (error) {
      const { failure, text } = explainFailure(error);
      const isUnfinished = move.state === "cancelled" || UNFINISHED.has(failure);
      if (intake && isUnfinished) store.suspend(file.fileId, intake);
      else intake?.abort();
      move.failed(`${source} ${text}`);
      dispatch({ kind: "fetch-failed", fileId: file.fileId, source, attempt, failure, text });
    }
  }
}

function counted(intake: StoreIntake, move: Move): AnswerSink {
  return {
    write: (content) => {
      intake.write(content);
      move.moved(content.length);
    },
    restart: () => {
      intake.restart();
      move.restart();
    },
  };
}
