// Packs lists for peers that can unpack them (`Ext.packed`): a fifth of the bytes, of which the ids are most.
// Invariant: whatever arrives, at most `MAX_UNPACKED_BYTES` come out.

import { Buffer } from "node:buffer";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { MAX_UNPACKED_BYTES } from "../protocol/limits.ts";

/** Returns a text as base64 of its raw DEFLATE (RFC 1951). */
export function pack(text: string): string {
  return deflateRawSync(text).toString("base64");
}

/** Returns the text that was packed. Throws if it is too long, or was not packed. */
export function unpack(packed: string): string {
  const bytes = inflateRawSync(Buffer.from(packed, "base64"), {
    maxOutputLength: MAX_UNPACKED_BYTES,
  });
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}
