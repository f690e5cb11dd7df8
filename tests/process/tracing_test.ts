// Spans of transfers, as a collector receives them, and a collector that never answers.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Folder } from "./folder.ts";
import { Program } from "./program.ts";
import { SANITIZED } from "./together.ts";

interface Span {
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly {
    readonly key: string;
    readonly value: Readonly<Record<string, unknown>>;
  }[];
}

/** Collects spans by OTLP over HTTP, in JSON. */
class Collector implements AsyncDisposable {
  readonly spans: Span[] = [];
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const body = await request.json();
      for (const { scopeSpans } of body.resourceSpans ?? []) {
        for (const { scope, spans } of scopeSpans) {
          if (scope.name === "p2p-peer") {
            this.spans.push(...spans);
          }
        }
      }
      return Response.json({});
    },
  );

  get env(): Record<string, string> {
    return envFor(this.#server.addr.port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

const envFor = (port: number) => ({
  OTEL_DENO: "true",
  OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
  OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
  OTEL_EXPORTER_OTLP_TIMEOUT: "1000",
  OTEL_BSP_SCHEDULE_DELAY: "100",
});

const ALONE = ["--no-bootstrap", "--no-repl", "--min-free", "0", "--web-auth", "off"];

/** Compiled without it, a program sends none, whatever the environment says. */
const isCompiled = Deno.env.get("P2P_TEST_EXECUTABLE") !== undefined;

Deno.test(
  "each transfer is a span, with its peer and bytes",
  { ...SANITIZED, ignore: isCompiled },
  async () => {
    await using collector = await Promise.resolve(new Collector());
    await using folder = await Folder.make();
    await using program = await Program.peer("ann", ALONE, {
      cwd: folder.path,
      env: collector.env,
    });
    const api = `http://127.0.0.1:${program.httpPort}/api/v1/files`;
    const answer = await fetch(`${api}/by-name/a.txt`, { method: "PUT", body: "twelve bytes" });
    const { files: [{ file_id }] } = await answer.json();
    await (await fetch(`${api}/${file_id}/content`)).bytes();
    await program.until("two spans", () => collector.spans.length >= 2);
    const spans = collector.spans.map(({ name, attributes, ...times }) => {
      ok(BigInt(times.startTimeUnixNano) <= BigInt(times.endTimeUnixNano));
      return [
        name,
        Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]])),
      ] as const;
    });
    const download = spans.find(([name]) => name === "transfer download")?.[1];
    deepStrictEqual(download, {
      "p2p.transfer.kind": "download",
      "p2p.transfer.outcome": "done",
      "p2p.peer": "127.0.0.1",
      "p2p.file.name": "a.txt",
      "p2p.bytes": 12,
      "p2p.file.id": file_id,
      "p2p.file.size": 12,
    });
    strictEqual(spans.find(([name]) => name === "transfer upload")?.[1]["p2p.bytes"], 12);
  },
);

Deno.test(
  "a collector that never answers does not keep the peer from stopping",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using program = await Program.peer("ann", ALONE, {
      cwd: folder.path,
      env: envFor(silent.addr.port),
    });
    await (await fetch(`http://127.0.0.1:${program.httpPort}/healthz`)).body?.cancel();
    strictEqual(await program.stop(), 0);
  },
);

Deno.test(
  "an executable that cannot send traces says so where somebody expects them",
  { ...SANITIZED, ignore: !isCompiled },
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("ann", ALONE, { cwd: folder.path, env: envFor(9) });
    await program.waitForLine(/OTEL_DENO is set, but this executable was compiled without it/);
  },
);
