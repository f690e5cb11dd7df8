// @ts-check
// Who may change things here: the link of the first start carries a token, which is traded for a session.

import { ask, askJson, wordsOf } from "./api.js";
import { byId } from "./dom.js";
import { live, tell, when } from "./live.js";
import { say } from "./notices.js";

/** @typedef {import("../shared/types.d.ts").SessionRow} SessionRow */

const LOGIN_HINT =
  'In this browser, open the link that the peer printed when it first started; "login" at its prompt shows it again';

export const session = { mayChange: false, isPrivate: false };

/** The token of the address, if there is one, is used and leaves the address. */
export async function enter() {
  const token = /^#token=([\w-]+)$/.exec(location.hash)?.[1];
  if (token !== undefined) {
    // It must not stay in the history, nor be seen over a shoulder.
    history.replaceState(null, "", location.pathname);
    try {
      await ask("/api/v1/session", { method: "POST", body: JSON.stringify({ token }) });
      say("Logged in: you can now share, fetch, and delete files", "good");
    } catch (error) {
      say(wordsOf(error), "failed");
    }
  }
  await refresh();
}

/** Asks how it stands: at the beginning, after an absence, and when something was refused. */
export async function refresh() {
  try {
    const { logged_in, login_needed, reading } =
      /** @type {SessionRow} */ (await askJson("/api/v1/session"));
    session.mayChange = logged_in;
    session.isPrivate = reading === "private";
    // Nothing may stay on the screen of somebody who may not read it.
    if (session.isPrivate && !logged_in) return location.reload();
    document.body.classList.toggle("may-change", logged_in);
    byId("leave").hidden = !logged_in || !login_needed;
    byId("enter").hidden = logged_in;
    tell("session");
  } catch {
    // It does not answer; the page says so elsewhere.
  }
}

/** True when things may be changed; else says how to get there. */
export function mayChange() {
  if (!session.mayChange) say(`Log in to make changes. ${LOGIN_HINT}`, "failed");
  return session.mayChange;
}

export function startSession() {
  when(["gone"], () => {
    if (!live.isGone || session.isPrivate) refresh(); // a restart of the peer ends all sessions
  });
  byId("enter").addEventListener("click", () => say(LOGIN_HINT));
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
