// The running peer as the prompt sees it: its commands, made from the service. This only translates; it decides nothing.

import { addressText } from "../protocol/wire/address.ts";
import type { PeerRecord } from "../protocol/members/membership.ts";
import { durationText } from "../cli/units.ts";
import { type Ask, type Commands, confirmDeletion, deletionText } from "../cli/commands.ts";
import { CommandError } from "../cli/failures.ts";
import { StorageError } from "../storage/errors.ts";
import { visible } from "../protocol/wire/text.ts";
import type { DeletedRow, FileFilter, FoundFiles, Screen } from "../cli/listings.ts";
import { nameMatcher } from "../web/name_pattern.ts";
import type { Deleted } from "../storage/removals.ts";
import { statusRows } from "../cli/status_text.ts";
import { inSlices } from "../web/slices.ts";
import { newestFiles } from "./newest_files.ts";
import type { CatalogueView } from "../protocol/state.ts";
import { shortestIds } from "./short_ids.ts";
import type { Gets } from "./gets.ts";
import type { Service } from "./service.ts";
import { asCommand } from "./failures.ts";
import { backedOff, statusOf, viewedTransfer } from "./status.ts";

/** Returns what the prompt may do. `exit`, the log level and the login belong to whoever runs the peer. */
export function commandsOf(
  service: Service,
  { logLevel, setLogLevel, exit, login, qr }: Pick<
    Commands,
    "logLevel" | "setLogLevel" | "exit" | "login" | "qr"
  >,
  gets: Gets,
): Commands {
  const { operations, store, node } = service;
  return {
    logLevel,
    setLogLevel,
    exit,
    login,
    qr,
    files: (filter, limit) => newestRows(service, filter, limit),
    screen: screenSize,
    isName: (text) => {
      for (const { file } of node.peer.catalogue.all()) if (file.name === text) return true;
      return false;
    },
    peers: () => peerRows(service),
    transfers: () => node.transferLog.all().map((move) => viewedTransfer(service, move)),
    get: (what, destination, onProgress) =>
      asCommand(async () => {
        const { file } = operations.find(what);
        const fetched = await gets.run(file.fileId, onProgress);
        const path = destination === undefined
          ? undefined
          : await operations.copyOut(file.fileId, destination);
        return { ...fetched, path, name: file.name };
      }),
    connect: (text) => asCommand(() => operations.connect(text)),
    push: (path) =>
      asCommand(() => operations.push(path.replace(/^~(?=\/)/, () => Deno.env.get("HOME") ?? "~"))),
    delete: (what, ask) => asCommand(() => deleteAll(service, what, ask)),
    restore: (text) => asCommand(() => operations.restore(text)),
    deleted: async (limit) => {
      const { found, total } = await store.removals.page(0, limit);
      return { rows: found.map(deletedRow), total };
    },
    verify: (onProgress) => asCommand(() => operations.verify(onProgress)),
    stats: () => statusRows(statusOf(service)),
    limits: () => {
      const { down, up } = node.throttles;
      return { down: down.bytesPerSecond, up: up.bytesPerSecond };
    },
    setLimit: (which, bytesPerSecond) => {
      node.throttles[which].bytesPerSecond = bytesPerSecond;
    },
  };
}

/** Deletes files, and waits a moment for peers to hear of it. */
async function deleteAll(
  { operations, options: { peerId } }: Service,
  what: readonly string[],
  ask: Ask | undefined,
): ReturnType<Commands["delete"]> {
  // All are found before any is deleted: a mistyped name must not leave half of them.
  const entries = what.map((text) => operations.find(text));
  const files = new Map(entries.map(({ file: { fileId, name } }) => [fileId, name] as const));
  const ours = entries.filter(({ file }) => file.owner === peerId);
  await confirmDeletion(
    ours.map(({ file: { name }, holders }) => ({ name, holders: holders.size })),
    ask,
  );
  const names: Record<"everywhere" | "here", string[]> = { everywhere: [], here: [] };
  const failed: string[] = [];
  let last: string | undefined;
  for (const [fileId, name] of files) {
    try {
      const where = operations.delete(fileId);
      names[where].push(name);
      if (where === "everywhere") last = fileId;
    } catch (error) {
      if (files.size === 1 || !(error instanceof StorageError)) throw error;
      failed.push(`Not deleted: ${visible(name)}: ${error.message}`);
    }
  }
  // Peers hear of deletions in order, so whoever has heard of the last has heard of all.
  const { reached, left, slow, slowMs } = last === undefined
    ? { reached: 0, left: 0, slow: 0, slowMs: 0 }
    : await operations.toldOfDeletion(last);
  const done = { ...names, reached, left: left - slow, slow, slowMs };
  if (failed.length === 0) return done;
  const kind = failed.length < files.size ? "partly" : "storage";
  throw new CommandError(
    kind,
    [deletionText(done), ...failed].filter((text) => text !== "").join("\n"),
  );
}

async function newestRows(
  { node, options }: Service,
  { where, pattern }: FileFilter,
  limit: number,
): Promise<FoundFiles> {
  const { catalogue } = node.peer;
  const isNamed = pattern === undefined ? () => true : nameMatcher(pattern);
  const { entries, total } = await inSlices(
    newestFiles(
      catalogue,
      limit,
      ({ file, held }) =>
        (where === undefined || held === (where === "local")) && isNamed(file.name),
    ),
  );
  const shown = entries.map(({ file }) => file.fileId);
  const shortIds = await inSlices(shortestIds(shown, idsOf(catalogue)));
  const rows = entries.map(({ file, held, holders }) => ({
    file,
    held,
    holders: held ? [options.peerId, ...holders] : [...holders],
    shortId: shortIds.get(file.fileId),
  }));
  return { rows, total, known: catalogue.size };
}

function* idsOf(catalogue: Pick<CatalogueView, "all">): Iterable<string> {
  for (const { file: { fileId } } of catalogue.all()) yield fileId;
}

/** Returns the size of the terminal that the program was started in; undefined if there is none. */
function screenSize(): Screen | undefined {
  try {
    const { columns, rows } = Deno.consoleSize();
    return columns > 0 && rows > 0 ? { columns, rows } : undefined; // some report 0 x 0
  } catch {
    return undefined; // standard output is not a terminal
  }
}

function peerRows(service: Service): ReturnType<Commands["peers"]> {
  const { membership, catalogue } = service.node.peer;
  return [...membership.all()].map((record) => ({
    peerId: record.peerId,
    address: addressText(record.address),
    silentSeconds: (performance.now() - record.lastHeardMs) / 1000,
    bootstrap: record.bootstrap,
    extended: record.extended,
    files: catalogue.holdingsOf(record.peerId),
    note: noteOn(service, record),
  }));
}

function deletedRow({ file, sizeBytes, deletedMs }: Deleted): DeletedRow {
  return { file, sizeBytes, secondsAgo: Math.max(0, (Date.now() - deletedMs) / 1000) };
}

function noteOn(service: Service, record: PeerRecord): string {
  const pause = backedOff(service, record);
  const notes = [
    record.rival ? `also claimed by ${addressText(record.rival)}` : "",
    record.refusals > 0 ? `${record.refusals} refused from its address` : "",
    pause ? `avoided for ${durationText(pause.seconds)}: it ${pause.why}` : "",
  ];
  return notes.filter((note) => note !== "").join(", ");
}
