// Uploads that can be interrupted and continued: the IETF draft "Resumable Uploads for HTTP"
// (draft-ietf-httpbis-resumable-upload-12, and 05, 03 and 01, which differ in names and in what they send along), and
// PUT with Content-Range, as `curl -C` sends it.

import type { Context, Hono } from "hono";
import { describeRoute, resolver } from "hono-openapi";
import { asciiJson } from "../../protocol/wire/text.ts";
import type { Env } from "../env.ts";
import { problem, problemOf } from "../problem.ts";
import { prefixOf } from "../proxy.ts";
import { checkPlain, decoded, pieces, uploadName } from "../upload.ts";
import {
  NotPossible,
  type ResumableUpload,
  type SharedFile,
  type ShareOptions,
  type View,
} from "../view.ts";
import { CHANGE, check, json, problems, READ, security } from "./describe.ts";
import { PendingUploadsShape, ProblemShape, SharedShape, UploadParam } from "./schemas.ts";

/** Any type is taken: clients of each draft send another one, or none. */
const BODY = {
  content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } },
} as const;
const TYPES = "https://iana.org/assignments/http-problem-types";
const LIST_HINT = "GET /api/v1/uploads lists the uploads that can be continued";
const uploadParam = check("param", UploadParam, LIST_HINT, 404);

/** How an answer says what was shared. */
export type Answer = (c: Context<Env>, file: SharedFile) => Response;

/** Adds the routes under `/uploads`. */
export function uploadRoutes(api: Hono<Env>, view: View, answer: Answer): void {
  api.get(
    "/uploads",
    describeRoute({
      summary: "List the uploads that were interrupted and can be continued",
      responses: { 200: json("The latest first", PendingUploadsShape), ...problems(...READ) },
    }),
    (c) => {
      const uploads = view.uploads.pending().map(({ id, name, offset, totalBytes }) => ({
        id,
        file_name: name,
        offset,
        size_bytes: totalBytes ?? null,
      }));
      return c.body(asciiJson({ uploads }), 200, { "content-type": "application/json" });
    },
  );
  api.get(
    "/uploads/:upload_id",
    describeRoute({
      summary:
        "Tell how far an upload is: Upload-Offset, Upload-Complete, and Upload-Length if it is known",
      responses: {
        204: { description: "No content; the headers say it" },
        ...problems(404, ...READ),
      },
    }),
    uploadParam,
    async (c) => {
      const upload = await view.uploads.get(c.req.valid("param").upload_id);
      if (!upload) return unknown(c);
      return c.body(null, 204, { ...stateOf(c, view, upload), "cache-control": "no-store" });
    },
  );
  api.patch(
    "/uploads/:upload_id",
    describeRoute({
      summary: 'Add content from "Upload-Offset" on; the last request has "Upload-Complete: ?1"',
      security,
      requestBody: BODY,
      responses: {
        200: json("Complete, and already shared with the same name and content", SharedShape),
        201: json("Complete, and shared", SharedShape),
        204: { description: 'Added; "Upload-Offset" says how much is here' },
        ...problems(404, 409, 413, 415, 501, 503, 507, ...CHANGE),
      },
    }),
    uploadParam,
    (c) => append(c, view, c.req.valid("param").upload_id, answer),
  );
  api.delete(
    "/uploads/:upload_id",
    describeRoute({
      summary: "Give up an upload, and remove what came of it",
      security,
      responses: {
        204: { description: "Removed" },
        404: {
          description: "Not known",
          content: { "application/problem+json": { schema: resolver(ProblemShape) } },
        },
        ...problems(...CHANGE),
      },
    }),
    uploadParam,
    async (c) => {
      const isKnown = await view.uploads.remove(c.req.valid("param").upload_id);
      return isKnown ? c.body(null, 204) : unknown(c);
    },
  );
}

/** Returns whether a request to share a file wants the upload to be resumable. */
export const isResumable = (c: Context<Env>): boolean => completeIn(c) !== undefined;

/** Begins an upload, with what the request has of it. Throws `NotPossible`. */
export async function beginUpload(
  c: Context<Env>,
  view: View,
  options: ShareOptions,
  answer: Answer,
): Promise<Response> {
  checkPlain((name) => c.req.header(name));
  const isComplete = completeIn(c) === true;
  const length = integerIn(c, "upload-length");
  const totalBytes = length ?? (isComplete ? options.totalBytes : undefined);
  const upload = view.uploads.create(uploadName(nameIn(c)), { ...options, totalBytes });
  const { id } = upload;
  const shared = await appendBody(view, upload, c, isComplete).catch(async (error) => {
    await view.uploads.remove(id); // the client does not know where it could continue
    throw error;
  });
  const location = `${prefixOf(c)}/api/v1/uploads/${id}`;
  if (shared) return withState(c, view, id, answer(c, shared));
  const now = await view.uploads.get(id) ?? upload;
  return c.body(null, 201, { ...stateOf(c, view, now), location });
}

/** Adds the request's content to an upload, from the position that the request names. */
async function append(
  c: Context<Env>,
  view: View,
  id: string,
  answer: Answer,
): Promise<Response> {
  try {
    checkPlain((name) => c.req.header(name));
    const isComplete = completeIn(c);
    const offset = integerIn(c, "upload-offset");
    if (isComplete === undefined || offset === undefined) {
      return problem(
        c,
        400,
        "The request does not say where its content belongs",
        'Send "Upload-Offset" and "Upload-Complete"',
      );
    }
    const upload = await view.uploads.get(id);
    if (!upload) return unknown(c);
    const state = stateOf(c, view, upload);
    if (upload.isComplete) {
      const hint = "Nothing is left to do";
      const type = `${TYPES}#completed-upload`;
      return problem(c, 400, "The upload is complete already", hint, state, { type });
    }
    if (offset !== upload.offset) {
      return problem(
        c,
        409,
        `${upload.offset} bytes are here, but the content begins at ${offset}`,
        `Continue at ${upload.offset}`,
        state,
        {
          type: `${TYPES}#mismatching-upload-offset`,
          "expected-offset": upload.offset,
          "provided-offset": offset,
        },
      );
    }
    const length = integerIn(c, "upload-length");
    if (length !== undefined && upload.totalBytes !== undefined && length !== upload.totalBytes) {
      throw inconsistent(`${upload.totalBytes} bytes were announced before, and now ${length}`);
    }
    const shared = await appendBody(view, upload, c, isComplete);
    if (shared) return await withState(c, view, id, answer(c, shared));
    const now = await view.uploads.get(id);
    return now ? c.body(null, 204, stateOf(c, view, now)) : unknown(c);
  } catch (error) {
    if (error instanceof Inconsistent) {
      const type = `${TYPES}#inconsistent-upload-length`;
      return problem(c, 400, error.message, error.hint, {}, { type });
    }
    return problemOf(c, error);
  }
}

/**
 * Shares a file by name. If the request has only the rest of it, that is added to what an interrupted request left. What
 * comes stays if this one is interrupted too. Throws `NotPossible`.
 */
export async function putUpload(
  c: Context<Env>,
  view: View,
  name: string,
  options: ShareOptions,
): Promise<SharedFile> {
  checkPlain((header) => c.req.header(header));
  const label = uploadName(name);
  const range = rangeIn(c);
  const totalBytes = range?.totalBytes ?? options.totalBytes;
  const before = view.uploads.pending().find((upload) =>
    upload.isIdlePut && upload.name === label && upload.totalBytes === totalBytes
  );
  if (range && range.offset > 0) {
    const offset = before?.offset ?? 0;
    if (!before || offset !== range.offset) {
      throw new NotPossible(
        409,
        before
          ? `${offset} bytes of ${label} are here, but the content begins at ${range.offset}`
          : `Nothing of ${label} is here to continue`,
        before
          ? `Continue there: curl -C ${offset} -T FILE`
          : "Send the whole file, without Content-Range (curl -T FILE)",
      );
    }
    const shared = await appendBody(view, before, c, true);
    await view.uploads.remove(before.id); // curl does not ask for it again
    return shared!;
  }
  if (before) await view.uploads.remove(before.id);
  const upload = view.uploads.create(label, { ...options, totalBytes }, true);
  try {
    const shared = await appendBody(view, upload, c, true);
    await view.uploads.remove(upload.id);
    return shared!;
  } catch (error) {
    const { offset } = await view.uploads.get(upload.id) ?? { offset: 0 };
    if (offset === 0) await view.uploads.remove(upload.id);
    throw error;
  }
}

class Inconsistent extends NotPossible {}

const inconsistent = (what: string) =>
  new Inconsistent(400, what, "Start a new upload if the file has changed");

/**
 * Adds the request's body to an upload, and shares the file if it is complete with that. What came stays if the body ends
 * early. Throws `NotPossible`.
 */
async function appendBody(
  view: View,
  { id, totalBytes, offset: expected }: ResumableUpload,
  c: Context<Env>,
  isComplete: boolean,
): Promise<SharedFile | undefined> {
  const appending = await view.uploads.append(id, c.env.ip);
  let { offset } = appending;
  try {
    if (offset !== expected) {
      const [what, hint] = [`${offset} bytes are here by now`, `Continue at ${offset}`] as const;
      throw new NotPossible(409, what, hint);
    }
    for await (const piece of pieces(c.req.raw.body, appending.cancelled)) {
      if (offset + piece.length > (totalBytes ?? Infinity)) {
        throw inconsistent(`More content came than the ${totalBytes} bytes that were announced`);
      }
      appending.write(piece);
      offset += piece.length;
    }
    if (isComplete && totalBytes !== undefined && offset !== totalBytes) {
      throw inconsistent(`${offset} bytes came in all, of ${totalBytes} that were announced`);
    }
    if (isComplete && offset === 0) {
      throw new NotPossible(
        400,
        "The file is empty, so no peer could fetch it",
        "Send a file that has content",
      );
    }
  } catch (error) {
    if (error instanceof NotPossible) {
      appending.pause(error.message);
      throw error;
    }
    appending.pause();
    const [status, what] = appending.cancelled.aborted
      ? [409, "The upload was canceled on this peer, or another request continues it"] as const
      : [400, "The upload was interrupted"] as const;
    throw new NotPossible(status, what, "Ask how far it is, then continue there", {
      cause: error,
    });
  }
  if (isComplete) return await appending.finish();
  appending.pause("Waiting for the rest, which can be sent for a day");
  return undefined;
}

/** Returns what the headers of an answer say of an upload. */
function stateOf(c: Context<Env>, view: View, upload: ResumableUpload): Record<string, string> {
  const { maxBytes, keptSeconds } = view.uploads;
  const { offset, isComplete, totalBytes } = upload;
  const version = c.req.header("upload-draft-interop-version");
  return {
    "upload-offset": String(offset),
    "upload-complete": isComplete ? "?1" : "?0",
    ...(totalBytes === undefined ? {} : { "upload-length": String(totalBytes) }),
    "upload-limit": `max-size=${maxBytes}, max-age=${keptSeconds}`,
    // In draft 01, it is the other way round.
    ...(c.req.header("upload-incomplete") === undefined
      ? {}
      : { "upload-incomplete": isComplete ? "?0" : "?1" }),
    ...(version === undefined ? {} : { "upload-draft-interop-version": version }),
  };
}

/** Adds to the answer about a file that was shared what it says of the upload. */
async function withState(
  c: Context<Env>,
  view: View,
  id: string,
  response: Response,
): Promise<Response> {
  const upload = await view.uploads.get(id);
  for (const [name, value] of Object.entries(upload ? stateOf(c, view, upload) : {})) {
    response.headers.set(name, value);
  }
  return response;
}

const unknown = (c: Context<Env>) =>
  problem(c, 404, "No upload with this id is known", "Begin a new one with POST /api/v1/files");

/** Returns whether the file is complete with this request; undefined if the request does not say so. */
function completeIn(c: Context<Env>): boolean | undefined {
  const complete = c.req.header("upload-complete");
  if (complete === "?1" || complete === "?0") return complete === "?1";
  const incomplete = c.req.header("upload-incomplete");
  return incomplete === "?1" || incomplete === "?0" ? incomplete === "?0" : undefined;
}

function integerIn(c: Context<Env>, name: string): number | undefined {
  const text = c.req.header(name) ?? "";
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Returns the part of the file that the request has (RFC 9110, 14.4). Throws `NotPossible` for one that makes no sense. */
function rangeIn(c: Context<Env>): { offset: number; totalBytes: number } | undefined {
  const header = c.req.header("content-range");
  if (header === undefined) return undefined;
  // curl names the end of a file from a pipe without knowing it, so only the beginning and the size count.
  const [, offset, total] = /^bytes (\d{1,15})-\d*\/(\d{1,15})$/.exec(header) ?? [];
  if (offset !== undefined && Number(offset) < Number(total)) {
    return { offset: Number(offset), totalBytes: Number(total) };
  }
  throw new NotPossible(
    400,
    "Content-Range must name the first byte and the size of the file",
    'Send "Content-Range: bytes FIRST-LAST/SIZE"',
  );
}

/** Returns the name in any of the headers in which clients of resumable uploads send one. */
function nameIn(c: Context<Env>): string {
  const own = c.req.header("x-file-name");
  if (own !== undefined) return decoded(own);
  const query = c.req.query("name");
  if (query !== undefined) return query;
  const disposition = c.req.header("content-disposition") ?? "";
  const [, extended] = /;\s*filename\*=UTF-8''([^;\s]+)/i.exec(disposition) ?? [];
  if (extended !== undefined) return decoded(extended);
  const [, quoted, plain] = /;\s*filename=(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))/i.exec(disposition) ??
    [];
  if (quoted !== undefined || plain !== undefined) return decoded(quoted ?? plain!);
  // As in tus 1.0: pairs of a key and a value in base64.
  const [, encoded] = /(?:^|,)\s*filename ([\w+/=]+)/.exec(c.req.header("upload-metadata") ?? "") ??
    [];
  try {
    return new TextDecoder().decode(Uint8Array.fromBase64(encoded ?? ""));
  } catch {
    return "";
  }
}
