// Parses the commands of the shell that ask a running peer. Their flags are in `verbs.ts`; commander parses them.

import { Command, Option as Flag } from "commander";
import { UsageError } from "./values.ts";
import { visible } from "../protocol/wire/text.ts";
import { COMMON_FLAGS, type Verb, type VerbFlag } from "./verbs.ts";

/** A command of the shell, as it was typed. */
export interface ShellCommand {
  /** Its name. */
  readonly name: string;
  readonly words: readonly string[];
  /** What was asked for; undefined: JSON unless standard output is a terminal. */
  readonly format: "json" | "text" | undefined;
  readonly url: string | undefined;
  readonly token: string | undefined;
  readonly dir: string | undefined;
  readonly color: "auto" | "always" | "never";
  /** NO_COLOR is set. */
  readonly isPlain: boolean;
  /** `get`: where to copy the files to. */
  readonly output: string | undefined;
  /** `push`: the name to share under. */
  readonly as: string | undefined;
  /** `delete`: do not ask. */
  readonly isSure: boolean;
}

const COLORS = ["auto", "always", "never"] as const;

/** Adds the flags to a commander program. */
function addFlags(program: Command, flags: readonly VerbFlag[]): void {
  for (const { name, short, argument, help } of flags) {
    const letter = short === undefined ? "" : `-${short}, `;
    program.addOption(
      new Flag(`${letter}--${name}${argument === undefined ? "" : ` ${argument}`}`, help),
    );
  }
}

/** Parses the words after a command. Throws `UsageError` and commander's errors. */
export function parseShell(
  verb: Verb,
  args: readonly string[],
  env: (name: string) => string | undefined,
): ShellCommand {
  const program = new Command(`p2p-peer ${verb.name}`)
    .argument("[words...]")
    .helpOption(false)
    .exitOverride()
    .configureOutput({ writeOut: () => {}, writeErr: () => {} });
  addFlags(program, [...verb.flags ?? [], ...COMMON_FLAGS]);
  program.parse([...args], { from: "user" });
  const flags = program.opts<Record<string, string | boolean | undefined>>();
  const text = (name: string) => {
    const value = flags[name];
    return typeof value === "string" ? value : undefined;
  };
  const words = program.args;
  if (verb.shell === "" && words.length > 0) {
    throw new UsageError(`${verb.name} takes no words, got "${visible(words.join(" "))}"`);
  }
  if (flags.json === true && flags.text === true) {
    throw new UsageError("Choose one of --json and --text");
  }
  const color = text("color") ?? "auto";
  if (!COLORS.includes(color as "auto")) {
    throw new UsageError(`--color must be one of ${COLORS.join(", ")}, got "${visible(color)}"`);
  }
  const url = text("url");
  return {
    name: verb.name,
    words,
    format: flags.json === true ? "json" : flags.text === true ? "text" : undefined,
    url,
    token: text("token") ?? (env("P2P_PEER_TOKEN") || undefined),
    dir: text("dir") ?? (url === undefined ? env("P2P_PEER_DIR") || undefined : undefined),
    color: color as ShellCommand["color"],
    isPlain: (env("NO_COLOR") ?? "") !== "",
    output: text("output"),
    as: text("name"),
    isSure: flags.yes === true,
  };
}
