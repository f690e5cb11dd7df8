// A folder with a release on a server of its own, and executables that are shell scripts: what installing and updating need.

import { createHash } from "node:crypto";
import { fileNameOf, platformOf } from "../../release/platform.ts";
import { newKeys, SIGNATURE, signatureOf, SUMS, sumsText } from "../../release/sums.ts";
import { Folder } from "../process/folder.ts";

export const PLATFORM = platformOf(Deno.build)!;
export const NAME = fileNameOf(PLATFORM);
export const KEYS = newKeys();

/** A test that needs shell scripts as executables. */
export const posixTest = (name: string, fn: () => Promise<void>) =>
  Deno.test({ name, ignore: Deno.build.os === "windows", fn });

/** Returns an "executable" that says its version. */
export const program = (version: string, more = "") =>
  `#!/bin/sh\n${more}\necho "${version} (commit abc, 2026-12-01)"\n`;

export const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** What is served: by default, a good release. */
export interface Offered {
  readonly version?: string;
  readonly program?: string;
  readonly sums?: string;
  readonly signature?: string;
  /** Answers a request instead. */
  readonly answer?: (name: string, request: Request) => Response | undefined | void;
}

/** A server with a release, and a folder to install to. */
export class Place implements AsyncDisposable {
  readonly requested: string[] = [];
  offered: Offered = {};
  /** Returns the name in the release that a path stands for. */
  nameOf = (path: string) => path.replace("/download/", "");
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  private constructor(readonly folder: Folder) {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      (request) => this.#answer(request),
    );
  }

  static async make(offered: Offered = {}): Promise<Place> {
    const place = new Place(await Folder.make());
    place.offered = offered;
    return place;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/download`;
  }

  /** Path in the folder. */
  at(name: string): string {
    return `${this.folder.path}/${name}`;
  }

  /** Puts an executable there. */
  install(version: string, name = "p2p-peer"): string {
    const path = this.at(name);
    Deno.writeTextFileSync(path, program(version));
    Deno.chmodSync(path, 0o751);
    return path;
  }

  #answer(request: Request): Response {
    const name = this.nameOf(new URL(request.url).pathname);
    this.requested.push(name);
    const other = this.offered.answer?.(name, request);
    if (other) return other;
    const { version = "0.2.0" } = this.offered;
    const { program: text = program(version) } = this.offered;
    const {
      sums = sumsText({
        version,
        hashes: new Map([[NAME, sha256(text)], ["p2p-peer-other", sha256("")]]),
      }),
    } = this.offered;
    const { signature = signatureOf(sums, KEYS.privateKey) } = this.offered;
    const found = new Map([[SUMS, sums], [SIGNATURE, signature], [NAME, text]]).get(name);
    return found === undefined ? new Response("no", { status: 404 }) : new Response(found);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    await this.folder[Symbol.asyncDispose]();
  }
}
