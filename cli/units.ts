// Formats sizes and durations for the prompt, the log and the pages. PURE.

/** Formats an integer with thousands separators: `12,345`. */
export const numberText = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ",");

/** Formats a size in bytes as `12.4 MB`, in units of 1,000. */
export function sizeText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = bytes;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${Math.round(value)} B` : `${value.toPrecision(3)} ${units[unit]}`;
}

/** Formats a duration in seconds as `42 s`, `5 min`, `3 h` or `2 d`. */
export function durationText(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** Returns how far a scan of the folder is, in words. */
export function indexingText({ files, totalFiles, bytes, totalBytes }: {
  readonly files: number;
  readonly totalFiles: number;
  readonly bytes: number;
  readonly totalBytes: number;
}): string {
  return `${numberText(files)} of ${numberText(totalFiles)} files, ${sizeText(bytes)} of ${
    sizeText(totalBytes)
  }; files are shared as they are indexed`;
}
