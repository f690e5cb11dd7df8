// The signals by which a system asks a program to stop. PURE.

/**
 * Returns the signals that stop the program, and the exit code of each. Windows has no SIGTERM (before Deno 2.8, asking for it
 * throws), but sends SIGBREAK for Ctrl-Break and when a console asks a program to stop.
 */
export function stopSignals(os: string): readonly (readonly [Deno.Signal, number])[] {
  return [["SIGINT", 130], os === "windows" ? ["SIGBREAK", 130] : ["SIGTERM", 0]];
}
