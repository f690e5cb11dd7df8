// The head of an HTTP/1 request, as far as the door in front.ts must understand it: where it ends, how long the body
// behind it is, and one line more in it. Whether the request makes sense is for the server behind the door.
// Stricter than that server where two readings are possible (RFC 9112, 6.3): then it is refused.

/** A head that cannot be passed on. */
export class BadHead extends Error {
  override readonly name = "BadHead";
}

export interface RequestHead {
  /** Bytes of the body; "until-end": it says itself where it ends, so nothing can follow it. */
  readonly body: number | "until-end";
  /** The head with the additional line, and the word that nothing follows where that is so. */
  readonly text: string;
}

/** Index behind the empty line that ends a head, or -1; `from` is where to go on searching. */
export function endOfHead(bytes: Uint8Array, from: number): number {
  for (let at = Math.max(3, from); at < bytes.length; at++) {
    if (
      bytes[at] === 10 && bytes[at - 1] === 13 && bytes[at - 2] === 10 && bytes[at - 3] === 13
    ) return at + 1;
  }
  return -1;
}

/** Reads a whole head (Latin-1, with its empty line) and adds `line` to it. Throws `BadHead`. */
export function requestHead(text: string, line: string): RequestHead {
  const [request, ...fields] = text.replace(/\r\n\r\n$/, "").split("\r\n");
  if (!/^[!#$%&'*+.^_`|~\w-]+ [!-~\x80-\xff]+ HTTP\/1\.[01]$/.test(request!)) {
    throw new BadHead("The first line is not that of an HTTP/1.1 request");
  }
  const lengths: string[] = [];
  let isCoded = false;
  for (const field of fields) {
    const [, name, value] = /^([^\s:]+):[ \t]*(.*?)[ \t]*$/.exec(field) ?? [];
    if (name === undefined) throw new BadHead("A header line has no name, or is a folded one");
    if (name.toLowerCase() === "content-length") lengths.push(value!);
    else if (name.toLowerCase() === "transfer-encoding") isCoded = true;
  }
  if (lengths.length > 1 || (lengths.length > 0 && isCoded)) {
    throw new BadHead("The length of the body is given more than once");
  }
  const length = lengths[0] ?? "0";
  if (!/^\d{1,15}$/.test(length)) throw new BadHead("Content-Length is not a number");
  if (!isCoded) {
    return { body: Number(length), text: [request, line, ...fields].join("\r\n") + "\r\n\r\n" };
  }
  const others = fields.filter((field) => !/^connection:/i.test(field));
  const closing = [request, line, "connection: close", ...others];
  return { body: "until-end", text: closing.join("\r\n") + "\r\n\r\n" };
}
