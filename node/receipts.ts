// Complete, verified content that waits for the state machine's decision, and the keeping of what it decided to keep.
// Invariants: content leaves here once, kept or dropped; small files that are kept in the same moment share a journal
// write.

import type { Effect, HeldFile } from "../protocol/effects.ts";
import type { StoreContent, TransferOptions } from "./transfer_options.ts";

type Keep = Extract<Effect, { kind: "keep" }>;

/** Content in memory that is to be kept. */
interface Small {
  readonly content: StoreContent;
  readonly held: HeldFile;
  readonly source: string | undefined;
}

/** The content that waits. */
export class Receipts {
  readonly #waiting = new Map<
    number,
    { readonly content: StoreContent; readonly isSmall: boolean }
  >();
  #small: Small[] = [];
  #flushing: Promise<void> = Promise.resolve();
  /** Number of contents in memory that are not kept or dropped yet, and who waits for there to be none. */
  #unsettled = 0;
  #onSettled: (() => void)[] = [];
  #serial = 0;

  /** Starts without content. */
  constructor(readonly options: Pick<TransferOptions, "store" | "dispatch">) {}

  /** Takes content in. Returns the number under which it waits. `isSmall`: it is in memory; see `keep`. */
  add(content: StoreContent, isSmall = false): number {
    const receipt = ++this.#serial;
    if (isSmall) this.#unsettled++;
    this.#waiting.set(receipt, { content, isSmall });
    return receipt;
  }

  /**
   * Keeps content. Reports `held` or `keep-failed`. What is in memory is kept together with all else that is decided on
   * without a pause. Never throws.
   */
  async keep({ receipt, held, source }: Keep): Promise<void> {
    const { store, dispatch } = this.options;
    const waiting = this.#take(receipt);
    if (!waiting) return;
    if (waiting.isSmall) {
      this.#small.push({ content: waiting.content, held, source });
      if (this.#small.length === 1) this.#flushing = this.#flushSoon();
      return await this.#flushing;
    }
    const from = source === undefined ? {} : { source };
    try {
      const kept = await store.keep(waiting.content, held);
      const how = source === undefined ? "pushed" : "fetched";
      dispatch({ kind: "held", files: [kept], how, ...from });
    } catch (error) {
      this.#failed(held, source, error);
    }
  }

  /** Resolves when all content in memory is kept or dropped, so that its bytes may be written to. */
  async settled(): Promise<void> {
    if (this.#unsettled > 0) await new Promise<void>((go) => this.#onSettled.push(go));
  }

  #settle(contents: number): void {
    this.#unsettled -= contents;
    if (this.#unsettled > 0) return;
    for (const tell of this.#onSettled.splice(0)) tell();
  }

  async #flushSoon(): Promise<void> {
    await undefined; // the state machine decides on the other files of the same piece first
    const small = this.#small;
    this.#small = [];
    const kept = new Map<string | undefined, HeldFile[]>();
    const outcomes = await this.options.store.keepAll(small).catch((error) =>
      small.map(() => error instanceof Error ? error : new Error(String(error)))
    );
    this.#settle(small.length);
    for (const [i, outcome] of outcomes.entries()) {
      const { held, source } = small[i]!;
      if (outcome instanceof Error) this.#failed(held, source, outcome);
      else kept.set(source, [...kept.get(source) ?? [], outcome]);
    }
    for (const [source, files] of kept) {
      const from = source === undefined ? {} : { source };
      this.options.dispatch({ kind: "held", files, how: "fetched", ...from });
    }
  }

  /** Drops content. */
  drop(receipt: number): void {
    const waiting = this.#take(receipt);
    waiting?.content.abort();
    if (waiting?.isSmall) this.#settle(1);
  }

  /** Drops everything. */
  close(): void {
    for (const { content } of this.#waiting.values()) content.abort();
    const small = [...this.#waiting.values()].filter(({ isSmall }) => isSmall);
    this.#waiting.clear();
    this.#settle(small.length);
  }

  #failed(held: HeldFile, source: string | undefined, error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    const { fileId, name } = held.file;
    const from = source === undefined ? {} : { source };
    this.options.dispatch({ kind: "keep-failed", fileId, fileName: name, text, ...from });
  }

  #take(receipt: number) {
    const waiting = this.#waiting.get(receipt);
    this.#waiting.delete(receipt);
    return waiting;
  }
}
