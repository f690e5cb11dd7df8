// A download as a line in the terminal: a bar, how much there is, how fast it comes, and how long it still takes. PURE.

import { visible } from "../protocol/wire/text.ts";
import { durationText, sizeText } from "./units.ts";

/** How far a download is. */
export interface GetProgress {
  /** Name of the file. */
  readonly name: string;
  /** Content that is here, in bytes. */
  readonly doneBytes: number;
  /** Size of the file, in bytes; `undefined` if it is not known. */
  readonly totalBytes: number | undefined;
  /** Current speed, in bytes per second. */
  readonly bytesPerSecond: number;
  /** Number of peers that deliver it. */
  readonly sources: number;
  /** What holds it up while it is slow. */
  readonly slow?: keyof typeof SLOW | undefined;
}

/** What holds a download up, in words. */
const SLOW = {
  limit: "at the limit",
  disk: "slow disk",
  sources: "slow sources",
  link: "slow network",
} as const;

/** Maximum length of the name in the line, in characters. */
const NAME_CHARS = 24;
/** Maximum length of the bar, in characters; on narrow terminals it is shorter, or left out. */
const BAR_CHARS = 30;

/** Returns the line, at most `columns` characters long. */
export function progressLine(progress: GetProgress, columns: number): string {
  const { name, doneBytes, totalBytes, bytesPerSecond, sources, slow } = progress;
  const share = totalBytes === undefined ? undefined : Math.min(1, doneBytes / (totalBytes || 1));
  const left = totalBytes !== undefined && bytesPerSecond > 0
    ? (totalBytes - doneBytes) / bytesPerSecond
    : undefined;
  const words = [
    share === undefined ? sizeText(doneBytes) : `${Math.floor(100 * share)} %`,
    `${sizeText(bytesPerSecond)}/s`,
    ...(left === undefined ? [] : [`${durationText(left)} left`]),
    ...(slow === undefined ? [] : [SLOW[slow]]),
    ...(sources > 1 ? [`from ${sources} peers`] : []),
    "Ctrl-C cancels",
  ].join(" · ");
  const start = visible(name, NAME_CHARS);
  const room = Math.min(BAR_CHARS, columns - start.length - words.length - 5);
  if (share === undefined || room < 5) return `${start} ${words}`.slice(0, columns);
  const filled = Math.floor(share * room);
  return `${start} [${"#".repeat(filled)}${"-".repeat(room - filled)}] ${words}`;
}
