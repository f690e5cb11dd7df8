// Server-sent events: wire format, resuming, and clients that do not keep up.

import assert from "node:assert/strict";
import { appOver, TOKEN } from "./fixture.ts";

const SANITIZED = { sanitizeOps: true, sanitizeResources: true };

async function open(app: ReturnType<typeof appOver>, headers: Record<string, string> = {}) {
  const response = await app.request("/api/v1/events", { headers });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type")!, /^text\/event-stream/);
  assert.equal(response.headers.get("cache-control"), "no-store");
  assert.equal(
    response.headers.get("x-accel-buffering"),
    "no",
    "nginx forwards events without buffering",
  );
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return {
    reader,
    async until(pattern: RegExp): Promise<string> {
      while (!pattern.test(text)) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`Ended before ${pattern}: ${text.slice(-200)}`);
        text += value;
      }
      return text;
    },
  };
}

Deno.test("an event has an id, a type, and one line of data", SANITIZED, async () => {
  const app = appOver();
  const stream = await open(app);
  const [watcher] = app.watchers;
  watcher!.tell({ id: "b-1", type: "files", data: '{"changed":[]}' });
  const text = await stream.until(/changed/);
  assert.equal(text, 'retry: 1000\n\nid: b-1\nevent: files\ndata: {"changed":[]}\n\n');
  await stream.reader.cancel();
  assert.equal(app.watchers.size, 0, "a client that left receives nothing more");
});

Deno.test(
  "if reading is private, a stream ends with its login and sends nothing more",
  SANITIZED,
  async () => {
    const app = appOver({ options: { isPrivate: true } });
    const entered = await app.request("/api/v1/session", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token: TOKEN }),
    });
    const cookie = entered.headers.get("set-cookie")!.split(";")[0]!;
    const stream = await open(app, { cookie });
    const [watcher] = app.watchers;
    watcher!.tell({ id: "b-1", type: "files", data: '{"changed":[]}' });
    await stream.until(/changed/);
    await app.request("/api/v1/session", { method: "DELETE", headers: { cookie } });
    watcher!.tell({ id: "b-2", type: "files", data: '{"secret":[]}' });
    await assert.rejects(stream.until(/secret/), /Ended before/);
    assert.equal(app.watchers.size, 0);
  },
);

Deno.test("Last-Event-ID says where to resume", SANITIZED, async () => {
  const app = appOver();
  for (const headers of [{}, { "last-event-id": "b-17" }] as Record<string, string>[]) {
    await (await open(app, headers)).reader.cancel();
  }
  assert.deepEqual(app.resumed, [undefined, "b-17"]);
});

Deno.test(
  "a client that does not read is disconnected before its backlog takes much memory",
  SANITIZED,
  async () => {
    const app = appOver();
    const stream = await open(app);
    const [watcher] = app.watchers;
    let told = 0;
    while (app.watchers.size > 0) {
      watcher!.tell({ id: `b-${++told}`, type: "files", data: "x".repeat(10_000) });
      assert.ok(told < 1_000, "it is disconnected");
    }
    assert.ok(told * 10_000 <= 2 * 1024 * 1024, `${told} events waited`);
    await stream.reader.cancel();
  },
);

Deno.test("a watcher whose place is needed is disconnected", SANITIZED, async () => {
  const app = appOver();
  const stream = await open(app);
  const [watcher] = app.watchers;
  assert.equal(watcher!.who, "127.0.0.1");
  watcher!.end();
  assert.equal(app.watchers.size, 0);
  await assert.rejects(stream.until(/never/), /Ended/);
});

Deno.test(
  "a client that missed more than its backlog may hold is disconnected at once, and can resume",
  SANITIZED,
  async () => {
    const missed = Array.from({ length: 300 }, (_, i) => ({
      id: `b-${i}`,
      type: "files" as const,
      data: "x".repeat(10_000),
    }));
    const app = appOver({ missed });
    const stream = await open(app, { "last-event-id": "b-0" });
    assert.equal(app.watchers.size, 0);
    await stream.until(/id: b-100\n/);
    await assert.rejects(stream.until(/id: b-299\n/), /Ended/);
  },
);

Deno.test("HEAD gives the content type and does not watch", SANITIZED, async () => {
  const app = appOver();
  const response = await app.request("/api/v1/events", { method: "HEAD" });
  assert.match(response.headers.get("content-type")!, /^text\/event-stream/);
  assert.deepEqual([response.body, app.watchers.size], [null, 0]);
});
