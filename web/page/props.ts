// What the parts of the status page are rendered from.

import type { Query } from "../api/listing.ts";
import type { FilePage } from "../file_lists.ts";
import type { View, ViewedFile } from "../view.ts";

/** `now` is Unix time in seconds; `query` is the search of a browser without JavaScript. */
export interface Props {
  readonly view: View;
  readonly query: Query;
  /** The files that it found. */
  readonly page: FilePage<ViewedFile>;
  readonly now: number;
}
