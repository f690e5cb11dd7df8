// Measures how long requests and transfers take, as they happen. `exposition.ts` turns the results into text.

import type { MiddlewareHandler } from "hono";
import { Durations } from "./durations.ts";
import type { Family } from "./exposition_text.ts";

/** Bucket bounds in seconds, from a small file over loopback to a large one over a slow link. */
const TRANSFER_SECONDS = [0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200];
const REQUEST_SECONDS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10];

const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "DELETE"]);

export class Metrics {
  readonly #requests = new Durations(
    "p2p_http_request_seconds",
    "Time until the response headers were ready, by method and status",
    REQUEST_SECONDS,
  );
  readonly #transfers = new Durations(
    "p2p_transfer_seconds",
    "Duration of ended transfers, by kind and outcome",
    TRANSFER_SECONDS,
  );

  /** Records a transfer that has ended. */
  transferred(kind: string, outcome: string, seconds: number): void {
    this.#transfers.observe({ kind, outcome }, seconds);
  }

  /** Returns middleware that measures every request. `nowMs` must be monotonic. */
  middleware(nowMs: () => number): MiddlewareHandler {
    return async (c, next) => {
      const beganMs = nowMs();
      await next();
      const method = METHODS.has(c.req.method) ? c.req.method : "other";
      this.#requests.observe({ method, status: `${c.res.status}` }, (nowMs() - beganMs) / 1000);
    };
  }

  /** Returns what was measured. */
  histograms(): Family[] {
    return [this.#requests.family(), this.#transfers.family()];
  }
}
