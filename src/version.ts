/**
 * The version of Ampere.
 *
 * @module
 */

/** The version, as deno.json has it. */
export const VERSION = "1.1.0";
