// Contents that are on their way: what several ids are said to share is transferred once. PURE.
// Invariants: others wait for the first download of a content, but for a minute at most and only until it is here; a person
// does not wait for a download that no person requested.

import type { Bounded } from "../bounds/expiring.ts";
import { MAX_BATCH_FILES, MAX_REQUESTS } from "../limits.ts";
import type { PeerState } from "../state.ts";
import type { Twins } from "./twins.ts";

/** How long a file waits for another one that is said to have the same content, in milliseconds. (A guess.) */
const LONGEST_WAIT_MS = 60_000;

/** A download that brings a content. */
interface Coming {
  readonly fileId: string;
  /** When it began, in milliseconds on the monotonic clock. */
  readonly sinceMs: number;
}

/** The contents on their way. */
export class ComingContents {
  /** The first download of each, by SHA-256 and size. */
  readonly #first = new Map<string, Coming>();

  /** Shares `state` with the other parts of the peer. `isInsisted`: a person requested the file. */
  constructor(
    readonly state: PeerState,
    readonly twins: Twins,
    readonly isInsisted: (fileId: string) => boolean,
  ) {}

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    return [{
      name: "contents on their way",
      size: () => this.#first.size,
      max: () => MAX_REQUESTS * MAX_BATCH_FILES,
    }];
  }

  /** Returns whether the content of a file is on its way under another id, and worth waiting for. */
  isComing(fileId: string): boolean {
    if (this.#first.size === 0) return false;
    const content = this.#contentOf(fileId);
    const coming = content && this.#first.get(content.key);
    if (!coming) return false;
    const isPatient = !this.isInsisted(fileId) || this.isInsisted(coming.fileId);
    const isRecent = this.state.nowMs - coming.sinceMs < LONGEST_WAIT_MS;
    return isPatient && isRecent && this.state.catalogue.heldWith(content.sha256) === undefined;
  }

  /** Notes that a download begins. Returns what `ended` needs: its content, if something is said of that. */
  began(fileId: string): string | undefined {
    const key = this.#contentOf(fileId)?.key;
    if (key !== undefined && !this.#first.has(key)) {
      this.#first.set(key, { fileId, sinceMs: this.state.nowMs });
    }
    return key;
  }

  /** Notes that a download ended, with or without its content. */
  ended(fileId: string, key: string | undefined): void {
    if (key !== undefined && this.#first.get(key)?.fileId === fileId) this.#first.delete(key);
  }

  #contentOf(fileId: string): { readonly sha256: string; readonly key: string } | undefined {
    const entry = this.state.catalogue.get(fileId);
    const sha256 = entry && this.twins.claimOf(entry);
    return sha256 === undefined ? undefined : { sha256, key: `${sha256} ${entry?.file.sizeBytes}` };
  }
}
