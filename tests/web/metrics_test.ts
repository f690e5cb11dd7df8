// Prometheus metrics, and the health check.

import assert from "node:assert/strict";
import { Metrics } from "../../web/metrics.ts";
import { appOver, transferOf } from "./fixture.ts";

async function scrape(app: ReturnType<typeof appOver>): Promise<string> {
  const response = await app.request("/metrics");
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  return await response.text();
}

Deno.test("metrics cover peers, files, bytes, transfers, messages, and refusals", async () => {
  const status = { unsent: { ANNOUNCE: 2 } };
  const lines = (await scrape(appOver({ status, transfers: [transferOf()] }))).split("\n");
  for (
    const line of [
      "p2p_peers 1",
      "p2p_files_known 3",
      "p2p_files_held 2",
      'p2p_bytes_total{direction="in"} 10',
      'p2p_bytes_total{direction="out"} 20',
      'p2p_transfers{direction="in"} 1',
      'p2p_transfers{direction="out"} 0',
      'p2p_messages_total{type="GOSSIP",outcome="received"} 4',
      'p2p_messages_total{type="GOSSIP_REPLY",outcome="sent"} 5',
      'p2p_messages_total{type="ANNOUNCE",outcome="unsent"} 2',
      'p2p_refused_total{reason="not-json"} 6',
    ]
  ) assert.ok(lines.includes(line), line);
});

Deno.test("durations are histograms: requests by status, transfers by kind and outcome", async () => {
  const metrics = new Metrics();
  metrics.transferred("fetch", "done", 0.3);
  metrics.transferred("fetch", "done", 0.5);
  metrics.transferred("fetch", "failed", 90);
  const app = appOver({ options: { metrics } });
  await (await app.request("/nothing")).body?.cancel();
  await (await app.request("/", { method: "BREW" })).body?.cancel();
  const text = await scrape(app);
  assert.match(text, /^p2p_http_request_seconds_count\{method="GET",status="404"\} 1$/m);
  assert.match(text, /^p2p_http_request_seconds_count\{method="other",status="\d+"\} 1$/m);
  assert.match(text, /^p2p_transfer_seconds_bucket\{le="0\.1",kind="fetch",outcome="done"\} 0$/m);
  assert.match(text, /^p2p_transfer_seconds_bucket\{le="0\.5",kind="fetch",outcome="done"\} 2$/m);
  assert.match(text, /^p2p_transfer_seconds_count\{kind="fetch",outcome="done"\} 2$/m);
  assert.match(text, /^p2p_transfer_seconds_bucket\{le="60",kind="fetch",outcome="failed"\} 0$/m);
  assert.match(
    text,
    /^p2p_transfer_seconds_bucket\{le="\+Inf",kind="fetch",outcome="failed"\} 1$/m,
  );
  assert.match(text, /^p2p_transfer_seconds_sum\{kind="fetch",outcome="failed"\} 90$/m);
});

Deno.test("every line is a comment or a sample, and scraping twice counts nothing twice", async () => {
  const app = appOver();
  await scrape(app);
  const text = await scrape(app);
  for (const line of text.trimEnd().split("\n")) {
    assert.match(line, /^(# (HELP|TYPE) .+|[a-z0-9_]+(\{.*\})? [-+0-9.eInfNa]+|)$/);
  }
  assert.match(text, /^p2p_refused_total\{reason="not-json"\} 6$/m);
});

Deno.test("the health check says that the peer is up", async () => {
  assert.deepEqual(await (await appOver().request("/healthz")).json(), { status: "ok" });
});
