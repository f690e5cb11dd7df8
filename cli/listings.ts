// The listings that the prompt prints: files, deleted files, and peers, one row each.
// Invariant: text that came from a peer is escaped.

import type { FileRecord } from "../protocol/wire/message.ts";
import { visible } from "../protocol/wire/text.ts";
import { count } from "./report.ts";
import { table } from "./table.ts";
import { durationText, numberText, sizeText } from "./units.ts";

export interface FileRow {
  readonly file: FileRecord;
  readonly held: boolean;
  readonly holders: readonly string[];
  /** The shortest beginning of its id that names only this file. */
  readonly shortId?: string | undefined;
}

export interface DeletedRow {
  readonly file: FileRecord;
  readonly sizeBytes: number;
  readonly secondsAgo: number;
}

export interface PeerRow {
  readonly peerId: string;
  readonly address: string;
  readonly silentSeconds: number;
  readonly bootstrap: boolean;
  readonly extended: boolean;
  readonly files: number;
  readonly note: string;
}

/** Which files `list` shows. */
export interface FileFilter {
  readonly where: "local" | "remote" | undefined;
  /** Whether a name is wanted; see `nameMatcher`. */
  readonly pattern: string | undefined;
}

/** Files that match, newest first. */
export interface FoundFiles {
  readonly rows: readonly FileRow[];
  /** Number of files that match, of which `rows` are the newest. */
  readonly total: number;
  /** Number of files that are known. */
  readonly known: number;
}

/** Size of a terminal, in characters. */
export interface Screen {
  readonly columns: number;
  readonly rows: number;
}

/** Lines of the screen left for the command, the prompt, the header, and the last line of a list. */
const OTHER_LINES = 4;
/** Minimum number of files listed, on however small a screen. */
const MIN_FILES = 5;
/** Maximum number of files listed without a screen. Scripts get all of them from the API. */
const MAX_FILES = 200;
/** Characters of an id that are shown if a whole one does not fit. Every command takes the beginning of an id. */
const SHORT_ID = 12;
const MAX_NAME = 40;
const MIN_NAME = 12;
/** Characters kept for the holders of a file. */
const MIN_HOLDERS = 12;

/** Returns how many files `list` shows at most. */
export const listLimit = (screen: Screen | undefined): number =>
  screen ? Math.max(MIN_FILES, screen.rows - OTHER_LINES) : MAX_FILES;

/** Parses the words after `list`. A pattern may have spaces. */
export function filterOf(words: readonly string[]): FileFilter {
  const [first, ...rest] = words;
  const where = first?.toLowerCase();
  const isWhere = where === "local" || where === "remote";
  const pattern = (isWhere ? rest : words).join(" ");
  return { where: isWhere ? where : undefined, pattern: pattern === "" ? undefined : pattern };
}

/** Returns the answer to `list`, as wide as the screen: the newest of the files that match, and how many more there are. */
export function listText(
  { rows: found, total, known }: FoundFiles,
  { where, pattern }: FileFilter,
  screen: Screen | undefined,
): string {
  // People type the beginning of an id; what goes elsewhere is whole.
  const rows = screen ? found : found.map((row) => ({ ...row, shortId: undefined }));
  if (total === 0) {
    if (known === 0) return "No files are known yet";
    if (pattern !== undefined) {
      const what = { local: "file stored here", remote: "file stored elsewhere" };
      return `No ${where ? what[where] : "file"} matches "${visible(pattern)}"`;
    }
    return where === "local" ? "No files here yet" : "Every known file is stored here";
  }
  const more = total - rows.length;
  const width = screen?.columns ?? Infinity;
  const isTold = rows.some(({ file }) => file.sha256 !== undefined);
  const whole = isTold ? fits(wholeTable(rows, true), width) : undefined;
  return `${whole ?? `${fileTable(rows, width)}${digestText(rows, width)}`}\n${
    more > 0
      ? `… and ${numberText(more)} more; narrow with \`list PATTERN\``
      : `${numberText(total)} ${total === 1 ? "file" : "files"}`
  }`;
}

const FILE_HEAD = ["id", "name", "owner", "size", "here", "holders"];
/** Number of files up to which their SHA-256 is shown below the table if there is no space in it. */
const MAX_DIGESTS = 3;

function cellsOf(row: FileRow, maxId: number, maxName: number): string[] {
  const { file, held, holders, shortId } = row;
  return [
    (shortId ?? file.fileId).slice(0, maxId),
    visible(file.name, maxName),
    visible(file.owner, 24),
    file.sizeBytes === undefined ? `~${sizeText(file.size * 1024 ** 2)}` : sizeText(file.sizeBytes),
    held ? "here" : "-",
    holders.map((holder) => visible(holder, 24)).join(", ") || "nobody",
  ];
}

/** Formats files without shortening ids or holders. */
function wholeTable(files: readonly FileRow[], hasSha256: boolean): string {
  const cells = files.map((row) => {
    const cells = cellsOf(row, Infinity, MAX_NAME);
    return hasSha256 ? [...cells, row.file.sha256 ?? "-"] : cells;
  });
  return table(hasSha256 ? [...FILE_HEAD, "sha256"] : FILE_HEAD, cells);
}

/** Formats the SHA-256 of a few files like `sha256sum`, so that people can compare. */
function digestText(files: readonly FileRow[], width: number): string {
  if (files.length > MAX_DIGESTS) return "";
  const lines = files.flatMap(({ file: { name, sha256 } }) =>
    sha256 === undefined ? [] : [`${sha256}  ${visible(name)}`]
  );
  return lines.length === 0
    ? ""
    : `\nSHA-256, as sha256sum prints it:\n${cut(lines.join("\n"), width)}`;
}

/** Formats files in lines of at most `width` characters. Ids are shortened first, then names, and then holders. */
function fileTable(files: readonly FileRow[], width: number): string {
  const cells = (maxId: number, maxName: number) =>
    files.map((row) => cellsOf(row, maxId, maxName));
  const widthOf = (rows: readonly (readonly string[])[], column: number) =>
    Math.max(FILE_HEAD[column]!.length, ...rows.map((row) => row[column]!.length));
  const text = fits(wholeTable(files, false), width);
  if (text !== undefined) return text;
  const whole = cells(Infinity, MAX_NAME);
  const others = SHORT_ID + [2, 3, 4].reduce((sum, column) => sum + widthOf(whole, column), 0) +
    Math.min(MIN_HOLDERS, widthOf(whole, 5)) + 2 * (FILE_HEAD.length - 1);
  const maxName = Math.min(MAX_NAME, Math.max(MIN_NAME, width - others));
  return cut(table(FILE_HEAD, cells(SHORT_ID, maxName)), width);
}

/** Returns the text if no line is longer than `width`. */
const fits = (text: string, width: number): string | undefined =>
  text.split("\n").every((line) => line.length <= width) ? text : undefined;

/** Cuts each line to `width` characters. */
const cut = (text: string, width: number): string =>
  text.split("\n").map((line) => visible(line, Math.max(2, width))).join("\n");

/** Deleted files, most recently deleted first. */
export interface DeletedFiles {
  readonly rows: readonly DeletedRow[];
  /** Number of files that can be restored, of which `rows` are the first. */
  readonly total: number;
}

/** Returns the answer to `restore` without an argument, as wide as the screen. */
export function deletedText({ rows, total }: DeletedFiles, screen: Screen | undefined): string {
  if (total === 0) return "No files were deleted here in the last 24 hours";
  const width = screen?.columns ?? Infinity;
  const head = ["file_id", "name", "size", "deleted"];
  const cells = (maxId: number) =>
    rows.map(({ file, sizeBytes, secondsAgo }) => [
      file.fileId.slice(0, maxId),
      visible(file.name, MAX_NAME),
      sizeText(sizeBytes),
      `${durationText(secondsAgo)} ago`,
    ]);
  const text = fits(table(head, cells(Infinity)), width) ??
    cut(table(head, cells(SHORT_ID)), width);
  const more = total - rows.length;
  return `${text}\n${
    more > 0 ? `… and ${numberText(more)} more\n` : ""
  }To restore one, type: restore <file_id|prefix|name>`;
}

/** Returns the answer to `peers`. */
export function peersText(peers: readonly PeerRow[]): string {
  if (peers.length === 0) return "No peers yet";
  const rows = peers.map((peer) => [
    visible(peer.peerId, 40),
    visible(peer.address),
    `${durationText(peer.silentSeconds)} ago`,
    String(peer.files),
    [peer.bootstrap ? "bootstrap" : "", peer.extended ? "" : "legacy", peer.note].filter(Boolean)
      .map((
        text,
      ) => visible(text)).join(", "),
  ]);
  return `${table(["peer", "address", "last heard", "files", ""], rows)}\n${
    count(peers.length, "peer")
  }`;
}

/** A transfer, as `transfers` shows it. */
export interface TransferRow {
  readonly name: string;
  readonly kind: string;
  readonly direction: "in" | "out";
  readonly peer: string;
  readonly doneBytes: number;
  /** Of `doneBytes`, what an earlier attempt had left. */
  readonly resumedBytes: number;
  readonly totalBytes: number | undefined;
  readonly state: string;
  /** How long it has taken. */
  readonly seconds: number;
  readonly why: string | undefined;
}

/** Returns the answer to `transfers`, as wide as the screen. */
export function transfersText(
  transfers: readonly TransferRow[],
  screen: Screen | undefined,
): string {
  if (transfers.length === 0) return "Nothing is moving, and nothing has moved lately";
  const limit = listLimit(screen);
  const cells = transfers.slice(-limit).map((each) => [
    visible(each.name, MAX_NAME),
    `${each.kind} ${each.direction === "in" ? "from" : "to"} ${visible(each.peer, 24)}`,
    each.totalBytes === undefined
      ? sizeText(each.doneBytes)
      : `${sizeText(each.doneBytes)} of ${sizeText(each.totalBytes)}`,
    `${sizeText((each.doneBytes - each.resumedBytes) / Math.max(0.001, each.seconds))}/s`,
    each.state,
    visible(each.why ?? "", 80),
  ]);
  const text = table(["name", "what", "moved", "speed", "state", ""], cells);
  const more = transfers.length - cells.length;
  const older = more > 0 ? `\n… and ${numberText(more)} older` : "";
  return `${cut(text, screen?.columns ?? Infinity)}${older}`;
}
