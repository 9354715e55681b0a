/**
 * The source files that the tools of this folder judge.
 *
 * @module
 */

import { relative, resolve } from "node:path";

/** The folders and files of this project that hold TypeScript. */
const OWN = ["src", "main.ts", "mod.ts", "bench", "tools", "tests"];

/**
 * Lists the TypeScript files of this project, or those that are named on the command line.
 *
 * @param root The folder that the paths are relative to.
 * @param named Files and folders; all of the project's own if it is empty.
 * @returns Paths relative to the root, in order.
 */
export function sourceFiles(root: string, named: readonly string[] = []): string[] {
  const files: string[] = [];
  const visit = (path: string): void => {
    const info = Deno.statSync(path);
    if (info.isDirectory) {
      for (const { name } of Deno.readDirSync(path)) {
        if (name !== "testdata" && name !== "node_modules") visit(`${path}/${name}`);
      }
    } else if (path.endsWith(".ts")) files.push(relative(root, path));
  };
  if (named.length > 0) named.forEach((path) => visit(resolve(path)));
  else OWN.map((name) => resolve(root, name)).filter(exists).forEach(visit);
  return files.sort();
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).size >= 0;
  } catch {
    return false;
  }
}
