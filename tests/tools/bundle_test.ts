/** The program as it is joined for the executable. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { bundle, BundleError } from "../../tools/bundle.ts";
import { PROJECT } from "../../tools/compile.ts";
import { sourceFiles } from "../../tools/sources.ts";

async function joinedFiles(files: Record<string, string>): Promise<ReadonlyMap<string, string>> {
  const root = await Deno.makeTempDir();
  try {
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(join(root, name), text);
    }
    return (await bundle(root, Object.keys(files), "main.ts")).files;
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("bundle: what an event passes through is one file, and its constants are its own", async () => {
  const modules = ["src", "main.ts"].map((path) => join(PROJECT, path));
  const { entry, files } = await bundle(PROJECT, sourceFiles(PROJECT, modules), "main.ts");
  assert.equal(entry, "main.js");
  const events = files.get("events.js") ?? "";
  for (const part of ["class EventReader", "class PenaltyTable", "class Ledger", "class Framer"]) {
    assert.ok(events.includes(part), part);
    assert.equal([...files.values()].filter((text) => text.includes(part)).length, 1, part);
  }
  assert.match(events, /^const POINTS = \d+;$/m);
  assert.doesNotMatch(events, /^import [^;]* from "\.\//m);
});

Deno.test("bundle: what is imported when it is needed stays a file of its own", async () => {
  const files = await joinedFiles({
    "main.ts":
      'import { a } from "./a.ts";\nconst { b } = await import("./b.ts");\nconsole.log(a, b);\n',
    "a.ts": "export const a: number = 1;\n",
    "b.ts": 'import { a } from "./a.ts";\nexport const b: number = a + 1;\n',
  });
  assert.ok(files.has("b.js"), [...files.keys()].join(" "));
  assert.match(files.get("main.js")!, /await import\('\.\/b\.js'\)/);
  assert.doesNotMatch(files.get("main.js")!, /number/);
});

Deno.test("bundle: comments are left out, and what is not ASCII is written so that it means the same", async () => {
  const text = 'const dots = "… µ 𝄞"; // …\nconsole.log(dots, /[…µ]/.test("…"));\n';
  const files = await joinedFiles({ "main.ts": text });
  const joined = files.get("main.js")!;
  // deno-lint-ignore no-control-regex
  assert.match(joined, /^[\x00-\x7f]*$/);
  assert.doesNotMatch(joined, /\/\//);
  const said: unknown[][] = [];
  new Function("console", joined)({ log: (...words: unknown[]) => said.push(words) });
  assert.deepEqual(said, [["… µ 𝄞", true]]);
});

Deno.test("bundle: a module that is imported for what it does is kept", async () => {
  const files = await joinedFiles({ "main.ts": 'import "./a.ts";\n', "a.ts": "console.log(1);\n" });
  assert.match(files.get("main.js")!, /console\.log\(1\)/);
});

Deno.test("bundle: a mistake is told with the file's name", async () => {
  for (
    const [text, told] of [["const = 1;\n", /main\.ts/], ['import "./no.ts";\n', /no\.ts/]] as const
  ) {
    await assert.rejects(
      joinedFiles({ "main.ts": text }),
      (error) => error instanceof BundleError && told.test(error.message),
    );
  }
});
