// `p2p-peer update`: finds out where a newer version may be, and says what came of it.

import type { UpdateCommand } from "../cli/arguments.ts";
import { CommandError, exitCode } from "../cli/failures.ts";
import { sizeText } from "../cli/units.ts";
import { stopSignals } from "../cli/stop_signals.ts";
import { DOWNLOAD_URL, RELEASE_KEY, VERSION, versionText } from "../cli/version.ts";
import { Installed } from "../release/installed.ts";
import { platformOf, PLATFORMS } from "../release/platform.ts";
import { checkUpdate, update, type Updated } from "../release/update.ts";
import { Output } from "./output.ts";

/** Carries out the command. Resolves to the exit code. Throws bugs. */
export async function runUpdate(command: UpdateCommand): Promise<number> {
  const output = new Output("auto", true);
  try {
    const installed = await installedHere();
    const from = command.from ?? (await installed.from() ?? DOWNLOAD_URL);
    if (from === "") {
      throw new CommandError(
        "usage",
        "This executable does not know where updates are. Name a peer or a folder with a release: p2p-peer update --from http://eagle:8116/download",
      );
    }
    if (RELEASE_KEY === "") {
      throw new CommandError(
        "refused",
        `This executable is not a release (${versionText}), so it has no key to verify updates with. Rebuild it, or install a release`,
      );
    }
    // What was downloaded so far is removed before the program ends.
    const stop = new AbortController();
    for (const [signal] of stopSignals(Deno.build.os)) {
      Deno.addSignalListener(signal, () => stop.abort());
    }
    const onProgress = (done: number, total: number | undefined) =>
      output.progress(`${sizeText(done)}${total === undefined ? "" : ` of ${sizeText(total)}`}`);
    const { signal } = stop;
    const { token } = command;
    const options = { installed, from, token, publicKey: RELEASE_KEY, signal, onProgress };
    const updated = await (command.isCheck ? checkUpdate(options) : update(options));
    output.tell(
      command.isJson
        ? JSON.stringify({
          version: updated.version,
          offered: updated.offered,
          newer: updated.isNewer,
          from,
        })
        : textOf(updated, command, from, installed),
    );
    return 0;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    output.error(error.message);
    return exitCode(error.kind);
  }
}

/** Resolves to the executable that runs. Throws `CommandError` if there is none. */
async function installedHere(): Promise<Installed> {
  if (!Deno.build.standalone) {
    throw new CommandError(
      "usage",
      "This program runs from its source. Update that, for example with git pull",
    );
  }
  const platform = platformOf(Deno.build);
  if (!platform) {
    const names = PLATFORMS.map(({ name }) => name).join(", ");
    throw new CommandError(
      "usage",
      `Releases are for ${names}, and not for ${Deno.build.os}-${Deno.build.arch}`,
    );
  }
  // A link stays a link: the file that it leads to is replaced.
  return new Installed(await Deno.realPath(Deno.execPath()), platform, VERSION);
}

function textOf(
  { version, offered, isNewer }: Updated,
  { isCheck, from: named }: UpdateCommand,
  from: string,
  { path }: Installed,
): string {
  if (!isNewer) return `Up to date: this is ${version}, and ${from} has ${offered}`;
  const line = `p2p-peer update${named === undefined ? "" : ` --from ${named}`}`;
  if (isCheck) {
    return `Version ${offered} is available (this is ${version}). Install it with: ${line}`;
  }
  return `Updated ${path} to ${offered} (${version} is kept as ${path}.previous). Restart running peers to use it`;
}
