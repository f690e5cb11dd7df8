// A listener on loopback whose connections stay open until the test releases them.

import type { Connection } from "../../net/connection.ts";
import { Listener, type ListenOptions } from "../../net/listener.ts";

export const limits = { maxConnections: 3, maxConnectionsPerAddress: 2, maxWaitingConnections: 2 };

/**
 * A listener whose connections stay open until they are released. Its clock stands still, so no connection ever
 * seems stalled.
 */
export function holding(options: Partial<ListenOptions> = {}) {
  const served: { connection: Connection; letGo: () => void }[] = [];
  const listener = new Listener({
    hostname: "127.0.0.1",
    port: 0,
    limits,
    isKnown: () => false,
    nowMs: () => 0,
    serve: (connection) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      served.push({ connection, letGo: resolve });
      return promise;
    },
    ...options,
  });
  listener.begin();
  return {
    listener,
    served,
    [Symbol.dispose]() {
      for (const { letGo } of served) letGo();
      listener.close();
    },
  };
}

export const connect = (port: number) => Deno.connect({ hostname: "127.0.0.1", port });
