// @ts-check
// Positions the peers on the map: d3-force pushes them apart around this peer, then they are scaled to fit the picture.
// The simulation settles and stops; when a peer joins or leaves, it resumes from the current positions.

import { forceCollide, forceManyBody, forceRadial, forceSimulation } from "d3-force";

/**
 * `x` and `y` are simulation coordinates; `px` and `py` are pixels in the picture.
 * @typedef {{ id: string, radius: number, x: number, y: number, vx: number, vy: number, px: number, py: number }} Spot
 */

/** Returns the radius of the ring of peers, which grows with their number. @param {number} count */
const ringOf = (count) => 90 + 5 * Math.sqrt(count) * Math.sqrt(count / 20);
/** Margin around the picture for names, in pixels. */
const MARGIN_PX = 40;
/** Maximum magnification. */
const MAX_SCALE = 1.4;

/** @type {Map<string, Spot>} */
let spots = new Map();
const simulation = /** @type {import("d3-force").Simulation<Spot, undefined>} */ (forceSimulation())
  .stop();

export const layout = {
  centre: { x: 0, y: 0 },
  /** @type {readonly Spot[]} */
  spots: [],

  /** Sets the peers on the map. @param {readonly { id: string, radius: number }[]} peers */
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
      // Many peers fill the whole picture; a few form a ring.
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

  /** Advances the simulation by one step. Returns false once it has settled. */
  step() {
    if (layout.isSettled) return false;
    simulation.tick();
    return true;
  },

  /** Scales the layout to the picture. @param {number} width @param {number} height In pixels */
  fit(width, height) {
    let across = 1;
    let down = 1;
    for (const { x, y } of layout.spots) {
      across = Math.max(across, Math.abs(x));
      down = Math.max(down, Math.abs(y));
    }
    // Scale each axis separately: the picture is wider than tall, and distances in it carry no meaning.
    const scaleX = Math.min(MAX_SCALE, (width / 2 - MARGIN_PX) / across);
    const scaleY = Math.min(MAX_SCALE, (height / 2 - MARGIN_PX * 0.75) / down);
    layout.centre = { x: width / 2, y: height / 2 - 6 };
    for (const spot of layout.spots) {
      spot.px = layout.centre.x + spot.x * scaleX;
      spot.py = layout.centre.y + spot.y * scaleY;
    }
  },

  /**
   * Returns the peer nearest to a point, if any is close enough.
   * @param {number} x @param {number} y @param {number} within
   */
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

/**
 * Creates a spot whose initial position depends only on the peer's id, so it is the same every time.
 * @param {string} id @param {number} radius @returns {Spot}
 */
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
