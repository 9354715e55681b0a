import assert from "node:assert/strict";
import { sh } from "../support/namespace.ts";

/** Each tool, and options of it that are wrong. */
const WRONG: Readonly<Record<string, readonly string[]>> = {
  "tools/asterisk.ts": ["--nonsense", "--dir=relative"],
  "tools/circles.ts": ["--nonsense"],
  "tools/columns.ts": ["--nonsense"],
  "tools/compile.ts": ["--nonsense", "--denort=elsewhere"],
  "tools/dead_exports.ts": ["--nonsense"],
  "tools/demo.ts": ["--nonsense"],
  "tools/package.ts": ["--nonsense"],
  "bench/bench.ts": ["--nonsense", "nonsense"],
  "tests/fuzz/fuzz.ts": ["--nonsense", "--seed=x", "--target=nonsense", "--inputs=0"],
  "tests/simulation/simulate.ts": ["--nonsense", "--seeds=1.5", "--seed=x", "--from=x", "--jobs=0"],
  "tests/soak/soak.ts": ["--nonsense", "--seconds=0", "--backend=nonsense", "--rate="],
  "tests/soak/feeder.ts": ["--nonsense", "--port=x"],
};

for (const [tool, options] of Object.entries(WRONG)) {
  Deno.test(`options: what is wrong for ${tool} is said in a line, and ends with 2`, async () => {
    const path = new URL(`../../${tool}`, import.meta.url).pathname;
    for (const option of options) {
      const { code, out, err } = await sh(Deno.execPath(), "run", "-A", "--no-check", path, option);
      assert.equal(code, 2, `${option}: ${err}`);
      assert.equal(out, "", option);
      const named = option.split("=")[0]!.replace(/^--/, "");
      assert.match(err, new RegExp(named), option);
      assert.doesNotMatch(err, /^\s+at |Uncaught/m, option);
      if (tool !== "tools/demo.ts") assert.equal(err.trim().split("\n").length, 1, err);
    }
  });
}
