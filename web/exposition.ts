// What `/metrics` shows: counted histograms plus the view's current values. promtool checks the result in the tests.

import type { Context } from "hono";
import type { Env } from "./env.ts";
import { type Family, type Kind, type Sample, textOf } from "./exposition_text.ts";
import type { Metrics } from "./metrics.ts";
import type { View } from "./view.ts";

/** Serves `/metrics`. */
export function serveMetrics(c: Context<Env>, metrics: Metrics, view: View): Response {
  const families = [...metrics.histograms(), ...familiesOf(view)];
  return c.body(families.map(textOf).join(""), 200, {
    "content-type": "text/plain; version=0.0.4; charset=utf-8",
  });
}

const family = (
  kind: Kind,
  name: string,
  help: string,
  samples: readonly Sample[],
): Family => ({ name: `p2p_${name}`, kind, help, samples: samples.map((each) => ["", ...each]) });

const gauge = (name: string, help: string, value: number) =>
  family("gauge", name, help, [[{}, value]]);

/** Returns a counter for each key of `counts`, which is the value of a label. */
const counter = (
  name: string,
  help: string,
  label: string,
  counts: Readonly<Record<string, number>>,
) =>
  family(
    "counter",
    `${name}_total`,
    help,
    Object.entries(counts).map(([key, n]) => [{ [label]: key }, n]),
  );

function familiesOf(view: View): Family[] {
  const status = view.status();
  const { files, indexing, longestBlockMs } = status;
  const running = view.transfers().filter(({ state }) => state === "running");
  const outcomes = ["received", "sent", "unsent"] as const;
  const help = {
    block: "Longest time that the event loop was busy while the folder was indexed",
    indexing: "Files in the folder that are not indexed yet",
    overload: "What was refused, forgotten or delayed because of a limit, by reason",
  };
  return [
    family("gauge", "build_info", "Version of the program", [[{ version: status.version }, 1]]),
    gauge("peers", "Live peers", status.peers),
    gauge("files_known", "Files known, here or elsewhere", files.known),
    gauge("files_held", "Verified files held here", files.held),
    gauge("files_held_bytes", "Total size of the files held here", files.heldBytes),
    gauge("free_bytes", "Bytes that may still be written", Math.max(0, status.freeBytes)),
    gauge("synchronized", "1 once the first lists have arrived", status.synchronized ? 1 : 0),
    gauge("uptime_seconds", "Time since the peer started", status.uptimeSeconds),
    gauge("memory_bytes", "Resident memory of the process", status.memoryBytes),
    ...longestBlockMs === undefined
      ? []
      : [gauge("longest_block_seconds", help.block, longestBlockMs / 1000)],
    ...indexing
      ? [gauge("indexing_files", help.indexing, indexing.totalFiles - indexing.files)]
      : [],
    family(
      "gauge",
      "transfers",
      "Running transfers",
      ["in", "out"].map((direction) => [
        { direction },
        running.filter((each) => each.direction === direction).length,
      ]),
    ),
    counter("bytes", "Bytes of content transferred", "direction", status.bytes),
    family(
      "counter",
      "messages_total",
      "Messages by type and outcome",
      outcomes.flatMap((outcome) =>
        Object.entries(status[outcome]).map(([type, n]): Sample => [{ type, outcome }, n])
      ),
    ),
    counter("refused", "Refusals, by reason", "reason", status.refused),
    counter(
      "overload",
      help.overload,
      "reason",
      Object.fromEntries(status.overloads.map(({ reason, times }) => [reason, times])),
    ),
  ];
}
