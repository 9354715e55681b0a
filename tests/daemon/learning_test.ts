/** What a new list learns in its first hour. */

import assert from "node:assert/strict";
import type { Answer } from "../../src/ami/client.ts";
import { Learning } from "../../src/daemon/learning.ts";
import { PenaltyTable } from "../../src/penalties/penalty_table.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { memoryLog } from "../support/memory_log.ts";
import { POLICY } from "../support/table_bench.ts";

const HOUR_MS = 3_600_000;
const PHONE = "198.51.100.1";

/** A new list, and an Asterisk at which one phone of chan_sip is registered. */
function bench(bornAt: number | undefined) {
  const { log, stderr } = memoryLog();
  const clock = new FakeClock();
  const table = new PenaltyTable(POLICY);
  let known = 0;
  const onKnown = () => void known++;
  const learning = new Learning({ table, log, clock, bornAt, lengthMs: HOUR_MS, onKnown });
  let asked = 0;
  const client = {
    connectedSince: 0 as number | undefined,
    query: (): Promise<Answer> => Promise.resolve({ outcome: "none" }),
    list(action: string): Promise<Answer> {
      asked++;
      return Promise.resolve(
        action === "SIPpeers"
          ? {
            outcome: "success",
            entries: [
              new Map(Object.entries({
                Event: "PeerEntry",
                Dynamic: "yes",
                Forcerport: "yes",
                IPaddress: PHONE,
              })),
            ],
          }
          : { outcome: "refused", message: "Permission denied" },
      );
    },
  };
  return { learning, table, clock, client, stderr, asked: () => asked, known: () => known };
}

Deno.test("learning: it lasts for what is left of the first hour of the list", () => {
  const wall = 10 * HOUR_MS;
  for (
    const [bornAt, leftMs] of [
      [wall, HOUR_MS],
      [wall - HOUR_MS / 2, HOUR_MS / 2],
      [wall - HOUR_MS, 0],
      [undefined, 0],
      // The clock was set back since.
      [wall + 5 * HOUR_MS, HOUR_MS],
    ] as const
  ) {
    const { learning, table, clock, stderr } = bench(bornAt);
    learning.begin(wall);
    assert.equal(stderr.lines.length, leftMs > 0 ? 1 : 0);
    const now = clock.now();
    assert.equal(table.isLearning(now), leftMs > 0);
    assert.equal(table.isLearning(now + leftMs - 1), leftMs > 0);
    assert.equal(table.isLearning(now + leftMs), false);
  }
});

Deno.test("learning: who is registered is asked once, and only while it is learned", async () => {
  const { learning, table, clock, client, stderr, asked, known } = bench(0);
  await learning.ask(client, ["127.0.0.1"]);
  assert.deepEqual([asked(), known()], [0, 0]);
  learning.begin(0);
  await learning.ask(client, ["127.0.0.1"]);
  assert.ok(table.isInGoodStanding(PHONE, clock.now()));
  assert.match(stderr.lines.join("\n"), /names 1 address of registered phones/);
  // Who is on a list of attackers must pass from now on.
  assert.equal(known(), 1);
  const before = asked();
  assert.ok(before > 0);
  await learning.ask(client, ["127.0.0.1"]);
  assert.equal(asked(), before);
});

Deno.test("learning: what a connection that was lost has told is asked for again", async () => {
  const { learning, table, clock, client } = bench(0);
  learning.begin(0);
  client.connectedSince = undefined;
  await learning.ask(client, ["127.0.0.1"]);
  assert.equal(table.isInGoodStanding(PHONE, clock.now()), false);
  client.connectedSince = 1;
  await learning.ask(client, ["127.0.0.1"]);
  assert.ok(table.isInGoodStanding(PHONE, clock.now()));
});
