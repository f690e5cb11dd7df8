// What peers do wrong, kept apart from our own bugs. PURE. A ProtocolError means that the other side broke the
// protocol; any other error thrown in `protocol/` is a bug in this program.

/** Why something from the network was refused. Refusals are counted under these codes. */
export type Reason =
  | "not-json"
  | "not-utf8"
  | "not-an-object"
  | "too-deep"
  | "too-long"
  | "too-many-values"
  | "unknown-type"
  | "bad-field"
  | "bad-entry"
  | "bad-hex"
  | "cut-short"
  | "too-slow"
  | "content-mismatch"
  | "bad-answer"
  | "wrong-claim"
  | "unusable-timestamp"
  | "starting"
  | "unwanted-push"
  | "push-rate"
  | "push-quota"
  | "too-large"
  | "no-space"
  | "not-stored"
  | "forged-delete"
  | "delete-rate"
  | "owner-conflict"
  | "name-conflict"
  | "own-name"
  | "forbidden-address"
  | "peer-limit"
  | "catalogue-limit"
  | "gossip-rate"
  | "reply-rate"
  | "too-many-connections"
  | "too-many-requests"
  | "dial-rate"
  | "unsolicited"
  | "announced-nothing"
  | "deleted";

/** A violation of the protocol by another peer. `reason` is for counting, the message for people. */
export class ProtocolError extends Error {
  /** Always "ProtocolError". */
  override readonly name = "ProtocolError";
  /** Creates an error that is counted under `reason`. */
  constructor(readonly reason: Reason, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
