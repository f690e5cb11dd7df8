// The gateway for browsers: our own listener in front of `Deno.serve`, which has no deadlines. Once the head of a
// request is complete, the connection is passed on over a Unix socket that only we can reach, and from then on
// bytes are copied both ways.
// Large content is sent from here instead (content.ts); then the head comes from the server, and its socket is closed.
// Invariants: each head arrives within its deadline; bodies and readers keep moving within theirs; no client takes
// all slots (the same rules as for peers, net/admission.ts); the application knows the client's address. The end of
// a request is known from Content-Length, and the end of an answer from the server's own completion signal; what
// passes through is not parsed.

import { Buffer } from "node:buffer";
import type { Limits } from "../protocol/limits.ts";
import { ProtocolError } from "../protocol/wire/errors.ts";
import type { Connection } from "../net/connection.ts";
import { Listener } from "../net/listener.ts";
import {
  type Content,
  isLastAnswer,
  MarkedHead,
  MIN_CONTENT_BYTES,
  sendContent,
} from "./content.ts";
import { Upstream, type UpstreamConn } from "./upstream.ts";
import { BadHead, ChunkedBody, requestHead } from "./request_head.ts";
import { HeadReader, HeadTooLate, HeadTooLong, MAX_HEAD_BYTES } from "./head_reader.ts";

/** Size of a copy buffer, in bytes. Each connection with a request has at most two of them. */
const PIECE_BYTES = 64 * 1024;
/** How long operations in progress may take to finish when the peer stops, in milliseconds. */
const PATIENCE_MS = 1_000;
/**
 * How long incoming data is read and dropped after an answer, in milliseconds: closing at once would destroy the
 * answer.
 */
const DRAIN_MS = 5_000;
/** How long the server may stay silent after its input was closed before it is abandoned, in milliseconds. */
const LEAVE_MS = 1_000;

/** The client that sent a request. */
export interface Client {
  /** Canonical address. */
  readonly ip: string;
  /** Lets the gateway send this content if the answer has this body, which is not read then. */
  readonly handOver?: (body: ReadableStream<Uint8Array>, content: Content) => void;
}

/** Answers a request. */
export type Handler = (request: Request, client: Client) => Response | Promise<Response>;

/** Where to listen, and the limits on connections. */
export interface GatewayOptions {
  /** Address to listen on. */
  readonly hostname: string;
  /** Port to listen on; 0 picks a free one. */
  readonly port: number;
  /** Deadlines, and how many connections are served and may wait. */
  readonly limits: Pick<
    Limits,
    | "maxConnections"
    | "maxConnectionsPerAddress"
    | "maxWaitingConnections"
    | "messageTimeoutMs"
    | "idleTimeoutMs"
  >;
  /** Whether there are Unix sockets (default: everywhere but on Windows). */
  readonly isUnix?: boolean;
  /** Called for each connection that is refused, or dropped for another one, because of these limits. */
  readonly onOverload?: (overload: "http-connections" | "http-dropped") => void;
}

/** A request that was passed on. */
interface Exchange extends Client {
  /** Content that the gateway sends after the head that has its mark. */
  content?: { readonly content: Content; readonly head: MarkedHead; isBegun: boolean };
  /** Resolves when the server has written the whole answer. */
  readonly done: PromiseWithResolvers<void>;
  isDone: boolean;
}

/** One connection's way through the Unix socket. */
interface Passage {
  /** The latest request that was passed on. */
  exchange: Exchange | undefined;
  readonly conn: UpstreamConn;
  /** Resolves when everything that the server wrote was passed on, or cannot be. */
  readonly ended: Promise<void>;
  isEnded: boolean;
  /** Number of pieces that the server has written. */
  pieces: number;
  /** Whether we no longer wait for the server. */
  isLeft: boolean;
  /** Whether a piece is being written to the client. */
  isWriting: boolean;
  /** Wakes up whoever waits for the end right now. Promises that wait would live as long as the connection. */
  onEnd: () => void;
}

/** Accepts HTTP connections, and passes each complete request to a handler. */
export class Gateway {
  readonly #listener: Listener;
  /** Header that tells the handler which exchange this is; nobody outside knows its name. */
  readonly #field = `x-exchange-${crypto.randomUUID()}`;
  /** Header of an answer whose content is sent from here. */
  readonly #mark = `x-content-${crypto.randomUUID()}`;
  readonly #exchanges = new Map<string, Exchange>();
  readonly #under = new Set<Exchange>();
  readonly #passages = new Set<Passage>();
  readonly #server: Upstream;
  #handler: Handler | undefined;
  #serial = 0;
  #isClosed = false;

  /**
   * Takes the port. Connections wait in the backlog until `begin`. Throws `Deno.errors.AddrInUse` and other errors
   * of listening.
   */
  constructor(readonly options: GatewayOptions) {
    this.#listener = new Listener({
      ...options,
      isKnown: () => false,
      serve: (client) => this.#serve(client),
      onRefused: () => options.onOverload?.("http-connections"),
      onDropped: () => options.onOverload?.("http-dropped"),
    });
    this.#server = new Upstream(
      (request, completed) => this.#handle(request, completed),
      options.isUnix,
    );
  }

  /** The port that is listened on. */
  get port(): number {
    return this.#listener.port;
  }

  /** Number of connections that have a slot or wait for one. */
  get connections(): number {
    return this.#listener.connections;
  }

  /** Starts answering requests. `folder` is private to this process. Throws as `Upstream.begin` does. */
  begin(handler: Handler, folder: string): void {
    this.#handler = handler;
    this.#server.begin(folder);
    this.#listener.begin();
  }

  /**
   * Stops the gateway. Operations in progress get a moment to finish, but a download in a browser must not keep the
   * peer alive. Nothing of any connection is left when this resolves.
   */
  async stop(): Promise<void> {
    this.#listener.stop();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise<void>((go) => timer = setTimeout(go, PATIENCE_MS));
    await Promise.race([
      Promise.all([...this.#under].map(({ done }) => done.promise)),
      patience,
    ]);
    clearTimeout(timer);
    this.#isClosed = true;
    const closed = this.#listener.close();
    for (const { conn } of this.#passages) close(conn);
    await Promise.all([...this.#passages].map(({ ended }) => ended));
    await closed;
    await this.#server.close();
  }

  #handle(request: Request, completed: Promise<void>): Response | Promise<Response> {
    const id = request.headers.get(this.#field) ?? "";
    const exchange = this.#exchanges.get(id);
    if (!exchange) return new Response(null, { status: 421 }); // bypassed the gateway
    this.#exchanges.delete(id);
    const done = () => {
      if (!exchange.content) this.#end(exchange);
    };
    completed.then(done, done); // an answer that could not be written has ended too
    let offered: [ReadableStream<Uint8Array>, Content] | undefined;
    const { ip } = exchange;
    const answer = this.#handler!(request, { ip, handOver: (...offer) => offered = offer });
    if (request.method === "HEAD") return unmeasured(answer);
    return this.#takeOver(id, exchange, answer, () => offered);
  }

  /** Answers with a head alone if the gateway sends the content. */
  async #takeOver(
    id: string,
    exchange: Exchange,
    answering: Response | Promise<Response>,
    offered: () => readonly [ReadableStream<Uint8Array>, Content] | undefined,
  ): Promise<Response> {
    const answer = await answering;
    const [body, content] = offered() ?? [];
    if (!content || answer.body !== body || content.totalBytes < MIN_CONTENT_BYTES) return answer;
    if (exchange.isDone) {
      content.ended("stopped"); // the client has gone, or we are stopping
      return answer;
    }
    exchange.content = { content, head: new MarkedHead(`${this.#mark}: ${id}`), isBegun: false };
    const { status, headers } = answer;
    const marked = new Headers(headers);
    marked.set(this.#mark, id);
    // The head is sent at once, and the socket is closed before anything follows.
    const never = new ReadableStream({ pull: () => new Promise(() => {}) });
    return new Response(never, { status, headers: marked });
  }

  #end(exchange: Exchange): void {
    exchange.isDone = true;
    this.#under.delete(exchange);
    exchange.done.resolve();
  }

  /** Serves one connection, request after request. */
  async #serve(client: Connection): Promise<void> {
    const heads = new HeadReader(client, this.options.limits.messageTimeoutMs);
    let passage: Passage | undefined;
    try {
      for (;;) {
        const text = await unlessEnded(passage, heads.next());
        // The client sent nothing more. Browsers open connections in advance, so this is not an error.
        if (text === undefined) return await this.#finish(client, passage);
        passage ??= await this.#connect(client);
        if (!await this.#exchange(client, heads, passage, text)) {
          return await this.#finish(client, passage, DRAIN_MS);
        }
        if (passage.exchange?.content) passage = undefined; // its content was sent from here
      }
    } catch (error) {
      await this.#refuse(client, passage, error);
    } finally {
      if (passage) close(passage.conn);
    }
  }

  /** Passes one request on and waits for its answer. Returns false if nothing can follow on this connection. */
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
    passage.exchange = exchange;
    this.#under.add(exchange);
    this.#listener.completed(client);
    this.#listener.moved(client, 0); // an answer or a body is in progress
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
      sending.catch(() => {}); // if the answer comes first
      // The answer may come before the body is complete; then nobody reads the rest.
      const isWhole = await Promise.race([sending, over.then(() => false)]);
      // The client may have gone in the middle of the body; the server must not wait for the rest.
      if (!isWhole) await passage.conn.closeWrite().catch(() => {}); // the server closed first
      await over;
      return isWhole && exchange.isDone;
    } finally {
      passage.onEnd = () => {};
      if (exchange.content?.isBegun === false) exchange.content.content.ended("stopped");
      this.#exchanges.delete(id);
      this.#end(exchange);
      this.#listener.completed(client);
    }
  }

  /** Passes head and body on. Returns whether all of it was. Throws `ProtocolError` if the body stalls. */
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
      return false; // one of the two sides is gone
    }
  }

  /** Connects to the server, and passes on what it answers until it closes. Throws if it cannot connect. */
  async #connect(client: Connection): Promise<Passage> {
    const conn = await this.#server.connect();
    if (this.#isClosed) {
      close(conn);
      throw new Deno.errors.Interrupted("The gateway is stopping");
    }
    const passage = {
      conn,
      exchange: undefined,
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
        const taken = passage.exchange?.content?.head.push(buffer.subarray(0, read));
        const passed = taken?.before ?? buffer.subarray(0, read);
        await client.write(passed, this.options.limits.idleTimeoutMs);
        if (taken?.head !== undefined) {
          return await this.#sendContent(client, passage, passage.exchange!, taken.head);
        }
        passage.isWriting = false;
      }
    } catch {
      // The client does not read or is gone, so everything that waits for it ends. Or we closed the passage
      // ourselves.
      if (!passage.isLeft) client.close();
      close(passage.conn);
    }
  }

  /** Sends content instead of the server. Throws if it cannot be read, or the client is gone. */
  async #sendContent(
    client: Connection,
    { conn }: Passage,
    exchange: Exchange,
    head: string,
  ): Promise<void> {
    close(conn);
    exchange.content!.isBegun = true;
    const { idleTimeoutMs } = this.options.limits;
    await sendContent(
      head,
      exchange.content!.content,
      (bytes, onSent) =>
        client.write(bytes, idleTimeoutMs, (written) => {
          this.#listener.moved(client, written);
          onSent(written);
        }),
    );
    exchange.isDone = !isLastAnswer(head);
  }

  /**
   * Waits until the server has sent everything, and closes the passage. The server normally closes its side, but
   * not while a client holds the body of a request that was already answered and reads no further.
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

  /** Passes on what the server still has to send, and closes the connection in a way that lets it arrive. */
  async #finish(client: Connection, passage: Passage | undefined, drainMs = 0): Promise<void> {
    if (passage) await this.#leave(passage);
    await client.closeWrite();
    if (drainMs === 0) return;
    const timer = setTimeout(() => client.close(), drainMs);
    const buffer = new Uint8Array(PIECE_BYTES);
    try {
      while (await client.read(buffer, drainMs) !== null);
    } catch {
      // The client is gone, or keeps sending for longer than we listen.
    } finally {
      clearTimeout(timer);
    }
  }

  /** Answers a request that was not passed on with what was wrong. */
  async #refuse(client: Connection, passage: Passage | undefined, error: unknown): Promise<void> {
    if (client.closed) return;
    const [status, detail, hint] = error instanceof BadHead
      ? [400, error.message, "Send a request that follows RFC 9112"]
      : error instanceof HeadTooLong
      ? [431, `The head is longer than ${MAX_HEAD_BYTES} bytes`, "Send fewer or shorter headers"]
      : error instanceof HeadTooLate
      ? [408, "The request head did not arrive in time", "Send the whole head at once"]
      : [503, "The peer cannot accept requests right now", "Try again in a moment"];
    const title =
      { 400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large" }[
        status
      ] ?? "Service Unavailable";
    const body = JSON.stringify({ type: "about:blank", title, status, detail, hint });
    const answer = [
      `HTTP/1.1 ${status} ${title}`,
      "content-type: application/problem+json",
      `content-length: ${body.length}`,
      // Like all answers of the server behind the gateway: nothing here is a page.
      "content-security-policy: default-src 'none'",
      "x-content-type-options: nosniff",
      "connection: close",
      "",
      body,
    ].join("\r\n");
    if (passage) await this.#leave(passage); // earlier answers go first
    try {
      await client.write(Buffer.from(answer), this.options.limits.idleTimeoutMs);
      await this.#finish(client, undefined, DRAIN_MS);
    } catch {
      // The client is gone: nobody is left to be told.
    }
  }
}

/**
 * Gives an answer to HEAD an empty stream instead of no body. Without a body the server would claim a length of 0,
 * which for HEAD would be the length of GET's answer (RFC 9110, 8.6); with a stream it claims none. A length set by
 * the handler is kept.
 */
async function unmeasured(answering: Response | Promise<Response>): Promise<Response> {
  const answer = await answering;
  const isSilent = answer.body === null && !answer.headers.has("content-length");
  if (!isSilent || answer.status === 204 || answer.status === 304) return answer;
  const { status, headers } = answer;
  return new Response(new Blob().stream(), { status, headers });
}

type RequestBody = ReturnType<typeof requestHead>["body"];

/** Resolves to the awaited value, or to `undefined` if the passage ends first. */
function unlessEnded<T>(passage: Passage | undefined, awaited: Promise<T>): Promise<T | undefined> {
  if (!passage) return awaited;
  const { promise, resolve, reject } = Promise.withResolvers<T | undefined>();
  awaited.then(resolve, reject);
  passage.onEnd = () => resolve(undefined);
  if (passage.isEnded) resolve(undefined);
  return promise;
}

async function writeAll(conn: UpstreamConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

function close(conn: UpstreamConn): void {
  try {
    conn.close();
  } catch {
    // Already closed.
  }
}
