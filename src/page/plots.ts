/**
 * Plots as SVG: stacked bars over time, drawn where they are served.
 *
 * @module
 */

import { formatCount } from "../text/table.ts";
import { formatLocalTime } from "../text/time.ts";
import { ATTEMPTS, type Bin } from "./history.ts";
import { Html, markup, NOTHING } from "./html.ts";

/** Size of a plot, in its own units. */
const WIDTH = 720;
const HEIGHT = 150;
/** Room for the numbers at the left, and the times below. */
const LEFT = 46;
const BELOW = 18;
const ABOVE = 10;

const DAY_MS = 86_400_000;

/** What the plots are about: a piece is so long, and there are so many. */
interface Range {
  readonly words: string;
  readonly lengthMs: number;
  readonly count: number;
  /** A time for each so many pieces. */
  readonly every: number;
}

/** Ranges by the name that stands in the address of the page. */
export const RANGES = {
  "6h": { words: "6 hours", lengthMs: 300_000, count: 72, every: 12 },
  "24h": { words: "24 hours", lengthMs: 900_000, count: 96, every: 16 },
  "90d": { words: "90 days", lengthMs: DAY_MS, count: 90, every: 15 },
} as const satisfies Record<string, Range>;

/** The name of a range. */
export type RangeName = keyof typeof RANGES;

/** A series of bars. */
interface Series {
  readonly name: string;
  readonly colour: number;
  readonly values: readonly number[];
}

/**
 * Attempts by kind, blocks, and how long these took.
 *
 * @param bins The past.
 * @param range Which part of it.
 */
export function plots(bins: readonly Bin[], range: Range): Html {
  const attempts = ATTEMPTS.map((name, index): Series => ({
    name,
    colour: index,
    values: bins.map((bin) => bin.attempts[index]!),
  }));
  const blocks = [{ name: "blocks", colour: 4, values: bins.map((bin) => bin.blocks) }];
  const latency = [{
    name: "milliseconds",
    colour: 5,
    values: bins.map(({ latency }) => 1000 * (latency ?? 0)),
  }];
  return markup`
    ${plot("Failed attempts by kind", attempts, bins, range)} ${
    plot(
      "Blocks made",
      blocks,
      bins,
      range,
    )
  } ${
    plot(
      "From the decision to the kernel: 95 of 100 blocks took at most so many milliseconds",
      latency,
      bins,
      range,
      false,
    )
  } ${table(bins, range)}
  `;
}

function plot(
  title: string,
  series: readonly Series[],
  bins: readonly Bin[],
  range: Range,
  isSum = true,
): Html {
  const heights = bins.map((_, i) => series.reduce((sum, { values }) => sum + values[i]!, 0));
  const top = roundUp(Math.max(...heights));
  const step = (WIDTH - LEFT) / bins.length;
  const yOf = (value: number) => ABOVE + (HEIGHT - ABOVE - BELOW) * (1 - value / top);
  const base = bins.map(() => 0);
  const paths = series.map(({ values, colour }) => {
    const path = values.map((value, i) => {
      if (value === 0) return "";
      const bottom = yOf(base[i]!);
      base[i]! += value;
      return `M${one(LEFT + i * step)} ${one(bottom)}V${one(yOf(base[i]!))}h${one(step - 1)}V${
        one(bottom)
      }z`;
    }).join("");
    // Numbers and letters of this function, and longer than a text may be.
    return path === "" ? NOTHING : markup`<path class="s${colour}" d="${new Html(path)}" />`;
  });
  const unknown = bins.findIndex(({ isKnown }) => isKnown);
  const gap = unknown === 0 ? NOTHING : markup`
    <rect class="unknown" x="${LEFT}" y="${ABOVE}" width="${
    one(
      step * (unknown < 0 ? bins.length : unknown),
    )
  }" height="${HEIGHT - ABOVE - BELOW}" />
  `;
  const lines = [0, top / 2, top].map((value) =>
    markup`
      <path class="axis" d="M${LEFT} ${one(yOf(value))}H${WIDTH}" /><text
        x="${LEFT - 4}"
        y="${one(yOf(value) + 4)}"
        text-anchor="end"
      >
        ${short(value)}
      </text>
    `
  );
  const times = bins.flatMap(({ at }, i) =>
    i % range.every === 0
      ? [markup`<text x="${one(LEFT + i * step)}" y="${HEIGHT - 4}">${shortTime(at, range)}</text>`]
      : []
  );
  const legend = series.length === 1 ? NOTHING : markup`
    <ul class="legend">${
    series.map(({ name, colour }) =>
      markup`
        <li>
          <svg viewBox="0 0 8 8" aria-hidden="true">
            <rect class="s${colour}" width="8" height="8" />
          </svg>${name}
        </li>
      `
    )
  }</ul>
  `;
  return markup`
    <figure>
      <figcaption>${title}</figcaption>
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${
    describe(
      title,
      heights,
      bins,
      isSum,
    )
  }">
        ${gap}${lines}${paths}${times}
      </svg>${legend}
    </figure>
  `;
}

/** A plot in words, for those who do not see it. */
function describe(
  title: string,
  heights: readonly number[],
  bins: readonly Bin[],
  isSum: boolean,
): string {
  const all = heights.reduce((sum, height) => sum + height, 0);
  if (all === 0) return `${title}: none`;
  const most = Math.max(...heights);
  const when = formatLocalTime(bins[heights.indexOf(most)]!.at).slice(0, 16);
  const sum = isSum ? `${formatCount(all)} in all, ` : "";
  return `${title}: ${sum}most from ${when} on, ${formatCount(Math.round(most))}`;
}

/** The numbers behind the plots, in a few rows. */
function table(bins: readonly Bin[], { every, words }: Range): Html {
  const rows: Html[] = [];
  const part = Math.max(1, Math.floor(every / 2));
  for (let i = 0; i < bins.length; i += part) {
    const some = bins.slice(i, i + part);
    const sum = (of: (bin: Bin) => number) => some.reduce((all, bin) => all + of(bin), 0);
    const latencies = some.flatMap(({ latency }) => latency ?? []);
    const cells = [
      ...ATTEMPTS.map((_, kind) => formatCount(sum(({ attempts }) => attempts[kind]!))),
      formatCount(sum(({ blocks }) => blocks)),
      formatCount(sum(({ logins }) => logins)),
      latencies.length === 0 ? "–" : `${formatCount(1000 * Math.max(...latencies))} ms`,
    ];
    rows.push(
      markup`
        <tr><th scope="row">${formatLocalTime(some[0]!.at).slice(0, 16)}</th>${
        cells.map((cell) => markup`<td class="num">${cell}</td>`)
      }</tr>
      `,
    );
  }
  const heads = ["from", ...ATTEMPTS, "blocks", "logins", "to the kernel"];
  return markup`
    <details>
      <summary>The same as a table</summary>
      <div class="scroll" role="region" aria-label="The last ${words} in numbers" tabindex="0">
        <table>
          <thead><tr>${
    heads.map((head, i) =>
      markup`
              <th scope="col" ${i === 0 ? NOTHING : markup` class="num"`}>${head}</th>
            `
    )
  }</tr></thead>
          <tbody>${rows}</tbody>
        </table>
      </div>
    </details>
  `;
}

/** The next number that looks well at an axis. */
function roundUp(value: number): number {
  if (value <= 4) return 4;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((factor) => factor * unit).find((one) => one >= value)!;
}

function short(value: number): string {
  if (value >= 1e6) return `${one(value / 1e6)}M`;
  return value >= 1e4 ? `${one(value / 1e3)}k` : formatCount(value);
}

function shortTime(at: number, { lengthMs }: Range): string {
  const text = formatLocalTime(at);
  return lengthMs === DAY_MS ? text.slice(5, 10) : text.slice(11, 16);
}

function one(value: number): number {
  return Math.round(value * 10) / 10;
}
