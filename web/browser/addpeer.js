// @ts-check
// Joins the network through one more peer. Loaded when somebody does.

import { askJson, wordsOf } from "./api.js";
import { say } from "./notices.js";
import { mayChange } from "./session.js";
import { visible } from "../shared/words.js";

/** @param {SubmitEvent} event */
export async function addPeer(event) {
  if (!mayChange()) return;
  const form = /** @type {HTMLFormElement} */ (event.target);
  const input = /** @type {HTMLInputElement} */ (form.elements.namedItem("address"));
  const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
  const address = input.value.trim();
  button.disabled = true;
  try {
    const body = JSON.stringify({ address });
    const { peerId } = /** @type {{ peerId: string }} */ (
      await askJson("/api/v1/peers", { method: "POST", body })
    );
    say(`Connected to ${visible(peerId, 60)}. It is remembered`, "good");
    input.value = "";
  } catch (error) {
    say(wordsOf(error), "failed");
  } finally {
    button.disabled = false;
  }
}
