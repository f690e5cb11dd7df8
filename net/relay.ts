// Passes on what arrives on one connection to another, both ways, without looking at it.
// Invariants: what is in memory is one buffer each way; both connections are closed at the end; a side that has finished sending
// is told so on the other, so that answers that are read to their end have one.

import { RECEIVING } from "./buffers.ts";
import type { Connection } from "./connection.ts";
import type { Throttle } from "./throttle.ts";

/** How to pass on. */
export interface RelayOptions {
  /** How long both sides may be silent, and how long one may take nothing, in milliseconds. */
  readonly idleMs: number;
  /** Limits that all hold for what is passed on. */
  readonly throttles: readonly Throttle[];
  /** Called with the number of bytes of each piece. */
  readonly onMoved: (bytes: number) => void;
}

/** Passes on between two connections until both have finished, or one fails. Closes both. Never throws. */
export async function relay(a: Connection, b: Connection, options: RelayOptions): Promise<void> {
  const { idleMs } = options;
  let movedMs = performance.now();
  const onMoved = (bytes: number) => {
    movedMs = performance.now();
    options.onMoved(bytes);
  };
  // While one side sends a large file, the other is silent: only both together may not be.
  const watch = setInterval(() => {
    if (performance.now() - movedMs < idleMs) return;
    a.giveUp();
    b.giveUp();
  }, idleMs / 4);
  const noted = { ...options, onMoved };
  await Promise.all([pass(a, b, noted), pass(b, a, noted)]);
  clearInterval(watch);
  a.close();
  b.close();
}

async function pass(
  from: Connection,
  to: Connection,
  { idleMs, throttles, onMoved }: RelayOptions,
): Promise<void> {
  const buffer = RECEIVING.take(RECEIVING.sizeBytes);
  try {
    for (;;) {
      const pieceBytes = throttles.reduce((bytes, each) => each.pieceOf(bytes), buffer.length);
      const piece = buffer.subarray(0, pieceBytes);
      const read = await from.read(piece, FOREVER_MS);
      if (read === null) break;
      onMoved(0);
      for (const throttle of throttles) await throttle.take(read);
      await to.writeContent(piece.subarray(0, read), idleMs);
      onMoved(read);
    }
    await to.closeWrite();
    RECEIVING.give(buffer);
  } catch {
    // One side is gone, or took too long: the other one must not take what it got for everything.
    from.close();
    to.close();
  }
}

/** The longest that a timer can wait, in milliseconds. */
const FOREVER_MS = 2 ** 31 - 1;
