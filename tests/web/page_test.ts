// The status page: accurate, and safe whatever a peer calls itself or its files (THREATS 30, 33).

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { appOver, fileOf, NOW, type Parts, peerOf, transferOf } from "./fixture.ts";

async function page(parts: Parts = {}, path = "/"): Promise<string> {
  const { request, errors } = appOver(parts);
  const response = await request(path);
  assert.deepEqual(errors, []);
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type") ?? "", /^text\/html; charset=utf-8/i);
  return await response.text();
}

/** Returns the page's text as a reader sees it. */
const textOf = (html: string) =>
  html.replaceAll('</span><span class="tail">', "").replaceAll(/<[^>]*>/g, " ")
    .replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'").replaceAll("&amp;", "&").replaceAll(/\s+/g, " ");

/** Returns the page's tags, in order, without attributes. */
const tagsOf = (html: string) => [...html.matchAll(/<(\/?[a-z][a-z0-9]*)/gi)].map(([, tag]) => tag);

Deno.test("the page is served at / and /stats, with its style sheet next to it", async () => {
  assert.equal(await page(), await page({}, "/stats"));
  assert.match(await page(), /<link rel="stylesheet" href="\.\/style\.css"\/>/);
  const style = await appOver().request("/style.css");
  assert.match(style.headers.get("content-type") ?? "", /^text\/css/);
  assert.ok((await style.text()).includes("{"));
});

Deno.test("the page has its own icon, so that browsers do not request a missing default one", async () => {
  const [, path] = (await page()).match(/<link rel="icon" href="([^"]+)"/)!;
  const icon = await appOver().request(path!);
  assert.equal(icon.headers.get("content-type"), "image/svg+xml");
  assert.match(await icon.text(), /^<svg /);
});

Deno.test("peers and files are listed in their tables", async () => {
  const text = textOf(
    await page({
      peers: [peerOf(), peerOf({ peerId: "boot", host: "::1", bootstrap: true })],
      files: [
        { file: fileOf({ name: "here.txt", sizeBytes: 1500 }), held: true, holders: ["us", "bob"] },
        { file: fileOf({ name: "away.txt" }), held: false, holders: [] },
      ],
    }),
  );
  const expected = [
    "us",
    "synchronized",
    "bob",
    "10.0.0.7:8115",
    "5 s ago",
    "boot [::1]:8115 bootstrap",
  ];
  expected.push(
    "here.txt",
    "✓ kept here, content matches its id",
    "1.50 kB",
    "●●○ Here and on 1 more",
    "away.txt",
    "○○○ Nobody has this anymore",
    "alice",
    "5.00 GB",
    "2 / 3",
  );
  for (const words of expected) assert.ok(text.includes(words), `${words} in ${text}`);
});

Deno.test("the row of an avoided peer says why, as text", async () => {
  const backedOff = { seconds: 95, why: "answered with <b>rubbish</b>" };
  const text = textOf(await page({ peers: [peerOf({ backedOff })] }));
  assert.ok(text.includes("avoided for 2 min: it answered with <b>rubbish</b>"), text);
});

Deno.test("only files held here are linked, by their id", async () => {
  const here = fileOf({ name: "here.txt" });
  const away = fileOf({ name: "away.txt" });
  const html = await page({
    files: [
      { file: here, held: true, holders: ["us"] },
      { file: away, held: false, holders: ["bob"] },
    ],
  });
  const links = [...html.matchAll(/<a href="([^"]*)"/g)].map(([, href]) => href);
  assert.deepEqual(links, [`./api/v1/files/${here.fileId}/content`]);
});

Deno.test("names with markup are text: the page has the same tags as without them", async () => {
  const attacks = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "</title><script>alert(1)</script>",
    "</td></table><h1>x",
    "<!--",
    "&lt;b&gt;",
    "${alert(1)}",
    "javascript:alert(1)",
  ];
  const with_ = (name: string): Parts => ({
    status: {
      peerId: name,
      host: name,
    },
    transfers: [transferOf({ name, peer: name })],
    peers: [peerOf({ peerId: name, host: name })],
    files: [{
      file: fileOf({ name, owner: name, fileId: "a".repeat(64) }),
      held: true,
      holders: [name],
    }],
  });
  const plain = await page(with_("plain"));
  for (const attack of attacks) {
    const html = await page(with_(attack));
    assert.deepEqual(tagsOf(html), tagsOf(plain), attack);
    assert.ok(!html.replaceAll(attack.replaceAll("<", "&lt;"), "").includes("<!--"), attack);
    const count = textOf(html).split(attack.replaceAll(/\s+/g, " ")).length - 1;
    assert.ok(count >= 8, `${attack} is shown ${count} times`);
    const alone = await page({ ...with_(attack), peers: [], files: [] });
    assert.deepEqual(
      tagsOf(alone),
      tagsOf(await page({ ...with_("plain"), peers: [], files: [] })),
    );
  }
});

Deno.test("control characters and marks that change reading direction are shown escaped", async () => {
  const name = "evil\u202etxt.exe\u001b[31m\u0000\u2028\r\nX";
  const html = await page({
    status: { peerId: name, host: name },
    peers: [peerOf({ peerId: name, host: name })],
    files: [{ file: fileOf({ name, owner: name }), held: true, holders: [name] }],
  });
  assert.ok(!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(html.replaceAll("\n", "")));
  assert.ok(html.includes("evil\\u{202e}txt.exe\\u{1b}[31m\\u{0}"));
});

Deno.test("the page contains no inline script or style, and nothing from other hosts", async () => {
  const html = await page({
    peers: [peerOf()],
    files: [{ file: fileOf(), held: true, holders: [] }],
  });
  const inline = [...html.matchAll(/<script(?![^>]*\ssrc=)[^>]*>([^]*?)<\/script>/g)];
  const [[tag, map]] = inline as unknown as [[string, string]];
  assert.equal(inline.length, 1, "the import map, which cannot be a separate file");
  assert.match(tag, /^<script type="importmap">/);
  const policy = (await appOver().request("/")).headers.get("content-security-policy")!;
  const hash = createHash("sha256").update(map).digest("base64");
  assert.match(policy, /script-src 'self' 'sha256-[^']*';/);
  assert.ok(policy.includes(`'sha256-${hash}'`), "which the policy allows by its hash");
  const rest = html.replace(tag, "");
  for (const [, src] of rest.matchAll(/<script[^>]*\ssrc="([^"]*)"/g)) {
    assert.match(src!, /^\.\/browser\/\w+\.js$/);
  }
  assert.ok(!/<style|\sstyle=|\son\w+=|javascript:|https?:\/\//i.test(rest));
});

Deno.test("whatever the page and its modules request exists, and is sent again only if it changed", async () => {
  const { request } = appOver();
  const html = await (await request("/")).text();
  const { imports } = JSON.parse(/<script type="importmap">([^]*?)<\/script>/.exec(html)![1]!);
  const asked = [...html.matchAll(/\s(?:src|href)="(\.\/[^"]*\.(?:js|css|svg))"/g)].map((
    [, path],
  ) => path!);
  asked.push(...Object.values<string>(imports));
  assert.ok(asked.length > 20);
  for (const path of new Set(asked)) {
    const response = await request(path);
    assert.equal(response.status, 200, path);
    const text = await response.text();
    const etag = response.headers.get("etag")!;
    const again = await request(path, { headers: { "if-none-match": etag } });
    assert.equal(again.status, 304, path);
    // Its imports are preloaded or in the import map.
    if (!path.endsWith(".js")) continue;
    for (const [, name] of text.matchAll(/^import [^"']*?["']([^"']+)["'];$/gm)) {
      const reached = name!.startsWith(".")
        ? `.${new URL(name!, new URL(path, "http://x/")).pathname}`
        : imports[name!];
      assert.ok(asked.includes(reached), `${path} imports ${name}`);
    }
  }
});

Deno.test("modules are served without comments and indentation but otherwise line by line as written", async () => {
  const { request } = appOver();
  let dropped = 0;
  const modules: string[] = [];
  for (const folder of ["browser", "shared"]) {
    for await (const { name } of Deno.readDir(new URL(`../../web/${folder}/`, import.meta.url))) {
      if (name.endsWith(".js")) modules.push(`${folder}/${name}`);
    }
  }
  const folder = await Deno.makeTempDir();
  const pathOf = (kind: string, name: string) => `${folder}/${kind}/${name.replace("/", "_")}`;
  try {
    for (const kind of ["served", "written"]) await Deno.mkdir(`${folder}/${kind}`);
    for (const name of modules) {
      const source = await Deno.readTextFile(new URL(`../../web/${name}`, import.meta.url));
      const text = await (await request(`/${name}`)).text();
      const served = text.split("\n");
      const lines = source.split("\n");
      assert.equal(served.length, lines.length, name);
      const kept: string[] = [];
      for (const [at, line] of lines.entries()) {
        const isKept = served[at] === line.trimStart();
        kept.push(isKept ? line : "");
        if (isKept) continue;
        dropped++;
        assert.equal(served[at], "", `${name}:${at + 1}`);
        assert.match(line, /^\s*(\/\/|\/\*|\*)/, `${name}:${at + 1} is a comment`);
      }
      assert.doesNotMatch(text, /^\s*\/\/|^\s*\/\*\*.*\*\/$/m, name);
      await Deno.writeTextFile(pathOf("served", name), text);
      await Deno.writeTextFile(pathOf("written", name), kept.join("\n"));
    }
    // The formatter restores the indentation of code, and never touches texts: both have to become the same.
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["fmt", "-q", folder],
      cwd: folder,
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    for (const name of modules) {
      assert.equal(
        await Deno.readTextFile(pathOf("served", name)),
        await Deno.readTextFile(pathOf("written", name)),
        name,
      );
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  assert.ok(dropped > 500, `${dropped} lines`);
});

Deno.test("an invalid date is shown as such, and the page still renders", async () => {
  const strange = [
    "1e999",
    "-0",
    "-1",
    "99999999999999999999",
    "8640000000000",
    "8640000000001",
    "NaN",
  ];
  const quoted = ["", "not a date", "Sun Jun 15 21:36:41 2025", "Sun Jun 99 99:99:99 2025"];
  const files = [
    ...strange.map((text) => ({ text, quoted: false })),
    ...quoted.map((text) => ({ text, quoted: true })),
  ].map((timestamp) => ({ file: fileOf({ timestamp }), held: false, holders: [] }));
  const text = textOf(await page({ files }));
  assert.ok(text.includes("invalid date"));
  assert.ok(!text.includes("NaN") && !text.includes("Invalid Date"), text);
  const valid = { file: fileOf({ timestamp: { text: "1744169352.0", quoted: false } }) };
  const html = await page({ files: [{ ...valid, held: false, holders: [] }] });
  assert.match(html, /2025-04-09T03:29:12\.000Z/);
});

Deno.test("a future date and an unknown size are shown sensibly", async () => {
  const ahead = { text: String(NOW + 86_400 * 400), quoted: false };
  const text = textOf(
    await page({ files: [{ file: fileOf({ timestamp: ahead }), held: false, holders: [] }] }),
  );
  assert.match(text, /2026-07-\d\d/);
  assert.ok(!/-\d+ (s|min|h|d) ago/.test(text));
  assert.ok(text.includes("1.57 MB"), "as reported by the owner");
});

Deno.test("a peer heard from just now, by a rounded clock, was seen now", async () => {
  const text = textOf(await page({ peers: [peerOf({ lastSeen: NOW + 0.4 })] }));
  assert.match(text, /\bnow\b/);
  assert.ok(!/-\d/.test(text.replaceAll(/\d-\d/g, "")), text);
});

Deno.test("a lone peer's page says how another one can join, and that there are no files", async () => {
  const text = textOf(await page({ status: { synchronized: false, peers: 0 } }));
  assert.match(text, /alone/);
  assert.match(text, /--bootstrap 10\.0\.0\.1:8115/);
  assert.match(text, /No files yet/);
});

Deno.test("an IPv6 address is shown in a form that can be typed", async () => {
  const text = textOf(await page({ status: { host: "2001:db8::1" } }));
  assert.ok(text.includes("[2001:db8::1]:8115"), text);
});

Deno.test("without JavaScript, a thousand files can be paged through, searched, and sorted with links and a form", async () => {
  const files = Array.from({ length: 1_000 }, (_, i) => ({
    file: fileOf({ name: `file ${i}.txt`, timestamp: { text: String(i), quoted: false } }),
    held: false,
    holders: [],
  }));
  const namesOf = (html: string) =>
    [...html.matchAll(/<bdi class="whole-name" title="(file \d+)/g)].map(([, name]) => name);
  const html = await page({ files });
  assert.equal(namesOf(html).length, 30);
  assert.equal(namesOf(html)[0], "file 999", "newest first");
  const [, next] = /<a href="([^"]*)">More files/.exec(html)!;
  assert.equal(namesOf(await page({ files }, next!))[0], "file 969");
  const found = await page({ files }, "/?q=file+999.txt&where=all&sort=-time&sort=name");
  assert.deepEqual(namesOf(found), ["file 999"]);
  assert.match(found, /value="file 999.txt"/);
  // A button's own value comes after the form's hidden field, and wins.
  const byName = await page({ files }, "/?sort=-time&sort=name");
  assert.equal(namesOf(byName)[0], "file 0");
  assert.equal(namesOf(await page({ files }, "/?sort=nonsense&start=-3")).length, 30);
});

Deno.test("transfers are shown with their progress, and old ones are not shown", async () => {
  const transfers = [
    transferOf({ id: 1, name: "running" }),
    transferOf({
      id: 2,
      name: "failed",
      state: "failed",
      endedAt: NOW - 60,
      why: "bob <has> gone",
    }),
    transferOf({ id: 3, name: "done", state: "done", endedAt: NOW - 10 }),
    transferOf({ id: 4, name: "long ago", state: "done", endedAt: NOW - 90 }),
  ];
  const text = textOf(await page({ transfers }));
  for (
    const words of [
      "5 of 10 B",
      "4 B/s",
      "1 s left",
      "from bob",
      "✗ bob <has> gone",
      "✓ 5 B in 1 s",
    ]
  ) {
    assert.ok(text.includes(words), `${words} in ${text}`);
  }
  assert.ok(!text.includes("long ago"));
});

Deno.test("if reading is private, the page only offers a login by link and shows nothing else", async () => {
  const files = [{ file: fileOf(), held: true, holders: ["us"] }];
  const { request } = appOver({ files, options: { isPrivate: true } });
  const response = await request("/");
  const html = await response.text();
  assert.equal(response.status, 401);
  assert.match(html, /<script type="module" src="\.\/browser\/locked\.js">/);
  assert.ok(!/a\.txt|us\b.*8115/.test(html));
  assert.match(textOf(html), /login/);
  assert.equal((await request("/browser/locked.js")).status, 200);
});

Deno.test("the page says which limits were reached, the most often first, and nothing if none was", async () => {
  const limitsOf = (html: string) => /<p id="limits"([^>]*)>([^<]*)</.exec(html)!.slice(1);
  const [shown, text] = limitsOf(await page());
  assert.ok(!shown!.includes("hidden"));
  assert.equal(text!.trim(), "Pushes refused: 1,234 (--push-rate). Copies not offered: 2");
  const [hidden, nothing] = limitsOf(await page({ status: { overloads: [] } }));
  assert.ok(hidden!.includes("hidden"));
  assert.equal(nothing!.trim(), "");
});
