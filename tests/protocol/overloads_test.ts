// Every limit that loses something says so: it is counted under a reason with a sentence. The tables below name what
// happens at each bound of the program, so that no new one stays silent.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { everyOption } from "../../cli/options.ts";
import {
  MAX_OFFENDERS,
  MAX_OTHER_TIMESTAMPS,
  MAX_QUEUED_DOWNLOADS,
  MAX_TOLD_AGAIN,
  MAX_WISHES,
} from "../../protocol/limits.ts";
import {
  ALL_OVERLOADS,
  isOverload,
  type Overload,
  overloadOption,
  overloadText,
} from "../../protocol/overloads.ts";
import {
  events,
  fileOfNumber,
  files,
  heldOf,
  idOf,
  Machine,
  newPeer,
  oldPeer,
  only,
} from "./machine.ts";

/** What happens when a collection of the core (`Peer.sizes`) is full: a reason, or why nothing is lost. */
const WHEN_FULL: Readonly<Record<string, Overload | `${"cache" | "sum" | "pace"}: ${string}`>> = {
  "peers": "peer-limit",
  "peers discovered": "cache: one may be greeted again",
  "machines with peers": "cache: the limit on all of them holds",
  "peers added": "sum: as many as are named to join through",
  "ways to peers": "sum: one for each tracked peer",
  "connections kept": "sum: two for each tracked peer",
  "lists passed on": "lists-delayed",
  "own links": "pace: a link that ends makes room for another one",
  "peers that cannot connect": "sum: one for each tracked peer",
  "peers without a link": "sum: one for each tracked peer",
  "peers that connected": "sum: one for each tracked peer",
  "second looks": "sum: one for each tracked peer",
  "reports of reach": "sum: one for each tracked peer",
  "numbers of links": "sum: one for each tracked peer",
  "peers with relays": "relays-refused",
  "peers told a partial list": "sum: one for each tracked peer",
  "whole lists sent": "pace: further ones count as bytes",
  "sets of holders": "cache: further ones are not shared by files",
  "files known": "catalogue-limit",
  "tombstones": "deletions-forgotten",
  "addresses that deleted files": "sum: further ones share a group",
  "early deletions": "deletions-forgotten",
  "changes of our list": "cache: a peer that missed more gets the whole list",
  "changed entries to report": "cache: the page reloads everything",
  "peers holding files": "sum: one for each tracked peer",
  "files unwanted": "unwanted-forgotten",
  "machines served": "sum: one for each connection",
  "offenders": "offenders-forgotten",
  "places dialed":
    "cache: a forgotten place starts with a full budget, but the total stays limited",
  "gossips seen":
    "cache: a gossip that comes back after ten thousand others is handled again, at its rate",
  "originators": "cache: a forgotten originator starts with a full budget",
  "gossips to forward later": "sum: one for each tracked peer",
  "probes": "cache: a claim to a name is probed again",
  "probe rate limits": "cache: a forgotten peer starts with a full budget",
  "greetings": "cache: an address is greeted again",
  "joins in progress": "sum: one for each configured address and peer of the last run",
  "silent bootstraps": "sum: one for each configured address",
  "places of bootstraps": "sum: one for each configured address",
  "lists being sent": "sum: one for each tracked peer",
  "lists being received": "sum: one for each tracked peer",
  "lists sent": "sum: one for each tracked peer",
  "lists received": "sum: one for each tracked peer",
  "encoded lists": "sum: one for each kind of peer",
  "reply rate limits": "cache: a forgotten place starts with a full budget",
  "lists delayed": "cache: a delay is counted again",
  "byte rate limits": "cache: a forgotten place starts with a full budget",
  "lists to legacy peers": "sum: one for each tracked peer",
  "files for legacy peers": "pace: beyond it, the whole list starts over",
  "legacy peers offered files": "sum: one for each tracked peer",
  "pushing addresses": "cache: a forgotten address starts with a full budget",
  "copies being fetched": "push-rate",
  "files being written": "push-rate",
  "files to announce again": "announcements-dropped",
  "copies being offered": "copies-not-offered",
  "downloads running": "pace: others are queued",
  "downloads between sources": "sum: one for each running download",
  "requests for files": "pace: others are queued",
  "files asked for in parts": "cache: those who fetch it are told of each other later",
  "peers that ask for parts": "cache: those who fetch it are told of each other later",
  "requests for copies": "pace: other copies wait",
  "downloads queued": "downloads-delayed",
  "downloads to retry": "downloads-forgotten",
  "downloads requested by people": "sum: one for each download",
  "downloads that nobody here asked for": "sum: one for each download",
  "downloads that people wait for": "sum: one for each download",
  "sources in use": "sum: one for each running download",
  "peers that came back": "cache: its files are retried early once more",
  "sources that failed": "cache: a source that failed is not asked last",
  "comparisons with our own content": "pace: a file is fetched instead",
  "contents on their way": "sum: one for each running download",
  "contents held": "sum: one for each held file",
  "wrong claims about content": "cache: content that is here is read once more",
  "peers that made wrong claims about content": "cache: content that is here is read once more",
  "files of the first batch": "sum: one for each known file",
  "broadcasts waiting": "announcements-dropped",
  "broadcast sends in progress": "pace: others wait",
  "files to announce": "sum: one for each held file",
  "deleting peers": "cache: a forgotten peer starts with a full budget",
  "peers deleting many files": "cache: a forgotten peer starts with a full budget",
  "addresses deleting early": "cache: a forgotten address starts with a full budget",
  "deletions tracked": "deletions-delayed",
  "peers that hear of deletions": "deletions-delayed",
  "deletion reminders": "cache: a peer is reminded sooner",
  "deletions to send again": "deletions-delayed",
  "deletion sends in progress": "pace: others wait",
  "deletion batches": "pace: others wait",
  "encoded deletions": "cache: a message is encoded again",
  "delete rate limits": "cache: a forgotten place starts with a full budget",
  "batch delete rate limits": "cache: a forgotten place starts with a full budget",
};

/** What happens at each `MAX_…` of the modules that decide or do I/O: a reason, or why nothing is lost silently. */
const AT_LIMIT: Readonly<
  Record<string, Overload | `${"cache" | "form" | "pace" | "shown" | "sum" | "told"}: ${string}`>
> = {
  "protocol/members/reach.ts MAX_INTRODUCED": "pace: the rest is heard of when it is announced",
  "node/sources.ts MAX_PASSED_ON": "sum: one for each tracked peer",
  "node/routes.ts MAX_ANSWER_BYTES": "form: it was not passed on, and the next one is asked",
  "node/routes.ts MAX_AWAITED": "told: not sent, and a list is sent again",
  "protocol/limits.ts MAX_CALLED": "calls-refused",
  "protocol/limits.ts MAX_LINKS": "pace: a link that ends makes room for another one",
  "protocol/limits.ts MAX_RELAYED": "relays-refused",
  "protocol/limits.ts MAX_RELAYED_PER_PEER": "relays-refused",
  "net/dialer.ts MAX_RESOLVED": "form: further addresses of a name are not tried",
  "protocol/wire/ext.ts MAX_ALSO": "form: further addresses are left out; no machine has as many",
  "protocol/wire/ext.ts MAX_IP_CHARS": "form: no address is longer",
  "protocol/wire/ext.ts MAX_VIA": "form: further names are left out; no peer has as many",
  "app/away_peers.ts MAX_AWAY": "shown: the oldest are no longer listed as away",
  "app/changes.ts MAX_FILES": "cache: the page reloads everything",
  "protocol/limits.ts MAX_GONE": "cache: the whole list is sent",
  "protocol/limits.ts MAX_PACKED_CHARS": "form: the part is sent as it is",
  "protocol/limits.ts MAX_UNPACKED_BYTES": "form: the list is refused",
  "app/file_changes.ts MAX_KEPT": "cache: everything is read again",
  "app/folder_watch.ts MAX_NAMES": "cache: the whole folder is scanned",
  "node/node.ts MAX_WAITING_LISTS": "told: refused as starting, and requested again",
  "protocol/files/holder_sets.ts MAX_SETS": "cache: sharing begins again",
  "protocol/files/holdings.ts MAX_NAMED": "shown: more are counted in one line",
  "storage/departed.ts MAX_DEPARTED": "cache: a forgotten file is read again",
  "storage/partials.ts MAX_PARTIALS": "cache: a download starts over",
  "storage/taking.ts MAX_WAITING": "cache: the whole folder is scanned",
  "storage/uploads.ts MAX_NOTE_BYTES": "form: a note that nobody wrote",
  "storage/uploads.ts MAX_OPEN": "cache: content is read again",
  "storage/uploads.ts MAX_UPLOADS": "told: status 404, and the client begins again",
  "web/api/paging.ts MAX_PIECE": "pace: the rest follows",
  "web/api/schemas.ts MAX_RISKS": "told: status 400",
  "web/file_columns.ts MAX_HOLDERS": "shown: no column is wider",
  "web/file_index.ts MAX_GONE_SHARE": "cache: the index is made anew",
  "web/file_index.ts MAX_RESULTS": "cache: a search is done again",
  "web/file_order.ts MAX_PENDING_SHARE": "cache: the order is made anew",
  "web/file_search.ts MAX_OWNERS": "cache: an owner is compared again",
  "app/doctor.ts MAX_LOOKED": "shown: the newest of so many files is looked for",
  "net/dnssd.ts MAX_ANNOUNCED": "form: no packet has as many",
  "net/dnssd.ts MAX_LABEL_BYTES": "form: the name is cut",
  "protocol/members/discovered.ts MAX_GREETED": "cache: one may be greeted again",
  "protocol/limits.ts MAX_ADDED": "told: the person who adds one more",
  "app/troubles.ts MAX_TROUBLES": "cache: a trouble is reported again",
  "http/head_reader.ts MAX_HEAD_BYTES": "told: status 431",
  "http/request_head.ts MAX_LINE_CHARS": "told: status 400",
  "net/admission.ts MAX_WAITING_STRANGERS": "too-many-connections",
  "net/idle_connections.ts MAX_IDLE": "cache: the next request opens a connection",
  "net/idle_connections.ts MAX_IDLE_PER_SOURCE": "cache: the next request opens a connection",
  "net/buffers.ts MAX_FREE": "cache: a buffer is made anew",
  "net/dial_queue.ts MAX_WAITING_DIALS": "dials-refused",
  "node/download.ts MAX_SHORT": "told: the source failed",
  "node/download.ts MAX_NAMED": "cache: parts come from fewer peers",
  "protocol/chunks.ts MAX_CHUNKS": "form: chunks of larger files are larger",
  "protocol/files/downloads.ts MAX_FELLOWS_TRIED": "cache: parts come from fewer peers",
  "protocol/files/fellows.ts MAX_SHARED_FILES":
    "cache: those who fetch it are told of each other later",
  "protocol/files/fellows.ts MAX_FELLOWS_KNOWN": "cache: parts come from fewer peers",
  "protocol/limits.ts MAX_FELLOWS": "pace: parts come from fewer peers",
  "protocol/wire/ext.ts MAX_SPANS_TOLD": "form: the rest of what is here is not told",
  "protocol/wire/ext.ts MAX_PEERS_TOLD": "form: others are named to others",
  "storage/chunk_lists.ts MAX_CHUNK_LISTS": "cache: the file is read again",
  "storage/chunk_lists.ts MAX_WAITING_LISTS":
    "told: the connection is closed, and the requester does without",
  "node/node.ts MAX_LINGERING": "answers-unread",
  "node/transfer_log.ts MAX_RECENT": "shown: older transfers that have ended",
  "protocol/bounds/refusals.ts MAX_NAMED": "sum: further senders are counted together",
  "protocol/files/arrivals.ts MAX_KEEPING": "push-rate",
  "protocol/files/arrivals.ts MAX_OFFERED": "push-rate",
  "protocol/files/broadcasts.ts MAX_WAITING": "announcements-dropped",
  "protocol/files/catalogue.ts MAX_AWAY": "shown: whom to wait for",
  "protocol/files/catalogue.ts MAX_EVICTION_TRIES": "catalogue-limit",
  "protocol/files/catalogue.ts MAX_TOUCHED": "cache: the page reloads everything",
  "protocol/files/deletion_notices.ts MAX_ENCODED": "cache: a message is encoded again",
  "protocol/files/downloads.ts MAX_NOT_IN_BATCH": "pace: they are in a later batch",
  "protocol/files/downloads.ts MAX_PASSED_OVER": "pace: they are next",
  "protocol/files/places.ts MAX_ONCE_REQUESTS": "pace: other copies wait",
  "protocol/files/replication.ts MAX_COPIES": "copies-not-offered",
  "protocol/files/twins.ts MAX_TWINS": "pace: a file comes from fewer sources",
  "protocol/limits.ts MAX_BATCHES": "pace: others wait",
  "protocol/limits.ts MAX_BATCH_BYTES": "pace: they are in a later batch",
  "protocol/limits.ts MAX_BATCH_FILES": "pace: they are in a later batch",
  "protocol/limits.ts MAX_BATCH_FILE_BYTES": "pace: a larger file is fetched by itself",
  "protocol/limits.ts MAX_BROADCAST_SENDS": "pace: others wait",
  "protocol/limits.ts MAX_CAPABILITIES": "form: a message with more names none",
  "protocol/limits.ts MAX_IDS_PER_MESSAGE": "form: more ids are invalid entries",
  "protocol/limits.ts MAX_DELETIONS": "deletions-delayed",
  "protocol/limits.ts MAX_DEPTH": "form: refused as too-deep",
  "protocol/limits.ts MAX_DOWNLOADS": "pace: others are queued",
  "protocol/limits.ts MAX_DOWNLOADS_PER_SOURCE": "pace: others are queued",
  "protocol/limits.ts MAX_EARLY_DELETES": "deletions-forgotten",
  "protocol/limits.ts MAX_EARLY_DELETES_PER_ADDRESS": "delete-rate",
  "protocol/limits.ts MAX_FORWARDS": "pace: gossip reaches the others through these",
  "protocol/limits.ts MAX_GOSSIP_ID_CHARS": "form: refused as bad-field",
  "protocol/limits.ts MAX_HOST_CHARS": "form: refused as bad-field",
  "protocol/limits.ts MAX_LABEL_CHARS": "form: longer labels are cut",
  "protocol/limits.ts MAX_LIST_CHANGES": "cache: a peer that missed more gets the whole list",
  "protocol/limits.ts MAX_NAME_CHARS": "form: refused as bad-field",
  "protocol/limits.ts MAX_NUMBER_CHARS": "form: refused as bad-entry",
  "protocol/limits.ts MAX_OFFENDERS": "offenders-forgotten",
  "protocol/limits.ts MAX_OTHER_TIMESTAMPS": "timestamps-ignored",
  "protocol/limits.ts MAX_PUSH_TRIES": "pace: the next round is scheduled",
  "protocol/limits.ts MAX_QUEUED_DOWNLOADS": "downloads-delayed",
  "protocol/limits.ts MAX_REJOIN_PEERS": "pace: the network names the others",
  "protocol/limits.ts MAX_REMINDERS": "deletions-delayed",
  "protocol/limits.ts MAX_REQUESTS": "pace: others are queued",
  "protocol/limits.ts MAX_SOURCES": "pace: a further source replaces one that fails",
  "protocol/limits.ts MAX_SEEN_GOSSIPS": "cache: a gossip that comes back is handled again",
  "protocol/limits.ts MAX_SINGLE_ANNOUNCES": "pace: they are announced together",
  "protocol/limits.ts MAX_TOLD_AGAIN": "announcements-dropped",
  "protocol/limits.ts MAX_TOMBSTONES": "deletions-forgotten",
  "protocol/limits.ts MAX_TOMBSTONE_GROUPS": "sum: further addresses share a group",
  "protocol/limits.ts MAX_VALUES": "too-many-values",
  "protocol/limits.ts MAX_WANTED_LISTS": "pace: the next round asks for the others",
  "protocol/limits.ts MAX_WISHES": "downloads-forgotten",
  "protocol/members/gossip.ts MAX_FADING": "pace: others are asked a moment later",
  "protocol/members/gossip.ts MAX_GREETED": "cache: an address is greeted again",
  "protocol/members/gossip.ts MAX_PROBES": "pace: one probe settles all claims",
  "protocol/members/legacy_lists.ts MAX_LOOKED_AT": "pace: the next piece continues there",
  "protocol/members/lists.ts MAX_DELAYED": "cache: a delay is counted again",
  "protocol/members/membership.ts MAX_HEARD_FROM": "cache: the latest addresses of one peer",
  "protocol/state.ts MAX_OUTGOING_GETS": "sum: one for each connection that we opened",
  "protocol/range_plan.ts MAX_HINTS": "cache: the oldest is forgotten",
  "protocol/range_plan.ts MAX_REQUESTS_PER_SOURCE": "pace: the next one follows",
  "protocol/range_plan.ts MAX_SPAN_BYTES": "pace: the next request follows",
  "protocol/wire/frame.ts MAX_CONTENTS": "too-many-values",
  "protocol/wire/message.ts MAX_EXT_CHARS": "form: forwarded without the extensions of others",
  "protocol/wire/raw.ts MAX_HEADER_BYTES": "form: the answer is taken for a plain one",
  "protocol/wire/raw.ts MAX_SPACES": "form: the answer is taken for a plain one",
  "storage/assembly.ts MAX_AGAIN_BYTES": "pace: this thread goes on",
  "storage/assembly.ts MAX_LIST_BYTES": "cache: a download starts over",
  "storage/assembly.ts MAX_LIST_LAG_BYTES": "pace: the list is written then",
  "storage/following.ts MAX_STEP_BYTES": "pace: the rest follows",
  "storage/candidates.ts MAX_TRIES": "told: the file gets a new id",
  "storage/looks.ts MAX_REMEMBERED": "cache: a file is hashed again",
  "storage/names.ts MAX_EXTENSION_CHARS": "form: longer names are cut",
  "storage/names.ts MAX_NAME_BYTES": "form: longer names are cut",
  "storage/ownids.ts MAX_REMEMBERED": "cache: a file is hashed again",
  "storage/taking.ts MAX_KEPT_HASHES": "cache: a file is hashed again",
  "storage/shelf.ts MAX_NUMBERED": "cache: more names are tried",
  "storage/store.ts MAX_CHANGED": "cache: a changing file is offered for longer",
  "web/api/schemas.ts MAX_DELETED_LIMIT": "shown: the next page has more",
  "web/api/schemas.ts MAX_LIMIT": "shown: the next page has more",
  "web/body.ts MAX_BYTES": "told: status 413",
  "web/event_stream.ts MAX_WAITING_BYTES": "told: the stream ends, and the page loads everything",
  "web/feed.ts MAX_KEPT": "cache: the page reloads everything",
  "web/feed.ts MAX_KEPT_BYTES": "cache: the page reloads everything",
  "web/feed.ts MAX_WATCHERS": "watchers-dropped",
  "web/feed.ts MAX_WATCHERS_EACH": "watchers-dropped",
  "web/form.ts MAX_PARTS": "told: status 413",
  "web/legacy.ts MAX_LISTED": "shown: the page of older peers shows no more",
  "web/login.ts MAX_SESSIONS": "sessions-ended",
  "web/proxy.ts MAX_PREFIX_CHARS": "form: a longer prefix is ignored",
};

Deno.test("each reason has a sentence that fits into a line, and names an option that exists", () => {
  const options = new Set(everyOption().map(({ name }) => name));
  for (const overload of ALL_OVERLOADS) {
    match(overloadText(overload), /^[A-Z][a-z0-9 ,-]+$/i, overload);
    ok(overloadText(overload).length <= 100, overload);
    ok(/ (because|by|to make|that continue|purged) /.test(overloadText(overload)), overload);
    const option = overloadOption(overload);
    ok(option === undefined || options.has(option), `--${option}`);
  }
  strictEqual(isOverload("not-json"), false);
  strictEqual(isOverload("toString"), false);
});

Deno.test("whatever the core remembers says under which reason it counts when it is full, or why nothing is lost", () => {
  deepStrictEqual(
    new Machine().peer.sizes.map(({ name }) => name).sort(),
    Object.keys(WHEN_FULL).sort(),
    "a new collection needs a line in WHEN_FULL",
  );
  for (const at of [...Object.values(WHEN_FULL), ...Object.values(AT_LIMIT)]) {
    ok(isOverload(at) || /^(cache|form|pace|shown|sum|told): .{10}/.test(at), at);
  }
});

/** Finds the names of bounds in the sources of the modules that decide or do I/O. */
async function* bounds(folder: URL, path: string): AsyncIterable<string> {
  for await (const { name, isFile } of Deno.readDir(new URL(path, folder))) {
    const inner = `${path}/${name}`;
    if (!isFile) {
      if (!["browser", "page", "shared", "style"].includes(name)) yield* bounds(folder, inner);
    } else if (/\.tsx?$/.test(name)) {
      const text = await Deno.readTextFile(new URL(inner, folder));
      for (const [, bound] of text.matchAll(/^(?:export )?const (MAX_\w+)/gm)) {
        yield `${inner} ${bound}`;
      }
    }
  }
}

Deno.test("every bound in the sources says under which reason it counts, or why nothing is lost silently", async () => {
  const found: string[] = [];
  for (const module of ["app", "http", "net", "node", "protocol", "storage", "web"]) {
    for await (const bound of bounds(new URL("../../", import.meta.url), module)) found.push(bound);
  }
  deepStrictEqual(
    found.sort(),
    Object.keys(AT_LIMIT).sort(),
    "a new bound needs a line in AT_LIMIT",
  );
});

const own = (count: number, from = 1) =>
  files(count, from).map((file) => ({ ...file, owner: "me" }));

/** Returns how often each limit was reached while something was done. */
function reached(effects: ReturnType<Machine["do"]>): Partial<Record<Overload, number>> {
  const counts: Partial<Record<Overload, number>> = {};
  for (const { overload, times } of events(effects, "overload")) {
    counts[overload] = (counts[overload] ?? 0) + times;
  }
  return counts;
}

Deno.test("what is forgotten or delayed because of a limit is counted, in one event per input and reason", () => {
  const owner = newPeer("owner", 1);
  const cases: [Overload, number, () => ReturnType<Machine["do"]>][] = [
    ["copies-not-offered", 5, () => new Machine().hold(own(1_005), "published")],
    ["files-forgotten", 3, () => {
      const machine = new Machine({ limits: { maxCatalogueEntries: 10 } });
      machine.meet(owner);
      machine.reply(owner, files(10));
      return machine.hold(own(3, 100));
    }],
    ["unwanted-forgotten", 2, () => {
      const machine = new Machine({ limits: { maxCatalogueEntries: 10 } });
      return machine.do({ kind: "unwanted", fileIds: files(12).map(({ fileId }) => fileId) });
    }],
    ["timestamps-ignored", 4, () => {
      const machine = new Machine();
      machine.meet(owner);
      const versions = Array.from(
        { length: 1 + MAX_OTHER_TIMESTAMPS + 4 },
        (_, n) => fileOfNumber(1, { timestamp: { text: `174417056${n}`, quoted: false } }),
      );
      return machine.reply(owner, versions);
    }],
    ["lists-cut", 1, () => {
      const machine = new Machine({ limits: { maxCatalogueEntries: 10 } });
      machine.meet(owner);
      return machine.reply(owner, files(11), [1, 2, "r"]);
    }],
    ["lists-delayed", 1, () => {
      const machine = new Machine({ limits: { replyBytesPerMinute: 5_000 } });
      machine.hold(own(100));
      return [...machine.gossip(owner), ...machine.wait(5_000, 250)];
    }],
    ["peers-replaced", 1, () => {
      const machine = new Machine({ limits: { maxPeers: 1 } });
      machine.gossip({ ...newPeer("unproven", 2), ip: "10.6.6.6" });
      return machine.gossip(owner);
    }],
    ["downloads-delayed", 8, () => {
      const machine = new Machine();
      const wanted = files(MAX_QUEUED_DOWNLOADS + 11);
      machine.meet(owner);
      machine.reply(owner, wanted);
      return wanted.flatMap(({ fileId }) => machine.do({ kind: "want", fileId })).filter(
        ({ kind }) => kind === "event",
      );
    }],
    ["downloads-forgotten", 3, () => {
      const machine = new Machine();
      const wanted = files(MAX_WISHES + 3);
      machine.hold([]);
      for (const file of wanted) machine.announce(owner, file);
      return wanted.flatMap(({ fileId }) => machine.do({ kind: "want", fileId }));
    }],
    ["announcements-dropped", 6, () => {
      const machine = new Machine();
      const deleted = own(MAX_TOLD_AGAIN + 6);
      machine.hold(deleted);
      for (const { fileId } of deleted) machine.do({ kind: "delete", fileId });
      return machine.do({ kind: "held", files: deleted.map((f) => heldOf(f)), how: "restored" });
    }],
    ["offenders-forgotten", 1, () => {
      const machine = new Machine({ limits: { maxPeers: 2_000 } });
      const sources = Array.from({ length: MAX_OFFENDERS + 1 }, (_, n) => oldPeer(`p${n}`, n + 1));
      machine.meet(...sources);
      return sources.flatMap(({ peerId, ip }) =>
        machine.do({ kind: "refused", ip, dialed: peerId, reason: "not-json", text: "t" })
      );
    }],
  ];
  for (const [overload, times, run] of cases) {
    strictEqual(reached(run())[overload], times, overload);
  }
});

Deno.test("a list that is refused entry by entry is one event, however long it is", () => {
  const machine = new Machine({ limits: { maxCatalogueEntries: 10 } });
  machine.meet(newPeer("owner", 1));
  machine.hold(own(10, 50_000));
  const effects = machine.reply(newPeer("owner", 1), files(5_000));
  deepStrictEqual(
    events(effects, "refused").map(({ reason, times }) => [reason, times]),
    [["catalogue-limit", 5_000]],
  );
  const names = only(effects, "event").map(({ event }) => event.name);
  ok(names.length <= 4, names.join());
  ok(machine.catalogue.get(idOf(50_000)));
});
