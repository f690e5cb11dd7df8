// How the web interface reports errors of the store and of operations: status, message, and hint come from fields,
// whatever a file name contains.

import assert from "node:assert/strict";
import { OperationError } from "../../app/operations.ts";
import { asStorageError, StorageError } from "../../storage/errors.ts";
import { possible, possibly } from "../../app/web_errors.ts";
import { NotPossible } from "../../web/view.ts";

const NAME = "a; b; c.txt";

/** Returns how the error is reported, after checking that the sync and async paths agree. */
async function told(error: unknown): Promise<unknown> {
  const fail = () => {
    throw error;
  };
  const outcomes = [
    await possibly(() => Promise.reject(error)).catch((other) => other),
    (() => {
      try {
        return possible(fail);
      } catch (other) {
        return other;
      }
    })(),
  ];
  const shown = outcomes.map((other) =>
    other instanceof NotPossible ? [other.status, other.message, other.hint] : other
  );
  assert.deepEqual(shown[0], shown[1]);
  return shown[0];
}

Deno.test("semicolons in a name do not confuse the message with the hint", async () => {
  const full = Object.assign(new Error("No space left"), { code: "ENOSPC" });
  assert.deepEqual(await told(asStorageError(full, `Cannot delete ${NAME}`)), [
    507,
    `Cannot delete ${NAME}: the disk is full`,
    "Free up disk space, or choose another folder with --dir",
  ]);
  assert.deepEqual(await told(new OperationError("not-found", `No ${NAME}`, { hint: "Look" })), [
    404,
    `No ${NAME}`,
    "Look",
  ]);
});

Deno.test("an error without its own hint gets a general one and keeps its full message", async () => {
  const general = "GET /api/v1/status shows the state of this peer";
  for (
    const [error, status] of [
      [new StorageError("io", `Cannot read ${NAME}`), 503],
      [new OperationError("not-possible", `Cannot read ${NAME}`), 409],
      [new Error(`Cannot read ${NAME}`), 409],
    ] as const
  ) {
    assert.deepEqual(await told(error), [status, `Cannot read ${NAME}`, general]);
  }
});

Deno.test("bugs and existing refusals pass through unchanged", async () => {
  const mistake = new TypeError("x is undefined; see above");
  assert.equal(await told(mistake), mistake);
  assert.deepEqual(await told(new NotPossible(415, "Coded; twice", "Send it plain")), [
    415,
    "Coded; twice",
    "Send it plain",
  ]);
});

Deno.test("at the prompt the message and the hint appear on one line", () => {
  const cause = new Error("why");
  const error = new StorageError("in-use", `${NAME} is in use`, { hint: "Stop it", cause });
  assert.equal(error.message, `${NAME} is in use. Stop it`);
  assert.deepEqual([error.what, error.hint, error.cause], [`${NAME} is in use`, "Stop it", cause]);
  assert.equal(new StorageError("io", "It broke").message, "It broke");
});
