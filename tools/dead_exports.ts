/**
 * Finds exports that no other file of the project names: `deno task dead-exports`.
 *
 * TypeScript's language service finds the references, so that lazy imports, `typeof import()` and
 * re-exports count. What mod.ts exports is for other programs, and what main.ts exports is never
 * asked for.
 *
 * @module
 */

import { resolve } from "node:path";
import ts from "typescript";
import { readOptions } from "./options.ts";
import { sourceFiles } from "./sources.ts";

/** Files whose exports are for other programs. */
const FOR_OTHERS = ["mod.ts", "main.ts"];

/**
 * Finds the dead exports.
 *
 * @param root The folder of the project.
 * @returns A line for each, as `src/log.ts:12 drainMs`.
 */
function findDeadExports(root: string): string[] {
  const paths = sourceFiles(root).map((path) => resolve(root, path));
  const service = ts.createLanguageService(hostOf(root, paths));
  const program = service.getProgram()!;
  const checker = program.getTypeChecker();
  const dead: string[] = [];
  for (const path of paths.filter((path) => !FOR_OTHERS.some((own) => path === `${root}/${own}`))) {
    const file = program.getSourceFile(path)!;
    const module = checker.getSymbolAtLocation(file);
    for (const symbol of module === undefined ? [] : checker.getExportsOfModule(module)) {
      const at = nameIn(file, symbol);
      if (at === undefined) continue;
      const found = service.findReferences(path, at) ?? [];
      const named = found.some(({ references }) => references.some((one) => one.fileName !== path));
      if (named) continue;
      const line = file.getLineAndCharacterOfPosition(at).line + 1;
      dead.push(`${path.slice(root.length + 1)}:${line} ${symbol.name}`);
    }
  }
  return dead;
}

/** Where a file names what it exports; `undefined` for what comes by `export *` from another. */
function nameIn(file: ts.SourceFile, symbol: ts.Symbol): number | undefined {
  const declaration = symbol.declarations?.find((one) => one.getSourceFile() === file);
  if (declaration === undefined) return undefined;
  return (ts.getNameOfDeclaration(declaration) ?? declaration).getStart(file);
}

/** What the language service asks for. */
function hostOf(root: string, paths: string[]): ts.LanguageServiceHost {
  return {
    getScriptFileNames: () => paths,
    getScriptVersion: () => "1",
    getScriptSnapshot: (path) => {
      const text = ts.sys.readFile(path);
      return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
    },
    getCurrentDirectory: () => root,
    getCompilationSettings: () => ({
      allowImportingTsExtensions: true,
      lib: ["lib.esnext.d.ts"],
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      noEmit: true,
      target: ts.ScriptTarget.ESNext,
      types: [],
    }),
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    fileExists: ts.sys.fileExists,
    readFile: ts.sys.readFile,
  };
}

function main(): number {
  const { values } = readOptions({
    options: { root: { type: "string", default: resolve(import.meta.dirname!, "..") } },
  });
  const dead = findDeadExports(resolve(values.root));
  for (const line of dead) console.log(line);
  console.log(`${dead.length} exports that no other file names`);
  return dead.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(main());
