/**
 * Gets `denort` without Deno's download server.
 *
 * `deno compile` puts the program behind a slim runtime named `denort`, which it downloads from
 * Deno's own server the first time. On an open network that is the right way and nothing here is
 * used. This module is for builds on machines that reach only an npm registry, and for the tests.
 *
 * What it does: the npm package `@mcp-stress/linux-x64` (MIT) ships a program that somebody else
 * made with `deno compile`, and such a program *is* denort with the program's data behind it. An
 * ELF file ends with its section header table, so cutting there leaves denort alone. The package
 * was made with Deno 2.6.10: the result runs Ampere on that version, although Deno 2.8.3 compiled
 * it.
 *
 * What it trusts: the package's integrity hash and the hash of the cut file are pinned below, so
 * everybody gets the bytes that were tried here. That these bytes are Deno's own cannot be proved
 * from the registry. Do not publish binaries made this way; build those with `deno compile`'s
 * download.
 *
 * ```sh
 * deno run --allow-read --allow-write --allow-run --allow-env tools/denort.ts [FOLDER]
 * ```
 *
 * prints the path for the environment variable `DENORT_BIN`.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { join, resolve } from "node:path";

/** The package, with the hash under `dist.integrity` of `npm view`. */
const PACKAGE = {
  name: "@mcp-stress/linux-x64@0.2.1",
  integrity:
    "sha512-mBnQXZQ6Cm+Yw5P31/7xYeQSw80IXQ5appuAGrAKGkgAYzgCWswQ8hVU4jTPMnGR5XoUujZWvXTRkLTT3wSt/w==",
  program: "package/bin/mcp-stress",
} as const;

/**
 * The version of Deno inside the package's program (`Deno.version.deno` of a program built on it).
 */
export const NPM_DENORT_VERSION = "2.6.10";

/** SHA-256 of the cut file, 92,183,912 bytes. */
const DENORT_SHA256 = "1b136202dc147212ad0b129de0c10eb5f17060917c9754c7921cd68f764ad2e2";

/** The version of `deno compile` whose output this denort was seen to read correctly. */
const COMPILER_VERSION = "2.8.3";

/** The only system that the package's program runs on. */
const TARGET = "x86_64-unknown-linux-gnu";

/** The download is 35 MB; a registry that needs longer than this is as good as unreachable. */
const DOWNLOAD_LIMIT_MS = 300_000;

/** Where the result is kept when no folder is given; git ignores it. */
const CACHE_FOLDER = resolve(import.meta.dirname!, "../.cache");

/** denort could not be had; the message says why and what to do. */
export class DenortError extends Error {
  override name = "DenortError";
}

/**
 * Finds where an ELF file ends: behind its section header table, the last thing that linkers write.
 * Field offsets: System V ABI, "ELF Header" (e_shoff 0x28, e_shentsize 0x3A, e_shnum 0x3C).
 *
 * @param file at least the first 64 bytes of a 64-bit little-endian ELF file
 * @returns the number of bytes that belong to the ELF file
 * @throws {DenortError} when these are not such bytes
 */
export function elfLength(file: Uint8Array): number {
  const elf64LittleEndian = [0x7f, 0x45, 0x4c, 0x46, 2, 1];
  if (file.length < 64 || !startsWith(file, elf64LittleEndian)) {
    throw new DenortError("not a 64-bit little-endian ELF file");
  }
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const tableOffset = Number(view.getBigUint64(0x28, true));
  return tableOffset + view.getUint16(0x3a, true) * view.getUint16(0x3c, true);
}

function startsWith(file: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, index) => file[index] === byte);
}

/**
 * Gives the path of a verified denort, taken from the cache or from the npm registry.
 *
 * @param folder where it is, or will be, kept
 * @returns the absolute path of an executable file
 * @throws {DenortError} when this machine cannot use it, npm fails, or a hash is not the pinned one
 */
export async function denortFromNpm(folder: string = CACHE_FOLDER): Promise<string> {
  if (Deno.build.target !== TARGET) {
    throw new DenortError(
      `the npm package has denort for ${TARGET} only, not ${Deno.build.target}`,
    );
  }
  if (Deno.version.deno !== COMPILER_VERSION) {
    throw new DenortError(
      `the npm package's denort was tried with Deno ${COMPILER_VERSION} only, this is ${Deno.version.deno}`,
    );
  }
  const path = resolve(folder, `denort-${NPM_DENORT_VERSION}-${TARGET}`);
  if (await hasHash(path, DENORT_SHA256)) return path;

  await Deno.mkdir(folder, { recursive: true });
  const work = await Deno.makeTempDir({ dir: folder, prefix: "denort-" });
  try {
    const archive = await packageFromNpm(PACKAGE, work);
    const program = await run("tar", ["-xzOf", archive, PACKAGE.program]);
    const denort = program.subarray(0, elfLength(program));
    check("the cut file", sha256(denort), DENORT_SHA256);
    // Written beside the final name and renamed, so that another build never sees half a file.
    const finished = join(work, "denort");
    await Deno.writeFile(finished, denort, { mode: 0o755 });
    await Deno.rename(finished, path);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return path;
}

/**
 * Downloads a package and compares its hash.
 *
 * @param wanted Its name with the version, and the hash under `dist.integrity` of `npm view`.
 * @param folder Where it is put.
 * @returns The path of the archive.
 * @throws {DenortError} When npm fails, or the hash is another one.
 */
export async function packageFromNpm(
  wanted: { readonly name: string; readonly integrity: string },
  folder: string,
): Promise<string> {
  // Into the current folder: npm 7.5 (Debian 11) knows no --pack-destination.
  const args = ["pack", wanted.name, "--silent"];
  const printed = new TextDecoder().decode(await run("npm", args, folder)).trim();
  const archive = join(folder, printed.split("\n").at(-1) ?? "");
  const hash = createHash("sha512").update(await Deno.readFile(archive)).digest("base64");
  check(wanted.name, `sha512-${hash}`, wanted.integrity);
  return archive;
}

/** Runs a program to its end and gives what it printed. */
async function run(program: string, args: string[], cwd?: string): Promise<Uint8Array> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(program, {
      args,
      ...(cwd === undefined ? {} : { cwd }),
      stdin: "null",
      signal: AbortSignal.timeout(DOWNLOAD_LIMIT_MS),
    }).output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new DenortError(`${program} is not installed; it is needed to get denort`);
    }
    throw error;
  }
  if (output.success) return output.stdout;
  const said = output.signal === null
    ? new TextDecoder().decode(output.stderr).trim() || `exit code ${output.code}`
    : `no end within ${DOWNLOAD_LIMIT_MS / 1000} s`;
  throw new DenortError(`${program} ${args.slice(0, 2).join(" ")} failed: ${said}`);
}

async function hasHash(path: string, expected: string): Promise<boolean> {
  try {
    return sha256(await Deno.readFile(path)) === expected;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function check(what: string, actual: string, expected: string): void {
  if (actual === expected) return;
  throw new DenortError(`${what} is not the file that was tried: ${actual} instead of ${expected}`);
}

if (import.meta.main) {
  try {
    console.log(await denortFromNpm(Deno.args[0]));
  } catch (error) {
    if (!(error instanceof DenortError)) throw error;
    console.error(`denort: ${error.message}`);
    Deno.exit(1);
  }
}
