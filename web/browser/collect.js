// @ts-check
// What somebody dropped or picked, as lists of files: loose ones, and one list per folder, named by where each file was.
// Always holds: a folder is walked to a bounded depth and number of files, and whatever is left out is counted with a reason.

/**
 * A file to share. It is opened when its turn comes: opening 15,000 at once would stop the page.
 * @typedef {{ label: string, open: () => Promise<File> }} Item
 */
/** @typedef {"hidden" | "empty" | "too deep" | "too many" | "unreadable"} Reason Why something was skipped */

/** Maximum number of files taken from one folder. */
export const MAX_FILES = 50_000;
/** Maximum depth of folders in folders: what is deeper is most likely a link that leads in circles. */
const MAX_DEPTH = 32;
/** Maximum length of a label, in UTF-16 code units; the peer takes 255 characters. */
const MAX_LABEL = 250;
/** What systems leave in folders without a dot in front. */
const SYSTEM_FILES = /^(thumbs\.db|desktop\.ini|ehthumbs\.db|\$recycle\.bin|icon\r)$/i;

/** What a person did not put there. @param {string} name */
const isHidden = (name) => name.startsWith(".") || SYSTEM_FILES.test(name);

/** Files of one folder. */
export class Folder {
  /** @type {Item[]} */
  items = [];
  /** How much was left out, by reason. @type {Map<Reason, number>} */
  skipped = new Map();

  /** @param {string} name */
  constructor(name) {
    this.name = name;
  }

  /** @param {Reason} reason */
  skip(reason) {
    this.skipped.set(reason, (this.skipped.get(reason) ?? 0) + 1);
  }

  /** @param {readonly string[]} path The file's name is last @param {() => Promise<File>} open */
  add(path, open) {
    if (path.slice(1).some(isHidden)) this.skip("hidden");
    else if (this.items.length >= MAX_FILES) this.skip("too many");
    else this.items.push({ label: labelOf(path), open });
  }
}

/**
 * Returns the name that a file of a folder is shared under: `set - sub - a.txt`. Where that is too long, folders are left out
 * from the inside, and the file keeps its name and the folder its own.
 * @param {readonly string[]} path
 */
export function labelOf(path) {
  // As everywhere, what stands in front of a backslash is a folder.
  const parts = path.map((part) => part.slice(part.lastIndexOf("\\") + 1)).filter((part) =>
    part !== ""
  );
  while (parts.length > 1 && parts.join(" - ").length > MAX_LABEL) {
    parts.splice(Math.max(0, parts.length - 2), 1);
  }
  return parts.join(" - ");
}

/**
 * Returns loose files and folders of a drop. Must be called while the event is being handled: afterwards the browser has
 * forgotten what was dropped.
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

/** Returns what was picked as folders, by the folder. @param {Iterable<File>} files */
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
 * Fills the folder with what is in it, and calls `onFound` now and then while it looks. Resolves when it has seen everything, or
 * when it is stopped.
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
        // Browsers give a hundred at a time, and an empty batch at the end.
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
      folder.skip("unreadable"); // the system lets nobody look into it, or it was removed meanwhile
    }
  }
}
