// Entry point: takes the command line, returns an exit code. A user error prints one line that says how to fix it.

import { parseArguments, type Parsed } from "./cli/arguments.ts";
import { UsageError } from "./cli/values.ts";
import { StorageError } from "./storage/errors.ts";

/** Resolves to the exit code: 0 stopped, 1 unexpected, 2 usage or configuration, 7 storage, 130 interrupted. */
async function main(args: readonly string[]): Promise<number> {
  try {
    return await carryOut(parseArguments(args, {
      env: (name) => Deno.env.get(name),
      readFile: (path) => Deno.readTextFileSync(path),
      hostname: () => Deno.hostname(),
      envNames: () => Object.keys(Deno.env.toObject()),
    }));
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`p2p-peer: ${error.message}`);
      return 2;
    }
    if (error instanceof StorageError) {
      console.error(`p2p-peer: ${error.message}`);
      return error.code === "in-use" ? 2 : 7;
    }
    console.error("p2p-peer: unexpected error, please report it:", error);
    return 1;
  }
}

async function carryOut(parsed: Parsed): Promise<number> {
  // Only an update starts another program: the new one, to see whether it starts. Nothing else may.
  if (parsed.command !== "update") Deno.permissions.revokeSync({ name: "run" });
  switch (parsed.command) {
    // Loaded when they are needed: a question to a running peer is answered in two thirds of the time without the peer's own code.
    case "run":
      return await (await import("./app/run.ts")).runPeer(parsed.config);
    case "dummy":
      return await (await import("./app/dummy.ts")).runDummy(parsed.config);
    case "dev":
      return await (await import("./app/dummy.ts")).runDev(parsed.config);
    case "doctor":
      return await (await import("./app/doctor.ts")).runDoctor(parsed.config, parsed.isJson);
    case "update":
      return await (await import("./client/updating.ts")).runUpdate(parsed.update);
    case "shell":
      return await (await import("./client/shell.ts")).runShell(parsed.shell);
    case "show":
      console.log(parsed.text.trimEnd());
      return 0;
    default:
      return parsed satisfies never;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
