// The peer's secrets: made at the first start, kept in the store's private folder. The public half of its key tells a
// peer that came back on another port from one that took its name; the token lets its owner in at the pages.
// Always holds: a secret is made only where there is none; one that cannot be read, or is damaged, ends the start.

import * as v from "valibot";
import { readText } from "./atomic.ts";
import { asStorageError, StorageError } from "./errors.ts";

/** Raw public and PKCS #8 private key, base64url. */
const KeyShape = v.object({
  publicKey: v.pipe(v.string(), v.regex(/^[\w-]{43}$/)),
  privateKey: v.string(),
});

const base64url = (bytes: Uint8Array) =>
  bytes.toBase64({ alphabet: "base64url", omitPadding: true });

/**
 * The public key (base64url, 43 characters); makes the pair when there is none. Throws `StorageError`, also when the
 * file is damaged: a new key would make this peer a stranger to those who know it.
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
 * The token that changes at the pages need: 32 random bytes, base64url (43 characters), made when there is none.
 * `isNew`: nobody was told of it yet. Throws `StorageError`.
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
  const hint = `restore it from a backup, or remove it to ${what}`;
  return new StorageError("io", `${path} is damaged`, { hint });
}

/** Undefined for what is no JSON. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Nobody else may read it, and there is no such file yet. */
async function writeSecret(path: string, text: string): Promise<void> {
  try {
    await Deno.writeTextFile(path, text + "\n", { mode: 0o600, createNew: true });
  } catch (cause) {
    throw asStorageError(cause, `Cannot write ${path}`);
  }
}
