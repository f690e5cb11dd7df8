// What was refused, forgotten or delayed because a limit was reached: one sentence for each, and the option that raises
// the limit. PURE. Whatever is bounded and may lose something counts it under one of these, so that an overload is seen in
// `stats`, in the log, at /api/v1/status and on the page. A cache that loses nothing when it forgets need not.

/** What happened at a limit. */
export interface Sentence {
  /** What happened, for people: a sentence without a full stop. */
  readonly what: string;
  /** The option that raises the limit, if one does. */
  readonly option?: string;
}

/** Everything that is counted when a limit is reached, by reason. Those that are refusals have the code of the refusal. */
export const OVERLOADS = {
  "too-long": { what: "Messages or lists refused because they were too long", option: "max-list" },
  "too-many-values": {
    what: "Messages refused because they held too many values",
    option: "max-list-files",
  },
  "too-large": { what: "Files refused because they were too large", option: "max-file-size" },
  "no-space": { what: "Content refused because the disk was too full", option: "min-free" },
  "push-rate": { what: "Pushes refused because there were too many at once", option: "push-rate" },
  "push-quota": { what: "Pushes refused because their quota was used up", option: "push-quota" },
  "delete-rate": { what: "Deletions ignored because one owner deleted too many at once" },
  "peer-limit": { what: "Peers not tracked because there were too many", option: "max-peers" },
  "catalogue-limit": {
    what: "Files ignored because the catalogue was full",
    option: "max-files",
  },
  "gossip-rate": { what: "Gossip ignored because one peer gossiped too often" },
  "reply-rate": {
    what: "Gossip not answered because one peer was answered too often",
    option: "replies-per-minute",
  },
  "dial-rate": {
    what: "Peers not contacted because too many have not proved where they are",
    option: "unproven-dials-per-minute",
  },
  "too-many-connections": {
    what: "Connections refused because too many were open",
    option: "max-connections",
  },
  "too-many-requests": {
    what: "Requests for files refused because too many were waiting",
    option: "max-waiting",
  },
  "connections-dropped": {
    what: "Idle connections dropped because others needed their slots",
    option: "max-connections",
  },
  "http-connections": {
    what: "Connections of browsers refused because too many were open",
    option: "max-connections",
  },
  "http-dropped": {
    what: "Idle connections of browsers dropped because others needed their slots",
    option: "max-connections",
  },
  "watchers-dropped": { what: "Open pages disconnected because too many watched this peer" },
  "logins-refused": { what: "Logins refused because there were too many wrong tokens" },
  "sessions-ended": { what: "Sessions of browsers ended because there were too many" },
  "dials-refused": {
    what: "Messages not sent because too many connections were waiting to be opened",
    option: "max-dials",
  },
  "answers-unread": {
    what: "Answers to gossip not awaited because too many were awaited already",
  },
  "announced-ignored": {
    what:
      "Peers that announced themselves on the network not contacted because there were too many",
  },
  "links-refused": {
    what: "Connections of peers that cannot be dialed refused because too many were open",
    option: "max-connections",
  },
  "calls-refused": {
    what: "Connections not opened to peers that asked for them because there were too many",
  },
  "relays-refused": {
    what: "Connections between other peers not passed on because there were too many",
  },
  "files-forgotten": {
    what: "Known files forgotten to make space for others",
    option: "max-files",
  },
  "unwanted-forgotten": {
    what: "Files removed here that may be downloaded again because too many were removed",
    option: "max-files",
  },
  "timestamps-ignored": { what: "Timestamps ignored because one file had too many" },
  "lists-cut": {
    what: "Lists cut because they named more files than can be known",
    option: "max-files",
  },
  "lists-delayed": {
    what: "Lists that continue later because one peer was sent too much",
    option: "reply-bytes-per-minute",
  },
  "lists-given-up": { what: "Pieces of lists given up because they could not be delivered" },
  "peers-replaced": { what: "Tracked peers replaced by others", option: "max-peers" },
  "offenders-forgotten": {
    what: "Bad sources that may be asked again because there were too many",
  },
  "deletions-forgotten": {
    what: "Deletions forgotten before they expired because there were too many",
  },
  "deletions-delayed": {
    what: "Deletions that peers hear of only once they list the file, because too many are waiting",
  },
  "announcements-dropped": { what: "Announcements dropped because too many were waiting" },
  "copies-not-offered": {
    what: "Shared files not pushed to another peer because too many were shared at once",
  },
  "downloads-delayed": { what: "Downloads that wait for a retry because too many were queued" },
  "downloads-forgotten": { what: "Wanted files forgotten because too many were wanted" },
  "trash-purged": {
    what: "Deleted files purged within 24 hours because the disk or the quota for pushes was full",
    option: "min-free",
  },
} as const satisfies Readonly<Record<string, Sentence>>;

/** The reason of an overload. */
export type Overload = keyof typeof OVERLOADS;

/** All reasons. */
export const ALL_OVERLOADS = Object.keys(OVERLOADS) as readonly Overload[];

/** Returns whether a reason, such as that of a refusal, means that a limit was reached. */
export function isOverload(reason: string): reason is Overload {
  return Object.hasOwn(OVERLOADS, reason);
}

/** Returns what happened, as a sentence without a full stop. */
export function overloadText(overload: Overload): string {
  return OVERLOADS[overload].what;
}

/** Returns the option that raises the limit, without dashes, or `undefined` if none does. */
export function overloadOption(overload: Overload): string | undefined {
  return (OVERLOADS[overload] as Sentence).option;
}
