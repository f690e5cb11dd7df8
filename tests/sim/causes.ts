// Checks that every effect has a cause: what a peer may do in response to one input. One instance per process.
// The table lists the kinds of effect each input may have; the checks after it restrict the individual effects.

import { addressText } from "../../protocol/wire/address.ts";
import type { Effect, Input } from "../../protocol/effects.ts";
import type { Message } from "../../protocol/wire/message.ts";
import type { Peer } from "../../protocol/peer.ts";

type Kind = Effect["kind"] | `send ${Message["type"]}`;
type Cause = Input["kind"] | Message["type"];

/** Allowed effects by input. Any input may also cause events and saves. */
const ALLOWED: Readonly<Record<Exclude<Cause, "message">, readonly Kind[]>> = {
  load: [],
  loading: [],
  connect: ["send GOSSIP"],
  discovered: ["send GOSSIP"],
  "own-address": ["send GOSSIP", "send GOSSIP_REPLY", "hang-up"],
  complete: ["fetch", "adopt", "fetch-batch"],
  start: ["send GOSSIP"],
  tick: [
    "send GOSSIP",
    "send GOSSIP_REPLY",
    "send ANNOUNCE",
    "send DELETE",
    "fetch",
    "adopt",
    "fetch-batch",
    "stop-fetch",
    "replicate",
    "link",
    "say",
    "probe",
    "hang-up",
  ],
  GOSSIP: ["send GOSSIP", "send GOSSIP_REPLY", "hold", "hang-up"],
  // A stranger's reply may name a live peer, which is then contacted. New files may be fetched, and the first lists
  // complete joining. A peer that lists a file its owner deleted here is sent the DELETE it missed.
  GOSSIP_REPLY: [
    "send GOSSIP",
    "send DELETE",
    "fetch",
    "fetch-also",
    "adopt",
    "fetch-batch",
    "hang-up",
    "say",
  ],
  // A peer that is heard of for the first time is greeted, and one that can be reached now gets our list.
  LINK: ["say", "hold", "hang-up", "send GOSSIP", "send GOSSIP_REPLY"],
  CONNECT: ["relay", "call-back", "hang-up"],
  ANNOUNCE: ["fetch", "fetch-also", "adopt", "fetch-batch", "send DELETE", "say"],
  GET_FILE: ["serve", "serve-part", "fetch-also", "serve-batch", "answer-absent"],
  FILE_DATA: [],
  DELETE: ["trash", "fetch", "adopt", "fetch-batch", "stop-fetch"],
  refused: [],
  // The name's address is now confirmed, so its gossip may be forwarded. The next send of a broadcast follows.
  sent: ["send GOSSIP", "send ANNOUNCE", "send DELETE", "send GOSSIP_REPLY"],
  // Once a moved peer's new address is known, it is sent everything at once.
  unreachable: [
    "send GOSSIP",
    "send GOSSIP_REPLY",
    "send ANNOUNCE",
    "send DELETE",
    "replicate",
    "fetch",
    "adopt",
    "fetch-batch",
    "hang-up",
  ],
  unsent: ["replicate", "send ANNOUNCE", "send DELETE", "send GOSSIP_REPLY"],
  served: [],
  dialed: ["say", "hang-up"],
  linked: ["hang-up"],
  "not-linked": [],
  ended: [],
  "passed-on": [],
  "push-offered": ["push-verdict"],
  arrived: ["keep", "drop", "fetch", "adopt", "fetch-batch", "stop-fetch"],
  "fetch-failed": ["fetch", "adopt", "fetch-batch"],
  "not-adopted": ["fetch", "adopt", "fetch-batch"],
  "more-sources": ["fetch-also"],
  fellows: ["fetch-also"],
  "source-failed": ["fetch-also"],
  "fetch-unasked": ["fetch", "adopt", "fetch-batch"],
  "keep-failed": ["fetch", "adopt", "fetch-batch", "stop-fetch"],
  held: [
    "send ANNOUNCE",
    "send GOSSIP_REPLY",
    "replicate",
    "trash",
    "fetch",
    "adopt",
    "fetch-batch",
    "stop-fetch",
  ],
  renamed: ["send ANNOUNCE", "send GOSSIP_REPLY"],
  lost: ["fetch", "adopt", "fetch-batch", "send DELETE"],
  space: ["fetch", "adopt", "fetch-batch"],
  unwanted: [],
  want: ["fetch", "adopt", "fetch-batch"],
  first: ["fetch", "adopt", "fetch-batch"],
  cancel: ["fetch", "adopt", "fetch-batch", "stop-fetch"],
  delete: ["trash", "send DELETE", "fetch", "adopt", "fetch-batch", "stop-fetch"],
  watch: [],
};

/** Inputs that must be answered with exactly one of these effects. */
const ANSWERS: Partial<Record<Cause, readonly Kind[]>> = {
  GET_FILE: ["serve", "serve-part", "serve-batch", "answer-absent"],
  "push-offered": ["push-verdict"],
  arrived: ["keep", "drop"],
};

export class Causes {
  /** Names and addresses that have gossiped. Only they may be sent a reply. */
  readonly #gossiped = new Set<string>();
  readonly #receipts = new Set<number>();
  #published = new Set<string>();
  /** Connections that this peer opened and keeps. */
  readonly #linked = new Set<number>();

  /** Returns why an effect has no cause, or undefined if all have one. */
  lacking(peer: Peer, input: Input, effects: readonly Effect[]): string | undefined {
    const cause = input.kind === "message" ? input.message.type : input.kind;
    this.#note(input);
    const kinds = effects.map(kindOf);
    for (const kind of kinds) {
      if (kind === "event" || kind === "save") continue;
      if (!ALLOWED[cause].includes(kind)) return `"${kind}" must not follow "${cause}"`;
    }
    const answers = ANSWERS[cause];
    const given = kinds.filter((kind) => answers?.includes(kind)).length;
    if (answers && given !== 1) return `"${cause}" has ${given} answers instead of 1`;
    for (const effect of effects) {
      const why = this.#lacks(peer, input, effect);
      if (why !== undefined) return `"${kindOf(effect)}" after "${cause}": ${why}`;
    }
    return undefined;
  }

  #note(input: Input): void {
    if (input.kind === "arrived") this.#receipts.add(input.receipt);
    if (input.kind === "linked") this.#linked.add(input.connection);
    if (input.kind === "held" && (input.how === "published" || input.how === "restored")) {
      for (const { file } of input.files) this.#published.add(file.fileId);
    }
    if (input.kind !== "message" || input.message.type !== "GOSSIP") return;
    const { peerId, host, port } = input.message;
    this.#gossiped.add(peerId);
    this.#gossiped.add(addressText({ host: host || input.ip, port }));
  }

  #lacks(peer: Peer, input: Input, effect: Effect): string | undefined {
    const { catalogue, membership, nowMs } = peer;
    switch (effect.kind) {
      case "send":
        if (effect.what !== "GOSSIP_REPLY" || effect.isBroadcast) return undefined;
        return this.#gossiped.has(effect.peerId ?? addressText(effect.to))
          ? undefined
          : `${addressText(effect.to)} never gossiped`;
      case "serve":
      case "answer-absent":
        if (input.kind !== "message" || input.connection !== effect.connection) {
          return "wrong connection";
        }
        return effect.kind === "answer-absent" || catalogue.get(effect.file.fileId)?.held
          ? undefined
          : "the file is not held";
      case "push-verdict":
        return input.kind === "push-offered" && input.connection === effect.connection
          ? undefined
          : "wrong connection";
      case "keep":
      case "drop":
        return this.#receipts.delete(effect.receipt)
          ? undefined
          : "no such receipt, or it was already handled";
      case "serve-part":
      case "serve-batch":
        if (effect.kind === "serve-part" && catalogue.get(effect.fileId)?.held) {
          return "the file is held";
        }
        return input.kind === "message" && input.connection === effect.connection
          ? undefined
          : "wrong connection";
      case "fetch":
      case "fetch-batch":
        if (!membership.get(effect.source)) return `${effect.source} is not tracked`;
        for (const { file: { fileId } } of effect.kind === "fetch" ? [effect] : effect.files) {
          const entry = catalogue.get(fileId);
          if (!entry || entry.held) return "the file is already held, or unknown";
          const askFor = "askFor" in effect ? effect.askFor : undefined;
          if (!mayAsk(catalogue, fileId, effect.source, askFor)) {
            return `${effect.source} does not hold it`;
          }
          if (catalogue.tombstones.has(fileId, nowMs)) return "the file is deleted";
        }
        return undefined;
      case "fetch-also": {
        const entry = catalogue.get(effect.fileId);
        if (!entry || entry.held) return "the file is already held, or unknown";
        return mayAsk(catalogue, effect.fileId, effect.source, effect.askFor)
          ? undefined
          : `${effect.source} does not hold it`;
      }
      case "adopt":
        return catalogue.get(effect.twin)?.held && !catalogue.get(effect.file.fileId)?.held
          ? undefined
          : "the twin is not held, or the file is";
      case "replicate":
        return this.#published.has(effect.file.fileId)
          ? undefined
          : "the file was not published here";
      case "trash":
        return effect.fileIds.some((fileId) => catalogue.get(fileId)?.held)
          ? "a file is held"
          : undefined;
      case "hold":
        return input.kind === "message" && input.connection === effect.connection
          ? undefined
          : "wrong connection";
      case "say":
        return this.#linked.has(effect.connection) ||
            peer.keeperOf(effect.connection) !== undefined ||
            (input.kind === "message" && input.connection === effect.connection)
          ? undefined
          : "nobody keeps this connection";
      case "link":
        return membership.get(effect.peerId)?.can.includes("links")
          ? undefined
          : `${effect.peerId} does not take it`;
      case "probe":
        return membership.get(effect.peerId) ? undefined : `${effect.peerId} is not tracked`;
      case "call-back": {
        const isLink = input.kind === "message" && input.ours &&
          this.#linked.has(input.connection);
        return isLink && membership.get(effect.key) ? undefined : "nobody may ask for it";
      }
      case "relay":
        return input.kind === "message" && input.message.type === "CONNECT" &&
            peer.keeperOf(effect.link) === input.message.to
          ? undefined
          : "the peer does not keep this connection";
      case "hang-up":
      case "stop-fetch":
      case "save":
      case "changed":
      case "event":
        return undefined;
      default:
        return effect satisfies never;
    }
  }
}

function kindOf(effect: Effect): Kind {
  return effect.kind === "send" ? `send ${effect.what}` : effect.kind;
}

/** Returns whether a peer holds a file, or the file `askFor` that is said to have the same content. */
function mayAsk(
  catalogue: Peer["catalogue"],
  fileId: string,
  source: string,
  askFor: string | undefined,
): boolean {
  const [entry, twin] = [catalogue.get(fileId), catalogue.get(askFor ?? fileId)];
  const isTwin = askFor === undefined || entry?.file.sha256 === twin?.file.sha256;
  return isTwin && twin?.holders.has(source) === true;
}
