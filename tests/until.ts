// Polls for a condition with a deadline. Tests use this instead of sleeping.

/**
 * Resolves to the first truthy value that the probe returns. Probes every 20 ms.
 *
 * @throws Error that names `what` once the deadline passes; errors from the probe are rethrown immediately
 */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = 20_000,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (performance.now() >= deadline) {
      throw new Error(`Waited ${deadlineMs} ms in vain for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
