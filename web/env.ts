// What every handler knows of a request besides the request itself.

/** A request's environment: the client's address. The rest is filled in by `proxied` (proxy.ts). */
export interface Env {
  Bindings: {
    readonly ip: string;
    readonly prefix?: string;
    /** Whether the connection comes from a trusted proxy or from this machine, and so may have been forwarded. */
    readonly isProxy?: boolean;
  };
}
