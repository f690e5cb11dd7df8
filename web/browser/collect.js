// @ts-check
// Turns dropped or picked items into lists of files: loose files, and one list per folder, labeled by each file's path.
// Invariant: a folder is walked to a bounded depth and number of files, and everything skipped is counted by reason.

/**
 * A file to share. It is opened only when its turn comes: opening 15,000 at once would freeze the page.
 * @typedef {{ label: string, open: () => Promise<File> }} Item
 */
/** @typedef {"hidden" | "empty" | "too deep" | "too many" | "unreadable"} Reason Why something was skipped */

/** Maximum number of files taken from one folder. */
export const MAX_FILES = 50_000;
/** Maximum folder depth: anything deeper is most likely a symbolic link loop. */
const MAX_DEPTH = 32;
/** Maximum length of a label, in UTF-16 code units; the peer takes 255 characters. */
const MAX_LABEL = 250;
/** Files that operating systems leave in folders without a leading dot. */
const SYSTEM_FILES = /^(thumbs\.db|desktop\.ini|ehthumbs\.db|\$recycle\.bin|icon\r)$/i;

/** Returns whether the file is one that no person put there. @param {string} name */
const isHidden = (name) => name.startsWith(".") || SYSTEM_FILES.test(name);

/** The files of one folder. */
export class Folder {
  /** @type {Item[]} */
  items = [];
  /** Number of skipped entries, by reason. @type {Map<Reason, number>} */
  skipped = new Map();

  /** @param {string} name */
  constructor(name) {
    this.name = name;
  }

  /** @param {Reason} reason */
  skip(reason) {
    this.skipped.set(reason, (this.skipped.get(reason) ?? 0) + 1);
  }

  /** @param {readonly string[]} path Ends with the file's name @param {() => Promise<File>} open */
  add(path, open) {
    if (path.slice(1).some(isHidden)) this.skip("hidden");
    else if (this.items.length >= MAX_FILES) this.skip("too many");
    else this.items.push({ label: labelOfPath(path), open });
  }
}

/**
 * Returns the name under which a file of a folder is shared: `set - sub - a.txt`. If that is too long, folders are left
 * out from the innermost outward; the names of the file and of the top folder always stay.
 * @param {readonly string[]} path
 */
export function labelOfPath(path) {
  // As elsewhere, anything before a backslash is a folder.
  const parts = path.map((part) => part.slice(part.lastIndexOf("\\") + 1)).filter((part) =>
    part !== ""
  );
  while (parts.length > 1 && parts.join(" - ").length > MAX_LABEL) {
    parts.splice(Math.max(0, parts.length - 2), 1);
  }
  return parts.join(" - ");
}

/**
 * Returns the loose files and folders of a drop. Must be called while the event is being handled: the browser forgets
 * the dropped items afterwards.
 * @param {DataTransfer} transfer
 */
export function dropped(transfer) {
  /** @type {File[]} */
  const files = [];
  /** @type {FileSystemDirectoryEntry[]} */
  const folders = [];
  for (const item of transfer.items) {
    if (item.kind !== "file") continue;
    const entry = item.webkitGetAsEntry?.();
    const file = item.getAsFile();
    if (entry?.isDirectory) folders.push(/** @type {FileSystemDirectoryEntry} */ (entry));
    else if (file) files.push(file);
  }
  return { files, folders };
}

/** Groups picked files by their top folder. @param {Iterable<File>} files */
export function picked(files) {
  /** @type {Map<string, Folder>} */
  const folders = new Map();
  for (const file of files) {
    const path = (file.webkitRelativePath || file.name).split("/");
    const name = path[0] ?? "";
    const folder = folders.get(name) ?? new Folder(name);
    folders.set(name, folder);
    folder.add(path, () => Promise.resolve(file));
  }
  return [...folders.values()];
}

/**
 * Fills `folder` with the files below `root`, calling `onFound` from time to time. Resolves once everything has been
 * seen or `signal` aborts.
 * @param {FileSystemDirectoryEntry} root @param {Folder} folder @param {() => void} onFound @param {AbortSignal} signal
 */
export async function walk(root, folder, onFound, signal) {
  /** @type {{ entry: FileSystemDirectoryEntry, path: string[] }[]} */
  const open = [{ entry: root, path: [root.name] }];
  for (let next = open.pop(); next && !signal.aborted; next = open.pop()) {
    const { entry, path } = next;
    const reader = entry.createReader();
    try {
      for (;;) {
        // Browsers return a hundred entries at a time, and an empty batch at the end.
        const batch = await new Promise((
          /** @type {(entries: FileSystemEntry[]) => void} */ resolve,
          reject,
        ) => reader.readEntries(resolve, reject));
        if (batch.length === 0 || signal.aborted) break;
        for (const each of batch) {
          const at = [...path, each.name];
          if (!each.isDirectory) {
            const file = /** @type {FileSystemFileEntry} */ (each);
            folder.add(at, () => new Promise((resolve, reject) => file.file(resolve, reject)));
          } else if (isHidden(each.name)) folder.skip("hidden");
          else if (path.length >= MAX_DEPTH) folder.skip("too deep");
          else open.push({ entry: /** @type {FileSystemDirectoryEntry} */ (each), path: at });
        }
        onFound();
      }
    } catch {
      folder.skip("unreadable"); // access is denied, or the folder was removed in the meantime
    }
  }
}
