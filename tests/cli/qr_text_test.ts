// QR codes in the terminal: what a phone's camera would read of them.

import { ok, strictEqual } from "node:assert/strict";
import jsqr from "jsqr";
import { qrText } from "../../cli/qr_text.ts";

/** Reads the code in a text as a camera sees it: ink is black, and the ground is white. */
function scanned(text: string): string | undefined {
  const rows = text.split("\n").filter((row) => row.startsWith("\x1b[30;107m"))
    .map((row) => [...row.replace("\x1b[30;107m", "").replace("\x1b[0m", "")]);
  const scale = 4;
  const [width, height] = [rows[0]!.length * scale, rows.length * 2 * scale];
  const pixels = new Uint8ClampedArray(width * height * 4).fill(255);
  for (const [y, row] of rows.entries()) {
    for (const [x, sign] of row.entries()) {
      const inked = { "█": [0, 1], "▀": [0], "▄": [1], " ": [] as number[] }[sign];
      ok(inked, `an unexpected sign: ${sign}`);
      for (const half of inked) {
        for (let dy = 0; dy < scale; dy++) {
          for (let dx = 0; dx < scale; dx++) {
            const at = ((y * 2 + half) * scale + dy) * width + x * scale + dx;
            pixels.set([0, 0, 0], at * 4);
          }
        }
      }
    }
  }
  const decode = jsqr as unknown as (
    data: Uint8ClampedArray,
    width: number,
    height: number,
    options: { readonly inversionAttempts: "dontInvert" },
  ) => { readonly data: string } | null;
  return decode(pixels, width, height, { inversionAttempts: "dontInvert" })?.data;
}

Deno.test("a phone reads the link, dark on light, and people can type it", () => {
  for (
    const link of [
      "http://10.0.0.7:8116/",
      `http://[2001:db8::7]:8116/peer/#token=${"aB3-_".repeat(9).slice(0, 43)}`,
    ]
  ) {
    const text = qrText(link, undefined);
    strictEqual(scanned(text), link);
    strictEqual(text.split("\n").at(-1), link);
  }
  ok(qrText("http://127.0.0.1:8116/", "Only this machine").endsWith("\nOnly this machine"));
});
