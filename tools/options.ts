/**
 * The options of the project's own tools: a wrong one is one line and exit 2.
 *
 * @module
 */

import { parseArgs, type ParseArgsConfig } from "node:util";

/**
 * Reads the options of a tool, and ends the process with 2 and one line when one is wrong.
 *
 * @param config what `parseArgs` of node:util takes; a `--` that the shell's task runner left is
 *   passed over
 * @returns what `parseArgs` gives
 */
export function readOptions<T extends ParseArgsConfig>(
  config: T,
): ReturnType<typeof parseArgs<T>> {
  const args = (config.args ?? Deno.args).filter((arg) => arg !== "--");
  try {
    return parseArgs({ ...config, args } as T);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return refuse(error.message);
  }
}

/**
 * A whole number, or the end of the process with 2 and one line.
 *
 * @param name the option, for the message
 * @param text its value
 * @param least the smallest number that makes sense
 */
export function wholeNumber(name: string, text: string, least = 0): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(number) && number >= least) return number;
  return refuse(`--${name}=${text}: a whole number from ${least} on is needed`);
}

/** Says what is wrong, and ends the process. */
export function refuse(message: string): never {
  console.error(message.split(". ")[0]!.replace(/\.$/, ""));
  Deno.exit(2);
}
