// Every command, once: those of the prompt, and those of the shell that ask a running peer. The prompt's menu, the parser, help,
// completion, docs/CLI.md and the man page are made from this table.

/** A flag of a command of the shell. */
export interface VerbFlag {
  /** The long name, without dashes. */
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** Placeholder of its value; a switch has none. */
  readonly argument?: string;
  /** What it does, in one line. */
  readonly help: string;
}

/** What a word after a command can be completed to. */
export type Completes =
  | "file"
  | "deleted"
  | "path"
  | "level"
  | "where"
  | "direction"
  | "shell"
  | "command";

/** A command. */
export interface Verb {
  /** Its name. */
  readonly name: string;
  /** Other names that do the same. */
  readonly aliases?: readonly string[];
  /** What follows it at the prompt; undefined: it is not a command there. */
  readonly prompt?: string;
  /** What follows it in a shell; undefined: it is not a command there. */
  readonly shell?: string;
  /** What it does, in one line without a period. */
  readonly help: string;
  /** The same in at most 60 characters, for the overview. */
  readonly brief?: string;
  /** More about it in a shell, as sentences. */
  readonly more?: string;
  /** Its flags in a shell, besides those of all commands. */
  readonly flags?: readonly VerbFlag[];
  /** Command lines for a shell, without the program's name, and what each does. */
  readonly examples?: readonly (readonly [line: string, what: string])[];
  /** What its words can be completed to. */
  readonly completes?: Completes;
  /** It is for programs, and left out where people look for commands. */
  readonly isHidden?: boolean;
}

const levels = "trace|debug|info|warning|error|fatal";

/** Flags of every command that asks a running peer. */
export const COMMON_FLAGS: readonly VerbFlag[] = [
  { name: "json", help: "print JSON; the default unless standard output is a terminal" },
  { name: "text", help: "print text for people, wherever it goes" },
  {
    name: "dir",
    argument: "<folder>",
    help: "folder of the peer to ask (default: the only one in this folder)",
  },
  { name: "url", argument: "<url>", help: "address of its pages, if it runs on another machine" },
  {
    name: "token",
    argument: "<token>",
    help: "token to log in with (default: P2P_PEER_TOKEN, or the one in the folder)",
  },
  { name: "color", argument: "<when>", help: "auto, always or never" },
];

/** All commands, in the order of the menu. */
export const VERBS: readonly Verb[] = [
  {
    name: "list",
    prompt: "[local|remote] [pattern]",
    shell: "[local|remote] [pattern]",
    help:
      "list the newest known files, or only those stored here or elsewhere; pattern: part of a name, or a whole one with * and ?",
    brief: "list the newest files, or those that match a pattern",
    more: "A terminal shows the newest that fit; JSON has all of them.",
    examples: [
      ["list '*.pdf'", "the newest PDFs"],
      ["list remote --json | jq -r '.files[].file_name'", "names of files that are not here"],
    ],
    completes: "where",
  },
  {
    name: "peers",
    prompt: "",
    shell: "",
    help: "list live peers",
    examples: [["peers --json | jq '.peers | length'", "how many there are"]],
  },
  {
    name: "connect",
    prompt: "<host:port>",
    shell: "<host:port>",
    help: "join through one more peer, now and in later runs",
    examples: [["connect eagle.cs.example.edu:8115", "join the network of that peer"]],
  },
  {
    name: "get",
    prompt: "<file_id|prefix|name> [destination]",
    shell: "<file_id|prefix|name>...",
    help: "download a file, and copy it to a destination if given",
    more:
      "Waits until each file is here and verified. Names with spaces are one word in a shell, so quote them. Ctrl-C cancels the download.",
    flags: [{
      name: "output",
      short: "o",
      argument: "<path>",
      help:
        "copy it to this file or folder (with a final slash, the folder is made), never over another file; - writes its content to standard output",
    }],
    examples: [
      ["get thesis.pdf -o .", "fetch it, and copy it into this folder"],
      ["get data.csv -o - | head", "its content, once it is verified"],
    ],
    completes: "file",
  },
  {
    name: "push",
    prompt: "<path>",
    shell: "<path>...",
    help: "share a file: store a copy, announce it to all peers, push it to one of them",
    brief: "share files: store a copy here, and tell all peers",
    more: "The path - reads standard input and needs --name.",
    flags: [{ name: "name", argument: "<name>", help: "share it under this name" }],
    examples: [
      ["push results/*.csv", "share all of these"],
      ["pg_dump lab | p2p-peer push - --name lab.sql", "share what another program writes"],
    ],
    completes: "path",
  },
  {
    name: "delete",
    prompt: "[-y] <file_id>...",
    shell: "<file_id|prefix|name>...",
    help: "delete our own files everywhere, or other peers' files on this peer only",
    brief: "delete your own files everywhere, or a copy here",
    more: "Asks before it deletes a file that others hold, if a person can answer.",
    flags: [{ name: "yes", short: "y", help: "do not ask" }],
    examples: [["delete -y draft.txt", "delete it everywhere, without asking"]],
    completes: "file",
  },
  {
    name: "restore",
    prompt: "[file_id|prefix|name]",
    shell: "[file_id|prefix|name]",
    help: "restore a file deleted in the last 24 hours; without an argument, list them",
    brief: "restore a file deleted in the last 24 hours, or list them",
    completes: "deleted",
  },
  {
    name: "verify",
    prompt: "",
    help: "re-read every stored file, and download damaged ones again",
  },
  {
    name: "status",
    aliases: ["stats"],
    prompt: "",
    shell: "",
    help: "show traffic, storage and memory figures",
    examples: [["status --json | jq .free_bytes", "how much space is left"]],
  },
  {
    name: "transfers",
    prompt: "",
    shell: "",
    help: "list running transfers, and those that ended recently",
  },
  {
    name: "watch",
    shell: "",
    help: "print changes of files, peers and transfers as they happen, one JSON object per line",
    brief: "print changes as they happen, as JSON lines",
    more:
      'Each line has "type" (status, peers, files, transfers, or reset: read the lists again) and what changed. Reconnects when the peer restarts.',
    examples: [[
      "watch | jq -c 'select(.type == \"files\") | .changed[].file_name'",
      "names of files as they appear or change",
    ]],
  },
  {
    name: "limit",
    prompt: "[down|up] [size|off]",
    shell: "[down|up] [size|off]",
    help: "show or set how fast content is received from or sent to peers, per second",
    brief: "show or set how fast content moves",
    examples: [["limit up 2MiB", "send at most 2 MiB per second"]],
    completes: "direction",
  },
  { name: "login", prompt: "", help: "show the link that lets a browser make changes" },
  {
    name: "qr",
    prompt: "[login]",
    help: "show the page's address as a QR code for phones; login: with the right to make changes",
    brief: "show the page's address as a QR code for phones",
  },
  {
    name: "log",
    prompt: `<${levels}>`,
    shell: `[${levels}]`,
    help: "set the log level",
    more: "Without a level, prints the current one.",
    completes: "level",
  },
  {
    name: "names",
    shell: "[known|deleted]",
    help: "print names of files, one per line, for completion",
    isHidden: true,
  },
  {
    name: "help",
    aliases: ["?"],
    prompt: "[command]",
    help: "show this menu, or more about a command",
  },
  { name: "exit", aliases: ["quit"], prompt: "", help: "stop the peer" },
];

/** Returns the command with this name. */
export function verbOf(name: string): Verb | undefined {
  return VERBS.find((verb) => verb.name === name || verb.aliases?.includes(name));
}

/** The commands of the prompt. */
export const PROMPT_VERBS: readonly Verb[] = VERBS.filter(({ prompt }) => prompt !== undefined);

/** The commands of the shell that ask a running peer. */
export const SHELL_VERBS: readonly Verb[] = VERBS.filter(({ shell }) => shell !== undefined);

/** Returns the name that is most like a mistyped one: at most two letters differ, or it starts the same. */
export function nearest(typed: string, names: readonly string[]): string | undefined {
  const ranked = names.map((name) => ({ name, distance: distance(typed, name) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  if (best && best.distance <= Math.min(2, Math.max(1, typed.length / 2))) return best.name;
  return typed.length >= 2 ? names.find((name) => name.startsWith(typed.slice(0, 2))) : undefined;
}

/** Returns how many letters have to be inserted, removed, replaced or swapped with the next. */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      row[j] = Math.min(
        rows[i - 1]![j]! + 1,
        row[j - 1]! + 1,
        rows[i - 1]![j - 1]! + (isSame ? 0 : 1),
      );
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwapped) row[j] = Math.min(row[j]!, rows[i - 2]![j - 2]! + 1);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
