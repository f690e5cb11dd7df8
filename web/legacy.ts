// The API that older peers' pages use, with its paths, field names, and errors, so that such a page works unchanged
// with this peer. Those pages replace every apostrophe with a quote before parsing JSON, so responses contain none.

import { type Context, Hono, type MiddlewareHandler } from "hono";
import { timestampSeconds } from "../protocol/wire/fileid.ts";
import { fileFields } from "../protocol/wire/message.ts";
import { asciiJson, type Json } from "../protocol/wire/text.ts";
import { smallJson } from "./body.ts";
import { serveContent } from "./content.ts";
import type { Env } from "./env.ts";
import { type Login, loginRefused, OLD_COOKIE } from "./login.ts";
import type { FileLists } from "./file_lists.ts";
import { checkWhole, decoded, shareBody } from "./upload.ts";
import { NotPossible, type View, type ViewedFile } from "./view.ts";

/** Maximum number of files listed for an older page, which cannot ask for the rest. */
const MAX_LISTED = 10_000;

/** Responds with JSON that survives `replace(/'/g, '"')`. */
function answer(c: Context, value: Json, status: 200 | 201 = 200): Response {
  return oldJson(c, asciiJson(value), status);
}

/** Responds with JSON that survives that, too. */
function oldJson(c: Context, text: string, status: 200 | 201 = 200): Response {
  return c.body(text.replaceAll("'", "\\u0027"), status, { "content-type": "application/json" });
}

/** Resolves to the same error in the shape that older pages display. */
async function messageOf(refusal: Response): Promise<Response> {
  const { detail, hint } = await refusal.json();
  const text = asciiJson({ message: `${detail}. ${hint}` }).replaceAll("'", "\\u0027");
  const headers = new Headers(refusal.headers);
  headers.set("content-type", "application/json");
  return new Response(text, { status: refusal.status, headers });
}

function refusalOf(c: Context, error: unknown): Response {
  if (!(error instanceof NotPossible)) throw error;
  const text = asciiJson({ message: `${error.message}. ${error.hint}` });
  return c.body(text.replaceAll("'", "\\u0027"), error.status, {
    "content-type": "application/json",
  });
}

/** Converts errors from earlier middleware to the shape that older pages display. */
export const legacyErrors: MiddlewareHandler = async (c, next) => {
  await next();
  if (/^\/api\/(v1|docs)(\/|$)/.test(c.req.path)) return;
  if (!c.res.headers.get("content-type")?.startsWith("application/problem+json")) return;
  const refusal = c.res;
  c.res = undefined; // otherwise Hono would merge its headers into the new ones
  c.res = await messageOf(refusal);
};

/** Creates the routes under `/api`. `nowSeconds` returns Unix time. */
export function createLegacyApi(
  view: View,
  login: Login,
  lists: FileLists,
  nowSeconds: () => number,
): Hono<Env> {
  const api = new Hono<Env>();
  sessionRoutes(api, login);
  api.get("/list", (c) => reading(c, login, async () => oldJson(c, await listedFiles(lists))));
  api.get("/peers", (c) => reading(c, login, () => answer(c, listedPeers(view, nowSeconds()))));
  api.post("/upload", (c) => guarded(c, login, () => upload(c, view)));
  api.get("/download", (c) => reading(c, login, () => download(c, view, lists)));
  api.delete("/delete", (c) => guarded(c, login, () => remove(c, view, lists)));
  return api;
}

type Act = () => Response | Promise<Response>;

/** Carries out a change, if the request may make one. */
async function guarded(c: Context<Env>, login: Login, act: Act): Promise<Response> {
  const refusal = login.refusal(c);
  if (refusal) return await messageOf(refusal);
  try {
    return await act();
  } catch (error) {
    return refusalOf(c, error);
  }
}

/** Carries out a read, which requires a login only if reading is private. */
function reading(c: Context<Env>, login: Login, act: Act): Response | Promise<Response> {
  return login.options.isPrivate ? guarded(c, login, act) : act();
}

function sessionRoutes(api: Hono<Env>, login: Login): void {
  api.post("/login", async (c) => {
    try {
      const body = await smallJson(c.req.raw) as { username?: unknown } | null;
      const name = body?.username;
      if (typeof name !== "string" || name === "") {
        throw new NotPossible(400, "The username is missing", "Send a JSON object with a username");
      }
      const outcome = login.enter(c, name, OLD_COOKIE);
      if (outcome === "in") return answer(c, { message: "Logged in" });
      return await messageOf(loginRefused(c, outcome));
    } catch (error) {
      return refusalOf(c, error);
    }
  });
  api.delete("/login", (c) => {
    login.leave(c);
    return answer(c, { message: "Logged out" });
  });
  api.get("/session-status", (c) => answer(c, { loggedIn: login.hasLogin(c) }));
}

async function upload(c: Context<Env>, view: View): Promise<Response> {
  checkWhole((name) => c.req.header(name));
  const seconds = Number(c.req.header("x-file-timestamp") || NaN);
  const told = Number(c.req.header("x-file-size") ?? c.req.header("content-length") ?? NaN);
  const name = decoded(c.req.header("x-file-name") ?? "");
  const file = await shareBody(view, c.req.raw.body, name, {
    client: c.env.ip,
    modifiedSeconds: Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined,
    totalBytes: Number.isFinite(told) ? told : undefined,
  });
  return file.isNew
    ? answer(c, { message: "Shared", file_id: file.file.fileId }, 201)
    : answer(c, { message: "Already shared", file_id: file.file.fileId });
}

async function download(c: Context<Env>, view: View, lists: FileLists): Promise<Response> {
  try {
    const { file } = await meant(view, lists, c.req.header("x-file-name"), true);
    return serveContent(c, view, file.fileId);
  } catch (error) {
    return refusalOf(c, error);
  }
}

async function remove(c: Context<Env>, view: View, lists: FileLists): Promise<Response> {
  const { file } = await meant(view, lists, c.req.header("x-file-name"));
  const where = view.remove(file.fileId);
  return answer(c, { message: where === "here" ? "Deleted here" : "Deleted everywhere" });
}

/** Serves `/stats.json`. */
export async function legacyStats(c: Context, view: View, lists: FileLists): Promise<Response> {
  const peers = view.peers().map(({ peerId, host, port, lastSeen }) => ({
    peerId,
    host,
    port,
    last_seen: lastSeen,
  }));
  const facts = asciiJson({ peerId: view.status().peerId, peers }).slice(0, -1);
  return oldJson(c, `${facts},"files":${await listedFiles(lists)}}`);
}

function listedPeers(view: View, nowSeconds: number): Json[] {
  return view.peers().map(({ peerId, host, port, lastSeen }) => ({
    peer_name: peerId,
    host,
    port,
    last_seen: Math.max(0, Math.round(nowSeconds - lastSeen)),
  }));
}

/** Older pages do not support pagination, so files held here come first and the list is cut off. Resolves to JSON. */
async function listedFiles(lists: FileLists): Promise<string> {
  const rows: string[] = [];
  for (const where of ["here", "elsewhere"] as const) {
    const limit = MAX_LISTED - rows.length;
    if (limit === 0) break;
    rows.push(...(await lists.page({ where, limit: String(limit) }, listed)).files);
  }
  return `[${rows.join(",")}]`;
}

const listed = ({ file, held, holders }: ViewedFile) =>
  asciiJson({
    ...fileFields(file),
    has_copy: held,
    peer_w_file: holders,
    peers_with_file: holders,
  });

/** Returns the file that a name refers to: the newest of our own, else the newest held. Throws `NotPossible`. */
async function meant(
  view: View,
  lists: FileLists,
  header: string | undefined,
  isHere = false,
): Promise<ViewedFile> {
  const name = decoded(header ?? "");
  const { peerId } = view.status();
  const rank = ({ file, held }: ViewedFile) => file.owner === peerId ? 2 : held ? 1 : 0;
  const age = ({ file }: ViewedFile) => timestampSeconds(file.timestamp) ?? 0;
  let first: ViewedFile | undefined;
  for (const each of await lists.named(name)) {
    if (rank(each) === 0 || (isHere && !each.held)) continue;
    if (!first || rank(each) > rank(first)) first = each;
    else if (rank(each) === rank(first) && age(each) > age(first)) first = each;
  }
  if (first) return first;
  throw new NotPossible(404, "No file with this name is here", "Fetch it first by its id");
}
