// The commands of the shell that ask a running peer: what each prints, and the exit code.
// Invariants: standard output has either text for people or JSON, never both; of several files, each is tried, and the code tells
// whether all, some or none worked.

import { carryOutShared, deletionText, gotText, pushText } from "../cli/commands.ts";
import { CommandError, exitCode, type Failure, failureOf } from "../cli/failures.ts";
import { filterOf } from "../cli/listings.ts";
import { type GetProgress, progressLine } from "../cli/progress.ts";
import { count } from "../cli/report.ts";
import type { ShellCommand } from "../cli/shell_arguments.ts";
import { UsageError } from "../cli/values.ts";
import { verbOf } from "../cli/verbs.ts";
import { visible } from "../protocol/wire/text.ts";
import { Api, linesOf } from "./api.ts";
import { copyOut, copyTo, freePath, STDOUT } from "./copy.ts";
import { Gets } from "./gets.ts";
import { Output, ReaderGone, screenSize } from "./output.ts";
import { placeOf } from "./place.ts";
import { deletionOf, Remote, searchOf } from "./remote.ts";
import type { ApiFile } from "./rows.ts";
import { share, STDIN } from "./sharing.ts";
import { watch } from "./watching.ts";

/** What a command needs. */
interface Scene {
  readonly command: ShellCommand;
  readonly api: Api;
  readonly remote: Remote;
  readonly output: Output;
  readonly isJson: boolean;
}

/** Carries out a command. Resolves to the exit code. Throws bugs. */
export async function runShell(command: ShellCommand): Promise<number> {
  const output = new Output(command.color, command.isPlain);
  let api: Api | undefined;
  try {
    api = new Api(await placeOf(command));
    const screen = output.isTerminal ? screenSize : () => undefined;
    const isJson = command.format === "json" ||
      (command.format === undefined && !output.isTerminal);
    return await carryOut({ command, api, remote: new Remote(api, screen), output, isJson });
  } catch (error) {
    if (error instanceof ReaderGone) return 0;
    const failure = failureOf(error);
    if (failure === "unexpected" && !(error instanceof CommandError)) throw error;
    output.error((error as Error).message);
    return exitCode(failure);
  } finally {
    api?.close();
  }
}

async function carryOut(scene: Scene): Promise<number> {
  const { command: { name }, api, output } = scene;
  switch (name) {
    case "names":
      return await names(scene);
    case "get":
      return await get(scene);
    case "push":
      return await push(scene);
    case "watch":
      return await watch(api, output);
    case "delete":
      return await remove(scene);
    default:
      return await show(scene);
  }
}

/** Prints names that can be typed. */
async function names({ command: { words }, api, output }: Scene): Promise<number> {
  const path = words[0] === "deleted" ? "/files/deleted" : "/files?sort=-known";
  for await (const { file_name } of api.rows<{ readonly file_name: string }>(path)) {
    if (visible(file_name, file_name.length) === file_name) output.line(file_name);
  }
  return 0;
}

/** Carries out a command that only shows or sets something. */
async function show({ command: { name, words }, api, remote, output, isJson }: Scene) {
  if (!isJson) {
    output.line(await carryOutShared(name, words, remote));
    return 0;
  }
  switch (name) {
    case "list":
      await rowsAsJson(api, output, "files", `/files?${searchOf(filterOf(words))}`);
      break;
    case "peers":
    case "transfers":
      await rowsAsJson(api, output, name, `/${name}`);
      break;
    case "restore":
      if (words.length === 0) await rowsAsJson(api, output, "files", "/files/deleted");
      else output.line(JSON.stringify({ file: await remote.bringBack(words.join(" ")) }));
      break;
    case "connect":
      if (words.length !== 1) throw new UsageError("Usage: p2p-peer connect <host:port>");
      output.line(JSON.stringify(await remote.connect(words[0]!)));
      break;
    case "status":
      output.line(JSON.stringify(await api.json("/status")));
      break;
    default: // what is set is checked and set as for people; what is then in force is the answer
      await carryOutShared(name, words, remote);
      output.line(JSON.stringify(await api.json(name === "log" ? "/log" : "/limits")));
  }
  return 0;
}

/** Writes a list of any length as one JSON object, its rows as the peer wrote them. */
async function rowsAsJson(api: Api, output: Output, name: string, path: string): Promise<void> {
  const answer = await api.ask(path, { headers: { accept: "application/x-ndjson" } });
  let total = 0;
  let text = `{"${name}":[`;
  for await (const line of linesOf(answer)) {
    if (line === "") continue;
    text += `${total++ === 0 ? "" : ","}\n${line}`;
    if (text.length < 65_536) continue;
    output.data(new TextEncoder().encode(text));
    text = "";
  }
  output.line(`${text}],"total":${total}}`);
}

/** What became of each of several files. */
class Outcomes<Done> {
  readonly done: Done[] = [];
  readonly failed: { readonly what: string; readonly kind: Failure; readonly detail: string }[] =
    [];

  constructor(readonly output: Output) {}

  /** Tries one, and reports at once if it fails. Throws what ends everything. */
  async try(what: string, act: () => Promise<Done>): Promise<void> {
    try {
      this.done.push(await act());
    } catch (error) {
      const kind = failureOf(error);
      const isFatal = error instanceof ReaderGone || kind === "canceled" ||
        (kind === "unexpected" && !(error instanceof CommandError));
      if (isFatal) throw error;
      const detail = (error as Error).message;
      this.failed.push({ what, kind, detail });
      this.output.error(detail);
    }
  }

  /** The exit code: that of the first failure if nothing worked, and a code of its own if something did. */
  get code(): number {
    const [first] = this.failed;
    if (!first) return 0;
    return exitCode(this.done.length > 0 ? "partly" : first.kind);
  }

  /** Prints how many worked, if there were several. */
  summarize(verb: string): void {
    const all = this.done.length + this.failed.length;
    if (all < 2) return;
    const failures = this.failed.length === 0 ? "" : `, ${this.failed.length} failed`;
    this.output.note(`${count(this.done.length, "file")} ${verb}${failures}`);
  }
}

/** A file that was fetched. */
interface Fetched {
  readonly file: ApiFile;
  readonly source: string;
  readonly as: string | null;
  readonly copied_to: string | null;
}

async function get({ command: { words, output: to }, api, remote, output, isJson }: Scene) {
  if (words.length === 0) throw usage("get");
  if (to === STDOUT && words.length > 1) {
    throw new UsageError("-o - writes one file; with several, give a folder");
  }
  if (to !== undefined && to !== STDOUT && words.length > 1 && !await isFolder(to)) {
    throw new UsageError(`With several files, -o must be a folder, got "${visible(to)}"`);
  }
  const onProgress = (progress: GetProgress | undefined) => {
    output.progress(progress && progressLine(progress, output.columns - 1));
  };
  const gets = new Gets(api, output.isShown ? onProgress : undefined);
  const outcomes = new Outcomes<Fetched>(output);
  try {
    for (const what of words) {
      await outcomes.try(what, async () => {
        const found = await remote.find(what);
        const path = to === undefined || to === STDOUT
          ? undefined
          : await freePath(to, found.file_name);
        const { file, source, as } = await gets.run(found);
        if (to === STDOUT) await copyOut(api, file, output);
        else if (path !== undefined) await copyTo(api, file, path, gets.signal);
        if (!isJson && to !== STDOUT) {
          const got = { source, path, name: file.file_name, ...(as === null ? {} : { as }) };
          output.tell(gotText(got));
        }
        return { file, source, as, copied_to: path ?? null };
      });
    }
  } finally {
    gets.close();
  }
  if (isJson && to !== STDOUT) {
    output.tell(JSON.stringify({ files: outcomes.done, failed: outcomes.failed }));
  }
  outcomes.summarize("here");
  return outcomes.code;
}

async function push({ command: { words, as }, api, output, isJson }: Scene) {
  if (words.length === 0) throw usage("push");
  if (as !== undefined && words.length > 1) throw new UsageError("--name is for one file");
  if (words.filter((path) => path === STDIN).length > 1) {
    throw new UsageError("Standard input can be shared once");
  }
  const outcomes = new Outcomes<Awaited<ReturnType<typeof share>>>(output);
  for (const path of words) {
    const beganMs = performance.now();
    await outcomes.try(path, async () => {
      const file = await share(api, path, as, (doneBytes, totalBytes) => {
        const bytesPerSecond = doneBytes / (performance.now() - beganMs) * 1_000;
        const moved = { name: as ?? path, doneBytes, totalBytes, bytesPerSecond, sources: 1 };
        output.progress(progressLine(moved, output.columns - 1));
      });
      output.progress(undefined);
      if (!isJson) {
        const { file_id: fileId, file_name: name, already_shared } = file;
        output.tell(pushText({ file: { fileId, name }, isNew: !already_shared }));
      }
      return file;
    });
  }
  if (isJson) output.tell(JSON.stringify({ files: outcomes.done, failed: outcomes.failed }));
  outcomes.summarize("shared");
  return outcomes.code;
}

async function remove({ command: { words, isSure }, remote, output, isJson }: Scene) {
  if (words.length === 0) throw usage("delete");
  const asks = !isSure && Deno.stdin.isTerminal() && output.isShown;
  const removal = await remote.remove(words, asks ? (text) => output.confirm(text) : undefined);
  const { removed, failed, told } = removal;
  for (const { detail } of failed) output.error(detail);
  if (isJson) {
    const deleted = removed.map(({ file: { file_id, file_name }, where }) => ({
      file_id,
      file_name,
      where,
    }));
    output.tell(JSON.stringify({ deleted, failed, told: told ?? null }));
  } else if (removed.length > 0) {
    output.tell(deletionText(deletionOf(removal)));
  }
  const [first] = failed;
  if (!first) return 0;
  return exitCode(removed.length > 0 ? "partly" : first.kind);
}

function usage(name: string): UsageError {
  return new UsageError(
    `Usage: p2p-peer ${name} ${verbOf(name)?.shell} ("p2p-peer help ${name}" says more)`,
  );
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch {
    return false;
  }
}
