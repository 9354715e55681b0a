/**
 * How numbers and tables are shown to people: human units, aligned columns, colours, a progress
 * bar.
 *
 * Colours are used only on a terminal, and never when `NO_COLOR` is set (https://no-color.org).
 * Deno reads that variable at its own start (`Deno.noColor`), so that the program needs no
 * permission to read the environment.
 *
 * @module
 */

/** Widest table column but the last, in characters: an IPv6 network has 43. */
const COLUMN_WIDTH_MAX = 48;

/** Shortest time between two drawings of a progress bar, in milliseconds. */
const DRAW_EVERY_MS = 100;

/** Input that is shorter is read before a bar could be seen, in bytes. */
const PROGRESS_FROM_BYTES = 4 * 1024 * 1024;

/** Length of the bar, in characters. */
const BAR_WIDTH = 30;

/** Something that may be a terminal, and that can be written to; `Deno.stderr` is one. */
interface Terminal {
  isTerminal(): boolean;
  writeSync(bytes: Uint8Array): number;
}

/** Makes text stand out. */
export interface Style {
  /** All is well. */
  good(text: string): string;
  /** Something to look at. */
  doubtful(text: string): string;
  /** Something that does not work. */
  bad(text: string): string;
  /** A heading. */
  strong(text: string): string;
}

/** No colours. */
export const PLAIN: Style = {
  good: (text) => text,
  doubtful: (text) => text,
  bad: (text) => text,
  strong: (text) => text,
};

/** Colours by the sequences of ECMA-48, section 8.3.117 (SGR). */
export const COLOURED: Style = {
  good: (text) => `\x1b[32m${text}\x1b[39m`,
  doubtful: (text) => `\x1b[33m${text}\x1b[39m`,
  bad: (text) => `\x1b[31m${text}\x1b[39m`,
  strong: (text) => `\x1b[1m${text}\x1b[22m`,
};

/**
 * The style for a stream.
 *
 * @param stream Where the text goes.
 * @param noColor The user wants no colours.
 * @returns Colours on a terminal, unless they are not wanted.
 */
export function styleFor(
  stream: Pick<Terminal, "isTerminal">,
  noColor: boolean = Deno.noColor,
): Style {
  return stream.isTerminal() && !noColor ? COLOURED : PLAIN;
}

/** How a column is aligned. */
type Alignment = "left" | "right";

/**
 * Aligns columns, with two blanks between them. The last column is not padded.
 *
 * @param rows The cells; all without control characters.
 * @param alignments One for each column; left where none is given.
 * @returns One line for each row, each with its end.
 *
 * @example
 * ```ts
 * import { formatTable } from "./table.ts";
 *
 * formatTable([["host", "points"], ["203.0.113.5", "10"]], ["left", "right"]);
 * ```
 */
export function formatTable(
  rows: readonly (readonly string[])[],
  alignments: readonly Alignment[] = [],
): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, Math.min(COLUMN_WIDTH_MAX, cell.length));
    });
  }
  return rows.map((row) =>
    row.map((cell, i) => {
      if (alignments[i] === "right") return cell.padStart(widths[i]!);
      return i === row.length - 1 ? cell : cell.padEnd(widths[i]!);
    }).join("  ").trimEnd() + "\n"
  ).join("");
}

/**
 * A count with its digits in groups: `12,345`.
 *
 * @param count A whole number.
 */
export function formatCount(count: number): string {
  // Not toLocaleString(): its first call loads the data of all languages, which takes 30 ms and 3
  // MB.
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

/**
 * A count with its noun: `1 host`, `2,000 hosts`.
 *
 * @param count A whole number.
 * @param one The noun for one.
 * @param many The noun for none or several; the first with an s by default.
 */
export function counted(count: number, one: string, many: string = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/**
 * A size in the unit that leaves it one to three digits before the point: `1.4 MB`.
 *
 * @param bytes The size, in bytes.
 */
export function formatBytes(bytes: number): string {
  let size = bytes;
  let unit = "B";
  for (const next of ["kB", "MB", "GB", "TB"]) {
    if (size < 1000) break;
    size /= 1000;
    unit = next;
  }
  return `${unit === "B" || size >= 100 ? Math.round(size) : size.toFixed(1)} ${unit}`;
}

/**
 * A progress bar on a terminal; on anything else, and for short input, it draws nothing.
 *
 * @example
 * ```ts
 * import { ProgressBar } from "./table.ts";
 *
 * const bar = new ProgressBar(Deno.stderr, 10_000_000);
 * bar.show(5_000_000);
 * bar.clear();
 * ```
 */
export class ProgressBar {
  readonly #terminal: Terminal;
  readonly #total: number | undefined;
  readonly #now: () => number;
  readonly #startedAt: number;
  #drawnAt: number;
  #drawn = false;

  /**
   * @param terminal Where it is drawn.
   * @param total The size of the whole input, in bytes; `undefined` when it is not known.
   * @param now The clock, in milliseconds.
   */
  constructor(
    terminal: Terminal,
    total: number | undefined,
    now: () => number = () => performance.now(),
  ) {
    this.#terminal = terminal;
    this.#total = total;
    this.#now = now;
    this.#startedAt = this.#drawnAt = now();
  }

  /**
   * Draws the bar, if it is time.
   *
   * @param done How much has been read, in bytes.
   */
  show(done: number): void {
    if ((this.#total ?? done) < PROGRESS_FROM_BYTES || !this.#terminal.isTerminal()) return;
    const now = this.#now();
    if (now - this.#drawnAt < DRAW_EVERY_MS) return;
    this.#drawnAt = now;
    this.#drawn = true;
    const seconds = (now - this.#startedAt) / 1000;
    const speed = `${formatBytes(done / seconds)}/s`;
    this.#write(`\r${this.#picture(done)}  ${speed}\x1b[K`);
  }

  /** Removes the bar from the terminal. */
  clear(): void {
    if (this.#drawn) this.#write("\r\x1b[K");
    this.#drawn = false;
  }

  #picture(done: number): string {
    if (this.#total === undefined) return formatBytes(done);
    const share = Math.min(1, done / this.#total);
    const filled = Math.floor(share * BAR_WIDTH);
    const bar = "#".repeat(filled).padEnd(BAR_WIDTH, "-");
    const percent = `${Math.floor(share * 100)}%`.padStart(4);
    return `[${bar}]${percent}  ${formatBytes(done)} of ${formatBytes(this.#total)}`;
  }

  #write(text: string): void {
    this.#terminal.writeSync(new TextEncoder().encode(text));
  }
}
