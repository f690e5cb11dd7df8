// How a dummy peer misbehaves on request, and its sample files. For trying things out, and for tests.

import type { sendFile } from "../net/exchange.ts";
import { fileDataEdges } from "../protocol/wire/message.ts";
import type { Misbehaviour } from "./arguments.ts";

type SendFile = typeof sendFile;

/** Pause after each byte of content that a slow dummy sends, in milliseconds. */
const SLOW_MS = 500;

/** Returns a function that sends a file in a misbehaving way; `honest` is the correct one. */
export function misbehavingSend(how: Misbehaviour, honest: SendFile): SendFile {
  return async (connection, file, reader, ext, idleMs, onProgress) => {
    const { before } = fileDataEdges(file, ext);
    const text = new TextEncoder();
    switch (how) {
      case "slow":
        await connection.write(before, idleMs);
        while (!connection.closed) {
          await connection.write(text.encode("00"), idleMs);
          await new Promise((go) => setTimeout(go, SLOW_MS));
        }
        return;
      case "truncate":
        await connection.write(before, idleMs);
        await connection.write(text.encode("00".repeat(reader.sizeBytes >> 1)), idleMs);
        return connection.close();
      case "corrupt": {
        let isFirst = true;
        const corrupted = {
          sizeBytes: reader.sizeBytes,
          readInto(buffer: Uint8Array) {
            const read = reader.readInto(buffer);
            if (isFirst && read > 0) buffer[0]! ^= 1;
            isFirst = false;
            return read;
          },
          close: () => reader.close(),
        };
        return await honest(connection, file, corrupted, ext, idleMs, onProgress);
      }
      case "silent":
        return await connection.linger(3_600_000);
      case "garbage":
        await connection.write(text.encode('}{"type":"FILE_DATA","data":"zz'), idleMs);
        return await connection.closeWrite();
      default:
        how satisfies never;
    }
  };
}

/** A file that a dummy shares. */
export interface Sample {
  readonly name: string;
  readonly content: Uint8Array<ArrayBuffer>;
}

/** Returns a few files of different kinds and sizes, the same in every run. */
export function sampleFiles(): Sample[] {
  const text = new TextEncoder();
  const noise = new Uint8Array(3 * 1024 * 1024);
  // xorshift32: content that does not repeat but is the same every time.
  let x = 2463534242;
  for (let i = 0; i < noise.length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    noise[i] = x & 255;
  }
  return [
    {
      name: "welcome.txt",
      content: text.encode("This file came over the lab's protocol, verified.\n"),
    },
    {
      name: "circle.svg",
      content: text.encode(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"><circle cx="5" cy="5" r="4"/></svg>\n',
      ),
    },
    { name: "noise.bin", content: noise },
  ];
}
