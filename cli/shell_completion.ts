// What makes bash, zsh and fish complete the commands of the shell. Made from `verbs.ts`; names of files come from the peer that
// runs in the folder, through `p2p-peer names`.

import { ALL_NAMES, OTHER_COMMANDS } from "./help.ts";
import { everyOption } from "./options.ts";
import { COMMON_FLAGS, SHELL_VERBS, type Verb, type VerbFlag } from "./verbs.ts";

const VISIBLE = SHELL_VERBS.filter(({ isHidden }) => !isHidden);

/** The shells for which there is a completion. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
/** One of them. */
export type Shell = typeof SHELLS[number];

/** What the commands besides those of the table can be followed by: words, and flags besides those of a peer. */
const OTHERS:
  readonly (readonly [name: string, words: readonly string[], flags: readonly string[]])[] = [
    ["config", ["check", "show"], ["--origin", "--json", "--config"]],
    ["update", [], ["--check", "--from", "--token", "--json"]],
    ["doctor", [], ["--json", "--config"]],
  ];
/** Returns the flags of one of these, with those of a peer if it takes them. */
const otherFlags = (name: string, flags: readonly string[]) =>
  name === "update" ? flags : [...flags, ...runFlags()];

/** Words that a command can be followed by, where they are few and known. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  level: ["trace", "debug", "info", "warning", "error", "fatal"],
  where: ["local", "remote"],
  direction: ["down", "up"],
  shell: SHELLS,
};

const verbFlags = ({ flags = [] }: Verb): readonly VerbFlag[] => [...flags, ...COMMON_FLAGS];
const typed = (flags: readonly VerbFlag[]) =>
  flags.flatMap(({ name, short }) => [`--${name}`, ...short === undefined ? [] : [`-${short}`]]);
const runFlags = () => everyOption().map(({ name }) => `--${name}`);
/** Returns text for a shell, in single quotes. */
const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** Returns the script for a shell. */
export function completionScript(shell: Shell): string {
  switch (shell) {
    case "bash":
      return bashScript();
    case "zsh":
      return zshScript();
    case "fish":
      return fishScript();
    default:
      return shell satisfies never;
  }
}

function bashScript(): string {
  const cases = VISIBLE.map((verb) => {
    const flags = typed(verbFlags(verb)).join(" ");
    const words = verb.completes === undefined ? undefined : WORDS[verb.completes];
    const more = verb.completes === "file" || verb.completes === "deleted"
      ? `${verb.completes === "file" ? "names=known" : "names=deleted"}`
      : verb.completes === "path"
      ? "files=1"
      : "";
    return `    ${verb.name}) flags="${flags}"; words="${words?.join(" ") ?? ""}"; ${more} ;;`;
  });
  return `# p2p-peer, for bash: source <(p2p-peer completion bash)
_p2p_peer() {
  local word="\${COMP_WORDS[COMP_CWORD]}" flags="" words="" names="" files=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "${ALL_NAMES.join(" ")}" -- "$word")
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
${
    OTHERS.map(([name, words, flags]) =>
      `    ${name}) words="${words.join(" ")}"; flags="${otherFlags(name, flags).join(" ")}" ;;`
    ).join("\n")
  }
    completion) words="${SHELLS.join(" ")}" ;;
    help) words="${ALL_NAMES.join(" ")}" ;;
    *) flags="${runFlags().join(" ")}" ;;
  esac
  case "$word" in
    -*) mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$word"); return ;;
  esac
  case "\${COMP_WORDS[COMP_CWORD - 1]}" in
    -o | --output | --dir) files=1; names="" ;;
  esac
  if [ -n "$names" ]; then
    local name
    while IFS= read -r name; do
      case "$name" in "$word"*) COMPREPLY+=("$(printf %q "$name")") ;; esac
    done < <(p2p-peer names "$names" 2>/dev/null)
  elif [ -n "$files" ]; then
    compopt -o filenames 2> /dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  fi
}
complete -F _p2p_peer p2p-peer`;
}

function zshScript(): string {
  const described = [
    ...VISIBLE.map(({ name, help, brief = help }) => [name, brief] as const),
    ...OTHER_COMMANDS.map(([name, , help]) => [name, help] as const),
  ].map(([name, help]) => `    ${quoted(`${name}:${help.replaceAll(":", "\\:")}`)}`);
  const cases = VISIBLE.map((verb) => {
    const flags = verbFlags(verb).map(({ name, short, argument, help }) => {
      const text = help.replaceAll(/[[\]:]/g, (sign) => `\\${sign}`);
      const value = argument === undefined ? "" : `:${argument.replaceAll(/[<>]/g, "")}:_files`;
      return short === undefined
        ? quoted(`--${name}[${text}]${value}`)
        : `{-${short},--${name}}${quoted(`[${text}]${value}`)}`;
    });
    const words = verb.completes === undefined ? undefined : WORDS[verb.completes];
    const rest = words
      ? quoted(`*:word:(${words.join(" ")})`)
      : verb.completes === "file"
      ? quoted("*:file:_p2p_peer_known")
      : verb.completes === "deleted"
      ? quoted("*:file:_p2p_peer_deleted")
      : verb.completes === "path"
      ? quoted("*:file:_files")
      : "";
    return `    ${verb.name}) _arguments -s ${[...flags, rest].join(" ").trimEnd()} ;;`;
  });
  return `#compdef p2p-peer
# p2p-peer, for zsh: source <(p2p-peer completion zsh)
_p2p_peer_known() { local -a names; names=("\${(@f)$(p2p-peer names known 2>/dev/null)}"); compadd -a names }
_p2p_peer_deleted() { local -a names; names=("\${(@f)$(p2p-peer names deleted 2>/dev/null)}"); compadd -a names }
_p2p_peer() {
  local -a commands
  commands=(
${described.join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join("\n")}
${
    OTHERS.map(([name, words, flags]) =>
      `    ${name}) _arguments ${
        quoted(`*:word:(${[...words, ...otherFlags(name, flags)].join(" ")})`)
      } ;;`
    ).join("\n")
  }
    completion) _arguments ${quoted(`*:shell:(${SHELLS.join(" ")})`)} ;;
    help) _describe command commands ;;
    *) _arguments ${quoted(`*:option:(${runFlags().join(" ")})`)} ;;
  esac
}
compdef _p2p_peer p2p-peer`;
}

function fishScript(): string {
  const first = "__fish_use_subcommand";
  const lines = [
    ...VISIBLE.map(({ name, help, brief = help }) => [name, brief] as const),
    ...OTHER_COMMANDS.map(([name, , help]) => [name, help] as const),
  ].map(([name, help]) => `complete -c p2p-peer -n ${first} -f -a ${name} -d ${quoted(help)}`);
  for (const verb of VISIBLE) {
    const seen = quoted(`__fish_seen_subcommand_from ${verb.name}`);
    for (const { name, short, argument, help } of verbFlags(verb)) {
      const letter = short === undefined ? "" : ` -s ${short}`;
      const value = argument === undefined ? "" : " -r";
      lines.push(`complete -c p2p-peer -n ${seen} -l ${name}${letter}${value} -d ${quoted(help)}`);
    }
    const words = verb.completes === undefined ? undefined : WORDS[verb.completes];
    if (words) lines.push(`complete -c p2p-peer -n ${seen} -f -a ${quoted(words.join(" "))}`);
    else if (verb.completes === "file" || verb.completes === "deleted") {
      const which = verb.completes === "file" ? "known" : "deleted";
      lines.push(`complete -c p2p-peer -n ${seen} -f -a "(p2p-peer names ${which} 2>/dev/null)"`);
    }
  }
  for (const [name, words, flags] of OTHERS) {
    const seen = quoted(`__fish_seen_subcommand_from ${name}`);
    for (const flag of otherFlags(name, flags)) {
      lines.push(`complete -c p2p-peer -n ${seen} -l ${flag.slice(2)}`);
    }
    if (words.length > 0) {
      lines.push(`complete -c p2p-peer -n ${seen} -f -a ${quoted(words.join(" "))}`);
    }
  }
  lines.push(
    `complete -c p2p-peer -n '__fish_seen_subcommand_from completion' -f -a ${
      quoted(SHELLS.join(" "))
    }`,
  );
  return `# p2p-peer, for fish: p2p-peer completion fish | source\n${lines.join("\n")}`;
}
