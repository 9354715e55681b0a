/**
 * Tries many inputs: `deno task fuzz [-- --inputs=1000000] [--from=1]
 * [--target=NAME]`, or one of them again: `deno task fuzz -- --target=NAME --seed=123`.
 *
 * @module
 */

import { readOptions, refuse, wholeNumber } from "../../tools/options.ts";
import { Dice } from "../simulation/dice.ts";
import { type Target, TARGETS } from "./targets.ts";

/**
 * An input that takes longer than this hangs, in milliseconds. The longest that are right take a
 * hundredth; the rest is for a machine that is busy with other things.
 */
const HANG_MS = 3_000;

/**
 * Heap that may be in use in the end beyond that of the beginning, in bytes: nothing keeps what it
 * was given.
 */
const HEAP_GROWTH_MAX = 200 * 1024 * 1024;

/** Failures after which the search ends. */
const FAILURES_MAX = 10;

/** One input that something did not hold for. */
interface Finding {
  readonly target: string;
  readonly seed: number;
  readonly input: string;
  readonly error: unknown;
}

/** What was tried. */
interface Report {
  readonly inputs: number;
  readonly findings: readonly Finding[];
  /** Inputs and seconds for each target. */
  readonly targets: ReadonlyMap<string, { inputs: number; seconds: number; longestMs: number }>;
}

/** Decides about target and input by the seed alone. */
function choose(seed: number, only: string | undefined): { target: Target; dice: Dice } {
  const dice = new Dice(seed);
  let point = dice.between(0, 100);
  let target = TARGETS.find((target) => (point -= target.share) < 0) ?? TARGETS[0]!;
  if (only !== undefined) {
    const named = TARGETS.find(({ name }) => name === only);
    if (named === undefined) {
      throw new Error(`no target ${only}: ${TARGETS.map(({ name }) => name).join(", ")}`);
    }
    target = named;
  }
  return { target, dice };
}

/**
 * Tries one input.
 *
 * @param seed Decides about it.
 * @param only The target; by default the seed decides about that too.
 */
function tryOne(seed: number, only?: string): Finding | undefined {
  const { target, dice } = choose(seed, only);
  const input = target.make(dice);
  try {
    const start = performance.now();
    target.check(input, dice);
    const ms = performance.now() - start;
    if (ms > HANG_MS) throw new Error(`it took ${ms.toFixed(0)} ms`);
    return undefined;
  } catch (error) {
    return { target: target.name, seed, input, error };
  }
}

/**
 * Tries many inputs.
 *
 * @param from The first seed.
 * @param count How many.
 * @param only The target; all by default.
 */
export function tryMany(from: number, count: number, only?: string): Report {
  const findings: Finding[] = [];
  const targets = new Map<string, { inputs: number; seconds: number; longestMs: number }>();
  let inputs = 0;
  while (inputs < count && findings.length < FAILURES_MAX) {
    const seed = from + inputs++;
    const { target: { name } } = choose(seed, only);
    const start = performance.now();
    const finding = tryOne(seed, only);
    const ms = performance.now() - start;
    const sum = targets.get(name) ?? { inputs: 0, seconds: 0, longestMs: 0 };
    targets.set(name, {
      inputs: sum.inputs + 1,
      seconds: sum.seconds + ms / 1000,
      longestMs: Math.max(sum.longestMs, ms),
    });
    if (finding !== undefined) findings.push(finding);
  }
  return { inputs, findings, targets };
}

/** A finding for people: what is wrong, with what input, and how to see it again. */
export function describeFinding({ target, seed, input, error }: Finding): string {
  const shown = input.length > 2_000 ? `${input.slice(0, 2_000)}…` : input;
  return [
    `target ${target}, seed ${seed}: ${error instanceof Error ? error.stack : error}`,
    `  input (${input.length} characters, one a byte): ${JSON.stringify(shown)}`,
    `  again: deno task fuzz -- --target=${target} --seed=${seed}`,
  ].join("\n");
}

function main(): number {
  const { values } = readOptions({
    options: {
      inputs: { type: "string", default: "1000000" },
      from: { type: "string", default: "1" },
      target: { type: "string" },
      seed: { type: "string" },
    },
  });
  const { target } = values;
  if (target !== undefined && !TARGETS.some(({ name }) => name === target)) {
    refuse(`--target=${target}: there are ${TARGETS.map(({ name }) => name).join(", ")}`);
  }
  if (values.seed !== undefined) {
    const finding = tryOne(wholeNumber("seed", values.seed), target);
    console.log(finding === undefined ? "all holds" : describeFinding(finding));
    return finding === undefined ? 0 : 1;
  }
  const heapBefore = Deno.memoryUsage().heapUsed;
  const start = performance.now();
  const report = tryMany(
    wholeNumber("from", values.from),
    wholeNumber("inputs", values.inputs, 1),
    target,
  );
  const seconds = (performance.now() - start) / 1000;
  for (const finding of report.findings) console.log(describeFinding(finding));
  const rows = [...report.targets].map(([target, { inputs, seconds, longestMs }]) => ({
    target,
    inputs,
    "inputs/s": Math.round(inputs / seconds),
    "longest ms": Number(longestMs.toFixed(1)),
  }));
  console.table(rows);
  const growth = Deno.memoryUsage().heapUsed - heapBefore;
  console.log(
    `${report.inputs} inputs in ${seconds.toFixed(1)} s (${
      Math.round(report.inputs / seconds)
    } a second), ` +
      `${report.findings.length} findings, heap ${(growth / 1024 / 1024).toFixed(1)} MiB larger`,
  );
  return report.findings.length === 0 && growth < HEAP_GROWTH_MAX ? 0 : 1;
}

if (import.meta.main) Deno.exit(main());
