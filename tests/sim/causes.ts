// No effect without a cause: what a peer may do about one input, and nothing else. One instance watches one process.
// The table says which kinds of effect an input may bring; the checks behind it say which ones of a kind.

import { addressText } from "../../protocol/wire/address.ts";
import type { Effect, Input } from "../../protocol/effects.ts";
import type { Message } from "../../protocol/wire/message.ts";
import type { Peer } from "../../protocol/peer.ts";

type Kind = Effect["kind"] | `send ${Message["type"]}`;
type Cause = Input["kind"] | Message["type"];

/** Events and saving may follow on anything. */
const ALLOWED: Readonly<Record<Exclude<Cause, "message">, readonly Kind[]>> = {
  load: [],
  start: ["send GOSSIP"],
  tick: [
    "send GOSSIP",
    "send GOSSIP_REPLY",
    "send ANNOUNCE",
    "send DELETE",
    "fetch",
    "stop-fetch",
    "replicate",
  ],
  GOSSIP: ["send GOSSIP", "send GOSSIP_REPLY"],
  // A stranger's reply may name a live peer, which is asked then; news may be fetched, first lists end joining; who
  // lists what its owner here deleted missed that.
  GOSSIP_REPLY: ["send GOSSIP", "send DELETE", "fetch"],
  ANNOUNCE: ["fetch", "send DELETE"],
  GET_FILE: ["serve", "answer-absent"],
  FILE_DATA: [],
  DELETE: ["trash", "fetch", "stop-fetch"],
  refused: [],
  // Where a name leads is known now, and gossip from there may be handed on; the next one of a broadcast goes out.
  sent: ["send GOSSIP", "send ANNOUNCE", "send DELETE", "send GOSSIP_REPLY"],
  // Who moved is told all at once.
  unreachable: [
    "send GOSSIP",
    "send GOSSIP_REPLY",
    "send ANNOUNCE",
    "send DELETE",
    "replicate",
    "fetch",
  ],
  unsent: ["replicate", "send ANNOUNCE", "send DELETE", "send GOSSIP_REPLY"],
  served: [],
  "push-offered": ["push-verdict"],
  arrived: ["keep", "drop", "fetch", "stop-fetch"],
  "fetch-failed": ["fetch"],
  "keep-failed": ["fetch", "stop-fetch"],
  held: ["send ANNOUNCE", "send GOSSIP_REPLY", "replicate", "trash", "fetch", "stop-fetch"],
  renamed: ["send ANNOUNCE", "send GOSSIP_REPLY"],
  lost: ["fetch", "send DELETE"],
  space: ["fetch"],
  unwanted: [],
  want: ["fetch"],
  cancel: ["fetch", "stop-fetch"],
  delete: ["trash", "send DELETE", "fetch", "stop-fetch"],
  watch: [],
};

/** Exactly one of these is the answer to such an input. */
const ANSWERS: Partial<Record<Cause, readonly Kind[]>> = {
  GET_FILE: ["serve", "answer-absent"],
  "push-offered": ["push-verdict"],
  arrived: ["keep", "drop"],
};

export class Causes {
  /** Who gossiped, by name and as an address: only they are answered. */
  readonly #gossiped = new Set<string>();
  readonly #receipts = new Set<number>();
  #published = new Set<string>();

  /** Why an effect has no cause; undefined when all have. */
  lacking(peer: Peer, input: Input, effects: readonly Effect[]): string | undefined {
    const cause = input.kind === "message" ? input.message.type : input.kind;
    this.#note(input);
    const kinds = effects.map(kindOf);
    for (const kind of kinds) {
      if (kind === "event" || kind === "save") continue;
      if (!ALLOWED[cause].includes(kind)) return `"${kind}" follows on "${cause}"`;
    }
    const answers = ANSWERS[cause];
    const given = kinds.filter((kind) => answers?.includes(kind)).length;
    if (answers && given !== 1) return `"${cause}" has ${given} answers`;
    for (const effect of effects) {
      const why = this.#lacks(peer, input, effect);
      if (why !== undefined) return `${kindOf(effect)} on "${cause}": ${why}`;
    }
    return undefined;
  }

  #note(input: Input): void {
    if (input.kind === "arrived") this.#receipts.add(input.receipt);
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
          return "it is another connection";
        }
        return effect.kind === "answer-absent" || catalogue.get(effect.file.fileId)?.held
          ? undefined
          : "it is not held";
      case "push-verdict":
        return input.kind === "push-offered" && input.connection === effect.connection
          ? undefined
          : "it is another connection";
      case "keep":
      case "drop":
        return this.#receipts.delete(effect.receipt) ? undefined : "nothing arrived, or it is over";
      case "fetch": {
        const { fileId } = effect.file;
        const entry = catalogue.get(fileId);
        if (!entry || entry.held) return "it is held, or not known";
        if (!entry.holders.has(effect.source)) return `${effect.source} does not hold it`;
        if (!membership.get(effect.source)) return `${effect.source} is not tracked`;
        return catalogue.tombstones.has(fileId, nowMs) ? "it is deleted" : undefined;
      }
      case "replicate":
        return this.#published.has(effect.file.fileId) ? undefined : "it was not published here";
      case "trash":
        return catalogue.get(effect.fileId)?.held ? "it is held" : undefined;
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
