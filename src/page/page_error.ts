/**
 * Why there is no page.
 *
 * @module
 */

/** The page cannot be served; the message says why, and what to do. */
export class PageError extends Error {
  override readonly name = "PageError";
}
