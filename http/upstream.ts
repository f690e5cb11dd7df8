// The server behind the door: `Deno.serve` on a Unix socket that only this process can reach. Always holds: until it is
// closed it is there, or will be in a moment, also after it ended for want of descriptors or lost its socket.

/** Pause between two tries to serve again after the server ended for want of descriptors. */
const RETRY_MS = 250;

/** Where a socket's path is short in any case. */
const SHORT_FOLDER = "/tmp";

/** No place was found for the socket that the server listens on; the message names the cure. */
export class NoSocketError extends Error {
  override readonly name = "NoSocketError";
}

type Handle = (request: Request, completed: Promise<void>) => Response | Promise<Response>;

export class Upstream {
  #isClosed = false;
  /** Ends the server that runs, whatever its handlers do. */
  #abort = new AbortController();
  #path = "";
  #private = "";
  /** Made where the private folder cannot have a socket in it. */
  #folder: string | undefined;
  #server: Deno.HttpServer | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly handle: Handle) {}

  /**
   * Serves from now on. The socket is made in `folder`, which is private to this process, or in a temporary folder
   * where its path is too long or its disk takes none. Throws where there is no such place either.
   */
  begin(folder: string): void {
    this.#private = folder;
    this.#open();
  }

  /** A connection to it. Throws when there can be none now. */
  async connect(): Promise<Deno.UnixConn> {
    try {
      return await Deno.connect({ transport: "unix", path: this.#path });
    } catch (cause) {
      if (!(cause instanceof Deno.errors.NotFound)) throw cause;
      // Somebody removed the socket. Who is served over the old one is served to the end.
      const old = this.#server;
      this.#open();
      old?.shutdown().catch(() => {}); // it ended by itself
      return await Deno.connect({ transport: "unix", path: this.#path });
    }
  }

  /** Ends it, with all that it still serves. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#abort.abort();
    await this.#server?.finished.catch(() => {}); // it ends, however it does
    if (this.#path !== "") await Deno.remove(this.#path).catch(() => {}); // it removes it itself as a rule
    if (this.#folder !== undefined) await Deno.remove(this.#folder, { recursive: true });
  }

  /** Makes a socket, and a server on it. Throws where there is no place for one. */
  #open(): void {
    const name = "web.sock";
    try {
      return this.#listen(`${this.#private}/${name}`);
    } catch {
      // Its path is too long (108 bytes at most), or its disk has no sockets.
    }
    if (this.#folder !== undefined) {
      Deno.mkdirSync(this.#folder, { recursive: true, mode: 0o700 }); // somebody may have removed it
      return this.#listen(`${this.#folder}/${name}`);
    }
    let cause: unknown;
    // The usual folder for temporary files may have a long path as well.
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
      "There is no folder that can have a socket; set TMPDIR to one with a short path",
      { cause },
    );
  }

  #listen(path: string): void {
    try {
      Deno.removeSync(path); // a process that was killed left it
    } catch {
      // There is none, or what is wrong shows below.
    }
    const abort = new AbortController();
    const server = Deno.serve(
      { transport: "unix", path, signal: abort.signal, onListen: () => {}, onError: broken },
      (request, { completed }) => this.#answer(request, completed),
    );
    this.#path = path;
    this.#abort = abort;
    this.#server = server;
    // Without descriptors it cannot accept, and ends; when some are free again, it begins anew.
    const again = () => {
      if (server !== this.#server) return;
      this.#abort = new AbortController(); // there is nothing to end any more
      this.#openAgain();
    };
    server.finished.then(again, again);
  }

  async #answer(request: Request, completed: Promise<void>): Promise<Response> {
    try {
      return await this.handle(request, completed);
    } catch (error) {
      console.error(error); // a mistake: the application answers its own errors
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
 * Stands in for the server's own handler, which would print a stack trace above the prompt: content that broke off while
 * it was sent is noted by whoever read it, and the connection ends in any case.
 */
const broken = () => new Response(null, { status: 500 });
