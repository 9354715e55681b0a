/**
 * Draws line charts as SVG, in the colours of GitHub for light and dark pages.
 *
 * @module
 */

/** One curve. */
export interface Series {
  readonly name: string;
  /** In the order of x. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** One chart. */
interface Chart {
  readonly title: string;
  readonly xLabel: string;
  readonly series: readonly Series[];
  /** How a value of y is written. */
  readonly format: (y: number) => string;
}

const WIDTH = 400;
const HEIGHT = 300;
const MARGIN = { left: 62, right: 22, top: 52, bottom: 48 };
/** Least distance of two labels, in pixels. */
const LABEL_GAP = 15;

const STYLE = `
  text { font: 12px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; fill: #59636e }
  .title { font-size: 14px; font-weight: 600; fill: #1f2328 }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .page { fill: #ffffff }
  .line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
  .s0 { stroke: #bc4c00 } .s1 { stroke: #0969da }
  .d0, .t0 { fill: #bc4c00 } .d1, .t1 { fill: #0969da }
  .t0, .t1 { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 }
    .title { fill: #f0f6fc }
    .grid { stroke: #3d444d }
    .page { fill: #0d1117 }
    .s0 { stroke: #f0883e } .s1 { stroke: #4493f8 }
    .d0, .t0 { fill: #f0883e } .d1, .t1 { fill: #4493f8 }
  }`;

/**
 * Draws charts beside each other.
 *
 * @param charts from left to right
 * @param note a line below them
 * @returns the text of an SVG file
 */
export function drawCharts(charts: readonly Chart[], note: string): string {
  const width = WIDTH * charts.length;
  const parts = charts.map((chart, i) =>
    `<g transform="translate(${i * WIDTH} 0)">\n${drawChart(chart).join("\n")}\n</g>`
  );
  const title = charts.map((chart) => chart.title).join("; ");
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${
      HEIGHT + 24
    }" role="img" aria-label="${escape(title)}">`,
    `<style>${STYLE}\n</style>`,
    `<rect class="page" width="${width}" height="${HEIGHT + 24}" rx="6"/>`,
    ...parts,
    `<text x="${width / 2}" y="${HEIGHT + 10}" text-anchor="middle">${escape(note)}</text>`,
    "</svg>\n",
  ].join("\n");
}

function drawChart({ title, xLabel, series, format }: Chart): string[] {
  const all = series.flatMap(({ points }) => points);
  const xTop = Math.max(...all.map(([x]) => x));
  const yTicks = ticks(Math.max(...all.map(([, y]) => y)));
  const yTop = yTicks.at(-1)!;
  const bottom = HEIGHT - MARGIN.bottom;
  const right = WIDTH - MARGIN.right;
  const place = ([x, y]: readonly [number, number]) =>
    [
      MARGIN.left + x / xTop * (right - MARGIN.left),
      bottom - y / yTop * (bottom - MARGIN.top),
    ] as const;
  const lines = [`<text class="title" x="${MARGIN.left}" y="26">${escape(title)}</text>`];
  for (const y of yTicks) {
    const [, at] = place([0, y]);
    lines.push(`<line class="grid" x1="${MARGIN.left}" x2="${right}" y1="${at}" y2="${at}"/>`);
    lines.push(
      `<text x="${MARGIN.left - 8}" y="${at + 4}" text-anchor="end">${escape(format(y))}</text>`,
    );
  }
  for (const x of ticks(xTop).filter((x) => x <= xTop)) {
    const [at] = place([x, 0]);
    lines.push(`<text x="${at}" y="${bottom + 18}" text-anchor="middle">${thousands(x)}</text>`);
  }
  const middle = (MARGIN.left + right) / 2;
  lines.push(
    `<text x="${middle}" y="${bottom + 38}" text-anchor="middle">${escape(xLabel)}</text>`,
  );
  let lastLabel = -Infinity;
  const ordered = series.map((one, index) => ({ ...one, index }))
    .sort((a, b) => b.points.at(-1)![1] - a.points.at(-1)![1]);
  for (const { name, points, index } of ordered) {
    const places = points.map(place);
    const path = places.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
    lines.push(`<polyline class="line s${index}" points="${path}"/>`);
    for (const [x, y] of places) {
      lines.push(`<circle class="d${index}" cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="3"/>`);
    }
    const [x, y] = places.at(-1)!;
    const at = Math.max(y - 10, lastLabel + LABEL_GAP);
    lastLabel = at;
    const value = format(points.at(-1)![1]);
    lines.push(
      `<text class="t${index}" x="${x}" y="${at.toFixed(1)}" text-anchor="end">${
        escape(`${name}: ${value}`)
      }</text>`,
    );
  }
  return lines;
}

/** Round numbers from 0 to the first that is not below `top`. */
function ticks(top: number): number[] {
  const rough = top / 4;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * magnitude).find((s) => s >= rough)!;
  return Array.from({ length: Math.ceil(top / step) + 1 }, (_, i) => i * step);
}

function thousands(n: number): string {
  return n.toLocaleString("en");
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
