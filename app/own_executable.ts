// The executable that runs, for people who want it from this peer.

import { platformOf } from "../release/platform.ts";
import { Installed } from "../release/installed.ts";
import type { OwnExecutable } from "../web/downloads.ts";
import { ownTimestamp } from "../protocol/wire/fileid.ts";
import { VERSION } from "../cli/version.ts";
import { NotPossible, type ViewedContent } from "../web/view.ts";
import { tracked } from "./browser_content.ts";
import type { Service } from "./service.ts";

/** Returns the executable that runs; `undefined` if the program runs from its source. */
export function ownExecutable(service: Service): OwnExecutable | undefined {
  const platform = platformOf(Deno.build);
  if (!Deno.build.standalone || !platform) return undefined;
  // Now: after an update, the system no longer tells the name that it had.
  const installed = new Installed(Deno.realPathSync(Deno.execPath()), platform, VERSION);
  return {
    name: installed.name,
    content: (client) => served(async () => await open(installed, service, client)),
    published: () =>
      served(async () => {
        const published = await installed.published();
        if (published) return published;
        const text = "The executable of this peer was replaced by another one since it started";
        throw new NotPossible(404, text, "Restart the peer, or update it with p2p-peer update");
      }),
  };
}

/** Carries out what needs the file. Throws `NotPossible` if it is gone. */
async function served<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    const text = "The executable of this peer was deleted since it started";
    throw new NotPossible(404, text, "Ask another peer", { cause });
  }
}

/** Opens it. Its way to the receiver is listed among the transfers. */
async function open(
  installed: Installed,
  { node }: Service,
  client: string,
): Promise<ViewedContent> {
  const { sizeBytes, sha256, modifiedSeconds } = await installed.content();
  const file = Deno.openSync(installed.path);
  const source = {
    sizeBytes,
    sha256,
    readInto: (buffer: Uint8Array) => file.readSync(buffer) ?? 0,
    seek: (offset: number) => void file.seekSync(offset, Deno.SeekMode.Start),
    close: () => file.close(),
  };
  const { name } = installed;
  const timestamp = ownTimestamp(modifiedSeconds);
  const record = { fileId: sha256, name, owner: "", timestamp, size: sizeBytes };
  return tracked(node, source, record, "", client);
}
