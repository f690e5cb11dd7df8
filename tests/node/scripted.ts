// A download against scripted sources, without a network: what each answers to its nth request is a function.

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Connection } from "../../net/connection.ts";
import { Download } from "../../node/download.ts";
import type { Receipts } from "../../node/receipts.ts";
import type { Sources } from "../../node/sources.ts";
import { TransferLog } from "../../node/transfer_log.ts";
import type { TransferOptions, TransferStore } from "../../node/transfer_options.ts";
import type { Input } from "../../protocol/effects.ts";
import { chunksOf, DIGEST_BYTES, listBytesOf } from "../../protocol/chunks.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import { Ranges } from "../../protocol/ranges.ts";
import type { Ext } from "../../protocol/wire/ext.ts";
import type { FileRecord } from "../../protocol/wire/message.ts";
import { rawHeader } from "../../protocol/wire/raw.ts";
import { Assembly, type Begun } from "../../storage/assembly.ts";
import { Space } from "../../storage/space.ts";
import { inTempDir } from "../storage/fixture.ts";

export const MIB = 1024 ** 2;
const TIMESTAMP = { text: "1744170562", quoted: false };
/** Id under which some sources hold the content. */
const TWIN = "7".repeat(64);
const utf8 = new TextEncoder();

/** What a source does with its nth request. */
type Answer =
  | {
    readonly total: number;
    readonly content: Uint8Array;
    /** What else the header says, and how much less it sends. */
    readonly parts?: Partial<Ext>;
    readonly sent?: number;
    /** The answer, or each MiB of it, waits for this. */
    readonly after?: Promise<void>;
    readonly piecesAfter?: Promise<void>;
  }
  | { readonly text: string; readonly after?: Promise<void> }
  | "closes";
export type Script = (offset: number, length: number, n: number, ext: Ext) => Answer;

export function contentOf(sizeBytes: number, seed = 1): Uint8Array {
  const content = new Uint8Array(sizeBytes);
  for (let i = 0; i < sizeBytes; i++) content[i] = i * seed + (i >> 10);
  return content;
}

/** A source that sends one content. */
export const honest = (content: Uint8Array): Script => () => ({ total: content.length, content });
export const ABSENT = { text: `{"type":"FILE_DATA","file_id":null,"data":null}` };
export const IN_HEX = { text: `{"type":"FILE_DATA","data":"6865` };

/** The near end of a connection to a scripted source. */
class Scripted {
  readonly ip = "127.0.0.1";
  closed = false;
  #pieces: Uint8Array[] = [];
  #isAtEnd = false;
  #wake = () => {};
  #turn: Promise<void> = Promise.resolve();
  #n = 0;

  constructor(
    readonly file: FileRecord,
    readonly script: Script,
    readonly asked: [number, number][],
  ) {}

  write(bytes: Uint8Array): Promise<void> {
    const { file_id: fileId, ext } = JSON.parse(new TextDecoder().decode(bytes));
    const { raw, chunks } = ext;
    strictEqual(fileId, this.file.fileId, "the id that this source knows");
    const [offset, length] = raw;
    if (!chunks && length > 0) this.asked.push([offset, length]);
    const answer = this.script(offset, length, this.#n++, ext);
    this.#turn = this.#turn.then(() => this.#answer(answer, offset, length));
    return Promise.resolve();
  }

  async #answer(answer: Answer, offset: number, wanted: number): Promise<void> {
    if (answer === "closes") return this.#end();
    await answer.after;
    if ("text" in answer) {
      this.#push(utf8.encode(answer.text));
      return this.#end();
    }
    const length = answer.sent ?? Math.min(wanted, answer.total - offset);
    const ext = { v: 1, ...answer.parts };
    this.#push(rawHeader(this.file, ext, { offset, length }, answer.total));
    for (let at = 0; at < length; at += MIB) {
      await answer.piecesAfter;
      this.#push(answer.content.subarray(offset + at, offset + Math.min(length, at + MIB)));
    }
  }

  #push(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#wake();
  }

  #end(): void {
    this.#isAtEnd = true;
    this.#wake();
  }

  async readContent(buffer: Uint8Array): Promise<number | null> {
    while (this.#pieces.length === 0) {
      if (this.closed) throw new Deno.errors.BadResource("Closed");
      if (this.#isAtEnd) return null;
      await new Promise<void>((go) => this.#wake = go);
    }
    const piece = this.#pieces[0]!;
    const read = Math.min(piece.length, buffer.length);
    buffer.set(piece.subarray(0, read));
    if (read < piece.length) this.#pieces[0] = piece.subarray(read);
    else this.#pieces.shift();
    return read;
  }

  close(): void {
    this.closed = true;
    this.#wake();
  }

  giveUp(): void {
    this.close();
  }
}

export interface Scene {
  readonly content: Uint8Array;
  /** The sources; the first one is asked first, the others once more are wanted. */
  readonly sources: Readonly<Record<string, Script>>;
  /** Those of them that are said to hold the content under another id. */
  readonly elsewhere?: readonly string[];
  /** Those that know of parts, and those that fetch the file too: the latter are named by the core, not by `sources`. */
  readonly withParts?: readonly string[];
  readonly fellows?: readonly string[];
  /** The size that was announced. */
  readonly announced?: number;
  readonly begun?: Begun;
  /** Called when the download has begun. */
  readonly act?: (download: Download) => void;
}

export interface Told {
  /** What was reported: for each report its kind, source and failure. */
  readonly reports: readonly string[];
  readonly asked: Readonly<Record<string, readonly [number, number][]>>;
  /** What `run` resolved to. */
  readonly isOver: boolean;
  /** What became of the content: "kept" for the next attempt, with its size, "removed", or handed on. */
  readonly fate: string;
}

/** Runs a download to its end. */
export async function download(
  { content, sources, elsewhere, withParts, fellows, announced, begun, act }: Scene,
): Promise<Told> {
  let told: Told | undefined;
  await inTempDir(async (dir) => {
    const fileId = createHash("sha256").update(content).update(TIMESTAMP.text).digest("hex");
    const file = {
      fileId,
      name: "large.bin",
      owner: "hawk",
      timestamp: TIMESTAMP,
      size: 1,
      ...(announced === undefined ? {} : { sizeBytes: announced }),
    };
    const path = `${dir}/partial`;
    if (begun) {
      const there = new Uint8Array(begun.done.spans.at(-1)![1]);
      there.set(content.subarray(0, there.length));
      await Deno.writeFile(path, there);
    }
    const space = new Space(dir, 0, () => false);
    space.freeBytes = () => 10 * 1024 ** 3;
    let fate = "handed on";
    const assembly = new Assembly(path, 1e12, space, { begun, onAborted: () => fate = "removed" });
    const store: Pick<TransferStore, "assemble" | "suspend"> = {
      assemble: () => assembly,
      suspend: () => fate = `kept ${assembly.sizeBytes}`,
    };
    const asked: Record<string, [number, number][]> = {};
    const [first, ...others] = Object.keys(sources).filter((name) => !fellows?.includes(name));
    const at = (host: string) => ({
      from: { host, port: 1 },
      voucher: "operator" as const,
      hasParts: withParts?.includes(host) ?? false,
      ...(elsewhere?.includes(host) ? { askFor: TWIN } : {}),
    });
    const scripted: Pick<Sources, "ask"> = {
      ask: async ({ from: { host }, onConnection, ask }) => {
        await Promise.resolve();
        const twin = { ...file, fileId: TWIN, timestamp: { text: "1", quoted: false } };
        const known = elsewhere?.includes(host) ? twin : file;
        const one = new Scripted(known, sources[host]!, asked[host] ??= []);
        const connection = one as unknown as Connection;
        try {
          onConnection(connection);
          const { answer } = await ask({ connection, onAnswering: () => {} });
          return { answer, ip: one.ip };
        } finally {
          one.close();
        }
      },
    };
    const reports: string[] = [];
    const dispatch = (input: Input) => {
      if (input.kind === "more-sources") {
        for (const host of others) running.add(host, at(host));
        for (const host of fellows ?? []) {
          running.add(host, { ...at(host), hasParts: true, isFellow: true });
        }
      } else if (input.kind === "fellows") reports.push(`fellows ${input.peerIds}`);
      else if (input.kind === "arrived") reports.push(`arrived ${input.source}`);
      else if (input.kind === "source-failed" || input.kind === "fetch-failed") {
        reports.push(`${input.kind} ${input.source} ${input.failure}`);
      }
    };
    const log = new TransferLog(() => performance.now());
    const move = log.begin({
      kind: "fetch",
      fileId,
      name: file.name,
      peer: first!,
      totalBytes: announced,
    });
    const downLimit = () => 0;
    const options = {
      peerId: "me",
      store,
      dispatch,
      downLimit,
      limits: DEFAULT_LIMITS,
      ext: () => ({ v: 1 }),
    };
    const running = new Download(
      {
        options: options as unknown as TransferOptions,
        sources: scripted as Sources,
        receipts: { add: () => 1 } as unknown as Receipts,
      },
      {
        kind: "fetch",
        attempt: 1,
        file,
        timestamps: [TIMESTAMP],
        source: first!,
        ...at(first!),
        isRaw: true,
      },
      move,
    );
    const ending = running.run();
    act?.(running);
    const isOver = await ending;
    if (fate === "handed on" && isOver) {
      assembly.close();
      deepStrictEqual(await Deno.readFile(path), content);
    } else assembly.close();
    told = { reports, asked, isOver, fate };
  });
  return told!;
}

/** Returns how many bytes these requests cover. */
export const covered = (asked: readonly [number, number][] = []): number =>
  new Ranges(asked.map(([offset, length]) => [offset, offset + length] as const)).bytes;

/** Returns the hashes of the chunks of some content. */
export function listOf(bytes: Uint8Array): Uint8Array {
  const list = new Uint8Array(listBytesOf(bytes.length));
  let at = 0;
  for (const [start, end] of chunksOf(bytes.length)) {
    list.set(createHash("sha256").update(bytes.subarray(start, end)).digest(), at);
    at += DIGEST_BYTES;
  }
  return list;
}
