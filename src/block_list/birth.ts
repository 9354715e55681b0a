/**
 * When a database was made: until who belongs here is known, some time after that must pass.
 *
 * @module
 */

/**
 * When a file was made.
 *
 * @param path the database
 * @returns milliseconds since 1970; `undefined` if there is none, or the file system does not tell
 *
 * @example
 * ```ts
 * import { birthOf } from "./birth.ts";
 *
 * console.log(birthOf("/var/lib/ampere/ampere.db"));
 * ```
 */
export function birthOf(path: string): number | undefined {
  try {
    return Deno.statSync(path).birthtime?.getTime();
  } catch (error) {
    // It is looked for anew by whoever opens it, and told there.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
      return undefined;
    }
    throw error;
  }
}
