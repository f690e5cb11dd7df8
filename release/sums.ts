// SHA256SUMS and its signature: which executables belong to a version. The file is what `sha256sum --check` reads, and its first
// line, a comment, says the version, so that the signature covers it too: an older release cannot pass for a newer one.
// Invariant: `readSums` returns only what follows this format to the letter.

import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from "node:crypto";

/** Name of the list of checksums, and of its signature next to it. */
export const SUMS = "SHA256SUMS";
/** See `SUMS`. */
export const SIGNATURE = "SHA256SUMS.sig";
/** Maximum size of either, in bytes: each line has about 90. */
export const MAX_SUMS_BYTES = 16_384;

/** What a release consists of. */
export interface Release {
  /** Three numbers. */
  readonly version: string;
  /** Hex SHA-256 by file name. */
  readonly hashes: ReadonlyMap<string, string>;
}

const HEAD = /^# p2p-peer (\d{1,6}\.\d{1,6}\.\d{1,6})$/;
/** Matches 64 bytes as base64. */
const SIGNATURE_TEXT = /^[A-Za-z0-9+/]{86}==\s*$/;
const LINE = /^([0-9a-f]{64}) {2}([\w.-]{1,100})$/;

/** Returns the text of SHA256SUMS. */
export function sumsText({ version, hashes }: Release): string {
  const lines = [...hashes].sort(([a], [b]) => a < b ? -1 : 1)
    .map(([name, hash]) => `${hash}  ${name}`);
  return `# p2p-peer ${version}\n${lines.map((line) => `${line}\n`).join("")}`;
}

/** Returns what SHA256SUMS says; `undefined` if it is something else. */
export function readSums(text: string): Release | undefined {
  const [head, ...lines] = text.trimEnd().split("\n");
  const version = HEAD.exec(head ?? "")?.[1];
  if (version === undefined || text.length > MAX_SUMS_BYTES) return undefined;
  const hashes = new Map<string, string>();
  for (const line of lines) {
    const [, hash, name] = LINE.exec(line) ?? [];
    if (hash === undefined || name === undefined || hashes.has(name)) return undefined;
    hashes.set(name, hash);
  }
  return { version, hashes };
}

/** Returns a number below, at or above zero as version `a` is older than, the same as or newer than `b`. */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [a, b].map((text) => text.split(".").map(Number));
  for (let i = 0; i < 3; i++) {
    if (x![i] !== y![i]) return x![i]! - y![i]!;
  }
  return 0;
}

/** Returns a new key pair (Ed25519) as base64: PKCS #8 and SPKI. */
export function newKeys(): { readonly privateKey: string; readonly publicKey: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    privateKey: privateKey.export({ format: "der", type: "pkcs8" }).toString("base64"),
    publicKey: publicKey.export({ format: "der", type: "spki" }).toString("base64"),
  };
}

const privateKeyOf = (text: string) =>
  createPrivateKey({ key: Buffer.from(text, "base64"), format: "der", type: "pkcs8" });

/** Returns the public half of a private key. Throws if it is none. */
export function publicHalf(privateKey: string): string {
  const half = createPublicKey(privateKeyOf(privateKey));
  return half.export({ format: "der", type: "spki" }).toString("base64");
}

/** Returns the text of the signature of SHA256SUMS. */
export function signatureOf(sums: string, privateKey: string): string {
  return `${sign(null, Buffer.from(sums), privateKeyOf(privateKey)).toString("base64")}\n`;
}

/** Returns whether a signature is that of this text, by the owner of this public key. */
export function isSigned(sums: string, signature: string, publicKey: string): boolean {
  if (!SIGNATURE_TEXT.test(signature)) return false; // Buffer reads base64 as far as it can
  const bytes = Buffer.from(signature, "base64");
  const key = createPublicKey({
    key: Buffer.from(publicKey, "base64"),
    format: "der",
    type: "spki",
  });
  return verify(null, Buffer.from(sums), key, bytes);
}
