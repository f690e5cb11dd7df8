// Changes in the peer as numbered events, in JSON, for whoever watches. Changes are gathered for a moment and sent together,
// so that a burst of a thousand is one event. While nobody watches, nothing is gathered.
// Nobody can keep others from watching: an address gets a few places, and when all are taken, the one with most loses one.
// Invariants: a watcher that was away for a moment and names its last event misses nothing, or is told to reload
// everything; at most `MAX_KEPT` events and `MAX_KEPT_BYTES` are kept; at most `MAX_WATCHERS` watch.

import { asciiJson } from "../protocol/wire/text.ts";
import { fileJson, peerJson, statusJson, transferJson } from "./api/listing.ts";
import type { ChangeSource, ViewedChange, ViewedEvent, ViewedWatcher } from "./view.ts";

/** Maximum number of events kept for watchers that come back. */
const MAX_KEPT = 1_000;
/**
 * Maximum bytes of events kept. Less than a watcher may have queued (web/event_stream.ts), or one that resumes could never
 * catch up.
 */
const MAX_KEPT_BYTES = 512 * 1024;
/** Maximum number of watchers. */
export const MAX_WATCHERS = 64;
/**
 * Maximum number of watchers at one address. A browser opens at most six, and each holds one of the address's
 * connections.
 */
export const MAX_WATCHERS_EACH = 16;
/** How long changes are gathered, in milliseconds: far below what people notice, far above what a burst takes. */
const GATHER_MS = 100;
/** How long events are kept after the last watcher left, in milliseconds: it may come back. */
const LINGER_MS = 30_000;

export class Feed {
  readonly #boot = crypto.randomUUID().slice(0, 8);
  readonly #watchers = new Set<ViewedWatcher>();
  #kept: ViewedEvent[] = [];
  #keptBytes = 0;
  #serial = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #idleSinceMs = 0;

  /** `onDismissed` is called for each watcher that is dismissed because there are too many. */
  constructor(readonly source: ChangeSource, readonly onDismissed: () => void = () => {}) {}

  get watchers(): number {
    return this.#watchers.size;
  }

  /**
   * Sends each event to a watcher until the returned function is called, beginning with those after `lastId`. If those are
   * no longer kept, or no id is given, "reset" comes first.
   */
  watch(lastId: string | undefined, watcher: ViewedWatcher): () => void {
    const own = [...this.#watchers].filter(({ who }) => who === watcher.who);
    if (own.length >= MAX_WATCHERS_EACH) this.#dismiss(own[0]!);
    if (this.#watchers.size >= MAX_WATCHERS) this.#makeRoom();
    this.#begin();
    this.#idleSinceMs = performance.now(); // the newcomer is not counted yet, but gathering must not stop
    this.#gather(); // earlier changes are not news to the newcomer
    const missed = this.#behind(lastId);
    this.#watchers.add(watcher);
    if (missed) { for (const event of missed) watcher.tell(event); }
    else watcher.tell({ id: this.#id(this.#serial), type: "reset", data: "{}" });
    return () => this.#leave(watcher);
  }

  #leave(watcher: ViewedWatcher): void {
    if (!this.#watchers.delete(watcher)) return;
    this.#idleSinceMs = performance.now();
  }

  #dismiss(watcher: ViewedWatcher): void {
    this.onDismissed();
    this.#leave(watcher);
    watcher.end();
  }

  /** Dismisses the oldest watcher of the address that has most. */
  #makeRoom(): void {
    const counts = new Map<string, number>();
    for (const { who } of this.#watchers) counts.set(who, (counts.get(who) ?? 0) + 1);
    const most = Math.max(...counts.values());
    const first = [...this.#watchers].find(({ who }) => counts.get(who) === most);
    if (first) this.#dismiss(first);
  }

  /** Stops. Nobody receives anything afterwards. */
  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#watchers.clear();
  }

  #begin(): void {
    if (this.#timer !== undefined) return;
    this.#kept = [];
    this.#keptBytes = 0;
    this.#serial++; // a gap: nobody recorded what happened meanwhile
    this.source.watch(true);
    this.#timer = setInterval(() => this.#gather(), GATHER_MS);
  }

  #gather(): void {
    for (const change of this.source.changes()) {
      const data = jsonOf(change);
      const event = { id: this.#id(++this.#serial), type: change.type, data };
      this.#kept.push(event);
      this.#keptBytes += data.length;
      while (this.#kept.length > MAX_KEPT || this.#keptBytes > MAX_KEPT_BYTES) {
        this.#keptBytes -= this.#kept.shift()!.data.length;
      }
      for (const { tell } of [...this.#watchers]) tell(event);
    }
    if (this.#watchers.size > 0 || performance.now() - this.#idleSinceMs < LINGER_MS) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.source.watch(false);
  }

  #id(serial: number): string {
    return `${this.#boot}-${serial}`;
  }

  /** Returns the events after this one; undefined if some of them are no longer kept. */
  #behind(lastId: string | undefined): ViewedEvent[] | undefined {
    const [, boot, text] = /^([0-9a-f]{8})-(\d{1,15})$/.exec(lastId ?? "") ?? [];
    const last = Number(text);
    const first = this.#serial - this.#kept.length;
    if (boot !== this.#boot || last < first || last > this.#serial) return undefined;
    return this.#kept.slice(last - first);
  }
}

/** Returns the data of an event in ASCII JSON, so that names from peers reach a browser escaped. */
function jsonOf(change: ViewedChange): string {
  switch (change.type) {
    case "status":
      return asciiJson(statusJson(change.status));
    case "files":
      return asciiJson({ changed: change.changed.map(fileJson), removed: change.removed });
    case "peers":
      return asciiJson({ changed: change.changed.map(peerJson), removed: change.removed });
    case "transfers":
      return asciiJson({ changed: change.changed.map(transferJson) });
    case "reset":
      return "{}";
    default:
      return change satisfies never;
  }
}
