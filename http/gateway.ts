// The door for browsers: a listener of ours in front of `Deno.serve`, which has no deadlines of its own. A connection
// is handed on, over a Unix socket that only we can reach, when the head of its request is whole; from then on bytes
// are passed both ways. So always holds: a head comes within its deadline (each one of a connection), a body and a
// reader move within theirs, nobody takes all places (the same rules as for peers, net/admission.ts), and the
// application knows the address of who asks. Where requests begin and end is known from Content-Length and from the
// server's own word that an answer is complete; nothing is read from what passes.

import { Buffer } from "node:buffer";
import type { Limits } from "../protocol/limits.ts";
import { ProtocolError } from "../protocol/wire/errors.ts";
import type { Connection } from "../net/connection.ts";
import { Listener } from "../net/listener.ts";
import { Upstream } from "./upstream.ts";
import { BadHead, ChunkedBody, requestHead } from "./request_head.ts";
import { HeadReader, HeadTooLate, HeadTooLong, MAX_HEAD_BYTES } from "./head_reader.ts";

/** What is passed on at once; each connection with a request has two of these at most. */
const PIECE_BYTES = 64 * 1024;
/** Operations under way may end by themselves for so long when the peer stops. */
const PATIENCE_MS = 1_000;
/** What still comes after an answer is read and dropped for so long: closing at once would destroy the answer. */
const DRAIN_MS = 5_000;
/** A server that was told that nothing more comes, and says nothing itself for so long, is left. */
const LEAVE_MS = 1_000;

/** Who asks. */
export interface Client {
  /** Canonical address. */
  readonly ip: string;
}

export type Handler = (request: Request, client: Client) => Response | Promise<Response>;

export interface GatewayOptions {
  readonly hostname: string;
  readonly port: number;
  readonly limits: Pick<
    Limits,
    | "maxConnections"
    | "maxConnectionsPerAddress"
    | "maxWaitingConnections"
    | "messageTimeoutMs"
    | "idleTimeoutMs"
  >;
}

/** One request that was handed on. */
interface Exchange extends Client {
  /** The server has written the whole answer. */
  readonly done: PromiseWithResolvers<void>;
  isDone: boolean;
}

/** The way of one connection through the Unix socket. */
interface Passage {
  readonly conn: Deno.UnixConn;
  /** Everything that the server wrote was passed on, or cannot be. */
  readonly ended: Promise<void>;
  isEnded: boolean;
  /** Pieces that the server wrote. */
  pieces: number;
  /** We wait for nothing more of the server. */
  isLeft: boolean;
  /** One of them is on its way to the client. */
  isWriting: boolean;
  /** Who waits for that just now; promises that wait would stay as long as the connection. */
  onEnd: () => void;
}

export class Gateway {
  readonly #listener: Listener;
  /** Names the exchange to the handler; nobody outside knows it. */
  readonly #field = `x-exchange-${crypto.randomUUID()}`;
  readonly #exchanges = new Map<string, Exchange>();
  readonly #under = new Set<Exchange>();
  readonly #passages = new Set<Passage>();
  readonly #server: Upstream;
  #handler: Handler | undefined;
  #serial = 0;

  /** Takes the port; who connects waits until `begin`. Throws `Deno.errors.AddrInUse` and the like. */
  constructor(readonly options: GatewayOptions) {
    this.#listener = new Listener({
      ...options,
      isKnown: () => false,
      serve: (client) => this.#serve(client),
    });
    this.#server = new Upstream((request, completed) => this.#handle(request, completed));
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Connections that have a place or wait for one. */
  get connections(): number {
    return this.#listener.connections;
  }

  /** Answers requests from now on. `folder` is private to this process. Throws as `Upstream.begin` does. */
  begin(handler: Handler, folder: string): void {
    this.#handler = handler;
    this.#server.begin(folder);
    this.#listener.begin();
  }

  /** Operations under way get a moment; a download in a browser must not keep the peer alive. */
  async stop(): Promise<void> {
    this.#listener.stop();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise<void>((go) => timer = setTimeout(go, PATIENCE_MS));
    await Promise.race([
      Promise.all([...this.#under].map(({ done }) => done.promise)),
      patience,
    ]);
    clearTimeout(timer);
    this.#listener.close();
    for (const { conn } of this.#passages) close(conn);
    await Promise.all([...this.#passages].map(({ ended }) => ended));
    await this.#server.close();
  }

  #handle(request: Request, completed: Promise<void>): Response | Promise<Response> {
    const id = request.headers.get(this.#field) ?? "";
    const exchange = this.#exchanges.get(id);
    if (!exchange) return new Response(null, { status: 421 }); // came around the door
    this.#exchanges.delete(id);
    const done = () => this.#end(exchange);
    completed.then(done, done); // an answer that could not be written is over as well
    const answer = this.#handler!(request, { ip: exchange.ip });
    return request.method === "HEAD" ? unmeasured(answer) : answer;
  }

  #end(exchange: Exchange): void {
    exchange.isDone = true;
    this.#under.delete(exchange);
    exchange.done.resolve();
  }

  /** One connection, request after request. */
  async #serve(client: Connection): Promise<void> {
    const heads = new HeadReader(client, this.options.limits.messageTimeoutMs);
    let passage: Passage | undefined;
    try {
      for (let isFirst = true;; isFirst = false) {
        const text = await unlessEnded(passage, heads.next());
        // It said nothing more. Browsers open connections in advance; that is no mistake of theirs.
        if (text === undefined) return await this.#finish(client, passage);
        if (isFirst) passage = await this.#connect(client);
        if (!await this.#exchange(client, heads, passage!, text)) {
          return await this.#finish(client, passage, DRAIN_MS);
        }
      }
    } catch (error) {
      await this.#refuse(client, passage, error);
    } finally {
      if (passage) close(passage.conn);
    }
  }

  /** Hands one request on and waits for its answer; false when nothing can follow on this connection. */
  async #exchange(
    client: Connection,
    heads: HeadReader,
    passage: Passage,
    text: string,
  ): Promise<boolean> {
    const id = String(++this.#serial);
    const { body, text: head } = requestHead(text, `${this.#field}: ${id}`);
    const exchange: Exchange = { ip: client.ip, done: Promise.withResolvers(), isDone: false };
    this.#exchanges.set(id, exchange);
    this.#under.add(exchange);
    this.#listener.completed(client);
    this.#listener.moved(client, 0); // an answer, or a body, is under way
    try {
      const over = exchange.done.promise;
      passage.onEnd = () => exchange.done.resolve();
      if (passage.isEnded) passage.onEnd();
      const sending = this.#send(
        client,
        heads,
        passage,
        Buffer.from(head, "latin1"),
        body,
        exchange,
      );
      sending.catch(() => {}); // when the answer is there first
      // An answer may come before the body is whole, and then nobody reads the rest.
      const isWhole = await Promise.race([sending, over.then(() => false)]);
      // Who went away in the middle sends no more, and the server must not wait for it.
      if (!isWhole) await passage.conn.closeWrite().catch(() => {}); // the server closed first
      await over;
      return isWhole && exchange.isDone;
    } finally {
      passage.onEnd = () => {};
      this.#exchanges.delete(id);
      this.#end(exchange);
      this.#listener.completed(client);
    }
  }

  /** Passes head and body on; whether all of it was. Throws `ProtocolError` when the body stands still. */
  async #send(
    client: Connection,
    heads: HeadReader,
    { conn }: Passage,
    head: Uint8Array,
    body: RequestBody,
    exchange: Exchange,
  ): Promise<boolean> {
    try {
      await writeAll(conn, head);
      let left = body === "chunked" ? Infinity : body;
      const chunks = body === "chunked" ? new ChunkedBody() : undefined;
      const early = heads.take(left);
      left -= early.length;
      chunks?.push(early);
      if (early.length > 0) await writeAll(conn, early);
      const buffer = left > 0 ? new Uint8Array(PIECE_BYTES) : undefined;
      while (left > 0 && !chunks?.isOver) {
        if (exchange.isDone) return false;
        const piece = buffer!.subarray(0, Math.min(left, PIECE_BYTES));
        const read = await client.read(piece, this.options.limits.idleTimeoutMs);
        if (read === null) return false;
        left -= read;
        chunks?.push(piece.subarray(0, read));
        this.#listener.moved(client, read);
        if (exchange.isDone) return false;
        await writeAll(conn, piece.subarray(0, read));
      }
      return true;
    } catch (error) {
      if (error instanceof ProtocolError) throw error;
      return false; // one of the two sides has gone
    }
  }

  /** A way to the server, with what it answers passed on until it closes. Throws when there is none. */
  async #connect(client: Connection): Promise<Passage> {
    const conn = await this.#server.connect();
    const passage = {
      conn,
      isEnded: false,
      isLeft: false,
      pieces: 0,
      isWriting: false,
      onEnd: () => {},
    } as Passage;
    Object.assign(passage, { ended: this.#answer(passage, client) });
    this.#passages.add(passage);
    passage.ended.then(() => {
      this.#passages.delete(passage);
      passage.isEnded = true;
      passage.onEnd();
    });
    return passage;
  }

  async #answer(passage: Passage, client: Connection): Promise<void> {
    const buffer = new Uint8Array(PIECE_BYTES);
    try {
      for (;;) {
        const read = await passage.conn.read(buffer);
        if (read === null) return;
        passage.pieces++;
        passage.isWriting = true;
        this.#listener.moved(client, read);
        await client.write(buffer.subarray(0, read), this.options.limits.idleTimeoutMs);
        passage.isWriting = false;
      }
    } catch {
      // It does not read, or has gone: whatever else waits for it ends. Or we closed the way ourselves.
      if (!passage.isLeft) client.close();
      close(passage.conn);
    }
  }

  /**
   * Lets the server say what it has to say, and closes. It closes its side as a rule; but not while a body that it
   * has answered already is held by somebody who reads no further.
   */
  async #leave(passage: Passage): Promise<void> {
    await passage.conn.closeWrite().catch(() => {}); // the server closed first
    while (!passage.isEnded) {
      const { pieces } = passage;
      const waited = Promise.withResolvers<void>();
      const timer = setTimeout(() => waited.resolve(), LEAVE_MS);
      await unlessEnded(passage, waited.promise);
      clearTimeout(timer);
      if (passage.isEnded || passage.isWriting || passage.pieces > pieces) continue;
      passage.isLeft = true;
      close(passage.conn);
      await passage.ended;
    }
  }

  /** Passes on what is still to be said, and closes so that it arrives. */
  async #finish(client: Connection, passage: Passage | undefined, drainMs = 0): Promise<void> {
    if (passage) await this.#leave(passage);
    await client.closeWrite();
    if (drainMs === 0) return;
    const timer = setTimeout(() => client.close(), drainMs);
    const buffer = new Uint8Array(PIECE_BYTES);
    try {
      while (await client.read(buffer, drainMs) !== null);
    } catch {
      // It went, or goes on longer than anybody listens.
    } finally {
      clearTimeout(timer);
    }
  }

  /** Says what was wrong with a request that was not handed on. */
  async #refuse(client: Connection, passage: Passage | undefined, error: unknown): Promise<void> {
    if (client.closed) return;
    const [status, detail, hint] = error instanceof BadHead
      ? [400, error.message, "Send one request as RFC 9112 has it"]
      : error instanceof HeadTooLong
      ? [431, `The head is longer than ${MAX_HEAD_BYTES} bytes`, "Send fewer or shorter headers"]
      : error instanceof HeadTooLate
      ? [408, "The head of the request did not come in time", "Send it at once, then wait"]
      : [503, "No request can be taken just now", "Try again in a moment"];
    const title =
      { 400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large" }[
        status
      ] ?? "Service Unavailable";
    const body = JSON.stringify({ type: "about:blank", title, status, detail, hint });
    const answer = [
      `HTTP/1.1 ${status} ${title}`,
      "content-type: application/problem+json",
      `content-length: ${body.length}`,
      // As all answers of the server behind the door have it: nothing in here is a page.
      "content-security-policy: default-src 'none'",
      "x-content-type-options: nosniff",
      "connection: close",
      "",
      body,
    ].join("\r\n");
    if (passage) await this.#leave(passage); // the answers before this one go first
    try {
      await client.write(Buffer.from(answer), this.options.limits.idleTimeoutMs);
      await this.#finish(client, undefined, DRAIN_MS);
    } catch {
      // It has gone: nobody is there to be told.
    }
  }
}

/**
 * The server claims a length of 0 for a response without a body, which for HEAD would be that of GET (RFC 9110, 8.6).
 * An empty stream makes it claim none; a length that the handler gives stands.
 */
async function unmeasured(answering: Response | Promise<Response>): Promise<Response> {
  const answer = await answering;
  const isSilent = answer.body === null && !answer.headers.has("content-length");
  if (!isSilent || answer.status === 204 || answer.status === 304) return answer;
  const { status, headers } = answer;
  return new Response(new Blob().stream(), { status, headers });
}

type RequestBody = ReturnType<typeof requestHead>["body"];

/** What is awaited, or undefined when the passage ends first. */
function unlessEnded<T>(passage: Passage | undefined, awaited: Promise<T>): Promise<T | undefined> {
  if (!passage) return awaited;
  const { promise, resolve, reject } = Promise.withResolvers<T | undefined>();
  awaited.then(resolve, reject);
  passage.onEnd = () => resolve(undefined);
  if (passage.isEnded) resolve(undefined);
  return promise;
}

async function writeAll(conn: Deno.UnixConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

function close(conn: Deno.UnixConn): void {
  try {
    conn.close();
  } catch {
    // Closed already.
  }
}
