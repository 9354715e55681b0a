/**
 * The compiled program, made once for all tests of the same sources.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { compile, PROJECT } from "../../tools/compile.ts";

/** Where executables are kept; not part of the repository. */
const CACHE = join(PROJECT, ".cache", "e2e");

/** What the executable is made of, below the project's folder. */
const SOURCES = [
  "main.ts",
  "src",
  "deno.json",
  "deno.lock",
  "tools/compile.ts",
  "tools/denort.ts",
  "packaging/debian/changelog",
];

/** Old executables that are kept, for going back and forth between two versions; each has 90 MB. */
const KEPT_MAX = 2;

/**
 * Compiles Ampere, with the permissions of a release.
 *
 * @returns the path of the executable
 */
export async function compiledAmpere(): Promise<string> {
  const hash = createHash("sha256").update(Deno.version.deno);
  for (const path of SOURCES) await addFiles(join(PROJECT, path), hash);
  const name = hash.digest("hex").slice(0, 16);
  const folder = join(CACHE, name);
  const executable = join(folder, "ampere");
  if (await exists(executable)) return executable;
  const stage = `${folder}.${Deno.pid}`;
  await compile({
    entry: join(PROJECT, "main.ts"),
    root: PROJECT,
    output: join(stage, "ampere"),
    allowPaths: [],
    denort: "auto",
  });
  try {
    await Deno.rename(stage, folder);
  } catch {
    // Another test was faster, with the same sources.
    await Deno.remove(stage, { recursive: true });
  }
  await forgetOld(name);
  return executable;
}

async function addFiles(path: string, hash: { update(data: Uint8Array | string): unknown }) {
  const { isDirectory } = await Deno.stat(path);
  if (!isDirectory) {
    hash.update(`${path}\n`);
    hash.update(await Deno.readFile(path));
    return;
  }
  const names = (await Array.fromAsync(Deno.readDir(path))).map((entry) => entry.name).sort();
  for (const name of names) await addFiles(join(path, name), hash);
}

async function forgetOld(current: string): Promise<void> {
  const kept: { path: string; made: number }[] = [];
  for await (const { name } of Deno.readDir(CACHE)) {
    if (name === current || name.includes(".")) continue;
    const path = join(CACHE, name);
    kept.push({ path, made: (await Deno.stat(path)).mtime?.getTime() ?? 0 });
  }
  kept.sort((a, b) => b.made - a.made);
  for (const { path } of kept.slice(KEPT_MAX)) await Deno.remove(path, { recursive: true });
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}
