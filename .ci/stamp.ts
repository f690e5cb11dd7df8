// Writes the commit and its date into the bundled script, for `--version`. Does nothing outside a git repository.
// Usage: deno run --allow-run=git --allow-read=. --allow-write=p2p-peer.js .ci/stamp.ts

const SCRIPT = "p2p-peer.js";

async function git(...args: string[]): Promise<string | undefined> {
  try {
    const { success, stdout } = await new Deno.Command("git", { args, stderr: "null" }).output();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch {
    return undefined; // there is no git
  }
}

const commit = await git("rev-parse", "--short=12", "HEAD");
const date = await git("log", "-1", "--format=%cs");
const changes = await git("status", "--porcelain", "--untracked-files=no");
if (commit !== undefined && date !== undefined) {
  const stamp = `commit ${commit}${changes === "" ? "" : ", changed"}, ${date}`;
  const text = await Deno.readTextFile(SCRIPT);
  const stamped = text.replace("@@STAMP@@", stamp);
  if (stamped === text) throw new Error(`There is no place for the stamp in ${SCRIPT}`);
  await Deno.writeTextFile(SCRIPT, stamped);
  console.log(`${SCRIPT}: ${stamp}`);
}
