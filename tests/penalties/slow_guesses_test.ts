import assert from "node:assert/strict";
import {
  EXCUSED_MS,
  SLOW_MAX,
  slowCount,
  type SlowFailures,
  SlowGuesses,
} from "../../src/penalties/slow_guesses.ts";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { MINUTE, TableBench } from "../support/table_bench.ts";

const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const ONE: SlowFailures = { count: 1, proven: false, account: "100" };
const ATTACKER = 1;

function guesses(): SlowGuesses {
  const slow = new SlowGuesses();
  slow.setForget(DAY);
  return slow;
}

Deno.test("slow guesses: the count is halved for each further time that nobody fails", () => {
  const left = [0, 24, 47, 48, 71, 72, 96, 120, 9_999].map((h) => slowCount(9, h * HOUR, DAY));
  assert.deepEqual(left, [9, 9, 9, 4, 4, 2, 1, 0, 0]);
  const slow = guesses();
  for (let n = 0; n < 8; n++) slow.add(ATTACKER, ONE, n * 25 * HOUR, n * 25 * HOUR);
  assert.equal(slow.countOf(ATTACKER, 8 * 25 * HOUR), 8);
  assert.equal(slow.countOf(ATTACKER, 10 * 25 * HOUR), 2);
  slow.forgive(ATTACKER);
  assert.deepEqual([slow.countOf(ATTACKER, 0), slow.size], [0, 0]);
});

Deno.test("slow guesses: it is bounded, and a flood of forged addresses pushes out only its like", () => {
  const slow = guesses();
  const other = 2;
  for (let n = 0; n < 2; n++) slow.add(ATTACKER, ONE, 0, n);
  slow.add(other, { ...ONE, proven: true }, 0, 0);
  slow.excuse(3, 0);
  for (let n = 0; n < SLOW_MAX + 100; n++) slow.add(1_000 + n, ONE, 5, 5);
  assert.equal(slow.size, SLOW_MAX + 2);
  assert.deepEqual([ATTACKER, other].map((host) => slow.countOf(host, 6)), [2, 1]);
  assert.equal(slow.countOf(1_000, 6), 0, "the oldest of the lowest count is gone");
  assert.equal(slow.countOf(1_000 + SLOW_MAX + 99, 6), 1);
  // Nobody who logged in is pushed out by it either: what they fail is not counted.
  slow.add(3, ONE, 6, 6);
  assert.equal(slow.countOf(3, 6), 0);
});

Deno.test("slow guesses: nothing stays for ever", () => {
  const slow = guesses();
  slow.add(ATTACKER, { ...ONE, count: 8 }, 0, 0);
  slow.add(2, ONE, 0, 0);
  slow.excuse(3, 0);
  slow.advance(3 * DAY - MINUTE);
  assert.equal(slow.size, 3);
  slow.advance(3 * DAY);
  assert.deepEqual([slow.countOf(2, 0), slow.size], [0, 2]);
  slow.advance(6 * DAY);
  assert.equal(slow.size, 1);
  slow.advance(EXCUSED_MS);
  assert.equal(slow.size, 0);
});

Deno.test("slow guesses: a second guess shortly before the first is halved away counts for two", () => {
  const bench = new TableBench({ loyalty: 3 });
  bench.take(wrongAnswer("203.0.113.5")).after(47 * HOUR).take(wrongAnswer("203.0.113.5"));
  // It is still in the table, and all that is old is looked through meanwhile.
  for (let hour = 0; hour < 25; hour++) bench.after(HOUR);
  assert.equal(bench.table.inspection.slowOf("203.0.113.5", bench.now)?.count, 2);
});

Deno.test("slow guesses: what has changed is given once, and what is gone too", () => {
  const slow = guesses();
  slow.add(ATTACKER, ONE, 1, 2);
  slow.add("2001:db8::/64", { ...ONE, proven: true, account: undefined }, 3, 4);
  assert.deepEqual(slow.takeUnsaved(1), [
    ["0.0.0.1", { host: "0.0.0.1", several: false, count: 1, kind: 0, firstAt: 1, lastAt: 2 }],
  ]);
  const [[, network]] = slow.takeUnsaved(9) as [[unknown, never]];
  assert.deepEqual(slow.takeUnsaved(9), []);
  slow.forgive("2001:db8::/64");
  assert.deepEqual(slow.takeUnsaved(9), [["2001:db8::/64", undefined]]);
  slow.restore([network]);
  assert.equal(slow.countOf("2001:db8::/64", 4), 1);
  assert.deepEqual(slow.takeUnsaved(9), []);
});

Deno.test("slow guesses: who deletes the block by hand says that it was wrong", () => {
  const bench = new TableBench({ loyalty: 3 });
  for (let n = 0; n < 9; n++) bench.take(wrongAnswer("203.0.113.5")).after(25 * HOUR);
  assert.equal(bench.table.takeOffences().length, 1);
  bench.table.clearPoints("203.0.113.5", (a, b) => a === b);
  for (let n = 0; n < 8; n++) bench.take(wrongAnswer("203.0.113.5")).after(25 * HOUR);
  assert.equal(bench.table.takeOffences().length, 0);
});

Deno.test("slow guesses: what is restored late, or told twice, counts once", () => {
  const slow = guesses();
  const saved = { host: "0.0.0.1", count: 4, kind: 0, several: false } as const;
  const at = { firstAt: 0, lastAt: 8 * 25 * HOUR };
  slow.restore([{ ...saved, ...at }]);
  assert.deepEqual(slow.takeUnsaved(9), [], "it is saved");
  slow.restore([{ ...saved, ...at, count: 9 }]);
  assert.equal(slow.countOf(ATTACKER, at.lastAt), 4);
  // Its points were forgotten before the process was killed: the file holds both.
  slow.addLate(ATTACKER, ONE, at.lastAt, at.lastAt + 3);
  assert.equal(slow.countOf(ATTACKER, at.lastAt), 4);
  slow.addLate(ATTACKER, ONE, at.lastAt + 25 * HOUR, at.lastAt + 25 * HOUR);
  assert.equal(slow.countOf(ATTACKER, at.lastAt + 25 * HOUR), 5);
  // It logged in before the file could be read.
  slow.forgive(ATTACKER);
  slow.restore([{ ...saved, ...at }]);
  assert.equal(slow.size, 0);
});
