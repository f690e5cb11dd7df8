// A span for each transfer, for OpenTelemetry. Deno itself collects and sends them, if it was told to when this program was started
// from its source, or compiled (findings/deno-compile-decides-about-telemetry.sh); without that, nothing of this is loaded.

import type { Tracer } from "@opentelemetry/api";
import { isInbound, type Transfer } from "../node/transfer_log.ts";

/** Where the API looks for whoever collects. */
const PROVIDER = Symbol.for("opentelemetry.js.api.1");

/**
 * Resolves to what records a transfer that has ended; `undefined` if nobody collects spans. Calls `warn` if the environment asks for
 * traces that this executable cannot send.
 */
export async function spansOfTransfers(
  warn: (text: string) => void,
): Promise<((transfer: Transfer) => void) | undefined> {
  if (!(PROVIDER in globalThis)) {
    if (Deno.build.standalone && Deno.env.get("OTEL_DENO") === "true") warn(NOT_BUILT_IN);
    return undefined;
  }
  const { trace } = await import("@opentelemetry/api");
  const tracer = trace.getTracer("p2p-peer");
  return (transfer) => record(tracer, transfer, Date.now());
}

const NOT_BUILT_IN =
  "OTEL_DENO is set, but this executable was compiled without it, so it sends no traces. Start the peer from its source, or compile it with OTEL_DENO=true";

/** Records one that has ended now, in Unix milliseconds. */
function record(tracer: Tracer, transfer: Transfer, endMs: number): void {
  const { kind, state, why, peer, fileId, name, doneBytes, resumedBytes, totalBytes } = transfer;
  // Its times are monotonic: only how long it took means something outside of this process.
  const startTime = endMs - ((transfer.endedMs ?? transfer.startedMs) - transfer.startedMs);
  const span = tracer.startSpan(`transfer ${kind}`, {
    kind: isInbound(transfer) ? CLIENT : SERVER,
    startTime,
    attributes: {
      "p2p.transfer.kind": kind,
      "p2p.transfer.outcome": state,
      "p2p.peer": peer,
      "p2p.file.name": name,
      "p2p.bytes": doneBytes - resumedBytes,
      ...fileId === "" ? {} : { "p2p.file.id": fileId },
      ...resumedBytes === 0 ? {} : { "p2p.bytes.resumed": resumedBytes },
      ...totalBytes === undefined ? {} : { "p2p.file.size": totalBytes },
      ...transfer.sources.length === 0
        ? {}
        : { "p2p.sources": transfer.sources.map((source) => source.peer) },
    },
  });
  // A person who cancels is no error.
  if (state === "failed") span.setStatus({ code: ERROR, message: why ?? "" });
  span.end(endMs);
}

/** `SpanKind` and `SpanStatusCode` of the API, which is loaded only if somebody collects. */
const SERVER = 1, CLIENT = 2, ERROR = 2;
