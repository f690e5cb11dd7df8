// The commands of the prompt, over a narrow view of the peer. Each answers in plain lines; what peers named
// is shown escaped. A mistake is one sentence that says what to type.

import { visible } from "../protocol/wire/text.ts";
import type { FileRecord } from "../protocol/wire/message.ts";
import { LEVELS } from "./log.ts";
import { count } from "./report.ts";
import { durationText, sizeText } from "./units.ts";
import { columns, table } from "./table.ts";

export interface FileRow {
  readonly file: FileRecord;
  readonly held: boolean;
  readonly holders: readonly string[];
}

/** How far a verification is. */
export interface VerifyProgress {
  readonly files: number;
  readonly bytes: number;
  readonly doneBytes: number;
}

/** What a verification found. */
export interface Verified {
  readonly good: number;
  readonly damaged: readonly {
    readonly file: FileRecord;
    readonly keptAt: string;
    readonly isFetched: boolean;
  }[];
  readonly gone: number;
  readonly unread: readonly { readonly file: FileRecord; readonly why: string }[];
}

export interface DeletedRow {
  readonly file: FileRecord;
  readonly sizeBytes: number;
  readonly secondsAgo: number;
}

export interface PeerRow {
  readonly peerId: string;
  readonly address: string;
  readonly silentSeconds: number;
  readonly bootstrap: boolean;
  readonly extended: boolean;
  readonly files: number;
  readonly note: string;
}

/** What the prompt needs of the peer. Errors carry a sentence for the person. */
export interface Commands {
  files(): FileRow[];
  peers(): PeerRow[];
  /** `downloaded` names the source, or is "" when the file was here already. */
  get(
    what: string,
    destination: string | undefined,
  ): Promise<{ source: string; path: string | undefined; name: string }>;
  /** Not `isNew`: it was shared already. */
  push(path: string): Promise<{ file: FileRecord; isNew: boolean }>;
  /** `reached` and `left`: peers that were told, and that are still to be told. */
  delete(
    fileId: string,
  ): Promise<{ name: string; where: "everywhere" | "here"; reached: number; left: number }>;
  restore(what: string): Promise<FileRecord>;
  /** What can be restored. */
  deleted(): Promise<readonly DeletedRow[]>;
  verify(onProgress: (progress: VerifyProgress) => void): Promise<Verified>;
  stats(): readonly (readonly [string, string])[];
  /** How a browser logs in, in words. */
  login(): string;
  setLogLevel(level: string): Promise<void>;
  exit(): void;
}

const MENU: readonly (readonly [string, string])[] = [
  ["list [local|remote]", "files that are known, here, or elsewhere"],
  ["peers", "peers that are alive"],
  ["get <file_id|prefix|name> [destination]", "fetch a file, and copy it to a destination"],
  ["push <path>", "share a file: keep a copy, tell everybody, push it to one peer"],
  ["delete <file_id>", "delete a file of ours everywhere, or somebody else's here only"],
  [
    "restore [file_id|prefix|name]",
    "bring back what was deleted within 24 hours; alone: what there is",
  ],
  ["verify", "read every file here again, and fetch anew what is damaged"],
  ["stats", "what went in and out"],
  ["login", "the link by which a browser may change things"],
  [`log <${LEVELS.join("|").toLowerCase()}>`, "how much is told"],
  ["help", "this menu"],
  ["exit", "stop the peer"],
];

export const COMMAND_NAMES: readonly string[] = MENU.map(([usage]) => usage.split(" ", 1)[0]!);

/** The menu that the prompt opens with. */
export function menuText(): string {
  return `Command Menu\n${columns(MENU.map(([usage, help]) => [`  ${usage}`, help]))}`;
}

/** Words of a line; quotes keep spaces together. */
export function wordsOf(line: string): string[] {
  const words: string[] = [];
  for (const [, double, single, bare] of line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)) {
    words.push(double ?? single ?? bare ?? "");
  }
  return words;
}

/**
 * A path behind a command: quotes or a backslash keep a space, also at the end, and without them spaces around it do not
 * count. Spaces within a path need neither.
 */
export function pathOf(line: string): string {
  const rest = line.trimStart().replace(/^\S+\s*/, "");
  const [, double, single] = /^(?:"([^"]*)"|'([^']*)')\s*$/.exec(rest) ?? [];
  const quoted = double ?? single;
  if (quoted !== undefined) return quoted;
  return rest.replace(/(?<!\\)\s+$/, "").replaceAll("\\ ", " ");
}

/** Carries out one line and returns what to print; `print` takes lines before that. Never throws. */
export async function runCommand(
  line: string,
  commands: Commands,
  print: (line: string) => void = () => {},
): Promise<string> {
  const [name, ...words] = wordsOf(line);
  if (name === undefined) return "";
  try {
    return await carryOut(name.toLowerCase(), words, pathOf(line), commands, print);
  } catch (error) {
    return visible(error instanceof Error ? error.message : String(error), 1_000);
  }
}

async function carryOut(
  name: string,
  words: readonly string[],
  path: string,
  commands: Commands,
  print: (line: string) => void,
): Promise<string> {
  const [first, second] = words;
  switch (name) {
    case "list":
      return listText(commands.files(), first);
    case "peers":
      return peersText(commands.peers());
    case "get": {
      if (first === undefined) {
        return "Type: get <file_id, unique beginning of it, or name> [destination]";
      }
      if (words.length > 2) {
        return "get takes a file and a destination; put names with spaces between quotes";
      }
      const { source, path, name } = await commands.get(first, second);
      // The line about a download that just ended was printed when it ended.
      const here = source === "" ? `${visible(name)} is here already` : `${visible(name)} is here`;
      return path === undefined ? here : `${here}, copied to ${visible(path)}`;
    }
    case "push": {
      if (first === undefined) return "Type: push <path of a file>";
      const { file, isNew } = await commands.push(path);
      return isNew
        ? `Shared ${visible(file.name)} as ${file.fileId}`
        : `${visible(file.name)} is shared already, with the same content, as ${file.fileId}`;
    }
    case "delete": {
      if (first === undefined) return "Type: delete <file_id>";
      const { name, where, reached, left } = await commands.delete(first);
      return where === "everywhere"
        ? `Deleted ${visible(name)}: ${
          toldText(reached, left)
        }; "restore" brings it back for 24 hours`
        : `Deleted our copy of ${
          visible(name)
        } only: it belongs to somebody else. Nobody was told, and it is not fetched again by itself`;
    }
    case "restore":
      if (first === undefined) return deletedText(await commands.deleted());
      return `Restored ${visible((await commands.restore(words.join(" "))).name)}`;
    case "verify":
      return await verifyText(commands, print);
    case "login":
      return commands.login();
    case "stats":
      return columns(commands.stats().map(([title, value]) => [`  ${title}`, visible(value)]));
    case "log": {
      const level = first?.toUpperCase() ?? "";
      if (!LEVELS.includes(level)) return `Type: log <${LEVELS.join("|").toLowerCase()}>`;
      await commands.setLogLevel(level);
      return `The log tells ${level} and above`;
    }
    case "help":
    case "?":
      return menuText();
    case "exit":
    case "quit":
      commands.exit();
      return "";
    default: {
      const near = COMMAND_NAMES.find((known) => known.startsWith(name.slice(0, 2)));
      return `No command "${visible(name)}"${
        near ? `; did you mean "${near}"?` : "."
      } Type "help" for all`;
    }
  }
}

function toldText(reached: number, left: number): string {
  if (reached + left === 0) return "nobody else is there to be told";
  const told = `${count(reached, "peer")} told`;
  return left === 0 ? told : `${told}, ${left} not reached yet and told when they are`;
}

function deletedText(deleted: readonly DeletedRow[]): string {
  if (deleted.length === 0) return "Nothing was deleted here within the last 24 hours";
  const rows = deleted.map(({ file, sizeBytes, secondsAgo }) => [
    file.fileId,
    visible(file.name, 40),
    sizeText(sizeBytes),
    `${durationText(secondsAgo)} ago`,
  ]);
  return `${
    table(["file_id", "name", "size", "deleted"], rows)
  }\nType: restore <file_id, unique beginning of it, or name>`;
}

function listText(files: readonly FileRow[], which: string | undefined): string {
  if (which !== undefined && which !== "local" && which !== "remote") {
    return "Type: list [local|remote]";
  }
  const shown = files.filter(({ held }) => which === undefined || held === (which === "local"));
  if (shown.length === 0) {
    if (which === "local") return "No files here yet";
    return files.length > 0 ? "Every file that is known is here" : "No files are known yet";
  }
  const rows = shown.map(({ file, held, holders }) => [
    file.fileId,
    visible(file.name, 40),
    visible(file.owner, 24),
    file.sizeBytes === undefined ? `~${sizeText(file.size * 1024 ** 2)}` : sizeText(file.sizeBytes),
    held ? "here" : "-",
    holders.map((holder) => visible(holder, 24)).join(", ") || "nobody",
  ]);
  return `${table(["id", "name", "owner", "size", "here", "holders"], rows)}\n${
    count(shown.length, "file")
  }`;
}

function peersText(peers: readonly PeerRow[]): string {
  if (peers.length === 0) return "No peers yet";
  const rows = peers.map((peer) => [
    visible(peer.peerId, 40),
    visible(peer.address),
    `${durationText(peer.silentSeconds)} ago`,
    String(peer.files),
    [peer.bootstrap ? "bootstrap" : "", peer.extended ? "" : "old kind", peer.note].filter(Boolean)
      .map((
        text,
      ) => visible(text)).join(", "),
  ]);
  return `${table(["peer", "address", "heard", "files", ""], rows)}\n${
    count(peers.length, "peer")
  }`;
}

/** A line of progress this often. */
const PROGRESS_MS = 2_000;
/** Files that could not be verified are named, but no more than so many. */
const MAX_UNREAD_LINES = 5;

/** Verifies everything that is here; `print` takes lines of progress. Throws what `verify` throws. */
export async function verifyText(
  { verify }: Pick<Commands, "verify">,
  print: (line: string) => void,
): Promise<string> {
  const beganMs = performance.now();
  let toldMs = beganMs;
  const { good, damaged, gone, unread } = await verify(({ files, bytes, doneBytes }) => {
    const nowMs = performance.now();
    if (nowMs - toldMs < PROGRESS_MS) return;
    toldMs = nowMs;
    const percent = Math.floor(100 * doneBytes / Math.max(1, bytes));
    const perSecond = doneBytes / Math.max(1, nowMs - beganMs) * 1000;
    print(
      `Verifying ${count(files, "file")}: ${percent} %, ${sizeText(doneBytes)} of ${
        sizeText(bytes)
      }, ${sizeText(perSecond)}/s`,
    );
  });
  const lines = damaged.map(({ file, keptAt, isFetched }) =>
    `${visible(file.name)} (${file.fileId}) is damaged and no longer offered; ${
      isFetched ? "it is fetched again" : "it is fetched again when somebody is found who holds it"
    }. What was here is kept as ${visible(keptAt, 500)}`
  );
  for (const { file, why } of unread.slice(0, MAX_UNREAD_LINES)) {
    lines.push(`${visible(file.name)} was not verified: ${visible(why, 500)}`);
  }
  if (unread.length > 0) {
    lines.push(`${count(unread.length, "file")} could not be verified now; type "verify" later`);
  }
  if (gone > 0) lines.push(`${count(gone, "file")} changed or went away meanwhile`);
  lines.push(
    damaged.length === 0
      ? `${count(good, "file")} verified, none is damaged`
      : `${count(good, "file")} verified, ${damaged.length} damaged`,
  );
  return lines.join("\n");
}
