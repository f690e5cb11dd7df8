// Shares files from this machine, or from standard input, through a running peer.

import { Readable } from "node:stream";
import { CommandError } from "../cli/failures.ts";
import { visible } from "../protocol/wire/text.ts";
import { StorageError } from "../storage/errors.ts";
import { refuseSecrets } from "../storage/layout.ts";
import type { Api } from "./api.ts";
import type { ApiFile } from "./rows.ts";

/** The path that means standard input. */
export const STDIN = "-";

/** A file that was shared, or was already. */
export type SharedFile = ApiFile & { readonly already_shared: boolean };

/** Shares a file. `onSent` hears of each piece. Throws `CommandError`. */
export async function share(
  api: Api,
  path: string,
  name: string | undefined,
  onSent: (doneBytes: number, totalBytes: number | undefined) => void,
): Promise<SharedFile> {
  if (path === STDIN) {
    if (name === undefined) {
      throw new CommandError("usage", "push - needs a name: push - --name NAME");
    }
    return await send(api, Deno.stdin.readable, { name }, onSent);
  }
  const { file, info } = await opened(path, name);
  if (info.isFifo) return await send(api, file.readable, { name: name! }, onSent);
  const base = name ?? path.replace(/\/+$/, "").split("/").at(-1)!;
  const modified = info.mtime === null ? {} : { modifiedSeconds: info.mtime.getTime() / 1_000 };
  return await send(api, file.readable, { name: base, sizeBytes: info.size, ...modified }, onSent);
}

/** Opens what is to be shared: a file, or a pipe that has been given a name. Throws `CommandError`. */
async function opened(
  path: string,
  name: string | undefined,
): Promise<{ file: Deno.FsFile; info: Deno.FileInfo }> {
  const at = visible(path, 500);
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
    await refuseSecrets(path);
    if (info.isFifo && name === undefined) {
      throw new CommandError(
        "usage",
        `${at} is a pipe, so it needs a name: push ${at} --name NAME`,
      );
    }
    if (info.isFile || info.isFifo) return { file: await Deno.open(path), info };
  } catch (cause) {
    if (cause instanceof CommandError) throw cause;
    if (cause instanceof StorageError) throw new CommandError("refused", cause.message, { cause });
    if (cause instanceof Deno.errors.NotFound) {
      throw new CommandError("not-found", `There is no file ${at}`, { cause });
    }
    if (cause instanceof Deno.errors.PermissionDenied) {
      throw new CommandError("storage", `Cannot read ${at}: permission denied`, { cause });
    }
    throw new CommandError("storage", `Cannot read ${at}: ${visible(`${cause}`)}`, { cause });
  }
  const hint = info.isDirectory ? ". Share the files in it one by one" : "";
  throw new CommandError("refused", `${at} is not a file${hint}`);
}

async function send(
  api: Api,
  content: ReadableStream<Uint8Array>,
  { name, sizeBytes, modifiedSeconds }: {
    readonly name: string;
    readonly sizeBytes?: number;
    readonly modifiedSeconds?: number;
  },
  onSent: (doneBytes: number, totalBytes: number | undefined) => void,
): Promise<SharedFile> {
  let doneBytes = 0;
  const counted = content.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(bytes, controller) {
        doneBytes += bytes.length;
        onSent(doneBytes, sizeBytes);
        controller.enqueue(bytes);
      },
      flush(controller) {
        if (doneBytes >= (sizeBytes ?? 0)) return;
        controller.error(new Error(`${visible(name)} became shorter meanwhile`));
      },
    }),
  );
  const { files } = await api.json<{ files: SharedFile[] }>("/files", {
    method: "POST",
    headers: {
      "content-type": "application/octet-stream",
      "x-file-name": encodeURIComponent(name),
      ...(modifiedSeconds === undefined ? {} : { "x-file-timestamp": `${modifiedSeconds}` }),
      ...(sizeBytes === undefined ? {} : { "content-length": `${sizeBytes}` }),
    },
    body: Readable.fromWeb(counted as Parameters<typeof Readable.fromWeb>[0]),
  });
  return files[0]!;
}
