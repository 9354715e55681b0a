/**
 * Gets the whole Deno for 64-bit ARM, from the npm registry: with it and qemu's user emulation the
 * tests run Ampere from source as an ARM machine would.
 *
 * It is not the slim runtime that an executable needs, so no executable is made of it.
 *
 * @module
 */

import { join, resolve } from "node:path";
import { packageFromNpm } from "./denort.ts";

/** The nearest version to that of the project for which the registry has this package. */
const PACKAGE = {
  name: "@deno/linux-arm64-glibc@2.7.7",
  integrity:
    "sha512-Qz206Lr/UE9OkKsGHiWdSUdh6GORUqwhIuUH554sTI8fv2+Tlh+I+w/7pZ1i2XSe65nkVJPVxGlJjxWK+OZNJg==",
} as const;

/** Where it is kept; git ignores it. */
const CACHE_FOLDER = resolve(import.meta.dirname!, "../.cache");

/**
 * Gives the path of that Deno, from the cache or from the registry.
 *
 * @throws {DenortError} When npm fails, or the hash is not the pinned one.
 */
export async function arm64Deno(): Promise<string> {
  const folder = join(CACHE_FOLDER, "deno-2.7.7-arm64");
  const program = join(folder, "package", "deno");
  if (await isThere(program)) return program;
  await Deno.mkdir(CACHE_FOLDER, { recursive: true });
  const work = await Deno.makeTempDir({ dir: CACHE_FOLDER, prefix: "arm64-" });
  try {
    const archive = await packageFromNpm(PACKAGE, work);
    const { success } = await new Deno.Command("tar", { args: ["-xzf", archive, "-C", work] })
      .output();
    if (!success) throw new Error(`${archive} cannot be unpacked`);
    await Deno.chmod(join(work, "package", "deno"), 0o755);
    await Deno.remove(archive);
    // Whoever finds the folder finds all of it.
    await Deno.rename(work, folder);
  } finally {
    await Deno.remove(work, { recursive: true }).catch(() => {});
  }
  return program;
}

async function isThere(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch {
    return false;
  }
}
