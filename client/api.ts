// Requests to a running peer's API. Built on node:http, because `fetch` would send them to the proxy in the environment.
// Invariants: an answer that is not a success becomes a `CommandError` with the peer's words; nobody waits for a peer that is
// not there.

import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Readable } from "node:stream";
import { CommandError, EXIT_CODES, type Failure } from "../cli/failures.ts";
import { visible } from "../protocol/wire/text.ts";
import { notRunning, type Place } from "./place.ts";

/** How long a peer may take to accept a connection, in milliseconds. */
const CONNECT_MS = 10_000;
/** Maximum size of an answer that is read whole, in bytes. Lists without bound are read line by line. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** Maximum length of one line of a stream, in UTF-16 code units. */
const MAX_LINE = 16 * 1024 * 1024;

/** A request. */
export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON, or content that is sent as it comes. */
  readonly body?: string | Readable;
}

/** A running peer's API. */
export class Api {
  readonly #agent: HttpAgent;
  readonly #request: typeof httpRequest;

  /** Connects to nobody yet. */
  constructor(readonly place: Place) {
    const isTls = place.url.startsWith("https:");
    this.#agent = new (isTls ? HttpsAgent : HttpAgent)({ keepAlive: true });
    this.#request = isTls ? httpsRequest : httpRequest;
  }

  /** Resolves to a parsed answer. Throws `CommandError`. */
  async json<T>(path: string, asked: Asked = {}): Promise<T> {
    return JSON.parse(await textOf(await this.ask(path, asked))) as T;
  }

  /** Yields the rows of a list, one by one, however many there are. Throws `CommandError`. */
  async *rows<T>(path: string): AsyncGenerator<T> {
    const answer = await this.ask(path, { headers: { accept: "application/x-ndjson" } });
    for await (const line of linesOf(answer)) if (line !== "") yield JSON.parse(line) as T;
  }

  /** Resolves to an answer whose content has not been read yet. Throws `CommandError`. */
  async ask(path: string, asked: Asked = {}): Promise<IncomingMessage> {
    const answer = await this.#send(path, asked);
    const status = answer.statusCode ?? 0;
    if (status >= 200 && status < 300) return answer;
    throw refusal(status, await textOf(answer).catch(() => ""), this.place);
  }

  /** Closes connections that are kept for further requests. */
  close(): void {
    this.#agent.destroy();
  }

  #send(path: string, { method = "GET", headers = {}, body }: Asked) {
    const { url, token, dir } = this.place;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const login = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const type = typeof body === "string" ? { "content-type": "application/json" } : {};
    const request = this.#request(`${url}/api/v1${path}`, {
      method,
      // Deno's node:http sends a request on a kept connection again if that connection ends, whatever the method and the reason.
      agent: method === "GET" ? this.#agent : false,
      headers: { ...login, ...type, ...headers },
    }, resolve);
    const timer = setTimeout(() => request.destroy(new Error("timed out")), CONNECT_MS);
    request.on("socket", (socket) => {
      if (!socket.connecting) return clearTimeout(timer);
      socket.once("connect", () => clearTimeout(timer));
    });
    request.on("error", (error: Error & { code?: string }) => {
      clearTimeout(timer);
      if (dir !== undefined && error.code === "ECONNREFUSED") return reject(notRunning(dir));
      const why = error.code === "ECONNREFUSED"
        ? "the connection is refused"
        : visible(error.message);
      reject(
        new CommandError("unreachable", `No peer answers at ${url}: ${why}`, { cause: error }),
      );
    });
    if (typeof body === "object") {
      const { promise: sent, reject: fail } = Promise.withResolvers<never>();
      // What cannot be read ends the request, too; what is not read further is closed, whatever the peer answers.
      body.on("error", (error) => {
        fail(new CommandError("storage", `Cannot read what to share: ${visible(error.message)}`));
        request.destroy();
      });
      request.on("close", () => body.destroy());
      body.pipe(request);
      return Promise.race([promise, sent]);
    }
    request.end(body);
    return promise;
  }
}

/** Returns the text of an answer. Throws `CommandError`. */
async function textOf(answer: IncomingMessage): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of piecesOf(answer)) {
    text += decoder.decode(bytes, { stream: true });
    if (text.length > MAX_ANSWER_BYTES) throw broken("is too long");
  }
  return text + decoder.decode();
}

/** Yields the lines of an answer, without their ends. Throws `CommandError`. */
export async function* linesOf(answer: IncomingMessage): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of piecesOf(answer)) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop()!;
    if (rest.length > MAX_LINE) throw broken("has a line that is too long");
    yield* lines;
  }
  if (rest !== "") yield rest;
}

/** Yields the content of an answer. Throws `CommandError` if it ends early. */
export async function* piecesOf(answer: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    for await (const bytes of answer) yield bytes as Uint8Array;
  } catch (cause) {
    throw broken("ended early", cause);
  }
  if (!answer.complete) throw broken("ended early");
}

const broken = (why: string, cause?: unknown) =>
  new CommandError("unreachable", `The peer's answer ${why}`, { cause });

/** Returns what a peer refused, in its own words, without hints that are for programs. */
function refusal(status: number, text: string, { token }: Place): CommandError {
  if (status === 401) {
    const what = token === undefined ? "The peer asks for a login" : "The token is wrong";
    return new CommandError(
      "refused",
      `${what}. Give --token or P2P_PEER_TOKEN the one in the file .p2p-peer/web-token of the peer's folder`,
    );
  }
  let problem: { detail?: unknown; hint?: unknown; kind?: unknown } = {};
  try {
    problem = JSON.parse(text);
  } catch {
    // It is no peer, or an older one; the status says enough.
  }
  const { detail, hint, kind } = problem;
  if (typeof detail !== "string") {
    return new CommandError("unexpected", `The peer answered with status ${status}`);
  }
  const help = typeof hint === "string" ? hint.replace(/(^|; )(GET|POST) \/api\/.*$/s, "") : "";
  const message = help === "" ? detail : `${detail}. ${help}`;
  return new CommandError(kindOf(status, kind), visible(message, 1_000));
}

function kindOf(status: number, kind: unknown): Failure {
  if (typeof kind === "string" && Object.hasOwn(EXIT_CODES, kind)) return kind as Failure;
  if (status === 404) return "not-found";
  if (status === 507) return "storage";
  if (status === 503) return "unreachable";
  return status >= 500 ? "unexpected" : "refused";
}
