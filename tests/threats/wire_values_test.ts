// Threats 2 to 5 in docs/SECURITY-TESTS.md: messages that are complete but wrong. Deep and wide values, bytes that are not
// valid text, names that mean something to JavaScript, invalid numbers. A real process refuses or lists them as it should,
// counts refusals, and answers an honest peer meanwhile.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { memoryMib } from "../hostile/gauge.ts";
import { Program } from "../process/program.ts";
import { SANITIZED } from "../process/together.ts";
import { bytesOf, decodeAll, oneByOne, scan } from "../protocol/wire/stream.ts";
import { foreignFile, ForeignPeer, timestampSource } from "../wire/foreign.ts";
import { until } from "../until.ts";
import { ALONE, NAME, Peak, sum, World } from "./world.ts";

const SECONDS = "1744170562";

/** Returns the fields of a file that no peer has. */
const entryOf = (n: number, owner = "liar") =>
  `"file_name":"f","file_size":1,"file_id":"${n.toString(16).padStart(64, "0")}",` +
  `"file_owner":"${owner}","file_timestamp":${SECONDS}`;

/** Returns a list from a peer at whose port nothing listens. */
const listOf = (files: string) =>
  `{"type":"GOSSIP_REPLY","host":"127.0.0.2","port":65535,"peerId":"liar","files":[${files}]}`;

/** Sends each message, and checks that each was refused exactly once, for whatever reason. */
async function refuses(world: World, messages: readonly (string | Uint8Array)[]): Promise<void> {
  const before = sum((await world.counts()).refused);
  for (const [i, message] of messages.entries()) {
    await world.say(message);
    await world.program.until(`message ${i} to be counted as refused`, async () => {
      return sum((await world.counts()).refused) === before + i + 1;
    });
  }
}

/** Measures the peak growth of the process's memory during the work, in MiB. */
async function growth({ program: { pid } }: World, work: Promise<unknown>): Promise<number> {
  const before = await memoryMib(pid);
  const peak = new Peak(pid);
  try {
    await work;
  } finally {
    await peak.stop();
  }
  return peak.mostMib - before;
}

const many = (count: number, text: string) => Array(count).fill(text).join(",");

Deno.test(
  "threat 2: deep, wide, and endless values are refused before they are built, using little memory",
  SANITIZED,
  async () => {
    await using world = await World.make();
    await world.honest.check();
    const bombs = [
      "[".repeat(65_536),
      `{"a":${"[".repeat(65_536)}`,
      '{"a":'.repeat(13_000),
      `{"type":"GOSSIP","ext":${'{"ext":'.repeat(8)}1${"}".repeat(9)}`,
      `{"type":"GOSSIP","x":[${many(1_000_000, "0")}]}`,
      listOf(many(1_000_000, "0")),
      listOf(`{${entryOf(1)},"x":[${many(1_000_000, "{}")}]}`),
      listOf(`{${Array.from({ length: 1_000_000 }, (_, i) => `"${i}":0`).join(",")}}`),
      listOf(Array.from({ length: 50_001 }, (_, i) => `{${entryOf(i)}}`).join(",")),
    ];
    const mib = await growth(world, world.honest.during(refuses(world, [...bombs, ...bombs])));
    ok(mib < 64, `Memory grew by ${mib} MiB`);
    await world.honest.check();
    deepStrictEqual((await world.program.files()).filter((f) => f.file_owner === "liar"), []);
  },
);

Deno.test("threat 2: 64 KiB of opening brackets are refused at depth 8, after 8 bytes", () => {
  for (const pieces of [[bytesOf("[".repeat(65_536))], oneByOne(bytesOf("[".repeat(65_536)))]) {
    const { log, steps } = scan(pieces);
    strictEqual(log.length, 1);
    ok(log[0]!.startsWith("refused"), log[0]);
    ok(steps <= 8, `Too many steps: ${steps}`);
  }
});

Deno.test(
  "threat 2: a list of 50,000 files is accepted; one with one file more, or of 16 MiB or more, is refused",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const list = (count: number, first: number) =>
      listOf(Array.from({ length: count }, (_, i) => `{${entryOf(first + i)}}`).join(","));
    const known = async () => ((await world.program.status()).files as { known: number }).known;
    const before = await known();
    const tooLong = listOf(`{${entryOf(1)},"x":"${"x".repeat(16 * 1024 ** 2)}"}`);
    await refuses(world, [list(50_001, 100_000), tooLong]);
    strictEqual(await known(), before);
    await world.honest.during((async () => {
      await world.say(list(50_000, 0));
      await world.program.until("50,000 files", async () => await known() >= before + 50_000);
    })());
    await world.honest.check();
  },
);

Deno.test(
  "threat 2: the last occurrence of a duplicate key wins",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { port } = world.sink;
    await world.say(
      `{"type":"DELETE","peerId":"first","host":"127.0.0.8","port":1,"id":"a","port":${port},` +
        `"id":"b","peerId":"last","from":"first","file_id":"x","type":"GOSSIP"}`,
    );
    await world.program.tracks("last", port);
    await world.program.until("a reply", () => world.repliedTo.length > 0);
    strictEqual((await world.tracked()).has("first"), false);
    await world.say(`${listOf(`{${entryOf(1)}}`).slice(0, -1)},"files":[{${entryOf(2)}}]}`);
    await world.say(`{"type":"ANNOUNCE","from":"last",${entryOf(3)},${entryOf(4)}}`);
    await world.honest.check();
    const ids = [...(await world.listed()).keys()].map((id) => Number(`0x${id}`));
    deepStrictEqual(ids.filter((id) => id < 10).sort(), [2, 4]);
    const file = foreignFile("twice.bin", bytesOf("right"), "liar", SECONDS);
    const [right, wrong] = [file.content.toHex(), bytesOf("wrong").toHex()];
    const fields = entryOf(0).replace(/"file_id":"0+"/, `"file_id":"${file.fileId}"`);
    await world.say(`{"type":"FILE_DATA",${fields},"data":"${right}","data":"${wrong}"}`);
    await world.honest.check();
    strictEqual((await world.listed()).get(file.fileId)?.has_copy ?? false, false);
  },
);

/** Returns a gossip whose name consists of these bytes. */
function named(name: string | Uint8Array, port: number): Uint8Array {
  const bytes = typeof name === "string" ? bytesOf(name) : name;
  const head = `{"type":"GOSSIP","host":"127.0.0.2","port":${port},"id":"${crypto.randomUUID()}",`;
  return Uint8Array.from([...bytesOf(`${head}"peerId":"`), ...bytes, ...bytesOf('"}')]);
}

/** Returns UTF-16 without its last byte, which would count as junk after the message. */
const utf16 = (text: string) =>
  Uint8Array.from([...text].flatMap((char) => [char.charCodeAt(0), 0]).slice(0, -1));

Deno.test(
  "threat 3: invalid text is refused and counted, and the sender's next message is accepted",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { port } = world.sink;
    const gossip = named("whole", port);
    const broken: Record<string, Uint8Array> = {
      "a byte that never occurs in UTF-8": named(Uint8Array.of(0x61, 0xff), port),
      "a lone continuation byte": named(Uint8Array.of(0x80, 0x61), port),
      "cut off before the quote": named(Uint8Array.of(0xe2, 0x82), port),
      "cut off in the middle": named(Uint8Array.of(0xf0, 0x9f, 0xa7, 0x61), port),
      "overlong slash": named(Uint8Array.of(0xc0, 0xaf), port),
      "overlong NUL": named(Uint8Array.of(0xc0, 0x80), port),
      "a surrogate in UTF-8": named(Uint8Array.of(0xed, 0xa0, 0x80), port),
      "a surrogate pair in UTF-8": named(Uint8Array.of(0xed, 0xa0, 0xbe, 0xed, 0xb7, 0x80), port),
      "above U+10FFFF": named(Uint8Array.of(0xf4, 0x90, 0x80, 0x80), port),
      "a high surrogate": named("a\\ud83e", port),
      "a low surrogate": named("\\uddc0a", port),
      "surrogates in reverse order": named("\\uddc0\\ud83e", port),
      "a raw NUL": named("a\0b", port),
      "an escaped NUL": named("a\\u0000b", port),
      "a raw newline": named("a\nb", port),
      "a byte order mark": Uint8Array.of(0xef, 0xbb, 0xbf, ...gossip),
      "a UTF-16 byte order mark": Uint8Array.of(0xff, 0xfe, ...utf16('{"type":"GOSSIP"}')),
      "UTF-16": utf16('{"type":"GOSSIP","peerId":"a"}'),
      "a leading NUL": Uint8Array.of(0, ...gossip),
    };
    for (const [what, message] of Object.entries(broken)) {
      const { refused } = await world.counts();
      await world.say(message);
      await world.program.until(`"${what}" to be counted`, async () => {
        return sum((await world.counts()).refused) === sum(refused) + 1;
      });
    }
    for (const reason of Object.keys((await world.counts()).refused)) {
      ok(/^[a-z0-9-]+$/.test(reason));
    }
    const strangers = [...await world.tracked()].filter((name) => !name.startsWith("honest-"));
    deepStrictEqual(strangers, [], "no peer may be tracked under invalid text");
    await world.say(named("Käse 🧀 \\ud83e\\uddc0 \ufeff", port));
    await world.program.tracks("Käse 🧀 🧀 \ufeff");
    await world.honest.check();
  },
);

Deno.test(
  "threat 3: an entry with invalid text costs that entry or its list, never anyone else's",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const spoiled = ["\\ud83e", "a\\u0000b", "\0"].map((owner, i) => `{${entryOf(10 + i, owner)}}`);
    for (const [i, entry] of spoiled.entries()) {
      const { refused } = await world.counts();
      await world.say(listOf(entry));
      await world.say(listOf(`{${entryOf(20 + i)}}`));
      await world.program.until("a valid entry from the same peer", async () => {
        return (await world.listed()).has((20 + i).toString(16).padStart(64, "0"));
      });
      strictEqual(sum((await world.counts()).refused), sum(refused) + 1, entry);
    }
    const ids = [...(await world.listed()).keys()].map((id) => Number(`0x${id}`));
    deepStrictEqual(ids.filter((id) => id < 20), []);
    await world.honest.check();
  },
);

/** Property names that every JavaScript object has. */
const INHERITED = [
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "prototype",
  "valueOf",
];

Deno.test(
  "threat 4: fields that a message only inherits count as missing",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const place = `"host":"127.0.0.2","port":${world.sink.port},"id":"i","peerId":"ghost"`;
    const bare = [
      `{"type":"GOSSIP","__proto__":{${place}}}`,
      `{"__proto__":{"type":"GOSSIP",${place}}}`,
      `{"type":"GOSSIP","constructor":{"prototype":{${place}}}}`,
      '{"type":"GOSSIP"}',
      `{"type":"ANNOUNCE","from":"ghost","__proto__":{${entryOf(1)}}}`,
      `{"type":"DELETE","__proto__":{"from":"ghost","file_id":"${"0".repeat(64)}"}}`,
      listOf(`{"__proto__":{${entryOf(2)}}}`),
      ...INHERITED.map((type) => `{"type":"${type}",${place}}`),
    ];
    await refuses(world, bare);
    for (const text of bare) ok(decodeAll([bytesOf(text)]).every((line) => !/ghost/.test(line)));
    strictEqual(({} as Record<string, unknown>).peerId, undefined);
    strictEqual((await world.tracked()).has("ghost"), false);
    await world.honest.check();
    deepStrictEqual(
      [...(await world.listed()).values()].filter((f) => f.file_owner === "liar"),
      [],
    );
  },
);

/** Introduces a peer with this name, its file, a file that it pushes, and messages with this name as a key. */
async function introduce(world: World, name: string): Promise<string> {
  const { port } = world.sink;
  const file = foreignFile(name, bytesOf(`of ${name}`), name, SECONDS);
  const fields = `"file_name":"${name}","file_size":1,"file_id":"${file.fileId}",` +
    `"file_owner":"${name}","file_timestamp":${SECONDS}`;
  const key = `"${name}":{"x":1,"peerId":"ghost"}`;
  const place = `"host":"127.0.0.2","port":${port},${key}`;
  await world.say(`{"type":"GOSSIP",${place},"id":"${name}","peerId":"${name}","ext":{${key}}}`);
  await world.say(
    `{"type":"GOSSIP_REPLY",${place},"peerId":"${name}","files":[{${fields},${key}}]}`,
  );
  await world.say(`{"type":"FILE_DATA",${fields},${key},"data":"${file.content.toHex()}"}`);
  await world.say(`{"type":"ANNOUNCE","from":"${name}",${fields},${key}}`);
  return file.fileId;
}

interface Row {
  file_name: string;
  file_id: string;
  has_copy: boolean;
  holders: string[];
}

/** Returns the API rows of what was introduced. */
async function rowsOf(world: World): Promise<Row[]> {
  const rows = [...(await world.listed()).values()].filter((row) =>
    row.file_name === row.file_owner
  );
  return rows.map(({ file_name, file_id, has_copy, peers_with_file }) => ({
    file_name,
    file_id,
    has_copy,
    holders: [...peers_with_file].sort(),
  })).sort((a, b) => a.file_id < b.file_id ? -1 : 1);
}

Deno.test(
  "threat 4: peers, files, owners, and keys named __proto__, constructor, or toString work like any others",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const expected: Row[] = [];
    for (const name of INHERITED) {
      const fileId = await introduce(world, name);
      expected.push({
        file_name: name,
        file_id: fileId,
        has_copy: true,
        holders: [name, NAME].sort(),
      });
    }
    expected.sort((a, b) => a.file_id < b.file_id ? -1 : 1);
    await world.program.until("a copy of each", async () => {
      return (await rowsOf(world)).filter((row) => row.has_copy).length === 6;
    });
    await world.honest.check();
    deepStrictEqual(await rowsOf(world), expected);
    const peers = (await world.program.peers()).filter((peer) => INHERITED.includes(peer.peerId));
    deepStrictEqual(peers.map(({ peerId }) => peerId).sort(), INHERITED.toSorted());
    for (const { host, port } of peers) {
      deepStrictEqual([host, port], ["127.0.0.2", world.sink.port]);
    }
    strictEqual((await world.tracked()).has("ghost"), false);
    // Six names at one address count as one originator, which exceeds its burst of five gossips.
    const { "gossip-rate": _, ...refused } = (await world.counts()).refused;
    deepStrictEqual(refused, {});
    for (const { file_id: fileId, file_name: name } of expected) {
      strictEqual(new TextDecoder().decode(await world.program.content(fileId)), `of ${name}`);
    }
    strictEqual(await world.program.stop(), 0);
    await using again = await Program.peer(NAME, ALONE, { cwd: world.folder.path });
    for (const { file_id: fileId, file_name: name } of expected) {
      const row = await again.holds(fileId);
      deepStrictEqual([row.file_name, row.file_owner], [name, name], "after a restart");
    }
  },
);

Deno.test(
  "threat 4: file_ids such as __proto__ match no file",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { known } = (await world.program.status()).files as { known: number };
    for (const name of INHERITED) {
      const fields = entryOf(1).replace(/"file_id":"\w+"/, `"file_id":"${name}"`);
      await world.say(listOf(`{${fields}}`));
      await world.say(`{"type":"ANNOUNCE","from":"liar",${fields}}`);
      await world.say(`{"type":"FILE_DATA",${fields},"data":"00"}`);
      await world.say(`{"type":"DELETE","from":"liar","file_id":"${name}"}`);
      const { text } = await world.say(`{"type":"GET_FILE","file_id":"${name}"}`);
      if (text !== "") strictEqual(JSON.parse(text).data, null, "content must not be served");
      const at = `http://127.0.0.1:${world.program.httpPort}/api/v1/files/${name}/content`;
      const response = await fetch(at);
      await response.body?.cancel();
      strictEqual(response.status, 404);
    }
    strictEqual(((await world.program.status()).files as { known: number }).known, known);
    await world.honest.check();
  },
);

/** Timestamps as Python's `json` writes them, and the fixed values of `sha256(b"golden" + str(timestamp).encode())`. */
const GOLDEN: Readonly<Record<string, string>> = {
  "1744170562": "161785c63ccdb498013803b63fe13a4d508106826eaec72fdf76b02a5cf26680",
  "1744169352.0": "5b6c2808cedecbfb2e1c7653407573518c0b7e3a309b91624460082231313104",
  "1743970142.6140459": "d16145a334a9a6682356743a6b023a35fda84b6ca68d894b041ee7b537c345d8",
  "1744170562.5": "0ad379a8a0008845d010ec765803e40874678a00d2b5a28d807b408bb4b117b4",
  '"Sun Jun 15 21:36:41 2025"': "6df4e2310b712fc1781336fd5e6c32fc27b4feeab0f296a7af54d3483ad68097",
};

/** Returns the fields of a file, with the timestamp and size exactly as given. */
const numbered = (fileId: string, timestamp: string, size = "1") =>
  `"file_name":"n ${fileId.slice(0, 8)}","file_size":${size},"file_id":"${fileId}",` +
  `"file_owner":"owner","file_timestamp":${timestamp}`;

Deno.test(
  "threat 5: timestamps are hashed as Python's str() writes them and passed on byte for byte",
  SANITIZED,
  async () => {
    await using world = await World.make();
    // A peer on the way changed the number's form. The file still verifies, and the form is passed on unchanged.
    const rendered = {
      "1744170563.0": foreignFile("", bytesOf("a"), "owner", "1744170563").fileId,
      "1744170564": foreignFile("", bytesOf("a"), "owner", "1744170564.0").fileId,
    };
    const push = (text: string, fileId: string, content: string) =>
      world.say(
        `{"type":"FILE_DATA",${numbered(fileId, text)},"data":"${bytesOf(content).toHex()}"}`,
      );
    for (const [text, fileId] of Object.entries(GOLDEN)) await push(text, fileId, "golden");
    for (const [text, fileId] of Object.entries(rendered)) await push(text, fileId, "a");
    await using reader = await ForeignPeer.start({ style: "same-connection", peerId: "reader" });
    await reader.gossip(world.program);
    for (const [text, fileId] of Object.entries({ ...GOLDEN, ...rendered })) {
      await world.program.holds(fileId);
      const { entry } = await until(text, () => reader.catalogue.get(fileId));
      strictEqual(timestampSource(entry), text);
      const answer = await reader.get(world.program, fileId);
      strictEqual(
        answer && timestampSource(answer.message),
        text,
        "the timestamp in the answer to GET_FILE",
      );
    }
    await world.honest.check();
  },
);

/** Short and finite, so listed exactly as received. */
const ODD = [
  ...["-0", "-0.0", "1e5", "1E+06", "0.1e1", "9007199254740993", "8640000000001", "1e300"],
  ...[
    "1744170562.12345678901234567890",
    '"not a date"',
    '"1744170562"',
    '"Infinity"',
    "-1744170562",
  ],
];
/** Not numbers, or too long. */
const IMPOSSIBLE = ["1e999", "-1e999", "9".repeat(400), `7.${"0".repeat(400)}`, "1".repeat(33)];
/** The odd timestamps that no calendar date corresponds to. */
const DATELESS = ["8640000000001", "1e300", "9007199254740993", '"not a date"', '"Infinity"'];

const oddId = (text: string) => foreignFile("", bytesOf("odd"), "", text).fileId;

Deno.test(
  "threat 5: files with odd timestamps are listed as received but never fetched; impossible ones are not listed",
  SANITIZED,
  async () => {
    await using world = await World.make();
    for (const text of [...ODD, ...IMPOSSIBLE]) {
      await world.say(`{"type":"ANNOUNCE","from":"owner",${numbered(oddId(text), text)}}`);
      await world.say(
        `{"type":"FILE_DATA",${numbered(oddId(text), text)},"data":"${bytesOf("odd").toHex()}"}`,
      );
    }
    await world.honest.check();
    const at = `http://127.0.0.1:${world.program.httpPort}`;
    const rows = await (await fetch(`${at}/api/v1/files`)).text();
    const sourceOf = (text: string) =>
      rows.match(new RegExp(`\\{[^}]*"${oddId(text)}"[^}]*"file_timestamp":([^,}]*)`))?.[1];
    for (const text of ODD) strictEqual(sourceOf(text), text);
    for (const text of IMPOSSIBLE) strictEqual(sourceOf(text), undefined, text);
    const kept = [...(await world.listed()).values()].filter((row) => row.has_copy);
    deepStrictEqual(kept.filter(({ file_owner: owner }) => owner === "owner"), []);
    const response = await fetch(`${at}/`);
    strictEqual(response.status, 200);
    const [, ...page] = (await response.text()).split("<tr>");
    for (const text of DATELESS) {
      const row = page.find((row) => row.includes(`n ${oddId(text).slice(0, 8)}`));
      ok(row, `Expected a row for ${text}`);
      ok(/invalid date/i.test(row), `${text} is shown as: ${row}`);
    }
  },
);

Deno.test(
  "threat 5: an invalid port is refused, and an invalid size does no harm",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const gossip = (port: string) =>
      `{"type":"GOSSIP","host":"127.0.0.2","port":${port},"id":"p","peerId":"ghost"}`;
    const wrong = [
      ...["1e999", "-0", "0", "-1", "65536", "8001.5", "9007199254740993", "9".repeat(400)],
      ...["true", "null", "[8001]", "{}", '""', '"8001 "', '"0x1f90"', '"1e4"', '"-1"', '"٨٠٠١"'],
    ];
    await refuses(world, wrong.map(gossip));
    strictEqual((await world.tracked()).has("ghost"), false);
    strictEqual(world.sink.connects, 0);
    const sizes = ["null", '"12"', "-0", "123.0", "-5", "1e300", "9007199254740993"];
    const hopeless = ["1e999", "9".repeat(400), "true", "[]", "{}"];
    const idOf = (i: number) => (100 + i).toString(16).padStart(64, "0");
    for (const [i, size] of [...sizes, ...hopeless].entries()) {
      const entry = `${numbered(idOf(i), SECONDS, size)},"size_bytes":${size}`;
      await world.say(listOf(`{${entry}}`));
      await world.say(`{"type":"ANNOUNCE","from":"owner",${entry}}`);
    }
    const listed = await world.listed();
    for (const [i, size] of sizes.entries()) {
      ok(listed.has(idOf(i)), `A file of size ${size} is missing`);
    }
    const response = await fetch(`http://127.0.0.1:${world.program.httpPort}/`);
    strictEqual(response.status, 200);
    const page = await response.text();
    ok(page.includes("n 00000000") && !/NaN|Infinity|undefined/.test(page), page);
    await world.say(gossip(`"${world.sink.port}"`));
    await world.program.tracks("ghost", world.sink.port);
    await world.honest.check();
  },
);
