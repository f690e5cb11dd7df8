// Whoever types a search asks again with each key, and only the last answer is worth the work. A request that names its view
// of the list ends the previous one of the same view. (That the client has left shows only when the answer is written.)

/** Thrown to the work of a request that a newer one has replaced. */
export class Replaced extends Error {
  override readonly name = "Replaced";
}

/** What a client may call a view. */
const VIEW = /^[\w-]{1,64}$/;

export class Newest {
  /** The requests that are being answered, by address and view. */
  readonly #running = new Map<string, AbortController>();

  /**
   * Runs `work` with a signal that is aborted, for the reason `Replaced`, once the same client begins another request
   * for the same view. Resolves to its result, or throws what it throws. A view that is no name is no view.
   */
  async run<T>(
    client: string,
    view: string | undefined,
    work: (signal: AbortSignal | undefined) => Promise<T>,
  ): Promise<T> {
    if (view === undefined || !VIEW.test(view)) return await work(undefined);
    const key = `${client} ${view}`;
    this.#running.get(key)?.abort(new Replaced());
    const abort = new AbortController();
    this.#running.set(key, abort);
    try {
      return await work(abort.signal);
    } finally {
      if (this.#running.get(key) === abort) this.#running.delete(key);
    }
  }
}
