// Threat 32 in docs/SECURITY-TESTS.md, paths and names that try to escape from the store, in every spelling that some server
// has fallen for: nothing outside the store is shown or written, and none of the store's own files is touched.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { forEachOf, SANITIZED } from "../process/together.ts";
import { ask, type Asked, bearer, filesOf, storeOf, tokenOf, upload } from "./web.ts";
import { World } from "./world.ts";

/** Path traversals, in every spelling that some server has fallen for. */
const UP = [
  "..",
  "%2e%2e",
  "%2E.",
  ".%2e",
  "..%2f..",
  "%2e%2e%2f%2e%2e",
  "..%5c..",
  "..\\..",
  "%5c%5c127.0.0.1%5cx",
  "%252e%252e%252f%252e%252e",
  "..%c0%af..",
  "%c0%ae%c0%ae",
  "..%ef%bc%8f..",
  "%u002e%u002e",
  "....//....",
  "..;",
  "..%00",
  "%00",
  "..%0a",
  "/..",
  "file:///",
  "C:",
  "~",
];
const TARGETS = ["secret.txt", "etc/passwd", ".p2p-peer/web-token", ".p2p-peer%2fkey.json"];
const ROUTES = [
  "/",
  "/api/v1/files/",
  "/api/v1/files/by-name/",
  "/api/v1/",
  "/api/docs/",
  "/stats/",
];

Deno.test(
  "threat 32: no path, however encoded, reads anything outside the pages and lists",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program, honest, folder } = world;
    const token = await tokenOf(program);
    const secret = crypto.randomUUID();
    await folder.write("secret.txt", secret);
    const key = await Deno.readTextFile(storeOf(world, ".p2p-peer", "key.json"));
    const before = filesOf(world);
    const paths = ROUTES.flatMap((route) =>
      UP.flatMap((up) =>
        TARGETS.flatMap((target) => [
          `${route}${up}/${target}`,
          `${route}${up}/${up}/${up}/${up}/${target}`,
          `${route}${up}%2f${target}/content`,
        ])
      )
    );
    const asked: Asked[] = paths.map((path) => ({ path, headers: bearer(token) }));
    for (const up of UP) {
      asked.push({ path: "/api/download", headers: { "X-File-Name": `${up}/secret.txt` } });
      asked.push({ path: "/api/download", headers: { "X-File-Name": `${up}%2fsecret.txt` } });
      asked.push({ path: `/api/v1/files?q=${up}/secret.txt` });
    }
    await forEachOf(asked, async (request) => {
      const what = JSON.stringify(request);
      const { status, body } = await ask(program, request);
      // Where dots resolve to a page, serving that page is correct.
      const isPage = status === 200 && /^(?:\{"files"|\s*<!doctype html>)/.test(body);
      ok([400, 404].includes(status) || isPage, `${what}: ${status} ${body.slice(0, 200)}`);
      for (const found of [secret, token, key, "root:x:0"]) ok(!body.includes(found), what);
    }, 8);
    deepStrictEqual(filesOf(world), before);
    await honest.gossip();
  },
);

Deno.test(
  "threat 32: names that point out of the store write nothing outside it and overwrite none of its own files",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program, honest, folder } = world;
    const token = await tokenOf(program);
    await folder.write("secret.txt", "as it was");
    await upload(program, token, "mine.txt", "as it was");
    const before = filesOf(world);
    const octets = { ...bearer(token), "Content-Type": "application/octet-stream" };
    const names = [
      ...UP.flatMap((up) => [`${up}/planted`, `${up}%2fplanted`, `${up}%5cplanted`, up]),
      ...["..%2fsecret.txt", "%2fetc%2fplanted", "C:%5cplanted", ".p2p-peer%2fweb-token"],
      ...[".p2p-peer%2fplanted", ".p2p-peer", "metadata.json", "mine.txt", "mine.txt%00.jpg"],
    ];
    await forEachOf(names, async (name) => {
      const requests: Asked[] = [
        { method: "PUT", path: `/api/v1/files/by-name/${name}`, headers: octets },
        { method: "POST", path: `/api/v1/files?name=${name}`, headers: octets },
        { method: "POST", path: "/api/upload", headers: { ...octets, "X-File-Name": name } },
        {
          method: "DELETE",
          path: "/api/delete",
          headers: { ...octets, "X-File-Name": `${name}/../../secret.txt` },
        },
      ];
      for (const asked of requests) {
        const isDelete = asked.method === "DELETE";
        const body = isDelete ? undefined : crypto.randomUUID();
        const { status } = await ask(program, { ...asked, ...(body && { body }) });
        const expected = isDelete ? [400, 404] : [200, 201, 400, 404];
        ok(expected.includes(status), `${asked.method} ${asked.path} ${name}: ${status}`);
      }
    });
    const store = storeOf(world);
    const after = filesOf(world);
    for (const [path, content] of before) strictEqual(after.get(path), content, path);
    for (const [path, what] of after) {
      if (before.has(path)) continue;
      // New entries must be regular files directly in the store.
      ok(path.startsWith(`${store}/`), path);
      match(path.slice(store.length + 1), /^[^/\\]+$/);
      ok(what !== "folder" && !what.startsWith("link"), `${path} is a ${what}`);
    }
    for (const { file_name: name } of await program.files()) {
      ok(!/[/\\\0]/.test(name) && name !== ".." && name !== ".", JSON.stringify(name));
    }
    await honest.gossip();
  },
);
