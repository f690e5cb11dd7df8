// Threat 27 in docs/SECURITY-TESTS.md: a page that reaches the web port through a host name of its own that now resolves
// to this machine (DNS rebinding). It sees nothing, changes nothing, and is told how to allow the name if it is legitimate.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { forEachOf, SANITIZED } from "../process/together.ts";
import { READING, Scene, SECRET, told } from "./browser_scene.ts";
import { ask, type Asked, bearer, headersOf, jsonOf, tokenOf } from "./web.ts";
import { World } from "./world.ts";

/** Names that can be made to resolve to this machine but are not its own. */
const foreignNames = (port: number): string[] => [
  "evil.example",
  `evil.example:${port}`,
  `EVIL.EXAMPLE:${port}`,
  `evil.example.:${port}`,
  `localhost.evil.example:${port}`,
  `127.0.0.1.evil.example:${port}`,
  `127.0.0.1.nip.io:${port}`,
  `evil-localhost:${port}`,
  `localhostevil:${port}`,
  `evillocalhost:${port}`,
  `xn--lcalhost-54a:${port}`,
  "a.b.c.d",
];

/** Values that are not even valid names. */
const brokenNames = (port: number): string[] => [
  "",
  `127.0.0.1:${port}@evil.example`,
  `evil.example@127.0.0.1:${port}`,
  `127.0.0.1:${port}, evil.example`,
  `evil.example, 127.0.0.1:${port}`,
  `127.0.0.1:${port}\r\nHost: evil.example`,
  `evil.example\r\nHost: 127.0.0.1:${port}`,
  `127.0.0.1:${port}/evil.example`,
  `evil.example/127.0.0.1`,
  `evil.example#127.0.0.1`,
  `evil.example?127.0.0.1`,
  `127.0.0.1 evil.example`,
  `[::1].evil.example`,
  `[::1]evil.example:${port}`,
  `127.0.0.1:evil.example`,
  `127.0.0.1:${port}:evil.example`,
];

Deno.test(
  "threat 27: under a host name that is not its own, the peer shows nothing, changes nothing, and names the option to allow it",
  SANITIZED,
  async () => {
    await using scene = await Scene.make();
    const { world: { program, honest }, token, ids } = scene;
    const before = await scene.state();
    const reading: Asked[] = [
      ...[...READING, `/api/v1/files/${ids.here}`, `/api/v1/files/${ids.here}/content`],
      `/api/v1/files/${ids.here}/content?x`,
    ].map((path) => ({ path }));
    reading.push({ path: "/api/download", headers: { "X-File-Name": "here.txt" } });
    reading.push({ method: "HEAD", path: `/api/v1/files/${ids.here}/content` });
    const all = [...reading, ...scene.changes()];
    const ask421 = async (asked: Asked, host: string, allowed: readonly number[]) => {
      const headers = { ...bearer(token), ...asked.headers, Host: host };
      const answer = await ask(program, { ...asked, headers });
      ok(allowed.includes(answer.status), `${told({ ...asked, headers })}: ${answer.status}`);
      ok(!answer.body.includes(SECRET) && !answer.body.includes(ids.here), told(asked));
      strictEqual(headersOf(answer, "set-cookie").length, 0, told(asked));
      if (answer.status === 421 && asked.method !== "HEAD") {
        match(headersOf(answer, "content-type").join(), /^application\/(problem\+)?json/);
        // The older API has a message where the current one has a hint.
        const { hint, message } = jsonOf(answer);
        match(`${hint ?? message}`, /--allowed-host/, told(asked));
      }
    };
    await forEachOf(all, async (asked) => {
      await ask421(asked, "evil.example", [421]);
      await ask421(
        {
          ...asked,
          headers: {
            ...asked.headers,
            "X-Forwarded-Host": "127.0.0.1",
            Forwarded: "host=127.0.0.1",
          },
        },
        "evil.example",
        [421],
      );
    });
    const few = [reading[7]!, reading.at(-3)!, scene.changes()[0]!, scene.changes()[5]!];
    for (const asked of few) {
      await forEachOf(foreignNames(program.httpPort), (host) => ask421(asked, host, [421]));
      await forEachOf(brokenNames(program.httpPort), (host) => ask421(asked, host, [400, 421]));
    }
    deepStrictEqual(await scene.state(), before);
    await honest.gossip();
  },
);

Deno.test(
  "threat 27: a host in the request target takes precedence over the Host header, as RFC 9112 requires",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { program, honest } = world;
    for (const path of ["/api/v1/files", "/", "/nothing"]) {
      const asked = { path: `http://evil.example${path}` };
      const { status, body } = await ask(program, asked);
      ok([400, 421].includes(status), `${told(asked)}: ${status} ${body.slice(0, 300)}`);
    }
    await honest.gossip();
  },
);

Deno.test(
  "threat 27: addresses, localhost, and the names given by the option are accepted; lookalikes are not",
  SANITIZED,
  async () => {
    await using world = await World.make(["--allowed-host", "peer.lab.example"]);
    const { program, honest } = world;
    const token = await tokenOf(program);
    const { httpPort: port } = program;
    const statusAs = async (host: string) => {
      return (await ask(program, { path: "/api/v1/status", headers: { Host: host } })).status;
    };
    const own = ["peer.lab.example", "localhost", "127.0.0.1", "[::1]", "PEER.lab.EXAMPLE"];
    for (const name of own) {
      for (const host of [name, `${name}:${port}`]) strictEqual(await statusAs(host), 200, host);
    }
    for (
      const host of [
        "evil.peer.lab.example",
        "peer.lab.example.evil",
        "peer-lab-example",
        "peerXlab.example",
        "lab.example",
        "evil.example",
      ]
    ) strictEqual(await statusAs(`${host}:${port}`), 421, host);
    const change = (origin: string) =>
      ask(program, {
        method: "PUT",
        path: "/api/v1/files/by-name/x.txt",
        headers: { ...bearer(token), Host: `peer.lab.example:${port}`, Origin: origin },
        body: "x",
      });
    strictEqual((await change("http://evil.example")).status, 403);
    strictEqual((await change(`http://peer.lab.example:${port}`)).status, 201);
    await honest.gossip();
  },
);
