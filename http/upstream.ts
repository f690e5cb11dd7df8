// The server behind the gateway: `Deno.serve` on a Unix socket that only this process can reach. Deno has none on
// Windows (denoland/deno#18236). There the server listens on a loopback port; connections that bypass the gateway lack its secret
// header, and are refused.
// Invariant: until it is closed, it is running or will be in a moment, even after it ended because file descriptors
// ran out or after its socket was removed.

/** Delay between attempts to serve again after file descriptors ran out, in milliseconds. */
const RETRY_MS = 250;

/** Where the server listens if there are no Unix sockets. */
const LOOPBACK = "127.0.0.1";

/** A folder in which a socket's path is certainly short enough. */
const SHORT_FOLDER = "/tmp";

/** Thrown when there is no folder for the server's socket. The message says what to do. */
export class NoSocketError extends Error {
  /** Identifies the class in logs. */
  override readonly name = "NoSocketError";
}

/** A connection to the server. */
export type UpstreamConn = Deno.UnixConn | Deno.TcpConn;

type Handle = (request: Request, completed: Promise<void>) => Response | Promise<Response>;

/** Runs the server, and restarts it when it ends by accident. */
export class Upstream {
  #isClosed = false;
  /** Ends the running server, whatever its handlers do. */
  #abort = new AbortController();
  #path = "";
  #private = "";
  /** Temporary folder, created if the private folder cannot contain a socket. */
  #folder: string | undefined;
  #server: Deno.HttpServer | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;

  /** The loopback port, where there are no Unix sockets. */
  #port = 0;

  /** Requests go to `handle`. Nothing is served until `begin`. */
  constructor(readonly handle: Handle, readonly isUnix = Deno.build.os !== "windows") {}

  /**
   * Starts serving. The socket is created in `folder`, which is private to this process, or in a temporary folder
   * if its path is too long or its disk does not support sockets. Throws `NoSocketError` if no folder works.
   */
  begin(folder: string): void {
    this.#private = folder;
    this.#open();
  }

  /** Connects to the server. Throws if that is not possible now. */
  async connect(): Promise<UpstreamConn> {
    if (!this.isUnix) return await Deno.connect({ hostname: LOOPBACK, port: this.#port });
    try {
      return await Deno.connect({ transport: "unix", path: this.#path });
    } catch (cause) {
      if (!(cause instanceof Deno.errors.NotFound)) throw cause;
      // Somebody removed the socket. Connections over the old one are served to the end.
      const old = this.#server;
      this.#open();
      old?.shutdown().catch(() => {}); // it ended on its own
      return await Deno.connect({ transport: "unix", path: this.#path });
    }
  }

  /** Stops the server and everything that it still serves. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#abort.abort();
    await this.#server?.finished.catch(() => {}); // it ends either way
    if (this.#path !== "") await Deno.remove(this.#path).catch(() => {}); // usually the server has removed it
    if (this.#folder !== undefined) await Deno.remove(this.#folder, { recursive: true });
  }

  /** Creates a socket and a server on it. Throws `NoSocketError` if no folder works. */
  #open(): void {
    if (!this.isUnix) return this.#serveOn({ hostname: LOOPBACK, port: 0 });
    const name = "web.sock";
    try {
      return this.#listen(`${this.#private}/${name}`);
    } catch {
      // Its path is too long (at most 108 bytes), or its disk does not support sockets.
    }
    if (this.#folder !== undefined) {
      Deno.mkdirSync(this.#folder, { recursive: true, mode: 0o700 }); // somebody may have removed it
      return this.#listen(`${this.#folder}/${name}`);
    }
    let cause: unknown;
    // The default folder for temporary files may have a long path too.
    for (const dir of [undefined, SHORT_FOLDER]) {
      try {
        const folder = Deno.makeTempDirSync({ prefix: "p2p-peer-", ...(dir ? { dir } : {}) });
        this.#folder = folder;
        return this.#listen(`${folder}/${name}`);
      } catch (error) {
        cause = error;
        if (this.#folder !== undefined) Deno.removeSync(this.#folder, { recursive: true });
        this.#folder = undefined;
      }
    }
    throw new NoSocketError(
      "Cannot create a Unix socket in any folder. Set TMPDIR to a folder with a short path",
      { cause },
    );
  }

  #listen(path: string): void {
    try {
      Deno.removeSync(path); // left by a process that was killed
    } catch {
      // There is none, or listening below reports what is wrong.
    }
    this.#serveOn({ transport: "unix", path });
    this.#path = path;
  }

  /** Starts a server in place of the one before, if any. */
  #serveOn(
    place: { readonly transport: "unix"; readonly path: string } | {
      readonly hostname: string;
      readonly port: number;
    },
  ): void {
    const abort = new AbortController();
    const settings = { signal: abort.signal, onListen: () => {}, onError: broken };
    const answer = (request: Request, { completed }: { readonly completed: Promise<void> }) =>
      this.#answer(request, completed);
    let server: Deno.HttpServer;
    if ("path" in place) server = Deno.serve({ ...place, ...settings }, answer);
    else {
      const listening = Deno.serve({ ...place, ...settings }, answer);
      this.#port = listening.addr.port;
      server = listening;
    }
    this.#abort = abort;
    this.#server = server;
    // Without file descriptors the server cannot accept, and ends. It is started again once some are free.
    const again = () => {
      if (server !== this.#server) return;
      this.#abort = new AbortController(); // nothing is left to abort
      this.#openAgain();
    };
    server.finished.then(again, again);
  }

  async #answer(request: Request, completed: Promise<void>): Promise<Response> {
    try {
      return await this.handle(request, completed);
    } catch (error) {
      console.error(error); // a bug: the application answers its own errors
      return broken();
    }
  }

  #openAgain(): void {
    if (this.#isClosed) return;
    try {
      this.#open();
    } catch {
      this.#retry = setTimeout(() => this.#openAgain(), RETRY_MS);
    }
  }
}

/**
 * Replaces the server's own error handler, which would print a stack trace above the prompt: content that broke off
 * while it was being sent is reported by whoever read it, and the connection ends in any case.
 */
const broken = () => new Response(null, { status: 500 });
