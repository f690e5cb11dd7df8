// The transfers of one peer: what is fetched, pushed to us, served and copied, and what they share.
// No rules here: the state machine in protocol/ decides what is fetched from whom and what is kept.

import { Batches } from "./batches.ts";
import { Fetching } from "./fetching.ts";
import { Pushes } from "./pushes.ts";
import { Receipts } from "./receipts.ts";
import { Sending } from "./sending.ts";
import { Sources } from "./sources.ts";
import type { Input } from "../protocol/effects.ts";
import type { TransferOptions } from "./transfer_options.ts";

/** The transfers of one peer. */
export class Transfers {
  /** Complete content that waits for a decision. */
  readonly receipts: Receipts;
  /** Files fetched one by one. */
  readonly fetching: Fetching;
  /** Small files fetched many at a time. */
  readonly batches: Batches;
  /** Content that others push here. */
  readonly pushes: Pushes;
  /** Files served and copied. */
  readonly sending: Sending;
  readonly #sources: Sources;

  /** Starts without transfers. */
  constructor(given: TransferOptions) {
    // Whoever passes on an answer may have changed it, so that its source is not to blame.
    const dispatch = (input: Input) => {
      const isFailure = input.kind === "fetch-failed" || input.kind === "source-failed";
      const isPassedOn = isFailure && sources.isPassedOn(input.source);
      given.dispatch(isPassedOn ? { ...input, isPassedOn } : input);
    };
    const options = { ...given, dispatch };
    const receipts = this.receipts = new Receipts(options);
    const sources = this.#sources = new Sources(options);
    this.fetching = new Fetching(options, sources, receipts);
    this.batches = new Batches(options, sources, receipts);
    this.pushes = new Pushes(options, receipts);
    this.sending = new Sending(options, (fileId) => this.fetching.partOf(fileId));
  }

  /** Ends an attempt that nobody wants any longer. Does nothing if it has ended. `text` is the reason, for people. */
  stopFetch(attempt: number, text: string): void {
    if (!this.fetching.stop(attempt, text)) this.batches.stop(attempt, text);
  }

  /** Frees a file descriptor that is kept only to save time. Returns false if there is none. */
  relieve(): boolean {
    return this.#sources.relieve();
  }

  /** Abandons transfers in progress and content that waits. For shutdown. */
  close(): void {
    this.#sources.close();
    this.sending.close();
    this.receipts.close();
  }
}
