// @ts-check
// Questions to the peer's API. What goes wrong is an Error whose message is a sentence for people, with the cure.

/** Where the peer's pages start: the folder above the one that holds this module. A proxy may serve them under a prefix. */
const ROOT = new URL("..", import.meta.url);

/** The full URL of one of the peer's paths, such as `/api/v1/status`. @param {string} path */
export const urlOf = (path) => new URL(`.${path}`, ROOT).href;

/** @param {string} path @param {RequestInit} [init] @returns {Promise<Response>} Throws an Error in words. */
export async function ask(path, init = {}) {
  let response;
  try {
    response = await fetch(urlOf(path), init);
  } catch (cause) {
    throw new Error("The peer is not responding. Try again when it is back", { cause });
  }
  if (response.ok) return response;
  throw new Error(problemText(await response.text().catch(() => ""), response.status));
}

/** @template T @param {string} path @param {RequestInit} [init] @returns {Promise<T>} */
export const askJson = async (path, init) => await (await ask(path, init)).json();

/** What a refusal says: what happened, and what to do. @param {string} body @param {number} status */
export function problemText(body, status) {
  try {
    const { detail, hint } = JSON.parse(body);
    if (typeof detail === "string") return hint ? `${detail}. ${hint}` : detail;
  } catch {
    // It is no answer of the peer's own; the status has to do.
  }
  return `The request was refused (status ${status})`;
}

/** @param {unknown} error */
export const wordsOf = (error) => error instanceof Error ? error.message : String(error);
