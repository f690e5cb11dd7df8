// Content that nobody here asked for: received, counted against the quota, verified, and offered to the state machine.
// Invariants: what is in flight counts against the quota; content that does not match its id is never offered.

import { ProtocolError } from "../protocol/wire/errors.ts";
import type { Timestamp } from "../protocol/wire/fileid.ts";
import type { FileRecord } from "../protocol/wire/message.ts";
import type { Connection } from "../net/connection.ts";
import type { Intake } from "../net/exchange.ts";
import type { Receipts } from "./receipts.ts";
import { stopBy } from "./sending.ts";
import type { Move } from "./transfer_log.ts";
import { type StoreIntake, type TransferOptions, verified } from "./transfer_options.ts";

/** Pushed content, counted against the quota while it arrives. */
export interface PushIntake extends Intake {
  /** The content in the store. */
  readonly intake: StoreIntake;
  /** Its entry in the transfer log. */
  readonly move: Move;
  /** Ends the counting: from here on the quota counts what is kept. */
  end(): void;
}

/** The pushes that arrive. */
export class Pushes {
  #inFlightBytes = 0;

  /** Starts without pushes. */
  constructor(readonly options: TransferOptions, readonly receipts: Receipts) {}

  /**
   * Starts receiving pushed content; `onMoved` is called with the number of bytes in each piece. Throws
   * `ProtocolError` if the store cannot receive it, as `write` does later.
   */
  begin(
    ip: string,
    fileId: string | undefined,
    onMoved: (bytes: number) => void,
    connection: Connection,
  ): PushIntake {
    const { store, limits, pushedBytes, transferLog } = this.options;
    const intake = refusing(() => store.intake());
    const beginning = { fileId: fileId ?? "", name: "", peer: ip, totalBytes: undefined };
    const move = transferLog.begin({ kind: "push", ...beginning });
    stopBy(move, connection);
    let counted = 0;
    const end = () => {
      this.#inFlightBytes -= counted;
      counted = 0;
    };
    return {
      intake,
      move,
      end,
      write: (content) => {
        if (pushedBytes() + this.#inFlightBytes + content.length > limits.pushQuotaBytes) {
          throw new ProtocolError("push-quota", "Push refused: --push-quota is used up");
        }
        counted += content.length;
        this.#inFlightBytes += content.length;
        refusing(() => intake.write(content));
        onMoved(content.length);
        move.moved(content.length);
      },
      abort: () => {
        end();
        move.failed("The push was refused or interrupted");
        intake.abort();
      },
    };
  }

  /**
   * Verifies pushed content that is complete, and asks the state machine whether to keep it. Throws `ProtocolError`
   * if it does not match its id.
   */
  finish(push: PushIntake, file: FileRecord, others: readonly Timestamp[], ip: string): void {
    const timestamp = verified(push.intake, file.fileId, [file.timestamp, ...others]);
    if (!timestamp) {
      push.abort();
      throw new ProtocolError(
        "content-mismatch",
        `Pushed bytes do not match the id ${file.fileId}`,
      );
    }
    push.end();
    push.move.fileId = file.fileId;
    push.move.name = file.name;
    push.move.done();
    this.options.dispatch({
      kind: "arrived",
      receipt: this.receipts.add(push.intake),
      held: { file: { ...file, timestamp }, sizeBytes: push.intake.sizeBytes },
      ip,
      beganMs: push.move.startedMs,
    });
  }
}

/** Turns a storage error into a refusal of the push, in the store's own words. */
function refusing<T>(act: () => T): T {
  try {
    return act();
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    const code = "code" in cause ? cause.code : undefined;
    const reason = code === "too-large" || code === "no-space" ? code : "not-stored";
    throw new ProtocolError(reason, cause.message, { cause });
  }
}
