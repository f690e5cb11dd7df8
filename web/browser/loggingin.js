// @ts-check
// The form for the token. Loaded when somebody logs in without the link.

import { wordsOf } from "./api.js";
import { showDialog } from "./dialogs.js";
import { h, setText } from "./dom.js";
import { tokenIn } from "./token.js";

const WHERE =
  'The peer printed its token when it first started. "login" at the prompt shows it again, and the file .p2p-peer/web-token in the folder of the peer contains it.';

/**
 * Asks for the token, until `logIn` takes it or the person gives up.
 * @param {(token: string) => Promise<void>} logIn
 */
export function askToken(logIn) {
  const input = h("input", { type: "password", required: true, autocomplete: "current-password" });
  const said = h("p", { class: "note failed", role: "alert" });
  const form = h(
    "form",
    { class: "token" },
    h("label", {}, "Token, or the link with it", input),
    h("button", { class: "main" }, "Log in"),
  );
  const dialog = showDialog("Log in", h("p", { class: "quiet" }, WHERE), form, said);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    setText(said, "");
    try {
      await logIn(tokenIn(input.value));
      dialog.close();
    } catch (error) {
      setText(said, wordsOf(error));
      input.select();
    }
  });
}
