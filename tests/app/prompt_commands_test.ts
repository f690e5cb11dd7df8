// What the prompt does with several files at once.

import { deepStrictEqual, rejects } from "node:assert/strict";
import { commandsOf } from "../../app/prompt_commands.ts";
import type { Gets } from "../../app/gets.ts";
import type { Service } from "../../app/service.ts";
import type { CommandError } from "../../cli/failures.ts";
import { StorageError } from "../../storage/errors.ts";

/** Returns the commands of a peer with these files of ours, some of which cannot be deleted. */
function commands(broken: readonly string[]) {
  const deleted: string[] = [];
  const service = {
    options: { peerId: "us" },
    store: {},
    node: {},
    operations: {
      find: (name: string) => ({ file: { fileId: name, name, owner: "us" }, holders: new Set() }),
      delete: (fileId: string) => {
        if (broken.includes(fileId)) {
          throw new StorageError("io", `The disk does not let go of ${fileId}`);
        }
        deleted.push(fileId);
        return "everywhere";
      },
      toldOfDeletion: () => Promise.resolve({ reached: 2, left: 0, slow: 0, slowMs: 0 }),
    },
  };
  const rest = {
    logLevel: () => "INFO",
    setLogLevel: () => Promise.resolve(),
    exit() {},
    login: () => "",
    qr: () => Promise.resolve(""),
  };
  const { delete: remove } = commandsOf(service as unknown as Service, rest, {} as Gets);
  return { deleted, remove: (...names: string[]) => remove(names, undefined) };
}

Deno.test("of several files to delete, one that fails keeps none of the others, and each is named", async () => {
  const { deleted, remove } = commands(["b"]);
  await rejects(remove("a", "b", "c"), (error: CommandError) => {
    deepStrictEqual(error.kind, "partly");
    deepStrictEqual(error.message.split("\n"), [
      'Deleted 2 files: 2 peers notified. "restore" brings them back within 24 hours',
      "Not deleted: b: The disk does not let go of b",
    ]);
    return true;
  });
  deepStrictEqual(deleted, ["a", "c"]);
  await rejects(commands(["a", "b"]).remove("a", "b"), { kind: "storage" });
  await rejects(commands(["a"]).remove("a"), /does not let go of a/);
  deepStrictEqual((await commands([]).remove("a", "b")).everywhere, ["a", "b"]);
});
