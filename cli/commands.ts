// The commands of the prompt, over a narrow view of the peer. Each one answers in plain lines.
// Invariants: text that came from a peer is escaped; a user error is answered with one line that says what to type.

import { visible } from "../protocol/wire/text.ts";
import type { FileRecord } from "../protocol/wire/message.ts";
import { LEVELS } from "./log.ts";
import {
  type DeletedFiles,
  deletedText,
  type FileFilter,
  filterOf,
  type FoundFiles,
  listLimit,
  listText,
  type PeerRow,
  peersText,
  type Screen,
} from "./listings.ts";
import { type GetProgress, progressLine } from "./progress.ts";
import { count, spreadText } from "./report.ts";
import { sizeText } from "./units.ts";
import { rate, UsageError } from "./values.ts";
import { columns } from "./table.ts";

/** Progress of a verification. */
export interface VerifyProgress {
  readonly files: number;
  readonly bytes: number;
  readonly doneBytes: number;
}

/** Result of a verification. */
export interface Verified {
  readonly good: number;
  readonly damaged: readonly {
    readonly file: FileRecord;
    /** Where the damaged content is kept now. */
    readonly keptAt: string;
    /** Another peer holds it, and it is being downloaded again. */
    readonly isFetched: boolean;
  }[];
  /** Number of files that changed or disappeared meanwhile. The next scan of the folder handles them. */
  readonly gone: number;
  /** Files that could not be read at this moment, such as for lack of file descriptors. They stay shared. */
  readonly unread: readonly { readonly file: FileRecord; readonly why: string }[];
}

/** Files that a person deleted. */
export interface JustDeleted {
  /** Names of the files of ours, deleted everywhere, and of those of others, deleted only here. */
  readonly everywhere: readonly string[];
  readonly here: readonly string[];
  /** Number of peers that were notified of all files of ours, and of those that could not be reached yet. */
  readonly reached: number;
  readonly left: number;
  /** Number of peers that take one file at a time, and the time until the last of them has heard, in milliseconds. */
  readonly slow: number;
  readonly slowMs: number;
}

/** What the prompt needs from the peer. Error messages are written for the user. */
export interface Commands {
  /** Resolves to the newest files that match, at most `limit`, and how many there are. */
  files(filter: FileFilter, limit: number): Promise<FoundFiles>;
  /** Returns the size of the terminal; undefined if there is none. */
  screen(): Screen | undefined;
  peers(): PeerRow[];
  /**
   * Downloads a file; `source` is "" if it was already stored here, perhaps `as` another file. Calls `onProgress` with
   * `undefined` at the end.
   */
  get(
    what: string,
    destination: string | undefined,
    onProgress: (progress: GetProgress | undefined) => void,
  ): Promise<{ source: string; as?: string; path: string | undefined; name: string }>;
  /** Shares a file; `isNew` is false if it was already shared. */
  push(path: string): Promise<{ file: FileRecord; isNew: boolean }>;
  /** Deletes files. Resolves to what was deleted, and how far the news of those of ours has spread. */
  delete(what: readonly string[]): Promise<JustDeleted>;
  restore(what: string): Promise<FileRecord>;
  /** Resolves to the most recently deleted files, at most `limit`, and how many can be restored. */
  deleted(limit: number): Promise<DeletedFiles>;
  verify(onProgress: (progress: VerifyProgress) => void): Promise<Verified>;
  stats(): readonly (readonly [string, string])[];
  /** Returns instructions for logging in from a browser. */
  login(): string;
  /** Returns how fast content may be received and sent, in bytes per second; 0 means no limit. */
  limits(): { readonly down: number; readonly up: number };
  /** Changes one of these limits, at once and until the exit. */
  setLimit(which: "down" | "up", bytesPerSecond: number): void;
  setLogLevel(level: string): Promise<void>;
  exit(): void;
}

const MENU: readonly (readonly [string, string])[] = [
  [
    "list [local|remote] [pattern]",
    "list the newest known files, or only those stored here or elsewhere; pattern: part of a name, or a whole one with * and ?",
  ],
  ["peers", "list live peers"],
  [
    "get <file_id|prefix|name> [destination]",
    "download a file, and copy it to a destination if given",
  ],
  ["push <path>", "share a file: store a copy, announce it to all peers, push it to one of them"],
  [
    "delete <file_id>...",
    "delete our own files everywhere, or other peers' files on this peer only",
  ],
  [
    "restore [file_id|prefix|name]",
    "restore a file deleted in the last 24 hours; without an argument, list them",
  ],
  ["verify", "re-read every stored file, and download damaged ones again"],
  ["stats", "show traffic, storage and memory figures"],
  [
    "limit [down|up] [size|off]",
    "show or set how fast content is received from or sent to peers, per second",
  ],
  ["login", "show the link that lets a browser make changes"],
  [`log <${LEVELS.join("|").toLowerCase()}>`, "set the log level"],
  ["help", "show this menu"],
  ["exit", "stop the peer"],
];

export const COMMAND_NAMES: readonly string[] = MENU.map(([usage]) => usage.split(" ", 1)[0]!);

/** Returns the menu that the prompt opens with. */
export function menuText(): string {
  return `Command Menu\n${columns(MENU.map(([usage, help]) => [`  ${usage}`, help]))}`;
}

/** Splits a line into words; quotes keep words with spaces together. */
export function wordsOf(line: string): string[] {
  const words: string[] = [];
  for (const [, double, single, bare] of line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)) {
    words.push(double ?? single ?? bare ?? "");
  }
  return words;
}

/**
 * Returns the path after a command. Spaces inside a path need no quoting; leading and trailing ones are dropped unless
 * quoted, or escaped with a backslash at the end.
 */
export function pathOf(line: string): string {
  const rest = line.trimStart().replace(/^\S+\s*/, "");
  const [, double, single] = /^(?:"([^"]*)"|'([^']*)')\s*$/.exec(rest) ?? [];
  const quoted = double ?? single;
  if (quoted !== undefined) return quoted;
  return rest.replace(/(?<!\\)\s+$/, "").replaceAll("\\ ", " ");
}

/**
 * Runs one command line and resolves to what to print; `print` receives progress lines, and `show` a line that replaces the
 * one before, or `undefined` to remove it. Never rejects.
 */
export async function runCommand(
  line: string,
  commands: Commands,
  print: (line: string) => void = () => {},
  show: (line: string | undefined) => void = () => {},
): Promise<string> {
  const [name, ...words] = wordsOf(line);
  if (name === undefined) return "";
  try {
    return await carryOut(name.toLowerCase(), words, pathOf(line), commands, print, show);
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
  show: (line: string | undefined) => void,
): Promise<string> {
  const [first] = words;
  switch (name) {
    case "list":
      return await listed(commands, words);
    case "peers":
      return peersText(commands.peers());
    case "get":
      return await getText(commands, words, show);
    case "push":
      return first === undefined ? "Usage: push <path>" : await pushText(commands, path);
    case "delete":
      return first === undefined ? "Usage: delete <file_id>..." : await deleteText(commands, words);
    case "restore":
      if (first === undefined) {
        const screen = commands.screen();
        return deletedText(await commands.deleted(listLimit(screen)), screen);
      }
      return `Restored ${visible((await commands.restore(words.join(" "))).name)}`;
    case "verify":
      return await verifyText(commands, print);
    case "limit":
      return limitText(commands, words);
    case "login":
      return commands.login();
    case "stats":
      return columns(commands.stats().map(([title, value]) => [`  ${title}`, visible(value)]));
    case "log":
      return await logText(commands, first?.toUpperCase() ?? "");
    case "help":
    case "?":
      return menuText();
    case "exit":
    case "quit":
      commands.exit();
      return "";
    default:
      return unknownText(name);
  }
}

async function listed(commands: Commands, words: readonly string[]): Promise<string> {
  const filter = filterOf(words);
  const screen = commands.screen();
  return listText(await commands.files(filter, listLimit(screen)), filter, screen);
}

async function getText(
  commands: Commands,
  words: readonly string[],
  show: (line: string | undefined) => void,
): Promise<string> {
  const [what, destination] = words;
  if (what === undefined) return "Usage: get <file_id|prefix|name> [destination]";
  if (words.length > 2) {
    return "get takes a file and at most one destination; put quotes around names with spaces";
  }
  const { source, as, path, name } = await commands.get(what, destination, (progress) => {
    const { columns } = commands.screen() ?? { columns: 80 };
    show(progress && progressLine(progress, columns));
  });
  // A download that just finished has already been reported by its own line.
  const here = as === undefined
    ? `${visible(name)} is ${source === "" ? "already" : "now"} stored here`
    : `${visible(name)} is here already as ${visible(as)}`;
  return path === undefined ? here : `${here}, copied to ${visible(path)}`;
}

async function pushText(commands: Commands, path: string): Promise<string> {
  const { file, isNew } = await commands.push(path);
  return isNew
    ? `Shared ${visible(file.name)} as ${file.fileId}`
    : `${visible(file.name)} is already shared with the same content, as ${file.fileId}`;
}

async function deleteText(commands: Commands, what: readonly string[]): Promise<string> {
  const { everywhere, here, reached, ...spread } = await commands.delete(what);
  const lines: string[] = [];
  if (everywhere.length > 0) {
    const them = everywhere.length === 1 ? "it" : "them";
    lines.push(
      `Deleted ${namesText(everywhere)}: ${
        spreadText(reached, spread)
      }. Type "restore" within 24 hours to bring ${them} back`,
    );
  }
  if (here.length > 0) {
    const [copy, whose, it] = here.length === 1
      ? ["copy", "another peer owns it", "it"]
      : ["copies", "other peers own them", "they"];
    lines.push(
      `Deleted only our ${copy} of ${
        namesText(here)
      }: ${whose}. No peer was notified, and ${it} will not be downloaded again automatically`,
    );
  }
  return lines.join("\n");
}

function namesText(names: readonly string[]): string {
  return names.length === 1 ? visible(names[0]!) : count(names.length, "file");
}

function limitText(commands: Commands, words: readonly string[]): string {
  const [which, value] = words;
  const usage = "Usage: limit [down|up] [size|off], for example: limit down 2MiB";
  if (words.length > 2 || (which !== undefined && which !== "down" && which !== "up")) return usage;
  if (which !== undefined && value !== undefined) {
    try {
      commands.setLimit(which, rate(value));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      return `A limit ${error.message}`;
    }
  }
  const { down, up } = commands.limits();
  const text = (bytes: number) => bytes === 0 ? "no limit" : `at most ${sizeText(bytes)}/s`;
  return columns([["  received from peers", text(down)], ["  sent to peers", text(up)]]);
}

async function logText(commands: Commands, level: string): Promise<string> {
  if (!LEVELS.includes(level)) return `Usage: log <${LEVELS.join("|").toLowerCase()}>`;
  await commands.setLogLevel(level);
  return `Log level set to ${level}`;
}

function unknownText(name: string): string {
  const near = COMMAND_NAMES.find((known) => known.startsWith(name.slice(0, 2)));
  return `Unknown command "${visible(name)}".${
    near ? ` Did you mean "${near}"?` : ""
  } Type "help" for a list`;
}

/** Minimum interval between progress lines, in milliseconds. Higher: fewer lines; lower: progress shows sooner. */
const PROGRESS_MS = 2_000;
/** Maximum number of unverified files listed by name. Higher: names more of them; lower: keeps the answer short. */
const MAX_UNREAD_LINES = 5;

/** Verifies every stored file; `print` receives progress lines. Throws what `verify` throws. */
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
      `Verifying ${count(files, "file")}: ${percent}%, ${sizeText(doneBytes)} of ${
        sizeText(bytes)
      }, ${sizeText(perSecond)}/s`,
    );
  });
  const lines = damaged.map(({ file, keptAt, isFetched }) =>
    `${visible(file.name)} (${file.fileId}) is damaged and no longer shared; ${
      isFetched ? "downloading it again" : "it will be downloaded again once a peer has it"
    }. The damaged copy is kept as ${visible(keptAt, 500)}`
  );
  for (const { file, why } of unread.slice(0, MAX_UNREAD_LINES)) {
    lines.push(`Could not verify ${visible(file.name)}: ${visible(why, 500)}`);
  }
  if (unread.length > 0) {
    lines.push(`${count(unread.length, "file")} could not be verified; type "verify" to try again`);
  }
  if (gone > 0) lines.push(`${count(gone, "file")} changed or disappeared during verification`);
  lines.push(
    damaged.length === 0
      ? `${count(good, "file")} verified, none damaged`
      : `${count(good, "file")} verified, ${damaged.length} damaged`,
  );
  return lines.join("\n");
}
