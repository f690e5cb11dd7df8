// @ts-check
// Requests to the peer's API. Failures are Errors whose message tells the user what happened and what to do.

/** Root of the peer's pages: the folder above this module's. A proxy may serve them under a prefix. */
const ROOT = new URL("..", import.meta.url);

/** Returns the full URL of one of the peer's paths, such as `/api/v1/status`. @param {string} path */
export const urlOf = (path) => new URL(`.${path}`, ROOT).href;

/**
 * Sends a request. Throws an Error with a message for the user.
 * @param {string} path @param {RequestInit} [init] @returns {Promise<Response>}
 */
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

/** Returns what an error response says: what happened, and what to do. @param {string} body @param {number} status */
export function problemText(body, status) {
  try {
    const { detail, hint } = JSON.parse(body);
    if (typeof detail === "string") return hint ? `${detail}. ${hint}` : detail;
  } catch {
    // Not one of the peer's own responses; fall back to the status.
  }
  return `The request was refused (status ${status})`;
}

/** @param {unknown} error */
export const wordsOf = (error) => error instanceof Error ? error.message : String(error);
