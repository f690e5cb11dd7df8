// Makes file names for the disk from labels chosen by strangers. PURE.
// Invariants: the result is one plain name inside the folder that any common file system accepts; it is never
// hidden, never one of the store's own names, and different from all taken names even on file systems that ignore
// case or use another Unicode normalization form.

/** Maximum length of a name, in bytes. File systems allow 255; the rest is for a number and an extension. */
const MAX_NAME_BYTES = 200;
/** Maximum length of an extension, in characters, with its dot. A longer one counts as part of the name. */
const MAX_EXTENSION_CHARS = 16;

const reserved = /^(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)$/i;
// Separators, characters that Windows rejects, control characters, and marks that change the reading direction.
const unsafe = /[/\\:*?"<>|\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Returns a key that is equal for names that some file system treats as the same. */
export function nameKey(name: string): string {
  return name.normalize("NFKC").toLowerCase();
}

/** Returns a filesystem-safe form of the label. Not necessarily unique. */
export function safeName(label: string): string {
  let name = label.toWellFormed().normalize("NFC");
  name = name.slice(Math.max(name.lastIndexOf("/"), name.lastIndexOf("\\")) + 1);
  name = name.replace(unsafe, "_").replace(/^[.\s]+/, "").replace(/[.\s]+$/, "");
  name = cutBytes(name, MAX_NAME_BYTES).replace(/[.\s]+$/, "");
  const stem = name.split(".", 1)[0]!;
  if (name === "") return "unnamed";
  // A stranger's file named metadata.json must not replace the store's.
  return reserved.test(stem.trim()) || isOwnName(name) ? `_${name}` : name;
}

/**
 * Returns whether a name in the folder is the store's own: metadata.json, a damaged metadata.json that was kept, or
 * the private folder.
 */
export function isOwnName(name: string): boolean {
  return /^metadata\.json(\.damaged-[\dtz.-]+)?$/i.test(name) || /^\.p2p-peer$/i.test(name);
}

/**
 * Returns whether a file is hidden. Hidden files are not shared, because editors, sync programs and desktops use
 * them for their own data.
 */
export function isHidden(name: string): boolean {
  return name.startsWith(".");
}

/**
 * Returns a safe name for the label that is not taken: `name.txt`, `name (2).txt`, and so on. `first` is the first
 * number to try, for callers that know that lower ones are taken.
 */
export function freeName(label: string, isTaken: (key: string) => boolean, first = 2): string {
  const name = safeName(label);
  if (!isTaken(nameKey(name))) return name;
  const dot = name.lastIndexOf(".");
  const hasExtension = dot > 0 && name.length - dot <= MAX_EXTENSION_CHARS;
  const stem = hasExtension ? name.slice(0, dot) : name;
  const extension = hasExtension ? name.slice(dot) : "";
  for (let n = first;; n++) {
    const candidate = `${stem} (${n})${extension}`;
    if (!isTaken(nameKey(candidate))) return candidate;
  }
}

function cutBytes(text: string, maxBytes: number): string {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= maxBytes) return text;
  // Keep the extension, which tells people what the file is.
  const dot = text.lastIndexOf(".");
  const extension = dot > 0 && text.length - dot <= MAX_EXTENSION_CHARS ? text.slice(dot) : "";
  const room = maxBytes - new TextEncoder().encode(extension).length;
  const cut = new TextDecoder().decode(bytes.subarray(0, room)).replace(/\ufffd+$/, "");
  return cut + extension;
}
