// File names on disk from labels that strangers chose. PURE.
// Always holds: what comes out is one plain name inside the folder that any common file system takes,
// never hidden, never one of ours, and different from all taken names on systems that ignore case or
// write letters in another Unicode form.

/** Longest name in bytes; file systems take 255, and room is left for a number and an extension. */
const MAX_NAME_BYTES = 200;
/** Extensions longer than this are part of the name. */
const MAX_EXTENSION_CHARS = 16;

const reserved = /^(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)$/i;
// Separators, what Windows refuses, controls, and marks that change reading direction.
const unsafe = /[/\\:*?"<>|\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Two names that some file system takes for one have the same key. */
export function nameKey(name: string): string {
  return name.normalize("NFKC").toLowerCase();
}

/** A filesystem-safe form of the label. Not necessarily unique. */
export function safeName(label: string): string {
  let name = label.toWellFormed().normalize("NFC");
  name = name.slice(Math.max(name.lastIndexOf("/"), name.lastIndexOf("\\")) + 1);
  name = name.replace(unsafe, "_").replace(/^[.\s]+/, "").replace(/[.\s]+$/, "");
  name = cutBytes(name, MAX_NAME_BYTES).replace(/[.\s]+$/, "");
  const stem = name.split(".", 1)[0]!;
  if (name === "") return "unnamed";
  // A stranger's metadata.json must not take the place of the store's.
  return reserved.test(stem.trim()) || isOwnName(name) ? `_${name}` : name;
}

/** The store's own names in its folder: metadata.json, damaged ones that were kept, and the private folder. */
export function isOwnName(name: string): boolean {
  return /^metadata\.json(\.damaged-[\dtz.-]+)?$/i.test(name) || /^\.p2p-peer$/i.test(name);
}

/** Hidden files are not shared: editors, sync programs and desktops keep theirs so. */
export function isHidden(name: string): boolean {
  return name.startsWith(".");
}

/**
 * A safe name for the label that is not taken: `name.txt`, `name (2).txt`, and so on. `first` is the first number to
 * try, for callers who know that the lower ones are taken.
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
  // Keeps the extension, which tells people what it is.
  const dot = text.lastIndexOf(".");
  const extension = dot > 0 && text.length - dot <= MAX_EXTENSION_CHARS ? text.slice(dot) : "";
  const room = maxBytes - new TextEncoder().encode(extension).length;
  const cut = new TextDecoder().decode(bytes.subarray(0, room)).replace(/\ufffd+$/, "");
  return cut + extension;
}
