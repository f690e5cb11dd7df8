// Every bound and deadline of the peer, by name, with its default and its reason.
// PURE. What people may tune stands in `Limits` (each is an option of the command line);
// what follows from the protocol itself is a constant. A figure that is a guess says so.

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

/** Bounds that an operator may tune. Sizes in bytes, times in milliseconds, rates as named. */
export interface Limits {
  /** Inbound connections served at once. */
  maxConnections: number;
  /** Inbound connections served at once from one address; a lab host carries many peers. */
  maxConnectionsPerAddress: number;
  /** Accepted connections of known peers that wait for their turn (one peer opens 400 at once). */
  maxWaitingConnections: number;
  /** A message without its list and without file content. */
  maxMessageBytes: number;
  /** How long a control message may take from its first byte to its last. */
  messageTimeoutMs: number;
  /** The list of one GOSSIP_REPLY. */
  maxListBytes: number;
  /** Entries in the list of one GOSSIP_REPLY. */
  maxListFiles: number;
  /** A file that is longer is neither fetched nor kept. */
  maxFileBytes: number;
  /** File content, and a reader of it, may stand still this long. */
  idleTimeoutMs: number;
  /** Peers tracked. */
  maxPeers: number;
  /** Peers tracked at one address. */
  maxPeersPerAddress: number;
  /** Files known, held or not. */
  maxCatalogueEntries: number;
  /** Outgoing connections being opened at once. */
  maxDials: number;
  /** How long one outgoing connection may take to open. */
  dialTimeoutMs: number;
  /** Largest content pushed to a peer without extensions: such peers parse in quadratic time. */
  legacyPushBytes: number;
  /** Disk space that is never used up; undefined means the larger of 1 GiB and 1 %. */
  minFreeBytes: number | undefined;
  /** Total size of what others pushed here without being asked. */
  pushQuotaBytes: number;
  /** Pushes accepted from one address, in the long run. */
  pushesPerSecond: number;
  /** Pushes accepted from one address at once. */
  pushBurst: number;
  /** Replies to one destination. */
  repliesPerMinute: number;
  /** Bytes of replies to one destination. */
  replyBytesPerMinute: number;
  /** Dials to addresses that never proved that they are peers, all together. */
  unprovenDialsPerMinute: number;
}

/** The defaults; each comes from measurements in the lab network or is a guess that held so far. */
export const DEFAULT_LIMITS: Readonly<Limits> = Object.freeze({
  maxConnections: 256,
  maxConnectionsPerAddress: 64,
  maxWaitingConnections: 512,
  maxMessageBytes: 64 * KiB,
  messageTimeoutMs: 10_000,
  maxListBytes: 16 * MiB,
  maxListFiles: 50_000,
  maxFileBytes: 8 * GiB,
  idleTimeoutMs: 30_000,
  maxPeers: 1024,
  maxPeersPerAddress: 256,
  maxCatalogueEntries: 200_000,
  maxDials: 8,
  dialTimeoutMs: 3_000,
  legacyPushBytes: 2 * MiB,
  minFreeBytes: undefined,
  pushQuotaBytes: 10 * GiB,
  pushesPerSecond: 10,
  pushBurst: 50,
  repliesPerMinute: 30,
  replyBytesPerMinute: 4 * MiB,
  unprovenDialsPerMinute: 300,
});

/** Containers inside one another; the protocol itself needs four. */
export const MAX_DEPTH = 8;
/** Values in one message: a full list with 16 fields an entry. */
export const MAX_VALUES = 800_000;
/** A peer's name or a file's owner, in characters. */
export const MAX_NAME_CHARS = 128;
/** A file's label; longer ones are cut. No file system takes more than 255 bytes anyway. */
export const MAX_LABEL_CHARS = 255;
/** A DNS name (RFC 1035). */
export const MAX_HOST_CHARS = 253;
/** Source text of a number. */
export const MAX_NUMBER_CHARS = 32;
/** A gossip id; the field uses UUIDs of 36. */
export const MAX_GOSSIP_ID_CHARS = 128;

/** Gossip ids remembered at once, and for how long (a guess: ten rounds). */
export const MAX_SEEN_GOSSIPS = 16_384;
export const SEEN_GOSSIP_MS = 300_000;
/** Forwards of one gossip (the protocol's number). */
export const MAX_FORWARDS = 3;
/** Own gossips per round (the protocol says 3 to 5). */
export const GOSSIP_FANOUT = 5;
/** Gossips of one originator that are answered and forwarded: a burst, then one in ten seconds. */
export const ORIGINATOR_BURST = 5;
export const ORIGINATOR_PER_SECOND = 0.1;
/** Peers whose list is missing that one gossip asks for it. */
export const MAX_WANTED_LISTS = 16;
/** A list of which no piece came for this long is not coming any more (a guess). */
export const LIST_QUIET_MS = 10_000;
/** A list is missing: the next round is held at once, but no sooner than this after the last one. */
export const ROUND_PAUSE_MS = 10_000;
/** A piece of a list to a peer that parses in quadratic time. */
export const LEGACY_PART_BYTES = 64 * KiB;
/** A piece of a list to a peer with extensions. */
export const PART_BYTES = 512 * KiB;
/** First reply to an address that did not prove yet that it is the peer it claims to be. */
export const UNPROVEN_REPLY_BYTES = 4 * KiB;
/** A peer with extensions gets the whole list again after this time, whatever it has (a guess). */
export const FULL_LIST_MS = 600_000;
/** Changes of our own list remembered for short replies. */
export const MAX_LIST_CHANGES = 1_000;

/** A source that delivers less than this, on average over each idle time, is given up (a guess). */
export const MIN_SOURCE_BYTES_PER_SECOND = 512;
/** A source that failed for a file is not asked again for it by itself for this long (a guess). */
export const SOURCE_FAILURE_MS = 600_000;
/** A source that lied a second time in a row is left alone so long; doubled each time (a guess). */
export const FIRST_PAUSE_MS = 30_000;
export const LAST_PAUSE_MS = 600_000;
/** Half of a source's offences is forgiven after this time (a guess). */
export const OFFENCE_DECAY_MS = 600_000;
/** Sources whose offences are remembered. */
export const MAX_OFFENDERS = 1_024;
/** Delay before a file that nobody delivered is tried again, in milliseconds; doubled up to the last one. (Guesses.) */
export const FIRST_RETRY_MS = 5_000;
export const LAST_RETRY_MS = 600_000;
/** Maximum number of files that are wanted and waiting to be tried again. */
export const MAX_WISHES = 10_000;
/** Maximum number of waiting files whose turn comes in one tick. */
export const WISHES_PER_TICK = 32;
/** A peer that comes back hurries what is wanted of it once in this time, in milliseconds. */
export const HURRY_MS = 60_000;
/** With auto-fetch of everything, what is missing and was not asked for is looked for this often. */
export const MISSING_EVERY_MS = 30_000;
/** Downloads from one source at once: one that hangs must not hold up all others. */
export const MAX_DOWNLOADS_PER_SOURCE = 3;
/** Downloads running at once; one per file. */
export const MAX_DOWNLOADS = 4;
/** Downloads that wait. */
export const MAX_QUEUED_DOWNLOADS = 10_000;
/** Peers that a copy of a pushed file is offered to, one after the other, until one takes it. */
export const MAX_PUSH_TRIES = 3;

/** Maximum number of sends of broadcasts under way at once: far below what the dialer lets wait (4,096). */
export const MAX_BROADCAST_SENDS = 512;
/** Announcements made at once, and how many more per second; further files are announced together. (A guess.) */
export const ANNOUNCE_BURST = 8;
export const ANNOUNCES_PER_SECOND = 1;
/** Files are announced one by one while that takes no more sends than this, and as pieces of a list beyond. (A guess.) */
export const MAX_SINGLE_ANNOUNCES = 2_048;
/** Maximum number of files announced together, so that one round of it stays short. */
export const ANNOUNCE_BATCH = 1_000;
/** Minimum interval between pieces of a list to a peer without extensions, in milliseconds. */
export const LEGACY_PIECE_MS = 1_000;
/** Maximum number of files in such a piece: one kind of peer asks for all of them at once. */
export const LEGACY_PIECE_FILES = 64;
/** Such a peer gets no further piece while more of its requests than this are open. */
export const LEGACY_OPEN_GETS = 64;
/** Maximum number of files that such a peer is told of besides its whole list; beyond it, that begins anew. */
export const LEGACY_EXTRA = 1_000;
/**
 * Maximum number of files that all such peers together were told of and may still ask for, or wait for: 512 connections
 * may wait, and half of them stay free for others. Beyond it, each of them is told of a piece in `LEGACY_ASK_MS`.
 */
export const LEGACY_OFFERED = 256;
/** How long such a peer may take to ask for what a piece told it of. (One reads 120 kB/s, one is busy for seconds.) */
export const LEGACY_ASK_MS = 15_000;
/** It has asked for all that it wants of a piece when it asked for nothing more for this long, in milliseconds. */
export const LEGACY_QUIET_MS = 2_000;
/** A piece that did not get there is sent again after this long, and this often at most. */
export const LEGACY_RESEND_MS = 5_000;
export const LEGACY_RESENDS = 3;
/** An own file that is replaced within this time after it was shared is withdrawn. (A guess.) */
export const WITHDRAW_MS = 600_000;
/** Maximum number of DELETEs sent to one address in a minute: fewer than a peer obeys from one owner. */
export const DELETES_SENT_PER_MINUTE = 50;
/** Delay before a DELETE is sent again to a peer that still lists the file, in milliseconds; doubled up to the last one. */
export const FIRST_REMIND_MS = 5_000;
export const LAST_REMIND_MS = 3_600_000;
/** Maximum number of peers and deleted files for which reminders are remembered. */
export const MAX_REMINDERS = 16_384;
/** Maximum number of deletions whose delivery is followed, and for how long. */
export const MAX_DELETIONS = 256;
export const DELETION_MS = 600_000;
/** A file without any holder stays in the catalogue this long. */
export const HOLDERLESS_MS = 7 * 86_400_000;
/** A deleted id does not come back by gossip for this long. */
export const TOMBSTONE_MS = 30 * 86_400_000;
export const MAX_TOMBSTONES = 10_000;
/** A push or an ANNOUNCE by the owner that began within this time of the deletion is a copy that was on its way (a guess). */
export const LIFT_AFTER_MS = 5_000;
/** What is restored sooner than that after its deletion is told once more then: others heard of the deletion later (a guess). */
export const TELL_AGAIN_MS = 2 * LIFT_AFTER_MS;
export const MAX_TOLD_AGAIN = 1_024;
/** DELETEs of files that are not known yet are remembered for so long, and so many (a guess). */
export const EARLY_DELETE_MS = 120_000;
export const MAX_EARLY_DELETES = 4_096;
/** DELETEs obeyed from one owner in a minute. */
export const DELETES_PER_MINUTE = 60;
/** Other timestamps that were told for one unverified id; one of them may be the true one. */
export const MAX_OTHER_TIMESTAMPS = 3;

/** Back-off between tries to join while nobody answers, doubled from the first to the last. */
export const JOIN_BACKOFF_FIRST_MS = 1_000;
export const JOIN_BACKOFF_LAST_MS = 30_000;
/** Who takes the first gossip and says nothing for this long counts as silent; it is asked again. */
export const JOIN_ANSWER_MS = 4_000;
/** Peers of the last run that are tried at start, besides the bootstraps. */
export const MAX_REJOIN_PEERS = 16;
/** Replies are considered complete when none came for this long; measured lab replies: under 0.1 s. */
export const JOIN_QUIET_MS = 300;
