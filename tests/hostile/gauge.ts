// The resource use of a running process, measured from outside.

/** Returns the resident memory, in MiB. */
export async function memoryMib(pid: number): Promise<number> {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(await shown("cat", `/proc/${pid}/status`));
  if (!match) throw new Error(`Cannot read the memory of process ${pid}`);
  return Number(match[1]) / 1024;
}

/** Returns the number of open file descriptors. */
export async function descriptors(pid: number): Promise<number> {
  return (await shown("ls", `/proc/${pid}/fd`)).split("\n").filter((line) => line !== "").length;
}

/** Runs a command, because reading /proc from Deno itself would require all permissions. */
async function shown(command: string, ...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(command, { args, stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}
