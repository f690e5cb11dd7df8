// Untrusted text: pure-ASCII JSON on the way out, visible escapes for people. PURE.
// Text from other peers reaches a terminal, a log or a file name only through this file.

/** A JSON number that keeps its source text, for values whose text is hashed (timestamps). */
export class NumberText {
  /** Wraps `text`, which must be a valid JSON number. */
  constructor(readonly text: string) {}
}

/** A value that `asciiJson` can write. */
export type Json =
  | string
  | number
  | boolean
  | null
  | NumberText
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/** Printable ASCII except quote, backslash and closing brace: the vast majority of strings. */
const plainText = /^[ !#-[\]-|~]*$/;
const needsEscape = /[\u007f-\uffff}]/g;
const escapeUnit = (unit: string) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0");

/**
 * Returns `value` as ASCII-only JSON. Three of the four implementations decode each 4,096-byte read as UTF-8
 * separately and lose a message with a character across the boundary, so everything else becomes `\uXXXX`. A `}`
 * inside a string is escaped too, so that every `}` in the result is structural (see `avoidBraceAtReadEdge`).
 */
export function asciiJson(value: Json): string {
  if (typeof value === "string") {
    if (plainText.test(value)) return `"${value}"`;
    return JSON.stringify(value).replace(needsEscape, escapeUnit);
  }
  if (value instanceof NumberText) return value.text;
  if (Array.isArray(value)) return `[${value.map(asciiJson).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  let text = "";
  for (const [key, field] of Object.entries(value)) {
    if (field === undefined) continue;
    text += `${text === "" ? "" : ","}${asciiJson(key)}:${asciiJson(field)}`;
  }
  return `{${text}}`;
}

/** Read size of the other implementations, in bytes. */
const READ_BYTES = 4096;

/**
 * Inserts spaces so that no `}` except the last is the final byte of a 4,096-byte read. One implementation takes any
 * read that ends in `}` for the end of the message. Expects text from `asciiJson`, where every `}` is structural.
 */
export function avoidBraceAtReadEdge(text: string): string {
  for (let edge = READ_BYTES; edge < text.length; edge += READ_BYTES) {
    if (text[edge - 1] === "}") text = `${text.slice(0, edge - 1)} ${text.slice(edge - 1)}`;
  }
  return text;
}

// The zero-width joiner between two emoji (a family is one symbol), and the selectors for emoji and keycap style.
const joiner = String
  .raw`(?<=\p{Extended_Pictographic}[\ufe0f\p{Emoji_Modifier}]?)\u200d(?=\p{Extended_Pictographic})`;
const style = String.raw`(?<=\p{Extended_Pictographic})\ufe0f|\ufe0f(?=\u20e3)`;
// Control and format characters (including those that change the reading direction), line and paragraph separators,
// and characters that display as nothing.
const invisible = new RegExp(
  String
    .raw`(?!${joiner}|${style})[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]`,
  "gu",
);
const escapeSign = (sign: string) => `\\u{${sign.codePointAt(0)!.toString(16)}}`;

/**
 * Returns text that is safe to show in a terminal, a log line or a page, in at most `maxChars` characters. Control
 * characters, changes of reading direction, line breaks and invisible characters become `\u{hex}`; text that consists
 * only of whitespace is escaped entirely, so that there is always something to see.
 */
export function visible(text: string, maxChars = 200): string {
  const isBlank = !/\S/.test(text);
  const shown = text.toWellFormed().replace(isBlank ? /./gsu : invisible, escapeSign);
  if (shown.length <= maxChars) return shown;
  return shown.slice(0, maxChars - 1).toWellFormed().replace(/\u200d$/, "") + "…";
}

/**
 * Returns whether a name can serve as an identity: not empty, at most `max` characters, well-formed and without control
 * characters.
 */
export function isCleanName(text: string, max: number): boolean {
  return text.length > 0 && text.length <= max && !/\p{Cc}/u.test(text) &&
    text.isWellFormed();
}
