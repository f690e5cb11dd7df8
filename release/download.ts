// Downloads from a server that nobody trusts: what it sends, and says, is bounded in size, and in time.

import { CommandError } from "../cli/failures.ts";
import { visible } from "../protocol/wire/text.ts";

/** How long the other side may take to answer, or to send the next piece, in milliseconds. */
const SILENCE_MS = 30_000;
/** How slow a download may be in all, in bytes per second. (A guess: our executable within two hours.) */
const MIN_BYTES_PER_SECOND = 16_384;
/** For how long it may be slower, in milliseconds. */
const GRACE_MS = 60_000;
/** Maximum length of what another program said, in what we say, in UTF-16 code units. */
export const MAX_SAID = 300;
/** Maximum length of an error that is read, in UTF-16 code units. */
const MAX_ERROR_CHARS = 16_384;

/** How long a download may take. */
export interface Patience {
  readonly silenceMs: number;
  readonly graceMs: number;
}

/** What people are asked to bear. */
export const PATIENCE: Patience = { silenceMs: SILENCE_MS, graceMs: GRACE_MS };

/** Returns the error for what a person gave up. */
export const canceled = (cause: unknown): CommandError =>
  new CommandError("canceled", "Canceled. Nothing was changed", { cause });

/** What a request may take, and send. */
export interface Asking {
  /** Token of a peer whose pages are private. It is sent only where it is asked for. */
  readonly token?: string | undefined;
  /** Aborted when the person gives up. */
  readonly signal?: AbortSignal;
  readonly limits?: Patience;
}

/** Requests a file. Throws `CommandError`. */
async function request(
  url: string,
  token: string | undefined,
  stop: AbortController,
): Promise<Response> {
  let answer: Response;
  const { signal } = stop;
  try {
    answer = await fetch(url, { signal });
    // It may be in the environment for another peer: only who asks for one gets it.
    if (answer.status === 401 && token !== undefined) {
      await answer.body?.cancel();
      answer = await fetch(url, { headers: { authorization: `Bearer ${token}` }, signal });
    }
  } catch (cause) {
    throw new CommandError("unreachable", `Cannot get ${url}: ${reasonOf(cause)}`, { cause });
  }
  if (answer.ok) return answer;
  const { status } = answer;
  const kind = status === 404 ? "not-found" : status < 500 ? "refused" : "unreachable";
  throw new CommandError(kind, `${url} was answered with ${status}${await saidIn(answer)}`);
}

/** Resolves to what a peer says of an error. Another server's page is of no use here. */
async function saidIn(answer: Response): Promise<string> {
  const isProblem = answer.headers.get("content-type")?.startsWith("application/problem+json");
  const decoder = new TextDecoder();
  let text = "";
  try {
    if (isProblem) {
      for await (const piece of answer.body ?? []) {
        text += decoder.decode(piece, { stream: true });
        if (text.length > MAX_ERROR_CHARS) break;
      }
    } else await answer.body?.cancel();
    const { detail, hint } = JSON.parse(text);
    const said = [detail, hint].filter((each) => typeof each === "string").join(". ");
    return said === "" ? "" : `: ${visible(said, MAX_SAID)}`;
  } catch {
    return ""; // the status says enough
  }
}

const reasonOf = (cause: unknown) => {
  const error = cause as Error;
  return error.name === "AbortError"
    ? "no answer"
    : (error.cause as Error)?.message ?? error.message;
};

/** Resolves to a small text. Throws `CommandError`. */
export async function textAt(url: string, maxBytes: number, asking: Asking): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const { piece } of piecesOf(url, maxBytes, asking)) {
    text += decoder.decode(piece, { stream: true });
  }
  return text + decoder.decode();
}

/** Yields the content at an address, which may be silent, and slow, only so long. Throws `CommandError`. */
export async function* piecesOf(
  url: string,
  maxBytes: number,
  { token, signal, limits = PATIENCE }: Asking,
) {
  const stop = new AbortController();
  const abort = () => stop.abort();
  signal?.addEventListener("abort", abort);
  const beganMs = performance.now();
  let timer = setTimeout(abort, limits.silenceMs);
  let done = 0;
  try {
    signal?.throwIfAborted();
    const answer = await request(url, token, stop);
    const length = answer.headers.get("content-length");
    const totalBytes = length === null ? undefined : Number(length);
    for await (const piece of answer.body ?? []) {
      clearTimeout(timer);
      timer = setTimeout(abort, limits.silenceMs);
      done += piece.length;
      if (done > maxBytes) {
        throw new CommandError("integrity", `${url} has more than ${maxBytes} bytes`);
      }
      const lateMs = performance.now() - beganMs - limits.graceMs;
      if (lateMs > 0 && done < (lateMs / 1_000) * MIN_BYTES_PER_SECOND) {
        throw new CommandError("unreachable", `The download of ${url} is too slow`);
      }
      yield { piece, totalBytes };
    }
  } catch (cause) {
    if (signal?.aborted) throw canceled(cause);
    if (cause instanceof CommandError) throw cause;
    const text = `The download of ${url} broke off: ${reasonOf(cause)}`;
    throw new CommandError("unreachable", text, { cause });
  } finally {
    signal?.removeEventListener("abort", abort);
    clearTimeout(timer);
    stop.abort();
  }
}
