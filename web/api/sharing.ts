// Routes for sharing files: a raw body with a name, a form, or `curl -T`.

import type { Context, Hono } from "hono";
import { describeRoute } from "hono-openapi";
import { asciiJson } from "../../protocol/wire/text.ts";
import type { Env } from "../env.ts";
import { type SharedForm, shareForm } from "../form.ts";
import { mayChange } from "../preconditions.ts";
import { conditionFailed, problemOf } from "../problem.ts";
import { prefixOf } from "../proxy.ts";
import { checkWhole, decoded, digestsOf, shareBody } from "../upload.ts";
import type { SharedFile, View } from "../view.ts";
import { CHANGE, check, json, problems, security } from "./describe.ts";
import { fileJson } from "./listing.ts";
import { type Answer, beginUpload, isResumable, putUpload, uploadRoutes } from "./uploads.ts";
import { SharedShape, ShareQuery } from "./schemas.ts";

const BINARY = { type: "string", format: "binary" } as const;
const RAW_BODY = {
  required: true,
  content: { "application/octet-stream": { schema: BINARY } },
};
const RAW_BODY_OR_FORM = {
  ...RAW_BODY,
  content: {
    ...RAW_BODY.content,
    "multipart/form-data": {
      schema: { type: "object" as const, properties: { file: BINARY }, required: ["file"] },
    },
  },
};
const RESPONSES = {
  200: json("Already shared, with the same name and content", SharedShape),
  201: json("Shared", SharedShape),
  ...problems(409, 412, 413, 415, 501, 503, 507, ...CHANGE),
};

/** Adds POST `/files`, PUT `/files/by-name/{name}`, and the uploads that can be continued. */
export function shareRoutes(api: Hono<Env>, view: View): void {
  shareRoute(api, view);
  shareByNameRoute(api, view);
  uploadRoutes(api, view, answer);
}

const answer: Answer = (c, file) => created(c, [file]);

function shareRoute(api: Hono<Env>, view: View): void {
  api.post(
    "/files",
    describeRoute({
      summary: "Share a file as a raw body with a name, or files as a form",
      description:
        'Give the name in "X-File-Name" (percent-encoded) or in "name". "X-File-Timestamp" is the modification time in Unix seconds. A raw body is checked against "Content-Digest" and "Repr-Digest" (sha-256). With "Upload-Complete" (draft-ietf-httpbis-resumable-upload), the upload can be interrupted and continued for a day, at the address in "Location".',
      security,
      requestBody: RAW_BODY_OR_FORM,
      responses: RESPONSES,
    }),
    check("query", ShareQuery, '"name" must be the name of the file'),
    async (c) => {
      const type = c.req.header("content-type") ?? "";
      try {
        const options = shareOptions(c);
        if (isResumable(c)) return await beginUpload(c, view, options, answer);
        const header = c.req.header("x-file-name");
        const name = header === undefined ? c.req.valid("query").name ?? "" : decoded(header);
        if (/^multipart\/form-data\b/i.test(type)) {
          const { files, failed } = await shareForm(view, c.req.raw.body, type, options);
          return created(c, files, failed);
        }
        return created(c, [await shareBody(view, c.req.raw.body, name, options, digestsIn(c))]);
      } catch (error) {
        return problemOf(c, error);
      }
    },
  );
}

function shareByNameRoute(api: Hono<Env>, view: View): void {
  api.put(
    "/files/by-name/:name",
    describeRoute({
      summary: "Share the body under this name (curl -T FILE URL/)",
      description:
        'If it is interrupted, what came is kept for a day; "Content-Range" sends the rest (curl -C OFFSET -T FILE URL/). The error for a wrong offset names the right one.',
      security,
      requestBody: RAW_BODY,
      responses: RESPONSES,
    }),
    async (c) => {
      // Nothing can be read at this URL, whatever is shared under the name, so there is no etag.
      if (!mayChange(c, undefined)) return conditionFailed(c);
      try {
        const name = c.req.param("name");
        const options = optionsOf(c);
        const digests = digestsIn(c);
        // What is checked against a digest is received whole.
        if (digests.length === 0) return created(c, [await putUpload(c, view, name, options)]);
        checkWhole((header) => c.req.header(header));
        return created(c, [await shareBody(view, c.req.raw.body, name, options, digests)]);
      } catch (error) {
        return problemOf(c, error);
      }
    },
  );
}

const digestsIn = (c: Context<Env>) => digestsOf((name) => c.req.header(name));

/**
 * Returns the options for sharing the request's body. Throws `NotPossible` if the body is not a whole, unencoded file.
 */
function shareOptions(c: Context<Env>) {
  checkWhole((name) => c.req.header(name));
  return optionsOf(c);
}

function optionsOf(c: Context<Env>) {
  const seconds = Number(c.req.header("x-file-timestamp") || NaN);
  const length = Number(c.req.header("content-length") || NaN);
  return {
    client: c.env.ip,
    modifiedSeconds: Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined,
    totalBytes: Number.isFinite(length) ? length : undefined,
  };
}

/** Returns 201 if anything is new, or 200 if all of it was already shared. */
function created(
  c: Context<Env>,
  files: readonly SharedFile[],
  failed: SharedForm["failed"] = [],
): Response {
  const failures = failed.map(({ name, error }) => ({
    file_name: name,
    detail: error.message,
    hint: error.hint,
  }));
  const rows = files.map((file) => ({ ...fileJson(file), already_shared: !file.isNew }));
  const status = files.some(({ isNew }) => isNew) ? 201 : 200;
  return c.body(asciiJson({ files: rows, failed: failures }), status, {
    "content-type": "application/json",
    location: `${prefixOf(c)}/api/v1/files/${files[0]!.file.fileId}`,
  });
}
