// Serves the pages: picks the right one and parses the search that a browser without JavaScript put in the URL.

import type { Context } from "hono";
import * as v from "valibot";
import { FilesQuery } from "../api/schemas.ts";
import { IMPORT_MAP_HASH } from "../assets.ts";
import { contentPolicy } from "../guard.ts";
import type { Env } from "../env.ts";
import { CHALLENGE, type Login } from "../login.ts";
import { asItIs, type FileLists } from "../file_lists.ts";
import { NEWEST_FIRST } from "../shared/filelist.js";
import type { View } from "../view.ts";
import { DocsPage } from "./docs.tsx";
import { PAGE_ROWS } from "./files.tsx";
import { LockedPage } from "./locked.tsx";
import { StatusPage } from "./page.tsx";

/** Allows the import map, the only inline script, by its hash. */
const POLICY = { "content-security-policy": contentPolicy(IMPORT_MAP_HASH) };

/** What the page is served from. `now` is Unix time in seconds. */
export interface PageParts {
  readonly view: View;
  readonly login: Login;
  readonly lists: FileLists;
  readonly now: number;
}

/** Serves the page, or the locked page until login. */
export async function servePage(c: Context<Env>, { view, login, lists, now }: PageParts) {
  if (login.options.isPrivate && !login.isIn(c)) {
    return c.html(<LockedPage />, 401, { "www-authenticate": CHALLENGE });
  }
  const query = queryOf(c);
  const asked = { sort: NEWEST_FIRST, ...query, limit: String(PAGE_ROWS) } as const;
  const page = await lists.page(asked, asItIs);
  return await lists.turns.take(() =>
    c.html(<StatusPage view={view} query={query} page={page} now={now} />, 200, POLICY)
  );
}

/** Serves the API documentation for `document`, the OpenAPI document. */
export const serveDocs = (
  c: Context<Env>,
  document: Parameters<typeof DocsPage>[0]["document"],
) => c.html(<DocsPage document={document} />);

/** Returns the URL's query if it is valid, else an empty one, so a mistyped URL shows the default page. */
function queryOf(c: Context<Env>) {
  // The last value of a name wins: a pressed button's own value comes after the form's hidden field.
  const given = Object.entries(c.req.queries()).flatMap(([name, values]) => {
    const value = values.at(-1) ?? "";
    return value === "" || value === "all" ? [] : [[name, value]];
  });
  const parsed = v.safeParse(FilesQuery, Object.fromEntries(given));
  return parsed.success ? parsed.output : {};
}
