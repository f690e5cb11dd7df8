// The "data" of a FILE_DATA: hex digits in, content out to a sink. PURE.
// Real peers also send two values that are not hex: `null` (not a string at all) and the string "null". Both mean
// "I don't have it".

import { ProtocolError } from "./errors.ts";
import { HexDecoder } from "./hex.ts";

/** Where decoded content goes. */
export interface ContentSink {
  /** Takes the next piece of content, in order. Throws if it may not or cannot take more. */
  write(content: Uint8Array): void;
}

const NULL_TEXT = "null";

/** Decodes the string under "data" piece by piece and writes the content to a sink. */
export class FileDataDecoder {
  readonly #hex = new HexDecoder();
  #digits = 0;
  /** The part of the word "null" received so far. */
  #nullText = "";

  /** Creates a decoder for one string. */
  constructor(readonly sink: ContentSink) {}

  /**
   * Takes a piece of the string. Throws `ProtocolError` ("bad-hex") if it is neither hex nor part of "null", and
   * whatever the sink throws.
   */
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

  /**
   * Ends the string. Returns whether it was content, which "null" is not. Throws `ProtocolError` ("bad-hex") if the
   * string is incomplete.
   */
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
  return new ProtocolError("bad-hex", "File data contains a character that is not a hex digit");
}
