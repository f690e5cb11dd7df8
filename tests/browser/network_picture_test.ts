// The network pictures: the map with its table, and the replication picture. Canvas drawings are checked by their
// colors, and text by its words.

import { ok, strictEqual } from "node:assert/strict";
import type { Page } from "playwright-core";
import { browserTest, holds, standsStill } from "./chromium.ts";
import { DEADLINE_MS } from "../process/program.ts";
import { until } from "../until.ts";
import { filesOf, Served } from "./served.ts";
import { fileOf, peerOf, transferOf } from "../web/fixture.ts";
import type { ViewedFile } from "../../web/view.ts";

const soon = () => Date.now() / 1000;

/** Returns how many pixels of a canvas have roughly the color of a custom property. */
function pixels(page: Page, canvas: string, name: string): Promise<number> {
  return page.evaluate<number>(`(() => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = "var(--${name})";
    const [r, g, b] = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
    probe.remove();
    const canvas = document.querySelector("${canvas}");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4) {
      const isNear = Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 24;
      if (isNear && data[i + 3] > 200) count++;
    }
    return count;
  })()`);
}

/** Waits until a canvas has the wanted number of pixels of a color. */
async function untilPixels(
  page: Page,
  canvas: string,
  name: string,
  isWanted: (count: number) => boolean,
): Promise<void> {
  await until(
    `enough of ${name} on ${canvas}`,
    async () => isWanted(await pixels(page, canvas, name)),
    DEADLINE_MS,
  );
}

/** Waits until the map has settled: it looks the same twice in a row. */
async function settled(page: Page): Promise<void> {
  await holds(page, "document.querySelectorAll('#peer-rows tr').length > 0");
  await standsStill(page, "#map");
}

const fresh = (over: Parameters<typeof peerOf>[0]) => peerOf({ lastSeen: soon(), ...over });

browserTest(
  "the map draws each peer, fades quiet ones, and marks the bootstrap and where bytes flow",
  async (scene) => {
    const far = { lastSeen: soon() + 1_000 }; // stays fresh, so that nothing fades in the meantime
    const peers = [
      fresh({ peerId: "boot", ...far, bootstrap: true }),
      fresh({ peerId: "eagle", ...far }),
      fresh({ peerId: "hawk", ...far }),
    ];
    await using served = Served.start({ files: filesOf(3), peers: [...peers] });
    const page = await scene.open(served.base);
    await settled(page);
    const alive = await pixels(page, "#map", "good");
    const accent = await pixels(page, "#map", "accent");
    const ringed = await pixels(page, "#map", "text");
    ok(alive > 100, `${alive} pixels of three peers that are alive`);
    ok(accent > 300, `${accent} of this one in the middle`);
    served.tellTransfers([transferOf({ id: 1, peer: "hawk", doneBytes: 5, totalBytes: 10 })]);
    await untilPixels(page, "#map", "accent", (count) => count > accent + 100);
    served.tellTransfers([transferOf({ id: 1, peer: "hawk", state: "done", endedAt: soon() })]);
    // No longer the bootstrap: its ring and label are gone.
    served.tellPeers([{ ...peers[0]!, bootstrap: false }]);
    await untilPixels(page, "#map", "text", (count) => count <= ringed - 40);
    // Silent for long: all its pixels have changed.
    served.tellPeers(peers.map((peer) => ({ ...peer, bootstrap: false, lastSeen: soon() - 50 })));
    await untilPixels(page, "#map", "good", (count) => count === 0);
    await page.getByText(/quiet, 5\d s ago/).first().waitFor();
    served.tellPeers([], ["hawk"]);
    await page.locator("#peer-rows .away-row", { hasText: "hawk" }).waitFor();
    await page.locator("#peer-rows tr:not(.away-row)", { hasText: "hawk" }).waitFor({
      state: "detached",
    });
  },
);

browserTest(
  "the map's tooltip and the table show a peer's details",
  async (scene) => {
    const name = "<b>eagle</b>";
    const peer = fresh({
      peerId: name,
      refused: 3,
      extended: false,
      files: 4,
      backedOff: { seconds: 60, why: "sent <i>rubbish</i>" },
    });
    const refusedByPeer = [{ peer: name, reasons: { "not-json": 2, "bad-field": 1 } }];
    await using served = Served.start({
      files: filesOf(3),
      peers: [peer],
      status: { refusedByPeer },
    });
    const page = await scene.open(served.base);
    await settled(page);
    const row = page.locator("#peer-rows tr");
    await row.getByText("avoided for 60 s: it sent <i>rubbish</i>").waitFor();
    await row.getByText("older").waitFor();
    strictEqual(await row.locator(".refused").innerText(), "3 refused");
    strictEqual(
      await row.locator(".refused").getAttribute("title"),
      "Refused: 2 not-json, 1 bad-field",
    );
    const box = (await page.locator("#map").boundingBox())!;
    const tip = page.locator("#map-tip:not([hidden])");
    for (let step = 0; await tip.count() === 0; step++) {
      ok(step < 400, "the peer is nowhere under the pointer");
      await page.mouse.move(
        box.x + step % 20 * box.width / 20,
        box.y + Math.floor(step / 20) * box.height / 20,
      );
    }
    const text = await tip.innerText();
    for (
      const words of [
        name,
        "10.0.0.7:8115",
        "holds 4 files",
        "avoided: it sent <i>rubbish</i>",
        "Refused: 2 not-json",
      ]
    ) {
      ok(text.includes(words), `${words} in ${text}`);
    }
  },
);

const held = (name: string, ...holders: string[]): ViewedFile => ({
  file: fileOf({ name }),
  held: holders.includes("us"),
  holders,
});

browserTest(
  "the replication picture has a row for each peer, and a file at risk stands out in color and words",
  async (scene) => {
    const safe = [held("a", "us", "eagle"), held("b", "us", "hawk", "eagle")];
    await using served = Served.start({
      files: [...safe],
      peers: [fresh({ peerId: "eagle" }), fresh({ peerId: "hawk" })],
    });
    const page = await scene.open(served.base);
    await page.getByText("Every file has at least two holders.").waitFor();
    await untilPixels(page, "#matrix", "good", (count) => count >= 200);
    strictEqual(await pixels(page, "#matrix", "risk"), 0);
    served.tellFiles([held("c", "hawk"), held("d")]);
    await page.getByText("1 file with one holder").waitFor();
    await page.getByText("1 file nobody has anymore").waitFor();
    await untilPixels(page, "#matrix", "risk", (count) => count >= 50);
    await page.getByRole("button", { name: "Show files at risk" }).click();
    await holds(page, "document.querySelectorAll('#file-rows .row').length === 2");
  },
);

browserTest(
  "with many peers, the replication picture keeps those that are a file's only holder",
  async (scene) => {
    const peers = Array.from(
      { length: 60 },
      (_, i) => fresh({ peerId: `peer ${i}`, files: i === 59 ? 1 : 50 }),
    );
    const files = [
      held("only.txt", "peer 59"),
      ...Array.from({ length: 20 }, (_, i) => held(`${i}`, "peer 1", "peer 2")),
    ];
    await using served = Served.start({ files, peers });
    const page = await scene.open(served.base);
    await untilPixels(page, "#matrix", "risk", (count) => count >= 50);
  },
);

browserTest(
  "bytes travel along their edge, but not if the user prefers reduced motion",
  async (scene) => {
    const transfers = [transferOf({ id: 1, peer: "hawk", doneBytes: 5, totalBytes: 10 })];
    const peers = [fresh({ peerId: "hawk", lastSeen: soon() + 1_000 })];
    await using served = Served.start({ files: filesOf(3), peers, transfers });
    const differs = async (motion: boolean) => {
      const page = await scene.open(served.base, { motion });
      await page.locator("#peer-rows tr").waitFor();
      await page.locator("#map").scrollIntoViewIfNeeded();
      const looks = await page.evaluate<string[]>(`new Promise((done) => {
      const looks = [];
      const look = () => {
        looks.push(document.querySelector("#map").toDataURL());
        if (looks.length < 60) setTimeout(look, 50);
        else done(looks.slice(30));
      };
      look();
    })`);
      return new Set(looks).size;
    };
    ok(await differs(true) > 4, "the dots move between looks");
    ok(await differs(false) <= 2, "the dots stand still");
  },
);
