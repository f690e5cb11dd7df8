// The string under "data" on its way to a sink: hex digits in, content out. PURE.
// Two things that are no hex are seen in the field: `null` (no string at all) and the string "null".
// Both mean "I don't have it".

import { ProtocolError } from "./errors.ts";
import { HexDecoder } from "./hex.ts";

/** Takes content in order. Throws when it must not or cannot take more. */
export interface ContentSink {
  write(content: Uint8Array): void;
}

const NULL_TEXT = [0x6e, 0x75, 0x6c, 0x6c];

export class FileDataDecoder {
  readonly #hex = new HexDecoder();
  #digits = 0;
  #nulls = 0;

  constructor(readonly sink: ContentSink) {}

  /** Takes a piece of the string. Throws `ProtocolError` "bad-hex". */
  write(piece: Uint8Array): void {
    if (this.#nulls > 0 || (this.#digits === 0 && piece[0] === NULL_TEXT[0])) {
      this.#writeNull(piece);
      return;
    }
    this.#digits += piece.length;
    const content = this.#hex.decode(piece);
    if (content.length > 0) this.sink.write(content);
  }

  /** The string is over. Returns whether it was content ("null" is not). */
  end(): boolean {
    if (this.#nulls === 0) {
      this.#hex.end();
      return true;
    }
    if (this.#nulls < NULL_TEXT.length) throw badNull();
    return false;
  }

  #writeNull(piece: Uint8Array): void {
    for (const byte of piece) {
      if (byte !== NULL_TEXT[this.#nulls]) throw badNull();
      this.#nulls++;
    }
  }
}

function badNull(): ProtocolError {
  return new ProtocolError("bad-hex", "File data holds a character that is no hex digit");
}
