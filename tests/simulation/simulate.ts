/**
 * Runs simulated worlds: `deno task simulate [-- --seeds=10000] [--from=1] [--jobs=2]`, or one of
 * them with all that happens in it: `deno task simulate -- --seed=123`. With `--from=clock` nobody
 * has run them before; the command to repeat them is printed. With `--backend=nftables` all of them
 * have that one, and not each its own.
 *
 * @module
 */

import { readOptions, refuse, wholeNumber } from "../../tools/options.ts";
import type { Visits } from "./model/rules.ts";
import type { SceneOptions } from "./world/scene.ts";
import { runWorld } from "./world/world.ts";

/** What `--backend` may name. */
const BACKENDS = ["iptables", "ipset", "nftables"] as const;

/** Failing seeds after which the search ends. */
const FAILURES_MAX = 10;

/** What worlds are to have, whatever their seeds would choose. */
type Wanted = Pick<SceneOptions, "backend">;

/** What became of one seed. */
type Result = { readonly seed: number; readonly error: unknown };

/**
 * A folder in memory where there is one: databases and lock files are written without waiting for a
 * disk.
 */
export function simulationFolder(): string {
  try {
    return Deno.makeTempDirSync({ dir: "/dev/shm", prefix: "ampere-simulation-" });
  } catch {
    return Deno.makeTempDirSync({ prefix: "ampere-simulation-" });
  }
}

/**
 * Runs one seed; what goes wrong is a value.
 *
 * @param seed Which world.
 * @param folder See {@linkcode simulationFolder}.
 * @param trace Takes the story.
 * @param visits Counts what the model decided.
 * @param wanted What is so whatever the seed would choose.
 */
export async function runSeed(
  seed: number,
  folder: string,
  trace?: (line: string) => void,
  visits: Visits = new Map(),
  wanted: Wanted = {},
): Promise<Result> {
  let error: unknown;
  const take = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    error ??= event.reason;
  };
  globalThis.addEventListener("unhandledrejection", take);
  try {
    const given = { ...(trace && { trace }), ...wanted };
    await runWorld(seed, { folder, visits, ...given });
  } catch (thrown) {
    error ??= thrown;
  } finally {
    globalThis.removeEventListener("unhandledrejection", take);
  }
  return { seed, error };
}

/** A failing seed for people: what is wrong, and how to see it again. */
export function describeFailure({ seed, error }: Result, wanted: Wanted = {}): string {
  const what = error instanceof Error
    ? error.name === "WorldError" ? error.message : error.stack ?? error.message
    : String(error);
  return `seed ${seed}: ${what}\n  again, with the story: deno task simulate -- --seed=${seed}${
    optionsOf(wanted).map((option) => ` ${option}`).join("")
  }`;
}

/** The same, as options of this program. */
function optionsOf({ backend }: Wanted): string[] {
  return backend === undefined ? [] : [`--backend=${backend}`];
}

async function main(): Promise<number> {
  const { values } = readOptions({
    options: {
      seed: { type: "string" },
      seeds: { type: "string", default: "10000" },
      from: { type: "string", default: "1" },
      jobs: { type: "string", default: String(navigator.hardwareConcurrency) },
      backend: { type: "string" },
    },
  });
  const isFresh = values.from === "clock";
  const from = isFresh ? Math.floor(Date.now() / 1000) : wholeNumber("from", values.from);
  const seeds = wholeNumber("seeds", values.seeds, 1);
  const jobs = wholeNumber("jobs", values.jobs, 1);
  const seed = values.seed === undefined ? undefined : wholeNumber("seed", values.seed);
  const backend = BACKENDS.find((name) => name === values.backend);
  if (values.backend !== undefined && backend === undefined) {
    refuse(`--backend=${values.backend}: there are ${BACKENDS.join(", ")}`);
  }
  const wanted = { ...(backend && { backend }) };
  if (isFresh) {
    const again = [`--seeds=${seeds}`, `--from=${from}`, ...optionsOf(wanted)].join(" ");
    console.log(`fresh seeds; again: deno task simulate -- ${again}`);
  }
  if (seed === undefined && jobs > 1) return await runJobs(from, seeds, jobs, wanted);
  const folder = simulationFolder();
  try {
    if (seed === undefined) return await runMany(from, seeds, folder, wanted);
    const result = await runSeed(seed, folder, (line) => console.log(line), undefined, wanted);
    console.log(result.error === undefined ? "in order" : describeFailure(result, wanted));
    return result.error === undefined ? 0 : 1;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** Shares the seeds among processes. */
async function runJobs(
  from: number,
  count: number,
  jobs: number,
  wanted: Wanted,
): Promise<number> {
  const start = performance.now();
  const share = Math.ceil(count / jobs);
  const ends = Array.from({ length: jobs }, async (_, job) => {
    const first = from + job * share;
    const some = Math.min(share, from + count - first);
    const options = [`--from=${first}`, `--seeds=${some}`, "--jobs=1", ...optionsOf(wanted)];
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", import.meta.url, ...options],
      stdin: "null",
    }).spawn();
    return (await child.status).code;
  });
  const failed = (await Promise.all(ends)).some((code) => code !== 0);
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `${count} seeds in ${seconds.toFixed(1)} s, ${(count / seconds).toFixed(0)} a second: ` +
      (failed ? "some FAILED" : "all in order"),
  );
  return failed ? 1 : 0;
}

async function runMany(
  from: number,
  count: number,
  folder: string,
  wanted: Wanted,
): Promise<number> {
  const start = performance.now();
  let failures = 0;
  let done = 0;
  for (; done < count && failures < FAILURES_MAX; done++) {
    const result = await runSeed(from + done, folder, undefined, undefined, wanted);
    if (result.error === undefined) continue;
    failures++;
    console.log(describeFailure(result, wanted));
  }
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `${done} seeds from ${from} in ${seconds.toFixed(1)} s (${
      (done / seconds).toFixed(0)
    } a second), ` +
      `${failures} failed`,
  );
  return failures === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
