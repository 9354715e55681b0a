/** Tables, counts, sizes, colours and progress for people. */

import assert from "node:assert/strict";
import {
  COLOURED,
  counted,
  formatBytes,
  formatCount,
  formatTable,
  PLAIN,
  ProgressBar,
  styleFor,
} from "../../src/text/table.ts";

Deno.test("table: colours on a terminal only, and never with NO_COLOR", () => {
  const terminal = { isTerminal: () => true };
  assert.equal(styleFor(terminal, false), COLOURED);
  assert.equal(styleFor(terminal, true), PLAIN);
  assert.equal(styleFor({ isTerminal: () => false }, false), PLAIN);
});

Deno.test("table: NO_COLOR is obeyed without a permission", async () => {
  const module = new URL("../../src/text/table.ts", import.meta.url).href;
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(
    `${folder}/main.ts`,
    `import { styleFor } from ${JSON.stringify(module)};
     console.log(styleFor({ isTerminal: () => true }).bad("x"));`,
  );
  const said = async (env: Record<string, string>) => {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", `${folder}/main.ts`],
      env,
      clearEnv: true,
    }).output();
    return new TextDecoder().decode(stdout);
  };
  try {
    assert.equal(await said({ NO_COLOR: "1" }), "x\n");
    assert.equal(await said({}), "\x1b[31mx\x1b[39m\n");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("table: columns, counts and sizes", () => {
  assert.equal(formatTable([["a", "1"], ["bbb", "22"]], ["left", "right"]), "a     1\nbbb  22\n");
  assert.equal(formatTable([["a", "b"], ["x", ""]]), "a  b\nx\n");
  assert.equal(formatCount(1_234_567), "1,234,567");
  assert.equal(counted(1, "host"), "1 host");
  assert.equal(counted(2_000, "entry", "entries"), "2,000 entries");
  const sizes: [number, string][] = [[0, "0 B"], [999, "999 B"], [1_000, "1.0 kB"], [
    123_456,
    "123 kB",
  ], [
    1_440_000,
    "1.4 MB",
  ]];
  for (const [size, text] of sizes) assert.equal(formatBytes(size), text);
});

Deno.test("table: a progress bar is drawn for long input on a terminal, and removed", () => {
  const draw = (isTerminal: boolean, total: number | undefined, parts: number[]) => {
    let text = "";
    let now = 0;
    const bar = new ProgressBar(
      {
        isTerminal: () => isTerminal,
        writeSync: (bytes) => (text += new TextDecoder().decode(bytes), bytes.length),
      },
      total,
      () => now,
    );
    for (const done of parts) {
      now += 200;
      bar.show(done);
    }
    bar.clear();
    return text;
  };
  assert.equal(draw(false, 10_000_000, [5_000_000]), "");
  assert.equal(draw(true, 1_000, [500]), "");
  assert.equal(
    draw(true, 10_000_000, [5_000_000]),
    "\r[###############---------------] 50%  5.0 MB of 10.0 MB  25.0 MB/s\x1b[K\r\x1b[K",
  );
  assert.equal(draw(true, undefined, [5_000_000]), "\r5.0 MB  25.0 MB/s\x1b[K\r\x1b[K");
  assert.equal(draw(true, undefined, [1_000]), "");
});
