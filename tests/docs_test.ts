// Keeps the documentation true: examples of docs/PROTOCOL.md are replayed through the real codec, and the
// options' table is what the program has. `P2P_UPDATE_DOCS=1` writes the table anew.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { envName, everyOption, POSITIONALS } from "../cli/options.ts";
import { ProtocolError } from "../protocol/wire/errors.ts";
import { type Timestamp, verifyingTimestamp } from "../protocol/wire/fileid.ts";
import { FrameScanner } from "../protocol/wire/frame.ts";
import { DEFAULT_LIMITS } from "../protocol/limits.ts";
import { decodeMessage, messageText } from "../protocol/wire/message.ts";

const docs = new URL("../docs/", import.meta.url);
const protocol = await Deno.readTextFile(new URL("PROTOCOL.md", docs));

/** Runs a message through scanner and decoder, as from a socket. */
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

Deno.test("Every example of the protocol page is of a known kind, and all kinds are there", () => {
  const kinds = new Set(examples.map(({ mark }) => mark.split("=")[0]));
  assert.deepEqual([...kinds].sort(), ["accepted", "refused", "sent"]);
  assert.ok(examples.length >= 12);
});

for (const [index, { mark, text }] of examples.entries()) {
  const [kind, reason] = mark.split("=");
  Deno.test(`Example ${index + 1} of the protocol page is ${mark}`, () => {
    if (kind === "refused") {
      assert.throws(
        () => decode(text),
        (error) => error instanceof ProtocolError && error.reason === reason,
      );
      return;
    }
    const message = decode(text);
    if (kind === "sent") assert.equal(messageText(message), text);
  });
}

Deno.test("The file ids of the protocol page are those of its contents and timestamps", () => {
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
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const rows = everyOption().map(({ name, argument, help, fallback, defaultText }) => {
    const shown = defaultText ?? (fallback === false || fallback === "" ? "" : String(fallback));
    return `| \`--${name}${argument ? ` ${cell(argument)}` : ""}\` | \`${envName(name)}\` | ${
      cell(help)
    } | ${cell(shown)} |`;
  });
  const positionals = Object.entries({
    peerId: ["peer id", "the login name"],
    host: ["host that others are told", "this machine's first address"],
    port: ["TCP port", "8040"],
    httpPort: ["HTTP port", "8042"],
  }).map(([key, [meaning, shown]]) => {
    const { env, key: configKey } = POSITIONALS[key as keyof typeof POSITIONALS];
    return `| ${meaning} | \`${env}\` | \`${configKey}\` | ${shown} |`;
  });
  return [
    "# Options",
    "",
    "A flag beats the environment, the environment beats the config file (`--config FILE` or `P2P_PEER_CONFIG`), the file beats",
    "the default. In the file, a JSON object, options stand under their names without the dashes. Fractions of seconds are",
    "allowed; sizes take units (`500000`, `2MiB`, `8GiB`).",
    "",
    "| positional | environment | in the file | default |",
    "|---|---|---|---|",
    ...positionals,
    "",
    "| option | environment | what it does | default |",
    "|---|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}

Deno.test("The page of options has every option as the program has it", async () => {
  const page = new URL("OPTIONS.md", docs);
  if (Deno.env.get("P2P_UPDATE_DOCS")) await Deno.writeTextFile(page, optionsPage());
  assert.equal(await Deno.readTextFile(page), optionsPage());
});
