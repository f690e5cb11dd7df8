// Sets of peer names, shared by all files that the same peers hold: of a hundred thousand files, nearly all are held by
// one of a few sets of peers, and a set of its own costs more memory than everything else that is known of a file. PURE.
// Invariant: a set that was handed out never changes.

/** Maximum number of sets that are shared. Beyond this, sharing begins again with new sets. */
const MAX_SETS = 4_096;

/** What a set becomes when a peer is added or removed. */
interface Next {
  readonly added: Map<string, ReadonlySet<string>>;
  readonly removed: Map<string, ReadonlySet<string>>;
}

/** Hands out the sets. */
export class HolderSets {
  /** The set without peers. */
  readonly none: ReadonlySet<string> = new Set();
  #byNames = new Map<string, ReadonlySet<string>>([["", this.none]]);
  #next = new WeakMap<ReadonlySet<string>, Next>();

  /** Number of sets that are shared. */
  get size(): number {
    return this.#byNames.size;
  }

  /** Maximum number of sets that are shared. */
  get max(): number {
    return MAX_SETS;
  }

  /** Returns the set with one more peer. */
  with(set: ReadonlySet<string>, peerId: string): ReadonlySet<string> {
    if (set.has(peerId)) return set;
    const { added } = this.#nextOf(set);
    let next = added.get(peerId);
    if (!next) added.set(peerId, next = this.#shared([...set, peerId]));
    return next;
  }

  /** Returns the set without a peer. */
  without(set: ReadonlySet<string>, peerId: string): ReadonlySet<string> {
    if (!set.has(peerId)) return set;
    const { removed } = this.#nextOf(set);
    let next = removed.get(peerId);
    if (!next) removed.set(peerId, next = this.#shared([...set].filter((each) => each !== peerId)));
    return next;
  }

  #nextOf(set: ReadonlySet<string>): Next {
    let next = this.#next.get(set);
    if (!next) this.#next.set(set, next = { added: new Map(), removed: new Map() });
    return next;
  }

  #shared(names: string[]): ReadonlySet<string> {
    // A name is at most 128 characters without line breaks.
    const key = names.sort().join("\n");
    const known = this.#byNames.get(key);
    if (known) return known;
    if (this.#byNames.size >= MAX_SETS) {
      this.#byNames = new Map([["", this.none]]);
      this.#next = new WeakMap();
    }
    const set = new Set(names);
    this.#byNames.set(key, set);
    return set;
  }
}
