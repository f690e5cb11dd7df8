// Changes as they happen: server-sent events (HTML, 9.2). `Last-Event-ID` resumes; a comment now and then keeps the
// connection alive. A client that does not keep up is disconnected, and resumes where it was.

import type { Context } from "hono";
import type { Env } from "./env.ts";
import type { View } from "./view.ts";

const HEARTBEAT_MS = 15_000;
/** Maximum bytes of events queued for a slow reader. */
const MAX_WAITING_BYTES = 1024 * 1024;
/** How long a browser waits before it reconnects, in milliseconds. */
const RETRY_MS = 1_000;

/** Serves the events. The stream ends, before anything more is sent, once `mayRead` returns false. */
export function serveEvents(c: Context<Env>, view: View, mayRead: () => boolean): Response {
  const headers = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    // nginx would otherwise hold events back until it has a buffer full of them.
    "x-accel-buffering": "no",
  };
  if (c.req.method === "HEAD") return c.body(null, 200, headers); // a stream that nobody would ever end
  const utf8 = new TextEncoder();
  let stop = () => {};
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      let isOver = false;
      let unwatch = () => {};
      let heart: ReturnType<typeof setInterval> | undefined;
      stop = () => {
        isOver = true;
        clearInterval(heart);
        unwatch();
      };
      const end = () => {
        if (isOver) return;
        stop();
        controller.close();
      };
      const say = (text: string) => {
        if (isOver) return;
        if (!mayRead()) return end();
        controller.enqueue(utf8.encode(text));
        if ((controller.desiredSize ?? 0) <= 0) end();
      };
      say(`retry: ${RETRY_MS}\n\n`);
      unwatch = view.watch(c.req.header("last-event-id"), {
        who: c.env.ip,
        tell: ({ id, type, data }) => say(`id: ${id}\nevent: ${type}\ndata: ${data}\n\n`),
        end,
      });
      // What was missed may already have been too much.
      if (isOver) unwatch();
      else heart = setInterval(() => say(": still here\n\n"), HEARTBEAT_MS);
    },
    cancel: () => stop(),
  }, new ByteLengthQueuingStrategy({ highWaterMark: MAX_WAITING_BYTES }));
  return c.body(stream, 200, headers);
}
