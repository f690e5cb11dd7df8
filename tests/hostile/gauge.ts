// What a running process uses, read off the system from outside.

/** Resident memory in MiB. */
export async function memoryMib(pid: number): Promise<number> {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(await shown("cat", `/proc/${pid}/status`));
  if (!match) throw new Error(`Cannot read the memory of process ${pid}`);
  return Number(match[1]) / 1024;
}

/** Open descriptors. */
export async function descriptors(pid: number): Promise<number> {
  return (await shown("ls", `/proc/${pid}/fd`)).split("\n").filter((line) => line !== "").length;
}

/** Reading /proc from Deno itself would need all permissions there are. */
async function shown(command: string, ...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(command, { args, stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}
