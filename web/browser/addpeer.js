// @ts-check
// The form that joins the network through one more peer.

import { askJson, wordsOf } from "./api.js";
import { byId } from "./dom.js";
import { say } from "./notices.js";
import { mayChange } from "./session.js";
import { visible } from "../shared/words.js";

/** @param {SubmitEvent} event */
async function add(event) {
  event.preventDefault();
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

export function startAddPeer() {
  byId("add-peer").addEventListener("submit", (event) => add(/** @type {SubmitEvent} */ (event)));
}
