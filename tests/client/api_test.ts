// Requests to a peer: what becomes of answers that are no success, and of peers that are not there.

import { deepStrictEqual, ok, rejects } from "node:assert/strict";
import { CommandError, type Failure } from "../../cli/failures.ts";
import { Api } from "../../client/api.ts";

type Answer = () => Response | Promise<Response>;

/** A peer that answers one path. */
class FakePeer implements AsyncDisposable {
  readonly requests: { readonly path: string; readonly authorization: string | null }[] = [];
  readonly server: Deno.HttpServer<Deno.NetAddr>;
  readonly api: Api;

  constructor(answer: Answer, token?: string) {
    this.server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
      const { url, headers } = request;
      this.requests.push({
        path: new URL(url).pathname,
        authorization: headers.get("authorization"),
      });
      return answer();
    });
    this.api = new Api({ url: this.url, token, dir: undefined });
  }

  get url(): string {
    return `http://127.0.0.1:${this.server.addr.port}/base`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.api.close();
    await this.server.shutdown();
  }
}

const problem = (status: number, more: object) => () =>
  Response.json({ title: "x", status, ...more }, { status });

const failing = async (act: Promise<unknown>, kind: Failure, message: RegExp) =>
  await rejects(act, (error) => {
    ok(error instanceof CommandError, String(error));
    deepStrictEqual([error.kind, message.test(error.message)], [kind, true], error.message);
    return true;
  });

Deno.test("requests go to the API below the address, with the token", async () => {
  await using peer = new FakePeer(() => Response.json({ peers: 3 }), "secret");
  deepStrictEqual(await peer.api.json("/status"), { peers: 3 });
  deepStrictEqual(peer.requests, [{
    path: "/base/api/v1/status",
    authorization: "Bearer secret",
  }]);
});

Deno.test("a refusal is told in the peer's words, without hints for programs, and in safe ones", async () => {
  const table: [Answer, Failure, RegExp][] = [
    [
      problem(404, { detail: "No file", hint: '"list" shows them' }),
      "not-found",
      /^No file. "list" shows them$/,
    ],
    [
      problem(409, {
        detail: "Nobody has it",
        hint: "Try again; GET /api/v1/x says more",
        kind: "unreachable",
      }),
      "unreachable",
      /^Nobody has it. Try again$/,
    ],
    [
      problem(409, { detail: "Wrong", hint: "GET /api/v1/x", kind: "integrity" }),
      "integrity",
      /^Wrong$/,
    ],
    [problem(409, { detail: "Not now", hint: "", kind: "toString" }), "refused", /^Not now$/],
    [problem(507, { detail: "Full", hint: "Delete" }), "storage", /^Full. Delete$/],
    [problem(503, { detail: "Busy", hint: "Wait" }), "unreachable", /Busy/],
    [problem(500, { detail: "Bug", hint: "" }), "unexpected", /Bug/],
    [problem(409, { detail: "a\x1b[31mb", hint: "" }), "refused", /^a\\u\{1b\}\[31mb$/],
    [() => new Response("<html>", { status: 418 }), "unexpected", /status 418/],
    [
      problem(401, { detail: "Login" }),
      "refused",
      /asks for a login. Give --token or P2P_PEER_TOKEN/,
    ],
  ];
  for (const [answer, kind, message] of table) {
    await using peer = new FakePeer(answer);
    await failing(peer.api.json("/x"), kind, message);
  }
});

Deno.test("an answer that ends early is no answer, and long lists are read line by line", async () => {
  const lines = (last: "close" | "error") => () =>
    new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode('{"a":1}\n{"a":'));
          controller.enqueue(new TextEncoder().encode("2}\n"));
          if (last === "close") controller.close();
          else controller.error(new Error("gone"));
        },
      }),
    );
  {
    await using peer = new FakePeer(lines("close"));
    deepStrictEqual(await Array.fromAsync(peer.api.rows("/x")), [{ a: 1 }, { a: 2 }]);
  }
  await using peer = new FakePeer(lines("error"));
  await failing(Array.fromAsync(peer.api.rows("/x")), "unreachable", /ended early/);
});

Deno.test("a peer that is not there is told from one that refuses", async () => {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const url = `http://127.0.0.1:${listener.addr.port}`;
  listener.close();
  const api = new Api({ url, token: undefined, dir: undefined });
  await failing(
    api.json("/status"),
    "unreachable",
    /No peer answers at http:.*the connection is refused/,
  );
  const own = new Api({ url, token: undefined, dir: "./storage_ann" });
  await failing(own.json("/status"), "unreachable", /The peer of .\/storage_ann is not running/);
  api.close();
  own.close();
});
