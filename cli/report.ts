// What happens, in lines for a person: events become sentences, once, in one place.
// Whatever a peer named is shown escaped. At INFO stands one line for each request that we make of others
// and that others make of us; what is inappropriate stands once per peer, reason and minute, as a warning.

import { addressText } from "../protocol/wire/address.ts";
import { visible } from "../protocol/wire/text.ts";
import { durationText } from "./units.ts";
import type { NodeEvent } from "../protocol/effects.ts";

export type Level = "DEBUG" | "INFO" | "WARNING" | "ERROR";

export interface Line {
  readonly level: Level;
  readonly text: string;
  /** Milestones that people wait for: shown without time and level, at any level. */
  readonly plain?: boolean;
}

const MINUTE_MS = 60_000;
/** Warnings remembered within one minute. */
const MAX_REMEMBERED = 4_096;

/** Turns events into lines. Holds what was warned of in this minute. */
export class Reporter {
  #warned = new Set<string>();
  #minute = -1;

  constructor(readonly now: () => number) {}

  /** The lines for one event; none where it was said already. */
  lines(event: NodeEvent): Line[] {
    switch (event.name) {
      case "synchronized":
        return [plain(
          `Synchronized in ${event.afterMs.toFixed(0)} ms: ${count(event.peers, "peer")}, ${
            count(event.files, "file")
          } known`,
        )];
      case "downloaded":
        return [
          plain(`Successfully downloaded file from ${visible(event.source)}`),
          info(`${visible(event.file.name)} (${event.file.fileId}) is here and verified`),
        ];
      case "auto-fetch-complete":
        return [plain(`AUTO FETCH PROCESS COMPLETE (${autoFetchText(event)})`)];
      case "left-alone":
        return [warning(
          `${visible(event.peerId)} is left alone for ${durationText(event.leftMs / 1000)}: it ${
            visible(event.text)
          }, ${event.offences} times in a row`,
        )];
      case "alone":
        return [info(
          event.isTrying
            ? "No peer answers yet; still trying, and waiting to be found"
            : "No peer to join by; waiting to be found",
        )];
      case "bootstrap-silent":
        return [warning(
          `Bootstrap peer ${visible(event.text)}; it is tried again, less and less often`,
        )];
      case "request":
        return [info(`${visible(event.ip)} asks: ${visible(event.text, 300)}`)];
      case "sent":
        return [
          (event.isBroadcast ? debug : info)(
            `Sent ${event.what} to ${visible(addressText(event.to))}`,
          ),
        ];
      case "broadcast":
        return [info(`Sending ${event.what} to ${count(event.peers, "peer")}`)];
      case "send-failed":
        return [debug(`${event.what} was not sent: ${visible(event.text, 300)}`)];
      case "peer-joined":
        return [info(`Peer ${visible(event.peerId)} at ${visible(addressText(event.address))}`)];
      case "peer-left":
        return [info(`Peer ${visible(event.peerId)} was silent for too long and is dropped`)];
      case "peer-moved":
        return [info(
          `Peer ${visible(event.peerId)} moved from ${visible(addressText(event.other))} to ${
            visible(addressText(event.address))
          }`,
        )];
      case "peer-conflict":
        return [warning(
          `Two peers call themselves ${visible(event.peerId)}: ${
            visible(addressText(event.address))
          } and ${visible(addressText(event.other))}`,
        )];
      case "attempt-failed":
        return [info(
          `${visible(event.source ?? "?")} did not deliver ${visible(event.fileName)}: ${
            visible(event.text)
          }`,
        )];
      case "download-failed":
        return [warning(
          `${visible(event.fileName)} was not fetched: ${visible(event.text)}${
            event.willRetry ? "; it is tried again when a peer delivers it" : ""
          }`,
        )];
      case "keep-failed":
        return this.#once(`not kept ${event.text}`)
          ? [warning(`${visible(event.fileName)} was not kept: ${visible(event.text)}`)]
          : [];
      case "held":
        return [info(`${visible(event.file.name)} (${event.file.fileId}) is here: ${event.how}`)];
      case "lost":
        return [warning(
          `${
            visible(event.file.name)
          } (${event.file.fileId}) changed or is gone from the folder, and is no longer shared`,
        )];
      case "deleted":
        return [info(
          `${visible(event.file.name)} (${event.file.fileId}) was deleted ${deletedText(event.by)}`,
        )];
      case "renamed":
        return [info(
          `${visible(event.from)} is now called ${
            visible(event.file.name)
          } (${event.file.fileId}); the network is told`,
        )];
      case "name-taken":
        return this.#once(`name-taken ${addressText(event.other)}`)
          ? [{ ...warning(nameTakenText(event)), plain: true }]
          : [];
      case "copied":
        return [info(`${visible(event.file.name)} was pushed to ${visible(event.peerId)}`)];
      case "refused":
        return this.#once(`${event.who} ${event.reason}`)
          ? [warning(`${visible(event.who)}: ${visible(event.text, 300)} [${event.reason}]`)]
          : [debug(`${visible(event.who)}: ${visible(event.text, 300)} [${event.reason}]`)];
      case "passed-over":
        return [info(visible(event.text, 2_000))];
      case "trouble":
        return this.#once(`trouble ${event.text}`)
          ? [{ level: "ERROR", text: visible(event.text, 2_000) }]
          : [];
      default:
        return event satisfies never;
    }
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

const plain = (text: string): Line => ({ level: "INFO", text, plain: true });
const info = (text: string): Line => ({ level: "INFO", text });
const debug = (text: string): Line => ({ level: "DEBUG", text });
const warning = (text: string): Line => ({ level: "WARNING", text });

/** `1 peer`, `2 peers`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

function autoFetchText(
  { fetched, failed, pending, reason }: Extract<NodeEvent, { name: "auto-fetch-complete" }>,
): string {
  switch (reason) {
    case "done":
      return `${count(fetched, "file")} fetched, ${failed} failed${
        pending > 0 ? `, ${pending} still to come: tried again when a peer delivers them` : ""
      }`;
    case "nothing-missing":
      return "0 files fetched, 0 failed: no file is missing";
    case "no-peers":
      return "0 files fetched, 0 failed: no peer answers yet";
    case "off":
      return "0 files fetched, 0 failed: turned off by --auto-fetch 0";
    default:
      return reason satisfies never;
  }
}

function nameTakenText({ other, toldBy }: Extract<NodeEvent, { name: "name-taken" }>): string {
  const there = visible(addressText(other));
  return toldBy === undefined
    ? `Another peer, at ${there}, uses the name of this one; others list only one of the two. Start one of them with another peer id`
    : `${
      visible(toldBy)
    } lists another peer under this name, at ${there}, so it does not list this one. Start this peer with another peer id, or stop the other one`;
}

type By = Extract<NodeEvent, { name: "deleted" }>["by"];

function deletedText(by: By): string {
  switch (by) {
    case "owner":
      return "by its owner";
    case "us":
      return "everywhere";
    case "us-here-only":
      return "here only, for it is not ours";
    case "us-replaced":
      return "everywhere: it changed right after it was shared, and its new version takes its place";
    default:
      return by satisfies never;
  }
}
