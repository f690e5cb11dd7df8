// The whole program as its users start it: a process in a folder of its own, watched from outside only, by what
// it prints, by its exit code and by its HTTP API. Nothing here knows how it is made.
// No process outlives its test: `await using` kills what still runs, and waits until it is gone.
// No wait here is without a deadline, and a wait that fails shows what the process printed last.

import { fileURLToPath } from "node:url";
import { until } from "../until.ts";

/** Generous, because the tests share slow machines; what is waited for takes a fraction of a second. */
export const DEADLINE_MS = 30_000;

/** Lines shown in error messages, from the beginning and from the end. */
const SHOWN_LINES = 30;

/** What stands before the arguments of the program, first the executable: what `deno task start` runs. */
export const COMMAND: readonly string[] = await startCommand();

async function startCommand(): Promise<string[]> {
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
  /** What runs instead of the program itself, such as a terminal around it. */
  readonly command?: readonly string[];
}

export interface PeerOptions extends LaunchOptions {
  /** Default: any free port. */
  readonly port?: number;
  readonly httpPort?: number;
}

/** The environment of the tests without what the program would read from it. */
export function surroundings(env: Readonly<Record<string, string>> = {}): Record<string, string> {
  const inherited = Object.entries(Deno.env.toObject())
    .filter(([name]) => !name.startsWith("P2P_PEER_") && name !== "NO_COLOR");
  return { ...Object.fromEntries(inherited), ...env };
}

export class Program implements AsyncDisposable {
  readonly host = "127.0.0.1";
  /** Lines of stdout and stderr, each in its order; `lines` has both as they arrived. */
  readonly out: string[] = [];
  readonly err: string[] = [];
  readonly lines: string[] = [];
  /** All of stdout, with the control characters that make no lines. */
  text = "";
  /** Known once the start lines are printed. */
  port = 0;
  httpPort = 0;
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<unknown>;
  readonly #ended: Promise<Deno.CommandStatus>;
  readonly #hasStdin: boolean;
  readonly #args: readonly string[];
  #status: Deno.CommandStatus | undefined;
  /** All that it printed has been read, and it has ended. */
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

  /** A peer that has printed its addresses and answers. */
  static peer(peerId: string, args: readonly string[], options: PeerOptions): Promise<Program> {
    const { port = 0, httpPort = 0 } = options;
    const program = new Program([peerId, "127.0.0.1", `${port}`, `${httpPort}`, ...args], options);
    return program.#ready(async () => {
      const [, tcp] = await program.waitForLine(/^TCP address: 127\.0\.0\.1:(\d+)\b/);
      const [, http] = await program.waitForLine(/^HTTP address: http:\/\/127\.0\.0\.1:(\d+)/);
      program.port = Number(tcp);
      program.httpPort = Number(http);
    });
  }

  /** A dummy that has printed its address. */
  static dummy(args: readonly string[], options: LaunchOptions): Promise<Program> {
    const program = new Program(["dummy", "--port", "0", ...args], options);
    return program.#ready(async () => {
      const [, tcp] = await program.waitForLine(/^Dummy peer at 127\.0\.0\.1:(\d+)\b/);
      program.port = Number(tcp);
    });
  }

  /** Runs until the program ends by itself. */
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

  /** The open end of stdin; only with `stdin: "piped"`. */
  get stdin(): WritableStream<Uint8Array> {
    return this.#child.stdin;
  }

  get isRunning(): boolean {
    return this.#status === undefined;
  }

  /**
   * The first line that matches, printed before or after this call, from line number `from` on.
   *
   * @throws Error that shows the output when the process ends or the deadline passes without it
   */
  async waitForLine(
    pattern: RegExp,
    from = 0,
    deadlineMs = DEADLINE_MS,
  ): Promise<RegExpMatchArray> {
    return await this.until(`a line like ${pattern}`, () => {
      for (const line of this.lines.slice(from)) {
        const match = line.match(pattern);
        if (match) return match;
      }
      if (this.#isDrained) throw new Error(`Ended without ${pattern}`);
      return undefined;
    }, deadlineMs);
  }

  /** Waits as `until` does, and adds the output to its error. */
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

  /** What the process printed last, for error messages. */
  report(): string {
    const state = this.#status ? `ended with ${this.#status.code}` : "runs";
    const { length } = this.lines;
    const shown = length <= 2 * SHOWN_LINES ? this.lines : [
      ...this.lines.slice(0, SHOWN_LINES),
      `… ${length - 2 * SHOWN_LINES} lines …`,
      ...this.lines.slice(-SHOWN_LINES),
    ];
    return `"${this.#args.join(" ")}" ${state}, and printed:\n${shown.join("\n")}`;
  }

  /** Sends the signal and waits for the end; returns the exit code. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<number> {
    this.signal(signal);
    return await this.exit();
  }

  signal(signal: Deno.Signal): void {
    if (this.isRunning) this.#child.kill(signal);
  }

  /** Waits for the end, whatever brings it about; returns the exit code. */
  async exit(deadlineMs = DEADLINE_MS): Promise<number> {
    const { code } = await this.until("the end of the process", () => this.#status, deadlineMs);
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

  /** Content as the HTTP API gives it. */
  content(fileId: string): Promise<Uint8Array> {
    return this.#fetch(`files/${fileId}/content`);
  }

  /** Waits until the file is here, as the API tells it. */
  holds(fileId: string, deadlineMs = DEADLINE_MS): Promise<FileRow> {
    return this.until(`a copy of ${fileId}`, async () => {
      return (await this.files()).find((file) => file.file_id === fileId && file.has_copy);
    }, deadlineMs);
  }

  /** Waits until the peer is tracked, at this port if one is given. */
  tracks(peerId: string, port?: number, deadlineMs = DEADLINE_MS): Promise<PeerRow> {
    return this.until(`${peerId} among the peers`, async () => {
      return (await this.peers()).find((peer) =>
        peer.peerId === peerId && (port === undefined || peer.port === port)
      );
    }, deadlineMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGKILL");
    await this.#ended;
    await this.#reading;
    // Broken by the end of its reader, or closed by the test: gone in either case.
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
