// Content in transit between two hosts: fetches, answers, pushes, and content waiting to be kept.
// Does what the I/O layers do with bulk data: verifies it by the protocol's rule and reports receipts.

import type { Effect, FetchFailure, HeldFile } from "../../protocol/effects.ts";
import type { FileData, FileRecord } from "../../protocol/wire/message.ts";
import { encodeMessage, fileDataEdges } from "../../protocol/wire/message.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import { sha256Of, verify } from "./content.ts";
import type { Host } from "./host.ts";
import type { Reply } from "./network.ts";
import { Inbound, pieces } from "./wire.ts";

type Fetch = Extract<Effect, { kind: "fetch" }>;
type FetchBatch = Extract<Effect, { kind: "fetch-batch" }>;
type Copy = Extract<Effect, { kind: "replicate" }>;
type Keep = Extract<Effect, { kind: "keep" }>;
type BulkEffect = Exclude<
  Effect,
  {
    kind:
      | "send"
      | "save"
      | "changed"
      | "trash"
      | "event"
      | "hold"
      | "say"
      | "hang-up"
      | "link"
      | "probe"
      | "call-back"
      | "relay";
  }
>;

/** Maximum time until kept content is in the store under its name, in milliseconds. */
const LONGEST_KEEP_MS = 20;

export class Transfers {
  /** Callbacks that answer on a connection while one of its messages is handled. */
  readonly replies = new Map<number, Reply>();
  readonly #waiting = new Map<number, string>();
  /** Callbacks that end a fetch, by attempt. */
  readonly #attempts = new Map<number, () => void>();
  #receipts = 0;
  #verdict: "take" | "skip" | "refuse" = "refuse";

  constructor(readonly host: Host) {}

  carryOut(effect: BulkEffect): void {
    switch (effect.kind) {
      case "answer-absent":
        this.replies.get(effect.connection)?.(this.host.outgoing(effect.bytes));
        return;
      case "serve":
        return this.#serve(effect.file, effect.ip, this.replies.get(effect.connection));
      case "serve-part": // simulated downloads have no parts
        return this.host.network.invariants.fail(this.host.peerId, "served a part");
      case "serve-batch": // simulated batches are requested one file at a time
        return this.host.network.invariants.fail(this.host.peerId, "served a batch");
      case "fetch":
        return this.#fetch(effect);
      case "fetch-also":
        return this.#fetchAlso(effect);
      case "fetch-batch":
        return this.#fetchBatch(effect, 0);
      case "adopt":
        return this.#adopt(effect);
      case "stop-fetch":
        return this.#attempts.get(effect.attempt)?.();
      case "replicate":
        return this.#copy(effect);
      case "push-verdict":
        this.#verdict = effect.verdict;
        return;
      case "keep":
        return this.#keep(effect);
      case "drop":
        this.#waiting.delete(effect.receipt);
        return;
      default:
        effect satisfies never;
    }
  }

  /** Asks the state machine whether to take content that starts to arrive. */
  offer(ip: string, connection: number, fileId: string | undefined): "take" | "skip" | "refuse" {
    this.#verdict = "refuse";
    this.host.take({
      kind: "push-offered",
      ip,
      connection,
      ...(fileId === undefined ? {} : { fileId }),
    });
    return this.#verdict;
  }

  /** Handles content that arrived complete but was not requested. */
  pushed({ file }: FileData, content: string, ip: string): void {
    const timestamp = file && verify(file.fileId, [file.timestamp], content);
    if (!file || !timestamp) {
      const text = "Pushed content does not match its file_id";
      return this.host.take({ kind: "refused", ip, reason: "content-mismatch", text });
    }
    const held = { file: { ...file, timestamp }, sizeBytes: content.length };
    const beganMs = this.host.clockMs;
    this.host.take({ kind: "arrived", receipt: this.#receipt(content), held, ip, beganMs });
  }

  #receipt(content: string): number {
    this.#waiting.set(++this.#receipts, content);
    return this.#receipts;
  }

  #keep({ receipt, held, source }: Keep): void {
    const { host } = this;
    const done = host.mine(() => {
      const content = this.#waiting.get(receipt);
      this.#waiting.delete(receipt);
      if (content === undefined) {
        return host.network.invariants.fail(host.peerId, `kept receipt ${receipt} twice`);
      }
      host.disk.set(held.file.fileId, content);
      const how = source === undefined ? "pushed" : "fetched";
      const kept = { ...held, file: { ...held.file, sha256: sha256Of(content) } };
      host.take({ kind: "held", files: [kept], how, ...(source === undefined ? {} : { source }) });
    });
    host.network.clock.after(host.network.random.between(0, LONGEST_KEEP_MS), done);
  }

  #adopt({ file, timestamps, twin, attempt }: Extract<Effect, { kind: "adopt" }>): void {
    const { host } = this;
    const { fileId } = file;
    const done = host.mine(() => {
      const content = host.disk.get(twin);
      const timestamp = content === undefined ? undefined : verify(fileId, timestamps, content);
      if (content === undefined || !timestamp) {
        const isWrong = content !== undefined;
        return host.take({ kind: "not-adopted", fileId, attempt, isWrong });
      }
      host.disk.set(fileId, content);
      const sha256 = sha256Of(content);
      const held = { file: { ...file, timestamp, sha256 }, sizeBytes: content.length };
      host.take({ kind: "held", files: [held], how: "adopted", adopted: { twin, attempt } });
    });
    host.network.clock.after(host.network.random.between(0, LONGEST_KEEP_MS), done);
  }

  #dataBytes(file: FileRecord, content: string): Uint8Array<ArrayBuffer> {
    const { before, after } = fileDataEdges(file, this.host.peer.ext);
    const utf8 = new TextEncoder();
    const hex = utf8.encode(utf8.encode(content).toHex());
    const bytes = new Uint8Array(before.length + hex.length + after.length);
    bytes.set(before);
    bytes.set(hex, before.length);
    bytes.set(after, before.length + hex.length);
    return this.host.outgoing(bytes);
  }

  #serve(file: FileRecord, ip: string, reply: Reply | undefined): void {
    const { host } = this;
    host.network.clock.after(0, host.mine(() => host.take({ kind: "served", ip })));
    const lie = host.lies.get(file.fileId);
    const content = lie === "wrong" ? `not ${file.name}` : host.disk.get(file.fileId) ?? "?";
    if (!lie) host.network.invariants.checkContent(host, file.fileId);
    const bytes = this.#dataBytes(file, content);
    if (lie === "silent") return;
    if (lie === "absent") {
      return reply?.(encodeMessage({ type: "FILE_DATA", hasContent: false }));
    }
    reply?.(lie === "cut" ? bytes.subarray(0, bytes.length - 5) : bytes);
  }

  /**
   * A further source has nothing to deliver, because simulated files are small; half of them fail, or half of the liars if there
   * are any: an honest source that fails by chance would only be asked again after a while.
   */
  #fetchAlso({ fileId, attempt, source }: Extract<Effect, { kind: "fetch-also" }>): void {
    const { network } = this.host;
    const isLiar = network.hosts.some((host) => host.isLiar && host.peerId === source);
    const mayFail = isLiar || !network.hosts.some((host) => host.isLiar);
    if (!mayFail || this.host.random.unit() < 0.5) return;
    const failed = { failure: "cut-short", text: "stopped partway through" } as const;
    const fail = () =>
      this.host.take({ kind: "source-failed", fileId, attempt, source, ...failed });
    this.host.network.clock.after(1, this.host.mine(fail));
  }

  /** Fetches the files of a batch one after another, until one fails in a way that ends a connection. */
  #fetchBatch(batch: FetchBatch, at: number): void {
    const file = batch.files[at];
    if (!file) return;
    const { source, from, voucher } = batch;
    const next = (failure?: FetchFailure) => {
      const goesOn = failure === undefined || failure === "absent" || failure === "mismatch";
      if (goesOn) return this.#fetchBatch(batch, at + 1);
      const unasked = batch.files.slice(at + 1).map(({ file: { fileId }, attempt }) => ({
        fileId,
        attempt,
      }));
      if (unasked.length > 0) this.host.take({ kind: "fetch-unasked", files: unasked });
    };
    this.#fetch(
      { kind: "fetch", ...file, source, from, voucher, isRaw: true, hasParts: false },
      next,
    );
  }

  /** `whenOver` is called when the outcome was reported, with the failure if there was one. */
  #fetch(effect: Fetch, whenOver: (failure?: FetchFailure) => void = () => {}): void {
    const { host } = this;
    const { attempt, source } = effect;
    const { fileId } = effect.file;
    let isOver = false;
    const end = (then: () => void) => {
      if (!isOver) host.mine(then)();
      isOver = true;
      this.#attempts.delete(attempt);
    };
    this.#attempts.set(attempt, () => end(() => whenOver()));
    const fail = (failure: FetchFailure, text: string) =>
      end(() => {
        host.take({ kind: "fetch-failed", fileId, source, attempt, failure, text });
        whenOver(failure);
      });
    host.lines.reach(effect.from, effect.voucher, "file", source, {}, (dialed) => {
      if (isOver || "on" in dialed) return;
      if ("failure" in dialed) {
        return fail(dialed.isOurs ? "storage" : "unreachable", dialed.failure);
      }
      if (effect.isRaw && host.random.unit() < 0.2) {
        host.take({ kind: "more-sources", fileId, attempt });
      }
      const { ext } = host.peer;
      const asked = effect.askFor ?? fileId;
      const asking = host.outgoing(encodeMessage({ type: "GET_FILE", fileId: asked, ext }));
      host.network.meter.sent(host.network.nowMs, host.index, "GET_FILE", asking.length);
      const giveUp = host.mine(() => fail("too-slow", "no byte came in time"));
      host.network.clock.after(DEFAULT_LIMITS.idleTimeoutMs, giveUp);
      host.network.carry(host, dialed, asking, {
        reply: (answer) =>
          end(() => whenOver(this.#read(effect, answer, dialed.as?.ip ?? dialed.at.ip))),
        lost: () => fail("cut-short", "connection reset"),
      });
    });
  }

  /** Reads the answer to a GET_FILE. Returns the failure, if it is one. */
  #read(
    { file, timestamps, source, attempt }: Fetch,
    answer: Uint8Array | "closed",
    ip: string,
  ): FetchFailure | undefined {
    const { host } = this;
    let outcome: HeldFile | FetchFailure = "cut-short";
    let content = "";
    const inbound = new Inbound({
      message: (message, _bytes, data) => {
        if (message.type !== "FILE_DATA") outcome = "garbage";
        else if (data === undefined) outcome = "absent";
        else {
          content = data;
          const told = message.file ? [...timestamps, message.file.timestamp] : timestamps;
          const timestamp = verify(file.fileId, told, data);
          outcome = timestamp
            ? { file: { ...file, timestamp }, sizeBytes: data.length }
            : "mismatch";
        }
      },
      offered: () => true,
      refused: () => outcome = "garbage",
    });
    if (answer !== "closed") {
      for (const piece of pieces(answer, () => host.random.unit())) inbound.feed(piece);
    }
    const result = outcome as HeldFile | FetchFailure;
    if (typeof result === "string") {
      const { fileId } = file;
      const text = `the answer was: ${result}`;
      host.take({ kind: "fetch-failed", fileId, source, attempt, failure: result, text });
      return result;
    }
    const receipt = this.#receipt(content);
    host.take({ kind: "arrived", receipt, held: result, ip, source, attempt });
    return undefined;
  }

  #copy({ file, to, voucher, peerId }: Copy): void {
    const { host } = this;
    const about = { to, peerId, ticket: { for: "replicate", fileId: file.fileId } } as const;
    const what = "FILE_DATA";
    const failed = host.mine(() =>
      host.take({ kind: "unreachable", ...about, what, text: "connection reset" })
    );
    host.lines.reach(to, voucher, "news", peerId, {}, (dialed, isDialed) => {
      if ("on" in dialed) return;
      if ("failure" in dialed) {
        const kind = dialed.isOurs ? "unsent" : "unreachable";
        return host.take({ kind, ...about, what, text: dialed.failure });
      }
      const content = host.disk.get(file.fileId);
      if (content === undefined) return failed();
      const bytes = this.#dataBytes(file, content);
      host.network.meter.sent(host.network.nowMs, host.index, "FILE_DATA", bytes.length);
      const led = isDialed ? { ip: dialed.at.ip } : {};
      const taken = host.mine(() => host.take({ kind: "sent", ...about, ...led }));
      host.network.carry(host, dialed, bytes, { taken, lost: failed });
    });
  }
}
