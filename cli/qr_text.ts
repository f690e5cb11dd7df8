// A link as a QR code in the terminal. Phones need dark modules on a light ground, whatever the terminal's colors are.

import { renderUnicodeCompact } from "uqr";

/** Black on white, and back. */
const [ON, OFF] = ["\x1b[30;107m", "\x1b[0m"];
/** Width of the empty border, in modules (ISO 18004 wants four; phones read two). */
const BORDER = 2;

/** Returns the code with the link below it, and `note` if there is something to know about it. */
export function qrText(link: string, note: string | undefined): string {
  // The library draws light modules as blocks, for terminals that are dark.
  const rows = renderUnicodeCompact(link, { border: BORDER, invert: true }).split("\n");
  const code = rows.map((row) => `${ON}${row}${OFF}`).join("\n");
  return `${code}\n${link}${note === undefined ? "" : `\n${note}`}`;
}
