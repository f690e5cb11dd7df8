// The Prometheus exposition as text (format 0.0.4). CONTRIBUTING.md says what the client library would cost instead. PURE.

/** What a family counts or shows. */
export type Kind = "counter" | "gauge" | "histogram";

/** Labels of a sample, and its value. */
export type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

/** A family of samples with one name. */
export interface Family {
  readonly name: string;
  readonly kind: Kind;
  /** One sentence without a period. */
  readonly help: string;
  /** By the suffix of the name: "" except in histograms. */
  readonly samples: readonly (readonly [suffix: string, ...Sample])[];
}

/** Returns a family as text. */
export function textOf({ name, kind, help, samples }: Family): string {
  const lines = samples.map(([suffix, labels, value]) => {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text, true)}"`);
    const braces = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
    return `${name}${suffix}${braces} ${value}\n`;
  });
  return `# HELP ${name} ${escaped(help, false)}\n# TYPE ${name} ${kind}\n${lines.join("")}`;
}

/** Escapes what would end a line, or a value in quotes. */
function escaped(text: string, isQuoted: boolean): string {
  const safe = text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return isQuoted ? safe.replaceAll('"', '\\"') : safe;
}
