// The peer's key: made at the first start, kept in the store's private folder. Its public half tells a peer
// that came back on another port from one that took its name.

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
  try {
    await Deno.remove(path).catch(() => {}); // so that an old file's mode and links do not matter
    await Deno.writeTextFile(path, text + "\n", { mode: 0o600, createNew: true });
  } catch (cause) {
    throw asStorageError(cause, `Cannot write ${path}`);
  }
  return publicKey;
}
