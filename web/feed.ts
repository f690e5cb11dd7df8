// What changed in the peer, as numbered events for whoever watches. Changes are gathered for a moment and told
// together, so that a burst of a thousand is one event. While nobody watches nothing is gathered.
// Nobody keeps others from watching: one address has a few places, and where all are taken, who has most gives one up.
// Always holds: who was away a moment and says where it was misses nothing, or is told to begin anew; at most
// `MAX_KEPT` events and `MAX_KEPT_BYTES` are remembered; at most `MAX_WATCHERS` watch.

import { asciiJson } from "../protocol/wire/text.ts";
import { fileJson, peerJson, statusJson, transferJson } from "./api/listing.ts";
import type { ChangeSource, ViewedChange, ViewedEvent, ViewedWatcher } from "./view.ts";

const MAX_KEPT = 1_000;
/** Less than a watcher that resumes may have waiting for it (web/events.ts), or it would never catch up. */
const MAX_KEPT_BYTES = 512 * 1024;
export const MAX_WATCHERS = 64;
/** Of one address: a browser opens six at most, and each holds a connection (a quarter of those of an address). */
export const MAX_WATCHERS_EACH = 16;
/** Gathering time: far below what anybody sees, far above what a burst takes. */
const GATHER_MS = 100;
/** So long nothing is forgotten after the last one went: it may come back. */
const LINGER_MS = 30_000;

export class Feed {
  readonly #boot = crypto.randomUUID().slice(0, 8);
  readonly #watchers = new Set<ViewedWatcher>();
  #kept: ViewedEvent[] = [];
  #keptBytes = 0;
  #serial = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #idleSinceMs = 0;

  constructor(readonly source: ChangeSource) {}

  get watchers(): number {
    return this.#watchers.size;
  }

  /**
   * Tells of each event until the returned function is called; first of those behind `lastId`. Where these are not
   * known any more, or none is named, "reset" comes first.
   */
  watch(lastId: string | undefined, watcher: ViewedWatcher): () => void {
    const own = [...this.#watchers].filter(({ who }) => who === watcher.who);
    if (own.length >= MAX_WATCHERS_EACH) this.#dismiss(own[0]!);
    if (this.#watchers.size >= MAX_WATCHERS) this.#makeRoom();
    this.#begin();
    this.#idleSinceMs = performance.now(); // who comes now is not there yet, but nobody may stop for that
    this.#gather(); // what changed so far is not news to who comes now
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
    this.#leave(watcher);
    watcher.end();
  }

  /** The oldest of whoever watches most often goes. */
  #makeRoom(): void {
    const counts = new Map<string, number>();
    for (const { who } of this.#watchers) counts.set(who, (counts.get(who) ?? 0) + 1);
    const most = Math.max(...counts.values());
    const first = [...this.#watchers].find(({ who }) => counts.get(who) === most);
    if (first) this.#dismiss(first);
  }

  /** Ends it; nobody is told any more. */
  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#watchers.clear();
  }

  #begin(): void {
    if (this.#timer !== undefined) return;
    this.#kept = [];
    this.#keptBytes = 0;
    this.#serial++; // a gap: what happened while nobody watched is not known
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

  /** Events behind this one; undefined when some of them are not known any more. */
  #behind(lastId: string | undefined): ViewedEvent[] | undefined {
    const [, boot, text] = /^([0-9a-f]{8})-(\d{1,15})$/.exec(lastId ?? "") ?? [];
    const last = Number(text);
    const first = this.#serial - this.#kept.length;
    if (boot !== this.#boot || last < first || last > this.#serial) return undefined;
    return this.#kept.slice(last - first);
  }
}

/** The data of an event, in ASCII: what peers named must not reach a browser unescaped. */
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
