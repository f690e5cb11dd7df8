// The two sides' mistakes, apart. PURE. A ProtocolError says what *they* sent wrong; anything else that is
// thrown in `protocol/` is a mistake of ours.

/** Why something from the network was refused; counted by this word. */
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
  | "unusable-timestamp"
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

/** A peer broke a rule. `reason` is for counting, the message for people. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  constructor(readonly reason: Reason, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
