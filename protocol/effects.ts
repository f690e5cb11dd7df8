// What goes into the peer's machine and what comes out of it: the whole contract with the edge. PURE.
// Inputs are facts that happened; effects are things to do. Bulk bytes never appear here, only receipts
// for them: numbers by which the edge knows the connection or the temporary file that is meant.

import type { Address, Voucher } from "./wire/address.ts";
import type { Reason } from "./wire/errors.ts";
import type { FileRecord, Message } from "./wire/message.ts";
import type { Timestamp } from "./wire/fileid.ts";

/** A file that is in the store and verified. */
export interface HeldFile {
  readonly file: FileRecord;
  readonly sizeBytes: number;
  /** When this peer first knew of it, on the machine's clock; undefined means now. */
  readonly sinceMs?: number;
  /** It came by a push that nobody asked for, and counts against the quota. */
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

/** What a send was for, where its outcome matters. */
export type Ticket =
  | { readonly for: "join" }
  | { readonly for: "probe"; readonly peerId: string }
  | { readonly for: "replicate"; readonly fileId: string }
  /** One of many sends of a message to everybody; the next one waits for it. */
  | { readonly for: "broadcast" }
  /** A DELETE of a file of ours. */
  | { readonly for: "delete"; readonly fileId: string };

/** What is remembered of a file from earlier runs of this peer. */
export interface KnownFile {
  readonly file: FileRecord;
  /** Peers that held it when they were last heard from. */
  readonly away: readonly string[];
  /** When this peer first learned of it, on the monotonic clock; undefined means now. */
  readonly sinceMs: number | undefined;
  /** Since when nobody holds it, on the monotonic clock; undefined means now. */
  readonly holderlessSinceMs: number | undefined;
  /** A person here removed, edited or canceled it: it is not fetched automatically. */
  readonly isUnwanted: boolean;
}

export type Input =
  /** What the store remembers of the network. The first input; what the store holds follows as `held`. */
  | {
    readonly kind: "load";
    readonly files: readonly KnownFile[];
    /** Ids of deleted files, and when they were deleted, on the monotonic clock. */
    readonly deleted: readonly (readonly [fileId: string, deletedAtMs: number])[];
    /** Ids of files that a person removed here, whether or not anything else is known of them. */
    readonly unwanted: readonly string[];
  }
  /** Time passes; a few times a second. */
  | { readonly kind: "tick" }
  /** The peer begins: joins the network. */
  | { readonly kind: "start" }
  /** A message came from `ip`, on a connection that answers can go to. */
  | {
    readonly kind: "message";
    readonly message: Message;
    readonly ip: string;
    readonly connection: number;
  }
  /** Something from `ip` was refused before it became a message. */
  | {
    readonly kind: "refused";
    readonly ip: string;
    /** On a connection that we opened to this peer: nobody else can have sent it. */
    readonly dialed?: string;
    readonly reason: Reason;
    readonly text: string;
  }
  /** A send or dial ended; `ip` is where the address led. */
  | {
    readonly kind: "sent";
    readonly to: Address;
    readonly peerId?: string;
    readonly ticket?: Ticket;
    readonly ip: string;
  }
  | {
    readonly kind: "unreachable";
    readonly to: Address;
    readonly what: Message["type"];
    readonly peerId?: string;
    readonly ticket?: Ticket;
    readonly text: string;
  }
  /** A send failed on our side (queue full, no descriptors, stopping, no network): it says nothing about the other peer. */
  | {
    readonly kind: "unsent";
    readonly to: Address;
    readonly what: Message["type"];
    readonly peerId?: string;
    readonly ticket?: Ticket;
    readonly text: string;
  }
  /** A `serve` ended, however it did; `ip` is who asked. */
  | { readonly kind: "served"; readonly ip: string }
  /** Content begins to arrive that nobody asked for. Answered by a `push-verdict`. */
  | {
    readonly kind: "push-offered";
    readonly ip: string;
    readonly connection: number;
    readonly fileId?: string;
  }
  /** Content arrived whole and verified, and waits as `receipt`. Answered by `keep` or `drop`. */
  | {
    readonly kind: "arrived";
    readonly receipt: number;
    readonly held: HeldFile;
    readonly ip: string;
    /** The peer it was fetched from, and which attempt that was; undefined for a push. */
    readonly source?: string;
    readonly attempt?: number;
    /** When a push began, on the machine's clock: it may have been under way while the file was deleted. */
    readonly beganMs?: number;
  }
  | {
    readonly kind: "fetch-failed";
    readonly fileId: string;
    readonly source: string;
    readonly attempt: number;
    readonly failure: FetchFailure;
    readonly text: string;
  }
  /** The store could not keep what it was told to. */
  | {
    readonly kind: "keep-failed";
    readonly fileId: string;
    readonly fileName: string;
    readonly source?: string;
    readonly text: string;
  }
  /** Files are in the store: kept after `keep`, published, found, or loaded at start. */
  | {
    readonly kind: "held";
    readonly files: readonly HeldFile[];
    readonly how: "fetched" | "pushed" | "published" | "found" | "restored" | "loaded";
    readonly source?: string;
  }
  /**
   * Files are no longer in the store. "removed" and "edited": by a person, so they are not fetched again automatically;
   * "damaged": wanted back; "missing": the whole folder went, and may come back.
   */
  | {
    readonly kind: "lost";
    readonly fileIds: readonly string[];
    readonly why: "removed" | "edited" | "damaged" | "missing";
  }
  /** Files that a person removed or edited while this peer was not running: not fetched automatically. */
  | { readonly kind: "unwanted"; readonly fileIds: readonly string[] }
  /** A person gave held files other names. */
  | { readonly kind: "renamed"; readonly files: readonly FileRecord[] }
  /** There is space in the store again, after there was none. */
  | { readonly kind: "space" }
  /** A person wants a file here. */
  | { readonly kind: "want"; readonly fileId: string }
  /** A person wants no more of a download, or of the search for a peer that takes a copy. */
  | { readonly kind: "cancel"; readonly fileId: string }
  /** A person deletes a file: everywhere when it is ours, here only when it is not. */
  | { readonly kind: "delete"; readonly fileId: string }
  /** Begins or stops reporting which entries of the catalogue change, as `changed` effects. */
  | { readonly kind: "watch"; readonly isWatched: boolean };

export type Effect =
  | {
    readonly kind: "send";
    readonly to: Address;
    readonly voucher: Voucher;
    readonly peerId?: string;
    readonly what: Message["type"];
    readonly bytes: Uint8Array<ArrayBuffer>;
    readonly ticket?: Ticket;
    /** One of several sends of the same message; an event has told of all of them. */
    readonly isBroadcast?: true;
  }
  /** Say on this connection that the file is not here. */
  | {
    readonly kind: "answer-absent";
    readonly connection: number;
    readonly bytes: Uint8Array<ArrayBuffer>;
  }
  /** Stream the file on this connection. */
  | {
    readonly kind: "serve";
    readonly connection: number;
    readonly file: FileRecord;
    /** Who asked; to be named when this ended. */
    readonly ip: string;
  }
  | {
    readonly kind: "fetch";
    /** Different for each attempt. */
    readonly attempt: number;
    readonly file: FileRecord;
    readonly timestamps: readonly Timestamp[];
    readonly source: string;
    readonly from: Address;
    readonly voucher: Voucher;
  }
  /** Nobody wants this attempt any more: end it. It may have ended already. */
  | { readonly kind: "stop-fetch"; readonly attempt: number; readonly text: string }
  /** Push a copy of a held file. */
  | {
    readonly kind: "replicate";
    readonly file: FileRecord;
    readonly to: Address;
    readonly voucher: Voucher;
    readonly peerId: string;
  }
  | {
    readonly kind: "push-verdict";
    readonly connection: number;
    /** "skip": read on and keep nothing, it is here already. */
    readonly verdict: "take" | "skip";
  }
  | {
    readonly kind: "push-verdict";
    readonly connection: number;
    readonly verdict: "refuse";
    readonly reason: Reason;
    readonly text: string;
  }
  | {
    readonly kind: "keep";
    readonly receipt: number;
    readonly held: HeldFile;
    readonly source?: string;
  }
  | { readonly kind: "drop"; readonly receipt: number }
  /** Move the content to the trash: its owner deleted it, or it is not wanted here. */
  | { readonly kind: "trash"; readonly fileId: string; readonly why: "deleted" | "unwanted" }
  /** The catalogue, the tombstones or the peers changed: save soon. */
  | { readonly kind: "save" }
  /** Entries of the catalogue that this input added, changed or removed, while watched; "many" when too many to name. */
  | { readonly kind: "changed"; readonly fileIds: readonly string[] | "many" }
  | { readonly kind: "event"; readonly event: PeerEvent };

/** What people may want to know; the log and the pages are made of these. */
export type PeerEvent =
  | {
    readonly name: "peer-joined" | "peer-left";
    readonly peerId: string;
    readonly address: Address;
  }
  | {
    readonly name: "peer-moved" | "peer-conflict";
    readonly peerId: string;
    readonly address: Address;
    readonly other: Address;
  }
  | {
    readonly name: "backed-off";
    readonly peerId: string;
    readonly leftMs: number;
    readonly offences: number;
    readonly text: string;
  }
  | { readonly name: "bootstrap-silent"; readonly address: Address; readonly text: string }
  /** `isTrying`: somebody is asked again and again; else the peer waits to be found. */
  | { readonly name: "alone"; readonly isTrying: boolean }
  | {
    readonly name: "synchronized";
    readonly afterMs: number;
    readonly peers: number;
    readonly files: number;
  }
  | {
    readonly name: "auto-fetch-complete";
    readonly fetched: number;
    readonly failed: number;
    /** Not fetched yet, and tried again. */
    readonly pending: number;
    readonly reason: "done" | "nothing-missing" | "no-peers" | "off";
  }
  | { readonly name: "request"; readonly ip: string; readonly text: string }
  | { readonly name: "downloaded"; readonly file: FileRecord; readonly source: string }
  | {
    readonly name: "download-failed";
    readonly fileId: string;
    readonly fileName: string;
    readonly text: string;
    /** It stays wanted, and is tried again. */
    readonly willRetry: boolean;
  }
  | {
    readonly name: "attempt-failed" | "keep-failed";
    readonly fileId: string;
    readonly fileName: string;
    readonly source?: string;
    readonly text: string;
  }
  | { readonly name: "held"; readonly file: FileRecord; readonly how: string }
  | { readonly name: "lost"; readonly file: FileRecord }
  | { readonly name: "renamed"; readonly file: FileRecord; readonly from: string }
  /** "us-replaced": an earlier version of a file that changed right after it was shared. */
  | {
    readonly name: "deleted";
    readonly file: FileRecord;
    readonly by: "owner" | "us" | "us-here-only" | "us-replaced";
  }
  /** A message goes to so many peers. */
  | { readonly name: "broadcast"; readonly what: Message["type"]; readonly peers: number }
  /** Another peer uses our name. `toldBy`: a peer that lists that one and not us. */
  | { readonly name: "name-taken"; readonly other: Address; readonly toldBy?: string }
  | { readonly name: "replicated"; readonly file: FileRecord; readonly peerId: string }
  | {
    readonly name: "refused";
    readonly who: string;
    readonly reason: Reason;
    readonly text: string;
  };

/** What the machine tells, and what only the edge can know. */
export type NodeEvent =
  | PeerEvent
  | {
    readonly name: "sent";
    readonly what: Message["type"];
    readonly to: Address;
    readonly isBroadcast?: true;
  }
  | { readonly name: "send-failed"; readonly what: Message["type"]; readonly text: string }
  | { readonly name: "passed-over"; readonly text: string }
  | { readonly name: "trouble"; readonly text: string };
