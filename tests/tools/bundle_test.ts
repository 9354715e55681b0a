/** The program as it is joined for the executable. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { bundle, BundleError } from "../../tools/bundle.ts";
import { joinedPackage } from "../../tools/joined_package.ts";
import { partsOf, PROJECT } from "../../tools/compile.ts";

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
  const { modules, packages } = await partsOf(join(PROJECT, "main.ts"), PROJECT);
  const { entry, files } = await bundle(PROJECT, modules, "main.ts", packages);
  assert.equal(entry, "main.js");
  const events = files.get("events.js") ?? "";
  for (const part of ["class EventReader", "class PenaltyTable", "class Ledger", "class Framer"]) {
    assert.ok(events.includes(part), part);
    assert.equal([...files.values()].filter((text) => text.includes(part)).length, 1, part);
  }
  assert.match(events, /^const POINTS = \d+;$/m);
  assert.doesNotMatch(events, /^import [^;]* from "\.\//m);
});

Deno.test("bundle: a package is one module of the program, loaded when it is needed, with its licence", async () => {
  const { modules, packages } = await partsOf(join(PROJECT, "main.ts"), PROJECT);
  assert.deepEqual([...packages.keys()].sort(), ["mmdb-lib", "nodemailer"]);
  const { files } = await bundle(PROJECT, modules, "main.ts", packages);
  const holders = [...files].filter(([, text]) => text.includes("MaxMind DB")).map(([name]) =>
    name
  );
  assert.ok(!holders.includes("main.js") && !holders.includes("events.js"), String(holders));
  const text = files.get("mmdb.js") ?? "";
  assert.match(
    text,
    /mmdb-lib 3\.0\.3\s+The MIT License \(MIT\)\s+Copyright \(c\) \d+ Dmitry Shirokov/,
  );
  assert.deepEqual(
    [...text.matchAll(/^import .* from '([^']+)'/gm)].map(([, from]) => from),
    ["node:buffer"],
  );
  const mail = files.get("mail_sender.js") ?? "";
  assert.match(mail, /nodemailer 10\.6\.1\s+Copyright \(c\) [-0-9]+ Andris Reinman/);
  const others = [...files].filter(([, text]) => text.includes("SMTPConnection"));
  assert.deepEqual(others.map(([name]) => name), ["mail_sender.js"]);
  // What else the package can do is not there: other programs, and reading the environment.
  assert.doesNotMatch(mail, /child_process|process\.env/);
  for (const [name, one] of files) {
    assert.doesNotMatch(
      one,
      /\bfrom ['"](?:npm:|mmdb-lib|nodemailer)|import\(['"](?:npm:|nodemailer)/,
      name,
    );
  }
});

Deno.test("bundle: a package that needs what is not part of it is refused", async () => {
  const root = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(join(root, "package.json"), '{"name":"p","version":"1.0.0"}');
    await Deno.writeTextFile(join(root, "index.js"), 'require("fs");\n');
    await Deno.writeTextFile(join(root, "LICENSE"), "none\n");
    assert.throws(() => joinedPackage(root), /p: index\.js needs fs, which is not part of it/);
    await Deno.writeTextFile(join(root, "index.js"), 'require("./no");\n');
    assert.throws(() => joinedPackage(root), /no is not in/);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
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
