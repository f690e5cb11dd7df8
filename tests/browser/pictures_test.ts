// Screenshots of the page for the README and docs, with a fake network of twelve peers. P2P_UPDATE_DOCS=1 writes them
// to docs/screens; otherwise they are only taken, to check that the page renders.

import { ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { browserTest, holds, standsStill } from "./chromium.ts";
import { Served } from "./served.ts";
import { fileOf, peerOf, STATUS, transferOf } from "../web/fixture.ts";
import { statusJson } from "../../web/api/listing.ts";
import type { ViewedFile, ViewedStatus } from "../../web/view.ts";

const PEERS = [
  "eagle",
  "hawk",
  "grebe",
  "silicon",
  "osprey",
  "heron",
  "merlin",
  "kestrel",
  "plover",
  "avocet",
  "teal",
];
const TITLES = [
  ["lecture-notes", "pdf"],
  ["thesis-draft", "tex"],
  ["survey-results", "csv"],
  ["field-recordings", "tar.gz"],
  ["poster", "png"],
  ["mesh-study", "ipynb"],
  ["cluster-run", "h5"],
  ["meeting-minutes", "txt"],
  ["microscope-stack", "zip"],
  ["talk", "mp4"],
] as const;
const COUNT = 200;

/** Deterministic: a few files are at risk, most are safe. */
function files(nowSeconds: number): ViewedFile[] {
  return Array.from({ length: COUNT }, (_, i) => {
    const [title, ending] = TITLES[i * 7 % TITLES.length]!;
    const held = i % 5 < 3;
    const count = i % 17 === 3 ? (held ? 0 : 1) : 1 + (i * i + 3) % 5;
    const others = Array.from({ length: count }, (_, k) => PEERS[(i * 5 + k * 3) % PEERS.length]!);
    const names = [...new Set(others)];
    return {
      file: fileOf({
        name: `${title}-${2026 - i % 4}-${String(i % 97).padStart(2, "0")}.${ending}`,
        owner: i % 6 === 0 ? "kashifm" : PEERS[i * 5 % PEERS.length]!,
        sizeBytes: Math.round(3_000 * 1.09 ** (i * 37 % 130)),
        timestamp: { text: String(Math.round(nowSeconds - 40 * 1.075 ** i)), quoted: false },
      }),
      knownSince: nowSeconds - 40 * 1.07 ** i,
      held,
      holders: held ? ["kashifm", ...names] : names,
    };
  });
}

const MB = 1_000_000;

function transfers(nowSeconds: number) {
  return [
    transferOf({
      id: 1,
      fileId: fileOf({ name: "talk-2023-14.mp4" }).fileId,
      name: "talk-2023-14.mp4",
      peer: "teal",
      state: "failed",
      why: "teal sent bytes that do not match, and nobody else has it",
      endedAt: nowSeconds - 95,
    }),
    transferOf({
      id: 2,
      fileId: fileOf({ name: "poster-2026-40.png" }).fileId,
      name: "poster-2026-40.png",
      peer: "hawk",
      doneBytes: 4.2 * MB,
      totalBytes: 4.2 * MB,
      seconds: 0.4,
      state: "done",
      endedAt: nowSeconds - 12,
    }),
    transferOf({
      id: 3,
      kind: "serve",
      direction: "out",
      fileId: fileOf({ name: "microscope-stack-2025-21.zip" }).fileId,
      name: "microscope-stack-2025-21.zip",
      peer: "grebe",
      doneBytes: 210 * MB,
      totalBytes: 640 * MB,
      seconds: 20,
    }),
    transferOf({
      id: 4,
      fileId: fileOf({ name: "cluster-run-2026-08.h5" }).fileId,
      name: "cluster-run-2026-08.h5",
      peer: "eagle",
      doneBytes: 1_240 * MB,
      totalBytes: 1_800 * MB,
      seconds: 14,
    }),
  ];
}

async function settled(page: Page, served: Served, status: ViewedStatus): Promise<void> {
  await page.waitForSelector("body.may-change");
  await page.locator(".notice .quiet").click(); // logged in
  const bytes = { ...status.bytes };
  for (let second = 1; second <= 180; second++) {
    bytes.in += Math.round((60 + 45 * Math.sin(second / 9) + 12 * Math.sin(second / 2)) * MB);
    bytes.out += Math.round((26 + 18 * Math.sin(second / 13 + 2)) * MB);
    served.tell(
      "status",
      statusJson({
        ...status,
        now: Date.now() / 1000,
        bytes: { ...bytes },
        uptimeSeconds: status.uptimeSeconds + second,
      }),
    );
  }
  await holds(
    page,
    "document.querySelector('#chart').clientWidth === 0 || document.querySelector('#chart canvas') !== null",
  );
  await holds(page, `document.querySelector("#uptime").textContent.startsWith("up 3 h")`);
  await holds(page, "document.querySelector('#file-rows .row') !== null");
  await standsStill(page, "#map");
}

browserTest("pictures: light, dark, and phone", async (scene) => {
  const now = Date.now() / 1000;
  const status = {
    ...STATUS,
    peerId: "kashifm",
    host: "10.20.4.15",
    version: "0.1.0",
    now,
    uptimeSeconds: 3 * 3600,
    peers: PEERS.length,
    files: { known: COUNT, held: 120, heldBytes: 64_000 * MB },
    freeBytes: 212_000 * MB,
    bytes: { in: 8_000 * MB, out: 5_000 * MB },
  };
  const peers = PEERS.map((peerId, i) =>
    peerOf({
      peerId,
      host: `10.20.4.${21 + i * 3}`,
      lastSeen: now - (i === 9 ? 49 : i * 2 % 9),
      bootstrap: i === 0,
      extended: i % 3 !== 1,
      files: 20 + i * 13 % 50,
      refused: i === 10 ? 3 : 0,
      backedOff: i === 10 ? { seconds: 170, why: "sent bytes that do not match" } : undefined,
    })
  );
  await using served = Served.start({
    status,
    peers,
    files: files(now),
    transfers: transfers(now),
  });
  served.isTicking = false; // this test sends each second's status itself
  const isWanted = Deno.env.get("P2P_UPDATE_DOCS") === "1";
  const folder = isWanted
    ? fileURLToPath(new URL("../../docs/screens/", import.meta.url))
    : `${await Deno.makeTempDir({ prefix: "p2p-peer-screens-" })}/`;
  try {
    await Deno.mkdir(folder, { recursive: true });
    for (
      const [name, scheme, width, height] of [
        ["light", "light", 1440, 900],
        ["dark", "dark", 1440, 900],
        ["phone", "light", 360, 740],
        ["phone-dark", "dark", 360, 740],
      ] as const
    ) {
      const page = await scene.open(served.link, { scheme, width, height });
      if (width === 360) {
        await page.getByRole("navigation").getByRole("button", { name: "Network" }).click();
      }
      await settled(page, served, status);
      if (name === "phone") {
        await page.getByRole("navigation").getByRole("button", { name: "Files" }).click();
      }
      const path = `${folder}${name}.png`;
      await page.screenshot({ path, fullPage: width > 360 });
      ok((await Deno.stat(path)).size > 20_000, `${name} is drawn`);
    }
  } finally {
    if (!isWanted) await Deno.remove(folder, { recursive: true });
  }
});
