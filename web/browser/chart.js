// @ts-check
// Rates in and out over the last minutes, drawn by uPlot, which is loaded only once the chart is visible.

import { byId, colour, setText } from "./dom.js";
import { live, when } from "./live.js";
import { rateText } from "../shared/words.js";

const HEIGHT = 140;
const SPAN_SECONDS = 180;

/** @type {import("uplot") | undefined} */
let chart;

/** @returns {[number[], number[], number[]]} */
function data() {
  const last = live.rates.all.slice(-SPAN_SECONDS);
  const now = last.at(-1)?.at ?? Date.now() / 1000;
  // The time span is constant, so that lines move rather than stretch.
  const from = { at: now - SPAN_SECONDS, in: null, out: null };
  const rows = last.length === 0
    ? [from, { ...from, at: now }]
    : last.length < SPAN_SECONDS
    ? [from, ...last]
    : last;
  return /** @type {any} */ ([
    rows.map(({ at }) => at),
    rows.map((row) => row.in),
    rows.map((row) => row.out),
  ]);
}

async function make() {
  const { default: UPlot } = await import("uplot");
  const place = byId("chart");
  chart?.destroy();
  const faint = `color-mix(in srgb, ${colour("accent")} 12%, transparent)`;
  const quiet = {
    stroke: colour("quiet"),
    font: "12px system-ui",
    grid: { stroke: colour("line"), width: 1 },
    ticks: { show: false },
  };
  chart = new UPlot(
    {
      width: place.clientWidth,
      height: HEIGHT,
      padding: [8, 28, 0, 0], // space for half of the last time label
      cursor: { y: false, points: { size: 5 } },
      legend: { show: false }, // ours is below the chart, where it never shifts anything
      hooks: { setCursor: [tellLegend] },
      scales: { y: { range: (_, __, max) => [0, Math.max(1000, max * 1.1)] } },
      axes: [
        { ...quiet, size: 24, space: 70, values: (_, at) => at.map(clockText) },
        { ...quiet, size: 72, space: 28, values: (_, rates) => rates.map(rateText) },
      ],
      // One sample per second: the line is enough.
      series: [
        {},
        {
          label: "in",
          points: { show: false },
          stroke: colour("accent"),
          width: 1.5,
          fill: faint,
        },
        {
          label: "out",
          points: { show: false },
          stroke: colour("quiet"),
          width: 1.5,
          dash: [4, 3],
        },
      ],
    },
    data(),
    place,
  );
}

/** Shows the rates under the pointer, or else those of the last second. @param {import("uplot")} plot */
function tellLegend({ cursor, data: [at, ...rates] }) {
  const isPointed = typeof cursor.idx === "number" && (cursor.left ?? -1) >= 0;
  const index = isPointed ? cursor.idx ?? 0 : at.length - 1;
  for (const [series, id] of ["legend-in", "legend-out"].entries()) {
    const rate = rates[series]?.[index];
    setText(byId(id), typeof rate === "number" ? rateText(rate) : "–");
  }
  setText(byId("legend-at"), isPointed ? `at ${clockText(at[index] ?? 0)}` : "");
}

/** @param {number} at Unix seconds */
const clockText = (at) =>
  new Date(at * 1000).toLocaleTimeString("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });

export function startChart() {
  const place = byId("chart");
  const resize = () => {
    if (chart) chart.setSize({ width: place.clientWidth, height: HEIGHT });
    else if (place.clientWidth > 0) make();
  };
  new ResizeObserver(resize).observe(place);
  addEventListener("themechange", () => chart && make());
  when(["status"], () => {
    if (place.clientWidth === 0) return;
    if (!chart) return;
    chart.setData(data());
    tellLegend(chart);
  });
}
