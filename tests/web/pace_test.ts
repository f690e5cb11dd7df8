// Speed limits and the queue of downloads, against a fake peer.

import assert from "node:assert/strict";
import { appOver, BEARER, fileOf } from "./fixture.ts";

Deno.test("limits are shown, changed one by one, and taken away, and nonsense changes nothing", async () => {
  const made = appOver();
  const limits = async (body?: string) => {
    const init = body === undefined ? {} : { method: "PATCH", body };
    const response = await made.request("/api/v1/limits", { headers: BEARER, ...init });
    return response.ok ? await response.json() : response.status;
  };
  assert.deepEqual(await limits(), { down: null, up: null });
  assert.deepEqual(await limits('{"down":5000000}'), { down: 5_000_000, up: null });
  assert.deepEqual(await limits('{"up":1}'), { down: 5_000_000, up: 1 });
  for (const wrong of ['{"down":0}', '{"up":-1}', '{"down":"1"}', '{"up":1.5}', "x", "[]", "7"]) {
    assert.equal(await limits(wrong), 400, wrong);
  }
  assert.equal(await limits(`{"down":${"1".repeat(20_000)}}`), 413);
  assert.deepEqual(await limits("{}"), { down: 5_000_000, up: 1 });
  assert.deepEqual(await limits('{"down":null}'), { down: null, up: 1 });
});

Deno.test("the queue is listed in order, and one of it is put first", async () => {
  const queued = Array.from({ length: 101 }, (_, i) => ({
    file: fileOf({ name: `${i}.bin`, sizeBytes: i }),
    held: false,
    holders: ["bob"],
  }));
  const made = appOver({ queued });
  const { files, total } = await (await made.request("/api/v1/queue")).json();
  assert.deepEqual([files.length, total], [100, 101]);
  const { fileId } = queued[1]!.file;
  assert.deepEqual(files[1], { file_id: fileId, file_name: "1.bin", size_bytes: 1 });
  const first = (id: string) =>
    made.request(`/api/v1/queue/${id}/first`, { method: "POST", headers: BEARER });
  assert.equal((await first(fileId)).status, 204);
  assert.deepEqual(made.done, [`first ${fileId}`]);
  assert.equal((await first("0".repeat(64))).status, 404);
  const forget = (id: string) =>
    made.request(`/api/v1/queue/${id}`, { method: "DELETE", headers: BEARER });
  assert.equal((await forget(fileId)).status, 204);
  assert.equal((await forget("0".repeat(64))).status, 404);
});
