// @ts-check
// Whether this browser may make changes. The link printed on first start carries a token, which is exchanged for a
// session.

import { ask, askJson, wordsOf } from "./api.js";
import { byId } from "./dom.js";
import { live, tell, when } from "./live.js";
import { say } from "./notices.js";

/** @typedef {import("../shared/types.d.ts").SessionRow} SessionRow */

const LOGIN_HINT =
  'Open the link that the peer printed when it first started, or click "Log in" and paste its token';

export const session = { mayChange: false, isPrivate: false };

/** Logs in with the token in the URL, if there is one, and removes it from the URL. */
export async function enter() {
  const token = /^#token=([\w-]+)$/.exec(location.hash)?.[1];
  if (token !== undefined) {
    // It must not stay in the history or be visible to bystanders.
    history.replaceState(null, "", location.pathname);
    try {
      return await logIn(token);
    } catch (error) {
      say(wordsOf(error), "failed");
    }
  }
  await refresh();
}

/** Logs in. Throws what the peer says against it. @param {string} token */
export async function logIn(token) {
  await ask("/api/v1/session", { method: "POST", body: JSON.stringify({ token }) });
  say("Logged in: you can now share, fetch, and delete files", "good");
  await refresh();
}

/** Updates the login state: at startup, after an absence, and when something was refused. */
export async function refresh() {
  try {
    const { logged_in, login_needed, reading } =
      /** @type {SessionRow} */ (await askJson("/api/v1/session"));
    session.mayChange = logged_in;
    session.isPrivate = reading === "private";
    // Someone who may not read the page must not keep seeing it.
    if (session.isPrivate && !logged_in) return location.reload();
    document.body.classList.toggle("may-change", logged_in);
    byId("leave").hidden = !logged_in || !login_needed;
    byId("enter").hidden = logged_in;
    tell("session");
  } catch {
    // The peer is not responding; the page says so elsewhere.
  }
}

/** Returns whether the user may make changes; if not, tells how to log in. */
export function mayChange() {
  if (!session.mayChange) say(`Log in to make changes. ${LOGIN_HINT}`, "failed");
  return session.mayChange;
}

export function startSession() {
  when(["gone"], () => {
    if (!live.isGone || session.isPrivate) refresh(); // restarting the peer ends all sessions
  });
  byId("enter").addEventListener("click", async () => {
    (await import("./loggingin.js")).askToken(logIn);
  });
  byId("leave").addEventListener("click", async () => {
    try {
      await ask("/api/v1/session", { method: "DELETE" });
      say("Logged out");
      if (session.isPrivate) return location.reload();
    } catch (error) {
      say(wordsOf(error), "failed");
    }
    await refresh();
  });
}
