// The executable that this peer runs, for the next machine: `curl http://PEER/install.sh | sh`, or `p2p-peer update --from`. A lab
// without internet installs and updates from its own peers. What a peer serves is not trusted: `update` verifies the signature of
// the checksums, and a first install prints the hash to compare.

import type { Context, Hono, MiddlewareHandler } from "hono";
import { fileNameOf, PLATFORMS } from "../release/platform.ts";
import { SIGNATURE, SUMS } from "../release/sums.ts";
import { sendContent } from "./content.ts";
import type { Env } from "./env.ts";
import { problem, problemOf } from "./problem.ts";
import { isOverTls, prefixOf } from "./proxy.ts";
import type { ViewedContent } from "./view.ts";
import script from "../release/install.sh" with { type: "text" };

/** The executable that this peer runs. */
export interface OwnExecutable {
  /** Its name among those of a release. */
  readonly name: string;
  /** Opens it for the client at this address. Throws `NotPossible`, and errors of the system. */
  content(client: string): Promise<ViewedContent>;
  /** Resolves to the checksums that belong to it. Throws `NotPossible`, and errors of the system. */
  published(): Promise<{ readonly sums: string; readonly signature: string | undefined }>;
}

/** Adds the routes. `own`: nothing if the program runs from its source. */
export function addDownloads(
  app: Hono<Env>,
  own: OwnExecutable | undefined,
  { guard, now }: { readonly guard: MiddlewareHandler<Env>; readonly now: () => number },
): void {
  app.get("/install.sh", guard, (c) => own ? installer(c) : fromSource(c));
  app.get(
    "/download/:name",
    guard,
    async (c) => {
      if (!own) return fromSource(c);
      try {
        return await download(c, own, now());
      } catch (error) {
        return problemOf(c, error);
      }
    },
  );
}

/** Sends the script, which then downloads from here unless told otherwise. */
function installer(c: Context<Env>): Response {
  // The host was checked: it is a name or an address of this peer.
  const host = c.req.header("host") ?? new URL(c.req.url).host;
  const from = `${isOverTls(c) ? "https" : "http"}://${host}${prefixOf(c)}/download`;
  if (!/^[\w.:/[\]~-]+$/.test(from)) {
    return problem(c, 400, "The Host header is no address", "Send one");
  }
  return c.body(script.replace(/^FROM='.*'$/m, `FROM='${from}'`), 200, {
    "content-type": "text/x-shellscript; charset=utf-8",
  });
}

async function download(c: Context<Env>, own: OwnExecutable, now: number): Promise<Response> {
  const name = c.req.param("name");
  const asText = (text: string) =>
    c.body(text, 200, { "content-type": "text/plain; charset=utf-8" });
  if (name === "p2p-peer" || name === own.name) {
    return sendContent(c, await own.content(c.env.ip), now);
  }
  if (name === SUMS) return asText((await own.published()).sums);
  if (name === SIGNATURE) {
    const { signature } = await own.published();
    if (signature !== undefined) return asText(signature);
    return problem(
      c,
      404,
      "The executable that this peer runs has no signature: it is no release, or was not installed with install.sh",
      "Update from a peer that runs a release",
    );
  }
  const isOther = PLATFORMS.some((platform) => fileNameOf(platform) === name);
  return problem(
    c,
    404,
    isOther
      ? `This peer has only the executable that it runs, ${own.name}`
      : "There is no such file here",
    isOther
      ? "Ask a peer on a machine of your kind, or download a release"
      : `There are ${own.name}, ${SUMS} and ${SIGNATURE}, and the script /install.sh`,
  );
}

function fromSource(c: Context<Env>): Response {
  return problem(
    c,
    404,
    "This peer runs from its source, so it has no executable to give away",
    "Ask a peer that runs an executable; the README says how to build one",
  );
}
