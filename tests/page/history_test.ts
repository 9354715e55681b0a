/** What happened within minutes and hours: counted, kept over a restart, and bounded. */

import assert from "node:assert/strict";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { COUNT_ROWS_MAX, readCounts } from "../../src/blocks/kept_counts.ts";
import { WrittenBlockList } from "../../src/blocks/written_block_list.ts";
import { History } from "../../src/page/history.ts";
import { Counters } from "../../src/telemetry/counters.ts";
import { withDatabase } from "../support/database_samples.ts";
import { eventType } from "../support/status_source.ts";

const HOUR = 3_600_000;
const BEGIN = Date.UTC(2026, 10, 30, 12, 0, 5);

/** A daemon that counts, with a real list whose writes are counted too. */
function counting(path: string) {
  const counters = new Counters();
  const list = WrittenBlockList.open(path, { now: BEGIN });
  let writes = 0;
  const source = {
    counters,
    logs: undefined,
    list: {
      counts: () => list.counts(),
      saveCounts: (...args: Parameters<typeof list.saveCounts>) => {
        writes++;
        return list.saveCounts(...args);
      },
    },
  };
  return {
    counters,
    list,
    history: new History(source),
    get writes() {
      return writes;
    },
    guess: (count: number) => {
      for (let i = 0; i < count; i++) counters.event(eventType("InvalidPassword", "SIP"));
    },
  };
}

Deno.test("history: what happened stays over a restart, also within a minute", async () => {
  await withDatabase((path) => {
    const first = counting(path);
    first.history.look(BEGIN);
    first.guess(7);
    first.counters.added = 2;
    first.counters.latency.observe(0.003);
    first.counters.event(eventType("SuccessfulAuth", "PJSIP"));
    first.counters.event(eventType("ChallengeSent", "PJSIP"));
    first.history.look(BEGIN + 1_000);
    first.history.save(BEGIN + 2_000);
    first.list.close();

    const second = counting(path);
    second.guess(3);
    second.history.look(BEGIN + 20_000);
    const { attempts, blocks, logins, latency } = second.history.since(BEGIN - 1);
    assert.deepEqual([attempts, blocks, logins, latency], [[10, 0, 0, 0], 2, 1, 0.004]);
    const hours = second.history.bins(BEGIN + 20_000, 24 * HOUR, 90);
    assert.deepEqual(hours.at(-1)!.attempts, [10, 0, 0, 0]);
    assert.deepEqual(hours.filter(({ isKnown }) => isKnown).length, 1);
    second.list.close();
  });
});

Deno.test("history: written at most once a minute, and forgotten in time", async () => {
  await withDatabase((path) => {
    const daemon = counting(path);
    let now = BEGIN;
    for (let minute = 0; minute < 60; minute++) {
      for (let look = 0; look < 12; look++) {
        daemon.guess(1);
        daemon.history.look(now);
        now += 5_000;
      }
    }
    assert.ok(daemon.writes <= 61, String(daemon.writes));
    assert.equal(daemon.history.since(now - HOUR).attempts[0], 720);
    for (let quarter = 0; quarter < 4 * 100; quarter++) {
      daemon.guess(1);
      daemon.history.look(now);
      now += 6 * HOUR;
    }
    const kept = daemon.list.counts()!;
    const oldest = (step: number) =>
      Math.min(...kept.flatMap((row) => row.step === step ? row.at : []));
    assert.ok(oldest(60) >= now - 31 * HOUR);
    assert.ok(oldest(3_600) >= now - 91 * 24 * HOUR);
    assert.ok(kept.length <= 5 + 4 * 90 + 1, String(kept.length));
    daemon.list.close();
  });
});

Deno.test("history: a full table stays below 5 MB, and one of before has none", async () => {
  await withDatabase(async (path) => {
    {
      using old = BlockDatabase.open(path);
      assert.deepEqual(old.counts.all(), []);
      const counts = Array.from({ length: 22 }, (_, n) => 1e9 + n);
      const rows = Array.from({ length: 5_000 }, (_, n) => ({ step: 60, at: n * 60_000, counts }));
      old.counts.save(rows, []);
      assert.equal(old.counts.all().length, COUNT_ROWS_MAX);
      assert.equal(old.counts.all()[0]!.at, (5_000 - COUNT_ROWS_MAX) * 60_000);
      assert.deepEqual(old.counts.all()[0]!.counts, counts);
    }
    assert.ok((await Deno.stat(path)).size < 5_000_000);
  });
});

Deno.test("history: a row may hold anything", () => {
  const wrong = [
    [60, 0, "[1,2"],
    [60, 0, "{}"],
    [60, 0, '["1"]'],
    [60, 0, "[-1]"],
    [60, 0, "[1e999]"],
    ["60", 0, "[1]"],
    [60, null, "[1]"],
    [60.5, 0, "[1]"],
    [60, 0, `[${"1,".repeat(64)}1]`],
  ];
  for (const row of wrong) assert.equal(readCounts(row), undefined, JSON.stringify(row));
  assert.deepEqual(readCounts([60, 0, "[1,2.5]"]), { step: 60, at: 0, counts: [1, 2.5] });
});
