import assert from "node:assert/strict";
import { NFT_FAULTS } from "./nft/faults.ts";
import { RULES, type Visits } from "./model/rules.ts";
import { sh } from "../support/namespace.ts";
import { describeFailure, runSeed, simulationFolder } from "./simulate.ts";

/** Worlds in the normal tests; `deno task simulate` runs ten thousand. */
const SEEDS = 2_000;

Deno.test(`simulation: ${SEEDS} faulty worlds end with the kernel, the database and the list equal to a plain model`, async () => {
  const folder = simulationFolder();
  const visits: Visits = new Map();
  try {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const result = await runSeed(seed, folder, undefined, visits);
      assert(result.error === undefined, describeFailure(result));
    }
    const all = [...RULES, ...NFT_FAULTS];
    for (const rule of all) console.log(String(visits.get(rule) ?? 0).padStart(9), rule);
    const unvisited = all.filter((rule) => !visits.has(rule));
    assert.deepEqual(unvisited, [], "rules that no world has reached: their tests prove nothing");
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("simulation: worlds that once went wrong are in order", async () => {
  const folder = simulationFolder();
  try {
    const seeds = [
      // The listing of all chains fails, hangs, or has come when the daemon stands still.
      ...[1_061_918, 1_067_144, 1_077_139, 1_080_849],
      // Others change the database while the daemon cannot read it, or stands still.
      ...[1_083_806, 1_081_224, 1_009_118],
      // A process blocks first whom the one before had blocked, for long enough ago.
      738_067,
      // A network whose block ends before its command has had its turn leaves no exception.
      1_009_548,
      // A line is charged first after a standstill, or is put back after AMI has come; AMI's last
      // words are read late; what is not believed counts between others; a log becomes readable.
      ...[500_418, 500_099, 502_040, 500_253, 1_593, 500_638],
      // A report is withheld when AMI ends; a file comes while nobody looks, or is put back after
      // two rotations; AMI's words of long before are read when it is gone; lines of two files have
      // the same number; a clock that is set back makes a line twice, and a new file seem old.
      ...[705_625, 611_340, 611_535, 700_201, 701_936, 734_268, 740_539, 743_581],
    ];
    for (const seed of seeds) {
      const result = await runSeed(seed, folder);
      assert(result.error === undefined, describeFailure(result));
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("simulation: a seed tells the same story each time", async () => {
  const folder = simulationFolder();
  try {
    for (const seed of [3, 20_000, 20_001, 20_002]) {
      const stories = [];
      for (let i = 0; i < 2; i++) {
        const story: string[] = [];
        await runSeed(seed, folder, (line) => void story.push(line));
        // The folder of a database is new each time.
        stories.push(story.join("\n").replace(/sqlite-\w+/g, "sqlite"));
      }
      assert(stories[0]!.includes("all is in order"));
      assert.equal(stories[0], stories[1]);
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("simulation: fresh seeds are printed with the command that repeats them", async () => {
  const tool = new URL("./simulate.ts", import.meta.url).pathname;
  const run = (...options: string[]) =>
    sh(Deno.execPath(), "run", "-A", "--no-check", tool, "--jobs=1", ...options);
  const { code, out, err } = await run("--from=clock", "--seeds=2");
  assert.equal(code, 0, out + err);
  const again = /^fresh seeds; again: deno task simulate -- (--seeds=2) (--from=(\d+))$/m.exec(out);
  assert.ok(again, out);
  assert.ok(Math.abs(Number(again[3]) - Date.now() / 1000) < 60, out);
  const second = await run(again[1]!, again[2]!);
  assert.match(second.out, new RegExp(`^2 seeds from ${again[3]} in .* 0 failed$`, "m"));
});
