/**
 * What a reader of a list's lines is.
 *
 * @module
 */

/** Longest line of a list, in characters. */
export const LINE_MAX = 4_096;

/** Reads the lines of a list. */
export interface LineReader {
  /**
   * Takes a line, without its end.
   *
   * @param line The line; at most {@linkcode LINE_MAX} characters.
   * @param number Its number, the first is 1.
   */
  take(line: string, number: number): void;
  /**
   * The list has ended.
   *
   * @throws {FeedError} When it cannot be all of it.
   */
  finish(): void;
}
