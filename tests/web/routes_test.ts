// Every route of the OpenAPI document: without a login, for another site, with invalid input, and as described. Every
// response must be in the document and match its schema.

import assert from "node:assert/strict";
import { appOver, BEARER, fileOf, type Made, type Parts, transferOf } from "./fixture.ts";

interface Operation {
  readonly security?: unknown;
  readonly parameters?: readonly { name: string; in: string }[];
  readonly responses: Readonly<
    Record<string, { content?: Readonly<Record<string, { schema?: Schema }>> }>
  >;
}

interface Schema {
  readonly type?: string;
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
}

interface Route {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

const { fileId } = fileOf();

function made(over: Parts = {}): Made {
  return appOver({
    files: [{ file: fileOf({ sizeBytes: 3 }), held: true, holders: ["us", "bob"] }],
    queued: [{ file: fileOf({ sizeBytes: 3 }), held: false, holders: ["bob"] }],
    transfers: [
      transferOf(),
      transferOf({ id: 2, state: "failed", why: "bob has gone", endedAt: 1_750_000_000 }),
    ],
    ...over,
  });
}

async function routes(): Promise<Route[]> {
  const document = await (await made().request("/api/v1/openapi.json")).json();
  assert.match(document.openapi, /^3\.1\./);
  const paths = document.paths as Record<string, Record<string, Operation>>;
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      operation,
    }))
  );
}

/** Id of the upload that `begun` begins. */
const UPLOAD = "1".padStart(32, "0");

/** Begins an upload. */
async function begun(app: Made): Promise<Made> {
  const headers = { ...BEARER, "upload-complete": "?0" };
  const response = await app.request("/api/v1/files?name=a", { method: "POST", headers });
  assert.equal(response.headers.get("location"), `/api/v1/uploads/${UPLOAD}`);
  return app;
}

const isChange = ({ method }: Route) => method !== "GET" && method !== "HEAD";
const isSession = ({ path }: Route) => path === "/session";

function ask(app: Made, { method, path }: Route, init: RequestInit = {}, ids = [fileId, "2"]) {
  const id = /^\/(files|queue)/.test(path) ? ids[0]! : ids[1]!;
  const url = `/api/v1${
    path.replace("{id}", id).replace("{name}", "a.txt").replace("{upload_id}", UPLOAD)
  }`;
  const named = path === "/files" && method === "POST"
    ? `${url}?name=a.txt`
    : path === "/files/find"
    ? `${url}?what=a.txt`
    : url;
  const body = path === "/limits"
    ? '{"down":1000}'
    : path === "/peers" && method === "POST"
    ? '{"address":"10.0.0.9:8115"}'
    : path === "/log"
    ? '{"level":"DEBUG"}'
    : ["POST", "PUT", "PATCH"].includes(method)
    ? "content"
    : undefined;
  const headers = new Headers(init.headers);
  if (method === "PATCH") {
    headers.set("upload-offset", "0");
    headers.set("upload-complete", "?1");
  }
  const hasBody = body !== undefined && method !== "GET";
  return app.request(named, { method, ...(hasBody ? { body } : {}), ...init, headers });
}

/** Returns the parts of the value that do not match the schema. */
function misfits(value: unknown, schema: Schema, at = ""): string[] {
  if (schema.anyOf) {
    const all = schema.anyOf.map((each) => misfits(value, each, at));
    return all.some((found) => found.length === 0) ? [] : all[0]!;
  }
  if (schema.enum) return schema.enum.includes(value) ? [] : [`${at}: ${value}`];
  const is = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  const fits = schema.type === undefined || schema.type === is ||
    (schema.type === "integer" && Number.isInteger(value));
  if (!fits) return [`${at} is ${is}, not ${schema.type}`];
  if (is === "array") {
    return (value as unknown[]).flatMap((each, i) =>
      misfits(each, schema.items ?? {}, `${at}[${i}]`)
    );
  }
  if (is !== "object") return [];
  const fields = Object.entries(value as Record<string, unknown>);
  const missing = (schema.required ?? []).filter((key) => !fields.some(([name]) => name === key));
  const known = schema.properties ?? {};
  return [
    ...missing.map((key) => `${at}.${key} is missing`),
    ...fields.flatMap(([key, field]) => {
      const shape = known[key] ?? schema.additionalProperties;
      return shape ? misfits(field, shape, `${at}.${key}`) : [`${at}.${key} is not described`];
    }),
  ];
}

/** Asserts that the response is in the document and matches its schema. */
async function assertDescribed(response: Response, { method, path, operation }: Route) {
  const what = `${method} ${path}: ${response.status}`;
  const described = operation.responses[response.status];
  assert.ok(described, `${what} is not described`);
  const type = response.headers.get("content-type")?.split(";")[0];
  if (type === undefined || !described.content) {
    await response.body?.cancel();
    assert.ok(!described.content || response.status === 304, what);
    return;
  }
  assert.ok(described.content[type], `${what} as ${type}`);
  if (!/json$/.test(type)) return await response.body?.cancel();
  const found = misfits(await response.json(), described.content[type].schema ?? {});
  assert.deepEqual(found, [], what);
}

Deno.test("the document lists exactly the routes that this test knows of", async () => {
  const named = (await routes()).map(({ method, path }) => `${method} ${path}`).sort();
  assert.deepEqual(named, [
    "DELETE /files/{id}",
    "DELETE /queue/{id}",
    "DELETE /session",
    "DELETE /transfers/{id}",
    "DELETE /uploads/{upload_id}",
    "GET /events",
    "GET /files",
    "GET /files/deleted",
    "GET /files/find",
    "GET /files/{id}",
    "GET /files/{id}/content",
    "GET /limits",
    "GET /log",
    "GET /peers",
    "GET /peers/away",
    "GET /queue",
    "GET /rates",
    "GET /replication",
    "GET /session",
    "GET /status",
    "GET /transfers",
    "GET /uploads",
    "GET /uploads/{upload_id}",
    "PATCH /limits",
    "PATCH /log",
    "PATCH /uploads/{upload_id}",
    "POST /files",
    "POST /files/{id}/fetch",
    "POST /files/{id}/restore",
    "POST /peers",
    "POST /queue/{id}/first",
    "POST /session",
    "POST /transfers/{id}/retry",
    "PUT /files/by-name/{name}",
  ]);
});

Deno.test("with a login, every route responds as described", async () => {
  for (const route of await routes()) {
    const app = route.path.includes("{upload_id}") ? await begun(made()) : made();
    // Running ones are canceled, failed ones are retried.
    const id = route.path.endsWith("/retry") ? "2" : "1";
    const response = await ask(app, route, { headers: BEARER }, [fileId, id]);
    assert.ok(response.status < 400 || isSession(route) || route.path.endsWith("/content"));
    await assertDescribed(response, route);
    if (route.path !== "/events") continue;
    assert.equal(app.watchers.size, 0, "a client that leaves stops watching");
  }
});

Deno.test("without a login, every change is refused as described, and nothing else is", async () => {
  for (const route of await routes()) {
    const app = made();
    const response = await ask(app, route);
    const { status } = response;
    await assertDescribed(response, route);
    if (isSession(route)) continue;
    assert.equal(status === 401, isChange(route), `${route.method} ${route.path}`);
    assert.equal(route.operation.security !== undefined, isChange(route), route.path);
    assert.deepEqual(app.done, []);
  }
});

Deno.test("for a page on another site, every change is refused as described", async () => {
  for (const route of (await routes()).filter(isChange)) {
    const app = made();
    const headers = { ...BEARER, origin: "https://evil.example" };
    const response = await ask(app, route, { headers });
    assert.equal(response.status, 403);
    await assertDescribed(response, route);
    assert.deepEqual(app.done, []);
  }
});

Deno.test("under an unknown name, every route is refused as described", async () => {
  for (const route of await routes()) {
    const response = await ask(made(), route, { headers: { host: "evil.example" } });
    assert.equal(response.status, 421);
    await assertDescribed(response, route);
  }
});

Deno.test("malformed and unknown ids are 404 as described", async () => {
  for (const route of (await routes()).filter(({ path }) => path.includes("{id}"))) {
    for (const id of ["x", "-1", "%00", "F".repeat(64), "0".repeat(63), "..%2f..%2fx", "1e3"]) {
      const response = await ask(made(), route, { headers: BEARER }, [id, id]);
      assert.equal(response.status, 404, `${route.path} ${id}`);
      await assertDescribed(response, route);
    }
    const unknown = ["0".repeat(64), "999"];
    const none = made({ files: [], queued: [] });
    const response = await ask(none, route, { headers: BEARER }, unknown);
    if (!route.path.endsWith("restore") && route.method !== "DELETE") {
      assert.equal(response.status, 404, route.path);
    }
    await response.body?.cancel();
  }
});

Deno.test("invalid queries and bodies are 400 with a hint", async () => {
  const bad: [string, string, string?][] = [
    ["GET", "/files?limit=0"],
    ["GET", "/files?sort=colour"],
    ["GET", "/files?where=there"],
    ["GET", `/files?q=${"a".repeat(201)}`],
    ["POST", `/files/${fileId}/fetch?wait=maybe`],
    ["POST", "/files", "a body without a name"],
    ["POST", "/session", "{"],
    ["POST", "/session", "[]"],
    ["POST", "/session", '{"token":7}'],
    ["POST", "/session", `{"token":"${"x".repeat(201)}"}`],
  ];
  for (const [method, path, body] of bad) {
    const app = made();
    const response = await app.request(`/api/v1${path}`, {
      method,
      headers: BEARER,
      ...(body === undefined ? {} : { body }),
    });
    const { status, hint, detail } = await response.json();
    assert.deepEqual([status, typeof hint, typeof detail], [400, "string", "string"], path);
    assert.deepEqual(app.done, []);
  }
  const long = await made().request("/api/v1/session", {
    method: "POST",
    body: "x".repeat(20_000),
  });
  assert.equal(long.status, 413);
  await long.body?.cancel();
});

Deno.test("files are found by words and ids, filtered, and sorted, page by page", async () => {
  const names = ["Zebra.txt", "apple 10.txt", "apple 9.txt", "Ärger.txt"];
  const files = names.map((name, i) => ({
    file: fileOf({ name, owner: i === 0 ? "us" : "bob", sizeBytes: 100 - i }),
    held: i < 2,
    holders: Array(i).fill("x"),
  }));
  const list = async (query: string) => {
    const { files: found, total } =
      await (await appOver({ files }).request(`/api/v1/files?${query}`)).json();
    return [found.map(({ file_name }: { file_name: string }) => file_name), total];
  };
  assert.deepEqual(await list("q=APPLE"), [["apple 10.txt", "apple 9.txt"], 2]);
  assert.deepEqual(await list("q=apple+9"), [["apple 9.txt"], 1]);
  assert.deepEqual(await list(`q=${files[3]!.file.fileId.slice(0, 12)}`), [["Ärger.txt"], 1]);
  assert.deepEqual(await list("q=us"), [["Zebra.txt"], 1]);
  assert.deepEqual(await list("where=here"), [["Zebra.txt", "apple 10.txt"], 2]);
  assert.deepEqual(await list("where=elsewhere"), [["apple 9.txt", "Ärger.txt"], 2]);
  assert.deepEqual(await list("where=mine"), [["Zebra.txt"], 1]);
  const byName = ["apple 9.txt", "apple 10.txt", "Ärger.txt", "Zebra.txt"];
  assert.deepEqual(await list("sort=name"), [byName, 4]);
  assert.deepEqual(await list("sort=-name"), [byName.toReversed(), 4]);
  assert.deepEqual(await list("sort=size&limit=2"), [["Ärger.txt", "apple 9.txt"], 4]);
  assert.deepEqual(await list("sort=-holders&limit=2&start=1"), [
    ["apple 9.txt", "apple 10.txt"],
    4,
  ]);
});

Deno.test("fetching waits only if asked to, and says why it failed", async () => {
  const away = [{ file: fileOf(), held: false, holders: ["bob"] }];
  const post = (parts: Parts, query = "") =>
    appOver({ files: away, ...parts }).request(`/api/v1/files/${fileId}/fetch${query}`, {
      method: "POST",
      headers: BEARER,
    });
  const never = () => new Promise<void>(() => {});
  assert.equal((await post({ fetching: never })).status, 202);
  assert.equal((await post({}, "?wait=true")).status, 200);
  const { NotPossible } = await import("../../web/view.ts");
  const refusal = new NotPossible(409, "No live peer holds it", "Wait");
  const failed = await post({ refusal }, "?wait=true");
  assert.deepEqual([failed.status, (await failed.json()).detail], [409, refusal.message]);
  assert.equal((await post({ refusal })).status, 202, "its transfer reports the outcome");
});

Deno.test("an ended transfer cannot be canceled, and only fetches can be retried", async () => {
  const transfers = [
    transferOf(),
    transferOf({ id: 2, state: "done" }),
    transferOf({ id: 3, kind: "serve", state: "failed" }),
    transferOf({ id: 4, state: "failed" }),
    transferOf({ id: 5, state: "cancelled" }),
  ];
  const app = made({ transfers });
  const status = async (method: string, path: string) => {
    const response = await app.request(`/api/v1/transfers/${path}`, { method, headers: BEARER });
    await response.body?.cancel();
    return response.status;
  };
  assert.equal(await status("DELETE", "1"), 204);
  assert.equal(await status("DELETE", "2"), 409);
  const expected = [["1", 409], ["2", 409], ["3", 409], ["4", 202], ["5", 202]] as const;
  for (const [id, answer] of expected) {
    assert.equal(await status("POST", `${id}/retry`), answer, id);
  }
});

Deno.test("the documentation page lists every route and is self-contained", async () => {
  const html = await (await made().request("/api/docs")).text();
  for (const { method, path } of await routes()) {
    assert.ok(html.includes(`${method} /api/v1${path}`), `${method} ${path}`);
  }
  assert.doesNotMatch(html, /(src|href)="(https?:)?\/\//);
});
