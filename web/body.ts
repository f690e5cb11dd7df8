// Small bodies of requests, read whole and no further than they may be.

import { NotPossible } from "./view.ts";

const MAX_BYTES = 16 * 1024;

/** The JSON value in a body. Throws `NotPossible` when it is too long or none. */
export async function smallJson(request: Request): Promise<unknown> {
  const parts: Uint8Array[] = [];
  let total = 0;
  for await (const part of request.body ?? []) {
    total += part.length;
    if (total > MAX_BYTES) {
      throw new NotPossible(413, "The body is too long", `Send at most ${MAX_BYTES} bytes of JSON`);
    }
    parts.push(part);
  }
  try {
    return JSON.parse(new TextDecoder().decode(await new Blob(parts as BlobPart[]).arrayBuffer()));
  } catch (cause) {
    throw new NotPossible(400, "The body is not JSON", "Send a JSON object", { cause });
  }
}
