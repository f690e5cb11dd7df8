// Shared by the tests of threats 27 and 28: a peer with something to lose, every request that would change it, and
// everything that such a request could have changed, for comparison before and after.

import { ok } from "node:assert/strict";
import { entryOf, randomFile, Source } from "./scene.ts";
import { ask, type Asked, bearer, filesOf, tokenOf, upload } from "./web.ts";
import { World } from "./world.ts";

export const SECRET = "nobody else may read this";

/** A process with one held file, one deleted file, and one that only another peer has. */
export class Scene implements AsyncDisposable {
  private constructor(
    readonly world: World,
    readonly source: Source,
    readonly token: string,
    readonly ids: Readonly<Record<"here" | "deleted" | "elsewhere", string>>,
  ) {}

  static async make(args: readonly string[] = []): Promise<Scene> {
    await using made = new AsyncDisposableStack();
    const world = made.use(await World.make(args));
    const source = made.use(await Source.start("elsewhere", (socket) => socket.end()));
    const { program } = world;
    const token = await tokenOf(program);
    const here = await upload(program, token, "here.txt", SECRET);
    const deleted = await upload(program, token, "deleted.txt", "deleted");
    const { status } = await ask(program, {
      method: "DELETE",
      path: `/api/v1/files/${deleted}`,
      headers: bearer(token),
    });
    ok(status < 300, `${status}`);
    const file = randomFile("elsewhere.bin", "elsewhere");
    await source.join(program, [entryOf(file)]);
    await program.until(
      "its file to be known",
      async () => (await world.listed()).has(file.fileId),
    );
    made.move();
    return new Scene(world, source, token, { here, deleted, elsewhere: file.fileId });
  }

  /** Returns everything that a request could change. */
  async state(): Promise<unknown> {
    const { program } = this.world;
    const { files } = await program.api<{ files: unknown }>("files");
    const deleted = await program.api("files/deleted");
    const { transfers } = await program.api<{ transfers: { direction: string }[] }>("transfers");
    const incoming = transfers.filter(({ direction }) => direction !== "out");
    // A snapshot may be in the process of being written.
    const tree = [...filesOf(this.world)].filter(([path]) => !path.includes("/temporary/"));
    return { files, deleted, incoming, tree: new Map(tree) };
  }

  /** Returns every request that changes something. */
  changes(): Asked[] {
    const { here, deleted, elsewhere } = this.ids;
    return [
      { method: "POST", path: "/api/v1/files?name=planted.txt", body: "planted" },
      { method: "PUT", path: "/api/v1/files/by-name/planted.txt", body: "planted" },
      { method: "PUT", path: "/api/v1/files/by-name/here.txt", body: "planted" },
      { method: "POST", path: `/api/v1/files/${elsewhere}/fetch` },
      { method: "POST", path: `/api/v1/files/${deleted}/restore` },
      { method: "DELETE", path: `/api/v1/files/${here}` },
      { method: "DELETE", path: `/api/v1/transfers/${elsewhere}` },
      { method: "POST", path: `/api/v1/transfers/${elsewhere}/retry` },
      { method: "POST", path: "/api/v1/session", body: JSON.stringify({ token: this.token }) },
      { method: "DELETE", path: "/api/v1/session" },
      { method: "POST", path: "/api/login", body: JSON.stringify({ username: this.token }) },
      {
        method: "POST",
        path: "/api/upload",
        headers: { "X-File-Name": "planted.txt" },
        body: "planted",
      },
      { method: "DELETE", path: "/api/delete", headers: { "X-File-Name": "here.txt" } },
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.source[Symbol.asyncDispose]();
    await this.world[Symbol.asyncDispose]();
  }
}

export const told = ({ method = "GET", path, headers }: Asked) =>
  `${method} ${path} ${JSON.stringify(headers)}`;

/** Paths of pages and lists. */
export const READING = [
  ...["/", "/stats", "/api/docs", "/metrics", "/api/list", "/api/peers", "/nothing"],
  ...["status", "peers", "files", "files/deleted", "transfers", "events", "openapi.json"].map(
    (path) => `/api/v1/${path}`,
  ),
];
