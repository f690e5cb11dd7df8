// Threat 29 in docs/SECURITY-TESTS.md: guessed and stolen logins. Guesses are limited per address, whichever route they use,
// and hold up nobody else. Each login gets a new session, which ends at logout. The token is in its file and in the one
// line printed for whoever started the program, and nowhere else.

import { deepStrictEqual, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Raw } from "../hostile/raw.ts";
import { Program } from "../process/program.ts";
import { forEachOf, SANITIZED, together } from "../process/together.ts";
import { listed } from "./scene.ts";
import {
  type Answer,
  ask,
  type Asked,
  bearer,
  cookieOf,
  headersOf,
  headText,
  login,
  storeOf,
  tokenOf,
  upload,
  webOf,
} from "./web.ts";
import { ALONE, ATTACKERS, NAME, World } from "./world.ts";

const GUESSES = 200;
/** Maximum number of guesses checked. The limit is five per minute, but on a slow machine a test may take minutes. */
const MOST = 15;

const guess = (i: number): string => `${i}`.padStart(43, "A");

/** Routes for trying a token. Each is used from its own address. */
const DOORS: Readonly<Record<string, (token: string, i: number) => Asked>> = {
  session: (token) => ({
    method: "POST",
    path: "/api/v1/session",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token }),
  }),
  older: (token) => ({
    method: "POST",
    path: "/api/login",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ username: token }),
  }),
  bearer: (token, i) => ({
    method: "PUT",
    path: `/api/v1/files/by-name/planted-${i}.txt`,
    headers: bearer(token),
    body: "planted",
  }),
  "bearer, with a forged client address": (token, i) => ({
    method: "POST",
    path: `/api/v1/files/${"0".repeat(64)}/fetch`,
    headers: {
      ...bearer(token),
      "X-Forwarded-For": `10.0.0.${i}`,
      "X-Real-IP": `10.0.0.${i}`,
      Forwarded: `for=10.0.0.${i}`,
      Cookie: `session_id=${i}`,
    },
  }),
};

const isOpen = ({ status }: Answer) => status >= 200 && status < 300;

Deno.test(
  "threat 29: of 200 wrong tokens from one address, five are checked, and other clients are still served and can log in",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program, honest } = world;
    const token = await tokenOf(program);
    for (const [at, [door, asked]] of Object.entries(DOORS).entries()) {
      const from = ATTACKERS[at]!;
      const statuses: number[] = [];
      for (let i = 0; i < GUESSES; i++) {
        statuses.push((await ask(program, { ...asked(guess(i), i), from })).status);
      }
      const first = statuses.slice(0, 6);
      deepStrictEqual(first, [401, 401, 401, 401, 401, 429], door);
      const looked = statuses.filter((status) => status === 401).length;
      ok(looked <= MOST, `Too many guesses checked by ${door}: ${looked} of ${GUESSES}`);
      ok(statuses.every((status) => [401, 429].includes(status)), door);
      // The guesser can still read, and others can still log in.
      strictEqual((await ask(program, { path: "/api/v1/files", from })).status, 200);
      ok(isOpen(await login(program, token, { from: "127.0.0.9" })), door);
      ok(isOpen(await login(program, token, { from: "127.0.0.9", older: true })), door);
    }
    deepStrictEqual(
      (await program.files()).filter(({ file_name: name }) => name.startsWith("planted")),
      [],
    );
    await honest.check();
  },
);

// Nobody guesses 256 bits. The limit protects the log, saves work, and covers a token that a user has shortened by
// hand. It must not lock out the owner, who may share the guesser's address on a shared host.
Deno.test(
  "threat 29: after five wrong guesses, every login route stops answering guesses, but the owner is never locked out",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program, honest } = world;
    const token = await tokenOf(program);
    for (const [at, [door, asked]] of Object.entries(DOORS).entries()) {
      const from = ATTACKERS[at]!;
      // The guesses may span two minutes, and five wrong ones use up each minute.
      for (let i = 0; i < 12; i++) await ask(program, { ...asked(guess(i), i), from });
      for (const [other, right] of Object.entries(DOORS)) {
        const wrong = await ask(program, { ...right(guess(99), 0), from });
        strictEqual(wrong.status, 429, `${other} still checks guesses after those by ${door}`);
        const owner = await ask(program, { ...right(token, 0), from });
        ok(
          ![401, 403, 429].includes(owner.status),
          `${other} locks out the owner after guesses by ${door}`,
        );
      }
    }
    await honest.gossip();
  },
);

Deno.test(
  "threat 29: simultaneous guesses, on separate connections or on one, are limited too",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program, honest } = world;
    const token = await tokenOf(program);
    const looked = { at: 0 };
    const all = Array.from({ length: GUESSES }, (_, i) => i);
    await together([
      forEachOf(all, async (i) => {
        const { status } = await ask(program, {
          ...DOORS.session!(guess(i), i),
          from: "127.0.0.2",
        });
        if (status === 401) looked.at++;
        else strictEqual(status, 429);
      }, 32), // fewer than an address may have: some are still being closed
      honest.gossip(),
      login(program, token).then((answer) => ok(isOpen(answer))),
    ]);
    ok(looked.at <= MOST, `Too many guesses checked: ${looked.at} of ${GUESSES}`);
    using raw = await Raw.open(webOf(program), { from: "127.0.0.3" });
    for (const i of all) {
      const { body = "", headers = {}, ...asked } = DOORS.session!(guess(i), i);
      const more = { "Content-Length": `${body.length}`, Connection: "keep-alive" };
      raw.write(headText(program, { ...asked, headers: { ...headers, ...more } }) + body);
    }
    raw.write(headText(program, { path: "/healthz" }));
    await raw.untilClosed();
    const found = raw.text.match(/^HTTP\/1\.1 \d{3}/gm)!.map((line) => Number(line.slice(-3)));
    const tried = found.filter((status) => status === 401).length;
    ok(
      tried > 0 && tried <= MOST,
      `Unexpected number of guesses checked on one connection: ${tried} of ${GUESSES}`,
    );
    ok(found.every((status) => [200, 401, 429].includes(status)), found.join());
    await honest.check();
  },
);

Deno.test(
  "threat 29: a logged-in user keeps working while someone guesses from the same address",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program, honest } = world;
    const cookie = await cookieOf(program, await tokenOf(program));
    for (let i = 0; i < 20; i++) await ask(program, DOORS.session!(guess(i), i));
    const asked = { method: "PUT", path: "/api/v1/files/by-name/mine.txt", body: "mine" };
    const { status, body } = await ask(program, { ...asked, headers: { Cookie: cookie } });
    strictEqual(status, 201, body);
    await honest.gossip();
  },
);

/** Resolves to whether this cookie allows an upload. */
async function lets(program: Program, cookie: string, name: string): Promise<boolean> {
  const { status } = await ask(program, {
    method: "PUT",
    path: `/api/v1/files/by-name/${name}`,
    headers: { Cookie: cookie },
    body: crypto.randomUUID(),
  });
  ok([201, 401].includes(status), `${status}`);
  return status === 201;
}

Deno.test(
  "threat 29: each login starts a new session, whatever cookie was sent with it, and logout ends that session",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program, honest } = world;
    const token = await tokenOf(program);
    for (const older of [false, true]) {
      const first = await cookieOf(program, token, older);
      const [name, id] = first.split("=");
      const planted = `${name}=${"A".repeat(id!.length)}`;
      const cookies = [first];
      for (const brought of [first, planted]) {
        const answer = await login(program, token, { older, headers: { Cookie: brought } });
        cookies.push(headersOf(answer, "set-cookie").at(-1)!.split(";")[0]!); // after the header that ends the old session
      }
      strictEqual(new Set(cookies).size, 3, "each login must start its own session");
      notStrictEqual(cookies[2], planted);
      ok(!await lets(program, planted, "planted.txt"), "a client must not choose its session");
      const last = cookies[2]!;
      ok(await lets(program, last, "before.txt"));
      const { status } = await ask(program, {
        method: "DELETE",
        path: "/api/v1/session",
        headers: { Cookie: last },
      });
      strictEqual(status, 204);
      ok(!await lets(program, last, "after.txt"), "a session must end at logout");
      const rows = await program.files();
      ok(!rows.some(({ file_name: name }) => ["planted.txt", "after.txt"].includes(name)));
    }
    await honest.gossip();
  },
);

Deno.test(
  "threat 29: no wrong or malformed cookie or header allows a change",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program, honest } = world;
    const token = await tokenOf(program);
    const cookie = await cookieOf(program, token);
    const older = await cookieOf(program, token, true);
    const [name, id] = cookie.split("=") as [string, string];
    const ids = ["", "undefined", "null", "true", "__proto__", "constructor", "0", "*", "%00"];
    const wrong: Record<string, string>[] = [
      ...[...ids, id.slice(0, -1), `${id}A`, id.toUpperCase(), token].flatMap((value) => [
        { Cookie: `${name}=${value}` },
        { Cookie: `session_id=${value}` },
      ]),
      { Cookie: `${name.toUpperCase()}=${id}` },
      { Cookie: `${name}x=${id}; x${name}=${id}` },
      { Cookie: `x=${older}` },
    ];
    await forEachOf(wrong, async (headers) => {
      ok(!await lets(program, headers.Cookie!, "planted.txt"), JSON.stringify(headers));
    });
    const headers = [
      "",
      "Bearer",
      "Bearer ",
      `Basic ${btoa(`:${token}`)}`,
      `Basic ${btoa(`${token}:`)}`,
      token,
      `Bearer ${token.slice(0, -1)}`,
      `Bearer ${token}A`,
      `Bearer ${token.toLowerCase()}`,
      `Bearer ${token}, Bearer x`,
      `Bearer ${id}`,
      "Bearer undefined",
      "Bearer __proto__",
    ];
    for (const [i, value] of headers.entries()) {
      const { status } = await ask(program, {
        method: "PUT",
        path: "/api/v1/files/by-name/planted.txt",
        headers: { Authorization: value },
        body: "planted",
        from: `127.0.1.${i + 1}`, // each address has its own attempts
      });
      strictEqual(status, 401, value);
    }
    ok(!(await program.files()).some(({ file_name: name }) => name === "planted.txt"));
    await honest.gossip();
  },
);

const PAGES = ["/", "/stats", "/api/docs", "/metrics", "/healthz", "/api/list", "/api/peers"];
/** Paths where someone might look for the token. */
const GUESSED = [
  ...["/web-token", "/.p2p-peer/web-token", "/api/v1/files/web-token/content", "/api/v1/token"],
  ...["%2e%2e%2fweb-token", "..%2f.p2p-peer%2fweb-token", ".p2p-peer%2fweb-token"].flatMap(
    (name) => [`/${name}`, `/api/v1/files/${name}`, `/api/v1/files/${name}/content`],
  ),
];

Deno.test(
  "threat 29: the token is in its owner-only file, and in no response and no line that is not printed on a terminal",
  SANITIZED,
  async () => {
    await using world = await World.make(["--log-level", "TRACE"]);
    const { program, honest, folder } = world;
    const token = await tokenOf(program);
    const path = storeOf(world, ".p2p-peer", "web-token");
    strictEqual((await Deno.readTextFile(path)).trim(), token);
    strictEqual((await Deno.stat(path)).mode! & 0o777, 0o600);
    const cookie = await cookieOf(program, token);
    const fileId = await upload(program, token, "x.txt", "x");
    await login(program, `${token}x`);
    const document = await program.api<{ paths: Record<string, unknown> }>("openapi.json");
    const described = Object.keys(document.paths).map((path) =>
      `/api/v1${path.replace("{id}", fileId).replace("{name}", "x.txt")}`
    );
    const found = new Set([...PAGES, ...described, ...GUESSED]);
    const logins: Record<string, string>[] = [{}, bearer(token), { Cookie: cookie }];
    const answers: string[] = [];
    for (const path of found) {
      for (const headers of logins) {
        if (path.endsWith("/events")) continue; // below
        const { head, body } = await ask(program, { path, headers });
        answers.push(`${path}\n${head}\n${body}`);
        for (const [, link] of body.matchAll(/(?:href|src)="(\.{0,2}\/[^"]*)"/g)) {
          found.add(new URL(link!, `http://127.0.0.1${path}`).pathname);
        }
      }
    }
    ok(
      found.size > PAGES.length + described.length + GUESSED.length,
      "Expected pages to link to others",
    );
    using events = await Raw.open(webOf(program));
    events.write(headText(program, { path: "/api/v1/events", headers: bearer(token) }));
    await events.untilText(/\r\n\r\n/);
    await upload(program, token, "y.txt", "y");
    await events.untilText(/y\.txt|data:/);
    answers.push(events.text);
    for (const answer of answers) ok(!answer.includes(token), `the token is in ${answer}`);
    // Peers do not receive the token either, and the log contains no session.
    strictEqual((await listed(program)).size, 3);
    deepStrictEqual(program.lines.filter((line) => line.includes(token)), []);
    ok(program.lines.some((line) => line.includes(path)), "the file must be named");
    const [, session] = cookie.split("=");
    ok(
      !program.lines.some((line) => line.includes(session!)),
      "the log must not contain a session",
    );
    await honest.gossip();
    // Another store has its own token.
    await using other = await Program.peer(`${NAME}-2`, ALONE, { cwd: folder.path });
    const second = await tokenOf(other);
    notStrictEqual(second, token);
    ok(!isOpen(await login(other, token)));
    ok(!await lets(other, cookie, "planted.txt"), "a session must not work on another store");
  },
);
