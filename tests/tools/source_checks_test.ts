/**
 * Each check of the sources fails for a bad sample, and says where.
 */

import assert from "node:assert/strict";
import { dirname, resolve } from "node:path";
import { sh } from "../support/namespace.ts";

const ROOT = resolve(import.meta.dirname!, "../..");

/** Makes a project with these files, and removes it. */
async function withProject(
  files: Readonly<Record<string, string>>,
  use: (root: string) => Promise<void>,
): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "ampere-sources-" });
  try {
    for (const [path, text] of Object.entries(files)) {
      await Deno.mkdir(dirname(`${root}/${path}`), { recursive: true });
      await Deno.writeTextFile(`${root}/${path}`, text);
    }
    await use(root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

function tool(name: string, ...options: string[]): ReturnType<typeof sh> {
  return sh(Deno.execPath(), "run", "-A", "--no-check", `${ROOT}/tools/${name}.ts`, ...options);
}

Deno.test("circles: a circle between files is told with the line of each import", async () => {
  const files = {
    "src/a.ts": 'import type { B } from "./b.ts";\nexport type A = B;\n',
    "src/b.ts": '\nexport { type A as B } from "./a.ts";\n',
    "main.ts": 'import "./src/a.ts";\n',
  };
  await withProject(files, async (root) => {
    const { code, out } = await tool("circles", `--root=${root}`);
    assert.equal(code, 1, out);
    assert.match(out, /^circle: src\/a\.ts -> src\/b\.ts -> src\/a\.ts$/m);
    assert.match(
      out,
      /^ {2}src\/a\.ts:1 imports src\/b\.ts\n {2}src\/b\.ts:2 imports src\/a\.ts$/m,
    );
  });
});

Deno.test("circles: a circle between folders is told, though no file is in one", async () => {
  const files = {
    "src/ami/reader.ts": 'import "../blocks/block.ts";\n',
    "src/ami/event.ts": "export {};\n",
    "src/blocks/block.ts": "export {};\n",
    "src/blocks/list.ts": 'const load = () => import("../ami/event.ts");\nload();\n',
  };
  await withProject(files, async (root) => {
    const { code, out } = await tool("circles", `--root=${root}`);
    assert.equal(code, 1, out);
    assert.match(out, /^circle: src\/ami -> src\/blocks -> src\/ami$/m);
    assert.match(out, /^ {2}src\/blocks\/list\.ts:1 imports src\/ami$/m);
    await Deno.remove(`${root}/src/blocks/list.ts`);
    assert.equal((await tool("circles", `--root=${root}`)).code, 0);
  });
});

Deno.test("dead exports: what no other file names is told with its line", async () => {
  const files = {
    "mod.ts": 'export { shown } from "./src/parts.ts";\n',
    "src/parts.ts": "export const shown = 1;\nexport const lazy = 2;\n" +
      "\nexport const dead = 3;\nexport type Unnamed = typeof dead;\nconst own = 4;\nexport { own };\n",
    "src/cli.ts": 'const { lazy } = await import("./parts.ts");\nconsole.log(lazy, "dead own");\n',
  };
  await withProject(files, async (root) => {
    const { code, out } = await tool("dead_exports", `--root=${root}`);
    assert.equal(code, 1, out);
    const found = out.trim().split("\n").slice(0, -1).sort();
    assert.deepEqual(found, [
      "src/parts.ts:4 dead",
      "src/parts.ts:5 Unnamed",
      "src/parts.ts:7 own",
    ]);
  });
});

const WORDS =
  "a comment that is longer than a hundred columns has to be broken where a word ends, ";
const LONG = WORDS + "and so it is";

Deno.test("columns: comments and code that are too long are told, literals and URLs are not", async () => {
  const files = {
    "good.ts": `const text = "${LONG}";\n// https://example.org/${"a".repeat(100)}\nprint(text);\n`,
    "bad.ts": `\n// ${LONG} too\nprint(1); // ${LONG}\nprint(${"1 + ".repeat(30)} 1);\n`,
  };
  await withProject(files, async (root) => {
    const good = await tool("columns", `${root}/good.ts`);
    assert.equal(good.code, 0, good.out);
    const bad = await tool("columns", `${root}/bad.ts`);
    assert.equal(bad.code, 1, bad.out);
    assert.deepEqual([...bad.out.matchAll(/bad\.ts:(\d+) has/g)].map(([, line]) => line), [
      "2",
      "3",
      "4",
    ]);
  });
});

Deno.test("columns: --write fills paragraphs, and keeps lists, tags, fences, tables and directives", async () => {
  const before = `/** ${LONG} */
const a = 1;
/**
 * Short lines
 * stay as they are.
 *
 * - ${LONG}
 *   by its end
 * - another
 *
 * | ${"a table | ".repeat(2)}
 *
 * \`\`\`ts
 * const   code = "stays";
 * \`\`\`
 *
 * @param a ${LONG}
 * @returns nothing, {@linkcode a  name} and ${WORDS}then \`some = code\` that is kept in a line
 */
function f(): void {
  // deno-lint-ignore no-console
  print(a); // ${LONG}
  // ${LONG},
  // in two lines
}
`;
  const after = `/**
 * a comment that is longer than a hundred columns has to be broken where a word ends, and so it is
 */
const a = 1;
/**
 * Short lines
 * stay as they are.
 *
 * - a comment that is longer than a hundred columns has to be broken where a word ends, and so it
 *   is by its end
 * - another
 *
 * | a table | a table |
 *
 * \`\`\`ts
 * const   code = "stays";
 * \`\`\`
 *
 * @param a a comment that is longer than a hundred columns has to be broken where a word ends, and
 *   so it is
 * @returns nothing, {@linkcode a  name} and a comment that is longer than a hundred columns has to
 *   be broken where a word ends, then \`some = code\` that is kept in a line
 */
function f(): void {
  // deno-lint-ignore no-console
  // a comment that is longer than a hundred columns has to be broken where a word ends, and so it
  // is
  print(a);
  // a comment that is longer than a hundred columns has to be broken where a word ends, and so it
  // is, in two lines
}
`;
  await withProject({ "sample.ts": before }, async (root) => {
    const { code, out } = await tool("columns", "--write", `${root}/sample.ts`);
    assert.equal(await Deno.readTextFile(`${root}/sample.ts`), after);
    assert.equal(code, 0, out);
  });
});

Deno.test("examples: one that throws fails, and so does one with a wrong type", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
  for (const example of ["if (1 + 1 === 2) throw new Error();", 'const one: number = "one";']) {
    const files = {
      "deno.json": JSON.stringify({ tasks: { examples: tasks.examples } }),
      "mod.ts": "export {};\n",
      "src/sum.ts":
        `/**\n * Adds.\n *\n * @example\n * \`\`\`ts\n * ${example}\n * \`\`\`\n */\nexport const a = 1;\n`,
    };
    await withProject(files, async (root) => {
      const run = () => sh("sh", "-c", `cd ${root} && exec "$0" task examples`, Deno.execPath());
      const { code, out, err } = await run();
      assert.equal(code, 1, out + err);
      assert.match(out + err, /src\/sum\.ts\$5-/);
      const good = files["src/sum.ts"].replace(example, "if (1 + 1 !== 2) throw new Error();");
      await Deno.writeTextFile(`${root}/src/sum.ts`, good);
      assert.equal((await run()).code, 0);
    });
  }
});
