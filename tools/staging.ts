/**
 * Trees of files that are to become packages: the same bytes, rights and dates wherever they are
 * made.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { CompileError, PROJECT } from "./compile.ts";

/** A file or folder of the package. */
export interface Item {
  /** In the project, or the text itself, or (for a folder) neither. */
  readonly from?: string;
  readonly text?: string;
  /** Place in the installed system. */
  readonly to: string;
  readonly mode: number;
  /** Stored compressed, as Debian wants it for manual pages and changelogs. */
  readonly gzip?: true;
}

/** The version in deno.json. */
export async function projectVersion(): Promise<string> {
  const text = await Deno.readTextFile(join(PROJECT, "deno.json"));
  return (JSON.parse(text) as { version: string }).version;
}

/** Puts an item at a path. */
export async function put(item: Item, path: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  if (item.from === undefined && item.text === undefined) {
    await Deno.mkdir(path);
  } else {
    const bytes = item.from === undefined
      ? new TextEncoder().encode(item.text)
      : await Deno.readFile(join(PROJECT, item.from));
    await Deno.writeFile(path, item.gzip ? await gzip(bytes) : bytes);
  }
  // Not given to writeFile, which would apply the umask.
  await Deno.chmod(path, item.mode);
}

/** Compressed at the highest level, without name and time, as Debian's policy asks. */
async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const child = new Deno.Command("gzip", { args: ["-9n"], stdin: "piped", stdout: "piped" })
    .spawn();
  const writer = child.stdin.getWriter();
  await writer.write(bytes);
  await writer.close();
  return (await child.output()).stdout;
}

/** Replaces each `@NAME@` by its value. */
export function fill(text: string, values: Record<string, string>): string {
  return text.replace(/@([A-Z_]+)@/g, (whole, name: string) => values[name] ?? whole);
}

/** All that is in a folder, sorted, folders before what is in them. */
export async function walk(folder: string): Promise<string[]> {
  const names: Deno.DirEntry[] = [];
  for await (const entry of Deno.readDir(folder)) names.push(entry);
  names.sort((a, b) => a.name < b.name ? -1 : 1);
  const paths: string[] = [];
  for (const { name, isDirectory } of names) {
    paths.push(join(folder, name));
    if (isDirectory) paths.push(...await walk(join(folder, name)));
  }
  return paths;
}

/**
 * Makes all folders readable, whatever the umask was, but those of the list, which say their mode.
 */
export async function openFolders(tree: string, items: readonly Item[]): Promise<void> {
  for (const path of [tree, ...await walk(tree)]) {
    const listed = items.some((item) => join(tree, item.to) === path);
    if (!listed && (await Deno.lstat(path)).isDirectory) await Deno.chmod(path, 0o755);
  }
}

/** Gives all that is in a tree, and itself, one date. */
export async function setDates(tree: string, date: Date): Promise<void> {
  const paths = (await walk(tree)).reverse();
  await run("touch", ["--no-dereference", `--date=${date.toISOString()}`, ...paths, tree]);
}

/**
 * Runs a program to its end.
 *
 * @returns What it printed.
 * @throws {CompileError} When it is missing or fails.
 */
export async function run(
  program: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<string> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(program, { args, env, stdin: "null" }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new CompileError(`${program} is not installed; it is needed to make the packages`);
  }
  if (output.success) return new TextDecoder().decode(output.stdout);
  throw new CompileError(`${program} failed: ${new TextDecoder().decode(output.stderr).trim()}`);
}
