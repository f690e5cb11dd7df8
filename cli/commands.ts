// The commands of the prompt, over a narrow view of the peer. Each one answers in plain lines.
// Invariants: text that came from a peer is escaped; a user error is answered with one line that says what to type.

import { visible } from "../protocol/wire/text.ts";
import type { FileRecord } from "../protocol/wire/message.ts";
import { CommandError, type Failure, failureOf } from "./failures.ts";
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
  type TransferRow,
  transfersText,
} from "./listings.ts";
import { type GetProgress, progressLine } from "./progress.ts";
import { count, spreadText } from "./report.ts";
import { sizeText } from "./units.ts";
import { rate, UsageError } from "./values.ts";
import { wordsWithName } from "./completion.ts";
import { columns } from "./table.ts";
import { nearest, PROMPT_VERBS, verbOf } from "./verbs.ts";

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

/** A file that was downloaded, or was here. */
export interface Got {
  /** The peer that it came from; "" if it was here already. */
  readonly source: string;
  /** Name of another file here with the same content, if that is why nothing was downloaded. */
  readonly as?: string;
  /** Where it was copied to, if that was asked for. */
  readonly path: string | undefined;
  readonly name: string;
}

/** A file that was shared. `isNew` is false if it was shared already. */
export interface Pushed {
  readonly file: Pick<FileRecord, "fileId" | "name">;
  readonly isNew: boolean;
}

/** Asks the person who typed the command. */
export type Ask = (question: string) => Promise<boolean>;

/** An answer that may have to come over the network. */
export type Eventually<T> = T | Promise<T>;

/** What the prompt needs from the peer. Error messages are written for the user. */
export interface Commands {
  /** Resolves to the newest files that match, at most `limit`, and how many there are. */
  files(filter: FileFilter, limit: number): Promise<FoundFiles>;
  /** Returns the size of the terminal; undefined if there is none. */
  screen(): Screen | undefined;
  /** Returns whether this is the name of a known file. */
  isName(text: string): boolean;
  peers(): Eventually<PeerRow[]>;
  /** Returns running transfers and those that ended recently, the newest last. */
  transfers(): Eventually<readonly TransferRow[]>;
  /** Downloads a file. Calls `onProgress` with `undefined` at the end. */
  get(
    what: string,
    destination: string | undefined,
    onProgress: (progress: GetProgress | undefined) => void,
  ): Promise<Got>;
  /** Joins through a peer at "host:port". Resolves to its name. */
  connect(address: string): Promise<{ readonly peerId: string }>;
  /** Shares a file. */
  push(path: string): Promise<Pushed>;
  /**
   * Deletes files. If others hold some that would be deleted everywhere, `ask` is asked first; a no throws `CommandError`,
   * "canceled". Resolves to what was deleted, and how far the news of those of ours has spread. */
  delete(what: readonly string[], ask?: Ask): Promise<JustDeleted>;
  restore(what: string): Promise<FileRecord>;
  /** Resolves to the most recently deleted files, at most `limit`, and how many can be restored. */
  deleted(limit: number): Promise<DeletedFiles>;
  verify(onProgress: (progress: VerifyProgress) => void): Promise<Verified>;
  stats(): Eventually<readonly (readonly [string, string])[]>;
  /** Returns instructions for logging in from a browser. */
  login(): string;
  /** Resolves to the address of the page as a QR code; `isLogin`: with the token. */
  qr(isLogin: boolean): Promise<string>;
  /** Returns how fast content may be received and sent, in bytes per second; 0 means no limit. */
  limits(): Eventually<{ readonly down: number; readonly up: number }>;
  /** Changes one of these limits, at once and until the exit. */
  setLimit(which: "down" | "up", bytesPerSecond: number): Eventually<void>;
  /** Returns the current level, in capitals. */
  logLevel(): Eventually<string>;
  setLogLevel(level: string): Promise<void>;
  exit(): void;
}

/** Names of the commands of the prompt. */
export const COMMAND_NAMES: readonly string[] = PROMPT_VERBS.map(({ name }) => name);

/** Returns the menu that the prompt opens with. On a narrow terminal, its lines are shorter. */
export function menuText(width = Infinity): string {
  const menu = (isBrief: boolean) =>
    columns(PROMPT_VERBS.map(({ name, prompt, help, brief = help }) => [
      `  ${name} ${prompt}`.trimEnd(),
      isBrief ? brief : help,
    ]));
  const whole = menu(false);
  const fits = whole.split("\n").every((line) => line.length <= width);
  return `Command Menu\n${fits ? whole : menu(true)}`;
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

/** What a command printed, and how it ended. */
export interface Answer {
  readonly text: string;
  /** Undefined if it succeeded. */
  readonly failure?: Failure;
}

/** Where a command shows what it does while it runs. */
export interface Progress {
  /** Prints a line. */
  readonly print: (line: string) => void;
  /** Shows a line that replaces the one before; `undefined` removes it. */
  readonly show: (line: string | undefined) => void;
  /** Asks the person; without it, nothing is asked. */
  readonly ask?: Ask | undefined;
}

const QUIETLY: Progress = { print: () => {}, show: () => {} };

/** Makes sure that files which others hold may be deleted everywhere. Throws `CommandError`. */
export async function confirmDeletion(
  files: readonly { readonly name: string; readonly holders: number }[],
  ask: Ask | undefined,
): Promise<void> {
  const shared = files.filter(({ holders }) => holders > 0);
  if (!ask || shared.length === 0) return;
  const [first] = shared;
  const question = shared.length === 1
    ? `Delete ${visible(first!.name)} everywhere? ${count(first!.holders, "other peer")} ${
      first!.holders === 1 ? "holds" : "hold"
    } it, too`
    : `Delete ${count(shared.length, "file")} everywhere that other peers hold, too?`;
  if (!await ask(question)) throw new CommandError("canceled", "Nothing was deleted");
}

/** Runs one line of the prompt. Never rejects. */
export async function answerTo(
  line: string,
  commands: Commands,
  progress: Progress = QUIETLY,
): Promise<Answer> {
  const [name, ...words] = wordsOf(line);
  if (name === undefined) return { text: "" };
  try {
    const verb = verbOf(name.toLowerCase());
    if (verb?.prompt === undefined) throw unknown(name, COMMAND_NAMES, 'Type "help" for a list');
    return { text: await carryOut(verb.name, words, pathOf(line), commands, progress) };
  } catch (error) {
    const text = visible(error instanceof Error ? error.message : String(error), 1_000);
    return { text, failure: failureOf(error) };
  }
}

/** As `answerTo`, for those who only print the text. */
export async function runCommand(
  line: string,
  commands: Commands,
  print: Progress["print"] = () => {},
  show: Progress["show"] = () => {},
): Promise<string> {
  return (await answerTo(line, commands, { print, show })).text;
}

/** Returns the error for a command that does not exist. */
export function unknown(name: string, names: readonly string[], hint: string): UsageError {
  const near = nearest(name.toLowerCase(), names);
  const question = near === undefined ? "" : `Did you mean "${near}"? `;
  return new UsageError(`Unknown command "${visible(name)}"`, { hint: `${question}${hint}` });
}

/** The commands that do the same at the prompt and in a shell. */
export type SharedCommands = Pick<
  Commands,
  | "files"
  | "screen"
  | "peers"
  | "restore"
  | "deleted"
  | "stats"
  | "transfers"
  | "connect"
  | "limits"
  | "setLimit"
  | "logLevel"
  | "setLogLevel"
>;

/** Carries out a command that does the same at the prompt and in a shell. Resolves to what to print. */
export async function carryOutShared(
  name: string,
  words: readonly string[],
  commands: SharedCommands,
): Promise<string> {
  const [first] = words;
  switch (name) {
    case "list":
      return await listed(commands, words);
    case "peers":
      return peersText(await commands.peers());
    case "connect": {
      if (first === undefined || words.length > 1) throw usage("connect");
      const { peerId } = await commands.connect(first);
      return `Connected to ${visible(peerId)} at ${visible(first)}; it is remembered`;
    }
    case "transfers":
      return transfersText(await commands.transfers(), commands.screen());
    case "restore": {
      if (first !== undefined) {
        return `Restored ${visible((await commands.restore(words.join(" "))).name)}`;
      }
      const screen = commands.screen();
      return deletedText(await commands.deleted(listLimit(screen)), screen);
    }
    case "status":
      return columns(
        (await commands.stats()).map(([title, value]) => [`  ${title}`, visible(value)]),
      );
    case "limit":
      return await limitText(commands, words);
    case "log":
      return await logText(commands, first?.toUpperCase());
    default:
      throw new Error(`No such command: ${name}`);
  }
}

async function carryOut(
  name: string,
  words: readonly string[],
  path: string,
  commands: Commands,
  { print, show, ask }: Progress,
): Promise<string> {
  switch (name) {
    case "get":
      return await getText(commands, words, show);
    case "push":
      if (words.length === 0) throw usage("push");
      return pushText(await commands.push(path));
    case "verify":
      return await verifyText(commands, print);
    case "login":
      return commands.login();
    case "qr":
      if (words.length > 1 || (words[0] !== undefined && words[0] !== "login")) throw usage("qr");
      return await commands.qr(words[0] === "login");
    case "delete": {
      const isSure = words[0] === "-y" || words[0] === "--yes";
      const named = wordsWithName(isSure ? words.slice(1) : words, (text) => commands.isName(text));
      if (named.length === 0) throw usage("delete");
      return deletionText(await commands.delete(named, isSure ? undefined : ask));
    }
    case "help":
      return words.length === 0 ? menuText(commands.screen()?.columns) : aboutText(words);
    case "exit":
      if (words.length > 0) throw usage("exit");
      commands.exit();
      return "";
    default:
      return await carryOutShared(name, words, commands);
  }
}

/** Returns what there is to say of one command of the prompt. Throws `UsageError`. */
function aboutText([name = "", ...more]: readonly string[]): string {
  const verb = PROMPT_VERBS.find((each) => each === verbOf(name.toLowerCase()));
  if (more.length > 0) throw usage("help");
  if (!verb) throw unknown(name, PROMPT_VERBS.map((each) => each.name), '"help" lists them');
  return `${`${verb.name} ${verb.prompt}`.trimEnd()}\n${verb.help}`;
}

function usage(name: string, more = ""): UsageError {
  return new UsageError(`Usage: ${`${name} ${verbOf(name)?.prompt}`.trimEnd()}${more}`);
}

async function listed(commands: SharedCommands, words: readonly string[]): Promise<string> {
  const filter = filterOf(words);
  const screen = commands.screen();
  return listText(await commands.files(filter, listLimit(screen)), filter, screen);
}

async function getText(
  commands: Commands,
  given: readonly string[],
  show: (line: string | undefined) => void,
): Promise<string> {
  const [what, destination, ...more] = getWords(given, (text) => commands.isName(text));
  if (what === undefined) throw usage("get");
  if (more.length > 0) {
    throw new UsageError(
      "get takes a file and at most one destination; put quotes around names with spaces",
    );
  }
  const got = await commands.get(what, destination, (progress) => {
    const { columns } = commands.screen() ?? { columns: 80 };
    show(progress && progressLine(progress, columns));
  });
  return gotText(got);
}

/** Returns the file and the destination. A name may have spaces. */
function getWords(words: readonly string[], isName: (text: string) => boolean): readonly string[] {
  const whole = wordsWithName(words, isName);
  if (whole.length === 1) return whole;
  const name = words.slice(0, -1).join(" ");
  return words.length > 2 && isName(name) ? [name, words.at(-1)!] : words;
}

/** Returns the answer to `get`. */
export function gotText({ source, as, path, name }: Got): string {
  // A download that just finished has already been reported by its own line.
  const here = as === undefined
    ? `${visible(name)} is ${source === "" ? "already" : "now"} stored here`
    : `${visible(name)} is here already as ${visible(as)}`;
  return path === undefined ? here : `${here}, copied to ${visible(path)}`;
}

/** Returns the answer to `push`. */
export function pushText({ file, isNew }: Pushed): string {
  return isNew
    ? `Shared ${visible(file.name)} as ${file.fileId}`
    : `${visible(file.name)} is already shared with the same content, as ${file.fileId}`;
}

/** Returns the answer to `delete`. */
export function deletionText({ everywhere, here, reached, ...spread }: JustDeleted): string {
  const lines: string[] = [];
  if (everywhere.length > 0) {
    const them = everywhere.length === 1 ? "it" : "them";
    lines.push(
      `Deleted ${namesText(everywhere)}: ${
        spreadText(reached, spread)
      }. "restore" brings ${them} back within 24 hours`,
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

async function limitText(
  commands: Pick<Commands, "limits" | "setLimit">,
  words: readonly string[],
): Promise<string> {
  const [which, value] = words;
  if (words.length > 2 || (which !== undefined && which !== "down" && which !== "up")) {
    throw usage("limit", ", for example: limit down 2MiB");
  }
  if (which !== undefined && value !== undefined) {
    await commands.setLimit(which, limitOf(value));
  }
  const { down, up } = await commands.limits();
  const text = (bytes: number) => bytes === 0 ? "no limit" : `at most ${sizeText(bytes)}/s`;
  return columns([["  received from peers", text(down)], ["  sent to peers", text(up)]]);
}

function limitOf(value: string): number {
  try {
    return rate(value);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`A limit ${error.message}`);
  }
}

async function logText(
  commands: Pick<Commands, "logLevel" | "setLogLevel">,
  level: string | undefined,
): Promise<string> {
  if (level === undefined) return `The log level is ${await commands.logLevel()}`;
  if (!LEVELS.includes(level)) throw usage("log");
  await commands.setLogLevel(level);
  return `Log level set to ${level}`;
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
