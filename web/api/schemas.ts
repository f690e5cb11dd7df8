// The API's schemas: requests are validated with them, and responses are described by them.

import * as v from "valibot";

/** Maximum number of rows in one response: about 3 MB of JSON. */
export const MAX_LIMIT = 10_000;
/** Number of files in one response if the request gives no limit. */
export const DEFAULT_LIMIT = 100;
/** Number of peers or transfers in one response without a limit: more than most networks have. */
export const DEFAULT_ROWS = 1_000;
/** Maximum number of files in the picture of who holds what. */
export const MAX_RISKS = 1_000;
/** Maximum number of deleted files in one response. Each costs reading a record from disk. */
export const MAX_DELETED_LIMIT = 1_000;
export const DEFAULT_DELETED_LIMIT = 200;

const Count = v.pipe(v.number(), v.integer(), v.minValue(0));
const FileId = v.pipe(
  v.string(),
  v.regex(/^[0-9a-f]{64}$/),
  v.description("SHA-256 of content and timestamp, 64 lowercase hex digits"),
);
const Counts = v.record(v.string(), Count);

/** A file. Field names are those of the wire protocol. */
export const FileShape = v.object({
  file_name: v.string(),
  file_size: v.pipe(v.number(), v.description("Size in MiB")),
  file_id: FileId,
  file_owner: v.string(),
  file_timestamp: v.pipe(
    v.union([v.number(), v.string()]),
    v.description("Unix seconds, exactly as the owner reported it"),
  ),
  modified_at: v.pipe(
    v.nullable(v.number()),
    v.description("The timestamp in Unix seconds; null if it is not a valid date"),
  ),
  known_at: v.pipe(
    v.nullable(v.number()),
    v.description("When this peer first learned of it, in Unix seconds; null if unknown"),
  ),
  size_bytes: v.optional(Count),
  sha256: v.pipe(
    v.nullable(v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))),
    v.description(
      "SHA-256 of the content alone, as sha256sum prints it: verified if this peer holds the file, otherwise as reported by a peer; null if nobody reported it",
    ),
  ),
  here_as: v.pipe(
    v.nullable(v.string()),
    v.description("Name of another file here with the same SHA-256; null if there is none"),
  ),
  has_copy: v.pipe(
    v.boolean(),
    v.description("Whether this peer holds it, verified against its id"),
  ),
  peers_with_file: v.array(v.string()),
  last_holders: v.pipe(
    v.array(v.string()),
    v.description("If nobody holds it now: the peers that held it and are away"),
  ),
});

export const FilesShape = v.object({
  files: v.array(FileShape),
  total: v.pipe(Count, v.description("Matching files on all pages")),
  next: v.pipe(
    v.nullable(v.string()),
    v.description(
      '"start" of the next page, which begins after the last file of this one even if others came or went in between; null on the last page',
    ),
  ),
});

const Speed = (what: string) =>
  v.pipe(
    v.nullable(v.pipe(Count, v.minValue(1), v.maxValue(Number.MAX_SAFE_INTEGER))),
    v.description(`How fast content is ${what}, in bytes per second; null: as fast as possible`),
  );

/** Limits on speed. */
export const LimitsShape = v.object({
  down: Speed("received from peers"),
  up: Speed("sent to peers"),
});

export const LimitsBody = v.partial(LimitsShape);

export const QueueShape = v.object({
  files: v.array(v.object({
    file_id: FileId,
    file_name: v.string(),
    size_bytes: v.optional(Count),
  })),
  total: v.pipe(Count, v.description("Downloads that wait for their turn")),
});

export const UploadParam = v.object({
  upload_id: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
});

export const PendingUploadsShape = v.object({
  uploads: v.array(v.object({
    id: v.string(),
    file_name: v.string(),
    offset: v.pipe(Count, v.description("Bytes that are here")),
    size_bytes: v.pipe(v.nullable(Count), v.description("null if the client did not say so")),
  })),
});

export const RisksShape = v.object({
  total: v.pipe(Count, v.description("All known files")),
  none: v.pipe(Count, v.description("Files that nobody has anymore")),
  away: v.pipe(Count, v.description("Files whose holders are all away")),
  one: v.pipe(Count, v.description("Files with one holder")),
  files: v.pipe(
    v.array(FileShape),
    v.description(
      "Those with the fewest holders; at most a quarter have none if others are at risk",
    ),
  ),
});

export const SharedShape = v.object({
  files: v.array(v.object({
    ...FileShape.entries,
    already_shared: v.pipe(
      v.boolean(),
      v.description("The same content was already shared under this name; nothing was added"),
    ),
  })),
  failed: v.pipe(
    v.array(v.object({ file_name: v.string(), detail: v.string(), hint: v.string() })),
    v.description("Files of a form that could not be shared, although others were"),
  ),
});
export const OneFileShape = v.object({ file: FileShape });

export const OneDeletedShape = v.object({
  file_name: v.string(),
  file_id: FileId,
  file_owner: v.string(),
  size_bytes: Count,
  deleted_at: v.pipe(v.number(), v.description("Unix seconds")),
});

export const DeletedShape = v.object({
  files: v.array(OneDeletedShape),
  total: v.pipe(Count, v.description("Deleted files on all pages")),
  next: v.pipe(v.nullable(Count), v.description('"start" of the next page; null on the last page')),
});

export const PeerShape = v.object({
  peerId: v.string(),
  host: v.string(),
  port: Count,
  last_seen: v.pipe(v.number(), v.description("Unix seconds")),
  bootstrap: v.boolean(),
  extended: v.pipe(v.boolean(), v.description("Whether it supports the protocol extensions")),
  files: Count,
  refused: Count,
  backed_off: v.nullable(v.object({ seconds: v.number(), why: v.string() })),
});

export const AwayShape = v.object({
  peerId: v.string(),
  host: v.string(),
  port: Count,
  last_seen: v.pipe(v.number(), v.description("Unix seconds")),
});

const Total = v.pipe(Count, v.description("Rows on all pages"));
const Next = v.pipe(
  v.nullable(Count),
  v.description('"start" of the next page; null on the last page'),
);

export const PeersShape = v.object({ peers: v.array(PeerShape), total: Total, next: Next });

export const AwayPeersShape = v.object({ peers: v.array(AwayShape), total: Total, next: Next });

export const TransferShape = v.object({
  id: Count,
  kind: v.picklist(["fetch", "push", "serve", "copy", "upload", "download"]),
  direction: v.picklist(["in", "out"]),
  file_id: v.string(),
  file_name: v.string(),
  peer: v.string(),
  done_bytes: Count,
  resumed_bytes: Count,
  slow_because: v.pipe(
    v.nullable(v.picklist(["limit", "disk", "sources", "link"])),
    v.description(
      "What holds a running download up while it is slow, as far as this peer can tell: its own limit, its disk, the sources, or the network link to all of them",
    ),
  ),
  sources: v.pipe(
    v.array(v.object({ peer: v.string(), bytes: Count, bytes_per_second: Count })),
    v.description("What each of several sources delivered; empty if there is only one"),
  ),
  total_bytes: v.nullable(Count),
  state: v.picklist(["running", "done", "failed", "cancelled"]),
  seconds: v.number(),
  ended_at: v.nullable(v.number()),
  why: v.nullable(v.string()),
});

export const TransfersShape = v.object({
  transfers: v.array(TransferShape),
  total: Total,
  next: Next,
});

export const StatusShape = v.object({
  peerId: v.string(),
  host: v.string(),
  port: Count,
  version: v.string(),
  now: v.pipe(v.number(), v.description("Unix seconds of the peer's clock")),
  uptime_seconds: Count,
  synchronized: v.boolean(),
  bootstraps: v.pipe(v.array(v.string()), v.description("host:port of each peer it joins through")),
  bootstrap_troubles: v.pipe(
    v.array(v.object({ address: v.string(), text: v.string(), hint: v.string() })),
    v.description("Those of them that do not answer, and why"),
  ),
  peer_timeout_seconds: v.pipe(
    v.number(),
    v.description("A peer is dropped after being silent for this long"),
  ),
  peers: Count,
  name_taken_by: v.pipe(
    v.nullable(v.string()),
    v.description(
      "host:port of another peer with the same peer id; others list only one of the two",
    ),
  ),
  unreachable: v.pipe(
    v.nullable(v.object({
      why: v.pipe(v.string(), v.description("firewall, router or host")),
      peers: v.pipe(Count, v.description("Number of peers that say so")),
      text: v.pipe(v.string(), v.description("What they say, and what helps")),
    })),
    v.description("Set if other peers say that they cannot connect to this one"),
  ),
  files: v.object({ known: Count, held: Count, held_bytes: Count }),
  bytes: v.object({ in: Count, out: Count }),
  free_bytes: v.number(),
  received: Counts,
  sent: Counts,
  unsent: Counts,
  refused: Counts,
  overload: v.pipe(
    v.array(v.object({
      reason: v.string(),
      times: Count,
      what: v.pipe(v.string(), v.description("What was refused, forgotten or delayed, and why")),
      option: v.pipe(v.nullable(v.string()), v.description("The option that raises the limit")),
    })),
    v.description("Limits that were reached since the start, the most often first"),
  ),
  refused_by_peer: v.array(v.object({ peer: v.string(), reasons: Counts })),
  indexing: v.pipe(
    v.nullable(v.object({
      files_done: Count,
      files_total: Count,
      bytes_done: Count,
      bytes_total: Count,
    })),
    v.description("Progress of the first index of the folder; null once it is complete"),
  ),
  trash: v.object({ files: Count, bytes: Count }),
  memory_bytes: Count,
  work: Counts,
});

export const RatesShape = v.object({
  rates: v.pipe(
    v.array(v.object({
      at: v.pipe(v.number(), v.description("Unix seconds of the peer's clock")),
      in: v.pipe(Count, v.description("Bytes per second")),
      out: v.pipe(Count, v.description("Bytes per second")),
    })),
    v.description("About one per second, newest last"),
  ),
});

export const ProblemShape = v.object({
  type: v.string(),
  title: v.string(),
  status: Count,
  detail: v.string(),
  hint: v.string(),
  kind: v.optional(v.pipe(
    v.string(),
    v.description(
      "Kind of failure, in one word: not-found, unreachable, integrity, refused, storage, canceled",
    ),
  )),
});

export const SessionShape = v.object({
  logged_in: v.boolean(),
  login_needed: v.pipe(v.boolean(), v.description("Whether changes require a login")),
  reading: v.picklist(["open", "private"]),
});

export const LoginShape = v.object({ token: v.pipe(v.string(), v.maxLength(200)) });
export const RemovedShape = v.object({
  where: v.picklist(["everywhere", "here"]),
  told: v.optional(v.object({
    reached: v.pipe(Count, v.description("Peers that have heard of it")),
    left: v.pipe(
      Count,
      v.description("Peers that have not, and will hear of it once they are reached"),
    ),
    slow: v.pipe(Count, v.description("Those among them that take one file at a time")),
    slow_seconds: v.pipe(v.number(), v.description("Time until the last of these has heard of it")),
  })),
});
/** A file that was found among the deleted ones. */
export const OneDeletedFoundShape = v.object({ file: OneDeletedShape });
export const FetchedShape = v.object({
  file: FileShape,
  source: v.pipe(v.string(), v.description("Peer that it came from; empty if it was here already")),
  as: v.pipe(
    v.nullable(v.string()),
    v.description("Name of another file here with the same content, if that is why"),
  ),
});
export const LogShape = v.object({
  level: v.picklist(["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL"]),
});
export const FetchingShape = v.object({ fetching: FileId });

/** Returns a schema for an integer in a query string. */
const whole = (min: number, max: number, description: string) =>
  v.pipe(
    v.string(),
    v.regex(/^\d{1,16}$/),
    v.check((text) => Number(text) >= min && Number(text) <= max, "out of range"),
    v.description(description),
  );

const Start = whole(0, Number.MAX_SAFE_INTEGER, '"next" of the previous page');

const SORTS = ["name", "size", "owner", "time", "holders", "known"] as const;

export const FilesQuery = v.object({
  q: v.optional(v.pipe(
    v.string(),
    v.maxLength(200),
    v.description(
      "Words in the name or owner (- _ . count as spaces), or the start of an id",
    ),
  )),
  name: v.optional(v.pipe(
    v.string(),
    v.minLength(1),
    v.maxLength(1_000),
    v.description("Part of a name, or a whole one with * and ?, in any case"),
  )),
  where: v.optional(v.pipe(
    v.picklist(["here", "elsewhere", "mine", "risk"]),
    v.description("here, elsewhere, mine, or risk (at most one holder)"),
  )),
  sort: v.optional(v.pipe(
    v.picklist([...SORTS, ...SORTS.map((key) => `-${key}` as const)]),
    v.description(
      "time: when it was modified; known: when this peer learned of it; a leading - reverses the order",
    ),
  )),
  limit: v.optional(
    whole(
      1,
      MAX_LIMIT,
      `1 to ${MAX_LIMIT}; ${DEFAULT_LIMIT} by default, and everything as JSON lines`,
    ),
  ),
  start: v.optional(v.pipe(
    v.string(),
    v.regex(/^\d{1,16}(-[0-9a-f]{64})?$/),
    v.check((text) => Number(text.split("-")[0]) <= Number.MAX_SAFE_INTEGER, "out of range"),
    v.description('"next" of the previous page, or the number of files to skip'),
  )),
});

export const RowsQuery = v.object({
  limit: v.optional(
    whole(
      1,
      MAX_LIMIT,
      `1 to ${MAX_LIMIT}; ${DEFAULT_ROWS} by default, and everything as JSON lines`,
    ),
  ),
  start: v.optional(Start),
});

/** What to do about a `RowsQuery` that is refused. */
export const ROWS_HINT =
  `"limit" and "start" must be whole numbers, "limit" from 1 to ${MAX_LIMIT}`;

export const RisksQuery = v.object({
  limit: v.optional(whole(1, MAX_RISKS, `1 to ${MAX_RISKS}; ${DEFAULT_LIMIT} by default`)),
});

export const DeletedQuery = v.object({
  limit: v.optional(
    whole(
      1,
      MAX_DELETED_LIMIT,
      `1 to ${MAX_DELETED_LIMIT}; ${DEFAULT_DELETED_LIMIT} by default, and everything as JSON lines`,
    ),
  ),
  start: v.optional(Start),
});

export const ConnectBody = v.object({
  address: v.pipe(v.string(), v.minLength(1), v.maxLength(300), v.description("host:port")),
});
export const ConnectedShape = v.object({ peerId: v.string(), host: v.string(), port: Count });

export const FindQuery = v.object({
  what: v.pipe(v.string(), v.minLength(1), v.maxLength(1_000)),
  among: v.optional(v.picklist(["known", "deleted"])),
});

export const FetchQuery = v.object({ wait: v.optional(v.picklist(["true", "false"])) });
export const FileParam = v.object({ id: FileId });
export const TransferParam = v.object({ id: v.pipe(v.string(), v.regex(/^\d{1,15}$/)) });
export const ShareQuery = v.object({ name: v.optional(v.string()) });
export const NameParam = v.object({ name: v.string() });
