// A peer in a real terminal (a pty), with simulated key presses and a screen to check.
// The pty comes from python3 or, if that is missing, from script(1).

import type { ForeignPeer } from "../wire/foreign.ts";
import type { Folder } from "./folder.ts";
import { COMMAND, DEADLINE_MS, Program } from "./program.ts";
import { Screen } from "./screen.ts";

const COLUMNS = 200;
const PROMPT = "p2p-peer> ";
export const ARROW_UP = "\u001b[A";
export const ARROW_LEFT = "\u001b[D";
export const CTRL_C = "\u0003";

/** Runs its arguments in a pty, copies bytes both ways, prints the child's pid to stderr, and exits with its code. */
const PYTHON = `
import fcntl, os, pty, select, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, ${COLUMNS}, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
os.write(2, b"%d\\n" % pid)
watched = [fd, 0]
while True:
    ready = select.select(watched, [], [])[0]
    if fd in ready:
        try: data = os.read(fd, 65536)
        except OSError: data = b""
        if not data: break
        while data: data = data[os.write(1, data):]
    if 0 in ready:
        data = os.read(0, 65536)
        if not data: watched.remove(0)
        while data: data = data[os.write(fd, data):]
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 255)
`;

async function works(command: string, ...args: string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(command, { args, stdout: "null", stderr: "null" })
      .output();
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

const hasPython = await works("python3", "-c", "import pty, os; os.waitstatus_to_exitcode");
const hasScript = !hasPython && await works("script", "-qfec", "true", "/dev/null");

/** Whether a pty can be created on this machine. */
export const hasTerminal = hasPython || hasScript;
if (!hasTerminal) console.log("Tests of the prompt are skipped: they need python3 or script(1)");

function inTerminal(command: readonly string[]): string[] {
  if (hasPython) return ["python3", "-c", PYTHON, ...command];
  const quoted = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  const line = `echo $$ >&3; stty cols ${COLUMNS} rows 50; exec ${quoted}`;
  return ["sh", "-c", `exec 3>&2; exec script -qfec "$0" /dev/null`, line];
}

export class Terminal implements AsyncDisposable {
  readonly #screen = new Screen(COLUMNS);
  readonly #program: Program;
  #shown = 0;

  private constructor(program: Program) {
    this.#program = program;
  }

  /** Starts a peer in this folder, and resolves once it shows its prompt. */
  static async peer(
    peerId: string,
    args: readonly string[],
    folder: Folder,
    waitFor: RegExp = /^p2p-peer>/,
  ): Promise<Terminal> {
    const [executable, ...first] = inTerminal([...COMMAND, peerId, "127.0.0.1", "0", "0", ...args]);
    const program = new Program([], {
      cwd: folder.path,
      command: [executable!, ...first],
      stdin: "piped",
      env: { TERM: "xterm" },
    });
    const terminal = new Terminal(program);
    try {
      const [, tcp] = await terminal.sees(/^TCP address: 127\.0\.0\.1:(\d+)\b/);
      const [, http] = await terminal.sees(/^HTTP address: http:\/\/127\.0\.0\.1:(\d+)/);
      program.port = Number(tcp);
      program.httpPort = Number(http);
      await terminal.sees(waitFor);
    } catch (error) {
      await terminal[Symbol.asyncDispose]();
      throw error;
    }
    return terminal;
  }

  /** The same peer, for access to its API. */
  get program(): Program {
    return this.#program;
  }

  get host(): string {
    return this.#program.host;
  }

  get port(): number {
    return this.#program.port;
  }

  /** Everything sent to the terminal, as text. */
  get text(): string {
    return this.#program.text;
  }

  /** The current screen. */
  get screen(): Screen {
    const { text } = this.#program;
    this.#screen.write(text.slice(this.#shown));
    this.#shown = text.length;
    return this.#screen;
  }

  /** The text after the prompt in the cursor's row, or undefined if that row has no prompt. */
  get typed(): string | undefined {
    const { rows, row } = this.screen;
    const line = rows[row]!.padEnd(PROMPT.length);
    return line.startsWith(PROMPT) ? line.slice(PROMPT.length) : undefined;
  }

  /** The index of the row in which the next output starts. */
  get mark(): number {
    return this.screen.row;
  }

  /** Sends key presses without waiting for a response. */
  async type(keys: string): Promise<void> {
    const writer = this.#program.stdin.getWriter();
    await writer.write(new TextEncoder().encode(keys));
    writer.releaseLock();
  }

  /** Types a command, and resolves to the match in the first matching row after it. */
  async command(line: string, answer: RegExp): Promise<RegExpMatchArray> {
    await this.until("an empty prompt", () => this.typed === "");
    const { mark } = this;
    await this.type(`${line}\r`);
    return await this.sees(answer, mark + 1);
  }

  /** Resolves to the match in the first matching row, starting at `fromRow`. */
  async sees(pattern: RegExp, fromRow = 0, deadlineMs = DEADLINE_MS): Promise<RegExpMatchArray> {
    return await this.until(`a row that matches ${pattern}`, () => {
      for (const row of this.screen.rows.slice(fromRow)) {
        const match = row.match(pattern);
        if (match) return match;
      }
      if (!this.#program.isRunning) throw new Error(`Exited without showing ${pattern}`);
      return undefined;
    }, deadlineMs);
  }

  async until<T>(
    what: string,
    probe: () => T | undefined | false,
    deadlineMs = DEADLINE_MS,
  ): Promise<T> {
    try {
      return await this.#program.until(what, probe, deadlineMs);
    } catch (cause) {
      throw new Error(`Waited for ${what}. On the screen:\n${this.screen.rows.join("\n")}`, {
        cause,
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#program.isRunning) {
      const [pid] = this.#program.err;
      try {
        if (pid !== undefined) Deno.kill(Number(pid), "SIGKILL");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error; // it has just exited
      }
    }
    await this.#program[Symbol.asyncDispose]();
  }
}

/** Introduces a foreign peer and the one in the terminal to each other. */
export async function meet(friend: ForeignPeer, { program }: Terminal): Promise<void> {
  await friend.gossip(program);
  await program.until(`the list of ${friend.peerId}`, async () => {
    const known = new Set((await program.files()).map(({ file_id }) => file_id));
    return [...friend.files.keys()].every((fileId) => known.has(fileId));
  });
  await program.tracks(friend.peerId);
}
