// Entry point: takes the command line, returns an exit code. A user error prints one line that says how to fix it.

import { parseArguments, type Parsed } from "./cli/arguments.ts";
import { UsageError } from "./cli/values.ts";
import { runDev, runDummy } from "./app/dummy.ts";
import { runPeer } from "./app/run.ts";
import { StorageError } from "./storage/errors.ts";

/** Resolves to the exit code: 0 stopped, 1 unexpected, 2 usage or configuration, 7 storage, 130 interrupted. */
async function main(args: readonly string[]): Promise<number> {
  try {
    return await carryOut(parseArguments(args, {
      env: (name) => Deno.env.get(name),
      readFile: (path) => Deno.readTextFileSync(path),
      hostname: () => Deno.hostname(),
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
  switch (parsed.command) {
    case "run":
      return await runPeer(parsed.config);
    case "dummy":
      return await runDummy(parsed.config);
    case "dev":
      return await runDev(parsed.config);
    case "show":
      console.log(parsed.text.trimEnd());
      return 0;
    default:
      return parsed satisfies never;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
