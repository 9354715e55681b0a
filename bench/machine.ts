/**
 * The machine that measures: what it is, and how fast it is at the moment.
 *
 * @module
 */

import { must } from "./process.ts";

/** Additions of one look, each of which needs the one before; the quickest of some looks counts. */
const ADDITIONS = 20_000_000;
const LOOKS = 5;

/**
 * How many additions that need each other one core does in a second: its clock rate, less what
 * other guests of the same hardware take of it. A figure of another day, or of another machine, can
 * be compared only with this beside it.
 */
export function additionsPerSecond(): number {
  let quickest = Infinity;
  let sum = 0;
  for (let look = 0; look < LOOKS; look++) {
    const start = performance.now();
    sum = add(sum, ADDITIONS);
    quickest = Math.min(quickest, performance.now() - start);
  }
  return ADDITIONS / quickest * 1000;
}

function add(to: number, times: number): number {
  let sum = to;
  for (let i = 0; i < times; i++) sum = (sum + i) | 0;
  return sum;
}

/** The machine and the versions, for people. */
export function describeMachine(runtime: string): string {
  const cpu = /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ??
    Deno.build.arch;
  const memory = Math.round(Deno.systemMemoryInfo().total / 2 ** 30);
  const firstLine = (program: string, ...args: string[]) =>
    must(program, args).split("\n")[0]!.trim();
  return [
    `${navigator.hardwareConcurrency} cores of ${cpu.trim()}, ${memory} GiB`,
    `Linux ${/^\d+\.\d+/.exec(Deno.osRelease())?.[0]}`,
    `executables on ${runtime}`,
    firstLine("iptables", "--version"),
    firstLine("ipset", "--version"),
    new Date().toISOString().slice(0, 10),
  ].join("; ");
}
