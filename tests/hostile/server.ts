// The attacker as a server: listens on any loopback address and handles each connection as a script says.
// A `Sink` only counts what it receives: it plays a third party that is to be attacked through us.

import net from "node:net";

/** Handles the messages of one connection to a hostile server. */
export type Script = (socket: net.Socket, message: Record<string, unknown> | undefined) => void;

export class HostileServer implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  /** Number of connections received. */
  connects = 0;
  bytes = 0;
  /** Complete JSON objects received, one per connection, in order. */
  readonly messages: Record<string, unknown>[] = [];

  private constructor(server: net.Server, readonly host: string, script: Script) {
    this.#server = server;
    server.on("connection", (socket: net.Socket) => {
      this.connects++;
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
      let text = "";
      let isAnswered = false;
      socket.on("data", (bytes: Uint8Array) => {
        this.bytes += bytes.length;
        if (isAnswered || text.length > 1024 ** 2) return;
        text += latin1.decode(bytes);
        const message = parsed(text);
        if (!message) return;
        isAnswered = true;
        this.messages.push(message);
        script(socket, message);
      });
    });
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Listens on the given port or a free one. Runs `script` for each complete message. */
  static async start(
    script: Script = () => {},
    { host = "127.0.0.1", port = 0 } = {},
  ): Promise<HostileServer> {
    for (;;) {
      const server = net.createServer({ allowHalfOpen: true });
      const listening = Promise.withResolvers<void>();
      server.once("error", listening.reject);
      server.listen(port, host, () => listening.resolve());
      await listening.promise;
      const hostile = new HostileServer(server, host, script);
      // On another loopback address, the system may give it a port of the program under test, which takes that for its own address.
      const isElsewhere = host.startsWith("127.") && host !== "127.0.0.1";
      if (port !== 0 || !isElsewhere || isFree(hostile.port)) return hostile;
      await hostile[Symbol.asyncDispose]();
    }
  }

  /** A third party that requested nothing, counts what it receives, and never answers. */
  static sink(place: { host?: string; port?: number } = {}): Promise<HostileServer> {
    return HostileServer.start(() => {}, place);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = Promise.withResolvers<void>();
    this.#server.close(() => closed.resolve());
    for (const socket of this.#sockets) socket.destroy();
    await closed.promise;
  }
}

/** Returns whether nobody listens on this port at 127.0.0.1, where programs under test do. */
function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}

const latin1 = new TextDecoder("latin1");

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // still incomplete
  }
}
