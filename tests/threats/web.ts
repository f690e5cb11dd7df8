// The attacker at the web port: requests written byte by byte, from any loopback address, each on its own connection, and
// responses as raw bytes. Rules that hold for every response (no CORS, pages with a policy that blocks inline scripts, no
// sniffing) are checked here, so that no test can leave them out.

import { ok } from "node:assert/strict";
import { Raw, type RawOptions, type Target } from "../hostile/raw.ts";
import type { Content } from "../process/raw.ts";
import { DEADLINE_MS, type Program } from "../process/program.ts";
import { tree } from "./scene.ts";
import { NAME, type World } from "./world.ts";

export interface Asked {
  readonly method?: string;
  readonly path: string;
  /** Sent in this order, exactly as given. `Host` is correct by default; null omits it. */
  readonly headers?: Readonly<Record<string, string | null>>;
  /** One byte per character, as in responses. */
  readonly body?: string | Uint8Array;
  readonly from?: string;
}

export interface Answer {
  readonly status: number;
  /** One entry per header line, with names in lower case. */
  readonly headers: readonly (readonly [string, string])[];
  /** One character per byte. */
  readonly head: string;
  readonly body: string;
}

/** Returns all values of a header, in order. */
export function headersOf({ headers }: Answer, name: string): string[] {
  return headers.filter(([found]) => found === name).map(([, value]) => value);
}

/** Returns the only value of a header. Throws if there is none or more than one. */
export function headerOf(answer: Answer, name: string): string {
  const values = headersOf(answer, name);
  ok(values.length === 1, `${name} appears ${values.length} times in: ${answer.head}`);
  return values[0]!;
}

/** Parses the body as JSON. */
export function jsonOf<T = Record<string, unknown>>({ body }: Answer): T {
  return JSON.parse(utf8(body));
}

/** The character that `Raw` decodes each byte to. Above 0x7f it is not always the one with the same code. */
const CHARACTERS = new TextDecoder("latin1").decode(Uint8Array.from({ length: 256 }, (_, i) => i));
const BYTES = new Map(Array.from(CHARACTERS, (character, byte) => [character, byte]));

/** Converts text with one character per byte to bytes. */
export const bytesOf = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(text, (character) => BYTES.get(character) ?? character.charCodeAt(0));
/** Decodes text with one character per byte as the UTF-8 that it is. */
export const utf8 = (text: string): string => new TextDecoder().decode(bytesOf(text));

export const webOf = ({ httpPort }: Program): Target => ({ host: "127.0.0.1", port: httpPort });

/** Returns the complete head of a request, without a body. */
export function headText(
  { httpPort }: Program,
  { method = "GET", path, headers = {} }: Asked,
): string {
  const all: Record<string, string | null> = {
    Host: `127.0.0.1:${httpPort}`,
    Connection: "close",
    ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

/** Makes one request on its own connection. Checks that pages of other sites cannot use the response. */
export async function ask(program: Program, asked: Asked): Promise<Answer> {
  const { from = "127.0.0.1", method = "GET", headers = {} } = asked;
  const body = typeof asked.body === "string" ? bytesOf(asked.body) : asked.body;
  const length = body && { "Content-Length": `${body.length}` };
  using raw = await Raw.open(webOf(program), { from });
  raw.write(bytesOf(headText(program, { ...asked, headers: { ...length, ...headers } })));
  if (body) raw.write(body);
  await closing(raw);
  ok(raw.text !== "", `No response to ${method} ${asked.path}. ${program.report()}`);
  return safe(answerOf(raw.text, method), `${method} ${asked.path}`);
}

/** Waits like `untilClosed`, but without polling, because there are thousands of requests. */
async function closing(raw: Raw): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, DEADLINE_MS);
  raw.socket.once("end", over.resolve);
  raw.socket.once("close", over.resolve);
  if (!raw.ended && !raw.isClosed) await over.promise;
  clearTimeout(timer);
  await raw.untilClosed();
}

/** Parses a response that ends with its connection. */
export function answerOf(text: string, method = "GET"): Answer {
  const end = text.indexOf("\r\n\r\n");
  ok(end > 0, `The response has no complete head: ${text.slice(0, 500)}`);
  const [first, ...lines] = text.slice(0, end).split("\r\n");
  const match = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first!);
  ok(match, `Not a valid status line: ${first}`);
  const headers = lines.map((line) => {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)$/.exec(line) ?? [];
    ok(name !== undefined, `Not a header: ${JSON.stringify(line)}`);
    return [name.toLowerCase(), value!] as const;
  });
  const rest = text.slice(end + 4);
  const answer = { status: Number(match[1]), headers, head: text.slice(0, end), body: rest };
  const [length] = headersOf(answer, "content-length");
  const isChunked = headersOf(answer, "transfer-encoding").includes("chunked");
  if (isChunked) return { ...answer, body: dechunked(rest) };
  if (length !== undefined && method !== "HEAD" && answer.status !== 304) {
    ok(rest.length === Number(length), `${rest.length} of ${length} bytes of: ${answer.head}`);
  }
  return answer;
}

function dechunked(text: string): string {
  let [body, rest] = ["", text];
  for (;;) {
    const [line, size] = /^([0-9a-f]+)\r\n/i.exec(rest) ?? [];
    ok(line !== undefined, "The chunked response is cut off");
    const bytes = parseInt(size!, 16);
    if (bytes === 0) return body;
    body += rest.slice(line.length, line.length + bytes);
    rest = rest.slice(line.length + bytes + 2);
  }
}

/** Parses a content security policy into its directives and their values. */
export function policyOf(answer: Answer): Map<string, string> {
  const policy = headerOf(answer, "content-security-policy");
  return new Map(
    policy.split(";").map((part) => {
      const [name, ...values] = part.trim().split(/\s+/);
      return [name!, values.join(" ")];
    }),
  );
}

/** Checks what must hold for every response, whatever was requested. */
function safe(answer: Answer, what: string): Answer {
  const shared = answer.headers.filter(([name]) => name.startsWith("access-control-"));
  ok(shared.length === 0, `${what} grants other sites access: ${shared}`);
  if (answer.status === 400 && headersOf(answer, "content-type").length === 0) return answer;
  ok(headersOf(answer, "x-content-type-options").join() === "nosniff", `${what}: ${answer.head}`);
  const policy = policyOf(answer);
  const scripts = policy.get("script-src") ?? policy.get("default-src") ?? "*";
  ok(
    /^'(?:none|self)'(?: 'sha256-[\w+/=]+')?$/.test(scripts),
    `${what} allows scripts to run: ${scripts}`,
  );
  ok(/^'(?:none|self)'$/.test(policy.get("default-src") ?? ""), `${what}: ${answer.head}`);
  ok(!/unsafe|data:|\*/.test([...policy.values()].join(" ")), `${what}: ${answer.head}`);
  return answer;
}

/** Returns the token that the program prints for its user. */
export async function tokenOf(program: Program): Promise<string> {
  return (await program.login()).token;
}

export const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const JSON_TYPE = { "Content-Type": "application/json" };

/** Requests a session. With `older`, through the previous API. */
export function login(
  program: Program,
  token: string,
  { older = false, from = "127.0.0.1", headers = {} }: {
    older?: boolean;
    from?: string;
    headers?: Readonly<Record<string, string>>;
  } = {},
): Promise<Answer> {
  return ask(program, {
    method: "POST",
    path: older ? "/api/login" : "/api/v1/session",
    headers: { ...JSON_TYPE, ...headers },
    body: JSON.stringify({ [older ? "username" : "token"]: token }),
    from,
  });
}

/** Returns the login cookie as a browser would send it back. */
export async function cookieOf(program: Program, token: string, older = false): Promise<string> {
  const answer = await login(program, token, { older });
  ok(answer.status === (older ? 200 : 204), answer.head);
  return headerOf(answer, "set-cookie").split(";")[0]!;
}

/** Shares a file through the API and returns its id. */
export async function upload(
  program: Program,
  token: string,
  name: string,
  content: string | Uint8Array,
): Promise<string> {
  const answer = await ask(program, {
    method: "POST",
    path: `/api/v1/files?name=${encodeURIComponent(name)}`,
    headers: { ...bearer(token), "Content-Type": "application/octet-stream" },
    body: content,
  });
  ok(answer.status === 201, `${answer.head}\n${answer.body}`);
  return jsonOf<{ files: { file_id: string }[] }>(answer).files[0]!.file_id;
}

/** Places complete content in the store, and waits until it is shared. */
export async function share(
  { folder, program }: World,
  name: string,
  content: Content,
): Promise<string> {
  await content.writeTo(folder.at(name));
  await Deno.rename(folder.at(name), storeOf({ folder }, name));
  const { file_id: fileId } = await program.until(`${name} to be shared`, async () => {
    return (await program.files()).find((file) => file.file_name === name && file.has_copy);
  });
  return fileId;
}

export const storeOf = ({ folder }: Pick<World, "folder">, ...names: string[]): string =>
  folder.at(`storage_${NAME}`, ...names);

/** Files that the store writes on its own schedule, whatever was requested. */
const OWN = /\/(?:peers|deleted|metadata(?:\.last-good)?|journal)\.jsonl?$|\/temporary\/\d+\.json$/;

/** Returns the test's files and folders, ignoring folder change times and the store's own lists. */
export function filesOf({ folder }: World): Map<string, string> {
  const found = [...tree(folder.path, (path) => OWN.test(path))];
  return new Map(
    found.map(([path, what]) => [path, what.startsWith("folder of") ? "folder" : what] as const),
  );
}

/** Counts the temporary files of unfinished uploads. */
export const temporaryIn = (world: World): number =>
  [...Deno.readDirSync(storeOf(world, ".p2p-peer", "temporary"))].length;

/** Opens many connections to the web port, cycling through the addresses. */
export function openMany(
  { program }: World,
  count: number,
  from: readonly string[],
  options: RawOptions = {},
): Promise<Raw[]> {
  return Raw.openMany(webOf(program), count, from, options);
}
