// The peer as one machine: inputs in, effects out. PURE, and the only door to the rules.
// `handle` is plain synchronous code without clock, chance or I/O of its own, so the same inputs give the
// same effects, and hundreds of peers can run in one process on a virtual clock (tests/sim).

import type { DeletionProgress } from "./files/deletions.ts";
import type { Effect, Input } from "./effects.ts";
import type { Bounded } from "./bounds/expiring.ts";
import { Gossiping } from "./members/gossip.ts";
import { Lists } from "./members/lists.ts";
import type { Message } from "./wire/message.ts";
import { Sharing } from "./files/sharing.ts";
import { type PeerConfig, PeerState } from "./state.ts";

type MessageInput = Extract<Input, { kind: "message" }>;

export class Peer {
  readonly state: PeerState;
  /** Everything that is remembered, against its bounds. */
  readonly sizes: readonly Bounded[];
  readonly #gossiping: Gossiping;
  readonly #lists: Lists;
  readonly #sharing: Sharing;

  constructor(config: PeerConfig) {
    this.state = new PeerState(config);
    this.#lists = new Lists(this.state);
    this.#sharing = new Sharing(this.state, this.#lists);
    this.#gossiping = new Gossiping(this.state, this.#lists, {
      synchronized: (alone) => this.#sharing.startAutoFetch(alone),
      peerCame: (record) => this.#sharing.onPeerCame(record),
    });
    this.sizes = [
      ...this.state.sizes,
      ...this.#gossiping.sizes,
      ...this.#lists.sizes,
      ...this.#sharing.sizes,
    ];
  }

  /** Whether the first lists are here. */
  get synchronized(): boolean {
    return this.#gossiping.joining.synchronized;
  }

  /** Downloads that run or wait. */
  get pendingDownloads(): number {
    return this.#sharing.downloads.pending;
  }

  /** Downloads that are tried again later. */
  get wishedDownloads(): number {
    return this.#sharing.downloads.wishes;
  }

  /** How far the news of a deletion of ours has come; undefined when it is not followed any more. */
  deletionProgress(fileId: string): DeletionProgress | undefined {
    return this.#sharing.deletions.progress(fileId);
  }

  /**
   * Takes one input at a time and returns what is to be done, in order. `nowMs` is a monotonic clock in
   * milliseconds. Never throws for anything that came from the network.
   */
  handle(input: Input, nowMs: number): Effect[] {
    this.state.nowMs = Math.max(this.state.nowMs, nowMs);
    this.#dispatch(input);
    return this.state.takeEffects();
  }

  #dispatch(input: Input): void {
    const { state } = this;
    switch (input.kind) {
      case "start":
        return this.#gossiping.start();
      case "tick":
        this.#gossiping.tick();
        this.#lists.tick();
        this.#sharing.tick();
        if (state.catalogue.expire(state.nowMs)) state.save();
        return;
      case "message":
        return this.#onMessage(input);
      case "refused":
        if (input.dialled !== undefined) this.#onRubbish(input.dialled, input);
        return this.#onRefused(input.ip, input);
      case "sent":
      case "unreachable":
      case "unsent":
        return this.#onSendEnded(input);
      case "served":
        return this.#sharing.onServed(input.ip);
      case "push-offered":
        return this.#sharing.onPushOffered(input);
      case "arrived":
        return this.#sharing.onArrived(input);
      case "fetch-failed":
        return this.#sharing.downloads.failed(
          input.fileId,
          input.attempt,
          input.failure,
          input.text,
        );
      case "keep-failed":
        return this.#sharing.onKeepFailed(input);
      case "held":
        return this.#sharing.onHeld(input);
      case "lost":
        return this.#sharing.onLost(input);
      case "renamed":
        return this.#sharing.onRenamed(input.files);
      case "space":
        return this.#sharing.onSpace();
      case "want":
        return this.#sharing.onWant(input.fileId);
      case "cancel":
        return this.#sharing.onCancel(input.fileId);
      case "delete":
        return this.#sharing.onPersonDeletes(input.fileId);
      default:
        input satisfies never;
    }
  }

  #onSendEnded(input: Extract<Input, { kind: "sent" | "unreachable" | "unsent" }>): void {
    const { ticket, peerId } = input;
    if (ticket?.for === "copy") {
      if (input.kind === "sent") this.#sharing.onCopied(ticket.fileId, peerId ?? "?");
      else this.#sharing.onCopyFailed(ticket.fileId);
      return;
    }
    if (input.kind === "sent") {
      this.#gossiping.onSent(input.to, input.ip, peerId);
    } else if (input.kind === "unreachable") this.#gossiping.onUnreachable(input);
    else this.#gossiping.onUnsent(input);
    if (ticket?.for === "broadcast") this.#sharing.onSendEnded();
    if (ticket?.for === "delete") {
      this.#sharing.deletions.sendEnded(ticket.fileId, peerId, input.kind === "sent");
    }
  }

  #onMessage({ message, ip, connection }: MessageInput): void {
    this.state.tell({ name: "request", ip, text: describe(message) });
    switch (message.type) {
      case "GOSSIP":
        return this.#gossiping.onGossip(message, ip);
      case "GOSSIP_REPLY":
        return this.#onReply(message, ip);
      case "ANNOUNCE":
        return this.#sharing.onAnnounce(message, ip);
      case "GET_FILE":
        this.#hearFrom(ip);
        return this.#sharing.onGet(message, connection, ip);
      case "DELETE":
        return this.#sharing.onDelete(message, ip);
      case "FILE_DATA":
        // Content was taken care of while it streamed; without content there is nothing to do.
        if (!message.hasContent) {
          this.#onRefused(ip, { reason: "unsolicited", text: "FILE_DATA without content" });
        }
        return this.#hearFrom(ip);
      default:
        message satisfies never;
    }
  }

  #onReply(message: Extract<Message, { type: "GOSSIP_REPLY" }>, ip: string): void {
    const heard = this.#gossiping.onReply(message, ip);
    for (const file of message.files) {
      this.#sharing.considerFetching(file.fileId, heard?.news.has(file.fileId));
      if (heard && heard.record.ip === ip) this.#sharing.remindOfDeletion(file, heard.record);
    }
  }

  /** Messages without a name count as life where the machine has one peer only. */
  #hearFrom(ip: string): void {
    const record = this.state.membership.soleAt(ip);
    if (record) record.lastHeardMs = this.state.nowMs;
  }

  /** Who was asked answered with rubbish. One that is slow or breaks off is no liar. */
  #onRubbish(peerId: string, { reason, text }: Extract<Input, { kind: "refused" }>): void {
    const record = this.state.membership.get(peerId);
    if (!record || reason === "cut-short" || reason === "too-slow") return;
    this.state.offended(record, `answered with rubbish: ${text}`);
  }

  #onRefused(
    ip: string,
    { reason, text }: Pick<Extract<Input, { kind: "refused" }>, "reason" | "text">,
  ) {
    // Whose process it was at that address is not known; where one peer is, its row shows the count.
    const record = this.state.membership.soleAt(ip);
    if (record) record.refusals++;
    this.state.refuse(ip, reason, text);
  }
}

/** One line on what a message asks, for people; names are as they came and must be shown escaped. */
export function describe(message: Message): string {
  switch (message.type) {
    case "GOSSIP":
      return `GOSSIP of ${message.peerId}`;
    case "GOSSIP_REPLY":
      return `GOSSIP_REPLY of ${message.peerId}, ${message.files.length} ${
        message.files.length === 1 ? "file" : "files"
      }`;
    case "GET_FILE":
      return `GET_FILE ${message.fileId}`;
    case "FILE_DATA":
      return `FILE_DATA ${message.file?.name ?? "of nothing"}`;
    case "ANNOUNCE":
      return `ANNOUNCE of ${message.from}: ${message.file.name}`;
    case "DELETE":
      return `DELETE of ${message.from}: ${message.fileId}`;
    default:
      return message satisfies never;
  }
}
