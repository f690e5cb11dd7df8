// The state of a peer as rows for people: `status` at the prompt and in a shell. PURE.

import { visible } from "../protocol/wire/text.ts";
import { count } from "./report.ts";
import { durationText, indexingText, sizeText } from "./units.ts";

/** What is shown. Sizes are in bytes. */
export interface StatusFigures {
  readonly uptimeSeconds: number;
  readonly peers: number;
  /** Why others cannot connect to the peer, and what helps. */
  readonly reach: { readonly text: string } | undefined;
  readonly files: { readonly known: number; readonly held: number; readonly heldBytes: number };
  readonly indexing?:
    | {
      readonly files: number;
      readonly totalFiles: number;
      readonly bytes: number;
      readonly totalBytes: number;
    }
    | undefined;
  readonly bytes: { readonly in: number; readonly out: number };
  readonly received: Readonly<Record<string, number>>;
  readonly sent: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
  /** Most refusals first. */
  readonly refusedByPeer: readonly {
    readonly peer: string;
    readonly reasons: Readonly<Record<string, number>>;
  }[];
  /** The most often first. */
  readonly overloads: readonly {
    readonly times: number;
    readonly what: string;
    readonly option?: string | undefined;
  }[];
  readonly freeBytes: number;
  readonly trash: { readonly files: number; readonly bytes: number };
  readonly memoryBytes: number;
}

/** Maximum number of peers shown with what was refused of them, most first. The API has all of them. */
const REFUSED_ROWS = 10;
/** Maximum number of limits shown that were reached, the most often first. The API has all of them. */
const OVERLOAD_ROWS = 10;

/** Returns the rows: a title and a value each. */
export function statusRows(status: StatusFigures): (readonly [string, string])[] {
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

function trashText({ files, bytes }: { files: number; bytes: number }): string {
  if (files === 0) return "empty";
  return `${count(files, "file")}, ${sizeText(bytes)}; "restore" brings them back within 24 hours`;
}
