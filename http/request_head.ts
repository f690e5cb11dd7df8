// The head of an HTTP/1 request, as far as the gateway in gateway.ts must understand it: where it ends, how long
// the body is, and how to add a line to it. Whether the request makes sense is up to the server behind the gateway.
// Stricter than that server where two readings are possible (RFC 9112, 6.3): such a request is refused.

/** Maximum length of a line in a chunked body, in characters. */
const MAX_LINE_CHARS = 16 * 1024;

/** Thrown for a head that cannot be passed on. The message says why. */
export class BadHead extends Error {
  /** Identifies the class in logs. */
  override readonly name = "BadHead";
}

/** A parsed request head. */
export interface RequestHead {
  /** Length of the body in bytes, or "chunked": the body marks its own end, and nothing follows it. */
  readonly body: number | "chunked";
  /** The head with the additional line and, for a chunked body, `connection: close`. */
  readonly text: string;
}

/** Returns the index after the empty line that ends a head, or -1. `from` is where to continue searching. */
export function endOfHead(bytes: Uint8Array, from: number): number {
  for (let at = Math.max(3, from); at < bytes.length; at++) {
    if (
      bytes[at] === 10 && bytes[at - 1] === 13 && bytes[at - 2] === 10 && bytes[at - 3] === 13
    ) return at + 1;
  }
  return -1;
}

/** Parses a whole head (Latin-1, with its empty line) and adds `line` to it. Throws `BadHead`. */
export function requestHead(text: string, line: string): RequestHead {
  const [request, ...fields] = text.replace(/\r\n\r\n$/, "").split("\r\n");
  if (!/^[!#$%&'*+.^_`|~\w-]+ [!-~\x80-\xff]+ HTTP\/1\.[01]$/.test(request!)) {
    throw new BadHead("The first line is not an HTTP/1.1 request line");
  }
  const lengths: string[] = [];
  let isCoded = false;
  let hosts = 0;
  for (const field of fields) {
    const [, name, value] = /^([^\s:]+):[ \t]*(.*?)[ \t]*$/.exec(field) ?? [];
    if (name === undefined) throw new BadHead("A header line has no name or is folded");
    if (name.toLowerCase() === "content-length") lengths.push(value!);
    else if (name.toLowerCase() === "transfer-encoding") isCoded = true;
    else if (name.toLowerCase() === "host") hosts++;
  }
  // RFC 9112, 3.2.
  if (hosts > 1 || (hosts === 0 && request!.endsWith("1"))) {
    throw new BadHead("A request must have exactly one Host header");
  }
  if (lengths.length > 1 || (lengths.length > 0 && isCoded)) {
    throw new BadHead("The request gives the length of its body more than once");
  }
  const length = lengths[0] ?? "0";
  if (!/^\d{1,15}$/.test(length)) throw new BadHead("Content-Length is not a number");
  if (!isCoded) {
    return { body: Number(length), text: [request, line, ...fields].join("\r\n") + "\r\n\r\n" };
  }
  const others = fields.filter((field) => !/^connection:/i.test(field));
  const closing = [request, line, "connection: close", ...others];
  return { body: "chunked", text: closing.join("\r\n") + "\r\n\r\n" };
}

/**
 * Finds the end of a chunked body (RFC 9112, 7.1). An invalid one never ends here: the server behind the gateway
 * refuses it.
 */
export class ChunkedBody {
  #part: "size" | "data" | "trailer" | "over" | "none" = "size";
  #line = "";
  /** Bytes of a chunk that are still to come, including the line end after them. */
  #left = 0;

  /** Whether the body has ended. */
  get isOver(): boolean {
    return this.#part === "over";
  }

  /** Examines the next bytes. */
  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && this.#part !== "over" && this.#part !== "none";) {
      if (this.#part === "data") {
        const passed = Math.min(this.#left, bytes.length - at);
        this.#left -= passed;
        at += passed;
        if (this.#left === 0) this.#part = "size";
      } else if (bytes[at++] === 10) this.#endLine();
      else if (this.#line.length < MAX_LINE_CHARS) {
        this.#line += String.fromCharCode(bytes[at - 1]!);
      } else this.#part = "none";
    }
  }

  #endLine(): void {
    const line = this.#line.replace(/\r$/, "");
    this.#line = "";
    if (this.#part === "trailer") {
      if (line === "") this.#part = "over";
      return;
    }
    const size = /^([0-9a-f]{1,12})[ \t]*(;.*)?$/i.exec(line);
    if (!size) this.#part = "none";
    else if (/^0+$/.test(size[1]!)) this.#part = "trailer";
    else {
      this.#part = "data";
      this.#left = parseInt(size[1]!, 16) + 2;
    }
  }
}
