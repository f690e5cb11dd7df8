// Concurrent work in one test. None of it outlives the test, even if part of it fails; Deno's sanitizers check that.

/** Options for every test here. Some Deno version before 2.9 turned both sanitizers off by default. */
export const SANITIZED = { sanitizeOps: true, sanitizeResources: true } as const;

/** Like `Promise.all`, but waits for every promise even if some reject, so that none outlives its test. */
export async function together<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const outcomes = await Promise.allSettled(work);
  const failed = outcomes.filter((outcome) => outcome.status === "rejected");
  if (failed.length === 1) throw failed[0]!.reason;
  if (failed.length > 1) throw new AggregateError(failed.map(({ reason }) => reason));
  return outcomes.map((outcome) => (outcome as PromiseFulfilledResult<T>).value);
}

/** Runs the work for each item, a few at a time, and waits for all of it even if some fails. */
export async function forEachOf<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
  atOnce = 4,
): Promise<void> {
  const queue = [...items];
  const failures: unknown[] = [];
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      await work(item).catch((error) => failures.push(error));
    }
  }));
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) throw new AggregateError(failures);
}
