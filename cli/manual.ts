// The manual: docs/CLI.md and the man page. Made from the table of commands, so that both say what the program does. PURE.

import { COMMON_FLAGS, PROMPT_VERBS, SHELL_VERBS, type Verb, type VerbFlag } from "./verbs.ts";
import { EXIT_CODES } from "./failures.ts";
import { flagText, OTHER_COMMANDS } from "./help.ts";

const VISIBLE = SHELL_VERBS.filter(({ isHidden }) => !isHidden);

const sentence = (help: string) => `${help[0]!.toUpperCase()}${help.slice(1)}.`;
const asTyped = (line: string) => line.includes("p2p-peer") ? line : `p2p-peer ${line}`;
const exitCodes = (): readonly (readonly [number, string])[] => [
  [0, "done"],
  ...Object.values(EXIT_CODES),
];

/** Returns docs/CLI.md. */
export function manualPage(): string {
  const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
  const flagTable = (flags: readonly VerbFlag[]) => [
    "| option | |",
    "|---|---|",
    ...flags.map((flag) => `| \`${flagText(flag).replaceAll("|", "\\|")}\` | ${cell(flag.help)} |`),
  ];
  const section = ({ name, shell = "", help, more, flags = [], examples = [] }: Verb) => [
    `### ${name}`,
    "",
    `\`p2p-peer ${`${name} ${shell}`.trimEnd()}\``,
    "",
    more === undefined ? sentence(help) : `${sentence(help)} ${more}`,
    ...flags.length === 0 ? [] : ["", ...flagTable(flags)],
    ...examples.flatMap(([line, what]) => ["", `${sentence(what)}`, "", `    ${asTyped(line)}`]),
    "",
  ];
  return [
    "# Commands",
    "",
    "This page is generated from the program (`cli/verbs.ts`); `p2p-peer help COMMAND` says the same.",
    "",
    "## A running peer from the shell",
    "",
    "These commands ask a peer that runs: the only one in the current folder, the one named by `--dir` (or `P2P_PEER_DIR`), or",
    "one on another machine (`--url` and `--token`, or `P2P_PEER_TOKEN`). On a terminal they print text; elsewhere, or with `--json`, one JSON object.",
    "Data goes to standard output, everything else to standard error. Of several files to get or push, each is tried; `delete` finds all of them before it deletes the first.",
    "",
    ...VISIBLE.flatMap(section),
    "### Options of all of them",
    "",
    ...flagTable(COMMON_FLAGS),
    "",
    "## Exit codes",
    "",
    "| code | |",
    "|---|---|",
    ...exitCodes().map(([code, what]) => `| ${code} | ${cell(what)} |`),
    "",
    "## Other commands",
    "",
    "`p2p-peer NAME [HOST] PORT PORT` always starts a peer, even if NAME is also the name of a command.",
    "",
    "| command | |",
    "|---|---|",
    ...OTHER_COMMANDS.map(([name, usage, help]) =>
      `| \`${`${name} ${usage}`.trimEnd().replaceAll("|", "\\|")}\` | ${cell(help)} |`
    ),
    "",
    "## The prompt",
    "",
    "A peer that is started in a terminal has a prompt. Tab completes commands, ids, names and paths; a name with spaces needs no quotes if it is the last word.",
    "Ctrl-C clears a half-typed line and cancels a download; twice on an empty line, it stops the peer. Commands from a pipe or a file run in order, and the",
    "peer exits with the code of the first that failed.",
    "",
    "| command | |",
    "|---|---|",
    ...PROMPT_VERBS.map(({ name, prompt, help }) =>
      `| \`${`${name} ${prompt}`.trimEnd().replaceAll("|", "\\|")}\` | ${cell(help)} |`
    ),
    "",
  ].join("\n");
}

/** Returns text for roff: no line begins with a control character, and hyphens are as typed. */
const roff = (text: string) =>
  text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^(?=[.'])/gm, "\\&");

/** Returns the man page, in the macros of man(7). */
export function manPage(version: string): string {
  const flagItems = (flags: readonly VerbFlag[]) =>
    flags.flatMap((flag) => [".TP", `\\fB${roff(flagText(flag))}\\fR`, roff(sentence(flag.help))]);
  return [
    `.TH P2P\\-PEER 1 "" "p2p\\-peer ${roff(version)}" "User Commands"`,
    ".SH NAME",
    "p2p\\-peer \\- share files with the peers of a lab network",
    ".SH SYNOPSIS",
    ".B p2p\\-peer",
    roff("PEER_ID [HOST] P2P_PORT HTTP_PORT [OPTIONS]"),
    ".br",
    ".B p2p\\-peer",
    roff("COMMAND [WORDS] [OPTIONS]"),
    ".SH DESCRIPTION",
    roff(
      "Starts a peer, or asks one that runs: the only one in the current folder, or the one that --dir or --url names. On a terminal, commands print text; elsewhere, or with --json, one JSON object.",
    ),
    ".SH COMMANDS",
    ...VISIBLE.flatMap(({ name, shell = "", help, more, flags = [], examples = [] }) => [
      ".TP",
      `\\fB${roff(`${name} ${shell}`.trimEnd())}\\fR`,
      roff(more === undefined ? sentence(help) : `${sentence(help)} ${more}`),
      ...flags.length === 0 ? [] : [".RS", ...flagItems(flags), ".RE"],
      ...examples.flatMap(([line, what]) => [
        ".IP",
        roff(sentence(what)),
        ".br",
        `\\fB${roff(asTyped(line))}\\fR`,
      ]),
    ]),
    ...OTHER_COMMANDS.flatMap(([name, usage, help]) => [
      ".TP",
      `\\fB${roff(`${name} ${usage}`.trimEnd())}\\fR`,
      roff(sentence(help)),
    ]),
    ".SH OPTIONS",
    roff('For all commands that ask a running peer; "p2p-peer help run" lists those of a peer.'),
    ...flagItems(COMMON_FLAGS),
    ".SH EXIT STATUS",
    ...exitCodes().flatMap(([code, what]) => [".TP", `\\fB${code}\\fR`, roff(sentence(what))]),
    ".SH ENVIRONMENT",
    ".TP",
    "\\fBP2P_PEER_DIR\\fR, \\fBP2P_PEER_TOKEN\\fR",
    roff(
      "The folder and the token of the peer to ask. Every option of a peer has a variable, too.",
    ),
    ".TP",
    "\\fBNO_COLOR\\fR",
    roff("If it is set, nothing is colored."),
    "",
  ].join("\n");
}
