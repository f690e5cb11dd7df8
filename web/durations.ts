// Histograms of durations, by labels. They need only a few numbers in memory, however much they count.

import type { Family } from "./exposition_text.ts";

type Labels = Readonly<Record<string, string>>;

interface Row {
  readonly labels: Labels;
  /** Count in each bucket, not cumulative; the last is for durations above every bound. */
  readonly counts: number[];
  seconds: number;
}

export class Durations {
  readonly #rows = new Map<string, Row>();

  /** `bounds` are in seconds, ascending. */
  constructor(
    readonly name: string,
    readonly help: string,
    readonly bounds: readonly number[],
  ) {}

  /** Counts a duration. Labels must come from a small set of values and be in the same order each time. */
  observe(labels: Labels, seconds: number): void {
    const key = Object.values(labels).join("\n");
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = { labels, counts: new Array(this.bounds.length + 1).fill(0), seconds: 0 };
      this.#rows.set(key, row);
    }
    const bucket = this.bounds.findIndex((bound) => seconds <= bound);
    row.counts[bucket === -1 ? this.bounds.length : bucket]! += 1;
    row.seconds += seconds;
  }

  /** Returns what was counted. */
  family(): Family {
    const { name, help } = this;
    const samples = [...this.#rows.values()].flatMap((row) => this.#samplesOf(row));
    return { name, kind: "histogram", help, samples };
  }

  /** Prometheus buckets are cumulative: each counts everything up to its bound. */
  #samplesOf({ labels, counts, seconds }: Row): Family["samples"] {
    let upTo = 0;
    const buckets = [...this.bounds, "+Inf"].map((le, i) =>
      ["_bucket", { le: `${le}`, ...labels }, upTo += counts[i]!] as const
    );
    return [...buckets, ["_sum", labels, seconds], ["_count", labels, upTo]];
  }
}
