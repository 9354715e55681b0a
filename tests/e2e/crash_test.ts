/**
 * The daemon is killed (SIGKILL) at random moments of a burst of attackers, again and again on the
 * same database. Each time: what the kernel blocked at the kill stands in the database, and after
 * the next start the kernel's rules are the database.
 *
 * Environment: `AMPERE_CRASHES`, how many kills (default 200); `AMPERE_SEED`, the seed of another
 * run. A failure names both.
 */

import assert from "node:assert/strict";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { addresses, until } from "../support/namespace.ts";
import { type AmiClientOfServer, AmiServer, isEndOfConnection } from "./ami_server.ts";
import { blockedIn, makeChain, must, onOwnMachine } from "./machine.ts";
import { Program } from "./program.ts";
import { pick, type Random, seeded } from "./random.ts";

const CRASHES = Number(Deno.env.get("AMPERE_CRASHES") ?? 200);

/** Kills after which it ends in any case. */
const KILLS_MAX = 1.5 * CRASHES;
const SEED = Number(Deno.env.get("AMPERE_SEED") ?? 1);

/** Daemons at a time, each with a chain, a database and a server of its own. */
const LANES = 4;

/** A lane begins with a new database after so many kills: the list must not grow for ever. */
const KILLS_PER_DATABASE = 25;

/** Attackers of one burst; each guesses three passwords. */
const ATTACKERS = 60;

/**
 * Longest time from the begin of a burst to the kill, in milliseconds, for the first kill of a
 * lane. It grows after a kill that came too early and shrinks after one that came too late, so that
 * slow and fast machines are hit in the middle.
 */
const MOMENT_MAX_MS = 120;
const MOMENT_STEP = 1.15;

/**
 * Every third start is killed in its own work: before, while and after it makes the rules of the
 * list.
 */
const START_KILLED = 1 / 3;

/** Longest time from the start to that kill, in milliseconds: a start takes about half of it. */
const START_MOMENT_MAX_MS = 200;

/** What a daemon is run with. */
interface Lane {
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
}

onOwnMachine(import.meta.url, (executable) => {
  Deno.test(`no block is lost by ${CRASHES} kills at random moments (seed ${SEED})`, async () => {
    const counts = { kills: 0, early: 0, late: 0, atStart: 0, rules: 0, ahead: 0, lost: 0 };
    const begun = performance.now();
    await Promise.all(
      Array.from({ length: LANES }, (_, lane) => runLane(executable, lane, counts)),
    );
    const seconds = ((performance.now() - begun) / 1_000).toFixed(1);
    console.log(
      `${counts.kills} kills in ${seconds} s: ${counts.atStart} in a start, ${counts.early} before ` +
        `the first rule of a burst, ${counts.late} after the last; ${counts.rules} rules were in ` +
        `the kernel at a kill, ${counts.ahead} blocks only in the database, ${counts.lost} lost`,
    );
    assert.equal(counts.lost, 0);
    assert.ok(counts.kills >= CRASHES);
    // Kills that never meet the work would prove nothing.
    const met = metInMiddle(counts);
    assert.ok(met >= counts.kills / 5, `only ${met} kills met a burst in the middle`);
  });
});

function metInMiddle({ kills, early, late, atStart }: Counts): number {
  return kills - early - late - atStart;
}

/**
 * On a machine that is busy with other things fewer kills meet a burst: then there are more, up to
 * a bound.
 */
function isEnough(counts: Counts): boolean {
  const { kills } = counts;
  return kills >= KILLS_MAX || (kills >= CRASHES && metInMiddle(counts) >= kills / 5);
}

/** Kills one daemon after the other, until all lanes together have done enough. */
async function runLane(executable: string, number: number, counts: Counts): Promise<void> {
  const random = seeded(SEED * 1_000 + number);
  const fresh = [...addresses(CRASHES * ATTACKERS, 4), ...addresses(CRASHES * ATTACKERS, 6)]
    .filter((_, index) => index % LANES === number);
  const chain = `lane${number}`;
  const config = `/etc/ampere/${chain}.cfg`;
  let momentMax = MOMENT_MAX_MS;
  await makeChain(chain);
  for (let round = 0; !isEnough(counts); round++) {
    const database = `/var/lib/ampere/${chain}-${round}.db`;
    await using server = new AmiServer();
    await Deno.writeTextFile(
      config,
      // A short block that has ended is not one that was lost.
      `port = ${server.port}\nchain = ${chain}\nbackend = iptables\ndatabase = ${database}\n` +
        "guard_hosts = 0\n",
    );
    const command = [executable, "-c", config];
    const lane: Lane = { command, server, chain, database, random, momentMax };
    for (let kill = 0; kill < KILLS_PER_DATABASE && !isEnough(counts); kill++) {
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
  const { command, chain, database, random } = lane;
  // So that the start has something to do: somebody flushed the chain, or a part of it.
  if (random() < 0.5) await must(pick(random, ["iptables", "ip6tables"]), "-w", "-F", chain);
  await using daemon = new Program(command);
  await pause(random() * START_MOMENT_MAX_MS);
  counts.kills++;
  counts.atStart++;
  await killAndLook(daemon, chain, database, where, counts);
}

async function killInBurst(
  lane: Lane,
  attackers: readonly string[],
  where: string,
  counts: Counts,
): Promise<void> {
  const { command, server, chain, database, random } = lane;
  await using daemon = new Program(command);
  const client = await daemon.alive(server.client());
  await becomesEqual(chain, database, where, daemon);
  const burst = tell(client, attackers, random);
  await pause(random() * lane.momentMax);
  counts.kills++;
  const kernel = await killAndLook(daemon, chain, database, where, counts);
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
  chain: string,
  database: string,
  where: string,
  counts: Counts,
): Promise<Set<string>> {
  daemon.signal("SIGKILL");
  // A command of the firewall may outlive the daemon by some milliseconds: what it adds is in the
  // database too.
  await daemon.end();
  const kernel = await blockedIn(chain);
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
  chain: string,
  database: string,
  where: string,
  daemon: Program,
): Promise<void> {
  const wanted = [...await storedIn(database)].sort().join(" ");
  let seen = "";
  await until("equal", async () => {
    seen = [...await blockedIn(chain)].sort().join(" ");
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

/** A random moment is what this test is about; nothing is waited for here. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
