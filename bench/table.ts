/**
 * The table of results.
 *
 * @module
 */

/** One figure. */
export interface Figure {
  /** What was measured. */
  readonly what: string;
  readonly value: number;
  /** How a value is written. */
  readonly format: (value: number) => string;
  /** The bound, if there is one. */
  readonly target?: { readonly kind: "at least" | "at most"; readonly value: number };
  /** What was measured beside it in the same run. */
  readonly beside?: string;
}

/** Whether a figure is as good as it should be; `undefined` when nothing is demanded. */
export function isMet({ value, target }: Figure): boolean | undefined {
  if (target === undefined) return undefined;
  return target.kind === "at least" ? value >= target.value : value <= target.value;
}

/**
 * Writes figures as a Markdown table, aligned for reading as it is.
 *
 * @param figures the rows
 * @returns lines
 */
export function formatTable(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const { what, value, format, target, beside = "" } = figure;
    const met = isMet(figure);
    const bound = target === undefined ? "" : `${target.kind} ${format(target.value)}`;
    return [what, format(value), bound, met === undefined ? "" : met ? "yes" : "**no**", beside];
  });
  const head = ["figure", "measured", "target", "met", "beside it, in the same run"];
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

/** Writes milliseconds. */
export function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

/** Writes seconds. */
export function seconds(value: number): string {
  return `${value.toFixed(2)} s`;
}

/** Writes microseconds. */
export function microseconds(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value.toFixed(0)} µs`;
}

/** Writes mebibytes, the MB of memory. */
export function mebibytes(value: number): string {
  return `${value.toFixed(0)} MB`;
}

/** Writes a number a second. */
export function perSecond(value: number): string {
  return `${Math.round(value / 1000).toLocaleString("en")},000/s`;
}
