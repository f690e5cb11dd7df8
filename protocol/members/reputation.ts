// Reputation: a source that sends bad data, and nothing good in between, is avoided for a while. PURE.
// Invariants: only data on connections that we opened to the source counts, so that nobody can incriminate somebody
// else; one good delivery clears the record; offenses fade with time; an offender's own requests are still answered.

import { FIRST_PAUSE_MS, LAST_PAUSE_MS, MAX_OFFENDERS, OFFENCE_DECAY_MS } from "../limits.ts";

interface Offender {
  /** Offenses in a row without a good delivery in between; halved after each `OFFENCE_DECAY_MS`. */
  offences: number;
  lastMs: number;
  untilMs: number;
  text: string;
}

/** Why a source is avoided, and for how long. */
export interface Pause {
  /** Remaining time, in milliseconds. */
  readonly leftMs: number;
  /** Number of offenses in a row. */
  readonly offences: number;
  /** The last offense, for people: the rest of a sentence that starts with "it". */
  readonly text: string;
}

/** Remembers which sources sent bad data. */
export class Reputation {
  /** By place (`placeOf`); the latest offense is last. */
  readonly #offenders = new Map<string, Offender>();

  /** Number of sources that were forgotten to make space for others. */
  forgotten = 0;

  /** Number of sources remembered. */
  get size(): number {
    return this.#offenders.size;
  }

  /** Clears the record of a source that delivered complete, verified content. */
  served(place: string): void {
    this.#offenders.delete(place);
  }

  /**
   * Notes that a source sent bad data. The first offense has no consequences; from the second on, the source is avoided
   * for `FIRST_PAUSE_MS`, doubled with each further one, up to `LAST_PAUSE_MS`. Transfers that were in progress when a
   * pause began do not count. Returns the pause that begins now, if one does.
   */
  offended(place: string, text: string, nowMs: number): Pause | undefined {
    const known = this.#offenders.get(place);
    if (known && nowMs < known.untilMs) return undefined;
    const before = known ? decayed(known, nowMs) : 0;
    const offences = before + 1;
    const pauseMs = offences < 2
      ? 0
      : Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(30, offences - 2));
    this.#offenders.delete(place);
    if (this.#offenders.size >= MAX_OFFENDERS) {
      this.forgotten++;
      this.#offenders.delete(this.#offenders.keys().next().value!);
    }
    this.#offenders.set(place, { offences, lastMs: nowMs, untilMs: nowMs + pauseMs, text });
    return this.pause(place, nowMs);
  }

  /** Returns why and how long the source is avoided, or `undefined` if it is not. */
  pause(place: string, nowMs: number): Pause | undefined {
    const offender = this.#offenders.get(place);
    if (!offender || nowMs >= offender.untilMs) return undefined;
    const { untilMs, offences, text } = offender;
    return { leftMs: untilMs - nowMs, offences, text };
  }
}

/** Returns the number of offenses that still count. They start to fade when the pause ends. */
function decayed({ offences, lastMs, untilMs }: Offender, nowMs: number): number {
  const quietMs = Math.max(0, nowMs - Math.max(lastMs, untilMs));
  return Math.floor(offences / 2 ** Math.floor(quietMs / OFFENCE_DECAY_MS));
}
