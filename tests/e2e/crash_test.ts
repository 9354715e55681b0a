/**
 * The daemon is killed (SIGKILL) at random moments of a burst of attackers, again and again on the
 * same database. Each time: what the kernel blocked at the kill stands in the database, and after
 * the next start the kernel's rules are the database. With nftables, besides: a start that is
 * killed leaves all in force that was, and no program of nft lives on.
 *
 * Environment: `AMPERE_CRASHES`, how many kills (default 200, two thirds of them with iptables);
 * `AMPERE_SEED`, the seed of another run. A failure names both.
 */

import assert from "node:assert/strict";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { addresses, sh, until } from "../support/namespace.ts";
import { type AmiClientOfServer, AmiServer, isEndOfConnection } from "./ami_server.ts";
import { blockedIn, makeChain, must, onOwnMachine } from "./machine.ts";
import { Program, runToEnd } from "./program.ts";
import { pick, type Random, seeded } from "./random.ts";

const CRASHES = Number(Deno.env.get("AMPERE_CRASHES") ?? 200);

/** More kills by this factor, and it ends in any case. */
const KILLS_FACTOR = 1.5;
const SEED = Number(Deno.env.get("AMPERE_SEED") ?? 1);

/** Daemons at a time, each with a chain, a database and a server of its own. */
const LANES = 4;

/** A lane begins with a new database after so many kills: the list must not grow for ever. */
const KILLS_PER_DATABASE = 25;

/** Attackers of one burst; each guesses three passwords. */
const ATTACKERS = 60;

/**
 * By so much the longest time from the begin of a burst to the kill grows after a kill that came
 * too early, and shrinks after one that came too late, so that slow and fast machines are hit in
 * the middle.
 */
const MOMENT_STEP = 1.15;

/**
 * Every third start is killed in its own work: before, while and after it makes the rules of the
 * list.
 */
const START_KILLED = 1 / 3;

/** Longest time from the start to that kill, in milliseconds: a start takes about half of it. */
const START_MOMENT_MAX_MS = 200;

/** What is killed beside the daemon, or looked at. */
interface Kernel {
  readonly backend: "iptables" | "nftables";
  /** How many kills. */
  readonly crashes: number;
  /** The part of them that must meet a burst in the middle; a burst is shorter with nftables. */
  readonly met: number;
  /** That time for the first kill of a lane, in milliseconds. */
  readonly momentMax: number;
  make(chain: string): Promise<void>;
  /** Somebody takes out all blocks, or a part of them. */
  flush(chain: string, random: Random): Promise<unknown>;
  blocked(chain: string): Promise<Set<string>>;
}

const IPTABLES: Kernel = {
  backend: "iptables",
  crashes: Math.ceil(CRASHES * 2 / 3),
  met: 0.2,
  momentMax: 120,
  make: (chain) => makeChain(chain),
  flush: (chain, random) => must(pick(random, ["iptables", "ip6tables"]), "-w", "-F", chain),
  blocked: blockedIn,
};

const NFTABLES: Kernel = {
  backend: "nftables",
  crashes: Math.ceil(CRASHES / 3),
  met: 0.08,
  momentMax: 300,
  make: () => Promise.resolve(),
  flush: (chain, random) =>
    sh(
      "nft",
      ...pick(random, [["delete", "table", "inet", chain], [
        "flush",
        "set",
        "inet",
        chain,
        pick(random, ["hosts4", "hosts6"]),
      ]]),
    ),
  async blocked(chain) {
    const { out } = await sh("nft", "-s", "list", "table", "inet", chain);
    const sets = out.matchAll(/set hosts[46] \{[^}]*?elements = \{([^}]*)\}/g);
    return new Set(
      [...sets].flatMap(([, elements]) =>
        elements!.split(",").map((element) => element.trim().split(" ")[0]!)
      ),
    );
  },
};

/** What a daemon is run with. */
interface Lane {
  readonly kernel: Kernel;
  readonly command: readonly string[];
  readonly server: AmiServer;
  readonly chain: string;
  readonly database: string;
  readonly random: Random;
  momentMax: number;
}

interface Counts {
  kills: number;
  /** Kills before the first block of the burst was in the kernel. */
  early: number;
  /** Kills after the last. */
  late: number;
  /** Kills in the work of the start. */
  atStart: number;
  /** Rules that were in the kernel at a kill, summed up. */
  rules: number;
  /** Blocks that stood in the database at a kill and not yet in the kernel, summed up. */
  ahead: number;
  lost: number;
  /** Blocks that a start took out of the kernel, and was killed before they were there again. */
  bared: number;
}

onOwnMachine(import.meta.url, (executable) => {
  for (const kernel of [IPTABLES, NFTABLES]) {
    const { backend, crashes } = kernel;
    const name =
      `${backend}: no block is lost by ${crashes} kills at random moments (seed ${SEED})`;
    Deno.test(name, () => crash(executable, kernel));
  }

  Deno.test("nftables: a start that is killed takes nothing out of the kernel", () =>
    bareNobody(executable));
});

/** Stored blocks for {@linkcode bareNobody}, and how many starts with them are killed. */
const STORED = 20_000;
const STARTS_KILLED = 25;

/**
 * A start that is killed while it gives a long list to nft, in pieces: who was kept out still is.
 */
async function bareNobody(executable: string): Promise<void> {
  const random = seeded(SEED);
  await using server = new AmiServer();
  const config = "/etc/ampere/bare.cfg";
  const database = "/var/lib/ampere/bare.db";
  await Deno.writeTextFile(
    config,
    `port = ${server.port}\nchain = bare\ndatabase = ${database}\nbackend = nftables\n`,
  );
  const networks = [10, 17, 20, 24, 28].map((length) => `100.64.0.0/${length}`);
  const targets = [...addresses(STORED), ...networks];
  const added = await runToEnd([executable, "-c", config, "-a"], { stdin: targets.join("\n") });
  assert.equal(added.code, 0, added.err);
  const blocked = async () => {
    const { out } = await sh("nft", "-s", "list", "table", "inet", "bare");
    return [...out.matchAll(/\b(?:11|100)\.\d+\.\d+\.\d+/g)].length;
  };
  let whole = 0;
  let longest = 1_500;
  for (let start = 0; start < STARTS_KILLED; start++) {
    await using daemon = new Program([executable, "-c", config]);
    if (start === 0) {
      await until("all are blocked", async () => (whole = await blocked()) >= targets.length);
    } else await pause(random() * longest);
    const isLate = daemon.text.includes("logged in");
    longest *= isLate ? 0.9 : 1.1;
    daemon.signal("SIGKILL");
    await daemon.end();
    await until("its programs have gone", async () => (await orphans()).length === 0);
    const left = await blocked();
    assert.ok(left >= targets.length, `start ${start}: ${left} of ${whole} are left`);
  }
}

async function crash(executable: string, kernel: Kernel): Promise<void> {
  const counts = { kills: 0, early: 0, late: 0, atStart: 0, rules: 0, ahead: 0, lost: 0, bared: 0 };
  const begun = performance.now();
  await Promise.all(
    Array.from({ length: LANES }, (_, lane) => runLane(executable, kernel, lane, counts)),
  );
  const seconds = ((performance.now() - begun) / 1_000).toFixed(1);
  console.log(
    `${counts.kills} kills in ${seconds} s: ${counts.atStart} in a start, ${counts.early} before ` +
      `the first rule of a burst, ${counts.late} after the last; ${counts.rules} rules were in ` +
      `the kernel at a kill, ${counts.ahead} blocks only in the database, ${counts.lost} lost`,
  );
  assert.equal(counts.lost, 0);
  if (kernel === NFTABLES) {
    assert.equal(counts.bared, 0);
    await must("nft", "add table inet end");
    await must("nft", "delete table inet end");
    await until("no program of nft lives on", async () => (await residents()).length === 0);
  }
  assert.ok(counts.kills >= kernel.crashes);
  // Kills that never meet the work would prove nothing.
  const met = metInMiddle(counts);
  assert.ok(met >= counts.kills * kernel.met, `only ${met} kills met a burst in the middle`);
}

function metInMiddle({ kills, early, late, atStart }: Counts): number {
  return kills - early - late - atStart;
}

/**
 * On a machine that is busy with other things fewer kills meet a burst: then there are more, up to
 * a bound.
 */
function isEnough(counts: Counts, { crashes, met }: Kernel): boolean {
  const { kills } = counts;
  return kills >= KILLS_FACTOR * crashes ||
    (kills >= crashes && metInMiddle(counts) >= kills * met);
}

/** Kills one daemon after the other, until all lanes together have done enough. */
async function runLane(
  executable: string,
  kernel: Kernel,
  number: number,
  counts: Counts,
): Promise<void> {
  const random = seeded(SEED * 1_000 + number);
  const fresh = [...addresses(CRASHES * ATTACKERS, 4), ...addresses(CRASHES * ATTACKERS, 6)]
    .filter((_, index) => index % LANES === number);
  const chain = `${kernel.backend}${number}`;
  const config = `/etc/ampere/${chain}.cfg`;
  let { momentMax } = kernel;
  await kernel.make(chain);
  for (let round = 0; !isEnough(counts, kernel); round++) {
    const database = `/var/lib/ampere/${chain}-${round}.db`;
    await using server = new AmiServer();
    await Deno.writeTextFile(
      config,
      // A short block that has ended is not one that was lost.
      `port = ${server.port}\nchain = ${chain}\ndatabase = ${database}\n` +
        `backend = ${kernel.backend}\nguard_hosts = 0\n`,
    );
    const command = [executable, "-c", config];
    const lane: Lane = { kernel, command, server, chain, database, random, momentMax };
    for (let kill = 0; kill < KILLS_PER_DATABASE && !isEnough(counts, kernel); kill++) {
      const where = `seed ${SEED}, ${chain}, database ${round}, kill ${kill}`;
      if (kill > 0 && random() < START_KILLED) await killAtStart(lane, where, counts);
      const attackers = Array.from(
        { length: ATTACKERS },
        () => fresh.splice(Math.floor(random() * fresh.length), 1)[0]!,
      );
      await killInBurst(lane, attackers, where, counts);
    }
    momentMax = lane.momentMax;
  }
}

async function killAtStart(lane: Lane, where: string, counts: Counts): Promise<void> {
  const { kernel, command, chain, random } = lane;
  // So that the start has something to do: somebody flushed the chain, or a part of it.
  if (random() < 0.5) await kernel.flush(chain, random);
  const before = await kernel.blocked(chain);
  await using daemon = new Program(command);
  await pause(random() * START_MOMENT_MAX_MS);
  counts.kills++;
  counts.atStart++;
  const after = await killAndLook(daemon, lane, where, counts);
  const bared = [...before].filter((target) => !after.has(target));
  if (bared.length > 0) console.log(`bared (${where}): ${bared.length} of ${before.size}`);
  counts.bared += bared.length;
}

async function killInBurst(
  lane: Lane,
  attackers: readonly string[],
  where: string,
  counts: Counts,
): Promise<void> {
  const { command, server, random } = lane;
  await using daemon = new Program(command);
  const client = await daemon.alive(server.client());
  await becomesEqual(lane, where, daemon);
  const burst = tell(client, attackers, random);
  await pause(random() * lane.momentMax);
  counts.kills++;
  const kernel = await killAndLook(daemon, lane, where, counts);
  await burst;
  const done = attackers.filter((attacker) => kernel.has(attacker)).length;
  if (done === 0) {
    counts.early++;
    lane.momentMax *= MOMENT_STEP;
  } else if (done === attackers.length) {
    counts.late++;
    lane.momentMax /= MOMENT_STEP;
  }
}

/** Three wrong passwords of each attacker, mixed, in pieces of random sizes. */
async function tell(
  client: AmiClientOfServer,
  attackers: readonly string[],
  random: Random,
): Promise<void> {
  const guesses = [...attackers, ...attackers, ...attackers];
  for (let i = guesses.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [guesses[i], guesses[j]] = [guesses[j]!, guesses[i]!];
  }
  try {
    // Many writes, with a turn of the event loop between them, so that it takes some time.
    while (guesses.length > 0) {
      const some = guesses.splice(0, 1 + Math.floor(random() * 8));
      await client.send(some.map((address) => wrongAnswer(address)).join(""), random);
    }
  } catch (error) {
    if (!isEndOfConnection(error)) throw error;
  }
}

/** Kills the daemon; what the kernel blocks afterwards must stand in the database. */
async function killAndLook(
  daemon: Program,
  { kernel: { backend, blocked }, chain, database }: Lane,
  where: string,
  counts: Counts,
): Promise<Set<string>> {
  daemon.signal("SIGKILL");
  // A command of the firewall may outlive the daemon by some milliseconds: what it adds is in the
  // database too.
  await daemon.end();
  // Those that stay see the end of their input, and do what there is of a line.
  if (backend === "nftables") {
    await until("its programs have gone", async () => (await orphans()).length === 0);
  }
  const kernel = await blocked(chain);
  const stored = await storedIn(database);
  const lost = [...kernel].filter((target) => !stored.has(target));
  if (lost.length > 0) console.log(`lost (${where}): ${lost.join(" ")}`);
  counts.lost += lost.length;
  counts.rules += kernel.size;
  counts.ahead += stored.size - (kernel.size - lost.length);
  return kernel;
}

/** Waits until the kernel blocks what the database says. */
async function becomesEqual(
  { kernel, chain, database }: Lane,
  where: string,
  daemon: Program,
): Promise<void> {
  const wanted = [...await storedIn(database)].sort().join(" ");
  let seen = "";
  await until("equal", async () => {
    seen = [...await kernel.blocked(chain)].sort().join(" ");
    return seen === wanted;
  }).catch(() => {
    throw new Error(
      `after a start the kernel is not the database (${where})\nkernel:   ${seen}\n` +
        `database: ${wanted}\n${daemon.text}`,
    );
  });
}

/**
 * What the database says, by SQLite's own program; a copy is read, because that program would
 * change the files.
 */
async function storedIn(database: string): Promise<Set<string>> {
  const copy = `/run/copy-of-${database.replace(/.*\//, "")}`;
  for (const suffix of ["", "-wal"]) {
    try {
      await Deno.copyFile(`${database}${suffix}`, `${copy}${suffix}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      await Deno.remove(`${copy}${suffix}`).catch(() => {});
      if (suffix === "") return new Set();
    }
  }
  await Deno.remove(`${copy}-shm`).catch(() => {});
  const query = "SELECT count(*) FROM sqlite_schema WHERE name = 'block'";
  if ((await must("sqlite3", copy, query)).trim() === "0") return new Set();
  const targets = await must("sqlite3", copy, "SELECT target FROM block");
  return new Set(targets.split("\n").filter((target) => target !== ""));
}

/** The programs of nft that run here, each with its parent. */
async function residents(): Promise<{ pid: string; parent: string; command: string }[]> {
  const found: { pid: string; parent: string; command: string }[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    const read = (file: string) => Deno.readTextFile(`/proc/${name}/${file}`).catch(() => "");
    const command = await read("cmdline");
    if (!/^\S*nft\0/.test(command)) continue;
    const [, parent = ""] = /\) \S (\d+)/.exec(await read("stat")) ?? [];
    if (parent !== "") found.push({ pid: name, parent, command });
  }
  return found;
}

/**
 * Those whose parent has died: they belong to the first process then. A monitor that was just
 * beginning changes nothing, and ends of the next change of anybody.
 */
async function orphans(): Promise<string[]> {
  const left = (await residents()).filter(({ parent }) => parent === "1");
  return left.filter(({ command }) => !command.includes("monitor")).map(({ pid }) => pid);
}

/** A random moment is what this test is about; nothing is waited for here. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
