// A temporary folder for each test, gone at its end, and what tests put into it and compare with it.

/** Gone, with all that is in it, when the test ends. */
export class Folder implements AsyncDisposable {
  private constructor(readonly path: string) {}

  static async make(): Promise<Folder> {
    return new Folder(await Deno.makeTempDir({ prefix: "p2p-peer-process-" }));
  }

  /** The path of something inside. */
  at(...names: string[]): string {
    return [this.path, ...names].join("/");
  }

  /** Makes a folder inside, and returns its path. */
  async folder(...names: string[]): Promise<string> {
    await Deno.mkdir(this.at(...names), { recursive: true });
    return this.at(...names);
  }

  /** Writes a file under another name first, so that it appears whole. */
  async write(path: string, content: Uint8Array | string): Promise<void> {
    const temporary = this.at(`.writing-${crypto.randomUUID()}`);
    if (typeof content === "string") await Deno.writeTextFile(temporary, content);
    else await Deno.writeFile(temporary, content);
    await Deno.rename(temporary, this.at(path));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** Bytes that differ from call to call and do not compress. */
export function randomBytes(sizeBytes: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; at += 65_536) {
    crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  }
  return bytes;
}

/** @throws Error that says where they differ; a dump of both would tell nobody anything */
export function assertSameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (actual.length !== expected.length) {
    throw new Error(`${what}: expected ${expected.length} bytes, received ${actual.length}`);
  }
  const at = actual.findIndex((byte, at) => byte !== expected[at]);
  if (at >= 0) throw new Error(`${what}: differs from byte ${at} on`);
}

const FIELD_STORE = new URL("../../../shared/fixtures/field_store/", import.meta.url);

/** The field store is read-only test data beside the repo; where it is not, its tests are ignored. */
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

/** Copies the field store into an existing folder, writable. */
export async function copyFieldStore(to: string): Promise<void> {
  for await (const { name } of Deno.readDir(FIELD_STORE)) {
    await Deno.writeFile(`${to}/${name}`, await fieldFile(name));
  }
}
