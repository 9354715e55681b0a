/**
 * Runs simulated fleets: `deno task simulate-fleets [--seeds=5000] [--from=1]`, or one of them with
 * its story: `--seed=7`.
 *
 * @module
 */

import { readOptions, wholeNumber } from "../../../tools/options.ts";
import { runFleet } from "./world.ts";

const FAILURES_MAX = 10;

async function main(): Promise<number> {
  const { values } = readOptions({
    options: {
      seed: { type: "string" },
      seeds: { type: "string", default: "5000" },
      from: { type: "string", default: "1" },
    },
  });
  const one = values.seed === undefined ? undefined : wholeNumber("seed", values.seed);
  const from = one ?? wholeNumber("from", values.from);
  const seeds = one === undefined ? wholeNumber("seeds", values.seeds, 1) : 1;
  let failures = 0;
  for (let seed = from; seed < from + seeds && failures < FAILURES_MAX; seed++) {
    try {
      await runFleet(seed, one === undefined ? undefined : (line) => console.log(line));
    } catch (error) {
      failures++;
      console.log(`seed ${seed}: ${error instanceof Error ? error.message : error}`);
      if (!(error instanceof Error && error.name === "FleetError")) console.log(error);
    }
  }
  console.log(failures === 0 ? `${seeds} fleets: all in order` : `${failures} fleets FAILED`);
  return failures === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
