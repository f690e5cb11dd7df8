// The page of a fake peer, served on a local port: any network state, at once.

import { appOver, fileOf, type Made, type Parts, peerOf, STATUS, TOKEN } from "../web/fixture.ts";
import type { ViewedEvent, ViewedFile, ViewedPeer, ViewedTransfer } from "../../web/view.ts";
import { fileJson, peerJson, statusJson, transferJson } from "../../web/api/listing.ts";
import { asciiJson } from "../../protocol/wire/text.ts";

export class Served implements AsyncDisposable {
  readonly base: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #ticking: ReturnType<typeof setInterval>;
  /** Events sent while nobody watched: server-rendered rows are visible before the page has connected. */
  readonly #untold: ViewedEvent[] = [];
  readonly #telling: ReturnType<typeof setInterval>;
  isTicking = true;
  #serial = 0;

  /** Files that the peer knows. */
  readonly files: ViewedFile[];

  private constructor(
    readonly made: Made,
    server: Deno.HttpServer<Deno.NetAddr>,
    parts: Parts & { readonly files: ViewedFile[] },
  ) {
    this.#server = server;
    this.files = parts.files;
    // As a real peer does; a page that receives nothing considers its peer gone.
    this.#ticking = setInterval(() => {
      if (this.isTicking && made.watchers.size > 0) {
        this.tell("status", statusJson({ ...STATUS, now: Date.now() / 1000, ...parts.status }));
      }
    }, 1_000);
    this.#telling = setInterval(() => this.#flush(), 20);
    this.base = `http://127.0.0.1:${server.addr.port}`;
  }

  static start(given: Parts): Served {
    const parts = { ...given, files: given.files ?? [] };
    const made = appOver({
      clock: { now: Date.now() },
      missed: [{ id: "e-0", type: "reset", data: "{}" }],
      ...parts,
    });
    const server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen: () => {} },
      (request) => made.app.fetch(request, { ip: "127.0.0.1" }),
    );
    return new Served(made, server, parts);
  }

  /** URL that logs in whoever opens it. */
  get link(): string {
    return `${this.base}/#token=${TOKEN}`;
  }

  /** Sends an event to the current watchers, or else to the next one. */
  tell(
    type: "files" | "peers" | "status" | "transfers" | "reset",
    change: Parameters<typeof asciiJson>[0],
  ): void {
    this.#untold.push({ id: `e-${++this.#serial}`, type, data: asciiJson(change) });
    this.#flush();
  }

  #flush(): void {
    if (this.made.watchers.size === 0) return;
    for (const event of this.#untold.splice(0)) {
      for (const { tell } of this.made.watchers) tell(event);
    }
  }

  /** Changes the peer's files, and tells the page. */
  tellFiles(changed: readonly ViewedFile[], removed: readonly string[] = []): void {
    for (const file of changed) {
      const at = this.files.findIndex((each) => each.file.fileId === file.file.fileId);
      this.files.splice(at < 0 ? this.files.length : at, at < 0 ? 0 : 1, file);
    }
    const gone = new Set(removed);
    this.files.splice(0, Infinity, ...this.files.filter(({ file }) => !gone.has(file.fileId)));
    this.tell("files", { changed: changed.map(fileJson), removed });
  }

  tellPeers(changed: readonly ViewedPeer[], removed: readonly string[] = []): void {
    this.tell("peers", { changed: changed.map(peerJson), removed });
  }

  tellTransfers(changed: readonly ViewedTransfer[]): void {
    this.tell("transfers", { changed: changed.map(transferJson) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#ticking);
    clearInterval(this.#telling);
    for (const { end } of this.made.watchers) end();
    await this.#server.shutdown();
  }
}

/** Returns fake files: every third is held here, some are this peer's own, some at risk. */
export function filesOf(count: number, us = "us"): ViewedFile[] {
  return Array.from({ length: count }, (_, i) => {
    const held = i % 3 === 0;
    const others = Array.from({ length: i % 4 }, (_, k) => `peer ${(i + k) % 12}`);
    return {
      file: fileOf({
        name: `report-${i}.pdf`,
        owner: i % 10 === 0 ? us : `peer ${i % 12}`,
        sizeBytes: 1_000 + i * 997,
        timestamp: { text: String(1_740_000_000 + i * 60), quoted: false },
      }),
      held,
      holders: held ? [us, ...others] : others,
    };
  });
}

export function peersOf(count: number): ViewedPeer[] {
  return Array.from({ length: count }, (_, i) =>
    peerOf({
      peerId: `peer ${i}`,
      host: `10.0.${i >> 8}.${i & 255}`,
      lastSeen: Date.now() / 1000 - i % 20,
      files: i % 40,
      bootstrap: i === 0,
      extended: i % 3 > 0,
      refused: i % 7 === 0 ? i : 0,
    }));
}
