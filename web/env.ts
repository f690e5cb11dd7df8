// What every handler knows of a request besides the request itself.

/** Content that somebody else sends. */
export interface SentContent {
  /** Number of bytes that are to be sent. */
  readonly totalBytes: number;
  /** Fills the buffer, and returns the number of bytes; 0 at the end. Throws if it cannot be read. */
  readInto(buffer: Uint8Array): number;
  /** Counts bytes that were sent. */
  sent(bytes: number): void;
  /** Called when everything was sent, or with the error of `readInto`, or with "stopped" if the client is gone. */
  ended(why?: unknown): void;
}

/** A request's environment: the client's address. The rest is filled in by `proxied` (proxy.ts). */
export interface Env {
  Bindings: {
    readonly ip: string;
    readonly prefix?: string;
    /** Whether the connection comes from a trusted proxy or from this machine, and so may have been forwarded. */
    readonly isProxy?: boolean;
    /** Lets the server in front of us send the content if the answer has this body, which is not read then. */
    readonly handOver?: (body: ReadableStream<Uint8Array>, content: SentContent) => void;
  };
}
