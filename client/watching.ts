// Follows a running peer's changes, one JSON object per line. A peer that restarts is found again.

import { CommandError } from "../cli/failures.ts";
import { type Api, linesOf } from "./api.ts";
import { type Output, ReaderGone } from "./output.ts";

/** How long to wait before the peer is asked again, in milliseconds. */
const RETRY_MS = 1_000;

/** Prints changes until it is interrupted, or nobody reads them. Throws `CommandError` if the peer is not there at first. */
export async function watch(api: Api, output: Output): Promise<number> {
  let lastId: string | undefined;
  let hasBegun = false;
  for (;;) {
    try {
      const headers: Record<string, string> = lastId === undefined
        ? {}
        : { "last-event-id": lastId };
      const answer = await api.ask("/events", { headers });
      hasBegun = true;
      for await (const [id, type, data] of eventsOf(linesOf(answer))) {
        lastId = id;
        output.line(`{"type":${JSON.stringify(type)}${fieldsOf(data)}`);
      }
    } catch (error) {
      if (error instanceof ReaderGone) return 0;
      const isGone = error instanceof CommandError && error.kind === "unreachable";
      if (!hasBegun || !isGone) throw error;
    }
    await new Promise((go) => setTimeout(go, RETRY_MS));
  }
}

/** Returns the rest of an object that begins with other fields. */
function fieldsOf(data: string): string {
  return /^\{\s*\}$/.test(data) || !data.startsWith("{") ? "}" : `,${data.slice(1)}`;
}

/** Yields the events of a stream (HTML, 9.2): id, type and data. */
async function* eventsOf(
  lines: AsyncIterable<string>,
): AsyncGenerator<readonly [id: string | undefined, type: string, data: string]> {
  let [id, type, data] = [undefined as string | undefined, "message", ""];
  for await (const line of lines) {
    if (line === "") {
      if (data !== "") yield [id, type, data];
      [type, data] = ["message", ""];
    } else if (line.startsWith("id: ")) id = line.slice(4);
    else if (line.startsWith("event: ")) type = line.slice(7);
    else if (line.startsWith("data: ")) data += line.slice(6);
  }
}
