// A listener on loopback whose connections stay until the test lets them go.

import type { Connection } from "../../net/connection.ts";
import { Listener, type ListenOptions } from "../../net/listener.ts";

export const limits = { maxConnections: 3, maxConnectionsPerAddress: 2, maxWaitingConnections: 2 };

/** A listener whose connections stay until they are let go. Its clock stands, so nobody seems to stand still. */
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
