// The peer in JSON, with the field names of the wire.

import { Hono } from "hono";
import { isFileId } from "../protocol/fileid.ts";
import { fileFields } from "../protocol/message.ts";
import { asciiJson, type Json } from "../protocol/text.ts";
import { serveContent } from "./content.ts";
import type { View, ViewedFile, ViewedPeer } from "./view.ts";

/** Most files in one answer when a limit is asked for. */
const MAX_LIMIT = 10_000;

/** Routes under `/api/v1`. */
export function createApi(view: View): Hono {
  const api = new Hono();
  api.get("/status", (c) => {
    const status = view.status();
    return c.json({
      peerId: status.peerId,
      host: status.host,
      port: status.port,
      version: status.version,
      uptime_seconds: Math.round(status.uptimeSeconds),
      synchronized: status.synchronized,
      peers: status.peers,
      files: {
        known: status.files.known,
        held: status.files.held,
        held_bytes: status.files.heldBytes,
      },
      bytes: status.bytes,
      free_bytes: status.freeBytes,
      received: status.received,
      sent: status.sent,
      refused: status.refused,
      refused_by_peer: status.refusedByPeer,
      trash: status.trash,
      memory_bytes: status.memoryBytes,
      work: status.work,
    });
  });
  api.get("/peers", (c) => c.json({ peers: view.peers().map(peerJson) }));
  api.get("/files", (c) => {
    const limit = wholeOf(c.req.query("limit"), MAX_LIMIT);
    const start = wholeOf(c.req.query("start"), Number.MAX_SAFE_INTEGER);
    if (limit === "bad" || start === "bad" || limit === 0) {
      return c.json({
        title: "Bad request",
        status: 400,
        detail: `"limit" and "start" must be whole numbers, "limit" from 1 to ${MAX_LIMIT}`,
        hint: "Without both, all files are listed",
      }, 400);
    }
    const files = view.files();
    const from = start ?? 0;
    const until = limit === undefined ? files.length : Math.min(files.length, from + limit);
    const next = until < files.length ? until : null;
    const listed = files.slice(from, until).map(fileJson);
    // Timestamps keep their source text, which the built-in writer would not.
    const text = asciiJson({ files: listed, total: files.length, next });
    return c.body(text, 200, { "content-type": "application/json" });
  });
  api.on(["GET", "HEAD"], "/files/:id/content", (c) => {
    const fileId = c.req.param("id");
    return isFileId(fileId) ? serveContent(c, view, fileId) : c.json({
      title: "Not found",
      status: 404,
      detail: "A file_id is 64 lower-case hex digits",
      hint: "GET /api/v1/files lists them",
    }, 404);
  });
  return api;
}

function wholeOf(text: string | undefined, max: number): number | undefined | "bad" {
  if (text === undefined) return undefined;
  return /^\d{1,16}$/.test(text) && Number(text) <= max ? Number(text) : "bad";
}

function peerJson(peer: ViewedPeer) {
  const { peerId, host, port, lastSeen, bootstrap, extended, files, refused, leftAlone } = peer;
  return {
    peerId,
    host,
    port,
    last_seen: lastSeen,
    bootstrap,
    extended,
    files,
    refused,
    left_alone: leftAlone ?? null,
  };
}

function fileJson({ file, held, holders }: ViewedFile): Json {
  return { ...fileFields(file), has_copy: held, peers_with_file: holders };
}
