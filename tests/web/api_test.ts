// The API: response shapes, field names of the wire protocol, paging, and timestamps in their source text.

import assert from "node:assert/strict";
import { parseJson } from "../../protocol/wire/message.ts";
import { NumberText } from "../../protocol/wire/text.ts";
import { appOver, BEARER, fileOf, NOW, peerOf } from "./fixture.ts";

const held = (file = fileOf()) => ({ file, held: true, holders: ["us", "bob"] });

function many(n: number) {
  return Array.from({ length: n }, (_, i) => ({
    file: fileOf({ name: `${i}.txt` }),
    held: false,
    holders: [],
  }));
}

async function files(path: string, parts = many(10)) {
  const response = await appOver({ files: parts }).request(path);
  assert.equal(response.status, 200, path);
  const body = await response.json() as {
    files: { file_name: string }[];
    total: number;
    next: string | null;
  };
  return { ...body, names: body.files.map(({ file_name }) => file_name) };
}

Deno.test("the status reports the peer's identity and state", async () => {
  const refusedByPeer = [{ peer: "bob", reasons: { "not-json": 6 } }];
  const response = await appOver({ status: { refusedByPeer } }).request("/api/v1/status");
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type") ?? "", /^application\/json/);
  assert.deepEqual(await response.json(), {
    peerId: "us",
    host: "10.0.0.1",
    port: 8115,
    version: "9.9.9",
    now: NOW,
    uptime_seconds: 61,
    synchronized: true,
    bootstraps: [],
    bootstrap_troubles: [],
    peer_timeout_seconds: 60,
    peers: 1,
    name_taken_by: null,
    unreachable: null,
    files: { known: 3, held: 2, held_bytes: 1234 },
    bytes: { in: 10, out: 20 },
    free_bytes: 5_000_000_000,
    received: { GOSSIP: 4 },
    sent: { GOSSIP_REPLY: 5 },
    unsent: {},
    refused: { "not-json": 6 },
    overload: [
      { reason: "push-rate", times: 1234, what: "Pushes refused", option: "--push-rate" },
      { reason: "copies-not-offered", times: 2, what: "Copies not offered", option: null },
    ],
    refused_by_peer: [{ peer: "bob", reasons: { "not-json": 6 } }],
    indexing: null,
    trash: { files: 0, bytes: 0 },
    memory_bytes: 80_000_000,
    work: { inbound: 0 },
  });
});

Deno.test("the row of an avoided peer says for how long and why", async () => {
  const why = "sent bytes that do not match the file's id";
  const peers = [peerOf({ refused: 7, backedOff: { seconds: 30, why } }), peerOf()];
  const body = await (await appOver({ peers }).request("/api/v1/peers")).json();
  assert.deepEqual(
    body.peers.map(({ refused, backed_off }: Record<string, unknown>) => [refused, backed_off]),
    [[7, { seconds: 30, why }], [0, null]],
  );
});

Deno.test("peers are listed with the field names of the wire protocol and times in Unix seconds", async () => {
  const response = await appOver({ peers: [peerOf()] }).request("/api/v1/peers");
  const { peers, ...rest } = await response.json();
  assert.deepEqual(rest, { total: 1, next: null });
  assert.equal(peers.length, 1);
  const { peerId, host, port, last_seen } = peers[0];
  assert.deepEqual({ peerId, host, port, last_seen }, {
    peerId: "bob",
    host: "10.0.0.7",
    port: 8115,
    last_seen: NOW - 5,
  });
  const none = await (await appOver().request("/api/v1/peers")).json();
  assert.deepEqual(none, { peers: [], total: 0, next: null });
});

Deno.test("files are listed with the field names of the wire protocol", async () => {
  const file = fileOf({ sizeBytes: 3 * 1024 ** 2 });
  const response = await appOver({ files: [held(file)] }).request("/api/v1/files");
  assert.match(response.headers.get("content-type") ?? "", /^application\/json/);
  assert.deepEqual(await response.json(), {
    files: [{
      file_name: "a.txt",
      file_size: 3,
      file_id: file.fileId,
      file_owner: "alice",
      file_timestamp: 1744169352,
      size_bytes: 3 * 1024 ** 2,
      sha256: null,
      here_as: null,
      modified_at: 1744169352,
      known_at: null,
      has_copy: true,
      peers_with_file: ["us", "bob"],
      last_holders: [],
    }],
    total: 1,
    next: null,
  });
});

Deno.test("a file that nobody holds lists its last holders, and every file says when it was first known", async () => {
  const away = {
    file: fileOf(),
    held: false,
    holders: [],
    lastHolders: ["eagle"],
    knownSince: NOW - 9,
  };
  const { request } = appOver({ files: [away] });
  const { file } = await (await request(`/api/v1/files/${away.file.fileId}`)).json();
  assert.deepEqual([file.last_holders, file.known_at], [["eagle"], NOW - 9]);
  const again = appOver({ files: [{ ...away, holders: ["hawk"] }] });
  const { files } = await (await again.request("/api/v1/files?sort=-known")).json();
  assert.deepEqual(
    files[0].last_holders,
    [],
    "once somebody holds it, the last holders do not matter",
  );
});

Deno.test("a file that is not held here says so, and an unknown size is omitted", async () => {
  const { files: [file] } = await files("/api/v1/files", [
    { file: fileOf({ size: 1.5 }), held: false, holders: [] },
  ]) as unknown as { files: Record<string, unknown>[] };
  assert.equal(file?.has_copy, false);
  assert.deepEqual(file?.peers_with_file, []);
  assert.equal(file?.file_size, 1.5);
  assert.ok(!("size_bytes" in file!));
});

Deno.test("timestamps keep their source text, with numbers as numbers and strings as strings", async () => {
  const sources = ["1744169352.0", "1744170562", "1743970142.6140459", "1743970142.50", "-0"];
  const listed = sources.map((text) =>
    held(fileOf({ name: text, timestamp: { text, quoted: false } }))
  );
  const words = { text: "Sun Jun 15 21:36:41 2025", quoted: true };
  listed.push(held(fileOf({ timestamp: words })));
  const response = await appOver({ files: listed }).request("/api/v1/files");
  const text = await response.text();
  const parsed = parseJson(text) as { files: { file_timestamp: unknown }[] };
  assert.deepEqual(parsed.files.map(({ file_timestamp }) => file_timestamp), [
    ...sources.map((source) => new NumberText(source)),
    words.text,
  ]);
  assert.ok(text.includes('"file_timestamp":1744169352.0,'));
});

Deno.test("limit and start give contiguous pages without gap or overlap", async () => {
  for (const limit of [1, 3, 5, 9, 10, 11, 10_000]) {
    const seen: string[] = [];
    let start: string | null = "0";
    for (let page = 0; start !== null && page < 20; page++) {
      const { names, total, next } = await files(`/api/v1/files?limit=${limit}&start=${start}`);
      assert.equal(total, 10);
      assert.ok(names.length <= limit);
      seen.push(...names);
      start = next;
    }
    assert.deepEqual(seen, many(10).map(({ file }) => file.name), `limit ${limit}`);
  }
});

Deno.test("the status says how far the folder is indexed, while it is", async () => {
  const indexing = { files: 12_400, totalFiles: 100_000, bytes: 1.2e9, totalBytes: 4e9 };
  const app = appOver({ status: { indexing } });
  const status = await (await app.request("/api/v1/status")).json();
  assert.deepEqual(status.indexing, {
    files_done: 12_400,
    files_total: 100_000,
    bytes_done: 1.2e9,
    bytes_total: 4e9,
  });
});

Deno.test("a start at or past the end gives an empty last page", async () => {
  for (const start of [10, 11, 9_007_199_254_740_991]) {
    for (const limit of ["", "&limit=5"]) {
      const { names, total, next } = await files(`/api/v1/files?start=${start}${limit}`);
      assert.deepEqual([names, total, next], [[], 10, null], `start ${start}${limit}`);
    }
  }
  assert.deepEqual((await files("/api/v1/files?start=8")).names, ["8.txt", "9.txt"]);
});

Deno.test("an invalid limit or start is refused with a hint, not guessed at", async () => {
  const { request } = appOver({ files: many(3) });
  const bad = ["limit=0", "limit=-1", "limit=1.5", "limit=x", "limit=", "limit=10001", "limit=1e3"];
  bad.push("start=-1", "start=x", "start=", "start=99999999999999999", "limit=0x10", "start=%00");
  bad.push("start=1-", "start=1-ff", `start=1-${"F".repeat(64)}`, `start=-${"f".repeat(64)}`);
  for (const query of bad) {
    const response = await request(`/api/v1/files?${query}`);
    assert.equal(response.status, 400, query);
    const { title, status, detail, hint } = await response.json();
    assert.ok(title && status === 400 && detail && /whole numbers/.test(hint), query);
  }
});

Deno.test("any name or owner is encoded as JSON data, and the response is ASCII", async () => {
  const name = 'quote" back\\ </script><b> \u202e \ud83d\ude00 line\nbreak';
  const listed = [held(fileOf({ name, owner: "__proto__" }))];
  const response = await appOver({ files: listed }).request("/api/v1/files");
  const text = await response.text();
  assert.ok(!/[^ -~]/.test(text));
  const { files: [file] } = JSON.parse(text);
  assert.deepEqual([file.file_name, file.file_owner], [name, "__proto__"]);
});

Deno.test("a path that does not accept a method says which ones it accepts", async () => {
  const { request } = appOver();
  const id = "0".repeat(64);
  const table = [
    ["POST", "/api/v1/status", "GET, HEAD"],
    ["DELETE", "/browser/live.js", "GET, HEAD"],
    ["PATCH", `/api/v1/files/${id}`, "GET, HEAD, DELETE"],
    ["GET", `/api/v1/files/${id}/restore`, "POST"],
    ["PUT", "/", "GET, HEAD"],
  ] as const;
  for (const [method, path, allow] of table) {
    const response = await request(path, { method, headers: BEARER });
    assert.deepEqual([response.status, response.headers.get("allow")], [405, allow], path);
    assert.match((await response.json()).hint, /^It accepts /);
  }
  for (const path of ["/nothing", "/api/v1/nothing", `/api/v1/files/${id}/content/more`]) {
    assert.equal((await request(path, { method: "POST", headers: BEARER })).status, 404, path);
  }
});

Deno.test("a missing resource is 404 with an explanation for the user", async () => {
  const { request } = appOver();
  for (
    const path of ["/nothing", "/api/v1", "/api/v1/", "/api/v1/files/x", "/.env"]
  ) {
    const response = await request(path);
    assert.equal(response.status, 404, path);
    assert.ok((await response.json()).hint, path);
  }
});

Deno.test("no other site may read or make changes", async () => {
  const { request } = appOver({ files: [held()] });
  for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
    for (
      const path of [
        "/",
        "/api/v1/status",
        "/api/v1/files",
        `/api/v1/files/${fileOf().fileId}/content`,
      ]
    ) {
      const response = await request(path, { method, headers: { origin: "https://evil.example" } });
      await response.body?.cancel();
      assert.equal(response.status, 403, `${method} ${path}`);
    }
  }
  const response = await request("/api/v1/status", { headers: { origin: "https://evil.example" } });
  await response.body?.cancel();
  for (const [name] of response.headers) assert.ok(!name.startsWith("access-control-"), name);
});

Deno.test("an internal error is logged, and the response reveals nothing about it", async () => {
  const broken = appOver({
    get peers(): never {
      throw new Error("secret details");
    },
  });
  const response = await broken.request("/api/v1/peers");
  assert.equal(response.status, 500);
  assert.ok(!(await response.text()).includes("secret"));
  assert.deepEqual(broken.errors.map(({ message }) => message), ["secret details"]);
  assert.equal((await broken.request("/api/v1/status")).status, 200);
});
