/**
 * Makes one module of an npm package whose files are of the older kind (CommonJS), so that it can
 * be joined with the program: the executable holds no package that would be looked for at run time.
 *
 * Only what a small package without dependencies does is understood: files that name each other by
 * `require("./…")`, and names that its first file exports by `exports.NAME = …`.
 *
 * @module
 */

import { dirname, join, relative } from "node:path";

/** How a file names another one of its package. */
const REQUIRED = /\brequire\("([^"]+)"\)/g;

/** How the first file names what it offers; not what it says of itself. */
const EXPORTED = /^exports\.([A-Za-z][A-Za-z0-9]*) = /gm;

/**
 * Joins a package.
 *
 * @param folder Absolute path of the package.
 * @returns The text of a module with the same exports, and the package's licence.
 * @throws {Error} If the package names what is not part of it.
 */
export function joinedPackage(folder: string): string {
  const { name, version, main = "index.js" } = JSON.parse(read(folder, "package.json")) as {
    readonly name: string;
    readonly version: string;
    readonly main?: string;
  };
  const files = new Map<string, string>();
  const visit = (path: string): void => {
    if (files.has(path)) return;
    const text = read(folder, path);
    files.set(path, "");
    const inner = text.replace(REQUIRED, (_all, named: string) => {
      if (!named.startsWith(".")) {
        throw new Error(`${name}: ${path} needs ${named}, which is not part of it`);
      }
      const found = fileOf(folder, join(dirname(path), named));
      visit(found);
      return `require(${JSON.stringify(found)})`;
    });
    files.set(path, inner);
  };
  const first = relative(folder, join(folder, main));
  visit(first);
  const names = [...new Set([...files.get(first)!.matchAll(EXPORTED)].map(([, one]) => one!))];
  const parts = [...files].map(([path, text]) =>
    `  [${JSON.stringify(path)}, function (exports, require) {\n${text}\n}],\n`
  );
  // Its licence must go with it, and nothing may end the comment.
  const licence = read(folder, "LICENSE").replaceAll("*/", "* /");
  return `/*! ${name} ${version}\n\n${licence}*/
import { Buffer } from "node:buffer";
const files = new Map([
${parts.join("")}]);
const loaded = new Map();
function load(path) {
  let exports = loaded.get(path);
  if (exports === undefined) {
    loaded.set(path, exports = {});
    files.get(path)(exports, load);
  }
  return exports;
}
export const { ${names.join(", ")} } = load(${JSON.stringify(first)});
`;
}

/** The file that is meant by a name, which may lack its end. */
function fileOf(folder: string, named: string): string {
  for (const path of [named, `${named}.js`, join(named, "index.js")]) {
    try {
      if (Deno.statSync(join(folder, path)).isFile) return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(`${named} is not in ${folder}`);
}

function read(folder: string, path: string): string {
  return Deno.readTextFileSync(join(folder, path));
}
