// @ts-check
// Assembles the page in the browser. The server rendered its first state; from here on, the peer's events keep it
// current (live.js). Each part draws its own piece and subscribes to the topics it needs.

import { startChart } from "./chart.js";
import { startDeleted } from "./deleted.js";
import { startDetails } from "./details.js";
import { startFigures } from "./figures.js";
import { startFiles } from "./files.js";
import { startKeys } from "./keys.js";
import { watch } from "./live.js";
import { startMap } from "./map.js";
import { startMatrix } from "./matrix.js";
import { startMoving } from "./moving.js";
import { startPeers } from "./peers.js";
import { startPlace } from "./place.js";
import { enter, startSession } from "./session.js";
import { startShare } from "./share.js";
import { startShell } from "./shell.js";

startSession();
await enter();
for (
  const start of [
    startFigures,
    startFiles,
    startDeleted,
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

addEventListener("hashchange", enter);
