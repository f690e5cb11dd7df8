// The help: one screen for everything, and a page for each command of the shell. Made from `verbs.ts`.

import { EXIT_CODES } from "./failures.ts";
import { columns } from "./table.ts";
import { COMMON_FLAGS, SHELL_VERBS, type Verb, type VerbFlag } from "./verbs.ts";

/** Commands that do not ask a running peer: what follows each, and what it does. */
export const OTHER_COMMANDS: readonly (readonly [name: string, usage: string, help: string])[] = [
  ["run", "[options]", "start a peer; alone, by your login name on ports 8040 and 8042"],
  ["dummy", "[options]", "start a bootstrap peer with sample files, to try things out"],
  ["dev", "", "start a peer that joins such a dummy"],
  ["doctor", "[options]", "look for what keeps a peer from working, and say what to do"],
  ["config", "check|show [--origin]", "check what is set, or show it and where it comes from"],
  [
    "update",
    "[--check] [--from <url>] [--token <token>]",
    "replace this program by a newer, signed version",
  ],
  ["completion", "bash|zsh|fish", "print what makes the shell complete commands and names"],
  ["help", "[command]", "say more about a command; help run lists all options"],
];

/** Names of all commands of the shell. */
export const ALL_NAMES: readonly string[] = [
  ...SHELL_VERBS.filter(({ isHidden }) => !isHidden).map(({ name }) => name),
  ...OTHER_COMMANDS.map(([name]) => name),
];

const EXAMPLES = [
  ["p2p-peer kashifm 8115 8116", "start a peer: its name, TCP port, HTTP port"],
  ["p2p-peer get thesis.pdf -o .", "fetch a file through it, and copy it here"],
  ["p2p-peer push results/*.csv", "share files; --json is for scripts"],
];

/** Returns the help on one screen. */
export function overviewText(): string {
  const rows = (all: readonly (readonly [string, string])[]) =>
    columns(all.map(([name, help]) => [`  ${name}`, help])).split("\n");
  const verbs = SHELL_VERBS.filter(({ isHidden }) => !isHidden)
    .map(({ name, help, brief }) => [name, brief ?? help] as const);
  // What is for developers of the program is left out, and what the heading says.
  const others = OTHER_COMMANDS.filter(([name]) => name !== "dev" && name !== "help")
    .map(([name, , help]) => [name, help] as const);
  return [
    columns(EXAMPLES.map(([line, what]) => [line!, what!])),
    "",
    "Ask the peer that runs in this folder (--dir and --url name another one):",
    ...rows(verbs),
    'Others ("help COMMAND" says more about one, "help run" lists all options):',
    ...rows(others),
  ].join("\n");
}

/** Returns a flag as it is typed. */
export const flagText = ({ name, short, argument }: VerbFlag): string =>
  `${short === undefined ? "" : `-${short}, `}--${name}${
    argument === undefined ? "" : ` ${argument}`
  }`;

/** Returns the page about one command of the shell. */
export function verbText({ name, shell, help, more, flags = [], examples = [] }: Verb): string {
  const sentence = `${help[0]!.toUpperCase()}${help.slice(1)}.`;
  const flagRows = (all: readonly VerbFlag[]) =>
    columns(all.map((flag) => [`  ${flagText(flag)}`, flag.help]));
  const parts = [
    `Usage: p2p-peer ${`${name} ${shell}`.trimEnd()} [options]`,
    more === undefined ? sentence : `${sentence} ${more}`,
    ...examples.length === 0 ? [] : [
      `Examples:\n${
        columns(examples.map(([line, what]) => [
          `  ${line.includes("p2p-peer") ? line : `p2p-peer ${line}`}`,
          what,
        ]))
      }`,
    ],
    `Options:\n${flagRows([...flags, ...COMMON_FLAGS])}`,
    exitCodesText(),
  ];
  return parts.join("\n\n");
}

/** Returns the exit codes and what each means. */
export function exitCodesText(): string {
  const rows = Object.values(EXIT_CODES).map(([code, what]) => [`  ${code}`, what]);
  return `Exit codes:\n${columns([["  0", "done"], ...rows])}`;
}
