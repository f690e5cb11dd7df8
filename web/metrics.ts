// Figures for Prometheus: counted where they come about, read off the view when they are asked for.

import type { Context, MiddlewareHandler } from "hono";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Env } from "./login.ts";
import type { View } from "./view.ts";

/** From a small file on loopback to a large one on a slow line. */
const TRANSFER_SECONDS = [0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200];
const REQUEST_SECONDS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10];

export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = new Histogram({
    name: "p2p_http_request_seconds",
    help: "Time until the head of an answer, by method and status",
    labelNames: ["method", "status"],
    buckets: REQUEST_SECONDS,
    registers: [this.#registry],
  });
  readonly #transfers = new Histogram({
    name: "p2p_transfer_seconds",
    help: "Time of a transfer that ended, by kind and outcome",
    labelNames: ["kind", "outcome"],
    buckets: TRANSFER_SECONDS,
    registers: [this.#registry],
  });

  /** A transfer ended. */
  transferred(kind: string, outcome: string, seconds: number): void {
    this.#transfers.observe({ kind, outcome }, seconds);
  }

  /** Measures every request; `nowMs` is monotonic. */
  middleware(nowMs: () => number): MiddlewareHandler {
    return async (c, next) => {
      const beganMs = nowMs();
      await next();
      const method = ["GET", "HEAD", "POST", "PUT", "DELETE"].includes(c.req.method)
        ? c.req.method
        : "other";
      this.#requests.observe({ method, status: c.res.status }, (nowMs() - beganMs) / 1000);
    };
  }

  /** The text, with what the view says at this moment. */
  async text(view: View): Promise<{ text: string; type: string }> {
    const registry = Registry.merge([this.#registry, registryOf(view)]);
    return { text: await registry.metrics(), type: registry.contentType };
  }
}

function registryOf(view: View): Registry {
  const registry = new Registry();
  const registers = [registry];
  const status = view.status();
  const gauge = (name: string, help: string, value: number) =>
    new Gauge({ name: `p2p_${name}`, help, registers }).set(value);
  const counter = (
    name: string,
    help: string,
    label: string,
    counts: Readonly<Record<string, number>>,
  ) => {
    const metric = new Counter({ name: `p2p_${name}_total`, help, labelNames: [label], registers });
    for (const [key, n] of Object.entries(counts)) metric.inc({ [label]: key }, n);
  };
  gauge("peers", "Peers that are alive", status.peers);
  gauge("files_known", "Files known, here or elsewhere", status.files.known);
  gauge("files_held", "Files here, verified", status.files.held);
  gauge("files_held_bytes", "Bytes of them", status.files.heldBytes);
  gauge("free_bytes", "Bytes that may still be written", Math.max(0, status.freeBytes));
  gauge("synchronized", "1 when the first lists are here", status.synchronized ? 1 : 0);
  gauge("uptime_seconds", "Time since the start", status.uptimeSeconds);
  gauge("memory_bytes", "Resident memory of the process", status.memoryBytes);
  const running = view.transfers().filter(({ state }) => state === "running");
  const transfers = new Gauge({
    name: "p2p_transfers",
    help: "Transfers under way",
    labelNames: ["direction"],
    registers,
  });
  for (const direction of ["in", "out"] as const) {
    transfers.set({ direction }, running.filter((each) => each.direction === direction).length);
  }
  counter("bytes", "Bytes of content", "direction", status.bytes);
  const messages = new Counter({
    name: "p2p_messages_total",
    help: "Messages by type and outcome",
    labelNames: ["type", "outcome"],
    registers,
  });
  for (const outcome of ["received", "sent", "unsent"] as const) {
    for (const [type, n] of Object.entries(status[outcome])) messages.inc({ type, outcome }, n);
  }
  counter("refused", "What was refused, by reason", "reason", status.refused);
  return registry;
}

/** `/metrics`. */
export async function serveMetrics(
  c: Context<Env>,
  metrics: Metrics,
  view: View,
): Promise<Response> {
  const { text, type } = await metrics.text(view);
  return c.body(text, 200, { "content-type": type });
}
