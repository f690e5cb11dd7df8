// Prometheus metrics, and the health check.

import assert from "node:assert/strict";
import { textOf } from "../../web/exposition_text.ts";
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

/** Returns a scrape in which every family has samples. */
async function everything(): Promise<string> {
  const metrics = new Metrics();
  metrics.transferred("fetch", "done", 0.3);
  const indexing = { files: 1, totalFiles: 3, bytes: 1, totalBytes: 2, seconds: 1 };
  const overloads = [{ reason: "peers-replaced", text: "", times: 2, option: undefined }];
  const status = { unsent: { ANNOUNCE: 2 }, longestBlockMs: 12, indexing, overloads };
  const app = appOver({ status: status as never, transfers: [transferOf()], options: { metrics } });
  await scrape(app);
  return await scrape(app);
}

/** Runs promtool with this input. Resolves to what it complains about; `undefined` if it is not installed. */
async function promtool(args: readonly string[], input: string): Promise<string | undefined> {
  try {
    const child = new Deno.Command("promtool", {
      args: [...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
    const { code, stdout, stderr } = await child.output();
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    return code === 0 && args[1] === "rules"
      ? ""
      : `${code === 0 ? "" : `exit code ${code}: `}${text}`;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.warn("    skipped: promtool is not installed");
  }
}

Deno.test("promtool finds nothing wrong with the metrics", async () => {
  const text = await everything();
  for (const name of ["indexing_files", "longest_block_seconds", "overload_total"]) {
    assert.match(text, new RegExp(`^p2p_${name}\\b`, "m"));
  }
  assert.equal(await promtool(["check", "metrics"], text) ?? "", "");
});

Deno.test("what a label says cannot end its line or its quotes", () => {
  const text = textOf({
    name: "a_total",
    kind: "counter",
    help: "Line\none \\ two",
    samples: [["", { x: 'b"\n\\c 1' }, 2]],
  });
  assert.equal(
    text,
    '# HELP a_total Line\\none \\\\ two\n# TYPE a_total counter\na_total{x="b\\"\\n\\\\c 1"} 2\n',
  );
});

Deno.test("every query of the Grafana dashboard is valid, and asks for metrics that there are", async () => {
  const { panels } = JSON.parse(
    await Deno.readTextFile(new URL("../../docs/grafana.json", import.meta.url)),
  );
  const queries: string[] = panels.flatMap(({ targets }: { targets: { expr: string }[] }) =>
    targets.map(({ expr }) => expr)
  );
  assert.ok(queries.length > 10);
  const text = await everything();
  const asked = new Set(queries.flatMap((query) => query.match(/\bp2p_\w+/g) ?? []));
  for (const name of asked) assert.match(text, new RegExp(`^${name}[ {]`, "m"), name);
  const labels = new Set(
    queries.flatMap((query) =>
      [...query.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(", "))
    ),
  );
  for (const label of labels) assert.match(text, new RegExp(`[{,]${label}="`), label);
  const rules = queries.map((query, i) => ({
    record: `query${i}`,
    expr: query.replaceAll("$__rate_interval", "5m"),
  }));
  // (JSON is YAML.)
  assert.equal(
    await promtool(
      ["check", "rules", "/dev/stdin"],
      JSON.stringify({ groups: [{ name: "dashboard", rules }] }),
    ) ?? "",
    "",
  );
});
