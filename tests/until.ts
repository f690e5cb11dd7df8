// Waiting for a condition with a deadline: what tests do instead of sleeping.

/**
 * Waits for a truthy value by asking every 20 ms.
 *
 * @throws Error that names `what` at the deadline; whatever the probe throws, at once
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
