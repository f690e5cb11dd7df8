// The Prometheus exposition: counted histograms plus the view's current values.

import type { Context } from "hono";
import {
  AggregatorRegistry,
  Counter,
  Gauge,
  type PrometheusContentType,
  Registry,
} from "prom-client";
import type { Env } from "./env.ts";
import type { Metrics } from "./metrics.ts";
import type { View } from "./view.ts";

/** Serves `/metrics`. */
export async function serveMetrics(
  c: Context<Env>,
  metrics: Metrics,
  view: View,
): Promise<Response> {
  const counted = AggregatorRegistry.aggregate<PrometheusContentType>([metrics.histograms()]);
  const registry = Registry.merge([counted, registryOf(view)]);
  return c.body(await registry.metrics(), 200, { "content-type": registry.contentType });
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
  gauge("peers", "Live peers", status.peers);
  gauge("files_known", "Files known, here or elsewhere", status.files.known);
  gauge("files_held", "Verified files held here", status.files.held);
  gauge("files_held_bytes", "Total size of the files held here", status.files.heldBytes);
  gauge("free_bytes", "Bytes that may still be written", Math.max(0, status.freeBytes));
  gauge("synchronized", "1 once the first lists have arrived", status.synchronized ? 1 : 0);
  gauge("uptime_seconds", "Time since the peer started", status.uptimeSeconds);
  gauge("memory_bytes", "Resident memory of the process", status.memoryBytes);
  if (status.longestBlockMs !== undefined) {
    const help = "Longest time that the event loop was busy while the folder was indexed";
    gauge("longest_block_seconds", help, status.longestBlockMs / 1000);
  }
  if (status.indexing) {
    const { files, totalFiles } = status.indexing;
    gauge("indexing_files", "Files in the folder that are not indexed yet", totalFiles - files);
  }
  const running = view.transfers().filter(({ state }) => state === "running");
  const transfers = new Gauge({
    name: "p2p_transfers",
    help: "Running transfers",
    labelNames: ["direction"],
    registers,
  });
  for (const direction of ["in", "out"] as const) {
    transfers.set({ direction }, running.filter((each) => each.direction === direction).length);
  }
  counter("bytes", "Bytes of content transferred", "direction", status.bytes);
  const messages = new Counter({
    name: "p2p_messages_total",
    help: "Messages by type and outcome",
    labelNames: ["type", "outcome"],
    registers,
  });
  for (const outcome of ["received", "sent", "unsent"] as const) {
    for (const [type, n] of Object.entries(status[outcome])) messages.inc({ type, outcome }, n);
  }
  counter("refused", "Refusals, by reason", "reason", status.refused);
  counter(
    "overload",
    "What was refused, forgotten or delayed because of a limit, by reason",
    "reason",
    Object.fromEntries(status.overloads.map(({ reason, times }) => [reason, times])),
  );
  return registry;
}
