// Histograms of durations, by labels. They need only a few numbers in memory, however much they count.

type Labels = Readonly<Record<string, string>>;

/** A histogram in the form prom-client passes between processes. */
export interface HistogramValues {
  readonly name: string;
  readonly help: string;
  readonly type: "histogram";
  readonly aggregator: "sum";
  readonly values: readonly {
    readonly metricName: string;
    readonly labels: Labels;
    readonly value: number;
  }[];
}

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

  values(): HistogramValues {
    const { name, help } = this;
    const values = [...this.#rows.values()].flatMap((row) => this.#valuesOf(row));
    return { name, help, type: "histogram", aggregator: "sum", values };
  }

  /** Prometheus buckets are cumulative: each counts everything up to its bound. */
  #valuesOf({ labels, counts, seconds }: Row): HistogramValues["values"] {
    let upTo = 0;
    const buckets = [...this.bounds, "+Inf"].map((le, i) => ({
      metricName: `${this.name}_bucket`,
      labels: { le: `${le}`, ...labels },
      value: upTo += counts[i]!,
    }));
    return [
      ...buckets,
      { metricName: `${this.name}_sum`, labels, value: seconds },
      { metricName: `${this.name}_count`, labels, value: upTo },
    ];
  }
}
