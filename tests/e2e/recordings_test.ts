/**
 * Every recording of a real Asterisk, told to the compiled program over TCP, against real iptables:
 * attackers are blocked, and nobody else is.
 *
 * All run on one machine, several at a time, each with a chain, a database and a server of its own.
 * When everything of a recording is decided is not guessed: behind it come challenges to two
 * strangers who leave them unanswered. Patience with the strangers ends last, so when their rules
 * are in the kernel, every other rule is.
 */

import assert from "node:assert/strict";
import { challengeSent } from "../support/asterisk_events.ts";
import { type Recording, recordings } from "../support/recordings.ts";
import { until } from "../support/namespace.ts";
import { AmiServer, conversationOf } from "./ami_server.ts";
import { deedsOf, demandOf, isBlockedBy } from "./ground_truth.ts";
import { blockedIn, makeChain, onOwnMachine } from "./machine.ts";
import { Program } from "./program.ts";
import { seeded, seedOf } from "./random.ts";

/** Recordings that are told at the same time: most of the time is patience. */
const AT_A_TIME = 8;

/** How long a recording may take until the strangers behind it are blocked, in milliseconds. */
const DEADLINE_MS = 30_000;

/** Two strangers that no recording knows, one for each family. */
const STRANGERS = ["198.18.0.77", "2001:db8:ffff::77"] as const;

/**
 * Unanswered challenges for which a stranger is blocked, with loyalty 3: 4, 14, 24 of 15 points.
 */
const UNANSWERED = 3;

interface Verdict {
  name: string;
  attackers: number;
  must: number;
  blocked: number;
  missed: string[];
  wrong: string[];
}

onOwnMachine(import.meta.url, (executable) => {
  Deno.test("every recording: all attackers are blocked, and nobody else", async () => {
    const waiting = recordings().map((recording, index) => ({ recording, chain: `r${index}` }));
    const verdicts: Verdict[] = [];
    const work = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        verdicts.push(await replay(executable, next.recording, next.chain));
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, work));
    verdicts.sort((a, b) => a.name < b.name ? -1 : 1);
    print(verdicts);
    assert.equal(verdicts.length, recordings().length);
    for (const { name, missed, wrong } of verdicts) {
      assert.deepEqual({ name, missed, wrong }, { name, missed: [], wrong: [] });
    }
    // The tables of a test that sees nothing would be empty too.
    assert.ok(verdicts.reduce((sum, verdict) => sum + verdict.must, 0) >= 90);
  });
});

/** Tells one recording to a program of its own; says whom it blocked. */
async function replay(executable: string, recording: Recording, chain: string): Promise<Verdict> {
  const { banner, accepted, body, endedByServer } = conversationOf(recording.bytes);
  const demand = demandOf(recording.name, recording, deedsOf(body));
  await makeChain(chain);
  await using server = new AmiServer({ banner });
  server.accepts = accepted;
  await Deno.writeTextFile(
    `/etc/ampere/${chain}.cfg`,
    `port = ${server.port}\nloyalty = 3\nchain = ${chain}\npatience = 1\nlearn = 0\n` +
      `database = /var/lib/ampere/${chain}.db\n`,
  );
  await using program = new Program([executable, "-c", `/etc/ampere/${chain}.cfg`]);
  let blocked: Set<string>;
  if (accepted) {
    await program.alive(tell(server, recording.name, body, endedByServer));
    await until(
      `${recording.name}: the strangers behind it are blocked\n${program.text}`,
      async () => {
        assert.equal(program.over, false, `it ended:\n${program.text}`);
        blocked = await blockedIn(chain);
        return STRANGERS.every((stranger) => blocked.has(stranger));
      },
      DEADLINE_MS,
    );
    program.signal("SIGTERM");
    assert.equal((await program.end()).code, 0, program.text);
  } else {
    // A recording of a refused login; nothing else is in it.
    assert.equal((await program.end()).code, 1);
    assert.match(program.text, /refused the login/);
  }
  blocked = await blockedIn(chain);
  for (const stranger of STRANGERS) blocked.delete(stranger);
  const [all, may] = [[...blocked], demand.may];
  return {
    name: recording.name,
    attackers: demand.attackers.size,
    must: demand.must.size,
    blocked: all.length,
    missed: [...demand.must.keys()].filter((address) => !isBlockedBy(blocked, address)),
    wrong: all.filter((address) => !may.has(address)),
  };
}

async function tell(server: AmiServer, name: string, body: Uint8Array, endedByServer: boolean) {
  let client = await server.client();
  await client.send(body, seeded(seedOf(name)));
  if (endedByServer) {
    // As it was: the server went away, perhaps in the middle of a message, and came back.
    client.close();
    client = await server.client();
  }
  for (const stranger of STRANGERS) {
    for (let i = 0; i < UNANSWERED; i++) await client.send(challengeSent(stranger));
  }
}

function print(verdicts: readonly Verdict[]): void {
  const row = (name: string, ...columns: (string | number)[]) =>
    console.log(name.padEnd(56) + columns.map((column) => String(column).padStart(10)).join(""));
  row("recording", "attackers", "must", "blocked", "missed", "wrong");
  const sums = [0, 0, 0, 0, 0];
  for (const { name, attackers, must, blocked, missed, wrong } of verdicts) {
    const columns = [attackers, must, blocked, missed.length, wrong.length];
    columns.forEach((column, index) => sums[index]! += column);
    row(name, ...columns);
  }
  row("all", ...sums);
}
