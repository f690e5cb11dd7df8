// Ways to peers: a dial, an open connection, or one that the peer opens because it was asked to, on its LINK or through
// another peer. The state machine says which ways there are (`Peer.waysTo`); this file tries them.
// Invariants: a connection that came too late is closed; a peer that is asked for a connection and opens none costs a few
// seconds; what is passed on never counts as coming from whoever passes it on.

import type { Address, Voucher } from "../protocol/wire/address.ts";
import type { Effect, Input, Ways } from "../protocol/effects.ts";
import type { Ext } from "../protocol/wire/ext.ts";
import { encodeMessage } from "../protocol/wire/message.ts";
import type { Limits } from "../protocol/limits.ts";
import type { Connection } from "../net/connection.ts";
import { type Dialer, DialError } from "../net/dialer.ts";
import type { DialRank } from "../net/dial_queue.ts";
import { HEAD_START_MS } from "../net/race.ts";
import { relay } from "../net/relay.ts";
import type { Shares } from "../net/shares.ts";

type CallBack = Extract<Effect, { kind: "call-back" }>;
type Sent = Extract<Effect, { kind: "send" }>;

/** How long a peer that is asked for a connection may take to open it, in milliseconds. (A guess: two dials.) */
const CALL_MS = 6_000;
/** Maximum number of connections that are awaited. */
const MAX_AWAITED = 256;
/** Maximum length of the answer to a CONNECT, in bytes. */
const MAX_ANSWER_BYTES = 4_096;

/** What the ways need of the rest. */
export interface RouteOptions {
  /** Opens connections. */
  readonly dialer: Dialer;
  /** Returns the ways to a peer. */
  readonly waysTo: (peerId: string) => Ways;
  /** Returns whether a further address of a peer may be dialed for a message of this size, and counts the dial. */
  readonly mayDialAlso: (peerId: string, ip: string, sizeBytes: number) => boolean;
  /** Returns whether it is known that a peer can be reached at an address. */
  readonly isReached: (peerId: string, to: Address) => boolean;
  /** Sends a message on an open connection. Throws if that is not possible. */
  readonly say: (connection: number, bytes: Uint8Array) => Promise<void>;
  /** Serves a connection as if it had been accepted. */
  readonly serve: (connection: Connection) => void;
  /** Notes that content moved on an accepted connection. */
  readonly onMoved: (connection: Connection, bytes: number) => void;
  /** Limits what is passed on, in all and for each peer. */
  readonly shares: Shares;
  /** Limits on connections. */
  readonly limits: Pick<Limits, "idleTimeoutMs" | "messageTimeoutMs">;
  /** Returns our extensions. */
  readonly ext: () => Ext;
  /** Reports what happened to the state machine. */
  readonly dispatch: (input: Input) => void;
}

/** Where a message can go. */
export type Way =
  /** `ip`: what the address led to, if it was dialed. */
  | { readonly connection: Connection; readonly ip?: string }
  /** An open connection, by its number. */
  | { readonly on: number };

/** Ways to a peer; without `on`, those to a connection of its own. */
type SomeWays = Omit<Ways, "on"> & { readonly on?: number | undefined };

/** What is dialed. */
type Place = Pick<Wanted, "to" | "voucher" | "rank" | "sizeBytes"> & {
  readonly peerId?: string | undefined;
};

/** A peer, and what it is wanted for. */
interface Wanted {
  readonly to: Address;
  readonly voucher: Voucher;
  readonly rank: DialRank;
  readonly peerId: string;
  /** Length of the message that is to be sent, in bytes. */
  readonly sizeBytes: number;
  /** Returns the ways that there are now. */
  readonly waysTo: () => SomeWays;
}

/** Opens connections to peers, whichever way works. */
export class Routes {
  /** Connections that were asked for, by their tokens. */
  readonly #awaited = new Map<string, (connection: Connection) => void>();
  /** Connections on which something is asked for or passed on. */
  readonly #open = new Set<Connection>();
  #isClosed = false;

  /** Starts without connections. */
  constructor(readonly options: RouteOptions) {}

  /** Opens a connection for a LINK to a peer, which cannot connect to us. Throws `DialError`. */
  async toLink({ to, voucher, peerId }: Extract<Effect, { kind: "link" }>): Promise<Connection> {
    return await this.options.dialer.dial(to, voucher, "answer", this.#also(peerId, 0));
  }

  /** Opens a connection to a peer. Throws `DialError`. */
  async dial(to: Address, voucher: Voucher, rank: DialRank, peerId: string): Promise<Connection> {
    const waysTo = () => ({ ...this.options.waysTo(peerId), on: undefined });
    const way = await this.#find({ to, voucher, rank, peerId, sizeBytes: 0, waysTo });
    return (way as { connection: Connection }).connection;
  }

  /** Returns where a message can go. Its rank is that of an answer or of news. Throws `DialError`. */
  async toSend(
    { to, voucher, what, bytes: { length: sizeBytes }, peerId, noDial }: Sent,
  ): Promise<Way> {
    const rank = what === "GOSSIP_REPLY" ? "answer" : "news";
    if (peerId === undefined) return await this.#dial({ to, voucher, rank, sizeBytes });
    const waysTo = () => {
      const ways = this.options.waysTo(peerId);
      return noDial ? { ...ways, dial: "no" } as const : ways;
    };
    return await this.#find({ to, voucher, rank, peerId, sizeBytes, waysTo });
  }

  /** Dials a peer only to see whether anybody answers. Reports `dialed`. Never throws. */
  async probe({ peerId, to, voucher }: Extract<Effect, { kind: "probe" }>): Promise<void> {
    try {
      const way = await this.#dial({ to, voucher, rank: "news", peerId, sizeBytes: 0 });
      way.connection.close();
    } catch {
      // Reported by the dial; a failure of our own says nothing.
    }
  }

  /**
   * Takes a connection that was asked for, if this is its token, and resolves when it is closed. Returns `undefined` if it is not.
   */
  arrived(token: string, connection: Connection): Promise<void> | undefined {
    const take = this.#awaited.get(token);
    if (!take) return undefined;
    this.#awaited.delete(token);
    this.options.onMoved(connection, 0);
    take(connection);
    return connection.untilClosed();
  }

  /** Opens a connection because it was asked for, and serves it. Reports `passed-on`. Never throws. */
  async callBack({ key, to, voucher, bytes, isRelayed }: CallBack): Promise<void> {
    const { dialer, limits, dispatch, serve } = this.options;
    let connection: Connection | undefined;
    try {
      connection = await dialer.dial(to, voucher, "answer", this.#also(key, 0));
      this.#open.add(connection);
      if (isRelayed) connection.passedOn();
      await connection.write(bytes, limits.messageTimeoutMs);
      serve(connection);
      await connection.untilClosed();
    } catch {
      connection?.close(); // whoever asked for it notices that nothing came
    } finally {
      if (connection) this.#open.delete(connection);
      dispatch({ kind: "passed-on", what: "call-back", key });
    }
  }

  /** Passes on between a connection and a peer, which is asked for one on its LINK. Reports `passed-on`. Never throws. */
  async relay(
    asker: Connection,
    { key, link, bytes }: Pick<Extract<Effect, { kind: "relay" }>, "key" | "link" | "bytes">,
  ): Promise<void> {
    const { limits, shares, dispatch, onMoved } = this.options;
    const users = key.split("\n");
    const throttles = shares.take(users);
    this.#open.add(asker);
    try {
      onMoved(asker, 0);
      const asked = await this.#call(link, true);
      this.#open.add(asked);
      try {
        await asker.write(bytes, limits.messageTimeoutMs);
        await asker.write(LINE_FEED, limits.messageTimeoutMs);
        await relay(asker, asked, {
          idleMs: limits.idleTimeoutMs,
          throttles,
          onMoved: (moved) => {
            onMoved(asker, moved);
            onMoved(asked, moved);
          },
        });
      } finally {
        asked.close();
        this.#open.delete(asked);
      }
    } catch {
      // The one that asked notices that the connection is closed.
    } finally {
      asker.close();
      this.#open.delete(asker);
      shares.give(users);
      dispatch({ kind: "passed-on", what: "relay", key });
    }
  }

  /** Closes everything. */
  close(): void {
    this.#isClosed = true;
    for (const connection of this.#open) connection.close();
  }

  /** Tries the ways to a peer. The dial goes first, if it may; the others follow if it takes long or fails. */
  async #find(wanted: Wanted): Promise<Way> {
    const { waysTo } = wanted;
    const dial = () => this.#dial(wanted);
    const ways = waysTo();
    if (ways.dial === "first") return await this.#race(wanted, dial());
    try {
      return await this.#other(wanted, ways);
    } catch (error) {
      if (ways.dial === "no") throw error;
      return await dial();
    }
  }

  /** Resolves to the first way that works. Throws as the dial does. */
  async #race(
    wanted: Wanted,
    dialing: Promise<{ readonly connection: Connection; readonly ip: string }>,
  ): Promise<Way> {
    let isFound = false;
    let isDialing = true;
    const found = (way: Way) => {
      if (isFound && "connection" in way) way.connection.close();
      isFound = true;
      return way;
    };
    const dialed = dialing.then(found).finally(() => isDialing = false);
    const over = dialed.catch(() => {});
    const others = async (): Promise<Way> => {
      // Another way may be found while the dial goes on: a peer that cannot be dialed opens a LINK.
      for (;;) {
        const isLast = !isDialing;
        if (isFound) return await dialed;
        const ways = wanted.waysTo();
        if (hasOther(ways)) return found(await this.#other(wanted, ways));
        if (isLast) throw new DialError("theirs", "There is no other way");
        await headStart(over);
      }
    };
    await headStart(over);
    if (isFound) return await dialed;
    try {
      return await Promise.any([dialed, others()]);
    } catch {
      return await dialed; // throws
    }
  }

  async #dial(
    { to, voucher, rank, peerId, sizeBytes }: Place,
  ): Promise<{ readonly connection: Connection; readonly ip: string }> {
    const tell = (outcome: "reached" | "refused" | "silent") => {
      if (peerId !== undefined) this.options.dispatch({ kind: "dialed", peerId, to, outcome });
    };
    try {
      const also = peerId === undefined ? [] : this.#also(peerId, sizeBytes);
      const connection = await this.options.dialer.dial(to, voucher, rank, also);
      if (peerId !== undefined && !this.options.isReached(peerId, to)) tell("reached");
      return { connection, ip: connection.ip };
    } catch (error) {
      if (error instanceof DialError && error.outcome) tell(error.outcome);
      throw error;
    }
  }

  /** Further addresses of a peer, as far as they may be dialed when their turn comes. */
  *#also(peerId: string, sizeBytes: number): Iterable<string> {
    const { waysTo, mayDialAlso } = this.options;
    for (const ip of waysTo(peerId).also ?? []) if (mayDialAlso(peerId, ip, sizeBytes)) yield ip;
  }

  /** Asks the peer for a connection, or others for one to it, one after another. Throws `DialError`. */
  async #other({ peerId, rank }: Wanted, { on, call, relays }: SomeWays): Promise<Way> {
    if (on !== undefined) return { on };
    let failure = new DialError("theirs", `${peerId} cannot be reached from here`);
    if (call !== undefined) {
      try {
        return { connection: await this.#call(call, false) };
      } catch (error) {
        if (error instanceof DialError) failure = error;
      }
    }
    // In any order, so that one that does not deliver is not always asked first.
    const inTurn = relays.map((relay) => ({ relay, lot: Math.random() }))
      .sort((a, b) => a.lot - b.lot);
    for (const { relay: { to, voucher, peerId: relayer } } of inTurn) {
      let connection: Connection | undefined;
      try {
        const also = this.#also(relayer, 0);
        connection = await this.options.dialer.dial(to, voucher, rank, also);
        await this.#ask(connection, peerId);
        return { connection };
      } catch (error) {
        connection?.close();
        if (error instanceof DialError && error.isOurs) failure = error;
        else failure = new DialError("theirs", `${relayer} did not connect to ${peerId}`);
      }
    }
    throw failure;
  }

  /** Asks the other side of a LINK for a connection. Throws `DialError`. */
  async #call(link: number, isRelayed: boolean): Promise<Connection> {
    const { say, ext } = this.options;
    if (this.#isClosed) throw new DialError("ours", "This peer is stopping");
    if (this.#awaited.size >= MAX_AWAITED) {
      throw new DialError("ours", "Too many connections are awaited");
    }
    const token = crypto.randomUUID();
    const { promise, resolve, reject } = Promise.withResolvers<Connection>();
    const fail = (text: string) => reject(new DialError("theirs", text));
    const timer = setTimeout(() => fail("The peer did not open a connection"), CALL_MS);
    this.#awaited.set(token, resolve);
    try {
      const relayed = isRelayed ? { isRelayed } as const : {};
      const message = { type: "CONNECT", token, ...relayed, ext: ext() } as const;
      say(link, encodeMessage(message)).catch(() => fail("The peer's connection ended"));
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#awaited.delete(token);
    }
  }

  /** Asks another peer to pass on this connection, and waits until it does. Throws. */
  async #ask(connection: Connection, peerId: string): Promise<void> {
    const { ext, limits } = this.options;
    connection.passedOn();
    const message = encodeMessage({ type: "CONNECT", to: peerId, ext: ext() });
    await connection.write(message, limits.messageTimeoutMs);
    const buffer = new Uint8Array(MAX_ANSWER_BYTES);
    let filled = 0;
    while (buffer[filled - 1] !== LINE_FEED[0]) {
      const read = await connection.read(buffer.subarray(filled), CALL_MS);
      // The other peer sends nothing before it is asked.
      if (read === null || filled === buffer.length) throw new Error("It was not passed on");
      filled += read;
    }
  }
}

const LINE_FEED = new Uint8Array([0x0a]);

/** Waits until a dial is over, but no longer than it may take alone. */
async function headStart(over: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((go) => timer = setTimeout(go, HEAD_START_MS));
  await Promise.race([over, late]);
  clearTimeout(timer);
}

const hasOther = ({ on, call, relays }: SomeWays) =>
  on !== undefined || call !== undefined || relays.length > 0;
