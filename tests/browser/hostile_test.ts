// Hostile names, files, and sites in a real browser: nothing in a peer's names runs, no served content is rendered as a
// page, and no other site makes changes with the browser's login.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { until } from "../until.ts";
import { browserTest, rowOf } from "./chromium.ts";
import { filesOf, Served } from "./served.ts";
import { FakeContent, fileOf, peerOf, transferOf } from "../web/fixture.ts";

const HOSTILE = [
  "<img src=x onerror=alert(1)>",
  "<script>alert(1)</script>",
  `"><svg onload=alert(1)>`,
  "javascript:alert(1)",
  "${alert(1)}{{alert(1)}}",
  "evil\u202etxt.exe",
  "x".repeat(400),
];

browserTest(
  "threat 30: hostile names are text in the live page, in every place that shows one",
  async (scene) => {
    const files = HOSTILE.map((name) => ({
      file: fileOf({ name, owner: name, sizeBytes: 5 }),
      held: true,
      holders: ["us", name],
    }));
    const peers = HOSTILE.map((peerId) =>
      peerOf({
        peerId,
        host: peerId.slice(0, 40),
        lastSeen: Date.now() / 1000,
        backedOff: { seconds: 9, why: peerId },
      })
    );
    const transfers = HOSTILE.map((name, id) =>
      transferOf({
        id,
        fileId: fileOf({ name }).fileId,
        name,
        peer: name,
        state: "failed",
        why: name,
        endedAt: Date.now() / 1000,
      })
    );
    await using served = Served.start({ files: [], peers: [], transfers });
    const page = await scene.open(served.link);
    await page.waitForSelector("body.may-change");
    served.tellFiles(files);
    served.tellPeers(peers);
    for (const name of HOSTILE) {
      const shown = name.replace("\u202e", "\\u{202e}");
      await rowOf(page, shown.length > 200 ? `${"x".repeat(199)}…` : shown).first().waitFor();
    }
    strictEqual(await page.locator("#peer-rows tr").count(), HOSTILE.length);
    strictEqual(await page.locator("#transfers li").count(), HOSTILE.length);
    const made = await page.evaluate(
      "document.querySelectorAll('main img, main script, main svg[onload]').length",
    );
    strictEqual(made, 0);
    for (const name of HOSTILE.slice(0, 3)) {
      await rowOf(page, name).click();
      await page.locator("#sheet[open] h2").waitFor();
      strictEqual(await page.locator("#sheet h2").innerText(), name);
      strictEqual(await page.locator("#sheet img, #sheet script").count(), 0);
      await page.keyboard.press("Escape");
    }
    // The replication picture and the map show them under the pointer.
    await page.locator("#matrix").scrollIntoViewIfNeeded();
    await until("the picture to say what is under the pointer", async () => {
      // It says so when the pointer moves, and it may not be drawn yet.
      for (const x of [60, 120]) await page.locator("#matrix").hover({ position: { x, y: 8 } });
      return await page.locator("#matrix-tip").isVisible();
    });
    strictEqual(await page.locator(".tip img, .tip script").count(), 0);
  },
);

browserTest(
  "threat 29: the token leaves the address at once, and a wrong one says what to do",
  async (scene) => {
    await using served = Served.start({ files: filesOf(3) });
    const page = await scene.open(`${served.base}/#token=wrong-wrong-wrong`);
    await page.locator(".notice.failed").waitFor();
    ok(!page.url().includes("token"), page.url());
    scene.forgive(/401/);
    await page.locator("#enter").waitFor(); // the notice comes before the page knows that it is not logged in
  },
);

const ACTIVE = [
  ["page.html", "<!doctype html><script>alert(1)</script>"],
  [
    "drawing.svg",
    '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script></svg>',
  ],
  ["code.js", "alert(1)"],
  ["page.xhtml", '<html xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></html>'],
] as const;

browserTest(
  "threat 31: active content is saved and not shown, and runs nowhere on the page's own origin",
  async (scene) => {
    const files = ACTIVE.map(([name]) => ({ file: fileOf({ name }), held: true, holders: ["us"] }));
    const content = (fileId: string) => {
      const [name, text] = ACTIVE.find(([name]) => fileOf({ name }).fileId === fileId)!;
      return new FakeContent(fileOf({ name }), new TextEncoder().encode(text));
    };
    await using served = Served.start({ files, content });
    const page = await scene.open(served.base);
    for (const [name, text] of ACTIVE) {
      const downloading = page.waitForEvent("download");
      const path = `/api/v1/files/${fileOf({ name }).fileId}/content`;
      await page.goto(served.base + path).catch(() => {}); // it is a download, not a page
      const download = await downloading;
      strictEqual(download.suggestedFilename(), name);
      strictEqual(await Deno.readTextFile(await download.path()), text);
      ok(!page.url().includes("/content"), "it is not shown anywhere");
      // Embedded in a page it does nothing either.
      const outcome = await page.evaluate<string>(
        `import("${path}").then(() => "ran", () => "refused")`,
      );
      strictEqual(outcome, "refused", name);
    }
    scene.forgive(/Refused to execute script|MIME type|nosniff/);
  },
);

browserTest(
  "threat 28: a page of another site reaches nothing with the login that the browser has here",
  async (scene) => {
    const file = fileOf({ name: "mine.txt", owner: "us" });
    await using served = Served.start({ files: [{ file, held: true, holders: ["us"] }] });
    const victim = await scene.open(served.link);
    await victim.waitForSelector("body.may-change");
    const before = [...served.made.done];
    await using site = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen: () => {} },
      () =>
        new Response(
          `<!doctype html><title>a</title><form method="post" enctype="text/plain"
        action="${served.base}/api/v1/files?name=x"><input name="a"></form>`,
          { headers: { "content-type": "text/html" } },
        ),
    );
    // Another port is the same site for cookies, so the browser sends them along: the worst case.
    const evil = await victim.context().newPage();
    await evil.goto(`http://127.0.0.1:${site.addr.port}/`);
    const tries = [
      ["POST", `/api/v1/files?name=x`],
      ["DELETE", `/api/v1/files/${file.fileId}`],
      ["POST", `/api/v1/files/${file.fileId}/fetch`],
      ["POST", `/api/upload`],
      ["DELETE", `/api/v1/session`],
    ] as const;
    for (const [method, path] of tries) {
      for (const mode of ["cors", "no-cors"]) {
        if (mode === "no-cors" && method === "DELETE") continue;
        await evil.evaluate(
          ([url, init]) => fetch(url, init).then(() => {}, () => {}),
          [
            served.base + path,
            { method, mode, credentials: "include", ...method === "POST" ? { body: "x" } : {} },
          ] as [string, RequestInit],
        );
      }
    }
    const read = await evil.evaluate(
      (url) => fetch(url, { credentials: "include" }).then((r) => r.text(), () => "nothing"),
      `${served.base}/api/v1/files`,
    );
    strictEqual(read, "nothing", "it reads nothing either");
    await evil.evaluate("document.forms[0].submit()");
    await evil.getByText("A page on another site").first().waitFor();
    deepStrictEqual(served.made.done, before);
    await victim.reload();
    await victim.waitForSelector("body.may-change"); // the login is still valid
  },
);
