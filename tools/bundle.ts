/**
 * Joins the modules of a program into a few files of JavaScript, as they are compiled into the
 * executable.
 *
 * V8 sees through a constant of the module that is running, but not through one that is imported:
 * from modules of their own the reader of events and the penalty table, which lean on each other's
 * constants, take a tenth longer for each event. So these two and all that they import become one
 * file. What is imported only when it is needed stays a file of its own.
 *
 * @module
 */

import { isAbsolute, join } from "node:path";
import { type OutputChunk, type Plugin, rollup } from "@rollup/wasm-node";
import ts from "typescript";
import { joinedPackage, licenceOf, modulesOf } from "./joined_package.ts";

/** What an event passes through; those of them that the program has become one file. */
const HOT = ["src/ami/event_reader.ts", "src/penalties/penalty_table.ts"];

/** A program as files of JavaScript. */
interface Bundle {
  /** The file to begin with. */
  readonly entry: string;
  /** Text by name; without folders. */
  readonly files: ReadonlyMap<string, string>;
}

/** The program can't be joined; the message says why. */
export class BundleError extends Error {
  override name = "BundleError";
}

/**
 * Joins a program.
 *
 * @param root Absolute path of the folder that holds all of its modules.
 * @param modules The modules, relative to the root.
 * @param entry The first of them.
 * @param packages The npm packages that they name, with the folder of each.
 * @returns The same for the same modules, whatever the root is called.
 * @throws {BundleError} When a module can't be read, or has a syntax error.
 */
export async function bundle(
  root: string,
  modules: readonly string[],
  entry: string,
  packages: ReadonlyMap<string, string> = new Map(),
): Promise<Bundle> {
  const hot = HOT.filter((path) => modules.includes(path)).map((path) => join(root, path));
  try {
    const joined = await rollup({
      input: join(root, entry),
      external: (id) => id.startsWith("node:"),
      plugins: [packagesIn(packages), { name: "typescript", transform: javaScriptOf }],
      // A module may be imported for what it does.
      treeshake: { moduleSideEffects: true, annotations: false },
      onLog: (_level, { message }) => {
        throw new BundleError(message);
      },
    });
    try {
      const { output } = await joined.generate({
        format: "esm",
        entryFileNames: "main.js",
        chunkFileNames: "[name].js",
        manualChunks: hot.length === 0 ? {} : { events: hot },
        generatedCode: "es2015",
      });
      const chunks = output.filter((file): file is OutputChunk => file.type === "chunk");
      return {
        entry: "main.js",
        files: new Map(chunks.map(({ fileName, code, moduleIds }) => [
          fileName,
          licencesFor(moduleIds, packages) + inAscii(code),
        ])),
      };
    } finally {
      await joined.close();
    }
  } catch (error) {
    if (error instanceof BundleError || !(error instanceof Error)) throw error;
    throw new BundleError(error.message.replaceAll(`${root}/`, ""));
  }
}

/** Finds packages: the older kind as one module, of the newer kind the modules that are named. */
function packagesIn(packages: ReadonlyMap<string, string>): Plugin {
  return {
    name: "packages",
    resolveId(id) {
      if (packages.has(id)) return id;
      const [name = ""] = id.split("/", 1);
      const folder = packages.get(name);
      return folder === undefined ? undefined : modulesOf(folder).get(id.slice(name.length + 1));
    },
    load: (id) => packages.has(id) ? joinedPackage(packages.get(id)!) : undefined,
    transform: (text, id) =>
      [...packages.values()].some((folder) => id.startsWith(`${folder}/`))
        ? { code: withoutComments(text, id) }
        : undefined,
  };
}

/**
 * The licences of the packages whose modules are in a file; those of the older kind bring theirs.
 */
function licencesFor(ids: readonly string[], packages: ReadonlyMap<string, string>): string {
  return [...packages.values()]
    .filter((folder) => ids.some((id) => id.startsWith(`${folder}/`)))
    .map(licenceOf)
    .join("");
}

function withoutComments(text: string, id: string): string {
  return ts.transpileModule(text, {
    fileName: id,
    compilerOptions: {
      target: ts.ScriptTarget.ESNext,
      module: ts.ModuleKind.ESNext,
      allowJs: true,
      removeComments: true,
    },
  }).outputText;
}

/** Takes the types out of a module. */
function javaScriptOf(text: string, id: string): { code: string } {
  if (!isAbsolute(id) || !id.endsWith(".ts")) return { code: text };
  const { outputText } = ts.transpileModule(text, {
    fileName: id,
    compilerOptions: {
      target: ts.ScriptTarget.ESNext,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      removeComments: true,
    },
  });
  return { code: outputText };
}

/**
 * Writes other characters as escapes, which mean the same in strings and patterns, the only places
 * that have them once there are no comments (but for `String.raw`). V8 keeps the text of a file as
 * long as it runs, and with a single character that is not in Latin-1 each takes two bytes: without
 * this and the comments an idle Ampere has 2 MB less.
 */
function inAscii(code: string): string {
  return code.replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
