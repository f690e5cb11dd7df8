// @ts-check
// QR codes.

import { h } from "./dom.js";

/** Returns a text as a QR code, which is drawn in a moment. @param {string} text @param {string} label */
export function codeOf(text, label) {
  const canvas = h("canvas", { class: "qr", role: "img", "aria-label": label });
  drawCode(canvas, text);
  return canvas;
}

/**
 * Draws a QR code as dark squares on white with a white border, in both themes, because scanners need that.
 * @param {HTMLCanvasElement} canvas @param {string} text
 */
async function drawCode(canvas, text) {
  const { encode } = await import("uqr");
  const { data, size } = encode(text, { border: 4 });
  const scale = 4;
  canvas.width = canvas.height = size * scale;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = "#000";
  for (const [y, line] of data.entries()) {
    for (const [x, isDark] of line.entries()) {
      if (isDark) pen.fillRect(x * scale, y * scale, scale, scale);
    }
  }
}
