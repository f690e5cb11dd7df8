// A stranger that is not one of our peers: sends whatever a scenario wants, as bytes, and records what comes back.

import type { Address } from "../../protocol/wire/address.ts";
import type { Ext } from "../../protocol/wire/ext.ts";
import {
  encodeMessage,
  type FileRecord,
  type Gossip,
  type GossipReply,
  type Message,
} from "../../protocol/wire/message.ts";
import type { Endpoint, Network } from "./network.ts";
import { Inbound, joined } from "./wire.ts";

export class Stranger implements Endpoint {
  readonly index: number;
  readonly ip: string;
  readonly state = "up";
  readonly life = 1;
  readonly received: Message[] = [];
  /** The name it uses, if any. */
  name = "";
  /** Called for each incoming message. */
  onMessage: (message: Message, ip: string) => void = () => {};
  #ids = 0;

  constructor(readonly network: Network, readonly port = 8115) {
    ({ index: this.index, ip: this.ip } = network.newPlace(this));
    network.listen(this, this);
  }

  get address(): Address {
    return { host: this.ip, port: this.port };
  }

  /** Returns a gossip with any name and address. */
  gossip(peerId: string, node: string, { host, port } = this.address): Gossip {
    const id = `stranger-${this.index}-${++this.#ids}`;
    return { type: "GOSSIP", peerId, host, port, id, ext: { v: 1, node } };
  }

  /** Returns a list with any name. `place` says which part of which list it is. */
  reply(
    peerId: string,
    files: readonly FileRecord[],
    place: Partial<Ext> = {},
  ): GossipReply {
    const ext = { v: 1, boot: `b${this.index}`, ...place };
    return { type: "GOSSIP_REPLY", peerId, ...this.address, files, ext };
  }

  send(to: Address, message: Message): void {
    const bytes = encodeMessage(message);
    this.network.meter.sent(this.network.nowMs, this.index, message.type, bytes.length);
    this.network.connect(this, to, "operator", (dialed) => {
      if ("at" in dialed) this.network.carry(this, dialed, bytes);
    });
  }

  receive(pieces: readonly Uint8Array[], ip: string): boolean {
    const inbound = new Inbound({
      message: (message) => {
        this.received.push(message);
        this.onMessage(message, ip);
      },
      offered: () => false,
      refused: (error) => this.network.invariants.fail(`host ${this.index}`, error.message),
    });
    inbound.feed(joined(pieces));
    return true;
  }
}
