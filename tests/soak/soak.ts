/**
 * A long run of the real daemon against the real firewall programs, on a machine of its own
 * (network, mount and process namespaces): a mixed feed, reconnects, flushes, SIGHUPs, `-a` and
 * `-d`. In the end nothing may have grown.
 *
 * `deno task soak [-- --seconds=600] [--rate=20000] [--backend=iptables] [--compiled]`; the other
 * backends are `ipset` and `nftables`.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { readOptions, refuse, wholeNumber } from "../../tools/options.ts";
import { BlockDatabase } from "../../src/blocks/database.ts";
import type { Status } from "../../src/telemetry/status.ts";
import { askStatus, statusSocketPath } from "../../src/telemetry/status_socket.ts";
import { compiledAmpere } from "../e2e/executable.ts";
import { FAMILIES, makeChain, must } from "../e2e/machine.ts";
import { Program, runToEnd } from "../e2e/program.ts";
import { sh, until } from "../support/namespace.ts";
import { Dice } from "../simulation/dice.ts";
import type { FeederReport } from "./feeder.ts";

const MAIN = fileURLToPath(new URL("../../main.ts", import.meta.url));
const FEEDER = fileURLToPath(new URL("./feeder.ts", import.meta.url));
const CONFIG_FILE = "/etc/ampere/ampere.cfg";
const DATABASE = "/var/lib/ampere/ampere.db";

/** How often is measured, in milliseconds. */
const SAMPLE_MS = 1_000;

/** How long the daemon may leave a question unanswered, in milliseconds. */
const DEAF_MAX_MS = 5_000;

/** After how many samples a line is printed. */
const PROGRESS_SAMPLES = 60;

/** How often something is done to the daemon, in milliseconds. */
const DISTURB_MS = 1_500;

/** Seconds between two reconnects. */
const RECONNECT_SECONDS = 7;

/** The part of the run in which everything may still grow. */
const WARM_UP = 0.4;

/**
 * The feed must have been taken at this share of its rate at least: one that stands still is seen,
 * and a machine that is slow, or has other things to do, is not blamed on the daemon.
 */
const TAKEN_MIN = 0.25;

/** What others block and release by hand. */
const BY_HAND = ["100.64.0.0/16", "100.65.1.2", "2001:db8:ff::/48"];

/**
 * The folders of an installed Ampere, empty; the last command is not `exec`: the shell takes care
 * of orphans.
 */
const PREPARE = `
  mount -t tmpfs none /run
  mkdir /run/etc && cp -a /etc/. /run/etc && mount --bind /run/etc /etc
  mount -t tmpfs none /var/lib
  rm -rf /etc/ampere && mkdir /etc/ampere /var/lib/ampere
  ip link set lo up
  "$@"`;

const UNSHARE = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];

interface Options {
  readonly seconds: number;
  readonly rate: number;
  readonly backend: string;
  /** How the daemon is started, but for its options. */
  readonly command: readonly string[];
}

/** What is measured, and by how much it may be larger in the late window than in the early one. */
interface Measure {
  readonly name: string;
  readonly unit: string;
  /** Share of the early value. */
  readonly growth: number;
  /** What is added to that. */
  readonly slack: number;
}

const MEASURES = {
  memory: { name: "memory (VmRSS)", unit: "MiB", growth: 0.1, slack: 32 },
  files: { name: "file descriptors", unit: "", growth: 0, slack: 4 },
  processes: { name: "child processes", unit: "", growth: 0, slack: 2 },
  children: { name: "memory of child processes", unit: "MiB", growth: 0.3, slack: 24 },
  watched: { name: "hosts watched", unit: "", growth: 0.1, slack: 30 },
  standing: { name: "hosts in good standing", unit: "", growth: 0.1, slack: 30 },
  waiting: { name: "attempts waiting", unit: "", growth: 0.3, slack: 200 },
  blocks: { name: "blocks", unit: "", growth: 0.1, slack: 30 },
  applied: { name: "blocks in the firewall", unit: "", growth: 0.1, slack: 30 },
  queued: { name: "changes queued", unit: "", growth: 0.5, slack: 100 },
  held: { name: "changes refused", unit: "", growth: 0, slack: 0 },
  owed: { name: "changes owed to the database", unit: "", growth: 0.5, slack: 20 },
  database: { name: "database with its log", unit: "KiB", growth: 0.2, slack: 512 },
} satisfies Record<string, Measure>;

type MeasureName = keyof typeof MEASURES;
type Sample = Readonly<Record<MeasureName, number>>;

async function main(): Promise<number> {
  const { values } = readOptions({
    options: {
      seconds: { type: "string", default: "600" },
      rate: { type: "string", default: "20000" },
      backend: { type: "string", default: "iptables" },
      compiled: { type: "boolean", default: false },
      executable: { type: "string" },
      inside: { type: "boolean", default: false },
    },
  });
  const seconds = wholeNumber("seconds", values.seconds, 1);
  const rate = wholeNumber("rate", values.rate, 1);
  if (!["iptables", "ipset", "nftables"].includes(values.backend)) {
    refuse(`--backend=${values.backend}: there are iptables, ipset, nftables`);
  }
  const executable = values.compiled ? await compiledAmpere() : values.executable;
  if (values.inside) {
    return await soak({
      seconds,
      rate,
      backend: values.backend,
      command: executable === undefined
        ? [Deno.execPath(), "run", "-A", "--no-check", MAIN]
        : [executable],
    });
  }
  const options = ["--inside", `--seconds=${values.seconds}`, `--rate=${values.rate}`];
  options.push(`--backend=${values.backend}`);
  if (executable !== undefined) options.push(`--executable=${executable}`);
  const self = [Deno.execPath(), "run", "-A", "--no-check", import.meta.url];
  const child = new Deno.Command("unshare", {
    args: [...UNSHARE, "sh", "-ec", PREPARE, "sh", ...self, ...options],
    stdin: "null",
  }).spawn();
  return (await child.status).code;
}

async function soak(options: Options): Promise<number> {
  if (options.backend !== "nftables") await makeChain();
  writeConfig(options, 0);
  let report: FeederReport = { sent: 0, logins: 0 };
  await using feeder = new Program(
    [
      Deno.execPath(),
      "run",
      "-A",
      "--no-check",
      FEEDER,
      `--rate=${options.rate}`,
      `--reconnect=${RECONNECT_SECONDS}`,
    ],
    {},
    (line) => report = JSON.parse(line),
  );
  await until("the feeder speaks", () => feeder.lines.length > 0);
  await using daemon = new Program([...options.command, "-c", CONFIG_FILE]);
  await daemon.said(/logged in at/);

  const start = performance.now();
  const passed = () => (performance.now() - start) / 1000;
  const samples: { at: number; sample: Sample }[] = [];
  const disturbances = disturb(options, daemon, () => passed() < options.seconds - 3);
  const first = { status: await status(), sent: report.sent, at: passed() };
  while (passed() < options.seconds) {
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    const sample = await measure(daemon);
    samples.push({ at: passed(), sample });
    if (samples.length % PROGRESS_SAMPLES === 0) {
      console.log(
        `${passed().toFixed(0)} s: ${sample.blocks} blocks, ${sample.watched} hosts, ` +
          `${sample.memory.toFixed(0)} MiB, status after ${slowestAnswerMs.toFixed(0)} ms at most`,
      );
    }
  }
  const last = { status: await status(), sent: report.sent, at: passed() };
  const counts = await disturbances;
  const memory = samples.map(({ sample }) => Math.round(sample.memory));
  const step = Math.max(1, Math.floor(memory.length / 20));
  console.log(`memory over time, MiB: ${memory.filter((_, i) => i % step === 0).join(" ")}`);

  const seconds = last.at - first.at;
  const taken = last.status.events.total - first.status.events.total;
  const sent = last.sent - first.sent;
  const warm = options.seconds * WARM_UP;
  const middle = warm + (options.seconds - warm) / 2;
  const early = samples.filter(({ at }) => at >= warm && at < middle).map(({ sample }) => sample);
  const late = samples.filter(({ at }) => at >= middle).map(({ sample }) => sample);
  const problems = compare(early, late);
  console.log(
    `${seconds.toFixed(0)} s: ${sent} events sent, ${taken} taken (${
      Math.round(taken / seconds)
    } a second), ` +
      `${last.status.asterisk.logins} logins, ${last.status.blocks.added} blocks made, ` +
      `${last.status.blocks.removed} ended, ${last.status.firewall.commands} firewall commands ` +
      `(${last.status.firewall.failures} failed); disturbed by ${counts}`,
  );
  if (taken < TAKEN_MIN * options.rate * seconds) {
    problems.push(`of ${options.rate} events a second ${Math.round(taken / seconds)} were taken`);
  }
  if (taken < 0.99 * sent - 2 * options.rate) problems.push("events were lost");

  daemon.signal("SIGTERM");
  feeder.signal("SIGTERM");
  const { code } = await daemon.end();
  if (code !== 0) problems.push(`the daemon ended with ${code}`);
  const differs = await kernelDiffers(options);
  if (differs !== undefined) problems.push(differs);
  for (const problem of problems) console.log(`NOT IN ORDER: ${problem}`);
  console.log(problems.length === 0 ? "flat" : daemon.lines.slice(-20).join("\n"));
  return problems.length === 0 ? 0 : 1;
}

/** Blocks and memories are short, so that all tables turn over many times. */
function writeConfig({ backend }: Options, loyalty: number): void {
  Deno.writeTextFileSync(
    CONFIG_FILE,
    [
      "host = 127.0.0.1",
      "port = 5038",
      `loyalty = ${3 + loyalty % 2}`,
      `backend = ${backend}`,
      "bantime = 5s",
      "patience = 1s",
      "forget = 5s",
      "credit = 5s",
      "verify = 5s",
      // Its blocks come in bursts: how many there are would say nothing of what grows.
      "guard_hosts = 0",
      `database = ${DATABASE}`,
      "",
    ].join("\n"),
  );
}

/**
 * The longest that the daemon took to tell its status, in milliseconds: how long it did nothing
 * else.
 */
let slowestAnswerMs = 0;

async function status(): Promise<Status> {
  const asked = performance.now();
  for (;;) {
    try {
      const answer = await askStatus(await statusSocketPath(DATABASE));
      slowestAnswerMs = Math.max(slowestAnswerMs, performance.now() - asked);
      return JSON.parse(answer);
    } catch (error) {
      // A machine that does not run for two seconds is not the daemon's fault.
      if (performance.now() - asked > DEAF_MAX_MS) throw error;
    }
  }
}

/** What others do to the table; it may just not be there. */
const NFT_FLUSHES = [
  ["flush", "ruleset"],
  ["delete", "table", "inet", "ampere"],
  ["flush", "set", "inet", "ampere", "hosts4"],
  ["flush", "chain", "inet", "ampere", "incoming"],
];

/** Does to the daemon what happens to daemons; gives the counts in words. */
async function disturb(
  options: Options,
  daemon: Program,
  goesOn: () => boolean,
): Promise<string> {
  const dice = new Dice(1);
  const counts = new Map<string, number>();
  const deeds: Record<string, () => Promise<unknown>> = {
    flushes: () =>
      options.backend === "nftables"
        ? sh("nft", ...dice.pick(NFT_FLUSHES))
        : must(dice.pick(FAMILIES), "-w", "-F", "ampere"),
    SIGHUPs: () => {
      writeConfig(options, dice.int(0, 1));
      return Promise.resolve(daemon.signal("SIGHUP"));
    },
    SIGUSR1s: () => Promise.resolve(daemon.signal("SIGUSR1")),
    additions: () => runToEnd([...options.command, "-c", CONFIG_FILE, "-a", dice.pick(BY_HAND)]),
    deletions: () => runToEnd([...options.command, "-c", CONFIG_FILE, "-d", dice.pick(BY_HAND)]),
  };
  if (options.backend === "nftables") {
    deeds["deaths of nft"] = () => Promise.resolve(endNft(dice));
  }
  while (goesOn() && !daemon.over) {
    const [name, deed] = dice.pick(Object.entries(deeds));
    await deed();
    counts.set(name, (counts.get(name) ?? 0) + 1);
    await new Promise((resolve) => setTimeout(resolve, DISTURB_MS));
  }
  return [...counts].map(([name, count]) => `${count} ${name}`).join(", ");
}

/** The process of the daemon, once it has said so. */
let daemonPid = 0;

/** One of the programs that stay is killed, or hangs. */
function endNft(dice: Dice): void {
  const stay = childrenOf(daemonPid).filter((pid) =>
    /\0-i\0|\0monitor\0/.test(textOf(`/proc/${pid}/cmdline`))
  );
  if (stay.length === 0) return;
  try {
    Deno.kill(dice.pick(stay), dice.pick(["SIGKILL", "SIGSTOP"]));
  } catch {
    // It has just ended.
  }
}

async function measure(daemon: Program): Promise<Sample> {
  const { hosts, blocks, firewall, database, pid } = await status();
  daemonPid = pid;
  return {
    memory: residentMiB(pid),
    files: [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
    processes: childrenOf(pid).length,
    children: childrenOf(pid).reduce((sum, child) => sum + residentMiB(child), 0),
    watched: hosts.watched,
    standing: hosts.inGoodStanding,
    waiting: hosts.attemptsWaiting,
    blocks: blocks.count,
    applied: firewall.applied,
    queued: firewall.queued,
    held: firewall.held,
    owed: database.owed,
    database: ["", "-wal", "-shm"].reduce((sum, end) => sum + sizeOf(DATABASE + end), 0) / 1024,
    ...(daemon.over ? { memory: NaN } : {}),
  };
}

/** None for a process that has just ended. */
function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0) / 1024;
}

/** Zombies count too. */
function childrenOf(pid: number): number[] {
  const children: number[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = textOf(`/proc/${name}/stat`);
    if (Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === pid) {
      children.push(Number(name));
    }
  }
  return children;
}

/** Nothing of a process that has just ended. */
function textOf(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

/** Prints the table; tells what has grown. */
function compare(early: readonly Sample[], late: readonly Sample[]): string[] {
  const problems: string[] = [];
  const rows = (Object.entries(MEASURES) as [MeasureName, Measure][]).map(([key, measure]) => {
    const [before, after] = [early, late].map((samples) => samples.map((sample) => sample[key]));
    const [a, b] = [median(before!), median(after!)];
    const isFlat = b <= a * (1 + measure.growth) + measure.slack;
    if (!isFlat) problems.push(`${measure.name} grew from ${a.toFixed(1)} to ${b.toFixed(1)}`);
    return {
      measure: measure.unit === "" ? measure.name : `${measure.name}, ${measure.unit}`,
      "early: median": rounded(a),
      "early: max": rounded(Math.max(...before!)),
      "late: median": rounded(b),
      "late: max": rounded(Math.max(...after!)),
      flat: isFlat ? "yes" : "NO",
    };
  });
  console.table(rows);
  return problems;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

function rounded(value: number): number {
  return Number(value.toFixed(1));
}

/** The rules stay when the daemon has ended: they must be those of the list. */
async function kernelDiffers({ backend }: Options): Promise<string | undefined> {
  // What `-l` shows would leave out what has ended since.
  using list = BlockDatabase.open(DATABASE, { readOnly: true });
  const listed = list.entries().map(({ target }) => target).sort();
  const found: string[] = [];
  if (backend === "nftables") found.push(...await inTable());
  else {for (const [program, set] of [["iptables", "ampere4"], ["ip6tables", "ampere6"]] as const) {
      const { out } = backend === "ipset"
        ? await sh("ipset", "save", set)
        : await sh(program, "-w", "-S", "ampere");
      const pattern = backend === "ipset"
        ? /^add \S+ (\S+)/gm
        : /^-A ampere -s (\S+?)(?:\/32|\/128)? /gm;
      for (const match of out.matchAll(pattern)) found.push(match[1]!);
    }}
  found.sort();
  return found.join() === listed.join()
    ? undefined
    : `the kernel blocks ${found.length} targets, the list has ${listed.length}`;
}

async function inTable(): Promise<string[]> {
  const { out } = await sh("nft", "-s", "list", "table", "inet", "ampere");
  const sets = out.matchAll(
    /set (?:hosts|networks)[46](?:_(\d+))? \{[^}]*?elements = \{([^}]*)\}/g,
  );
  return [...sets].flatMap(([, length, elements]) =>
    elements!.split(",").map((element) => element.trim().split(" ")[0]!)
      .map((address) => length === undefined ? address : `${address}/${length}`)
  );
}

if (import.meta.main) Deno.exit(await main());
