// Inputs, effects and events: the entire contract between the protocol's state machine and the edge. PURE.
// Inputs are facts that happened; effects are things to do. File content never appears here, only numbers that identify
// the connection or the temporary file that the edge has for it.

import type { Address, Voucher } from "./wire/address.ts";
import type { Overload } from "./overloads.ts";
import type { Reason } from "./wire/errors.ts";
import type { FileRecord, Message } from "./wire/message.ts";
import type { Timestamp } from "./wire/fileid.ts";

/** A verified file in the store, or about to be. */
export interface HeldFile {
  /** What is known about the file. Its timestamp is the one that verified the content. */
  readonly file: FileRecord;
  /** Exact size, in bytes. */
  readonly sizeBytes: number;
  /** When this peer first knew of it, in milliseconds on the monotonic clock; undefined means now. */
  readonly sinceMs?: number;
  /** Whether it arrived by an unsolicited push, which counts against the push quota. */
  readonly pushed?: boolean;
}

/** Why a download from one source failed. */
export type FetchFailure =
  | "unreachable"
  | "absent"
  | "mismatch"
  | "cut-short"
  | "too-slow"
  | "too-long"
  | "garbage"
  | "storage";

/**
 * Why a file was not fetched, whoever was asked. "undelivered": nobody delivered it; "wrong": somebody delivered something else;
 * "storage": it cannot be kept here; "refused": this peer does not want it; "gone": it was deleted meanwhile.
 */
export type NotFetched = "undelivered" | "wrong" | "storage" | "refused" | "gone" | "canceled";

/** The purpose of a send whose outcome matters. Returned with the outcome. */
export type Ticket =
  /** The first gossip to a bootstrap or to a peer of the last run. */
  | { readonly for: "join" }
  /** A gossip to the known address of a peer whose name is claimed from another address. */
  | { readonly for: "probe"; readonly peerId: string }
  /** A copy of a file pushed to another peer. */
  | { readonly for: "replicate"; readonly fileId: string }
  /** An offer of a copy, for another peer to fetch. */
  | { readonly for: "offer"; readonly fileId: string }
  /** A part of a list; the next one waits for it. */
  | { readonly for: "list" }
  /** One of many sends of a message to all peers; the next one waits for it. */
  | { readonly for: "broadcast" }
  /** A DELETE of one or many files of ours. */
  | { readonly for: "delete"; readonly batch: number };

/** What an answer to a request for raw bytes says besides content, to a peer that passes parts on. */
export interface Sharing {
  /** Names of other peers that are fetching the file. */
  readonly peers: readonly string[];
  /** Offset and length of what to ask for next. */
  readonly next?: readonly [number, number];
  /** Whether the answer has no content, because others are being given what was asked for. */
  readonly isRedirected: boolean;
}

/** What is remembered about a file from earlier runs of this peer. */
export interface KnownFile {
  /** What is known about the file. */
  readonly file: FileRecord;
  /** Names of absent peers that held it when last heard from. */
  readonly away: readonly string[];
  /** When this peer first learned of it, in milliseconds on the monotonic clock; undefined means now. */
  readonly sinceMs: number | undefined;
  /** Since when it has no holder, in milliseconds on the monotonic clock; undefined means now. */
  readonly holderlessSinceMs: number | undefined;
  /** Whether a person here removed, edited or canceled it, so that it is not fetched automatically. */
  readonly isUnwanted: boolean;
}

/** How a peer is reached. */
export interface Ways {
  /** Further IP addresses of its machine, to be dialed too if the first takes long or fails. `Peer.mayDialAlso` limits that. */
  readonly also?: readonly string[];
  /**
   * When to dial the address that it advertises. "first": the other ways follow if that takes long or fails. "last": after them, because
   * nobody answered there lately.
   */
  readonly dial: "first" | "last" | "no";
  /** An open connection on which it takes messages. */
  readonly on?: number;
  /** An open connection on which it can be asked, with CONNECT, to open another one to us. */
  readonly call?: number;
  /** Peers that can be asked, with CONNECT, for a connection to it. */
  readonly relays: readonly {
    readonly peerId: string;
    readonly to: Address;
    readonly voucher: Voucher;
  }[];
}

/** Why we opened a connection: to ask or send something, or because the other side asked us to, and serves as one that it opened. */
export type Ours = "asking" | "called";

/** A fact that happened, for `Peer.handle`. */
export type Input =
  /**
   * The store is being read. Until `complete`, our list is sent as a partial one, and nothing is downloaded
   * automatically. Without this input, everything counts as read.
   */
  | { readonly kind: "loading" }
  /** A person names a peer to join through, now and in later runs. Answered with the event `connected` or `not-connected`. */
  | { readonly kind: "connect"; readonly address: Address }
  /** Somebody at this address announced a peer on the local network. `node`: the public key that it named. */
  | {
    readonly kind: "discovered";
    readonly address: Address;
    readonly node: string | undefined;
  }
  /** This machine has these IP addresses now. `host`: where others reach it. `also`: further addresses where they do. */
  | {
    readonly kind: "own-address";
    readonly host: string;
    readonly ips: readonly string[];
    readonly also?: readonly string[];
  }
  /**
   * "known": everything remembered from earlier runs is loaded; "folder": also, the folder was scanned, so that our
   * list is complete.
   */
  | { readonly kind: "complete"; readonly what: "known" | "folder" }
  /** What the store remembers about the network, or a part of it; stored files come as `held`. */
  | {
    readonly kind: "load";
    readonly files: readonly KnownFile[];
    /** Ids of deleted files, and when they were deleted, in milliseconds on the monotonic clock. */
    readonly deleted: readonly (readonly [fileId: string, deletedAtMs: number])[];
    /** Ids of files that a person removed here, whether or not anything else is known about them. */
    readonly unwanted: readonly string[];
  }
  /** Time passed. Expected a few times per second. */
  | { readonly kind: "tick" }
  /** The peer starts and joins the network. */
  | { readonly kind: "start" }
  /** A message arrived from `ip`, on a connection that can be used to answer. */
  | {
    readonly kind: "message";
    readonly message: Message;
    /** The address that the connection comes from; if it was passed on, a text that is no address. */
    readonly ip: string;
    readonly connection: number;
    /** Set if we opened the connection. */
    readonly ours?: Ours;
  }
  /** Data from `ip` was refused before it became a message. */
  | {
    readonly kind: "refused";
    readonly ip: string;
    /** The peer to which we opened the connection, if we did: nobody else can have sent the data. */
    readonly dialed?: string;
    readonly reason: Reason;
    readonly text: string;
  }
  /** A send succeeded. `ip` is what the address resolved to; undefined if it was not dialed. */
  | {
    readonly kind: "sent";
    readonly to: Address;
    readonly peerId?: string;
    readonly ticket?: Ticket;
    readonly ip?: string;
  }
  /** A send failed because the other side could not be reached or did not take the message. */
  | {
    readonly kind: "unreachable";
    readonly to: Address;
    readonly what: Message["type"];
    readonly peerId?: string;
    readonly ticket?: Ticket;
    readonly text: string;
  }
  /**
   * A send failed on our side (queue full, out of file descriptors, shutting down, no network), whatever the other
   * peer's state.
   */
  | {
    readonly kind: "unsent";
    readonly to: Address;
    readonly what: Message["type"];
    readonly peerId?: string;
    readonly ticket?: Ticket;
    readonly text: string;
  }
  /** What became of a dial to the address that a peer advertises. */
  | {
    readonly kind: "dialed";
    readonly peerId: string;
    readonly to: Address;
    readonly outcome: "reached" | "refused" | "silent";
  }
  /** After `link`: the connection is open, and LINK was sent. */
  | { readonly kind: "linked"; readonly peerId: string; readonly connection: number }
  /** After `link`: it could not be opened. */
  | { readonly kind: "not-linked"; readonly peerId: string }
  /** A connection that was held, or opened for a LINK, ended. */
  | { readonly kind: "ended"; readonly connection: number }
  /** A `call-back` or `relay` ended, successfully or not. */
  | { readonly kind: "passed-on"; readonly what: "call-back" | "relay"; readonly key: string }
  /** A `serve` ended, successfully or not. `ip` is the requester. */
  | { readonly kind: "served"; readonly ip: string }
  /** Unsolicited content begins to arrive. Answered with `push-verdict`. */
  | {
    readonly kind: "push-offered";
    readonly ip: string;
    readonly connection: number;
    readonly fileId?: string;
  }
  /** Content arrived completely and was verified; it waits under `receipt`. Answered with `keep` or `drop`. */
  | {
    readonly kind: "arrived";
    readonly receipt: number;
    readonly held: HeldFile;
    readonly ip: string;
    /** The peer that it was fetched from, and the number of the attempt; undefined for a push. */
    readonly source?: string;
    readonly attempt?: number;
    /** When a push began, in milliseconds on the monotonic clock: the file may have been deleted since. */
    readonly beganMs?: number;
  }
  /** An attempt to fetch a file from one source failed. */
  | {
    readonly kind: "fetch-failed";
    readonly fileId: string;
    readonly source: string;
    readonly attempt: number;
    readonly failure: FetchFailure;
    readonly text: string;
    /** Set if the answer was passed on by another peer, which may have changed it. */
    readonly isPassedOn?: true;
  }
  /** The size of a file that is being fetched raw is known now, and further sources would help. */
  | { readonly kind: "more-sources"; readonly fileId: string; readonly attempt: number }
  /** A source of a file named other peers that are fetching it. */
  | {
    readonly kind: "fellows";
    readonly fileId: string;
    readonly attempt: number;
    readonly peerIds: readonly string[];
  }
  /** One of several sources of a file failed; the attempt goes on without it. */
  | {
    readonly kind: "source-failed";
    readonly fileId: string;
    readonly source: string;
    readonly attempt: number;
    readonly failure: FetchFailure;
    readonly text: string;
    /** Set if the answer was passed on by another peer, which may have changed it. */
    readonly isPassedOn?: true;
  }
  /** Files of a `fetch-batch` whose turn did not come, because an earlier one failed: nothing is known of them. */
  | {
    readonly kind: "fetch-unasked";
    readonly files: readonly { readonly fileId: string; readonly attempt: number }[];
  }
  /** The store could not execute a `keep`. */
  | {
    readonly kind: "keep-failed";
    readonly fileId: string;
    readonly fileName: string;
    readonly source?: string;
    readonly text: string;
  }
  /**
   * Files are now in the store: kept after `keep`, adopted after `adopt`, published, found in the folder, restored, or
   * loaded at startup.
   */
  | {
    readonly kind: "held";
    readonly files: readonly HeldFile[];
    readonly how: "fetched" | "pushed" | "published" | "found" | "restored" | "loaded" | "adopted";
    readonly source?: string;
    /** If "adopted": the id under which the content was here before, and the attempt of the `adopt`. */
    readonly adopted?: { readonly twin: string; readonly attempt: number };
  }
  /**
   * After `adopt`: the file was not taken. `isWrong`: the other content does not verify for its id; otherwise it could not
   * be read.
   */
  | {
    readonly kind: "not-adopted";
    readonly fileId: string;
    readonly attempt: number;
    readonly isWrong: boolean;
  }
  /**
   * Files are no longer in the store. "removed" and "edited": by a person, so they are not fetched again automatically;
   * "damaged": fetched again; "missing": the whole folder is gone and may come back.
   */
  | {
    readonly kind: "lost";
    readonly fileIds: readonly string[];
    readonly why: "removed" | "edited" | "damaged" | "missing";
  }
  /** A person removed or edited these files while this peer was not running; they are not fetched automatically. */
  | { readonly kind: "unwanted"; readonly fileIds: readonly string[] }
  /** A person renamed held files. */
  | { readonly kind: "renamed"; readonly files: readonly FileRecord[] }
  /** The store has space again after it had run out. */
  | { readonly kind: "space" }
  /** A person requested a file. */
  | { readonly kind: "want"; readonly fileId: string }
  /** A person wants a queued file before all others. */
  | { readonly kind: "first"; readonly fileId: string }
  /** A person canceled a download, or the search for a peer that takes a copy. */
  | { readonly kind: "cancel"; readonly fileId: string }
  /** A person deleted a file: everywhere if it is ours, otherwise only here. */
  | { readonly kind: "delete"; readonly fileId: string }
  /** Starts or stops reporting changed catalogue entries, as `changed` effects. */
  | { readonly kind: "watch"; readonly isWatched: boolean };

/** One of the files that are fetched with one request. */
export interface BatchFile {
  /** Identifies the attempt; never reused. */
  readonly attempt: number;
  /** What is known of the file. */
  readonly file: FileRecord;
  /** Timestamps under which the content may verify. */
  readonly timestamps: readonly Timestamp[];
}

/** Something for the edge to do, from `Peer.handle`. */
export type Effect =
  /** Send a message on a new connection. Answered with `sent`, `unreachable` or `unsent`. */
  | {
    readonly kind: "send";
    readonly to: Address;
    readonly voucher: Voucher;
    readonly peerId?: string;
    readonly what: Message["type"];
    readonly bytes: Uint8Array<ArrayBuffer>;
    readonly ticket?: Ticket;
    /** Set on one of several sends of the same message, which a single `broadcast` event reports. */
    readonly isBroadcast?: true;
    /** Set if it must not be dialed now, because there are other ways. */
    readonly noDial?: true;
  }
  /**
   * Keep a connection that others opened. "answers": for a moment after they finished; "link": as long as messages come.
   * Answered with `ended`.
   */
  | { readonly kind: "hold"; readonly connection: number; readonly as: "answers" | "link" }
  /** Send a message on an open connection. */
  | {
    readonly kind: "say";
    readonly connection: number;
    readonly what: Message["type"];
    readonly bytes: Uint8Array<ArrayBuffer>;
  }
  /** Close a connection. */
  | { readonly kind: "hang-up"; readonly connection: number }
  /** Open a connection that stays open, and send a LINK on it. Answered with `linked`, and later `ended`, or with `not-linked`. */
  | {
    readonly kind: "link";
    readonly peerId: string;
    readonly to: Address;
    readonly voucher: Voucher;
    readonly bytes: Uint8Array<ArrayBuffer>;
  }
  /** Dial an address, only to see whether anybody answers. Answered with `dialed`. */
  | {
    readonly kind: "probe";
    readonly peerId: string;
    readonly to: Address;
    readonly voucher: Voucher;
  }
  /** Open a connection because a peer asked for it on a LINK, send the CONNECT, and serve it. Answered with `passed-on`. */
  | {
    readonly kind: "call-back";
    readonly key: string;
    readonly to: Address;
    readonly voucher: Voucher;
    readonly bytes: Uint8Array<ArrayBuffer>;
    /** Set if it is for another peer than the one that asked. */
    readonly isRelayed: boolean;
  }
  /**
   * Ask for a connection on the LINK, answer the connection with `bytes` when it is there, and pass on everything both ways.
   * Answered with `passed-on`.
   */
  | {
    readonly kind: "relay";
    readonly key: string;
    readonly connection: number;
    readonly link: number;
    readonly bytes: Uint8Array<ArrayBuffer>;
  }
  /** Answer on this connection that the file is not here. */
  | {
    readonly kind: "answer-absent";
    readonly connection: number;
    readonly bytes: Uint8Array<ArrayBuffer>;
  }
  /** Stream the file on this connection. Answered with `served`. */
  | {
    readonly kind: "serve";
    readonly connection: number;
    readonly file: FileRecord;
    /** `ext.raw` of the request: these bytes are wanted raw. Undefined: the whole file, in hex. */
    readonly raw?: readonly number[];
    /** Size of chunks, in bytes: the list of their hashes is wanted instead of content. */
    readonly chunks?: number;
    /** What the answer says besides. */
    readonly sharing?: Sharing;
    /** The requester, to be returned in `served`. */
    readonly ip: string;
  }
  /** Stream a part of a file that is on its way here, as far as it is here. Answered with `served`. */
  | {
    readonly kind: "serve-part";
    readonly connection: number;
    readonly fileId: string;
    /** `ext.raw` of the request. */
    readonly raw: readonly number[];
    /** What the answer says besides. */
    readonly sharing?: Sharing;
    /** The requester, to be returned in `served`. */
    readonly ip: string;
  }
  /**
   * Stream these files on this connection, in this order, raw and each after its own header line. Answered with `served`.
   */
  | {
    readonly kind: "serve-batch";
    readonly connection: number;
    /** `file` is missing if it is not here. */
    readonly files: readonly { readonly fileId: string; readonly file?: FileRecord }[];
    /** The requester, to be returned in `served`. */
    readonly ip: string;
  }
  /**
   * Fetch a file from one source, and continue what an earlier attempt left if it is raw. Answered with `arrived` or
   * `fetch-failed`, and before that perhaps with `more-sources` and `source-failed`.
   */
  | {
    readonly kind: "fetch";
    /** Identifies the attempt; never reused. */
    readonly attempt: number;
    readonly file: FileRecord;
    /** Timestamps under which the content may verify. */
    readonly timestamps: readonly Timestamp[];
    readonly source: string;
    readonly from: Address;
    readonly voucher: Voucher;
    /** Whether the source can send raw content. */
    readonly isRaw: boolean;
    /** Whether the source knows of parts; see `PARTS`. */
    readonly hasParts: boolean;
    /** Maximum size of the file, in bytes, if less than the store takes. */
    readonly maxBytes?: number;
    /** The id to ask the source for, if it holds the same content under another one. */
    readonly askFor?: string;
  }
  /**
   * Hold a file as the same content as another held file, `twin`, if it verifies for its id. Answered with `held`
   * ("adopted") or `not-adopted`.
   */
  | {
    readonly kind: "adopt";
    /** Identifies the attempt; never reused. */
    readonly attempt: number;
    readonly file: FileRecord;
    /** Timestamps under which the content may verify. */
    readonly timestamps: readonly Timestamp[];
    readonly twin: string;
  }
  /** Fetch parts of a file from a further source, which can send raw content, in an attempt that is running. */
  | {
    readonly kind: "fetch-also";
    readonly attempt: number;
    readonly fileId: string;
    readonly source: string;
    readonly from: Address;
    readonly voucher: Voucher;
    /** The id to ask the source for, if it holds the same content under another one. */
    readonly askFor?: string;
    /** Whether the source knows of parts; see `PARTS`. */
    readonly hasParts: boolean;
    /** Set if the source is fetching the file itself, and has verified nothing. */
    readonly isFellow?: true;
  }
  /**
   * Fetch many small files from one source that can `BATCH_GET`, in this order, with one request. Answered for each with
   * `arrived` or `fetch-failed`, or with `fetch-unasked`.
   */
  | {
    readonly kind: "fetch-batch";
    readonly files: readonly BatchFile[];
    readonly source: string;
    readonly from: Address;
    readonly voucher: Voucher;
  }
  /** Stop an attempt that is no longer needed. It may have ended already. */
  | { readonly kind: "stop-fetch"; readonly attempt: number; readonly text: string }
  /** Push a copy of a held file to a peer. Answered like a `send`. */
  | {
    readonly kind: "replicate";
    readonly file: FileRecord;
    readonly to: Address;
    readonly voucher: Voucher;
    readonly peerId: string;
  }
  /** Receive a push. */
  | {
    readonly kind: "push-verdict";
    readonly connection: number;
    /** "skip": read it to its end but keep nothing, because the file is already here. */
    readonly verdict: "take" | "skip";
  }
  /** Refuse a push. */
  | {
    readonly kind: "push-verdict";
    readonly connection: number;
    readonly verdict: "refuse";
    readonly reason: Reason;
    readonly text: string;
  }
  /** Move verified content into the store. Answered with `held` or `keep-failed`. */
  | {
    readonly kind: "keep";
    readonly receipt: number;
    readonly held: HeldFile;
    readonly source?: string;
  }
  /** Discard verified content. */
  | { readonly kind: "drop"; readonly receipt: number }
  /**
   * Move content to the trash: its owner deleted it, or it is not wanted here. At once on record, for all these files; on
   * disk one after another.
   */
  | {
    readonly kind: "trash";
    readonly fileIds: readonly string[];
    readonly why: "deleted" | "unwanted";
  }
  /** The catalogue, the tombstones or the tracked peers changed: save soon. */
  | { readonly kind: "save" }
  /**
   * While watched: catalogue entries that this input added, changed or removed; "many" if there are too many to name.
   */
  | { readonly kind: "changed"; readonly fileIds: readonly string[] | "many" }
  /** Something happened that people may want to know about. */
  | { readonly kind: "event"; readonly event: PeerEvent };

/** Something that people may want to know about. The log and the page are made of these. */
export type PeerEvent =
  | {
    readonly name: "peer-left";
    readonly peerId: string;
    readonly address: Address;
    /** When it was last heard from, in milliseconds. */
    readonly lastHeardMs: number;
  }
  | {
    readonly name: "peer-joined";
    readonly peerId: string;
    readonly address: Address;
  }
  /** `other`: the previous address of a peer that moved, or the address of a second peer that uses its name. */
  | {
    readonly name: "peer-moved" | "peer-conflict";
    readonly peerId: string;
    readonly address: Address;
    readonly other: Address;
  }
  /** We keep a connection to this peer open, or no longer, because it cannot connect to us. */
  | { readonly name: "linked" | "unlinked"; readonly peerId: string }
  /** What other peers say about connections to us has changed. */
  | { readonly name: "reach-changed" }
  /** This machine is at another address, and `peers` peers are told. */
  | {
    readonly name: "own-address";
    readonly address: Address;
    readonly other: Address;
    readonly peers: number;
  }
  /** A source is avoided for `leftMs` milliseconds. `text` is the rest of a sentence that starts with "it". */
  | {
    readonly name: "backed-off";
    readonly peerId: string;
    readonly leftMs: number;
    readonly offences: number;
    readonly text: string;
  }
  /** A configured bootstrap did not answer. Reported once, until it answers. */
  | { readonly name: "bootstrap-silent"; readonly address: Address; readonly text: string }
  /** No peer has answered. `isTrying`: joining is retried; otherwise this peer waits to be contacted. */
  | { readonly name: "alone"; readonly isTrying: boolean }
  /** The first lists have arrived, `afterMs` milliseconds after the start. */
  | {
    readonly name: "synchronized";
    readonly afterMs: number;
    readonly peers: number;
    readonly files: number;
  }
  /** The first batch of auto-fetch is done. */
  | {
    readonly name: "auto-fetch-complete";
    readonly fetched: number;
    readonly failed: number;
    /** Number of files not fetched yet and retried later. */
    readonly pending: number;
    readonly reason: "done" | "nothing-missing" | "no-peers" | "off";
  }
  /** A peer that a person named answered. `address` is what it was named by. */
  | { readonly name: "connected"; readonly address: Address; readonly peerId: string }
  /** It did not; `text` says why. It is tried again. */
  | { readonly name: "not-connected"; readonly address: Address; readonly text: string }
  /** A message arrived; `text` says what it asks. */
  | { readonly name: "request"; readonly ip: string; readonly text: string }
  | { readonly name: "downloaded"; readonly file: FileRecord; readonly source: string }
  | {
    readonly name: "download-failed";
    readonly fileId: string;
    readonly fileName: string;
    readonly text: string;
    readonly why: NotFetched;
    /** Whether it stays wanted and is retried. */
    readonly willRetry: boolean;
  }
  /** One source failed to deliver, or the store could not keep what arrived. */
  | {
    readonly name: "attempt-failed" | "keep-failed";
    readonly fileId: string;
    readonly fileName: string;
    readonly source?: string;
    readonly text: string;
  }
  | { readonly name: "held"; readonly file: FileRecord; readonly how: string }
  /** The content of a file was here already, as another file. */
  | { readonly name: "adopted"; readonly file: FileRecord; readonly as: FileRecord }
  | { readonly name: "lost"; readonly file: FileRecord }
  /** Too many files were found, fetched or lost at once to name each. `source`: the peer that they were fetched from. */
  | {
    readonly name: "many-held";
    readonly files: number;
    readonly how: string;
    readonly source?: string;
  }
  | { readonly name: "many-lost"; readonly files: number }
  | { readonly name: "renamed"; readonly file: FileRecord; readonly from: string }
  /** "us-replaced": the earlier version of a file that changed right after it was shared. */
  | {
    readonly name: "deleted";
    readonly file: FileRecord;
    readonly by: "owner" | "us" | "us-here-only" | "us-replaced";
  }
  /** An owner deleted several files with one DELETE. */
  | { readonly name: "many-deleted"; readonly owner: string; readonly files: number }
  /**
   * How far many deletions of ours have spread: the number of peers that were `told` of all of them, of those that could
   * not be reached yet (`left`), and of those that take one file at a time, the last of them within `slowMs` milliseconds.
   */
  | {
    readonly name: "deletions-spread";
    readonly files: number;
    readonly told: number;
    readonly left: number;
    readonly slow: number;
    readonly slowMs: number;
  }
  /** A message is sent to `peers` peers. `files`: the number of files that it is about, if not one. */
  | {
    readonly name: "broadcast";
    readonly what: Message["type"];
    readonly peers: number;
    readonly files?: number;
  }
  /** Another peer uses our name. `toldBy`: a peer that tracks the other one instead of us. */
  | { readonly name: "name-taken"; readonly other: Address; readonly toldBy?: string }
  | { readonly name: "replicated"; readonly file: FileRecord; readonly peerId: string }
  /** A limit was reached `times` times, with consequences that nobody else reports. */
  | { readonly name: "overload"; readonly overload: Overload; readonly times: number }
  /** Something was refused, `times` times if not once. `who` is a peer id or an address. */
  | {
    readonly name: "refused";
    readonly who: string;
    readonly reason: Reason;
    readonly text: string;
    readonly times?: number;
  };

/** The events of the state machine, and those that only the edge knows about. */
export type NodeEvent =
  | PeerEvent
  | {
    readonly name: "sent";
    readonly what: Message["type"];
    readonly to: Address;
    /** The peer there, if it is known. */
    readonly peerId?: string;
  }
  /** Somebody logged in at the pages. */
  | { readonly name: "login"; readonly ip: string }
  | { readonly name: "send-failed"; readonly what: Message["type"]; readonly text: string }
  | { readonly name: "passed-over"; readonly text: string }
  /** Others cannot connect to this peer, which `text` explains, or can again. */
  | { readonly name: "reach"; readonly isBad: boolean; readonly text: string }
  /** The folder was looked through for the first time. `longestBlockMs`: how long other work waited at most. */
  | {
    readonly name: "indexed";
    readonly files: number;
    readonly bytes: number;
    readonly seconds: number;
    readonly longestBlockMs: number;
  }
  | { readonly name: "trouble"; readonly text: string };
