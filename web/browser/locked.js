// @ts-check
// Runs on the locked page of a private peer until the user logs in.

import { tokenIn } from "./token.js";

/** @param {string} text */
function say(text) {
  const line = document.getElementById("said");
  if (line) line.textContent = text;
}

async function enter() {
  const token = /^#token=([\w-]+)$/.exec(location.hash)?.[1];
  if (token === undefined) return;
  history.replaceState(null, "", location.pathname);
  await logIn(token);
}

/** @param {string} token */
async function logIn(token) {
  const answer = await fetch("./api/v1/session", {
    method: "POST",
    body: JSON.stringify({ token }),
  })
    .catch(() => undefined);
  if (answer?.ok) return location.reload();
  const { detail = "The peer is not responding", hint = "Try again when it is back" } =
    await answer?.json().catch(() => ({})) ?? {};
  say(`${detail}. ${hint}`);
}

document.getElementById("token")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const input = /** @type {HTMLFormElement} */ (event.target).querySelector("input");
  logIn(tokenIn(input?.value ?? ""));
});
addEventListener("hashchange", enter);
await enter();
