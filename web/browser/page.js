// @ts-check
// Assembles the page in the browser. The server rendered its first state; from here on, the peer's events keep it
// current (live.js). Each part draws its own piece and subscribes to the topics it needs.

import { startChart } from "./chart.js";
import { startDetails } from "./details.js";
import { startFigures } from "./figures.js";
import { startFiles } from "./files.js";
import { startKeys } from "./keys.js";
import { live, watch, when } from "./live.js";
import { startMap } from "./map.js";
import { startMatrix } from "./matrix.js";
import { startMoving } from "./moving.js";
import { startPeers } from "./peers.js";
import { place, startPlace } from "./place.js";
import { enter, startSession } from "./session.js";
import { startShare } from "./share.js";
import { startShell } from "./shell.js";

startSession();
await enter();
for (
  const start of [
    startFigures,
    startFiles,
    startMoving,
    startChart,
    startPeers,
    startMap,
    startMatrix,
    startDetails,
    startShare,
    startKeys,
    startShell,
    startPlace,
  ]
) start();
watch();

// The list of deleted files is loaded when somebody looks at it.
for (const topic of /** @type {const} */ (["place", "status"])) {
  when([topic], async () => {
    if (place.where !== "deleted") return;
    (await import("./deleted.js")).drawDeleted(topic === "place", live.status?.trash.files);
  });
}

addEventListener("hashchange", enter);
