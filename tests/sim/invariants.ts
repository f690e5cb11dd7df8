// Invariants of every peer, whatever the network does. Checks cheaply after each step, and with a full scan from
// time to time. A violation ends the run and names the host and the time.

import { type Address, addressText, type Voucher } from "../../protocol/wire/address.ts";
import type { Effect, Input } from "../../protocol/effects.ts";
import { verify } from "./content.ts";
import type { Host } from "./host.ts";
import type { Endpoint, Network } from "./network.ts";

/**
 * Addresses that a peer must never dial on a stranger's word. Deliberately independent of the program's own rule, so
 * that a bug there cannot hide itself here.
 */
const NEVER =
  /^(127\.|0\.|169\.254\.|22[4-9]\.|23\d\.|24\d\.|25[0-5]\.|::1$|::$|::ffff:127\.|f[ef][89a-f]|localhost$|127\.1$|2130706433$|0x7f)/i;
const PRIVILEGED_PORTS = 1_024;

/** Returns the files that an input concerns. Only those can have changed. */
function touchedBy(input: Input): string[] {
  switch (input.kind) {
    case "message": {
      const { message } = input;
      if (message.type === "GOSSIP_REPLY") return message.files.map(({ fileId }) => fileId);
      if (message.type === "ANNOUNCE") return [message.file.fileId];
      if (message.type === "DELETE") return [message.fileId, ...message.ext?.more ?? []];
      return message.type === "GET_FILE" ? [message.fileId] : [];
    }
    case "held":
      return input.files.map(({ file }) => file.fileId);
    case "arrived":
      return [input.held.file.fileId];
    case "lost":
      return [...input.fileIds];
    case "want":
    case "first":
    case "cancel":
    case "delete":
    case "fetch-failed":
    case "keep-failed":
      return [input.fileId];
    default:
      return [];
  }
}

/** Inputs about connections alone, which change nothing that a scan looks at. */
const AROUND: ReadonlySet<Input["kind"]> = new Set([
  "dialed",
  "linked",
  "not-linked",
  "ended",
  "passed-on",
]);

/** Number of steps between full scans of a large host. */
const SCAN_EVERY = 5_000;
/** Maximum number of peers plus files for a host to be scanned after every step. */
const SMALL = 120;

export class Violation extends Error {
  override readonly name = "Violation";
}

export class Invariants {
  readonly #verified = new Set<string>();
  readonly #steps = new Map<number, number>();

  constructor(readonly network: Network) {}

  fail(who: string, what: string): never {
    throw new Violation(`${who} at ${(this.network.nowMs / 1000).toFixed(3)} s: ${what}`);
  }

  /** Fails if this address must not be dialed on the word of whoever named it. */
  onDial(from: Endpoint, to: Address, voucher: Voucher): void {
    const isStrangers = voucher === "remote";
    let refusal = isStrangers && NEVER.test(to.host)
      ? "a stranger must not make it dial"
      : isStrangers && to.port < PRIVILEGED_PORTS
      ? "has a privileged port"
      : undefined;
    if (to.host === from.ip && to.port === from.port) refusal = "is its own address";
    if (refusal) this.fail(`host ${from.index}`, `dials ${addressText(to)}, which ${refusal}`);
  }

  /** Checks one step: every effect must have a cause, and all invariants must still hold. */
  afterStep(host: Host, input: Input, effects: readonly Effect[]): void {
    const lacking = host.causes.lacking(host.peer, input, effects);
    if (lacking !== undefined) this.fail(host.peerId, `has an effect without a cause: ${lacking}`);
    const { membership, catalogue } = host.peer;
    this.#checkBounds(host);
    for (const fileId of touchedBy(input)) this.#checkEntry(host, fileId);
    if (AROUND.has(input.kind)) return;
    // In addition, a small peer is fully scanned after every step, a large one as often as is affordable.
    const cost = catalogue.size + membership.size;
    const steps = (this.#steps.get(host.index) ?? 0) + 1;
    const isDue = steps >= (cost <= SMALL ? 1 : SCAN_EVERY);
    this.#steps.set(host.index, isDue ? 0 : steps);
    if (isDue) this.scan(host);
  }

  scanAll(): void {
    for (const host of this.network.live) this.scan(host);
  }

  /** Checks everything about one host. */
  scan(host: Host): void {
    const { catalogue } = host.peer;
    let held = 0;
    for (const { file, held: isHeld } of catalogue.all()) {
      this.#checkEntry(host, file.fileId);
      if (isHeld) held++;
    }
    if (held !== catalogue.heldCount) {
      this.fail(host.peerId, `counts ${catalogue.heldCount} held files instead of ${held}`);
    }
    this.#checkBounds(host);
  }

  #checkBounds(host: Host): void {
    for (const { name, size, max } of host.peer.sizes) {
      if (size() > max()) {
        this.fail(
          host.peerId,
          `keeps ${size()} entries in "${name}", more than the limit of ${max()}`,
        );
      }
    }
  }

  /** Checks that a listed file is not deleted, its holders are tracked, and if held, it is verified and on the disk. */
  #checkEntry(host: Host, fileId: string): void {
    const { catalogue, membership, nowMs } = host.peer;
    const entry = catalogue.get(fileId);
    if (!entry) return;
    if (catalogue.tombstones.has(fileId, nowMs)) {
      this.fail(host.peerId, `lists ${fileId}, which is deleted`);
    }
    for (const peerId of entry.holders) {
      if (!membership.get(peerId)) this.fail(host.peerId, `lists untracked ${peerId} as a holder`);
    }
    if (!entry.held) return;
    if (!entry.verified) this.fail(host.peerId, `holds ${fileId} without having verified it`);
    if (!host.isLiar) this.checkContent(host, fileId);
  }

  /** Checks that a held file is on the disk and that its content matches its id. */
  checkContent(host: Host, fileId: string): void {
    const content = host.disk.get(fileId);
    const entry = host.peer.catalogue.get(fileId);
    if (content === undefined || !entry) {
      return this.fail(host.peerId, `lost the content of ${fileId}`);
    }
    const { text, quoted } = entry.file.timestamp;
    const key = `${fileId} ${text} ${quoted} ${content}`;
    if (this.#verified.has(key)) return;
    if (!verify(fileId, [entry.file.timestamp], content)) {
      this.fail(host.peerId, `holds content that does not match ${fileId}`);
    }
    this.#verified.add(key);
  }
}
