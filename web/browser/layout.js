// @ts-check
// Where each peer of the map is: pushed apart by d3-force around this peer, then fitted into the picture. It settles
// and stops; a peer that comes or goes lets it settle anew from where everything is.

import { forceCollide, forceManyBody, forceRadial, forceSimulation } from "d3-force";

/**
 * `x` and `y` are the layout's own, `px` and `py` pixels of the picture.
 * @typedef {{ id: string, radius: number, x: number, y: number, vx: number, vy: number, px: number, py: number }} Spot
 */

/** Peers stand in a ring around the middle, wider the more there are. @param {number} count */
const ringOf = (count) => 90 + 5 * Math.sqrt(count) * Math.sqrt(count / 20);
/** Room around the picture, for names. */
const MARGIN_PX = 40;
/** It is not blown up beyond this. */
const MAX_SCALE = 1.4;

/** @type {Map<string, Spot>} */
let spots = new Map();
const simulation = /** @type {import("d3-force").Simulation<Spot, undefined>} */ (forceSimulation())
  .stop();

export const layout = {
  centre: { x: 0, y: 0 },
  /** @type {readonly Spot[]} */
  spots: [],

  /** Who is on the map from now on. @param {readonly { id: string, radius: number }[]} peers */
  set(peers) {
    const isSame = peers.length === spots.size && peers.every(({ id }) => spots.has(id));
    const next = new Map();
    for (const { id, radius } of peers) {
      const spot = spots.get(id) ?? fresh(id, radius);
      spot.radius = radius;
      next.set(id, spot);
    }
    spots = next;
    layout.spots = [...next.values()];
    if (isSame) return;
    const ring = ringOf(peers.length);
    simulation.nodes([...layout.spots])
      .force("apart", forceManyBody().strength(-60).distanceMax(200))
      // Many fill the whole picture, few stand in a ring.
      .force("ring", forceRadial(ring).strength(peers.length > 60 ? 0.02 : 0.15))
      .force(
        "room",
        /** @type {any} */ (forceCollide((/** @type {Spot} */ spot) => spot.radius + 12)),
      )
      .alpha(0.8);
  },

  get isSettled() {
    return simulation.alpha() < simulation.alphaMin();
  },

  /** One step; false when it has settled. */
  step() {
    if (layout.isSettled) return false;
    simulation.tick();
    return true;
  },

  /** @param {number} width @param {number} height In pixels */
  fit(width, height) {
    let across = 1;
    let down = 1;
    for (const { x, y } of layout.spots) {
      across = Math.max(across, Math.abs(x));
      down = Math.max(down, Math.abs(y));
    }
    // Each direction by itself: the picture is wider than high, and no distance in it means anything.
    const scaleX = Math.min(MAX_SCALE, (width / 2 - MARGIN_PX) / across);
    const scaleY = Math.min(MAX_SCALE, (height / 2 - MARGIN_PX * 0.75) / down);
    layout.centre = { x: width / 2, y: height / 2 - 6 };
    for (const spot of layout.spots) {
      spot.px = layout.centre.x + spot.x * scaleX;
      spot.py = layout.centre.y + spot.y * scaleY;
    }
  },

  /** @param {number} x @param {number} y @param {number} within */
  nearest(x, y, within) {
    let best;
    let bestDistance = within;
    for (const spot of layout.spots) {
      const distance = Math.hypot(spot.px - x, spot.py - y);
      if (distance < bestDistance) [best, bestDistance] = [spot, distance];
    }
    return best;
  },
};

/** The same peer begins at the same place each time, by its name. @param {string} id @param {number} radius @returns {Spot} */
function fresh(id, radius) {
  let hash = 0;
  for (const sign of id) hash = (hash * 31 + (sign.codePointAt(0) ?? 0)) % 3600;
  const angle = hash / 3600 * 2 * Math.PI;
  const ring = 100;
  return {
    id,
    radius,
    x: ring * Math.cos(angle),
    y: ring * Math.sin(angle),
    vx: 0,
    vy: 0,
    px: 0,
    py: 0,
  };
}
