// Lists in two forms: pages, each with the way to the next one, or everything as a stream of JSON lines.

import type { Context } from "hono";
import { accepts } from "hono/accepts";
import { asciiJson, type Json } from "../../protocol/wire/text.ts";
import type { Env } from "../env.ts";
import { prefixOf } from "../proxy.ts";
import { CHEAP_MS, type Turns } from "../turns.ts";
import { DEFAULT_ROWS } from "./schemas.ts";

/** Media type of JSON lines: one JSON object per line. */
export const LINES_TYPE = "application/x-ndjson";
export const JSON_TYPE = "application/json";

/** Maximum size of one piece of a stream, in UTF-16 code units. Usually the time for it is over before. */
const MAX_PIECE = 512 * 1024;

/** Returns whether the client prefers JSON lines. Marks the response as depending on that. */
export function wantsLines(c: Context<Env>): boolean {
  c.header("vary", "Accept", { append: true });
  const supports = [JSON_TYPE, LINES_TYPE];
  return accepts(c, { header: "Accept", supports, default: JSON_TYPE }) === LINES_TYPE;
}

/** Returns the Link header (RFC 8288) that leads to the next page; none if there is none. */
export function linkTo(c: Context<Env>, next: string | number | null): Record<string, string> {
  if (next === null) return {};
  const query = new URLSearchParams(c.req.query());
  query.set("start", `${next}`);
  return { link: `<${prefixOf(c)}${c.req.path}?${query}>; rel="next"` };
}

/** Returns the part of a short list that is asked for, and where the next one starts. */
export function pageOf<T>(
  items: readonly T[],
  query: { readonly start?: string; readonly limit?: string },
  defaultLimit: number,
): { readonly items: readonly T[]; readonly total: number; readonly next: number | null } {
  const start = Number(query.start ?? 0);
  const next = start + Number(query.limit ?? defaultLimit);
  const total = items.length;
  return { items: items.slice(start, next), total, next: next < total ? next : null };
}

/** Serves a short list, as a page under `name` or as JSON lines. */
export function serveRows(
  c: Context<Env>,
  turns: Turns,
  name: string,
  rows: readonly Json[],
  query: { readonly start?: string; readonly limit?: string },
): Response {
  if (wantsLines(c)) {
    return serveLines(c, turns, pageOf(rows, query, Infinity).items.values());
  }
  const { items, total, next } = pageOf(rows, query, DEFAULT_ROWS);
  return c.body(asciiJson({ [name]: items, total, next }), 200, {
    "content-type": JSON_TYPE,
    ...linkTo(c, next),
  });
}

/**
 * Serves rows as JSON lines, as fast as the client reads them. Pieces are written one turn at a time, so that however
 * many streams there are, peers and other requests are served in between. Stops when the client leaves.
 */
export function serveLines(
  c: Context<Env>,
  turns: Turns,
  rows: Iterator<Json> | AsyncIterator<Json>,
): Response {
  const headers = { "content-type": LINES_TYPE };
  if (c.req.method === "HEAD") return c.body(null, 200, headers); // its length is known only at the end
  const utf8 = new TextEncoder();
  const left = new AbortController();
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { text, isLast } = await turns.take(() => piece(rows), left.signal);
      if (left.signal.aborted) return;
      if (text !== "") controller.enqueue(utf8.encode(text));
      if (isLast) controller.close();
    },
    cancel: () => left.abort(),
  }, { highWaterMark: 0 });
  return c.body(stream, 200, headers);
}

/** Writes as many lines as one turn has time for. */
async function piece(rows: Iterator<Json> | AsyncIterator<Json>) {
  const untilMs = performance.now() + CHEAP_MS;
  let text = "";
  do {
    const row = await rows.next();
    if (row.done) return { text, isLast: true };
    text += `${asciiJson(row.value)}\n`;
  } while (performance.now() < untilMs && text.length < MAX_PIECE);
  return { text, isLast: false };
}
