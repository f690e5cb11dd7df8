// A temporary folder for each test, deleted when the test ends, and helpers to fill it and compare its contents.

/** A temporary folder, deleted with its contents on disposal. */
export class Folder implements AsyncDisposable {
  private constructor(readonly path: string) {}

  static async make(): Promise<Folder> {
    return new Folder(await Deno.makeTempDir({ prefix: "p2p-peer-process-" }));
  }

  /** Returns the path of an entry in this folder. */
  at(...names: string[]): string {
    return [this.path, ...names].join("/");
  }

  /** Resolves to the names of what is in it, sorted. */
  async names(): Promise<string[]> {
    return (await Array.fromAsync(Deno.readDir(this.path))).map(({ name }) => name).sort();
  }

  /** Creates a subfolder and returns its path. */
  async folder(...names: string[]): Promise<string> {
    await Deno.mkdir(this.at(...names), { recursive: true });
    return this.at(...names);
  }

  /** Writes a file under a temporary name and renames it, so that it appears complete. */
  async write(path: string, content: Uint8Array | string): Promise<void> {
    const temporary = this.at(`.writing-${crypto.randomUUID()}`);
    if (typeof content === "string") await Deno.writeTextFile(temporary, content);
    else await Deno.writeFile(temporary, content);
    await Deno.rename(temporary, this.at(path));
  }

  /**
   * Flips one bit of a file's content, as a failing disk does: the times stay, and no watcher of
   * its folder notices, because the file is written through a second link.
   */
  async rot(path: string, position: number): Promise<void> {
    const link = this.at(`.rotting-${crypto.randomUUID()}`);
    await Deno.link(path, link);
    const { atime, mtime } = await Deno.stat(link);
    {
      using file = await Deno.open(link, { read: true, write: true });
      const byte = new Uint8Array(1);
      await file.seek(position, Deno.SeekMode.Start);
      await file.read(byte);
      await file.seek(position, Deno.SeekMode.Start);
      await file.write(byte.map((bits) => bits ^ 1));
      await file.utime(atime!, mtime!);
    }
    await Deno.remove(link);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** Returns random bytes: different on each call, and incompressible. */
export function randomBytes(sizeBytes: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; at += 65_536) {
    crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  }
  return bytes;
}

/** @throws Error that says where the two differ; dumping both would not help anyone */
export function assertSameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (actual.length !== expected.length) {
    throw new Error(`${what}: expected ${expected.length} bytes, received ${actual.length}`);
  }
  const at = actual.findIndex((byte, at) => byte !== expected[at]);
  if (at >= 0) throw new Error(`${what}: differs starting at byte ${at}`);
}

const FIELD_STORE = new URL("../../../shared/fixtures/field_store/", import.meta.url);

/** The field store is read-only test data next to the repository. Tests that need it are ignored if it is missing. */
export function hasFieldStore(): boolean {
  try {
    return Deno.statSync(FIELD_STORE).isDirectory;
  } catch {
    return false;
  }
}

export function fieldFile(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return Deno.readFile(new URL(name, FIELD_STORE));
}

/** Copies the field store into an existing folder and makes the copies writable. */
export async function copyFieldStore(to: string): Promise<void> {
  for await (const { name } of Deno.readDir(FIELD_STORE)) {
    await Deno.writeFile(`${to}/${name}`, await fieldFile(name));
  }
}
