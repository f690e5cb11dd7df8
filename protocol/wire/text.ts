// Text that comes from strangers: JSON in pure ASCII on the way out, visible escapes for people.
// PURE. Nothing that a peer named reaches a terminal, a log or a file name without passing here.

/** JSON number given by its source text, for values whose text is hashed (timestamps). */
export class NumberText {
  constructor(readonly text: string) {}
}

/** What `asciiJson` can write. */
export type Json =
  | string
  | number
  | boolean
  | null
  | NumberText
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/** Printable ASCII but quote, backslash and closing brace: by far the most strings. */
const plainText = /^[ !#-[\]-|~]*$/;
const needsEscape = /[\u007f-\uffff}]/g;
const escapeUnit = (unit: string) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0");

/**
 * JSON in ASCII. Three of four peers in the field decode each 4,096-byte read as UTF-8 by itself, so
 * everything else is `\uXXXX`. `}` inside strings is escaped too, so that every `}` in the result is
 * structure (see `avoidBraceAtReadEdge`).
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

/** Size of one read of the peers in the field. */
const READ_BYTES = 4096;

/**
 * Moves every `}` but the last away from the multiples of 4,096 bytes, by a space before it. One peer
 * in the field takes any read that ends in `}` for the end of the message.
 * Expects ASCII from `asciiJson`, where each `}` is structure.
 */
export function avoidBraceAtReadEdge(text: string): string {
  for (let edge = READ_BYTES; edge < text.length; edge += READ_BYTES) {
    if (text[edge - 1] === "}") text = `${text.slice(0, edge - 1)} ${text.slice(edge - 1)}`;
  }
  return text;
}

// What joins two emoji, and what gives a sign its colour or its key: a family is one sign.
const joiner = String
  .raw`(?<=\p{Extended_Pictographic}[\ufe0f\p{Emoji_Modifier}]?)\u200d(?=\p{Extended_Pictographic})`;
const style = String.raw`(?<=\p{Extended_Pictographic})\ufe0f|\ufe0f(?=\u20e3)`;
// Controls, formats (marks that change reading direction among them), line and paragraph separators, and letters that
// leave no trace.
const invisible = new RegExp(
  String
    .raw`(?!${joiner}|${style})[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]`,
  "gu",
);
const escapeSign = (sign: string) => `\\u{${sign.codePointAt(0)!.toString(16)}}`;

/**
 * Text that is safe to show in a terminal, a log line or a page: no control character, no change of
 * reading direction, no line break, and never nothing to see; each such character stands as `\u{hex}`.
 * At most `maxChars`.
 */
export function visible(text: string, maxChars = 200): string {
  const isBlank = !/\S/.test(text);
  const shown = text.toWellFormed().replace(isBlank ? /./gsu : invisible, escapeSign);
  if (shown.length <= maxChars) return shown;
  return shown.slice(0, maxChars - 1).toWellFormed().replace(/\u200d$/, "") + "…";
}

/** Whether a name may be used as an identity: no control characters, well-formed, within `max`. */
export function isCleanName(text: string, max: number): boolean {
  return text.length > 0 && text.length <= max && !/\p{Cc}/u.test(text) &&
    text.isWellFormed();
}
