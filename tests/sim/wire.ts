// The receiving side of one virtual connection, with the real scanner, hex decoder, and message decoder. Takes
// bytes in pieces, as from a socket, and produces the inputs that the I/O layers would pass to the state machine.
// File content is collected in memory, because it is small in the simulation.

import { ProtocolError } from "../../protocol/wire/errors.ts";
import { type FrameHandler, FrameScanner } from "../../protocol/wire/frame.ts";
import { HexDecoder } from "../../protocol/wire/hex.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import { decodeMessage, type Message, peekEnvelope } from "../../protocol/wire/message.ts";

export interface InboundHandler {
  /** `content`: the decoded "data" field, if it was accepted. */
  message(message: Message, bytes: Uint8Array, content: string | undefined): void;
  /** Called when content starts. Returns whether to accept it. */
  offered(fileId: string | undefined): boolean;
  refused(error: ProtocolError): void;
}

const text = new TextDecoder("latin1");

/** Decodes the bytes of one connection. Unusable after a rejection. */
export class Inbound implements FrameHandler {
  readonly #scanner = new FrameScanner(this, DEFAULT_LIMITS);
  #hex: HexDecoder | undefined;
  #content: string | undefined;
  #broken = false;

  constructor(readonly handler: InboundHandler) {}

  /** Whether the input is between messages, so that nothing was cut short. */
  get idle(): boolean {
    return this.#scanner.idle && !this.#broken;
  }

  feed(piece: Uint8Array): void {
    if (this.#broken) return;
    try {
      this.#scanner.feed(piece);
    } catch (error) {
      // Any other error is a bug and ends the run.
      if (!(error instanceof ProtocolError)) throw error;
      this.#broken = true;
      this.handler.refused(error);
    }
  }

  message(bytes: Uint8Array, streamed: boolean): void {
    const { message } = decodeMessage(bytes, streamed);
    const content = this.#content;
    this.#content = undefined;
    this.handler.message(message, bytes, content);
  }

  dataStart(envelope: Uint8Array): void {
    const taken = this.handler.offered(peekEnvelope(envelope).fileId);
    this.#hex = taken ? new HexDecoder() : undefined;
    this.#content = taken ? "" : undefined;
  }

  data(piece: string): void {
    if (this.#hex) this.#content += text.decode(this.#hex.decode(piece));
  }

  dataEnd(): void {
    this.#hex?.end();
  }
}

/** Splits the bytes into one piece, or sometimes two or three, since sockets promise no boundaries. */
export function pieces(bytes: Uint8Array, random: () => number): Uint8Array[] {
  if (random() < 0.9) return [bytes];
  const cuts = [random(), random()].map((lot) => Math.floor(lot * 1.5 * bytes.length));
  const inside = cuts.filter((cut) => cut > 0 && cut < bytes.length).sort((a, b) => a - b);
  const edges = [0, ...inside, bytes.length];
  return edges.slice(1).map((end, i) => bytes.subarray(edges[i]!, end));
}

/** Joins the pieces. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

const extField = /,"ext":\{[^{}]*\}|,"size_bytes":\d+/g;

/** Returns the message as a peer without extensions would write or read it. */
export function withoutExtensions(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text.decode(bytes).replace(extField, ""));
}
