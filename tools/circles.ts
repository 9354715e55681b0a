/**
 * Finds import circles between files, and between the folders of src: `deno task circles`.
 *
 * The graph is Deno's own (`deno info`), so that types, lazy imports and re-exports count as they
 * are resolved. A file in the root of src is a folder of its own.
 *
 * @module
 */

import { relative, resolve } from "node:path";
import { readOptions } from "./options.ts";
import { sourceFiles } from "./sources.ts";

/** One import: who imports whom, and where that is written (`src/cli.ts:12`). */
type Import = { readonly from: string; readonly to: string; readonly at: string };

/** What `deno info --json` tells of a module, as far as it is used here. */
type Module = {
  readonly specifier: string;
  readonly dependencies?: readonly { readonly code?: Target; readonly type?: Target }[];
};
type Target = { readonly specifier: string; readonly span: { start: { line: number } } };

/**
 * Reads which file imports which.
 *
 * @param root The folder of the project.
 * @returns All imports of one file of the project by another.
 */
async function readImports(root: string): Promise<Import[]> {
  const entry = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    const lines = sourceFiles(root).map((path) => `import "file://${resolve(root, path)}";\n`);
    await Deno.writeTextFile(entry, lines.join(""));
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", entry],
      cwd: root,
    }).output();
    if (code !== 0) throw new Error(`deno info: ${new TextDecoder().decode(stderr)}`);
    const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as { modules: Module[] };
    return modules.flatMap((module) => importsOf(module, root));
  } finally {
    await Deno.remove(entry);
  }
}

function importsOf(module: Module, root: string): Import[] {
  const from = pathIn(root, module.specifier);
  if (from === undefined) return [];
  return (module.dependencies ?? []).flatMap(({ code, type }) => {
    const target = code ?? type;
    const to = target === undefined ? undefined : pathIn(root, target.specifier);
    return to === undefined ? [] : [{ from, to, at: `${from}:${target!.span.start.line + 1}` }];
  });
}

/** The path of a module relative to the root, or `undefined` for one from elsewhere. */
function pathIn(root: string, specifier: string): string | undefined {
  if (!specifier.startsWith("file://")) return undefined;
  const path = relative(root, new URL(specifier).pathname);
  return path.startsWith("..") ? undefined : path;
}

/** The folder of src that a file is in: `src/ami`; a file in the root of src stands for itself. */
function folderOf(path: string): string {
  return path.split("/").slice(0, 2).join("/");
}

/**
 * Finds circles: for each node the shortest one through it, unless one was found through it before.
 *
 * @param imports The edges of the graph.
 * @returns The edges of each circle, in order.
 */
function findCircles(imports: readonly Import[]): Import[][] {
  const edges = Map.groupBy(imports, ({ from }) => from);
  const seen = new Set<string>();
  const circles: Import[][] = [];
  for (const start of [...edges.keys()].sort()) {
    if (seen.has(start)) continue;
    const circle = shortestWayBack(start, edges);
    if (circle === undefined) continue;
    for (const { from } of circle) seen.add(from);
    circles.push(circle);
  }
  return circles;
}

function shortestWayBack(
  start: string,
  edges: ReadonlyMap<string, readonly Import[]>,
): Import[] | undefined {
  const ways: Import[][] = [[]];
  const visited = new Set<string>();
  for (const way of ways) {
    const node = way.at(-1)?.to ?? start;
    for (const edge of edges.get(node) ?? []) {
      if (edge.to === start) return [...way, edge];
      if (visited.has(edge.to)) continue;
      visited.add(edge.to);
      ways.push([...way, edge]);
    }
  }
  return undefined;
}

async function main(): Promise<number> {
  const { values } = readOptions({
    options: { root: { type: "string", default: resolve(import.meta.dirname!, "..") } },
  });
  const imports = await readImports(resolve(values.root));
  const between = imports
    .filter(({ from, to }) => from.startsWith("src/") && to.startsWith("src/"))
    .map(({ from, to, at }) => ({ from: folderOf(from), to: folderOf(to), at }))
    .filter(({ from, to }) => from !== to);
  const circles = [...findCircles(imports), ...findCircles(between)];
  for (const circle of circles) {
    console.log(`circle: ${circle.map(({ from }) => from).join(" -> ")} -> ${circle[0]!.from}`);
    for (const { at, to } of circle) console.log(`  ${at} imports ${to}`);
  }
  console.log(`${imports.length} imports, ${circles.length} circles`);
  return circles.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
