// What `doctor` found, as lines for people: what was looked at, how it is, and what to do. PURE.

import { type Failure } from "./failures.ts";
import { columns } from "./table.ts";

/** What was found at one point. */
export interface Finding {
  /** What was looked at, in a word or two. */
  readonly what: string;
  /** "fine"; "note": worth knowing; "wrong": something does not work. */
  readonly is: "fine" | "note" | "wrong";
  /** How it is, as a sentence without a final period. */
  readonly text: string;
  /** What to do. */
  readonly cure?: string | undefined;
  /** The kind of failure, if something is wrong. */
  readonly kind?: Failure;
}

const SIGNS = { fine: "ok", note: "note", wrong: "WRONG" } as const;

/** Returns the findings as lines. */
export function findingsText(findings: readonly Finding[]): string {
  const rows = findings.map(({ is, what, text, cure }) => [
    SIGNS[is],
    what,
    cure === undefined ? text : `${text}. ${cure}`,
  ]);
  const wrong = findings.filter(({ is }) => is === "wrong").length;
  const last = wrong === 0 ? "Nothing is wrong" : `${wrong} of ${findings.length} points are wrong`;
  return `${columns(rows)}\n${last}`;
}
