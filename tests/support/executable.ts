/**
 * The compiled program, for tests of what is shipped and not only of its sources.
 *
 * @module
 */

import { join } from "node:path";
import { compile, type CompileOptions, parseOptions } from "../../tools/compile.ts";

let folder: string | undefined;

/** A folder that goes away with the test's process. */
export function executableFolder(): string {
  if (folder === undefined) {
    folder = Deno.makeTempDirSync({ prefix: "ampere-executable-" });
    addEventListener("unload", () => Deno.removeSync(folder!, { recursive: true }));
  }
  return folder;
}

let ampere: Promise<string> | undefined;

/**
 * Ampere as `deno task compile` makes it; compiled when it is asked for first, once for a test
 * file.
 *
 * @returns the path of the executable
 */
export function compiledAmpere(): Promise<string> {
  return ampere ??= compileTo("ampere", {});
}

/**
 * Compiles with other options than the usual ones.
 *
 * @param name name of the executable, another one for each call
 * @param options what is different
 * @returns the path of the executable
 */
export async function compileTo(name: string, options: Partial<CompileOptions>): Promise<string> {
  const output = join(executableFolder(), name);
  await compile({ ...parseOptions([]), ...options, output });
  return output;
}
