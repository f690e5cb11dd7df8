// The peer's secrets, created at the first start and kept in the store's private folder. The public half of its key
// distinguishes a peer that came back on another port from one that took over its name. The token logs the owner in
// to the web pages.
// Invariant: a secret is created only if it does not exist. One that is damaged or cannot be read stops the start.

import * as v from "valibot";
import { readText } from "./atomic.ts";
import { asStorageError, StorageError } from "./errors.ts";

/** Raw public key and PKCS #8 private key, both base64url. */
const KeyShape = v.object({
  publicKey: v.pipe(v.string(), v.regex(/^[\w-]{43}$/)),
  privateKey: v.string(),
});

const base64url = (bytes: Uint8Array) =>
  bytes.toBase64({ alphabet: "base64url", omitPadding: true });

/**
 * Returns the public key (base64url, 43 characters). Creates the key pair if it does not exist. Throws
 * `StorageError`, also when the file is damaged: with a new key, peers that know this one would treat it as a
 * stranger.
 */
export async function loadNodeKey(path: string): Promise<string> {
  const known = await readText(path);
  if (known !== undefined) {
    const key = v.safeParse(KeyShape, jsonOf(known));
    if (key.success) return key.output.publicKey;
    throw damaged(path, "get a new identity");
  }
  const pair = await crypto.subtle.generateKey("Ed25519", true, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  const publicKey = base64url(new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)));
  const secret = await crypto.subtle.exportKey("pkcs8", pair.privateKey);
  const text = JSON.stringify({ publicKey, privateKey: base64url(new Uint8Array(secret)) });
  await writeSecret(path, text);
  return publicKey;
}

/**
 * Returns the token that is required to change anything through the web: 32 random bytes, base64url (43
 * characters). Creates it if it does not exist; `isNew` is true if it was just created and nobody has seen it yet.
 * Throws `StorageError`.
 */
export async function loadWebToken(path: string): Promise<{ token: string; isNew: boolean }> {
  const known = await readText(path);
  if (known !== undefined) {
    if (/^[\w-]{43}\n?$/.test(known)) return { token: known.trim(), isNew: false };
    throw damaged(path, "get a new login");
  }
  const token = base64url(crypto.getRandomValues(new Uint8Array(32)));
  await writeSecret(path, token);
  return { token, isNew: true };
}

function damaged(path: string, what: string): StorageError {
  const hint = `Restore it from a backup, or remove it to ${what}`;
  return new StorageError("io", `${path} is damaged`, { hint });
}

/** Returns the parsed value, or `undefined` if the text is not JSON. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Creates a file that only its owner can read. Fails if the file already exists. */
async function writeSecret(path: string, text: string): Promise<void> {
  try {
    await Deno.writeTextFile(path, text + "\n", { mode: 0o600, createNew: true });
  } catch (cause) {
    throw asStorageError(cause, `Cannot write ${path}`);
  }
}
