// The string under "data" on its way to a sink: hex digits in, content out. PURE.
// Two things that are no hex are seen in the field: `null` (no string at all) and the string "null".
// Both mean "I don't have it".

import { ProtocolError } from "./errors.ts";
import { HexDecoder } from "./hex.ts";

/** Takes content in order. Throws when it must not or cannot take more. */
export interface ContentSink {
  write(content: Uint8Array): void;
}

const NULL_TEXT = "null";

export class FileDataDecoder {
  readonly #hex = new HexDecoder();
  #digits = 0;
  /** What came of the word "null". */
  #nullText = "";

  constructor(readonly sink: ContentSink) {}

  /** Takes a piece of the string. Throws `ProtocolError` "bad-hex". */
  write(piece: string): void {
    if (this.#nullText !== "" || (this.#digits === 0 && piece.startsWith("n"))) {
      this.#nullText += piece.slice(0, NULL_TEXT.length + 1);
      if (!NULL_TEXT.startsWith(this.#nullText)) throw notHex();
      return;
    }
    this.#digits += piece.length;
    const content = this.#hex.decode(piece);
    if (content.length > 0) this.sink.write(content);
  }

  /** The string is over. Returns whether it was content ("null" is not). */
  end(): boolean {
    if (this.#nullText === "") {
      this.#hex.end();
      return true;
    }
    if (this.#nullText !== NULL_TEXT) throw notHex();
    return false;
  }
}

function notHex(): ProtocolError {
  return new ProtocolError("bad-hex", "File data holds a character that is no hex digit");
}
