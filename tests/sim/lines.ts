// Open connections of the virtual network: LINKs, connections that take answers, and those that are opened because somebody
// asked for them. Like net/ and node/, they carry messages both ways in order, and end when either side ends.

import type { Address, Voucher } from "../../protocol/wire/address.ts";
import type { Effect, Ours } from "../../protocol/effects.ts";
import { ANSWERS_MS } from "../../protocol/limits.ts";
import { encodeMessage } from "../../protocol/wire/message.ts";
import type { DialRank } from "../../net/dial_queue.ts";
import type { Host } from "./host.ts";
import type { Dialed } from "./network.ts";

/** One end of an open connection. */
interface End {
  readonly host: Host;
  readonly life: number;
  readonly connection: number;
  /** The address of the other end, as seen from here. */
  readonly ip: string;
  readonly ours?: Ours;
}

/** How a connection was opened, as far as its acceptor must know. */
export interface Opening {
  readonly from: Host;
  readonly life: number;
  /** The opener's number for the connection. */
  readonly connection: number;
  /** Set if the acceptor dialed it, because it was asked to; `ip` is what it sees then. */
  readonly as?: { readonly ip: string; readonly ours: Ours };
}

/** How long a dial may take before other ways are tried, in milliseconds; as in node/routes.ts. */
const HEAD_START_MS = 250;
const CALL_MS = 6_000;

/** The open connections of one process. */
export class Lines {
  readonly #far = new Map<number, End>();
  /** When what was sent last on each connection arrives: the next follows it. */
  readonly #arrivesMs = new Map<number, number>();
  readonly #openings = new Map<number, Opening>();
  readonly #awaited = new Map<string, (dialed: Dialed) => void>();

  constructor(readonly host: Host) {}

  /** The number of open connections that others opened, or that were opened for them. */
  get size(): number {
    return this.#far.size;
  }

  /** While a message that opened a connection is handled, it can be held. */
  opened(connection: number, opening: Opening | undefined, handle: () => void): void {
    if (opening) this.#openings.set(connection, opening);
    handle();
    this.#openings.delete(connection);
  }

  hold({ connection, as }: Extract<Effect, { kind: "hold" }>): void {
    const { host } = this;
    const opening = this.#openings.get(connection);
    if (!opening) return this.#far.has(connection) ? undefined : this.#tellEnded(connection);
    const { from, life } = opening;
    const { as: seen } = opening;
    const near = { host, life: host.life, connection, ip: seen?.ip ?? from.ip };
    // Neither side of a connection that is passed on sees the other one.
    const ip = seen?.ip.startsWith("relay") ? seen.ip : host.ip;
    const far = { host: from, life, connection: opening.connection, ip, ours: "asking" };
    this.#far.set(connection, far as End);
    from.lines.join(opening.connection, { ...near, ...(seen ? { ours: seen.ours } : {}) });
    if (as === "answers") {
      host.network.clock.after(ANSWERS_MS, host.mine(() => this.hangUp(connection)));
    }
  }

  join(connection: number, far: End): void {
    this.#far.set(connection, far);
  }

  /** Sends a message. Returns false if the connection is not open. */
  say(connection: number, bytes: Uint8Array): boolean {
    const { host } = this;
    const far = this.#far.get(connection);
    if (!far) return false;
    host.network.meter.sent(host.network.nowMs, host.index, "LINK", bytes.length);
    this.#later(connection, () => {
      const isThere = far.host.life === far.life && far.host.state === "up" &&
        !host.network.isCut(host, far.host) && far.host.lines.#far.has(far.connection);
      if (isThere) far.host.hears(bytes, far);
      else host.mine(() => this.#ended(connection))();
    });
    return true;
  }

  /** Closes a connection. */
  hangUp(connection: number): void {
    const { host } = this;
    const far = this.#far.get(connection);
    if (!far) return;
    this.#later(connection, () => {
      const isThere = far.host.life === far.life && !host.network.isCut(host, far.host);
      if (isThere) far.host.mine(() => far.host.lines.#ended(far.connection))();
    });
    this.#ended(connection);
  }

  /** The process died. The other ends learn it at once if the machine lives on. */
  died(isSilent: boolean): void {
    const all = [...this.#far.values()];
    this.#far.clear();
    this.#awaited.clear();
    for (const far of isSilent ? [] : all) {
      if (far.host.life !== far.life) continue;
      this.host.network.clock.after(
        this.host.network.hopMs(),
        far.host.mine(() => far.host.lines.#ended(far.connection)),
      );
    }
  }

  link({ peerId, to, voucher, bytes }: Extract<Effect, { kind: "link" }>): void {
    const { host } = this;
    const { network } = host;
    host.dial(to, voucher, (dialed) => {
      if ("failure" in dialed) return host.take({ kind: "not-linked", peerId });
      const connection = network.newConnection();
      host.take({ kind: "linked", peerId, connection });
      network.carry(host, dialed, bytes, {
        opening: { from: host, life: host.life, connection },
        taken: host.mine(() => {
          // Whoever took it holds it, or has closed it.
          if (!this.#far.has(connection)) host.take({ kind: "ended", connection });
        }),
        lost: host.mine(() => host.take({ kind: "ended", connection })),
      });
    }, "answer");
  }

  callBack({ key, to, voucher, bytes, isRelayed }: Extract<Effect, { kind: "call-back" }>): void {
    const { host } = this;
    const { token } = JSON.parse(new TextDecoder().decode(bytes)) as { token: string };
    host.dial(to, voucher, (dialed) => {
      if (!("failure" in dialed) && dialed.at.isHost) {
        const asker = dialed.at as Host;
        const ip = isRelayed ? `relay ${asker.ip}` : asker.ip;
        asker.lines.#awaited.get(token)?.({
          at: host,
          life: host.life,
          as: { ip, ours: "called" },
        });
      }
      host.take({ kind: "passed-on", what: "call-back", key });
    }, "answer");
  }

  relay({ key, link, bytes, connection }: Extract<Effect, { kind: "relay" }>): void {
    const { host } = this;
    const reply = host.transfers.replies.get(connection);
    this.#call(link, true, (dialed) => {
      reply?.("failure" in dialed ? "closed" : bytes, dialed);
      host.network.clock.after(
        1_000,
        host.mine(() => host.take({ kind: "passed-on", what: "relay", key })),
      );
    });
  }

  /** Finds a way to a peer, as node/routes.ts does. `on`: an open connection, for messages. */
  reach(
    to: Address,
    voucher: Voucher,
    rank: DialRank,
    peerId: string | undefined,
    { noDial = false, isMessage = false },
    done: (way: Dialed | { readonly on: number }, isDialed: boolean) => void,
  ): void {
    const { host } = this;
    const ways = peerId === undefined ? undefined : host.peer.waysTo(peerId);
    const others = ways && (ways.call !== undefined || ways.relays.length > 0 ||
      (isMessage && ways.on !== undefined));
    let [isDone, failed, tries, isLast] = [false, undefined as Dialed | undefined, 0, false];
    const end = (way: Dialed | { readonly on: number }, isDialed: boolean) => {
      tries--;
      if (isDone) return;
      if ("failure" in way) {
        failed ??= way;
        if (tries > 0) return;
        if (isLast) {
          [isLast, tries] = [false, 1];
          return dial();
        }
      }
      isDone = true;
      done("failure" in way ? failed ?? way : way, isDialed);
    };
    const other = () => {
      if (isMessage && ways?.on !== undefined) return end({ on: ways.on }, false);
      this.#others(peerId!, ways!, rank, (dialed) => end(dialed, false));
    };
    const first = noDial ? "no" : ways?.dial ?? "first";
    if (others) tries++;
    let isBegun = first !== "first";
    const begin = () => {
      if (others && !isBegun && !isDone) other();
      isBegun = true;
    };
    const dial = () =>
      this.#dial(to, voucher, rank, peerId, (dialed) => {
        if ("failure" in dialed) begin();
        end(dialed, true);
      });
    if (first === "first") {
      tries++;
      dial();
      host.network.clock.after(HEAD_START_MS, host.mine(begin));
    } else if (others) {
      isLast = first === "last";
      other();
    } else done({ failure: "cannot be reached" }, false);
  }

  probe({ peerId, to, voucher }: Extract<Effect, { kind: "probe" }>): void {
    this.#dial(to, voucher, "news", peerId, () => {});
  }

  /** Dials, and tells the state machine what became of it if that is news. */
  #dial(
    to: Address,
    voucher: Voucher,
    rank: DialRank,
    peerId: string | undefined,
    done: (dialed: Dialed) => void,
  ): void {
    const { host } = this;
    host.dial(to, voucher, (dialed) => {
      const outcome = !("failure" in dialed) ? "reached" : dialed.silent ? "silent" : "refused";
      const isOurs = "failure" in dialed && dialed.isOurs;
      const isNews = outcome !== "reached" || !host.peer.isReached(peerId ?? "", to);
      if (peerId !== undefined && !isOurs && isNews) {
        host.take({ kind: "dialed", peerId, to, outcome });
      }
      done(dialed);
    }, rank);
  }

  #others(
    peerId: string,
    { call, relays }: ReturnType<Host["peer"]["waysTo"]>,
    rank: DialRank,
    done: (dialed: Dialed) => void,
  ): void {
    const { host } = this;
    const next = (at: number): void => {
      const relay = relays[at];
      if (!relay) return done({ failure: "cannot be reached" });
      host.dial(relay.to, relay.voucher, (dialed) => {
        if ("failure" in dialed) return next(at + 1);
        const bytes = encodeMessage({ type: "CONNECT", to: peerId, ext: host.peer.ext });
        let isOver = false;
        const go = (run: () => void) => {
          if (!isOver) run();
          isOver = true;
        };
        const onwards = host.mine(() => go(() => next(at + 1)));
        host.network.carry(host, dialed, host.outgoing(bytes), {
          reply: host.replied((answer, way) =>
            answer !== "closed" && way && !("failure" in way) ? go(() => done(way)) : onwards()
          ),
          lost: onwards,
        });
        host.network.clock.after(CALL_MS, onwards);
      }, rank);
    };
    if (call === undefined) return next(0);
    this.#call(call, false, (dialed) => "failure" in dialed ? next(0) : done(dialed));
  }

  #call(link: number, isRelayed: boolean, done: (dialed: Dialed) => void): void {
    const { host } = this;
    const token = host.random.token(36);
    let isDone = false;
    const end = host.mineOf((dialed: Dialed) => {
      if (isDone) return;
      isDone = true;
      this.#awaited.delete(token);
      done(dialed);
    });
    this.#awaited.set(token, end);
    const relayed = isRelayed ? { isRelayed } as const : {};
    const { ext } = host.peer;
    const isSaid = this.say(link, encodeMessage({ type: "CONNECT", token, ...relayed, ext }));
    if (!isSaid) return end({ failure: "The connection ended" });
    host.network.clock.after(CALL_MS, () => end({ failure: "opened no connection" }));
  }

  #later(connection: number, run: () => void): void {
    const { nowMs, clock } = this.host.network;
    const arrivesMs = Math.max(
      nowMs + this.host.network.hopMs(),
      this.#arrivesMs.get(connection) ?? 0,
    );
    this.#arrivesMs.set(connection, arrivesMs);
    clock.after(arrivesMs - nowMs, run);
  }

  #ended(connection: number): void {
    this.#arrivesMs.delete(connection);
    if (this.#far.delete(connection)) this.host.take({ kind: "ended", connection });
  }

  #tellEnded(connection: number): void {
    const { host } = this;
    host.network.clock.after(0, host.mine(() => host.take({ kind: "ended", connection })));
  }
}
