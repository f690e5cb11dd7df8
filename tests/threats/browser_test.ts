// Threats 30 and 31 in docs/SECURITY-TESTS.md, as far as they can be tested without a browser: scripts in names sent by peers,
// and active content that is served back. Names arrive from a hostile peer over the protocol and must be plain text
// wherever they are shown. Content must be served as a download, which no browser runs under this peer's origin.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Raw } from "../hostile/raw.ts";
import { SANITIZED } from "../process/together.ts";
import { bring, dataOf, entryOf, type Message, randomFile, Source } from "./scene.ts";
import {
  ask,
  type Asked,
  bearer,
  headerOf,
  headersOf,
  headText,
  jsonOf,
  policyOf,
  tokenOf,
  upload,
  utf8,
  webOf,
} from "./web.ts";
import { World } from "./world.ts";

/** Each contains a marker word, so that it can be found wherever it appears. */
const MARKUP = [
  "<img src=x onerror=alert(1) title=kezqu>",
  "<script>kezqu()</script>",
  '"><svg onload=kezqu()>',
  "'><b onmouseover='kezqu()",
  "x onfocus=kezqu() autofocus",
  "</title></style></textarea><script>kezqu()</script>",
  "<!--kezqu",
  "--><i>kezqu",
  "<a href=javascript:kezqu()>",
  "javascript:kezqu()",
  "&lt;b&gt;kezqu",
  "&#60;script&#62;kezqu",
  "<kezqu",
  "${kezqu}{{kezqu}}<%=kezqu%>",
];

interface Tag {
  readonly name: string;
  readonly attributes: readonly (readonly [string, string])[];
}

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"' };
const unescaped = (text: string): string =>
  text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (all, hex, number, name) => {
    if (hex) return String.fromCodePoint(parseInt(hex, 16));
    if (number) return String.fromCodePoint(Number(number));
    return ENTITIES[name] ?? all;
  });

/** Parses a page as a browser would, into tags and the text between them and in attributes. */
function parsed(html: string): { tags: Tag[]; text: string } {
  const tags: Tag[] = [];
  let text = "";
  const piece =
    /<!doctype[^>]*>|<!--[^]*?(?:-->|$)|<(\/?[a-z][^\s/>]*)([^>"']*(?:"[^"]*"|'[^']*'|[^>"'])*)>|[^<]+|</gi;
  for (const [all, name, rest] of html.matchAll(piece)) {
    if (name === undefined) {
      text += all.startsWith("<!") ? "" : unescaped(all);
      if (all.startsWith("<!--")) tags.push({ name: "!--", attributes: [["", all]] });
      continue;
    }
    const attributes = [
      ...rest!.matchAll(/([^\s=/"'>]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]*)))?/g),
    ]
      .map(([, key, ...values]) =>
        [key!.toLowerCase(), unescaped(values.find((value) => value !== undefined) ?? "")] as const
      );
    tags.push({ name: name.toLowerCase(), attributes });
  }
  return { tags, text };
}

const written = ({ name, attributes }: Tag) =>
  `<${name} ${attributes.map(([key, value]) => `${key}=${value}`).join(" ")}>`;

/** Drawing tags and scripts, including the import map. The page itself has some, but no name may create one. */
const DRAWN = /^\/?(?:svg|symbol|path|use|img|script)$/;

/** Returns the drawing tags and scripts that the pages have before any name appears. */
async function ownOf(program: Parameters<typeof ask>[0]): Promise<Map<string, number>> {
  const own = new Map<string, number>();
  const { body } = await ask(program, { path: "/" });
  for (const tag of parsed(utf8(body)).tags) {
    if (DRAWN.test(tag.name)) own.set(written(tag), (own.get(written(tag)) ?? 0) + 1);
  }
  return own;
}

/** Checks what must hold for any page, whatever it shows. */
function assertInert(
  { tags }: { tags: readonly Tag[] },
  path: string,
  own: ReadonlyMap<string, number>,
): void {
  const left = new Map(own);
  for (const tag of tags) {
    const { name, attributes } = tag;
    const shown = written(tag);
    const count = left.get(shown) ?? 0;
    left.set(shown, count - 1);
    if (count > 0) continue;
    ok(/^\/?[a-z][a-z0-9-]*$/.test(name), `${path}: ${shown}`);
    ok(!/^(?:iframe|object|embed|base|img|svg|b?kezqu)$/.test(name), `${path}: ${shown}`);
    for (const [key, value] of attributes) {
      ok(!/^(?:on|style$|srcdoc$)/.test(key) && !key.includes("kezqu"), `${path}: ${shown}`);
      if (["href", "src", "action", "formaction"].includes(key)) {
        ok(/^(?:\.{0,2}\/(?!\/)|#|\?|https?:\/\/127\.0\.0\.1)/.test(value), `${path}: ${shown}`);
      }
    }
    ok(!DRAWN.test(name) || /^\/?script$/.test(name), `${path}: ${shown}`);
    if (name === "script") ok(attributes.some(([key]) => key === "src"), `${path}: ${shown}`);
    ok(name !== "style", `${path}: ${shown}`);
  }
}

const PAGES = ["/", "/stats", "/api/docs"];

Deno.test(
  "threat 30: file, owner, and peer names with markup in them are plain text on every page and run nothing",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program, honest } = world;
    const before = new Map<string, string>();
    const own = await ownOf(program);
    for (const path of PAGES) before.set(path, (await ask(program, { path })).body);
    await using sources = new AsyncDisposableStack();
    const entries: Message[] = [];
    for (const name of MARKUP) {
      entries.push(entryOf(randomFile(`file ${name}`, `owner ${name}`)));
      const held = randomFile(`held ${name}`, `owner ${name}`);
      await bring(program, dataOf(held));
      await program.holds(held.fileId);
    }
    let joined = 0;
    for (const [i, name] of MARKUP.entries()) {
      const source = sources.use(
        await Source.start(`peer ${name}`, (socket) => socket.end(), `127.0.0.${i + 10}`),
      );
      await source.gossip(program);
      await source.list(program, i === 0 ? entries : []);
      joined++;
    }
    await program.until("all peers", async () => {
      return [...await world.tracked()].filter((name) => name.includes("kezqu")).length === joined;
    });
    await program.until("all files", async () => {
      return (await program.files()).length > 2 * MARKUP.length; // plus the honest peer's file
    });
    for (const path of PAGES) {
      const answer = await ask(program, { path });
      strictEqual(answer.status, 200);
      match(headerOf(answer, "content-type"), /^text\/html; ?charset=utf-8$/i);
      const page = parsed(utf8(answer.body));
      assertInert(page, path, own);
      if (path === "/api/docs") continue;
      const seen = [...page.tags.flatMap(({ attributes }) => attributes.map(([, value]) => value))]
        .concat(page.text).join("\n");
      for (const name of MARKUP) {
        for (const kind of ["peer", "owner", "held", "file"]) {
          const isFile = kind === "held" || kind === "file"; // only the last part of a path becomes the name
          const shown = isFile ? `${kind} ${name}`.replace(/^.*\//, "") : `${kind} ${name}`;
          // Long names may be shortened.
          ok(seen.includes(shown.slice(0, 30)), `${path} does not show ${shown} unchanged`);
        }
      }
      // Names create rows, and rows may contain only tags that were there before or are harmless.
      const made = new Set(page.tags.map(({ name }) => name.replace("/", "")));
      for (const { name } of parsed(before.get(path)!).tags) made.delete(name.replace("/", ""));
      for (const name of made) {
        match(
          name,
          /^(?:table|t[rhd]|thead|tbody|caption|code|span|a|ul|li|b|p|form|button|input|label|time|div|small|abbr|details|summary|progress|h[23]|bdi|noscript)$/,
        );
      }
    }
    await honest.gossip();
  },
);

Deno.test(
  "threat 30: every page, including error pages, has a policy that blocks inline scripts",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program, honest } = world;
    const own = await ownOf(program);
    const broken = ["/<script>kezqu()</script>", "/%3Cscript%3Ekezqu()%3C/script%3E"];
    const queries = [
      "/?q=<img/src=x/onerror=kezqu()>",
      "/stats?sort=%22%3E%3Csvg/onload=kezqu()%3E",
    ];
    const api = ["files?sort=<b>kezqu", "files?where=<b>kezqu", "files?q=<b>kezqu", "<b>kezqu"];
    const paths = [...PAGES, ...broken, ...queries, ...api.map((path) => `/api/v1/${path}`)];
    for (const path of paths) {
      for (const accept of ["text/html", "*/*"]) {
        const answer = await ask(program, { path, headers: { Accept: accept } });
        const type = headerOf(answer, "content-type");
        const policy = policyOf(answer);
        strictEqual(policy.get("frame-ancestors"), "'none'", path);
        strictEqual(policy.get("base-uri"), "'none'", path);
        if (type.startsWith("text/html")) assertInert(parsed(utf8(answer.body)), path, own);
        else match(type, /^(?:application\/(?:problem\+)?json|text\/plain)/, path);
      }
    }
    await honest.gossip();
  },
);

Deno.test(
  "threat 30: no name can inject events or metrics",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program, honest } = world;
    using events = await Raw.open(webOf(program));
    events.write(headText(program, { path: "/api/v1/events" }));
    await events.untilText(/\r\n\r\n/);
    const tricks = [
      "\n\nevent: kezqu\ndata: {}\n\n",
      "\r\rdata: kezqu\r\r",
      '"} 1\nkezqu 1\n',
      "\\",
    ];
    for (const [i, trick] of tricks.entries()) {
      const [name, owner] = [`a${trick}b`, `c${trick}d`];
      const held = randomFile(name, owner);
      await bring(program, dataOf(held));
      await using source = await Source.start(`e${trick}f`, (s) => s.end(), `127.0.0.${i + 10}`);
      await source.gossip(program);
      await source.list(program, [entryOf(randomFile(name, owner))]);
    }
    await honest.push();
    const last = (await program.files()).find(({ file_name: name }) => name.startsWith("push-"))!;
    await events.untilText(new RegExp(`${last.file_id}|${last.file_name}|event:`));
    const lines = events.text.split(/\r\n|\r|\n/);
    deepStrictEqual(lines.filter((line) => /^(?:event|data|id|retry): ?kezqu/.test(line)), []);
    const { body } = await ask(program, { path: "/metrics" });
    for (const line of body.split("\n")) {
      match(line, /^(?:#.*|[a-z][a-z0-9_:]*(?:\{[^\n]*\})? \S+|)$/);
      ok(!line.startsWith("kezqu"), line);
    }
    await honest.gossip();
  },
);

const ACTIVE: readonly (readonly [string, string])[] = [
  ["page.html", "<!doctype html><script>alert(document.cookie)</script>"],
  ["page.HTM", "<html onload=alert(1)>"],
  ["page.xhtml", '<html xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></html>'],
  ["drawing.svg", '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'],
  ["style.xsl", '<?xml version="1.0"?><?xml-stylesheet href="#" type="text/xsl"?><x/>'],
  ["code.js", "alert(1)"],
  ["worker.mjs", "self.onfetch = alert"],
  ["style.css", "body { background: url(javascript:alert(1)) }"],
  ["paper.pdf", "%PDF-1.4 /JS (app.alert(1))"],
  ["mail.mht", "MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script>"],
  ["nothing", "<script>alert(1)</script>"],
];

Deno.test(
  "threat 31: active content is served as a sandboxed download and never sniffed",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program, honest } = world;
    const token = await tokenOf(program);
    for (const [name, content] of ACTIVE) {
      const fileId = await upload(program, token, name, content);
      // Also as uploaded by a form with its own content type.
      const form = await ask(program, {
        method: "POST",
        path: "/api/v1/files",
        headers: { ...bearer(token), "Content-Type": "multipart/form-data; boundary=b" },
        body: `--b\r\nContent-Disposition: form-data; name="file"; filename="form-${name}"\r\n` +
          `Content-Type: text/html\r\n\r\n${content}!\r\n--b--\r\n`,
      });
      strictEqual(form.status, 201, form.body);
      const [{ file_id: second }] = jsonOf<{ files: [{ file_id: string }] }>(form).files;
      const path = `/api/v1/files/${fileId}/content`;
      const accept = { Accept: "text/html,image/svg+xml", "Sec-Fetch-Dest": "document" };
      const answers: Asked[] = [
        { path },
        { path, headers: accept },
        { path, headers: { Range: "bytes=0-3" } },
        { path, method: "HEAD" },
        { path: `${path}?type=text/html&inline=1` },
        { path: `/api/v1/files/${second}/content`, headers: accept },
        { path: "/api/download", headers: { "X-File-Name": name } },
      ];
      for (const asked of answers) {
        const answer = await ask(program, asked);
        const what = `${JSON.stringify(asked)}: ${answer.head}`;
        strictEqual(answer.status, "Range" in (asked.headers ?? {}) ? 206 : 200, what);
        match(headerOf(answer, "content-disposition"), /^attachment;/, what);
        strictEqual(headerOf(answer, "content-type"), "application/octet-stream", what);
        strictEqual(headerOf(answer, "x-content-type-options"), "nosniff", what);
        const policy = policyOf(answer);
        strictEqual(policy.get("sandbox"), "", what);
        strictEqual(policy.get("default-src"), "'none'", what);
      }
      strictEqual((await ask(program, { path })).body, content);
      const etag = headerOf(await ask(program, { path }), "etag");
      const known = await ask(program, { path, headers: { "If-None-Match": etag } });
      deepStrictEqual([known.status, known.body], [304, ""]);
      ok(headersOf(known, "content-type").every((type) => type === "application/octet-stream"));
    }
    await honest.gossip();
  },
);
