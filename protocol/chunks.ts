// The chunks of a file, and what lists of their hashes say about content. PURE.
// A list proves nothing: whoever sends wrong content can send a list that fits it. It says where content differs from what
// one source has, so that only that is fetched again from that source; then the whole verifies, or the source lied.

import type { Ranges, Span } from "./ranges.ts";
import { MAX_SPANS_TOLD } from "./wire/ext.ts";

/** Smallest chunk, in bytes; larger for large files, see `MAX_CHUNKS`. */
export const CHUNK_BYTES: number = 1024 * 1024;
/** Maximum number of chunks of a file. */
export const MAX_CHUNKS = 4_096;
/** Size of the hash of a chunk (SHA-256), in bytes. */
export const DIGEST_BYTES = 32;

/** Returns the size of the chunks of a file, in bytes. */
export function chunkBytesOf(sizeBytes: number): number {
  return CHUNK_BYTES * Math.max(1, Math.ceil(sizeBytes / (CHUNK_BYTES * MAX_CHUNKS)));
}

/** Returns the chunks of a file, in order. */
export function* chunksOf(sizeBytes: number): Generator<Span> {
  const step = chunkBytesOf(sizeBytes);
  for (let at = 0; at < sizeBytes; at += step) yield [at, Math.min(sizeBytes, at + step)];
}

/** Returns the size of the list of hashes of a file, in bytes. */
export function listBytesOf(sizeBytes: number): number {
  return DIGEST_BYTES * Math.ceil(sizeBytes / chunkBytesOf(sizeBytes));
}

/** Returns the chunks of a file of which two lists have different hashes. Both lists have the length that the size implies. */
export function differingChunks(sizeBytes: number, a: Uint8Array, b: Uint8Array): Span[] {
  const differing: Span[] = [];
  let at = 0;
  for (const chunk of chunksOf(sizeBytes)) {
    for (let i = at; i < at + DIGEST_BYTES; i++) {
      if (a[i] === b[i]) continue;
      differing.push(chunk);
      break;
    }
    at += DIGEST_BYTES;
  }
  return differing;
}

/**
 * Returns the spans of whole chunks that are there, for `Ext.have`: the first `MAX_SPANS_TOLD`, so that nobody asks for
 * crumbs.
 */
export function wholeChunks(done: Ranges, sizeBytes: number): Span[] {
  const step = chunkBytesOf(sizeBytes);
  const whole: Span[] = [];
  for (const [start, end] of done.spans) {
    const from = Math.ceil(start / step) * step;
    const to = end === sizeBytes ? end : Math.floor(end / step) * step;
    if (from < to && whole.length < MAX_SPANS_TOLD) whole.push([from, to]);
  }
  return whole;
}
