// Types of the API's responses, inferred from the schemas that describe the API itself.

import type { InferOutput } from "valibot";
import type * as shapes from "../api/schemas.ts";

export type FileRow = InferOutput<typeof shapes.FileShape>;
export type PeerRow = InferOutput<typeof shapes.PeerShape>;
export type AwayRow = InferOutput<typeof shapes.AwayShape>;
export type TransferRow = InferOutput<typeof shapes.TransferShape>;
export type StatusRow = InferOutput<typeof shapes.StatusShape>;
export type SessionRow = InferOutput<typeof shapes.SessionShape>;
export type DeletedRow = InferOutput<typeof shapes.DeletedShape>["files"][number];
export type RisksRow = InferOutput<typeof shapes.RisksShape>;

/** How sending a file ended, in words. */
export interface Outcome {
  readonly kind: "shared" | "known" | "empty" | "cancelled" | "failed";
  readonly text: string;
}
