// What this program is: its version, and what a build writes into it (`.ci/stamp`). PURE.

/** Three numbers. */
export const VERSION = "0.1.0";

/** Returns what a build wrote in place of a mark; "" if it wrote nothing. */
const stamped = (text: string) => text.startsWith("@@") ? "" : text;

/** Commit and date of a build. */
const STAMP = stamped("@@STAMP@@");
/** Public half of the key that signs releases, as base64; "" in a build that is no release. */
export const RELEASE_KEY = stamped("@@RELEASE_KEY@@");
/** Address of the folder with the newest release; "" if there is none. */
export const DOWNLOAD_URL = stamped("@@DOWNLOAD_URL@@");

/** What `--version` prints. */
export const versionText = STAMP === "" ? VERSION : `${VERSION} (${STAMP})`;
