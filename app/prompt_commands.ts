// The running peer as the prompt sees it: its commands, made from the service. This only translates; it decides nothing.

import { addressText } from "../protocol/wire/address.ts";
import type { PeerRecord } from "../protocol/members/membership.ts";
import { visible } from "../protocol/wire/text.ts";
import { durationText, indexingText, sizeText } from "../cli/units.ts";
import type { Commands } from "../cli/commands.ts";
import type { DeletedRow, FileFilter, FoundFiles, Screen } from "../cli/listings.ts";
import { nameMatcher } from "../cli/pattern.ts";
import type { Deleted } from "../storage/removals.ts";
import { count } from "../cli/report.ts";
import { inSlices } from "../web/slices.ts";
import { newestFiles } from "./newest_files.ts";
import type { Gets } from "./gets.ts";
import type { Service } from "./service.ts";
import { backedOff, statusOf } from "./status.ts";

/** Maximum number of peers shown with what was refused of them, most first. The API has all of them. */
const REFUSED_ROWS = 10;

/** Maximum number of limits shown that were reached, the most often first. The API has all of them. */
const OVERLOAD_ROWS = 10;

/** Returns what the prompt may do. `exit`, the log level and the login belong to whoever runs the peer. */
export function commandsOf(
  service: Service,
  { setLogLevel, exit, login }: Pick<Commands, "setLogLevel" | "exit" | "login">,
  gets: Gets,
): Commands {
  const { operations, store } = service;
  return {
    setLogLevel,
    exit,
    login,
    files: (filter, limit) => newestRows(service, filter, limit),
    screen: screenSize,
    peers: () => peerRows(service),
    get: async (what, destination, onProgress) => {
      const { file } = operations.find(what);
      const fetched = await gets.run(file.fileId, onProgress);
      const path = destination === undefined
        ? undefined
        : await operations.copyOut(file.fileId, destination);
      return { ...fetched, path, name: file.name };
    },
    push: (path) => operations.push(path.replace(/^~(?=\/)/, () => Deno.env.get("HOME") ?? "~")),
    delete: (what) => deleteAll(service, what),
    restore: (text) => operations.restore(text),
    deleted: async (limit) => {
      const { found, total } = await store.removals.page(0, limit);
      return { rows: found.map(deletedRow), total };
    },
    verify: (onProgress) => operations.verify(onProgress),
    stats: () => statsRows(service),
    limits: () => {
      const { down, up } = service.node.throttles;
      return { down: down.bytesPerSecond, up: up.bytesPerSecond };
    },
    setLimit: (which, bytesPerSecond) => {
      service.node.throttles[which].bytesPerSecond = bytesPerSecond;
    },
  };
}

/** Deletes files, and waits a moment for peers to hear of it. */
async function deleteAll(
  { operations }: Service,
  what: readonly string[],
): ReturnType<Commands["delete"]> {
  // All are found before any is deleted: a mistyped name must not leave half of them.
  const files = new Map(what.map((text) => {
    const { file } = operations.find(text);
    return [file.fileId, file.name] as const;
  }));
  const names: Record<"everywhere" | "here", string[]> = { everywhere: [], here: [] };
  let last: string | undefined;
  for (const [fileId, name] of files) {
    const where = operations.delete(fileId);
    names[where].push(name);
    if (where === "everywhere") last = fileId;
  }
  // Peers hear of deletions in order, so whoever has heard of the last has heard of all.
  const { reached, left, slow, slowMs } = last === undefined
    ? { reached: 0, left: 0, slow: 0, slowMs: 0 }
    : await operations.toldOfDeletion(last);
  return { ...names, reached, left: left - slow, slow, slowMs };
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
  const rows = entries.map(({ file, held, holders }) => ({
    file,
    held,
    holders: held ? [options.peerId, ...holders] : [...holders],
  }));
  return { rows, total, known: catalogue.size };
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

function statsRows(service: Service): ReturnType<Commands["stats"]> {
  const status = statusOf(service);
  const { held, heldBytes, known } = status.files;
  const counts = (of: Readonly<Record<string, number>>) =>
    Object.entries(of).map(([key, n]) => `${key} ${n}`).join(", ") || "none";
  return [
    ["up", durationText(status.uptimeSeconds)],
    ["peers", String(status.peers)],
    ["connections to us", status.reach?.text ?? "no trouble reported"],
    ["files", `${held} here (${sizeText(heldBytes)}), ${known} known`],
    ...status.indexing ? [["indexing", indexingText(status.indexing)] as const] : [],
    ["content", `${sizeText(status.bytes.in)} in, ${sizeText(status.bytes.out)} out`],
    ["received", counts(status.received)],
    ["sent", counts(status.sent)],
    ["refused", counts(status.refused)],
    ...status.refusedByPeer.slice(0, REFUSED_ROWS).map(({ peer, reasons }) =>
      [`  of ${visible(peer, 40)}`, counts(reasons)] as const
    ),
    ...status.overloads.slice(0, OVERLOAD_ROWS).map(({ times, what, option }) =>
      ["limit reached", `${what}: ${times}${option === undefined ? "" : ` (${option})`}`] as const
    ),
    ["free", sizeText(Math.max(0, status.freeBytes))],
    ["trash", trashText(status.trash)],
    ["memory", sizeText(status.memoryBytes)],
  ];
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

function trashText({ files, bytes }: { files: number; bytes: number }): string {
  if (files === 0) return "empty";
  return `${count(files, "file")}, ${sizeText(bytes)}; "restore" brings them back within 24 hours`;
}
