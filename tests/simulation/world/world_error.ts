/**
 * What a world that goes wrong throws.
 *
 * @module
 */

/** A world has shown that something is wrong. */
export class WorldError extends Error {
  override readonly name = "WorldError";
}
