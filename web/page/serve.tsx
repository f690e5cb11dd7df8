// The pages as answers: which one, and what a browser without script asked for in the address.

import type { Context } from "hono";
import * as v from "valibot";
import { FilesQuery } from "../api/schemas.ts";
import { IMPORT_MAP_HASH } from "../assets.ts";
import { contentPolicy } from "../guard.ts";
import { CHALLENGE, type Env, type Login } from "../login.ts";
import type { View } from "../view.ts";
import { DocsPage } from "./docs.tsx";
import { LockedPage } from "./locked.tsx";
import { StatusPage } from "./page.tsx";

/** All that is inline is the import map, known by its hash. */
const POLICY = { "content-security-policy": contentPolicy(IMPORT_MAP_HASH) };

/** The page, or what stands in its place until a login; `now` is Unix time. */
export function servePage(c: Context<Env>, view: View, login: Login, now: number) {
  if (login.options.isPrivate && !login.isIn(c)) {
    return c.html(<LockedPage />, 401, { "www-authenticate": CHALLENGE });
  }
  return c.html(<StatusPage view={view} query={queryOf(c)} now={now} />, 200, POLICY);
}

/** `document` is the OpenAPI document. */
export const serveDocs = (
  c: Context<Env>,
  document: Parameters<typeof DocsPage>[0]["document"],
) => c.html(<DocsPage document={document} />);

/** What fits of the address's query; a person who wrote something else there sees the page as at first. */
function queryOf(c: Context<Env>) {
  // The last of a name counts: a button's own value stands behind what the form keeps.
  const given = Object.entries(c.req.queries()).flatMap(([name, values]) => {
    const value = values.at(-1) ?? "";
    return value === "" || value === "all" ? [] : [[name, value]];
  });
  const parsed = v.safeParse(FilesQuery, Object.fromEntries(given));
  return parsed.success ? parsed.output : {};
}
