// Every limit and timeout of the peer, with its default, its reason, and what gets better and worse as it changes.
// PURE. What an operator may tune is in `Limits` (each field is a command line option); what follows from the protocol
// itself is a constant. A figure that is a guess says so.

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

/** Limits that an operator may tune. Sizes are in bytes, times in milliseconds, rates as named. */
export interface Limits {
  /**
   * Maximum number of inbound connections served at once, on each of the two ports. Higher: serves more peers and
   * browsers; lower: less memory and fewer file descriptors, but newcomers wait or are turned away sooner.
   */
  maxConnections: number;
  /**
   * Maximum number of inbound connections served at once from one address. Higher: serves more of the peers that share
   * a lab host; lower: one address can take up fewer connections.
   */
  maxConnectionsPerAddress: number;
  /**
   * Maximum number of accepted connections that wait for their turn (one kind of peer opens 400 at once). Higher:
   * larger bursts wait instead of failing; lower: fewer file descriptors are held.
   */
  maxWaitingConnections: number;
  /**
   * Maximum size of a message, not counting its list and file content. Higher: accepts peers that write longer
   * messages; lower: one connection can make this peer buffer less.
   */
  maxMessageBytes: number;
  /**
   * Maximum time from the first to the last byte of a control message. Higher: tolerates slower links; lower: stalled
   * connections are closed sooner.
   */
  messageTimeoutMs: number;
  /**
   * Maximum size of the list in one GOSSIP_REPLY. Higher: accepts longer lists from peers that send theirs in one
   * piece; lower: one message can take less memory.
   */
  maxListBytes: number;
  /**
   * Maximum number of entries in the list of one GOSSIP_REPLY. Higher: accepts longer lists from peers that send theirs
   * in one piece; lower: one message takes less time and memory to parse.
   */
  maxListFiles: number;
  /**
   * Maximum size of a file that is downloaded, stored or shared. Higher: larger files can be shared; lower: one file
   * can take less disk space and bandwidth.
   */
  maxFileBytes: number;
  /**
   * Maximum number of bytes of content received from other peers per second; 0 means no limit. Higher: downloads end
   * sooner; lower: leaves more of the link to others.
   */
  maxDownBytesPerSecond: number;
  /**
   * Maximum number of bytes of content sent to other peers per second; 0 means no limit. Higher: others get files sooner;
   * lower: leaves more of the link to others.
   */
  maxUpBytesPerSecond: number;
  /**
   * Maximum number of bytes per second that are passed on between other peers that cannot connect to each other, within the limit
   * on what is sent; 0 means no limit. Higher: they get files sooner; lower: leaves more of the link to this peer.
   */
  maxRelayBytesPerSecond: number;
  /**
   * Maximum pause in a transfer, by its sender or its reader. Higher: tolerates slow disks and links; lower: a stalled
   * download moves on to the next source sooner, and a stalled reader frees its slot.
   */
  idleTimeoutMs: number;
  /**
   * Maximum number of tracked peers. Higher: sees all of a larger network; lower: less memory and fewer announcements,
   * but peers beyond the limit are not tracked.
   */
  maxPeers: number;
  /**
   * Maximum number of tracked peers at one address. Higher: tracks more peers of a shared machine; lower: one machine
   * can claim fewer slots with invented names.
   */
  maxPeersPerAddress: number;
  /**
   * Maximum number of known files, stored here or not. Higher: sees all files of a larger network; lower: less memory,
   * but files beyond the limit replace others or stay unknown.
   */
  maxCatalogueEntries: number;
  /**
   * Maximum number of outgoing connections being opened at once. Higher: peers that do not answer delay others less;
   * lower: fewer sockets are opened at a time.
   */
  maxDials: number;
  /**
   * Maximum time to open one outgoing connection. Higher: reaches slower machines; lower: addresses that do not answer
   * delay others less.
   */
  dialTimeoutMs: number;
  /**
   * Maximum size of a file pushed to a peer without extensions; such peers parse in quadratic time. Higher: larger
   * files get a copy even where only such peers are around; lower: spares those peers.
   */
  legacyPushBytes: number;
  /**
   * Maximum number of files listed to a peer without extensions in half a minute. Higher: a peer that fetches at once
   * hears of a long list sooner; lower: spares those peers, but with more than 100 times as many files, each is listed
   * less than once an hour.
   */
  legacyListFiles: number;
  /**
   * Disk space that is never used up; undefined means the larger of 1 GiB and 1% of the disk. Higher: leaves more space
   * for other programs; lower: more files fit before new ones are refused and deleted ones are purged early.
   */
  minFreeBytes: number | undefined;
  /**
   * Maximum total size of unsolicited pushes stored here. Higher: keeps more copies for other peers; lower: strangers
   * can take less of the disk, but honest pushes are refused sooner.
   */
  pushQuotaBytes: number;
  /**
   * Pushes accepted from one address per second, in the long run. Higher: a peer that shares many files gets its copies
   * here sooner; lower: one address can cause less work.
   */
  pushesPerSecond: number;
  /**
   * Maximum number of pushes accepted from one address at once. Higher: many small files are taken in one go; lower: a
   * flood is cut off sooner.
   */
  pushBurst: number;
  /**
   * Maximum number of replies to one destination per minute. Higher: answers peers that gossip very often; lower:
   * forged gossip can direct less traffic at a victim.
   */
  repliesPerMinute: number;
  /**
   * Maximum bytes of replies to one destination per minute. Higher: a long list arrives sooner; lower: one peer can use
   * less upload bandwidth.
   */
  replyBytesPerMinute: number;
  /**
   * Maximum number of dials per minute to all addresses that have not proved to be a peer, together. Higher: meets many
   * new peers sooner; lower: forged gossip can make this peer contact fewer strangers.
   */
  unprovenDialsPerMinute: number;
}

/** The defaults. Each comes from measurements in the lab's network, or is a guess that has held so far. */
export const DEFAULT_LIMITS: Readonly<Limits> = Object.freeze({
  maxConnections: 256,
  maxConnectionsPerAddress: 64,
  maxWaitingConnections: 512,
  maxMessageBytes: 64 * KiB,
  messageTimeoutMs: 10_000,
  maxListBytes: 16 * MiB,
  maxListFiles: 50_000,
  maxFileBytes: 8 * GiB,
  maxDownBytesPerSecond: 0,
  maxUpBytesPerSecond: 0,
  maxRelayBytesPerSecond: 0,
  idleTimeoutMs: 30_000,
  maxPeers: 1024,
  maxPeersPerAddress: 256,
  maxCatalogueEntries: 200_000,
  maxDials: 8,
  dialTimeoutMs: 3_000,
  legacyPushBytes: 2 * MiB,
  legacyListFiles: 1_000,
  minFreeBytes: undefined,
  pushQuotaBytes: 10 * GiB,
  pushesPerSecond: 10,
  pushBurst: 50,
  repliesPerMinute: 30,
  replyBytesPerMinute: 4 * MiB,
  unprovenDialsPerMinute: 300,
});

/**
 * Maximum nesting depth of containers in a message; the protocol itself needs four. Higher: tolerates fields that nest
 * deeper; lower: rejects hostile nesting sooner.
 */
export const MAX_DEPTH = 8;
/**
 * Maximum number of values in one message: a full list with 16 fields per entry. Higher: accepts lists with more
 * fields; lower: one message takes less time and memory to parse.
 */
export const MAX_VALUES = 800_000;
/**
 * Maximum length of a peer's name or a file's owner, in characters. Higher: accepts longer names; lower: less memory
 * per peer and file.
 */
export const MAX_NAME_CHARS = 128;
/**
 * Maximum length of a file's label, in characters; longer ones are cut. Higher: has no use, as no file system takes
 * more than 255 bytes; lower: cuts names that would have fit.
 */
export const MAX_LABEL_CHARS = 255;
/** Maximum length of a DNS name, in characters (RFC 1035). Higher: has no use; lower: refuses valid names. */
export const MAX_HOST_CHARS = 253;
/**
 * Maximum length of a number's source text, in characters. Higher: accepts timestamps with more digits; lower: less to
 * store for each one.
 */
export const MAX_NUMBER_CHARS = 32;
/**
 * Maximum length of a gossip id, in characters; real peers use UUIDs of 36. Higher: accepts longer ids; lower: less
 * memory for the ids remembered.
 */
export const MAX_GOSSIP_ID_CHARS = 128;

/**
 * Maximum number of capabilities that a peer may name (`Ext.can`). Higher: has no use yet; lower: less memory per peer.
 */
export const MAX_CAPABILITIES = 16;

/**
 * Maximum number of gossip ids remembered. Higher: recognizes repeats in larger networks; lower: less memory, but
 * gossip that returns after its id was forgotten is answered and forwarded again.
 */
export const MAX_SEEN_GOSSIPS = 16_384;
/**
 * How long a gossip id is remembered, in milliseconds. (A guess: ten rounds.) Higher: recognizes later repeats; lower:
 * less memory.
 */
export const SEEN_GOSSIP_MS = 300_000;
/**
 * Number of peers that a gossip is forwarded to (the protocol's number). Higher: news spreads faster; lower: fewer
 * messages.
 */
export const MAX_FORWARDS = 3;
/**
 * Number of peers that our own gossip is sent to in each round (the protocol says 3 to 5). Higher: news spreads faster;
 * lower: fewer messages.
 */
export const GOSSIP_FANOUT = 5;
/**
 * Maximum number of gossips of one originator that are answered and forwarded in a burst. Higher: tolerates peers that
 * start several times in a row; lower: one originator can cause less traffic.
 */
export const ORIGINATOR_BURST = 5;
/**
 * Gossips of one originator that are answered and forwarded per second after the burst: one in ten seconds. Higher:
 * tolerates shorter rounds; lower: one originator can cause less traffic.
 */
export const ORIGINATOR_PER_SECOND = 0.1;
/**
 * Maximum number of peers that one gossip asks for their missing lists. Higher: missing lists arrive in fewer rounds;
 * lower: fewer messages in a round.
 */
export const MAX_WANTED_LISTS = 16;
/**
 * How long after its last piece an incomplete list counts as lost, in milliseconds. (A guess.) Higher: waits longer
 * before asking again; lower: asks again while pieces may still be on their way.
 */
export const LIST_QUIET_MS = 10_000;
/**
 * Minimum interval between gossip rounds when a missing list triggers one early, in milliseconds. Higher: fewer
 * messages; lower: the missing list arrives sooner.
 */
export const ROUND_PAUSE_MS = 10_000;
/**
 * Maximum size of a piece of a list to a peer that parses in quadratic time, in bytes. Higher: fewer pieces; lower:
 * each takes such a peer less time.
 */
export const LEGACY_PART_BYTES = 64 * KiB;
/**
 * Maximum size of a piece of a list to a peer with extensions, in bytes. Higher: fewer messages; lower: each one takes
 * less memory.
 */
export const PART_BYTES = 512 * KiB;
/**
 * Maximum size of the first reply to an address that has not proved to be the peer it claims to be, in bytes. Higher: a
 * new peer learns more at once; lower: forged gossip can direct less traffic at a victim.
 */
export const UNPROVEN_REPLY_BYTES = 4 * KiB;
/** Maximum length of a packed part of a list when it is unpacked, in bytes. Parsing that takes 10 ms. */
export const MAX_UNPACKED_BYTES = 1024 * KiB;
/**
 * Length of a part of a list before it is packed, in bytes, and maximum length afterwards, in characters. The second has to
 * fit into a message (`DEFAULT_LIMITS.maxMessageBytes`); names that do not get shorter make a part that is not packed.
 */
export const PACKED_PART_BYTES = 128 * KiB;
/** Maximum length of a part after it is packed, in characters; see above. */
export const MAX_PACKED_CHARS = 60_000;
/** Number of parts of a list that are on their way to one peer at a time. */
export const PARTS_IN_FLIGHT = 4;
/** Number of whole lists that a proven peer with `LISTS` gets per minute outside `replyBytesPerMinute`. */
export const WHOLE_LISTS_PER_MINUTE = 2;
/** Maximum number of ids in `Ext.gone`. For more, the whole list is sent. */
export const MAX_GONE = 400;
/**
 * Interval after which a peer with `LISTS` gets the whole list again, in milliseconds: it is told of everything that
 * changes, so this only repairs what nobody foresaw. (A guess.)
 */
export const REPAIR_LIST_MS = 6 * 3_600_000;
/**
 * Interval after which a peer with extensions gets the whole list again, even if it already has it, in milliseconds. (A
 * guess.) Higher: less traffic; lower: lists that differ are repaired sooner.
 */
export const FULL_LIST_MS = 600_000;
/**
 * Number of changes to our own list that are remembered for short replies. Higher: peers that missed more still get a
 * short reply; lower: less memory.
 */
export const MAX_LIST_CHANGES = 2_000;

/**
 * Minimum rate of a source, in bytes per second, averaged over each idle timeout; a slower one is given up. (A guess.)
 * Higher: leaves slow sources sooner; lower: gives slow but honest ones more time.
 */
export const MIN_SOURCE_BYTES_PER_SECOND = 512;
/**
 * How long a source that failed to deliver a file is asked for it last, and only on a scheduled retry, in milliseconds.
 * (A guess.) Higher: fewer failed attempts; lower: a source that recovered is used sooner.
 */
export const SOURCE_FAILURE_MS = 600_000;
/**
 * How long to avoid a source after its second bad response in a row, in milliseconds. Doubles with each further one. (A
 * guess.) Higher: wastes less on liars; lower: costs a source with a passing fault less.
 */
export const FIRST_PAUSE_MS = 30_000;
/** Maximum time to avoid a source, in milliseconds. (A guess.) The trade-off is that of `FIRST_PAUSE_MS`. */
export const LAST_PAUSE_MS = 600_000;
/**
 * Time after which half of a source's offenses are forgiven, in milliseconds. (A guess.) Higher: liars stay avoided for
 * longer; lower: a repaired source is trusted again sooner.
 */
export const OFFENCE_DECAY_MS = 600_000;
/**
 * Maximum number of sources whose offenses are remembered. Higher: more liars at once are avoided; lower: less memory.
 */
export const MAX_OFFENDERS = 1_024;
/**
 * Delay before retrying a download or a copy that no peer delivered or took, in milliseconds. Doubles with each
 * failure. (A guess.) Higher: fewer futile attempts; lower: succeeds sooner once a peer is back.
 */
export const FIRST_RETRY_MS = 5_000;
/** Maximum delay before a retry, in milliseconds. (A guess.) The trade-off is that of `FIRST_RETRY_MS`. */
export const LAST_RETRY_MS = 600_000;
/**
 * Maximum number of wanted files that wait for a retry. Higher: more files stay wanted through a long outage; lower:
 * less memory, but the oldest wish is forgotten sooner.
 */
export const MAX_WISHES = 10_000;
/**
 * Maximum number of waiting files retried in one tick. Higher: a backlog is worked off sooner; lower: one tick takes
 * less time.
 */
export const WISHES_PER_TICK = 32;
/**
 * Minimum interval between early retries triggered by the same peer coming back, in milliseconds. Higher: a peer that
 * restarts over and over causes fewer attempts; lower: its files are retried sooner.
 */
export const HURRY_MS = 60_000;
/**
 * Interval between searches for missing files when everything is auto-fetched, in milliseconds. Higher: less work;
 * lower: files that did not fit into the queue start sooner.
 */
export const MISSING_EVERY_MS = 30_000;
/**
 * Maximum number of downloads from one source at once. Higher: faster when only one peer has the files; lower: a source
 * that hangs holds up fewer downloads.
 */
export const MAX_DOWNLOADS_PER_SOURCE = 3;
/**
 * Maximum number of sources that deliver parts of one file at once. (A guess.) Higher: faster where each source is slow;
 * lower: fewer connections.
 */
export const MAX_SOURCES = 6;
/**
 * Maximum number of peers that are fetching a file themselves and are asked for parts of it. (A guess.) Higher: parts spread
 * faster, and to all of many peers; lower: fewer connections and questions.
 */
export const MAX_FELLOWS = 16;
/**
 * Maximum size of a file that is fetched together with others, in bytes, as its holders say. Higher: fewer requests; lower:
 * less content in memory at a time.
 */
export const MAX_BATCH_FILE_BYTES: number = 256 * 1024;
/**
 * Maximum number of files fetched with one request. Higher: fewer requests; lower: several sources share the files more
 * evenly, and less is asked again if one fails.
 */
export const MAX_BATCH_FILES = 256;
/** Maximum size of the files fetched with one request, in bytes, as their holders say. Higher and lower: as above. */
export const MAX_BATCH_BYTES: number = 8 * 1024 * 1024;
/**
 * Maximum number of downloads running at once, one per file or per batch of small files. Higher: slow sources delay others
 * less; lower: fewer connections and partial files at a time.
 */
export const MAX_DOWNLOADS = 4;
/**
 * Number of further downloads for small files, which do not wait for large ones, and the size up to which a file is small,
 * in bytes. (Guesses.) Higher: more small files, or larger ones, start at once; lower: large ones are slowed down less.
 */
export const EXPRESS_DOWNLOADS = 2;
/** Size up to which a file is small in this sense, in bytes; see above. */
export const EXPRESS_BYTES: number = 4 * 1024 * 1024;
/** Maximum number of requests for files running at once. */
export const MAX_REQUESTS: number = MAX_DOWNLOADS + EXPRESS_DOWNLOADS;
/**
 * How long an offered copy may take, in milliseconds: a time for the decision, and for the transfer at a slow speed, up to a
 * bound. (Guesses.) Higher: fewer copies of large files are given up, or made twice; lower: a peer that does not want it, or
 * delivers nothing, is in the way for less long.
 */
export const OFFER_MS = 60_000;
/** The slow speed, in bytes per millisecond; see above. */
export const OFFER_BYTES_PER_MS = 1_000;
/** The bound, in milliseconds; see above. */
export const LONGEST_OFFER_MS: number = 6 * 3_600_000;
/** Returns how long a copy of this size may take, in milliseconds; see above. */
export const offerMs = (sizeBytes: number): number =>
  Math.min(LONGEST_OFFER_MS, OFFER_MS + sizeBytes / OFFER_BYTES_PER_MS);
/**
 * Maximum number of queued downloads. Higher: more files wait in order; lower: less memory, and the rest wait as
 * retries.
 */
export const MAX_QUEUED_DOWNLOADS = 10_000;
/**
 * Maximum number of peers that a copy of a pushed file is offered to, one after another, before the next attempt is
 * scheduled. Higher: a copy exists sooner where many refuse; lower: less is sent in vain.
 */
export const MAX_PUSH_TRIES = 3;

/**
 * Maximum number of broadcast sends in progress at once, far below the number of dials that may wait (4,096). Higher:
 * news reaches many peers sooner; lower: leaves more of the dial queue to answers and downloads.
 */
export const MAX_BROADCAST_SENDS = 512;
/**
 * Maximum number of announcements made at once; further files are announced together. (A guess.) Higher: small batches
 * are announced without delay; lower: fewer messages when many files are shared in a row.
 */
export const ANNOUNCE_BURST = 8;
/** Announcements per second after the burst. (A guess.) The trade-off is that of `ANNOUNCE_BURST`. */
export const ANNOUNCES_PER_SECOND = 1;
/**
 * Maximum number of files announced to peers with extensions one by one; more are a piece of a list. Higher: more
 * connections; lower: more messages that look like answers.
 */
export const FEW_ANNOUNCES = 4;
/**
 * Maximum number of sends for announcing files one by one to peers without extensions; beyond it they are told at the pace
 * at which they fetch. (A guess.) Higher: more files are announced at once; lower: fewer messages.
 */
export const MAX_SINGLE_ANNOUNCES = 2_048;
/**
 * Maximum number of files announced together. Higher: many files are announced in fewer rounds; lower: one round takes
 * less time.
 */
export const ANNOUNCE_BATCH = 1_000;
/**
 * Minimum interval between pieces of a list to a peer without extensions, in milliseconds. Higher: leaves it more time
 * for each piece; lower: it learns the whole list sooner.
 */
export const LEGACY_PIECE_MS = 1_000;
/**
 * Maximum number of files in such a piece: one kind of peer requests all of them at once. Higher: it learns the whole
 * list sooner; lower: fewer of its requests arrive at once.
 */
export const LEGACY_PIECE_FILES = 64;
/**
 * Such a peer gets no further piece while it has more open requests than this. Higher: it learns the whole list sooner;
 * lower: fewer of its requests are open at once.
 */
export const LEGACY_OPEN_GETS = 64;
/**
 * Duration of a round of lists to such peers, in milliseconds: the interval at which they gossip. In each round, at most
 * `legacyListFiles` are listed.
 */
export const LEGACY_ROUND_MS = 30_000;
/**
 * Time in which such a peer is told of every file again, in milliseconds: an hour, less what may go wrong. Higher: fewer
 * messages; lower: a peer that lost files hears of them sooner.
 */
export const LEGACY_CYCLE_MS = 3_300_000;
/**
 * Number of pieces in a row of which such a peer requested nothing before the next ones do not wait for its requests. It
 * does not fetch by itself, then. Higher: more certain; lower: the first list arrives sooner.
 */
export const LEGACY_QUIET_OFFERS = 4;
/**
 * Maximum number of files that all such peers together have been told about and may still request, or wait for: 512
 * connections may wait, and half of them stay free for others. Beyond it, each such peer gets one piece per
 * `LEGACY_ASK_MS`. Higher: they learn of all files sooner; lower: leaves more waiting connections to others.
 */
export const LEGACY_OFFERED = 256;
/**
 * Maximum time such a peer gets to start requesting the files of a piece, in milliseconds. (One kind reads 120 kB/s,
 * another is busy for seconds.) Higher: slow ones keep up; lower: the next piece goes out sooner.
 */
export const LEGACY_ASK_MS = 15_000;
/**
 * How long after its last request such a peer counts as done with a piece, in milliseconds. Higher: leaves more time
 * between its requests; lower: the next piece goes out sooner.
 */
export const LEGACY_QUIET_MS = 2_000;
/**
 * Delay before a piece that did not arrive is sent again, in milliseconds. Higher: the peer has more time to recover;
 * lower: it learns of the files sooner.
 */
export const LEGACY_RESEND_MS = 5_000;
/**
 * Maximum number of times that pieces of one list are sent again. Higher: survives longer outages; lower: less is sent
 * to a peer that is gone.
 */
export const LEGACY_RESENDS = 3;
/**
 * An own file that is replaced within this time after it was shared is withdrawn, in milliseconds. (A guess.) Higher:
 * fewer half-written versions stay in the network; lower: fewer deliberate earlier versions are deleted everywhere.
 */
export const WITHDRAW_MS = 600_000;
/**
 * Maximum number of DELETEs sent per minute to an address whose peer takes one file at a time: fewer than a peer obeys
 * from one owner (`DELETES_PER_MINUTE`). Higher: many deletions spread sooner, but beyond that limit they are refused;
 * lower: they spread more slowly.
 */
export const DELETES_SENT_PER_MINUTE = 50;
/**
 * Maximum number of files that one DELETE or GET_FILE names. An id takes 67 bytes, so the message stays below the 64 KiB that a peer
 * accepts, whatever the length of our name. Higher: would be refused; lower: more messages.
 */
export const MAX_IDS_PER_MESSAGE = 900;
/**
 * Maximum number of deleted files that an address whose peer takes many per DELETE hears of at once: a whole data set.
 * Fewer than a peer obeys (`BATCH_DELETES_BURST`). Higher: larger data sets disappear at once; lower: less is sent in a
 * burst.
 */
export const BATCH_DELETES_SENT_BURST = 110_000;
/** Deleted files that such an address hears of per second after the burst. The trade-off is that of the burst. */
export const BATCH_DELETES_SENT_PER_SECOND = 1_000;
/**
 * Maximum number of DELETEs with many files in progress to one peer. Higher: faster over slow links; lower: one peer
 * takes up fewer sends.
 */
export const BATCHES_PER_PEER = 2;
/**
 * Maximum number of DELETEs with many files in progress; each takes up to 64 KiB of memory. Higher: many peers hear of a
 * deletion sooner; lower: less memory, and more of the dial queue is left to answers.
 */
export const MAX_BATCHES = 64;
/**
 * Delay before a DELETE is sent again to a peer that still lists the file, in milliseconds. Doubles each time. Higher:
 * fewer messages; lower: the file disappears sooner.
 */
export const FIRST_REMIND_MS = 5_000;
/** Maximum delay before a DELETE is sent again, in milliseconds. The trade-off is that of `FIRST_REMIND_MS`. */
export const LAST_REMIND_MS = 3_600_000;
/**
 * Maximum number of pairs of peer and deleted file for which reminders are remembered, and of those that wait to be sent,
 * at about 60 bytes each: two peers may come back with a deleted data set. Higher: keeps the delays of more of them;
 * lower: less memory, but forgotten ones start over with the shortest delay.
 */
export const MAX_REMINDERS = 262_144;
/**
 * Maximum number of our deletions that are remembered until every tracked peer was notified, at about 60 bytes each: as
 * many as there are tombstones. Higher: has no use; lower: less memory, but slow peers hear of the oldest only once they
 * list the files.
 */
export const MAX_DELETIONS = 500_000;
/**
 * How long the delivery of a deletion is tracked, in milliseconds. Higher: reaches peers that are away for longer;
 * lower: less memory and fewer attempts. After that, a peer that lists the file is still reminded.
 */
export const DELETION_MS = 600_000;
/**
 * How long a file without holders stays in the catalogue, in milliseconds. Higher: files whose holders are away for
 * longer stay known; lower: fewer entries that nobody can deliver.
 */
export const HOLDERLESS_MS = 7 * 86_400_000;
/**
 * How long a deleted id is kept from coming back by gossip, in milliseconds. Higher: also stops peers that were away
 * for longer from bringing it back; lower: less memory.
 */
export const TOMBSTONE_MS = 30 * 86_400_000;
/**
 * Maximum number of deleted ids remembered, at about 185 bytes each: five data sets of 100,000 files take 92 MB. Higher:
 * more deletions stay in force; lower: less memory, but the oldest are forgotten and may come back.
 */
export const MAX_TOMBSTONES = 500_000;
/**
 * Number of addresses whose deletions are counted separately, so that one that deletes more than all others makes space
 * for its own only. Higher: more addresses are kept apart; lower: finding a deleted id takes fewer steps.
 */
export const MAX_TOMBSTONE_GROUPS = 16;
/**
 * A push or an ANNOUNCE by the owner within this time of the deletion counts as a copy that was still on its way, in
 * milliseconds. (A guess.) Higher: fewer deleted files come back by accident; lower: a restored file is accepted
 * sooner.
 */
export const LIFT_AFTER_MS = 5_000;
/**
 * A file restored sooner than this after its deletion is announced once more when the time is up, in milliseconds:
 * others may have heard of the deletion later. (A guess.) Higher: safer where messages are slow; lower: others have the
 * file back sooner. Must exceed `LIFT_AFTER_MS`.
 */
export const TELL_AGAIN_MS = 2 * LIFT_AFTER_MS;
/**
 * Maximum number of files waiting to be announced once more. Higher: more of the files restored at once are sure to
 * come back elsewhere; lower: less memory.
 */
export const MAX_TOLD_AGAIN = 1_024;
/**
 * How long a DELETE of a file that is not known yet is remembered, in milliseconds. (A guess.) Higher: works even if
 * the news of the file arrives later; lower: less memory.
 */
export const EARLY_DELETE_MS = 120_000;
/**
 * Maximum number of such DELETEs remembered, at about 170 bytes each. (A guess.) Higher: more of them take effect; lower:
 * less memory.
 */
export const MAX_EARLY_DELETES = 131_072;
/**
 * Maximum number of such DELETEs remembered from one address, which two addresses together need to use up all. Higher:
 * more of a data set that is deleted while its list is still arriving stays away; lower: one address takes less memory.
 */
export const MAX_EARLY_DELETES_PER_ADDRESS = 65_536;
/**
 * Maximum number of files that one owner may delete per minute, one per DELETE. Higher: an owner can delete many files
 * at once; lower: whoever speaks from an owner's address can do less damage.
 */
export const DELETES_PER_MINUTE = 60;
/**
 * Maximum number of files that one owner may delete at once with DELETEs that name many: a whole data set. The trade-off
 * is that of `DELETES_PER_MINUTE`; the files stay in the trash for a day.
 */
export const BATCH_DELETES_BURST = 131_072;
/** Files that such an owner may delete per second after the burst. The trade-off is that of the burst. */
export const BATCH_DELETES_PER_SECOND = 1_500;
/**
 * Maximum number of further timestamps remembered for one unverified id; one of them may be the true one. Higher: false
 * ones are less likely to crowd out the true one; lower: less to hash and remember.
 */
export const MAX_OTHER_TIMESTAMPS = 3;

/**
 * Delay before the second attempt to join while no peer answers, in milliseconds. Doubles up to the maximum. Higher:
 * fewer messages; lower: joins sooner once a bootstrap is up.
 */
export const JOIN_BACKOFF_FIRST_MS = 1_000;
/** Maximum delay between attempts to join, in milliseconds. The trade-off is that of `JOIN_BACKOFF_FIRST_MS`. */
export const JOIN_BACKOFF_LAST_MS = 30_000;
/**
 * A peer that accepts the first gossip but does not reply within this time counts as silent, in milliseconds; it is
 * asked again. Higher: waits for slow peers; lower: reports a silent bootstrap sooner.
 */
export const JOIN_ANSWER_MS = 4_000;
/**
 * Maximum number of greetings an hour to peers that announce themselves on the local network. Higher: meets a larger room at
 * once; lower: forged announcements can make this peer contact fewer machines. (A guess: twice the largest room.)
 */
export const DISCOVERED_PER_HOUR = 600;
/** Maximum number of those to one machine, so that no machine uses up what is meant for others. (A guess: a shared machine.) */
export const DISCOVERED_PER_MACHINE = 32;
/** Maximum number of peers to join through that people add while the peer runs. (A guess: more than anyone types.) */
export const MAX_ADDED = 64;
/**
 * Maximum number of peers from the last run that are contacted at startup in addition to the bootstraps. Higher: joins
 * even if most of them are gone; lower: fewer messages at startup.
 */
export const MAX_REJOIN_PEERS = 16;
/**
 * Replies count as complete after this pause, in milliseconds; in the lab, replies took less than 0.1 s. Higher: more
 * lists are in before auto-fetch starts; lower: auto-fetch starts sooner.
 */
export const JOIN_QUIET_MS = 300;

/**
 * Number of peers to which a peer that others cannot dial keeps a LINK open. (A guess.) Higher: stays reachable while more of
 * them fail; lower: fewer connections.
 */
export const MAX_LINKS = 3;
/**
 * Number of LINKs at a peer above which others look for another one, if there is one. (A guess.) Higher: fewer attempts; lower:
 * LINKs are spread more evenly.
 */
export const CROWDED_LINKS = 8;
/**
 * Interval between signs of life on a LINK, in milliseconds: home routers forget connections that are silent for minutes. (A
 * guess.) Higher: fewer messages; lower: a connection that died is noticed sooner.
 */
export const LINK_EVERY_MS = 20_000;
/** How long a LINK may be silent, in milliseconds. Higher: survives longer outages; lower: is replaced sooner. */
export const LINK_SILENCE_MS: number = 2.5 * LINK_EVERY_MS;
/**
 * How long a peer to which a LINK ended, or that we do not need one to, is left alone, in milliseconds. (A guess.) Higher: less
 * work with a peer that keeps changing its mind; lower: a LINK that is needed again is there sooner.
 */
export const LINK_RETRY_MS = 30_000;
/**
 * Interval of dials to a peer that keeps a LINK, in milliseconds. (A guess.) Higher: fewer dials in vain; lower: a LINK that is not
 * needed any more ends sooner.
 */
export const REDIAL_MS = 30_000;
/**
 * How long a peer that could not be dialed, and can be reached through others, is not dialed first, in milliseconds. (A guess.) Higher: fewer
 * dials in vain, each of which takes seconds; lower: a way around is given up sooner. A peer that can be dialed again names no way around.
 */
export const REDIAL_AROUND_MS = 300_000;
/**
 * How long a connection that brought a gossip stays open for answers after its sender has finished, in milliseconds. (A guess.) Higher:
 * longer lists arrive there; lower: fewer connections are open.
 */
export const ANSWERS_MS = 5_000;
/** Share of the connections, in all and from one address, that may be LINKs, so that they leave room for messages. */
export const LINK_SHARE = 1 / 2;
/**
 * Maximum number of connections passed on at once, in all; with one peer, as the one that is wanted or the one that asks; and
 * of connections that we open because somebody asked for them on a LINK. (Guesses.) Higher: more transfers at a time; lower: less
 * memory and bandwidth for others.
 */
export const MAX_RELAYED = 64;
/** The same with one peer; see above. */
export const MAX_RELAYED_PER_PEER = 16;
/** Connections opened because of a LINK; see above. */
export const MAX_CALLED = 64;
