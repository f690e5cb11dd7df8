// Turns the command line into a command. Nothing is started here.
// commander parses the options, writes the help and suggests corrections. It cannot declare positionals with an
// optional one in the middle, so those are counted here: `<peer_id> [host] <p2p_port> <http_port>`.

import * as v from "valibot";
import { Command, CommanderError, Option as Flag } from "commander";
import { type Address, addressText, isLoopbackHost } from "../protocol/wire/address.ts";
import { isCleanName, visible } from "../protocol/wire/text.ts";
import { MAX_NAME_CHARS } from "../protocol/limits.ts";
import {
  allValues,
  DEV_BOOTSTRAP,
  envName,
  everyOption,
  OPTIONS,
  type OptionValues,
  POSITIONALS,
  rankOf,
  type Sources,
  valueOf,
} from "./options.ts";
import { unknown } from "./commands.ts";
import { ALL_NAMES, exitCodesText, OTHER_COMMANDS, overviewText, verbText } from "./help.ts";
import { completionScript, SHELLS } from "./shell_completion.ts";
import { settingsOf, settingsText } from "./config_text.ts";
import { parseShell, type ShellCommand } from "./shell_arguments.ts";
import { nearest, SHELL_VERBS, verbOf } from "./verbs.ts";
import { versionText } from "./version.ts";
import { host as hostOf, type Raw, UsageError } from "./values.ts";

export type Misbehaviour = "slow" | "truncate" | "corrupt" | "silent" | "garbage";
export const MISBEHAVIOURS: readonly Misbehaviour[] = [
  "slow",
  "truncate",
  "corrupt",
  "silent",
  "garbage",
];

/** Everything needed to start a peer. */
export interface RunConfig extends OptionValues {
  /** If not `isNamed`, the name of this machine; letters of the key are appended at startup. */
  readonly peerId: string;
  /** Whether the command line, the environment (login name included) or the config file gave the peer id. */
  readonly isNamed: boolean;
  /** The host to advertise to other peers; undefined to detect it at startup. */
  readonly host: string | undefined;
  readonly port: number;
  readonly httpPort: number;
  readonly bootstraps: readonly Address[];
  readonly storageDir: string;
}

export interface DummyConfig {
  readonly host: string;
  readonly port: number;
  readonly files: string | undefined;
  readonly misbehave: Misbehaviour | undefined;
  readonly logLevel: string;
}

/** `update`, as it was typed. */
export interface UpdateCommand {
  /** Address of the folder with the release, if it was named. */
  readonly from: string | undefined;
  /** Token of a peer whose pages are private. */
  readonly token: string | undefined;
  /** Only say whether there is a newer one. */
  readonly isCheck: boolean;
  readonly isJson: boolean;
}

export type Parsed =
  | { readonly command: "run"; readonly config: RunConfig }
  | { readonly command: "dummy"; readonly config: DummyConfig }
  | { readonly command: "dev"; readonly config: RunConfig }
  /** What may keep a peer from working is looked for. */
  | { readonly command: "doctor"; readonly config: RunConfig; readonly isJson: boolean }
  /** This program is replaced by a newer one. */
  | { readonly command: "update"; readonly update: UpdateCommand }
  /** A question to a running peer. */
  | { readonly command: "shell"; readonly shell: ShellCommand }
  /** Help or the version was requested; `text` is what to print. */
  | { readonly command: "show"; readonly text: string };

/** What parsing needs from the system; tests pass their own. */
export interface Surroundings {
  readonly env: (name: string) => string | undefined;
  /** Returns the text of a file; throws like `Deno.readTextFileSync`. */
  readonly readFile: (path: string) => string;
  /** Returns the name of this machine. */
  readonly hostname: () => string;
  /** Returns the names of all variables of the environment. */
  readonly envNames?: () => readonly string[];
}

/** The peer id when the user, the environment and the machine all give no name. */
const UNNAMED = "peer";

/** A value allowed in the config file. */
const RawShape = v.union([v.string(), v.number(), v.boolean(), v.array(v.string())]);

const isPort = (text: string | undefined) => /^\d{1,5}$/.test(text ?? "") && Number(text) <= 65535;

/** Options of both commands that take a value. */
const withValue = new Set([
  ...everyOption().filter(({ argument }) => argument !== undefined).map(({ name }) => `--${name}`),
  ...["--config", "--port", "--host", "--files", "--misbehave"],
]);

/** Returns the words that are neither options nor option values. */
function positionalWords(args: readonly string[]): string[] {
  return args.filter((word, i) => !word.startsWith("-") && !withValue.has(args[i - 1] ?? ""));
}

/** Three or four words that end in two ports always start a peer, even if its id is the name of a command. */
function isStart(words: readonly string[]): boolean {
  return (words.length === 3 || words.length === 4) && isPort(words.at(-1)) && isPort(words.at(-2));
}

/** Parses the arguments into a command. Throws `UsageError`. */
export function parseArguments(args: readonly string[], surroundings: Surroundings): Parsed {
  const [first] = args;
  const words = positionalWords(args);
  const firstOption = args.findIndex((word) => word.startsWith("-"));
  const leading = firstOption < 0 ? args : args.slice(0, firstOption);
  try {
    if (!isStart(words) && !isStart(leading)) {
      const mistake = mistakeIn(args, words);
      if (mistake) throw mistake;
      const asked = helpFor(args);
      if (asked !== undefined) return { command: "show", text: asked };
      if (first === "dummy") return parseDummy(args.slice(1), surroundings);
      if (first === "dev" && args.length === 1) return parseDev(surroundings);
      if (first === "completion") return parseCompletion(args.slice(1));
      if (first === "doctor") return parseDoctor(args.slice(1), surroundings);
      if (first === "update") return parseUpdate(args.slice(1), surroundings);
      if (first === "config") return parseConfig(args.slice(1), surroundings);
      const verb = shellVerb(first);
      if (verb) {
        const shell = parseShell(verb, args.slice(1), surroundings.env);
        return { command: "shell", shell };
      }
    }
    return parseRun(args, surroundings);
  } catch (error) {
    if (error instanceof CommanderError) {
      const text = error.message.replace(/^error: /, "").replaceAll(/\s+/g, " ");
      throw new UsageError(visible(text, 500));
    }
    throw error;
  }
}

/** Returns the command of the shell with this name. */
const shellVerb = (word: string | undefined) =>
  SHELL_VERBS.find(({ name, aliases }) => name === word || aliases?.includes(word ?? ""));

/** Returns what is wrong with a command line that starts no peer, if it can be told. */
function mistakeIn(args: readonly string[], words: readonly string[]): UsageError | undefined {
  const [first = "", ...more] = words;
  const isCommand = shellVerb(first) !== undefined || ALL_NAMES.includes(first);
  if (isCommand && args[0]!.startsWith("-") && first !== "run") {
    return new UsageError(`Options come after the command: p2p-peer ${first} [options]`);
  }
  if (first === "help" && more.length > 1) {
    return new UsageError("help takes one command", { hint: LIST_HINT });
  }
  const ofPrompt = isCommand ? undefined : verbOf(first);
  if (ofPrompt && ofPrompt.name !== "help") {
    return new UsageError(`${first} is a command of the prompt`, {
      hint: `Type it where the peer runs, or pipe it in when you start one`,
    });
  }
  const isPortLike = more.some((word) => /^\d+$/.test(word));
  const near = isCommand || isPortLike ? undefined : nearest(first.toLowerCase(), ALL_NAMES);
  return near === undefined || first === "run" ? undefined : unknown(first, ALL_NAMES, LIST_HINT);
}

const LIST_HINT = '"p2p-peer help" lists them';

/** Returns a program with the options of a peer, and flags for what is positional when one is started. */
function settingsProgram(name: string): Command {
  const program = quiet(new Command(`p2p-peer ${name}`)).argument("[words...]")
    .option("--config <file>", "JSON file that sets options by name")
    .option("--json", "print JSON");
  for (const { key } of Object.values(POSITIONALS)) {
    const flag = new Flag(`--${key} <value>`);
    flag.attributeName = () => key;
    program.addOption(flag);
  }
  addOptions(program);
  return program;
}

function parseDoctor(args: readonly string[], surroundings: Surroundings): Parsed {
  const program = settingsProgram("doctor");
  program.parse([...args], { from: "user" });
  if (program.args.length > 0) {
    throw new UsageError(`doctor takes no words, got "${visible(program.args.join(" "))}"`, {
      hint: "Give a peer's ports with --port and --http-port",
    });
  }
  const flags = program.opts<Record<string, Raw | undefined>>();
  return {
    command: "doctor",
    config: runConfig([], flags, surroundings),
    isJson: flags.json === true,
  };
}

function parseConfig(args: readonly string[], surroundings: Surroundings): Parsed {
  const program = settingsProgram("config").option("--origin");
  program.parse([...args], { from: "user" });
  const [what, ...more] = program.args;
  if ((what !== "check" && what !== "show") || more.length > 0) {
    throw new UsageError("Usage: p2p-peer config check|show [--origin] [--config FILE]", {
      hint:
        '"config check" says whether everything that is set can be used, "config show" what it is',
    });
  }
  const flags = program.opts<Record<string, Raw | undefined>>();
  runConfig([], flags, surroundings); // throws if anything cannot be used
  const { sources, configPath } = sourcesOf(flags, surroundings);
  const settings = settingsOf(sources, configPath);
  if (what === "show") {
    const text = flags.json === true
      ? JSON.stringify({ settings })
      : settingsText(settings, flags.origin === true);
    return { command: "show", text };
  }
  const stray = strayVariable(surroundings.envNames?.() ?? []);
  if (stray !== undefined) throw stray;
  const set = settings.filter(({ origin }) => origin !== "default").length;
  return {
    command: "show",
    text: `Everything that is set can be used (${set} of ${settings.length} options)`,
  };
}

/** Returns what is wrong with a variable that looks like one of ours and sets nothing, if there is one. */
function strayVariable(names: readonly string[]): UsageError | undefined {
  const known = [
    ...everyOption().map(({ name }) => envName(name)),
    ...Object.values(POSITIONALS).map(({ env }) => env),
    "P2P_PEER_CONFIG",
    "P2P_PEER_TOKEN",
  ];
  const stray = names.find((name) => name.startsWith("P2P_PEER_") && !known.includes(name));
  if (stray === undefined) return undefined;
  const bare = (name: string) => name.slice("P2P_PEER_".length);
  const near = nearest(bare(stray), known.map(bare));
  return new UsageError(`The variable ${visible(stray)} sets no option`, {
    hint: near === undefined
      ? '"config show --origin" lists all of them'
      : `Did you mean P2P_PEER_${near}?`,
  });
}

function parseUpdate(args: readonly string[], { env }: Surroundings): Parsed {
  const program = quiet(new Command("p2p-peer update")).argument("[words...]")
    .option("--check").option("--json").option("--from <url>").option("--token <token>");
  program.parse([...args], { from: "user" });
  const { check, json, from, token } = program.opts<
    { check?: true; json?: true; from?: string; token?: string }
  >();
  if (program.args.length > 0) {
    throw new UsageError(`update takes no words, got "${visible(program.args.join(" "))}"`, {
      hint: "Name a place with --from",
    });
  }
  const url = from === undefined ? undefined : URL.parse(from);
  if (url === null || (url && !["http:", "https:"].includes(url.protocol))) {
    throw new UsageError(
      `--from takes an address such as http://eagle:8116/download, got "${visible(from!)}"`,
    );
  }
  const update = {
    from: url?.href.replace(/\/+$/, ""),
    token: token ?? (env("P2P_PEER_TOKEN") || undefined),
    isCheck: check === true,
    isJson: json === true,
  };
  return { command: "update", update };
}

function parseCompletion(words: readonly string[]): Parsed {
  const shell = SHELLS.find((each) => each === words[0]);
  if (shell && words.length === 1) return { command: "show", text: completionScript(shell) };
  throw new UsageError(`Usage: p2p-peer completion ${SHELLS.join("|")}`, {
    hint: "For bash, for example: source <(p2p-peer completion bash)",
  });
}

const otherText = ([name, usage, help]: typeof OTHER_COMMANDS[number]) =>
  `Usage: p2p-peer ${`${name} ${usage}`.trimEnd()}\n\n${help}`;

/** Returns the help, if that is what was asked for. */
function helpFor(args: readonly string[]): string | undefined {
  const [first, second, ...rest] = args;
  const isHelp = (word: string | undefined) => word === "--help" || word === "-h";
  if (first === undefined || (isHelp(first) && second === undefined)) return overviewText();
  const verb = shellVerb(first);
  if (verb && args.slice(1).some(isHelp)) return verbText(verb);
  const asked = isHelp(second) ? OTHER_COMMANDS.find(([name]) => name === first) : undefined;
  if (asked && !["run", "dummy", "doctor"].includes(first)) return otherText(asked);
  if (first !== "help" || rest.length > 0) return undefined;
  if (second === undefined) return overviewText();
  const about = shellVerb(second);
  if (about) return verbText(about);
  if (second === "run" || second === "dummy") {
    const program = second === "run" ? runProgram() : dummyProgram();
    return (parse(program, ["--help"]) as { text: string }).text;
  }
  const other = OTHER_COMMANDS.find(([name]) => name === second);
  if (other) return otherText(other);
  throw unknown(second, ALL_NAMES, LIST_HINT);
}

/**
 * Whether `run` is the command rather than a peer id: `run 8115 8116` and `run 10.0.0.7 8115 8116` start a peer
 * called run, `run kashifm 8115 8116` starts kashifm.
 */
function isRunCommand([first, second = "", ...rest]: readonly string[]): boolean {
  if (first !== "run") return false;
  if (rest.length === 1) return false;
  return rest.length !== 2 ||
    !(second.includes(".") || isLoopbackHost(second) || second.includes(":"));
}

/** Returns the configuration of a peer that joins a dummy on the same machine, for a first look. */
function parseDev(surroundings: Surroundings): Parsed {
  const words = ["dev", DEV_BOOTSTRAP.host, "8115", "8116"];
  const flags = { bootstrap: [addressText(DEV_BOOTSTRAP)], dir: "./storage_dev" };
  return { command: "dev", config: runConfig(words, flags, surroundings) };
}

function runProgram(): Command {
  const program = quiet(new Command("p2p-peer"))
    .usage(
      "<peer_id> [host] <p2p_port> <http_port> [options]\n       p2p-peer run [options]\n       p2p-peer dummy [options]",
    )
    .description(
      "Shares files over the lab's peer-to-peer protocol, verifies every file, and serves a web page.",
    )
    .argument("[words...]", "peer_id, host to advertise to other peers, TCP port, HTTP port")
    .option("--config <file>", "JSON file that sets options by name, without the leading dashes")
    .version(versionText, "-V, --version", "show the version, and what it was built from")
    .addHelpText("after", EXAMPLES);
  addOptions(program);
  return program;
}

function addOptions(program: Command): void {
  for (const option of everyOption()) {
    const flag = new Flag(
      `--${option.name}${option.argument ? ` ${option.argument}` : ""}`,
      helpOf(option),
    );
    // `--no-x` is an option of its own here, not the negation of `--x`.
    flag.negate = false;
    flag.attributeName = () => option.name;
    if (option.repeatable) {
      flag.argParser((value: string, before: string[] | undefined) => [...before ?? [], value]);
    }
    program.addOption(flag);
  }
}

function parseRun(args: readonly string[], surroundings: Surroundings): Parsed {
  const program = runProgram();
  const shown = parse(program, args);
  if (shown) return shown;
  const flags = program.opts<Record<string, Raw | undefined>>();
  const words = isRunCommand(program.args) ? program.args.slice(1) : program.args;
  return { command: "run", config: runConfig(words, flags, surroundings) };
}

function runConfig(
  words: readonly string[],
  flags: Readonly<Record<string, Raw | undefined>>,
  surroundings: Surroundings,
): RunConfig {
  const { env, hostname } = surroundings;
  const { sources } = sourcesOf(flags, surroundings);
  const { file } = sources;
  const positional = positionals(words);
  const given = (name: keyof typeof POSITIONALS) =>
    positional[name] ?? flagOf(flags[POSITIONALS[name].key]) ??
      (env(POSITIONALS[name].env) || undefined) ??
      (file[POSITIONALS[name].key] === undefined ? undefined : String(file[POSITIONALS[name].key]));
  const login = env("LOGNAME") ?? env("USER");
  const named = given("peerId") ?? (login === undefined || login === "" ? undefined : login);
  const peerId = named ?? (machineName(hostname()) || UNNAMED);
  if (!isCleanName(peerId, MAX_NAME_CHARS)) {
    throw new UsageError(
      `The peer id must be 1 to ${MAX_NAME_CHARS} characters without control characters, got "${
        visible(peerId)
      }"`,
    );
  }
  const values = allValues(sources);
  const host = given("host");
  return {
    ...values,
    peerId,
    isNamed: named !== undefined,
    host: host === undefined || host === "" ? host : hostOf(host),
    port: portOf("P2P port", given("port") ?? "8040"),
    httpPort: portOf("HTTP port", given("httpPort") ?? "8042"),
    bootstraps: bootstrapsOf(values, sources),
    storageDir: values.dir === "" ? `./storage_${folderOf(peerId)}` : values.dir,
  };
}

const flagOf = (raw: Raw | undefined) => typeof raw === "string" ? raw : undefined;

function sourcesOf(
  flags: Readonly<Record<string, Raw | undefined>>,
  { env, readFile }: Surroundings,
): { readonly sources: Sources; readonly configPath: string | undefined } {
  const configPath = flagOf(flags.config) ?? (env("P2P_PEER_CONFIG") || undefined);
  const file = configPath === undefined ? {} : readConfig(configPath, readFile);
  return { sources: { flags, env, file }, configPath };
}

function bootstrapsOf(values: OptionValues, sources: Sources): readonly Address[] {
  const [isNone, env, list] = [OPTIONS.noBootstrap, OPTIONS.environment, OPTIONS.bootstrap]
    .map((option) => rankOf(option, sources)) as [number, number, number];
  const isDev = values.environment === "DEV" && env < list;
  // The source with the highest precedence wins; if both come from the same source, --no-bootstrap wins.
  if (values.noBootstrap && isNone <= Math.min(list, isDev ? env : list)) return [];
  return isDev ? [DEV_BOOTSTRAP] : values.bootstrap;
}

/** Returns the name of a machine without its domain, as a peer id. */
const machineName = (hostname: string) =>
  (hostname.split(".", 1)[0] ?? "").replaceAll(/[^\w-]/g, "").slice(0, 40);

/** Returns a peer id in a form that is safe within a folder name. */
function folderOf(peerId: string): string {
  return peerId.replaceAll(/[^\p{L}\p{N}._-]/gu, "_").replace(/^\.+/, "_");
}

function positionals(words: readonly string[]): Partial<Record<keyof typeof POSITIONALS, string>> {
  if (words.length === 0) return {};
  const [peerId] = words;
  if (words.length === 3) return { peerId, port: words[1], httpPort: words[2] };
  if (words.length === 4) return { peerId, host: words[1], port: words[2], httpPort: words[3] };
  throw new UsageError(
    `Expected <peer_id> [host] <p2p_port> <http_port>, for example kashifm 8115 8116, got "${
      visible(words.join(" "))
    }"`,
  );
}

function portOf(what: string, text: string): number {
  if (isPort(text)) return Number(text);
  throw new UsageError(`The ${what} must be a number from 0 to 65535, got "${visible(text)}"`);
}

function readConfig(path: string, readFile: (path: string) => string): Record<string, Raw> {
  let value: unknown;
  try {
    value = JSON.parse(readFile(path));
  } catch (cause) {
    const why = cause instanceof SyntaxError ? `is not JSON (${cause.message})` : "cannot be read";
    throw new UsageError(visible(`The config file ${path} ${why}`, 500), { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new UsageError(`The config file ${path} must contain a JSON object`);
  }
  const names = [
    ...everyOption().map(({ name }) => name),
    ...Object.values(POSITIONALS).map(({ key }) => key),
  ];
  for (const [name, raw] of Object.entries(value)) {
    if (!names.includes(name)) {
      const near = nearest(name, names);
      throw new UsageError(
        `Unknown option "${visible(name)}" in the config file ${path}${
          near ? ` (did you mean ${near}?)` : ""
        }`,
      );
    }
    if (!v.is(RawShape, raw)) {
      throw new UsageError(
        `"${name}" in the config file ${path} must be a string, a number, a boolean or a list of strings`,
      );
    }
  }
  return value as Record<string, Raw>;
}

function dummyProgram(): Command {
  return quiet(new Command("p2p-peer dummy"))
    .usage("[options]")
    .description("Runs a bootstrap peer with a few sample files, for trying things out.")
    .addOption(new Flag("--port <port>", "TCP port").default("8999"))
    .addOption(
      new Flag("--host <address>", "address to listen on and to advertise").default("127.0.0.1"),
    )
    .option("--files <folder>", "share copies of the files in this folder instead of the samples")
    .addOption(
      new Flag("--misbehave <how>", "imitate one kind of badly behaved peer").choices([
        ...MISBEHAVIOURS,
      ]),
    )
    .addOption(new Flag("--log-level <level>", `${OPTIONS.logLevel.help} (default: INFO)`));
}

function parseDummy(args: readonly string[], { env }: Surroundings): Parsed {
  const program = dummyProgram();
  const shown = parse(program, args);
  if (shown) return shown;
  if (program.args.length > 0) {
    throw new UsageError(`dummy accepts only options, got "${visible(program.args.join(" "))}"`);
  }
  const { port, host, files, misbehave, logLevel } = program.opts();
  const sources: Sources = { flags: { "log-level": logLevel }, env, file: {} };
  return {
    command: "dummy",
    config: {
      host,
      port: portOf("port", port),
      files,
      misbehave,
      logLevel: valueOf(OPTIONS.logLevel, sources),
    },
  };
}

let output = "";

function quiet(program: Command): Command {
  output = "";
  return program
    .allowExcessArguments(true)
    .exitOverride()
    .configureOutput({ writeOut: (text) => output += text, writeErr: () => {} });
}

/** Parses the arguments, or returns the text of the help or the version if that was requested. */
function parse(program: Command, args: readonly string[]): Parsed | undefined {
  try {
    program.parse([...args], { from: "user" });
    return undefined;
  } catch (error) {
    const isShown = error instanceof CommanderError && error.exitCode === 0;
    if (!isShown) throw error;
    return { command: "show", text: output };
  }
}

function helpOf({ help, fallback, defaultText }: ReturnType<typeof everyOption>[number]): string {
  const shown = defaultText ??
    (fallback === false || fallback === "" ? undefined : String(fallback));
  return shown === undefined ? help : `${help} (default: ${shown})`;
}

const EXAMPLES = `
Examples:
  p2p-peer kashifm 8115 8116
  p2p-peer kashifm eagle.cs.umanitoba.ca 8115 8116
  p2p-peer kashifm 8115 8116 --environment DEV --auto-fetch all

Each option can also be set by an environment variable (--auto-fetch: P2P_PEER_AUTO_FETCH) or in the --config file.
docs/OPTIONS.md describes what gets better and worse as each value changes.
${exitCodesText()}`;
