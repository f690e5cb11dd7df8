// How places have served us: who delivers lies or rubbish and nothing good is avoided for a while. PURE.
// Always holds: what counts came on a connection that we opened to the place itself, so nobody can blame
// somebody else; one good delivery clears it; time forgives; it is never a reason not to answer.

import { FIRST_PAUSE_MS, LAST_PAUSE_MS, MAX_OFFENDERS, OFFENCE_DECAY_MS } from "../limits.ts";

interface Offender {
  /** Offences in a row without anything good between them; halved with each `OFFENCE_DECAY_MS`. */
  offences: number;
  lastMs: number;
  untilMs: number;
  text: string;
}

/** Why a place is avoided, and for how long still. */
export interface Pause {
  readonly leftMs: number;
  readonly offences: number;
  /** What it did last, for people. */
  readonly text: string;
}

export class Reputation {
  /** By place (`placeOf`); the latest offence last. */
  readonly #offenders = new Map<string, Offender>();

  get size(): number {
    return this.#offenders.size;
  }

  /** The place delivered something that was whole and true. */
  served(place: string): void {
    this.#offenders.delete(place);
  }

  /**
   * The place delivered a lie or rubbish. The first time costs it that attempt only, the second a pause that
   * doubles with each further one, up to ten minutes. What was under way when a pause began does not count.
   * Returns the pause that begins with it, if one does.
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
      this.#offenders.delete(this.#offenders.keys().next().value!);
    }
    this.#offenders.set(place, { offences, lastMs: nowMs, untilMs: nowMs + pauseMs, text });
    return this.pause(place, nowMs);
  }

  /** Undefined where the place is as good as any. */
  pause(place: string, nowMs: number): Pause | undefined {
    const offender = this.#offenders.get(place);
    if (!offender || nowMs >= offender.untilMs) return undefined;
    const { untilMs, offences, text } = offender;
    return { leftMs: untilMs - nowMs, offences, text };
  }
}

/** Time forgives from the end of the pause on. */
function decayed({ offences, lastMs, untilMs }: Offender, nowMs: number): number {
  const quietMs = Math.max(0, nowMs - Math.max(lastMs, untilMs));
  return Math.floor(offences / 2 ** Math.floor(quietMs / OFFENCE_DECAY_MS));
}
