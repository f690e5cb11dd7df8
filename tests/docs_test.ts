// Keeps the documentation true: the examples in docs/PROTOCOL.md are replayed through the real codec, and the
// options table and the manual are generated from the program. `P2P_UPDATE_DOCS=1` rewrites those.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { VERSION } from "../cli/version.ts";
import { manPage, manualPage } from "../cli/manual.ts";
import { envName, everyOption, POSITIONALS } from "../cli/options.ts";
import { chunkBytesOf, listBytesOf } from "../protocol/chunks.ts";
import { ProtocolError } from "../protocol/wire/errors.ts";
import { type Timestamp, verifyingTimestamp } from "../protocol/wire/fileid.ts";
import { FrameScanner } from "../protocol/wire/frame.ts";
import { DEFAULT_LIMITS } from "../protocol/limits.ts";
import { decodeMessage, messageText } from "../protocol/wire/message.ts";
import { absentHeader, batchHeader, BatchReader } from "../protocol/wire/batch.ts";
import { type Opening, rawHeader, RawOpening, TO_THE_END } from "../protocol/wire/raw.ts";

/** Id of the example file. */
const RAW_BYTES_ID = createHash("sha256").update("raw bytes").update("1744170562").digest("hex");
const docs = new URL("../docs/", import.meta.url);
const protocol = await Deno.readTextFile(new URL("PROTOCOL.md", docs));

/** Runs a message through the scanner and the decoder, as if it came from a socket. */
function decode(text: string) {
  let bytes: Uint8Array | undefined;
  const ignore = () => {};
  new FrameScanner({
    message: (whole) => bytes = whole.slice(),
    dataStart: ignore,
    data: ignore,
    dataEnd: ignore,
  }, DEFAULT_LIMITS).feed(new TextEncoder().encode(text));
  assert.ok(bytes, `The scanner finds a message in ${text}`);
  return decodeMessage(bytes).message;
}

const examples = [...protocol.matchAll(/```json (\S+)\n(.*?)\n```/gs)].map((match) => ({
  mark: match[1]!,
  text: match[2]!,
}));

Deno.test("Every example in docs/PROTOCOL.md is of a known kind, and every kind occurs", () => {
  const kinds = new Set(examples.map(({ mark }) => mark.split("=")[0]));
  assert.deepEqual([...kinds].sort(), ["accepted", "refused", "sent"]);
  assert.ok(examples.length >= 12);
});

for (const [index, { mark, text }] of examples.entries()) {
  const [kind, reason] = mark.split("=");
  Deno.test(`Example ${index + 1} in docs/PROTOCOL.md is ${mark}`, () => {
    if (kind === "refused") {
      assert.throws(
        () => decode(text),
        (error) => error instanceof ProtocolError && error.reason === reason,
      );
      return;
    }
    const message = decode(text);
    const toExtended = text.includes('"file_ext"');
    if (kind === "sent") assert.equal(messageText(message, toExtended), text);
  });
}

Deno.test("The batch in docs/PROTOCOL.md is what is sent and understood", () => {
  const [, text] = /```raw batch\n(.*?)\n```/s.exec(protocol)!;
  const bytes = new TextEncoder().encode(`${text!}\n`);
  const ids = [...text!.matchAll(/"file_id":"([0-9a-f]{64})"/g)].map(([, id]) => id!);
  const got: string[] = [];
  const reader = new BatchReader(ids, {
    begin: (_index, sizeBytes) => got.push(`${sizeBytes}:`),
    write: (content) => got.push(new TextDecoder().decode(content)),
    end: () => {},
    absent: () => got.push("absent"),
  });
  reader.feed(bytes);
  assert.ok(reader.isDone);
  assert.deepEqual(got, ["9:", "raw bytes", "absent"]);
  const { message } = decodeMessage(new TextEncoder().encode(text!.split("\n")[0]));
  assert.ok(message.type === "FILE_DATA" && message.file);
  const sent = [
    batchHeader(message.file, 9),
    new TextEncoder().encode("raw bytes"),
    absentHeader(ids[1]!),
  ].map((part) => new TextDecoder().decode(part)).join("");
  assert.equal(sent, `${text!}\n`);
});

Deno.test("The raw answer in docs/PROTOCOL.md is what is sent and understood, and its id matches", () => {
  const [, text] = /```raw answer\n(.*?)\n```/s.exec(protocol)!;
  const bytes = new TextEncoder().encode(text);
  const found = new RawOpening(RAW_BYTES_ID, { offset: 4, length: TO_THE_END }).feed(bytes);
  assert.equal(found?.kind, "raw");
  const { header, content } = found as Opening & { kind: "raw" };
  assert.equal(new TextDecoder().decode(content), "raw bytes".slice(4));
  const sent = rawHeader(header.file, { v: 1 }, header, header.total);
  assert.equal(new TextDecoder().decode(sent), text!.slice(0, text!.indexOf("\n") + 1));
});

Deno.test("The part in docs/PROTOCOL.md is what is sent and understood, but only if the answer may be shorter", () => {
  const [, text] = /```raw part\n(.*?)\n```/s.exec(protocol)!;
  const bytes = new TextEncoder().encode(text);
  const [fileId, wanted] = [RAW_BYTES_ID, { offset: 0, length: TO_THE_END }];
  const found = new RawOpening(fileId, { ...wanted, isPartial: true }).feed(bytes);
  const { header, content } = found as Opening & { kind: "raw" };
  assert.equal(new TextDecoder().decode(content), "raw ");
  assert.deepEqual(header.parts, { have: [[0, 4]], peers: ["kashifm"] });
  const sent = rawHeader(header.file, { v: 1, ...header.parts }, header, header.total);
  assert.equal(new TextDecoder().decode(sent), text!.slice(0, text!.indexOf("\n") + 1));
  assert.throws(() => new RawOpening(fileId, wanted).feed(bytes), ProtocolError);
});

Deno.test("The list of chunks in docs/PROTOCOL.md is what is sent and understood, and has the hash of the content", () => {
  const [, line] = /```raw list\n(.*?)\n```/s.exec(protocol)!;
  const [, digest] = /come the 32 bytes\s+`([0-9a-f]{64})`/.exec(protocol)!;
  assert.equal(createHash("sha256").update("raw bytes").digest("hex"), digest);
  const bytes = new Uint8Array([
    ...new TextEncoder().encode(`${line}\n`),
    ...Uint8Array.fromHex(digest!),
  ]);
  const wanted = { offset: 0, length: TO_THE_END };
  const found = new RawOpening(RAW_BYTES_ID, { ...wanted, chunks: chunkBytesOf(9) }).feed(bytes);
  const { header, content } = found as Opening & { kind: "raw" };
  assert.equal(content.toHex(), digest);
  assert.equal(header.total, listBytesOf(9));
  const sent = rawHeader(header.file, { v: 1, chunks: 1_048_576 }, header, header.total);
  assert.equal(new TextDecoder().decode(sent), `${line}\n`);
  assert.throws(() => new RawOpening(RAW_BYTES_ID, wanted).feed(bytes), ProtocolError);
});

Deno.test("The SHA-256 in docs/PROTOCOL.md is that of the content, which is the file's", () => {
  const { text } = examples.find(({ text }) => text.includes('"file_ext"'))!;
  const { file_id, file_timestamp, file_ext } = JSON.parse(text);
  const content = createHash("sha256").update("raw bytes");
  assert.equal(content.copy().digest("hex"), file_ext.sha256);
  assert.equal(content.update(`${file_timestamp}`).digest("hex"), file_id);
});

Deno.test("The file ids in docs/PROTOCOL.md match their contents and timestamps", () => {
  const rows = [...protocol.matchAll(/^\| `(\w+)` \| `([^`]+)` \| `([0-9a-f]{64})` \|$/gm)];
  assert.equal(rows.length, 3);
  for (const [, content, shown, fileId] of rows) {
    const quoted = shown!.startsWith('"');
    const timestamp: Timestamp = { text: shown!.replaceAll('"', ""), quoted };
    const digestWith = (suffix: string) =>
      createHash("sha256").update(content!).update(suffix).digest("hex");
    assert.deepEqual(verifyingTimestamp(fileId!, [timestamp], digestWith), timestamp, shown);
  }
});

function optionsPage(): string {
  const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
  const rows = everyOption().map(({ name, argument, help, tradeOff, fallback, defaultText }) => {
    const shown = defaultText ?? (fallback === false || fallback === "" ? "" : String(fallback));
    const flag = `--${name}${argument ? ` ${argument.replaceAll("|", "\\|")}` : ""}`;
    return `| \`${flag}\`<br>\`${envName(name)}\` | ${cell(help)} | ${cell(shown)} | ${
      cell(tradeOff)
    } |`;
  });
  const positionals = Object.entries({
    peerId: ["peer id", "the login name"],
    host: ["host to advertise to other peers", "this machine's first address"],
    port: ["TCP port", "8040"],
    httpPort: ["HTTP port", "8042"],
  }).map(([key, [meaning, shown]]) => {
    const { env, key: configKey } = POSITIONALS[key as keyof typeof POSITIONALS];
    return `| ${meaning} | \`${env}\` | \`${configKey}\` | ${shown} |`;
  });
  return [
    "# Options",
    "",
    "A flag overrides the environment variable, which overrides the config file (`--config FILE` or `P2P_PEER_CONFIG`), which",
    "overrides the default. The config file is a JSON object whose keys are the option names without the leading dashes.",
    "Seconds may have fractions; sizes may have units (`500000`, `2MiB`, `8GiB`).",
    "",
    "| argument | environment variable | config file key | default |",
    "|---|---|---|---|",
    ...positionals,
    "",
    "The last column says what gets better and what gets worse as a value changes. The defaults of the limits come from",
    "measurements in the lab's network, or are guesses that have held so far.",
    "",
    "| option and environment variable | what it sets | default | trade-off |",
    "|---|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}

for (const [name, text] of [["CLI.md", manualPage()], ["p2p-peer.1", manPage(VERSION)]] as const) {
  Deno.test(`docs/${name} describes every command exactly as the program defines it`, async () => {
    const page = new URL(name, docs);
    if (Deno.env.get("P2P_UPDATE_DOCS")) await Deno.writeTextFile(page, text);
    assert.equal(await Deno.readTextFile(page), text);
  });
}

Deno.test("docs/OPTIONS.md describes every option exactly as the program defines it", async () => {
  const page = new URL("OPTIONS.md", docs);
  if (Deno.env.get("P2P_UPDATE_DOCS")) await Deno.writeTextFile(page, optionsPage());
  assert.equal(await Deno.readTextFile(page), optionsPage());
});
