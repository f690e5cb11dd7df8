// Reads small request bodies whole, up to a limit.

import { NotPossible } from "./view.ts";

const MAX_BYTES = 16 * 1024;

/** Resolves to the JSON value in the body. Throws `NotPossible` if the body is too long or not JSON. */
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
