// The systems that executables are built for, and what the executable of each is called. PURE.

/** A system that `deno compile --target` can build for. */
export interface Platform {
  /** As in the name of the executable. */
  readonly name: string;
  /** As in `Deno.build`. */
  readonly os: string;
  readonly arch: string;
}

/** Every platform, the most common first. */
export const PLATFORMS: readonly Platform[] = [
  { name: "linux-x86_64", os: "linux", arch: "x86_64" },
  { name: "linux-aarch64", os: "linux", arch: "aarch64" },
  { name: "macos-x86_64", os: "darwin", arch: "x86_64" },
  { name: "macos-aarch64", os: "darwin", arch: "aarch64" },
  { name: "windows-x86_64", os: "windows", arch: "x86_64" },
  { name: "windows-aarch64", os: "windows", arch: "aarch64" },
];

const VENDORS: Readonly<Record<string, string>> = {
  linux: "unknown-linux-gnu",
  darwin: "apple-darwin",
  windows: "pc-windows-msvc",
};

/** Returns the platform of a running program (`Deno.build`), if executables are built for it. */
export function platformOf({ os, arch }: Pick<Platform, "os" | "arch">): Platform | undefined {
  return PLATFORMS.find((each) => each.os === os && each.arch === arch);
}

/** Returns what `deno compile --target` calls a platform. */
export const targetOf = ({ os, arch }: Platform): string => `${arch}-${VENDORS[os]}`;

/** Returns the file name of a platform's executable. */
export const fileNameOf = ({ name, os }: Platform): string =>
  `p2p-peer-${name}${os === "windows" ? ".exe" : ""}`;

/** Length of the start of an executable that tells its platform, in bytes. */
export const MAGIC_BYTES = 4_096;

/**
 * Returns the name of the platform that an executable is for, judging by its first bytes (ELF, Mach-O and PE headers).
 * `deno compile` takes any runtime that `DENORT_BIN` names for any target.
 */
export function builtFor(start: Uint8Array): string | undefined {
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const at = (offset: number, bytes: 2 | 4) => {
    if (offset + bytes > start.length) return undefined;
    return bytes === 2 ? view.getUint16(offset, true) : view.getUint32(offset, true);
  };
  const named = (os: string, arch: string | undefined) =>
    PLATFORMS.find((each) => each.os === os && each.arch === arch)?.name;
  switch (at(0, 4)) {
    case 0x464c457f: // ELF, then e_machine
      return named("linux", { 0x3e: "x86_64", 0xb7: "aarch64" }[at(18, 2) ?? 0]);
    case 0xfeedfacf: // Mach-O of 64 bits, then cputype
      return named("darwin", { 0x1000007: "x86_64", 0x100000c: "aarch64" }[at(4, 4) ?? 0]);
  }
  if (at(0, 2) !== 0x5a4d) return undefined; // DOS, which points to PE and its machine
  const pe = at(0x3c, 4) ?? 0;
  if (at(pe, 4) !== 0x4550) return undefined;
  return named("windows", { 0x8664: "x86_64", 0xaa64: "aarch64" }[at(pe + 4, 2) ?? 0]);
}
