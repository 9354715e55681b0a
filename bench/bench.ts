/**
 * Measures what Ampere promises to be fast at, each figure with its target beside it.
 *
 * ```sh
 * deno task bench                     # all, less than 5 minutes; needs root
 * deno task bench reader restart      # some: reader memory single burst restart commands packets
 *                                     # fleet
 * deno task bench page                # four minutes, and only when it is asked for
 * deno task bench --write             # all; writes docs/benchmark.svg and bench/README.md's table
 * deno task bench --executable=PATH   # with an executable that is there, allowed to write /tmp
 * ```
 *
 * Everything runs in a network namespace of its own, so the machine's firewall is not touched.
 *
 * @module
 */

import { join } from "node:path";
import { readOptions } from "../tools/options.ts";
import { compile, PROJECT, V8_FLAGS } from "../tools/compile.ts";
import {
  extrapolateProcesses,
  measureBurst,
  measureSingle,
  measureSingleProcesses,
} from "./blocking.ts";
import { mixedFeed, sipFeed } from "./feed.ts";
import { measureFleet } from "./fleet.ts";
import { makeFirewall, switchFirewall } from "./firewall.ts";
import { additionsPerSecond, describeMachine } from "./machine.ts";
import { Manager } from "./manager.ts";
import { PacketProbe } from "./native.ts";
import { measureFirstBytes, measureLoads, measureReaderBeside } from "./page.ts";
import { measurePacket, measurePacketWithNetworks, mixedTargets } from "./packets.ts";
import { drawCharts, type Series } from "./plot.ts";
import { type BackendName, must, storeBlocks } from "./process.ts";
import {
  measureCollections,
  measureEmptyProgram,
  measureIdleWithChildren,
  measureMemory,
  measurePlainLoop,
  measureReader,
  type ReaderResult,
} from "./reader.ts";
import {
  fillChain,
  listArguments,
  measureBareRestore,
  measureCommand,
  measureLongRestart,
  measureRestart,
  storedHosts,
} from "./starting.ts";
import { median, percentile } from "./statistics.ts";
import {
  type Figure,
  formatTable,
  isMet,
  mebibytes,
  microseconds,
  milliseconds,
  perSecond,
  seconds,
} from "./table.ts";

/** Set in the process that runs inside the namespace: the folder of the executables. */
const INSIDE = "AMPERE_BENCH_FOLDER";

const SVG = join(PROJECT, "docs/benchmark.svg");
const README = join(PROJECT, "bench/README.md");
const BEGIN = "<!-- results: written by deno task bench --write -->";
const END = "<!-- end of results -->";

const BACKENDS = ["iptables", "ipset", "nftables"] as const;

const EVENTS = 1_000_000;
const EVENTS_SIP = 400_000;
const EVENTS_WITH_BLOCKS = 200_000;
const SPOOFED_HOSTS = 1_000_000;
const BURST = 5_000;
const SINGLES = 200;
const SINGLE_PROCESSES = 60;
const FULL_CHAIN = 10_000;
const FULL_SET = 100_000;
const VERY_LONG = 1_000_000;
/** Blocks of the list that visitors of the page look at, and how often one does. */
const LISTED = 200_000;
const LIST_LOADS = 20;
/** Loads of the page while events flow. */
const PAGE_LOADS = 10_000;
const PAGE_PAIRS = 5;
const MIXED = { hosts: 100_000, networks: 1_000 } as const;
const STORED = [1_000, 10_000, 25_000, 50_000] as const;
const PACKET_BLOCKS = [0, 1_000, 5_000, 10_000, 25_000, 50_000] as const;
/** Bounds for one attacker, in milliseconds. */
const SINGLE_MS = { median: 4, p99: 10 } as const;
/** The same with the programs of nftables that stay. */
const RESIDENT_MS = { median: 0.6, p99: 2 } as const;
/**
 * With thousands of rules most of the time is that of iptables: the bounds are what the original
 * needs.
 */
const ORIGINAL_FULL_CHAIN_MS = { median: 10.3, p99: 18.4 } as const;
/** How often what takes a part of a second is measured; the median counts. */
const REPETITIONS = 3;

/** What takes so long that it is measured only when it is asked for. */
const ASKED_FOR: readonly string[] = ["page"];

/** The programs that are measured. */
interface Programs {
  readonly ampere: string;
  readonly empty: string;
  readonly readOnly: string;
}

/** One run inside the namespace. */
class Bench {
  readonly figures: Figure[] = [];
  readonly packetSeries: Series[] = [];
  readonly restartSeries: Series[] = [];
  readonly #programs: Programs;
  readonly #folder: string;
  readonly #manager = new Manager();
  readonly #probe = new PacketProbe();
  #folders = 0;

  constructor(folder: string) {
    this.#folder = folder;
    this.#programs = programsIn(folder);
  }

  async reader(): Promise<void> {
    const manager = this.#manager;
    const command = [this.#programs.ampere];
    const feed = mixedFeed();
    // The guard of accounts blocks some hosts all the same, and the feed's own packets would be
    // compared with each of their rules.
    switchFirewall("ipset", false);
    const plain = await measurePlainLoop(manager, this.#programs.readOnly, feed, EVENTS);
    const limit = rate(plain);
    const besides = (result: ReaderResult) =>
      `${(result.cpuSeconds / result.events * 1e6).toFixed(2)} µs of CPU an event; ` +
      `${(limit / rate(result)).toFixed(1)} times the time of a loop that only reads ` +
      `(${perSecond(limit)})`;
    const results = await repeat(
      (folder) => measureReader(manager, { command, folder, feed, events: EVENTS, blocks: false }),
      this,
    );
    results.sort((a, b) => rate(a) - rate(b));
    const mixed = results[Math.floor(results.length / 2)]!;
    this.#add({
      what: "security events, mixed feed, nobody blocked",
      value: rate(mixed),
      format: perSecond,
      target: { kind: "at least", value: 1_000_000 },
      beside: besides(mixed),
    });
    this.#add({
      what: "longest pause of the reader in that feed",
      value: median(results.map((result) => result.longestPauseMs)),
      format: milliseconds,
      beside: `${milliseconds(plain.longestPauseMs)} of the loop that only reads`,
    });
    const sip = await measureReader(manager, {
      command,
      folder: this.folder(),
      feed: sipFeed(),
      events: EVENTS_SIP,
      blocks: false,
    });
    this.#add({
      what: "chan_sip events only",
      value: rate(sip),
      format: perSecond,
      beside: besides(sip),
    });
    switchFirewall("ipset", true);
    const blocks = await measureReader(manager, {
      command,
      folder: this.folder(),
      feed,
      events: EVENTS_WITH_BLOCKS,
      blocks: true,
    });
    this.#add({
      what: "mixed feed, attackers blocked meanwhile",
      value: rate(blocks),
      format: perSecond,
      beside: `${blocks.blocked.toLocaleString("en")} hosts blocked, one in ${
        Math.round(blocks.events / blocks.blocked)
      } events`,
    });
    const stops = await measureCollections(manager, {
      command: [
        Deno.execPath(),
        "run",
        "-A",
        `--v8-flags=--trace-gc,${V8_FLAGS}`,
        join(PROJECT, "main.ts"),
      ],
      folder: this.folder(),
      feed,
      events: EVENTS,
    });
    this.#add({
      what: "longest stop for garbage collection",
      value: stops[0]!,
      format: milliseconds,
      target: { kind: "at most", value: 10 },
      beside: `${stops.length} stops, median ${milliseconds(median(stops))} (from source)`,
    });
  }

  async memory(): Promise<void> {
    const empty = await measureEmptyProgram(this.#programs.empty);
    const { idle, afterFlood, hosts } = await measureMemory(this.#manager, {
      command: [this.#programs.ampere],
      folder: this.folder(),
      hosts: SPOOFED_HOSTS,
    });
    this.#add({
      what: "resident memory, idle",
      value: idle,
      format: mebibytes,
      target: { kind: "at most", value: 60 },
      beside: `${mebibytes(empty)} of an empty program`,
    });
    const { all, own } = await measureIdleWithChildren(this.#manager, {
      command: [this.#programs.ampere],
      folder: this.folder(),
      backend: "nftables",
    });
    this.#add({
      what: "resident memory, idle, nftables with its two programs",
      value: all,
      format: mebibytes,
      target: { kind: "at most", value: 66 },
      beside: `${mebibytes(own)} of Ampere itself`,
    });
    this.#add({
      what: `resident memory after ${hosts.toLocaleString("en")} forged hosts`,
      value: afterFlood,
      format: mebibytes,
      target: { kind: "at most", value: 150 },
    });
  }

  async single(): Promise<void> {
    for (const stored of [0, FULL_CHAIN, FULL_SET]) {
      // So many rules are of no use.
      const backends = BACKENDS.filter((name) => name !== "iptables" || stored < FULL_SET);
      const processes = stored === FULL_SET
        ? undefined
        : measureSingleProcesses(this.#probe, SINGLE_PROCESSES, fillChain, stored);
      for (const backend of backends) {
        const folder = stored === 0 ? this.folder() : this.#copy(this.#stored(stored));
        const times = await measureSingle(this.#manager, this.#probe, {
          command: [this.#programs.ampere],
          folder,
          backend,
          count: SINGLES,
          service: "PJSIP",
          stored,
        });
        const rules = stored === 0 ? "empty" : stored.toLocaleString("en");
        const bounds = backend === "iptables" && stored > 0
          ? ORIGINAL_FULL_CHAIN_MS
          : backend === "nftables"
          ? RESIDENT_MS
          : SINGLE_MS;
        this.#addLatency(`one attacker, ${backend}, ${rules}`, times, bounds, processes);
      }
    }
    const sip = await measureSingle(this.#manager, this.#probe, {
      command: [this.#programs.ampere],
      folder: this.folder(),
      count: SINGLES / 2,
      service: "SIP",
    });
    this.#addLatency("one attacker, iptables, empty, chan_sip", sip, SINGLE_MS);
  }

  #addLatency(
    what: string,
    times: readonly number[],
    bounds: { readonly median: number; readonly p99: number },
    processes?: readonly number[],
  ): void {
    const parts = [["median", 0.5, bounds.median], ["p99", 0.99, bounds.p99]] as const;
    for (const [name, share, bound] of parts) {
      this.#add({
        what: `${what}, ${name}`,
        value: percentile(times, share),
        format: milliseconds,
        target: { kind: "at most", value: bound },
        ...(processes === undefined ? {} : {
          beside: `${
            milliseconds(percentile(processes, share))
          }: an iptables process of one's own, without a daemon`,
        }),
      });
    }
  }

  async burst(): Promise<void> {
    const [, , processes] = extrapolateProcesses(fillChain, [0, BURST / 2, BURST]);
    for (const backend of BACKENDS) {
      // As long as a process of iptables or ipset makes the rules a tenth is out of reach.
      const bound = backend === "nftables" ? 0.1 : 0.3;
      const times = await repeat((folder) =>
        measureBurst(this.#manager, this.#probe, {
          command: [this.#programs.ampere],
          folder,
          backend,
          count: BURST,
        }), this);
      this.#add({
        what: `${BURST.toLocaleString("en")} attackers together, ${backend}`,
        value: median(times),
        format: seconds,
        target: { kind: "at most", value: bound },
        beside: `${seconds(processes!)} with an iptables process for each (extrapolated)`,
      });
    }
  }

  async restart(): Promise<void> {
    const processes = extrapolateProcesses(fillChain, [0, ...STORED]);
    for (const backend of BACKENDS) {
      const points: [number, number][] = [];
      for (const [i, stored] of STORED.entries()) {
        const folder = this.#stored(stored);
        const options = { command: [this.#programs.ampere], folder, backend, stored };
        const times = await repeat(
          () => measureRestart(this.#manager, this.#probe, options),
          this,
        );
        points.push([stored, median(times)]);
        if (stored < 10_000 || stored === 25_000) continue;
        this.#add({
          what: `restart with ${stored.toLocaleString("en")} blocks, ${backend}`,
          value: median(times),
          format: seconds,
          // Within a second is what a set promises; a rule for each host needs most of it in
          // iptables.
          ...(stored === 50_000 && backend !== "iptables"
            ? { target: { kind: "at most" as const, value: 1 } }
            : {}),
          beside: `${seconds(this.#bare(backend, stored))} of one ${backend} restore by itself; ` +
            `${seconds(processes[i + 1]!)} with an iptables process for each (extrapolated)`,
        });
      }
      this.restartSeries.push({ name: backend, points });
    }
    const { seconds: took, peakMiB } = await measureLongRestart(this.#manager, this.#probe, {
      command: [this.#programs.ampere],
      folder: this.#stored(VERY_LONG),
      backend: "nftables",
      stored: VERY_LONG,
    });
    const what = `restart with ${VERY_LONG.toLocaleString("en")} blocks, nftables`;
    this.#add({
      what,
      value: took,
      format: seconds,
      target: { kind: "at most", value: 7 },
      beside: `${seconds(measureBareRestore("nftables", VERY_LONG))} of one nft by itself`,
    });
    this.#add({
      what: `${what}: most memory, nft included`,
      value: peakMiB,
      format: mebibytes,
      target: { kind: "at most", value: 700 },
    });
  }

  #bare(backend: BackendName, blocks: number): number {
    return median(Array.from({ length: REPETITIONS }, () => measureBareRestore(backend, blocks)));
  }

  commands(): void {
    const { ampere, empty } = this.#programs;
    for (const [stored, bound] of [[10_000, 90], [50_000, 300]] as const) {
      const args = listArguments(this.#stored(stored));
      this.#add({
        what: `-l with ${stored.toLocaleString("en")} blocks`,
        value: median(measureCommand(ampere, args, 15, stored)),
        format: milliseconds,
        target: { kind: "at most", value: bound },
      });
    }
    this.#add({
      what: "-h",
      value: median(measureCommand(ampere, ["-h"], 31)),
      format: milliseconds,
      target: { kind: "at most", value: 60 },
      beside: `${milliseconds(median(measureCommand(empty, ["-h"], 31)))} of an empty program`,
    });
  }

  async fleet(): Promise<void> {
    const result = await measureFleet(this.#programs.ampere, this.folder());
    const { lags, whole, burst, away, idle, idleAlone, memory } = result;
    this.#add({
      what: "a block of one PBX in the kernel of another, nftables, median",
      value: median(lags),
      format: milliseconds,
      target: { kind: "at most", value: 5 },
      beside: `${milliseconds(median(whole))} from the last attempt`,
    });
    this.#add({
      what: "the same, 99 of 100",
      value: percentile(lags, 0.99),
      format: milliseconds,
      target: { kind: "at most", value: 50 },
    });
    this.#add({
      what: "5 PBXs, each attacked by 2,000 hosts at once, all kernels equal",
      value: burst,
      format: seconds,
      target: { kind: "at most", value: 3 },
    });
    this.#add({
      what: "a PBX that was away for 100,000 changes is equal",
      value: away,
      format: seconds,
      target: { kind: "at most", value: 5 },
    });
    this.#add({
      what: "processor of an idle PBX of a fleet, per cent of a core",
      value: (idle - idleAlone) * 100,
      format: (value) => `${value.toFixed(2)} %`,
      target: { kind: "at most", value: 1 },
      beside: `more than ${(idleAlone * 100).toFixed(2)} % without`,
    });
    this.#add({
      what: "resident memory that a fleet adds, idle",
      value: memory[0] - memory[1],
      format: mebibytes,
      target: { kind: "at most", value: 8 },
      beside: `${mebibytes(memory[1])} without`,
    });
  }

  async page(): Promise<void> {
    const command = [this.#programs.ampere];
    const feed = mixedFeed();
    const stored = this.#copy(this.#stored(LISTED));
    const { idle, beside, rate: flowed } = await measureFirstBytes(this.#manager, {
      command,
      folder: stored,
      feed,
      loads: LIST_LOADS,
    });
    const list = `the page with ${LISTED.toLocaleString("en")} blocks`;
    for (const [when, visits] of [["idle", idle], ["beside the flow", beside]] as const) {
      if (visits.failed > 0) throw new Error(`${visits.failed} loads failed`);
      this.#add({
        what: `${list}, ${when}: first byte, median`,
        value: median(visits.firstByteMs),
        format: milliseconds,
        target: { kind: "at most", value: 50 },
        beside: `95 of 100 ${milliseconds(percentile(visits.firstByteMs, 0.95))}; whole ${
          milliseconds(median(visits.wholeMs))
        }${when === "idle" ? "" : `; ${perSecond(flowed)} events`}`,
      });
    }
    this.#add({
      what: `${list}: its length`,
      value: Math.max(idle.bytes, beside.bytes) / 1000,
      format: (value) => `${value.toFixed(0)} kB`,
      target: { kind: "at most", value: 100 },
    });
    const { pairs, loads } = await measureReaderBeside(this.#manager, {
      command,
      folder: this.folder(),
      feed,
      events: EVENTS,
      times: PAGE_PAIRS,
    });
    this.#add({
      what: "mixed feed beside visitors of the page, part of its rate",
      value: median(pairs.map(([without, beside]) => beside / without)),
      format: (value) => `${(100 * value).toFixed(0)} %`,
      target: { kind: "at least", value: 0.9 },
      beside: `${perSecond(median(pairs.map(([without]) => without)))} without; ${loads} loads`,
    });
    const after = await measureLoads(this.#manager, {
      command,
      folder: this.folder(),
      feed,
      loads: PAGE_LOADS,
    });
    const { memory: [before, , afterwards], seconds: took, rate: kept, visits } = after;
    const [aloneBefore, , aloneAfterwards] = after.alone;
    if (visits.failed > 0) throw new Error(`${visits.failed} loads failed`);
    this.#add({
      what: `memory that ${PAGE_LOADS.toLocaleString("en")} loads of the page leave behind`,
      value: Math.max(0, afterwards - before - (aloneAfterwards - aloneBefore)),
      format: mebibytes,
      target: { kind: "at most", value: 5 },
      beside: `from ${mebibytes(before)} to ${mebibytes(afterwards)}; with the events alone from ${
        mebibytes(aloneBefore)
      } to ${mebibytes(aloneAfterwards)}; ${seconds(took)} beside ${perSecond(kept)}; a load ${
        milliseconds(median(visits.wholeMs))
      }`,
    });
  }

  async packets(): Promise<void> {
    const mixed = this.folder();
    storeBlocks(this.#programs.ampere, mixed, mixedTargets(MIXED.hosts, MIXED.networks));
    for (const backend of ["ipset", "nftables"] as const) {
      const options = { command: [this.#programs.ampere], folder: mixed, backend };
      const { cost, free } = await measurePacketWithNetworks(
        this.#manager,
        this.#probe,
        options,
        MIXED.hosts,
      );
      this.#add({
        what: `a packet, 100,000 hosts and 1,000 networks of ten lengths, ${backend}`,
        value: cost,
        format: microseconds,
        ...(backend === "nftables" ? { target: { kind: "at most", value: 1.12 * free } } : {}),
        beside: `${microseconds(free)} with no block: ${(cost / free).toFixed(2)} times`,
      });
    }
    for (const backend of BACKENDS) {
      const points = PACKET_BLOCKS.map((blocks) =>
        [blocks, measurePacket(this.#probe, backend, blocks)] as const
      );
      const free = points[0]![1];
      this.packetSeries.push({ name: backend, points });
      for (const [blocks, cost] of points) {
        if (blocks !== 10_000 && blocks !== 50_000) continue;
        this.#add({
          what: `a packet, ${blocks.toLocaleString("en")} blocks, ${backend}`,
          value: cost,
          format: microseconds,
          beside: `${microseconds(free)} with no block: ${(cost / free).toFixed(1)} times`,
        });
      }
    }
  }

  /** A new folder for a database. */
  folder(): string {
    const folder = join(this.#folder, `run${++this.#folders}`);
    Deno.mkdirSync(folder);
    return folder;
  }

  /** A folder with so many blocks, made once. */
  #stored(count: number): string {
    const folder = join(this.#folder, `stored${count}`);
    try {
      Deno.statSync(folder);
    } catch {
      storeBlocks(this.#programs.ampere, folder, storedHosts(count));
    }
    return folder;
  }

  #copy(folder: string): string {
    const copy = this.folder();
    Deno.copyFileSync(join(folder, "ampere.db"), join(copy, "ampere.db"));
    return copy;
  }

  #add(figure: Figure): void {
    this.figures.push(figure);
    const { what, value, format, beside = "" } = figure;
    const mark = isMet(figure) === false ? "  << target missed" : "";
    console.error(`${what}: ${format(value)} (${beside})${mark}`);
  }
}

const PARTS = [
  "reader",
  "memory",
  "single",
  "burst",
  "restart",
  "commands",
  "packets",
  "fleet",
  "page",
] as const;

function rate(result: ReaderResult): number {
  return result.events / result.seconds;
}

async function repeat<T>(run: (folder: string) => Promise<T>, bench: Bench): Promise<T[]> {
  const results: T[] = [];
  for (let i = 0; i < REPETITIONS; i++) results.push(await run(bench.folder()));
  return results;
}

function programsIn(folder: string): Programs {
  return {
    ampere: join(folder, "ampere"),
    empty: join(folder, "empty"),
    readOnly: join(folder, "read-only"),
  };
}

/** Compiles the programs; gives the runtime inside them. */
async function makePrograms(folder: string, executable: string | undefined): Promise<string> {
  const { ampere, empty, readOnly } = programsIn(folder);
  const make = (entry: string, output: string) =>
    compile({
      entry: join(PROJECT, entry),
      root: PROJECT,
      output,
      allowPaths: [folder],
      denort: "auto",
    });
  await make("bench/programs/read_only.ts", readOnly);
  const { runtime } = await make("bench/programs/empty.ts", empty);
  if (executable !== undefined) await Deno.copyFile(executable, ampere);
  else await make("main.ts", ampere);
  return runtime;
}

async function runInside(folder: string, parts: readonly string[], write: boolean, about: string) {
  makeFirewall();
  const bench = new Bench(folder);
  const load = Deno.loadavg()[0]!;
  const start = performance.now();
  const speeds = [additionsPerSecond()];
  for (const part of PARTS) {
    if (!parts.includes(part)) continue;
    await bench[part]();
    speeds.push(additionsPerSecond());
  }
  const speed = [Math.min(...speeds), Math.max(...speeds)].map((n) => (n / 1e9).toFixed(1));
  const took = Math.round((performance.now() - start) / 1000);
  const missed = bench.figures.filter((figure) => isMet(figure) === false).length;
  const text = `${formatTable(bench.figures)}\n\n${about}; load before it ${
    load.toFixed(1)
  }; one core adds ${
    speed.join(" to ")
  } billion times a second; ${took} s; ${missed} targets missed\n`;
  console.log(text);
  if (!write) return;
  Deno.writeTextFileSync(
    SVG,
    drawCharts([
      {
        title: "A packet of an innocent phone",
        xLabel: "hosts blocked",
        series: bench.packetSeries,
        format: (y) => `${Number(y.toPrecision(3))} µs`,
      },
      {
        title: "Restart: all blocks in the kernel",
        xLabel: "hosts blocked",
        series: bench.restartSeries,
        format: (y) => `${Number(y.toPrecision(2))} s`,
      },
    ], "Measured by deno task bench; bench/README.md says on what and how"),
  );
  const [before, rest] = Deno.readTextFileSync(README).split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`${README} has no place for the results`);
  Deno.writeTextFileSync(README, `${before}${BEGIN}\n\n${text}\n${END}${after}`);
  must(Deno.execPath(), ["fmt", "--quiet", README, SVG]);
}

/** Compiles, then runs this module again in namespaces. */
async function runOutside(args: readonly string[], executable: string | undefined) {
  const folder = await Deno.makeTempDir({ prefix: "ampere-bench-" });
  try {
    console.error("compiling");
    const about = describeMachine(await makePrograms(folder, executable));
    const { code } = await new Deno.Command("unshare", {
      args: [
        "--net",
        "--mount",
        "sh",
        "-c",
        'mount -t tmpfs none /run && exec "$@"',
        "sh",
        Deno.execPath(),
        "run",
        "-A",
        import.meta.filename!,
        ...args,
        `--about=${about}`,
      ],
      env: { [INSIDE]: folder },
      stdin: "null",
      stdout: "inherit",
      stderr: "inherit",
    }).output();
    return code;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = readOptions({
    args: [...args],
    options: {
      write: { type: "boolean", default: false },
      executable: { type: "string" },
      about: { type: "string", default: "" },
    },
    allowPositionals: true,
  });
  const unknown = positionals.find((part) => !PARTS.some((known) => known === part));
  if (unknown !== undefined || (values.write && positionals.length > 0)) {
    console.error(
      unknown === undefined
        ? "--write needs all parts"
        : `there is no part "${unknown}"; there are ${PARTS.join(" ")}`,
    );
    return 2;
  }
  if (Deno.uid() !== 0) {
    console.error("the bench makes network namespaces and rules in them: run it as root");
    return 1;
  }
  const folder = Deno.env.get(INSIDE);
  if (folder === undefined) return await runOutside(args, values.executable);
  const parts = positionals.length === 0
    ? PARTS.filter((part) => !ASKED_FOR.includes(part))
    : positionals;
  await runInside(folder, parts, values.write, values.about);
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
