// Lists in pages that stay contiguous while files come and go, and as streams of JSON lines.

import assert from "node:assert/strict";
import type { ViewedFile } from "../../web/view.ts";
import { appOver, fileOf, NOW, peerOf, transferOf } from "./fixture.ts";

const LINES = { headers: { accept: "application/x-ndjson" } };

const many = (n: number): ViewedFile[] =>
  Array.from({ length: n }, (_, i) => ({
    file: fileOf({ name: `${String(i).padStart(5, "0")}.txt` }),
    held: i % 2 === 0,
    holders: i % 2 === 0 ? ["us"] : [],
  }));

interface Page {
  readonly files: { file_name: string }[];
  readonly total: number;
  readonly next: string | null;
}

const namesOf = ({ files }: Page) => files.map(({ file_name }) => file_name);

Deno.test("pages stay contiguous while files come and go before, after, and at their edge", async () => {
  for (const sort of ["name", "-name", "known", "-known"]) {
    const files = many(40);
    const app = appOver({ files });
    const page = async (start: string): Promise<Page> =>
      await (await app.request(`/api/v1/files?sort=${sort}&limit=10&start=${start}`)).json();
    const first = await page("0");
    // Five come and two go before the first page's end, and one goes on the next page.
    const before = sort.startsWith("-") ? "99999" : "00000";
    const fresh = Array.from({ length: 5 }, (_, i): ViewedFile => ({
      file: fileOf({ name: `${before} ${i}.txt` }),
      held: true,
      holders: ["us"],
    }));
    if (sort === "known") files.unshift(...fresh);
    else files.push(...fresh);
    const second = await page("0");
    assert.equal(second.total, 45);
    const seen = namesOf(first);
    const expected = seen.map((name) => name);
    for (let next = first.next; next !== null;) {
      const { files: rows, next: after } = await page(next);
      expected.push(...rows.map(({ file_name }) => file_name));
      next = after;
    }
    const old = many(40).map(({ file }) => file.name);
    if (sort.startsWith("-")) old.reverse();
    assert.deepEqual(expected.filter((name) => old.includes(name)), old, sort);
    assert.equal(new Set(expected).size, expected.length, `${sort}: none twice`);
  }
});

Deno.test("if the last file of a page is gone, the next page begins where it was", async () => {
  const files = many(10);
  const app = appOver({ files });
  const first = await (await app.request("/api/v1/files?limit=4")).json();
  files.splice(3, 1);
  const second = await (await app.request(`/api/v1/files?limit=4&start=${first.next}`)).json();
  assert.deepEqual(namesOf(second), ["00005.txt", "00006.txt", "00007.txt", "00008.txt"]);
});

Deno.test("Link leads from page to page, with the same query and under the proxy's prefix, and ends", async () => {
  const app = appOver({
    files: many(25),
    peers: Array.from({ length: 25 }, (_, i) => peerOf({ peerId: `p ${i}` })),
    transfers: Array.from({ length: 25 }, (_, id) => transferOf({ id })),
    deleted: Array.from({ length: 25 }, (_, i) => ({
      file: fileOf({ name: `${i}` }),
      sizeBytes: 1,
      deletedAt: NOW,
    })),
  });
  for (const path of ["files?q=txt&sort=-name&", "peers?", "transfers?", "files/deleted?"]) {
    let url: string | undefined = `/api/v1/${path}limit=10`;
    const sizes: number[] = [];
    while (url !== undefined) {
      const response: Response = await app.request(url, {
        headers: { "x-forwarded-prefix": "/peer" },
      });
      assert.equal(response.status, 200, url);
      const body = await response.json();
      const rows = body.files ?? body.peers ?? body.transfers;
      sizes.push(rows.length);
      assert.equal(body.total, 25);
      const link = response.headers.get("link");
      assert.equal(link === null, body.next === null);
      url = link === null ? undefined : /^<\/peer(\/[^>]*)>; rel="next"$/.exec(link)![1]!;
    }
    assert.deepEqual(sizes, [10, 10, 5], path);
  }
});

/** Returns the lines of a response, and how many pieces it came in. */
async function linesOf(response: Response) {
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "application/x-ndjson");
  assert.match(response.headers.get("vary") ?? "", /accept\b/i);
  const text = await response.text();
  assert.ok(text === "" || text.endsWith("\n"));
  return text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

Deno.test("as JSON lines, every list comes whole, in the requested order", async () => {
  const files = many(3_000);
  const app = appOver({
    files,
    peers: [peerOf(), peerOf({ peerId: "eagle" })],
    transfers: [transferOf()],
    deleted: Array.from({ length: 120 }, (_, i) => ({
      file: fileOf({ name: `${i}` }),
      sizeBytes: i,
      deletedAt: NOW,
    })),
  });
  const lines = async (path: string) => await linesOf(await app.request(`/api/v1/${path}`, LINES));
  const all = await lines("files?sort=-name");
  assert.deepEqual(
    all.map(({ file_name }) => file_name),
    files.map(({ file }) => file.name).reverse(),
  );
  const page = await (await app.request("/api/v1/files?sort=-name&limit=1")).json();
  assert.deepEqual(all[0], page.files[0], "a line is a row of the page");
  assert.equal((await lines("files?where=here")).length, 1_500);
  assert.equal((await lines("files?start=2990&limit=7")).length, 7);
  assert.deepEqual((await lines("peers")).map(({ peerId }) => peerId), ["bob", "eagle"]);
  assert.equal((await lines("transfers")).length, 1);
  assert.deepEqual(
    (await lines("files/deleted")).map(({ size_bytes }) => size_bytes),
    Array.from({ length: 120 }, (_, i) => i),
  );
  assert.equal((await lines("files/deleted?start=100&limit=7")).length, 7);
  assert.deepEqual(await lines("files?q=nothing"), []);
});

Deno.test("JSON lines are for those who prefer them", async () => {
  const app = appOver({ files: many(1) });
  const table = [
    ["application/x-ndjson", "application/x-ndjson"],
    ["application/x-ndjson, application/json;q=0.5", "application/x-ndjson"],
    ["application/json, application/x-ndjson;q=0.5", "application/json"],
    ["*/*", "application/json"],
    ["text/html", "application/json"],
  ] as const;
  for (const [accept, type] of table) {
    const response = await app.request("/api/v1/files", { headers: { accept } });
    await response.body?.cancel();
    assert.equal(response.headers.get("content-type"), type, accept);
  }
  const head = await app.request("/api/v1/files", { method: "HEAD", ...LINES });
  assert.deepEqual([head.status, head.body], [200, null]);
});

Deno.test("a stream is written as it is read, and no further once the client has left", async () => {
  let read = 0;
  const files = many(60_000).map(({ file, held }): ViewedFile => ({
    file,
    held,
    get holders() {
      read++;
      return [];
    },
  }));
  const app = appOver({ files });
  await (await app.request("/api/v1/files?limit=1")).body?.cancel(); // reads all files, once
  read = 0;
  const response = await app.request("/api/v1/files", LINES);
  const reader = response.body!.getReader();
  await reader.read();
  // A page in between does not wait for the stream to end.
  assert.equal((await (await app.request("/api/v1/files?limit=1")).json()).total, 60_000);
  await reader.cancel();
  const soFar = read;
  assert.ok(soFar > 0 && soFar < 30_000, `${soFar} of 60,000 were written`);
  await new Promise((go) => setTimeout(go, 0));
  assert.equal(read, soFar);
});

Deno.test("files that go while a stream is read are left out, and those that come are not in it", async () => {
  const files = many(30_000);
  const app = appOver({ files });
  const response = await app.request("/api/v1/files", LINES);
  const reader = response.body!.getReader();
  const { value } = await reader.read();
  files.splice(20_000, 200);
  files.push({ file: fileOf({ name: "new.txt" }), held: true, holders: [] });
  await (await app.request("/api/v1/files?limit=1")).body?.cancel();
  let text = new TextDecoder().decode(value);
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    text += new TextDecoder().decode(value);
  }
  const names = text.split("\n").slice(0, -1).map((line) => JSON.parse(line).file_name);
  assert.equal(names.length, 29_800);
  assert.ok(!names.includes("new.txt"));
});

Deno.test("while someone types, only the latest search is carried out; others are not in its way", async () => {
  let read = 0;
  const files = many(2_000).map(({ file }): ViewedFile => ({
    file,
    held: true,
    get holders() {
      read++;
      return [];
    },
  }));
  const app = appOver({ files });
  await (await app.request("/api/v1/files?limit=1")).body?.cancel();
  read = 0;
  const ask = (q: string, view: string, ip: string) =>
    app.request(`/api/v1/files?limit=5&q=${q}`, { headers: { "x-view": view } }, ip);
  const answers = await Promise.all([
    ask("t", "tab-1", "127.0.0.1"),
    ask("t", "tab-2", "127.0.0.1"),
    ask("t", "tab-1", "10.0.0.1"),
    ask("tx", "tab-1", "127.0.0.1"),
    ask("0", "no name", "127.0.0.1"),
    ask("txt", "tab-1", "127.0.0.1"),
    ask("0", "no name", "127.0.0.1"),
  ]);
  assert.deepEqual(answers.map(({ status }) => status), [204, 200, 200, 204, 200, 200, 200]);
  for (const answer of answers) await answer.body?.cancel();
  assert.deepEqual([read, app.errors], [25, []], "of those replaced, nothing was read");
});

Deno.test("the replication picture counts all files and gets those with the fewest holders", async () => {
  const files = many(300);
  files[7] = { ...files[7]!, lastHolders: ["eagle"] };
  const app = appOver({ files });
  const { files: rows, ...counts } = await (await app.request("/api/v1/replication?limit=40"))
    .json();
  assert.deepEqual(counts, { total: 300, none: 149, away: 1, one: 150 });
  assert.equal(rows.length, 40);
  const holders = rows.map((row: { peers_with_file: string[] }) => row.peers_with_file.length);
  assert.deepEqual(holders, [...Array(10).fill(0), ...Array(30).fill(1)]);
});
