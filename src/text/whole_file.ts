/**
 * Small files of which there is always a whole one.
 *
 * @module
 */

/** Only for who runs Ampere. */
const MODE = 0o600;

/**
 * Writes a file: the new one takes the place of the one of before when it is whole, and is never
 * there with wider rights.
 *
 * @param path The file.
 * @param text What is to stand in it.
 * @throws {Error} Deno's, when it cannot be written.
 */
export function writeWholeFile(path: string, text: string): void {
  const fresh = `${path}.new`;
  try {
    Deno.removeSync(fresh);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  Deno.writeTextFileSync(fresh, text, { createNew: true, mode: MODE });
  Deno.renameSync(fresh, path);
}
