// What to do about a bootstrap that does not answer, judging by what a dial to it said. PURE.

/** Returns what to do, as a sentence without a final period. `text`: why it does not answer. */
export function bootstrapHint(text: string): string {
  if (/refuses connections/.test(text)) {
    return "No peer runs there now; it is tried again, or add another peer";
  }
  if (/is not a known name/.test(text)) {
    return "Check the spelling, and whether this network resolves names";
  }
  if (/accepts connections/.test(text)) return "It is tried again";
  return "The machine is off, or a firewall drops connections to it; it is tried again";
}
