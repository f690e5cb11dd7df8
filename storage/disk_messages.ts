// What the disk's thread is asked and answers: the messages between disk_thread.ts and disk_worker.js. PURE.

import type { Look } from "./looks.ts";

/** Files of one folder to hash. */
export interface HashJobs {
  /** The folder. */
  readonly dir: string;
  /** Names of the files. */
  readonly names: readonly string[];
  /** Expected size of each file, in bytes. Its content is read to the end in any case. */
  readonly sizes: readonly number[];
  /** For each file, texts; the digest of the content followed by each is returned. */
  readonly suffixes: readonly (readonly string[])[];
}

/** Hashes of a file. */
export interface HashResult {
  /** Number of bytes that were read. */
  readonly sizeBytes: number;
  /** Hex SHA-256 of the content. */
  readonly sha256: string;
  /** Hex SHA-256 of the content followed by each suffix, in the order of the suffixes. */
  readonly digests: readonly string[];
  /** How the file looked when it had been read; a size of -1 means that it is no regular file any more. */
  readonly look: Look;
}

/** Hashes of several files as they cross from one thread to the other: few objects, however many files. */
export interface HashedBatch {
  /** Hex SHA-256 of each content; empty for a file that could not be read. */
  readonly sha256s: readonly string[];
  /** The digests of all files, one after another; empty texts for a file that could not be read. */
  readonly digests: readonly string[];
  /** For each file: bytes read, then size, modification time, change time and inode after that. */
  readonly figures: Float64Array;
  /** Why files could not be read, by their position. */
  readonly errors: ReadonlyMap<number, Failure>;
}

/** What the worker is asked. */
export type Request =
  | { readonly id: number; readonly kind: "list"; readonly dir: string }
  | { readonly id: number; readonly kind: "more"; readonly of: number }
  | {
    readonly id: number;
    readonly kind: "stat";
    readonly dir: string;
    readonly names: readonly string[];
  }
  | { readonly id: number; readonly kind: "flush"; readonly paths: readonly string[] }
  | { readonly id: number; readonly kind: "hash"; readonly jobs: HashJobs }
  | ({ readonly id: number; readonly kind: "follow" } & Following)
  | (
    & { readonly id: number; readonly kind: "digests"; readonly suffixes: readonly string[] }
    & Following
  )
  | { readonly id: number; readonly kind: "unfollow"; readonly of: number };

/** A file that is hashed as it grows. */
export interface Following {
  /** Its number. */
  readonly of: number;
  /** Where it is. */
  readonly path: string;
  /** How far it is hashed, in bytes. */
  readonly end: number;
}

/** An error, as it crosses from one thread to the other. */
export interface Failure {
  /** Name of its class. */
  readonly name: string;
  /** Its message. */
  readonly message: string;
  /** The system's code, if it has one. */
  readonly code: string | undefined;
}

/** What the worker says. The last answer to a request has `isEnd`. */
export interface Answer {
  /** Number of the request. */
  readonly id: number;
  /** Whether it is the last answer. */
  readonly isEnd?: true;
  /** What was asked for. */
  readonly value?: unknown;
  /** Why the request failed. */
  readonly error?: Failure;
  /** Number of bytes read since the last answer. */
  readonly readBytes?: number;
}

/** A part of a folder. */
export interface ListingPart {
  /** Number of the request that began the listing. */
  readonly of: number;
  /** Names in the folder. */
  readonly names: readonly string[];
  /** Seven numbers for each name. */
  readonly figures: Float64Array;
  /** Whether it is the last part. */
  readonly isLast: boolean;
}
