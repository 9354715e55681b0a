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
  const { name, main = "index.js" } = manifestOf(folder);
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
  return `${licenceOf(folder)}import { Buffer } from "node:buffer";
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

/**
 * The licence of a package, as a comment; it must go with it.
 *
 * @param folder Absolute path of the package.
 */
export function licenceOf(folder: string): string {
  const { name, version } = manifestOf(folder);
  // Nothing may end the comment.
  const licence = read(folder, "LICENSE").replaceAll("*/", "* /");
  return `/*! ${name} ${version}\n\n${licence}*/\n`;
}

/**
 * The modules that a package of the newer kind (ECMAScript) offers beside its first one.
 *
 * @param folder Absolute path of the package.
 * @returns Absolute paths by their names in the package: `lib/smtp-connection`.
 */
export function modulesOf(folder: string): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(manifestOf(folder).exports ?? {}).flatMap(([name, files]) =>
      name.startsWith("./") && typeof files === "object" && files.import !== undefined
        ? [[name.slice(2), join(folder, files.import)]]
        : []
    ),
  );
}

/** What is read of a package's own description. */
interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly main?: string;
  readonly exports?: Readonly<Record<string, string | { readonly import?: string }>>;
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(read(folder, "package.json"));
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
