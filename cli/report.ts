// Turns events into log lines for people, all in this one place.
// Invariants: text that came from a peer is escaped; at INFO there is who, what and how much, once, and nothing of what peers
// say to each other all the time; a refused request is logged as a warning once per peer, reason and minute, and one refused
// because of a limit once per limit and minute, whoever sent it.

import { addressText } from "../protocol/wire/address.ts";
import { DELETES_SENT_PER_MINUTE } from "../protocol/limits.ts";
import { isOverload, type Overload, overloadOption, overloadText } from "../protocol/overloads.ts";
import { visible } from "../protocol/wire/text.ts";
import { durationText, sizeText } from "./units.ts";
import type { NodeEvent } from "../protocol/effects.ts";

export type Level = "DEBUG" | "INFO" | "WARNING" | "ERROR";

export interface Line {
  readonly level: Level;
  readonly text: string;
  /** A milestone that people wait for: shown without time and level, at any log level. */
  readonly plain?: boolean;
}

const MINUTE_MS = 60_000;
/**
 * Maximum number of distinct warnings remembered within one minute; further ones are not logged as warnings. Higher:
 * more of them are seen; lower: a flood of strangers can fill less of the log.
 */
const MAX_REMEMBERED = 4_096;

/** A limit that was reached: when that was last logged, and how often it was reached since. */
interface Reached {
  loggedMs: number;
  times: number;
}

/** Content that moved, as it is logged. */
export interface MovedContent {
  readonly kind: "fetch" | "push" | "serve" | "copy" | "upload" | "download";
  readonly name: string;
  /** Peer or address at the other end. */
  readonly peer: string;
  readonly doneBytes: number;
  readonly state: string;
  readonly why: string | undefined;
}

/** Files that moved the same way, and are not logged yet. */
interface Tally {
  readonly first: MovedContent;
  readonly sinceMs: number;
  files: number;
  bytes: number;
}

/** How long files that move the same way are counted before they are logged together, in milliseconds. */
const TALLY_MS = 2_000;
/** Maximum number of peers with whom files are counted at the same time; the rest is logged at once. */
const MAX_TALLIES = 256;

/** Turns events into lines. Remembers the warnings of the current minute. */
export class Reporter {
  readonly #reached = new Map<Overload, Reached>();
  readonly #tallies = new Map<string, Tally>();
  #warned = new Set<string>();
  #minute = -1;

  constructor(readonly now: () => number) {}

  /** Returns the lines for one event, or none if it was already reported. */
  lines(event: NodeEvent): Line[] {
    switch (event.name) {
      case "synchronized":
      case "alone":
      case "bootstrap-silent":
      case "peer-joined":
      case "peer-left":
      case "peer-moved":
      case "peer-conflict":
      case "own-address":
      case "linked":
      case "unlinked":
        return [networkLine(event)];
      case "reach-changed":
        return []; // said once it is clear, by the next one
      case "reach":
        return [{ ...(event.isBad ? warning : info)(event.text), plain: true }];
      case "request":
      case "sent":
      case "broadcast":
      case "send-failed":
        return [messageLine(event)];
      case "attempt-failed":
      case "download-failed":
      case "backed-off":
      case "auto-fetch-complete":
        return [downloadLine(event)];
      case "connected":
        return [info(`${visible(event.peerId)} answers at ${visible(addressText(event.address))}`)];
      case "not-connected":
        return [info(`Not connected: ${visible(event.text)}`)];
      case "login":
        return [info(`A browser at ${visible(event.ip)} logged in`)];
      case "keep-failed":
        return this.#once(`not kept ${event.text}`) ? [downloadLine(event)] : [];
      case "downloaded":
        return [
          plain(`Successfully downloaded file from ${visible(event.source)}`),
          info(`Downloaded and verified ${visible(event.file.name)} (${event.file.fileId})`),
        ];
      case "held":
      case "adopted":
      case "lost":
      case "deleted":
      case "many-deleted":
      case "deletions-spread":
      case "renamed":
      case "replicated":
      case "passed-over":
      case "indexed":
      case "many-held":
      case "many-lost":
        return [fileLine(event)];
      case "name-taken":
        return this.#once(`name-taken ${addressText(event.other)}`)
          ? [{ ...warning(nameTakenText(event)), plain: true }]
          : [];
      case "overload":
        return this.#overloadLines(event.overload, event.times);
      case "refused":
        if (isOverload(event.reason)) {
          const latest = `${visible(event.who)}: ${visible(event.text, 300)}`;
          return this.#overloadLines(event.reason, event.times ?? 1, latest);
        }
        return [(this.#once(`${event.who} ${event.reason}`) ? warning : debug)(
          `${visible(event.who)}: ${visible(event.text, 300)} [${event.reason}]`,
        )];
      case "trouble":
        return this.#once(`trouble ${event.text}`)
          ? [{ level: "ERROR", text: visible(event.text, 2_000) }]
          : [];
      default:
        return event satisfies never;
    }
  }

  /** Returns lines about a transfer that ended, as far as no event tells of it. What is done is told by `due`, later. */
  moved(transfer: MovedContent): Line[] {
    const { kind, state, doneBytes, peer } = transfer;
    if (kind !== "serve" && kind !== "upload" && kind !== "download") return [];
    if (state !== "done") return [brokenLine(transfer)];
    const key = `${kind} ${peer}`;
    const tally = this.#tallies.get(key);
    if (tally) {
      tally.files++;
      tally.bytes += doneBytes;
      return [];
    }
    const first = { first: transfer, sinceMs: this.now(), files: 1, bytes: doneBytes };
    if (this.#tallies.size >= MAX_TALLIES) return [movedLine(first)];
    this.#tallies.set(key, first);
    return [];
  }

  /**
   * Returns a line for files that moved, and for each limit that was reached again more than a minute after that was last logged.
   */
  due(): Line[] {
    const lines: Line[] = [];
    for (const [key, tally] of this.#tallies) {
      if (this.now() - tally.sinceMs < TALLY_MS) continue;
      this.#tallies.delete(key);
      lines.push(movedLine(tally));
    }
    for (const [overload, reached] of this.#reached) {
      if (reached.times > 0 && this.#isDue(reached)) {
        lines.push(this.#overloadLine(overload, reached));
      }
    }
    return lines;
  }

  /** `latest`: who was refused, and what exactly was. */
  #overloadLines(overload: Overload, times: number, latest?: string): Line[] {
    let reached = this.#reached.get(overload);
    if (!reached) this.#reached.set(overload, reached = { loggedMs: -Infinity, times: 0 });
    reached.times += times;
    if (this.#isDue(reached)) return [this.#overloadLine(overload, reached, latest)];
    return latest === undefined ? [] : [debug(`${latest} [${overload}]`)];
  }

  #isDue({ loggedMs }: Reached): boolean {
    return this.now() - loggedMs >= MINUTE_MS;
  }

  #overloadLine(overload: Overload, reached: Reached, latest?: string): Line {
    const { times } = reached;
    reached.loggedMs = this.now();
    reached.times = 0;
    const option = overloadOption(overload);
    const sentences = [
      times === 1 && latest !== undefined ? latest : `${overloadText(overload)}: ${times}`,
      ...(times > 1 && latest !== undefined ? [`The latest: ${latest}`] : []),
      ...(option === undefined ? [] : [`--${option} sets the limit`]),
    ];
    return warning(`${sentences.join(". ")} [${overload}]`);
  }

  #once(key: string): boolean {
    const minute = Math.floor(this.now() / MINUTE_MS);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#warned.clear();
    }
    if (this.#warned.has(key) || this.#warned.size >= MAX_REMEMBERED) return false;
    this.#warned.add(key);
    return true;
  }
}

function movedLine({ first: { kind, name, peer }, files, bytes }: Tally): Line {
  const what = `${files === 1 ? visible(name) : count(files, "file")} (${sizeText(bytes)})`;
  const who = visible(peer, 60);
  return info(
    {
      serve: `Sent ${what} to ${who}`,
      upload: `Received ${what} from a browser or script at ${who}`,
      download: `Sent ${what} to a browser or script at ${who}`,
    }[kind as "serve" | "upload" | "download"],
  );
}

function brokenLine({ kind, name, peer, why }: MovedContent): Line {
  const what = `${kind === "upload" ? "Receiving" : "Sending"} ${visible(name)}`;
  const text = `${what} ${kind === "upload" ? "from" : "to"} ${visible(peer, 60)} ended: ${
    visible(why ?? "unfinished")
  }`;
  // Peers take parts from several of us, and leave the rest: that is no news.
  return kind === "serve" ? debug(text) : info(text);
}

const plain = (text: string): Line => ({ level: "INFO", text, plain: true });
const info = (text: string): Line => ({ level: "INFO", text });
const debug = (text: string): Line => ({ level: "DEBUG", text });
const warning = (text: string): Line => ({ level: "WARNING", text });

/** The events of these names. */
type EventOf<Name extends NodeEvent["name"]> = Extract<NodeEvent, { name: Name }>;

function networkLine(
  event: EventOf<
    | "synchronized"
    | "alone"
    | "bootstrap-silent"
    | "peer-joined"
    | "peer-left"
    | "peer-moved"
    | "peer-conflict"
    | "own-address"
    | "linked"
    | "unlinked"
  >,
): Line {
  switch (event.name) {
    case "synchronized":
      return plain(
        `Synchronized in ${event.afterMs.toFixed(0)} ms: ${count(event.peers, "peer")}, ${
          count(event.files, "file")
        } known`,
      );
    case "alone":
      return info(
        event.isTrying
          ? "No peer has answered yet; still trying to join, and waiting for other peers to connect"
          : "No peer to join through; waiting for other peers to connect",
      );
    case "bootstrap-silent":
      return warning(
        `Bootstrap peer ${visible(event.text)}; retrying with increasing delays`,
      );
    case "peer-joined":
      return info(`Peer ${visible(event.peerId)} joined at ${visible(addressText(event.address))}`);
    case "peer-left":
      return info(`Dropped peer ${visible(event.peerId)}: silent for too long`);
    case "peer-moved":
      return info(
        `Peer ${visible(event.peerId)} moved from ${visible(addressText(event.other))} to ${
          visible(addressText(event.address))
        }`,
      );
    case "peer-conflict":
      return warning(
        `Two peers use the name ${visible(event.peerId)}: ${
          visible(addressText(event.address))
        } and ${visible(addressText(event.other))}; keeping the first while it answers`,
      );
    case "linked":
      return info(
        `Keeping a connection to ${
          visible(event.peerId)
        } open, through which others reach this peer`,
      );
    case "unlinked":
      return info(`No longer keeping a connection to ${visible(event.peerId)} open`);
    case "own-address":
      return info(
        `This machine is at ${visible(addressText(event.address))} now, no longer at ${
          visible(addressText(event.other))
        }; telling ${count(event.peers, "peer")}`,
      );
    default:
      return event satisfies never;
  }
}

function messageLine(
  event: EventOf<"request" | "sent" | "broadcast" | "send-failed">,
): Line {
  switch (event.name) {
    case "request":
      return debug(`Received from ${visible(event.ip)}: ${visible(event.text, 300)}`);
    case "sent": {
      const who = event.peerId === undefined ? "" : `${visible(event.peerId, 60)} at `;
      return debug(`Sent ${event.what} to ${who}${visible(addressText(event.to))}`);
    }
    case "broadcast":
      // Gossip says the same all the time.
      return (event.what === "ANNOUNCE" || event.what === "DELETE" ? info : debug)(
        `Sending ${event.what}${
          event.files === undefined || event.files === 1 ? "" : ` of ${count(event.files, "file")}`
        } to ${count(event.peers, "peer")}`,
      );
    case "send-failed":
      return debug(`Could not send ${event.what}: ${visible(event.text, 300)}`);
    default:
      return event satisfies never;
  }
}

function downloadLine(
  event: EventOf<
    "attempt-failed" | "download-failed" | "keep-failed" | "backed-off" | "auto-fetch-complete"
  >,
): Line {
  switch (event.name) {
    case "attempt-failed":
      return info(
        `Download of ${visible(event.fileName)} from ${visible(event.source ?? "?")} failed: ${
          visible(event.text)
        }`,
      );
    case "download-failed":
      return warning(
        `Could not download ${visible(event.fileName)}: ${visible(event.text)}${
          event.willRetry ? "; it will be retried automatically" : ""
        }`,
      );
    case "keep-failed":
      return warning(`Could not save ${visible(event.fileName)}: ${visible(event.text)}`);
    case "backed-off":
      return warning(
        `Avoiding ${visible(event.peerId)} as a source for ${
          durationText(event.leftMs / 1000)
        } after ${event.offences} bad responses in a row: it ${visible(event.text)}`,
      );
    case "auto-fetch-complete":
      return plain(`AUTO FETCH PROCESS COMPLETE (${autoFetchText(event)})`);
    default:
      return event satisfies never;
  }
}

function fileLine(
  event: EventOf<
    | "held"
    | "adopted"
    | "lost"
    | "many-held"
    | "many-lost"
    | "deleted"
    | "many-deleted"
    | "deletions-spread"
    | "renamed"
    | "replicated"
    | "passed-over"
    | "indexed"
  >,
): Line {
  switch (event.name) {
    case "held":
      return info(`Added ${visible(event.file.name)} (${event.file.fileId}): ${event.how}`);
    case "adopted":
      return info(
        `${visible(event.file.name)} (${event.file.fileId}) is here already as ${
          visible(event.as.name)
        }: nothing was downloaded`,
      );
    case "lost":
      return warning(
        `No longer sharing ${
          visible(event.file.name)
        } (${event.file.fileId}): it was changed in the folder, or is gone from it`,
      );
    case "many-held":
      return event.source === undefined
        ? info(`Added ${count(event.files, "file")}: ${event.how}`)
        : info(`Downloaded ${count(event.files, "file")} from ${visible(event.source)}`);
    case "many-lost":
      return warning(
        `No longer sharing ${
          count(event.files, "file")
        }: they were changed in the folder, or are gone from it`,
      );
    case "deleted":
      return info(
        `${visible(event.file.name)} (${event.file.fileId}) was deleted ${deletedText(event.by)}`,
      );
    case "many-deleted":
      return info(`${count(event.files, "file")} deleted by their owner ${visible(event.owner)}`);
    case "deletions-spread":
      return info(
        `Deleted ${count(event.files, "file")}: ${spreadText(event.told, event)}`,
      );
    case "renamed":
      return info(
        `Renamed ${visible(event.from)} to ${
          visible(event.file.name)
        } (${event.file.fileId}); announcing the new name`,
      );
    case "replicated":
      return info(`Pushed a copy of ${visible(event.file.name)} to ${visible(event.peerId)}`);
    case "passed-over":
      return info(visible(event.text, 2_000));
    case "indexed":
      return info(
        `Indexed the folder: ${count(event.files, "file")}, ${sizeText(event.bytes)}, ${
          event.seconds.toFixed(1)
        } s after the start; other work waited for ${Math.round(event.longestBlockMs)} ms at most`,
      );
    default:
      return event satisfies never;
  }
}

/**
 * Returns how far deletions have spread: the number of peers `told`, of those `left` that could not be reached yet, and
 * of the `slow` ones, which take one file per message and must be paced.
 */
export function spreadText(
  told: number,
  { left, slow, slowMs }: { readonly left: number; readonly slow: number; readonly slowMs: number },
): string {
  if (told + left + slow === 0) return "there are no other peers to notify";
  const later = [
    ...(left > 0 ? [`${left} not reached yet and notified once they are`] : []),
    ...(slow > 0
      ? [
        `${slow} without batch deletes notified at ${DELETES_SENT_PER_MINUTE} files a minute, within about ${
          durationText(slowMs / 1000)
        }`,
      ]
      : []),
  ];
  return [`${count(told, "peer")} notified`, ...later].join(", ");
}

/** Returns a number with its noun: `1 peer`, `2 peers`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

function autoFetchText(
  { fetched, failed, pending, reason }: EventOf<"auto-fetch-complete">,
): string {
  switch (reason) {
    case "done":
      return `${count(fetched, "file")} fetched, ${failed} failed${
        pending > 0 ? `, ${pending} pending and retried automatically` : ""
      }`;
    case "nothing-missing":
      return "0 files fetched, 0 failed: no files are missing";
    case "no-peers":
      return "0 files fetched, 0 failed: no peer has answered yet";
    case "off":
      return "0 files fetched, 0 failed: disabled by --auto-fetch 0";
    default:
      return reason satisfies never;
  }
}

function nameTakenText({ other, toldBy }: EventOf<"name-taken">): string {
  const there = visible(addressText(other));
  return toldBy === undefined
    ? `Another peer, at ${there}, uses the same peer id as this one, so other peers list only one of the two. Restart one of them with a different peer id`
    : `${
      visible(toldBy)
    } already lists a peer with this peer id, at ${there}, so it does not list this one. Restart this peer with a different peer id, or stop the other one`;
}

type By = EventOf<"deleted">["by"];

function deletedText(by: By): string {
  switch (by) {
    case "owner":
      return "by its owner";
    case "us":
      return "everywhere";
    case "us-here-only":
      return "on this peer only: another peer owns it";
    case "us-replaced":
      return "everywhere: it changed right after it was shared, and its new version replaces it";
    default:
      return by satisfies never;
  }
}
