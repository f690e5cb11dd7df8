// Runs the whole program as users start it: a process in its own folder, observed only through its output, exit
// code, and HTTP API. Nothing here knows its internals.
// No process outlives its test: `await using` kills it if it is still running and waits until it is gone.
// Every wait has a deadline, and a failed wait shows the last output of the process.

import { fileURLToPath } from "node:url";
import { until } from "../until.ts";

/** Default deadline of a wait, in milliseconds. Usually a fraction of a second is enough, but test machines are slow. */
export const DEADLINE_MS = 30_000;

/** Number of output lines shown in error messages, both from the start and from the end. */
const SHOWN_LINES = 30;

/**
 * The command line of `deno task start`, without the program's own arguments: the executable first. P2P_TEST_EXECUTABLE names a
 * compiled program to test instead.
 */
export const COMMAND: readonly string[] = await startCommand();

async function startCommand(): Promise<string[]> {
  const compiled = Deno.env.get("P2P_TEST_EXECUTABLE");
  if (compiled) return [await Deno.realPath(compiled)];
  const config = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  const [, ...words] = (config.tasks.start as string).split(" ");
  const main = new URL(`../../${words.pop()}`, import.meta.url);
  return [Deno.execPath(), ...words, fileURLToPath(main)];
}

export interface FileRow {
  readonly file_id: string;
  readonly file_name: string;
  readonly file_owner: string;
  readonly file_timestamp: unknown;
  readonly has_copy: boolean;
  readonly sha256: string | null;
  readonly here_as: string | null;
  readonly peers_with_file: readonly string[];
  readonly size_bytes?: number;
}

export interface PeerRow {
  readonly peerId: string;
  readonly host: string;
  readonly port: number;
  readonly last_seen: number;
}

export interface LaunchOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: "null" | "piped";
  /** The command to run instead of the program, such as a terminal wrapper around it. */
  readonly command?: readonly string[];
}

export interface PeerOptions extends LaunchOptions {
  /** Defaults to any free port. */
  readonly port?: number;
  readonly httpPort?: number;
}

/** Returns the tests' environment without the variables that the program reads, plus the given ones. */
export function surroundings(env: Readonly<Record<string, string>> = {}): Record<string, string> {
  const inherited = Object.entries(Deno.env.toObject())
    .filter(([name]) => !name.startsWith("P2P_PEER_") && name !== "NO_COLOR");
  return { ...Object.fromEntries(inherited), ...env };
}

export class Program implements AsyncDisposable {
  readonly host = "127.0.0.1";
  /** Lines of stdout and of stderr. `lines` has both, in order of arrival. */
  readonly out: string[] = [];
  readonly err: string[] = [];
  readonly lines: string[] = [];
  /** All of stdout, including control characters. */
  text = "";
  /** Known once the startup lines are printed. */
  port = 0;
  httpPort = 0;
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<unknown>;
  readonly #ended: Promise<Deno.CommandStatus>;
  readonly #hasStdin: boolean;
  readonly #args: readonly string[];
  #status: Deno.CommandStatus | undefined;
  /** Whether the process has exited and all its output has been read. */
  #isDrained = false;

  constructor(args: readonly string[], { cwd, env, stdin = "null", command }: LaunchOptions) {
    const [executable, ...first] = command ?? COMMAND;
    this.#args = args;
    this.#hasStdin = stdin === "piped";
    this.#child = new Deno.Command(executable!, {
      args: [...first, ...args],
      cwd,
      env: surroundings(env),
      clearEnv: true,
      stdin,
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#reading = Promise.all([
      this.#collect(this.#child.stdout, this.out),
      this.#collect(this.#child.stderr, this.err),
    ]).then(() => this.#isDrained = true);
    this.#ended = this.#child.status.then((status) => this.#status = status);
  }

  /** Starts a peer, and resolves once it has printed its addresses and answers requests. */
  static peer(peerId: string, args: readonly string[], options: PeerOptions): Promise<Program> {
    const { port = 0, httpPort = 0 } = options;
    const program = new Program([peerId, "127.0.0.1", `${port}`, `${httpPort}`, ...args], options);
    return program.#ready(async () => {
      const [, tcp] = await program.waitForLine(/^TCP address: 127\.0\.0\.1:(\d+)\b/);
      const [, http] = await program.waitForLine(/^HTTP address: http:\/\/127\.0\.0\.1:(\d+)/);
      program.port = Number(tcp);
      program.httpPort = Number(http);
      await program.waitForLine(/^\d+ files? here$/); // the folder was scanned
    });
  }

  /** Starts a dummy, and resolves once it has printed its address. */
  static dummy(args: readonly string[], options: LaunchOptions): Promise<Program> {
    const program = new Program(["dummy", "--port", "0", ...args], options);
    return program.#ready(async () => {
      const [, tcp] = await program.waitForLine(/^Dummy peer at 127\.0\.0\.1:(\d+)\b/);
      program.port = Number(tcp);
    });
  }

  /** Runs the program until it exits on its own. */
  static async toEnd(
    args: readonly string[],
    options: LaunchOptions,
  ): Promise<{ code: number; out: string[]; err: string[] }> {
    await using program = new Program(args, options);
    const code = await program.exit();
    return { code, out: program.out, err: program.err };
  }

  get pid(): number {
    return this.#child.pid;
  }

  get address(): string {
    return `${this.host}:${this.port}`;
  }

  /** Resolves to the address of the pages and the token, which is in the file that the program names. */
  async login(): Promise<{ base: string; token: string }> {
    const [, base, path] = await this.waitForLine(
      /^To share and delete in a browser, open (http:\/\/\S+) and log in with the token in (.+)$/,
    );
    return { base: base!, token: (await Deno.readTextFile(path!)).trim() };
  }

  /** Resolves to the link that logs a browser in. */
  async loginLink(): Promise<string> {
    const { base, token } = await this.login();
    return `${base}/#token=${token}`;
  }

  /** The writable end of stdin. Available only with `stdin: "piped"`. */
  get stdin(): WritableStream<Uint8Array> {
    return this.#child.stdin;
  }

  get isRunning(): boolean {
    return this.#status === undefined;
  }

  /**
   * Resolves to the first matching line, whether printed before or after this call, starting at line index `from`.
   *
   * @throws Error that shows the output if the process exits or the deadline passes before a line matches
   */
  async waitForLine(
    pattern: RegExp,
    from = 0,
    deadlineMs = DEADLINE_MS,
  ): Promise<RegExpMatchArray> {
    return await this.until(`a line that matches ${pattern}`, () => {
      for (const line of this.lines.slice(from)) {
        const match = line.match(pattern);
        if (match) return match;
      }
      if (this.#isDrained) throw new Error(`Exited without printing ${pattern}`);
      return undefined;
    }, deadlineMs);
  }

  /** Waits like `until`, and adds the process's output to its error. */
  async until<T>(
    what: string,
    probe: () => T | undefined | false | Promise<T | undefined | false>,
    deadlineMs = DEADLINE_MS,
  ): Promise<T> {
    try {
      return await until(what, probe, deadlineMs);
    } catch (cause) {
      throw new Error(`${(cause as Error).message}. ${this.report()}`, { cause });
    }
  }

  /** Returns the state of the process and its output, for error messages. */
  report(): string {
    const state = this.#status ? `exited with code ${this.#status.code}` : "is running";
    const { length } = this.lines;
    const shown = length <= 2 * SHOWN_LINES ? this.lines : [
      ...this.lines.slice(0, SHOWN_LINES),
      `… ${length - 2 * SHOWN_LINES} lines …`,
      ...this.lines.slice(-SHOWN_LINES),
    ];
    return `"${this.#args.join(" ")}" ${state} and printed:\n${shown.join("\n")}`;
  }

  /** Sends the signal, waits for the process to exit, and returns the exit code. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<number> {
    this.signal(signal);
    return await this.exit();
  }

  signal(signal: Deno.Signal): void {
    if (this.isRunning) this.#child.kill(signal);
  }

  /** Waits for the process to exit, for whatever reason, and returns the exit code. */
  async exit(deadlineMs = DEADLINE_MS): Promise<number> {
    const { code } = await this.until("the process to exit", () => this.#status, deadlineMs);
    await this.#reading;
    return code;
  }

  async api<T>(path: string): Promise<T> {
    return JSON.parse(new TextDecoder().decode(await this.#fetch(path)));
  }

  status(): Promise<Record<string, unknown>> {
    return this.api("status");
  }

  async peers(): Promise<PeerRow[]> {
    return (await this.api<{ peers: PeerRow[] }>("peers")).peers;
  }

  async files(): Promise<FileRow[]> {
    const all: FileRow[] = [];
    for (let start: number | null = 0; start !== null;) {
      const page: { files: FileRow[]; next: number | null } = await this.api(
        `files?limit=10000&start=${start}`,
      );
      all.push(...page.files);
      start = page.next;
    }
    return all;
  }

  /** Returns the file's content as the HTTP API serves it. */
  content(fileId: string): Promise<Uint8Array> {
    return this.#fetch(`files/${fileId}/content`);
  }

  /** Resolves to the file's row once the API reports that the peer holds a copy. */
  holds(fileId: string, deadlineMs = DEADLINE_MS): Promise<FileRow> {
    return this.until(`a copy of ${fileId}`, async () => {
      return (await this.files()).find((file) => file.file_id === fileId && file.has_copy);
    }, deadlineMs);
  }

  /** Resolves to the other peer's row once it is tracked, at the given port if there is one. */
  tracks(peerId: string, port?: number, deadlineMs = DEADLINE_MS): Promise<PeerRow> {
    return this.until(`${peerId} to be listed as a peer`, async () => {
      return (await this.peers()).find((peer) =>
        peer.peerId === peerId && (port === undefined || peer.port === port)
      );
    }, deadlineMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGKILL");
    await this.#ended;
    await this.#reading;
    // The pipe may be broken because the process exited, or already closed by the test. Both are fine.
    if (this.#hasStdin) await this.#child.stdin.close().catch(() => {});
  }

  async #fetch(path: string): Promise<Uint8Array> {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    const response = await fetch(`http://127.0.0.1:${this.httpPort}/api/v1/${path}`, { signal });
    const bytes = await response.bytes();
    if (!response.ok) throw new Error(`GET ${path}: ${response.status}. ${this.report()}`);
    return bytes;
  }

  async #ready(learn: () => Promise<void>): Promise<this> {
    try {
      await learn();
      return this;
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #collect(stream: ReadableStream<Uint8Array>, into: string[]): Promise<void> {
    let rest = "";
    const isOut = into === this.out;
    const add = (line: string) => {
      into.push(line);
      this.lines.push(line);
    };
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      if (isOut) this.text += text;
      const pieces = (rest + text).split("\n");
      rest = pieces.pop()!;
      pieces.forEach(add);
    }
    if (rest !== "") add(rest);
  }
}
