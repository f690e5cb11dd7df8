// Several things at once in one test: none of them outlives the test, also when another one fails, and Deno's
// sanitizers see to it.

/** For every test here. Deno leaves both off by default from some version before 2.9 on. */
export const SANITIZED = { sanitizeOps: true, sanitizeResources: true } as const;

/** `Promise.all` that waits for every one of them also when some fail, so that none outlives its test. */
export async function together<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const outcomes = await Promise.allSettled(work);
  const failed = outcomes.filter((outcome) => outcome.status === "rejected");
  if (failed.length === 1) throw failed[0]!.reason;
  if (failed.length > 1) throw new AggregateError(failed.map(({ reason }) => reason));
  return outcomes.map((outcome) => (outcome as PromiseFulfilledResult<T>).value);
}

/** Does the work for each item, a few at a time; waits for all of it also when some fails. */
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
