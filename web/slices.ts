// Runs long work in slices: the thread also serves peers, so after each slice everything else gets its turn.

/** Maximum duration of a slice, in milliseconds. Higher: work finishes sooner; lower: others wait less. */
const SLICE_MS = 8;

/** Work that pauses often, at least once per millisecond or so, and returns its result in the end. */
export type Sliced<T> = Generator<void, T, void>;

/** Resolves once everything that was waiting for the thread had its turn. */
export const breath = () => new Promise<void>((go) => setTimeout(go, 0));

/**
 * Resolves to the result of the work. Throws what it throws, or the reason of `signal` if that is aborted meanwhile; the
 * work is then abandoned between two slices.
 */
export async function inSlices<T>(work: Sliced<T>, signal?: AbortSignal): Promise<T> {
  for (;;) {
    signal?.throwIfAborted();
    const untilMs = performance.now() + SLICE_MS;
    do {
      const step = work.next();
      if (step.done) return step.value;
    } while (performance.now() < untilMs);
    await breath();
  }
}
