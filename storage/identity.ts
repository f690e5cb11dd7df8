// The peer's secrets: made at the first start, kept in the store's private folder. The public half of its key tells a
// peer that came back on another port from one that took its name; the token lets its owner in at the pages.

import * as v from "valibot";
import { asStorageError } from "./errors.ts";

/** Raw public and PKCS #8 private key, base64url. */
const KeyShape = v.object({
  publicKey: v.pipe(v.string(), v.regex(/^[\w-]{43}$/)),
  privateKey: v.string(),
});

const base64url = (bytes: Uint8Array) =>
  bytes.toBase64({ alphabet: "base64url", omitPadding: true });

/** The public key (base64url, 43 characters); makes the pair when there is none. Throws `StorageError`. */
export async function loadNodeKey(path: string): Promise<string> {
  const known = await Deno.readTextFile(path).catch(() => undefined);
  if (known !== undefined) {
    try {
      const key = v.safeParse(KeyShape, JSON.parse(known));
      if (key.success) return key.output.publicKey;
    } catch {
      // A damaged key is replaced: it only tells this start from others.
    }
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
  const known = await Deno.readTextFile(path).catch(() => ""); // the first start has none
  if (/^[\w-]{43}\n?$/.test(known)) return { token: known.trim(), isNew: false };
  const token = base64url(crypto.getRandomValues(new Uint8Array(32)));
  await writeSecret(path, token);
  return { token, isNew: true };
}

/** Nobody else may read it, and no old file's mode or link matters. */
async function writeSecret(path: string, text: string): Promise<void> {
  try {
    await Deno.remove(path).catch(() => {}); // there is none as a rule
    await Deno.writeTextFile(path, text + "\n", { mode: 0o600, createNew: true });
  } catch (cause) {
    throw asStorageError(cause, `Cannot write ${path}`);
  }
}
