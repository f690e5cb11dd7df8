// What the parts of the status page are rendered from.

import type { Query } from "../api/listing.ts";
import type { View } from "../view.ts";

/** `now` is Unix time in seconds; `query` is the search of a browser without JavaScript. */
export interface Props {
  readonly view: View;
  readonly query: Query;
  readonly now: number;
}
