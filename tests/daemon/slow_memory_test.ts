import assert from "node:assert/strict";
import { WrittenBlockList } from "../../src/blocks/written_block_list.ts";
import { SlowMemory } from "../../src/daemon/slow_memory.ts";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { MINUTE, TableBench } from "../support/table_bench.ts";

const HOUR = 60 * MINUTE;
const HOST = "203.0.113.5";

/** One process: it begins, hears a guess, and ends, by itself or because it is killed. */
function process(path: string, wall: number, isKilled: boolean): number {
  const bench = new TableBench({ loyalty: 3 });
  const list = WrittenBlockList.open(path, { now: wall });
  const begun = bench.now;
  const wallClock = () => wall + bench.now - begun;
  const clock = {
    now: () => bench.now,
    after: () => () => {},
    soon: () => {},
  };
  const memory = new SlowMemory({ table: bench.table, list, clock, wallClock });
  memory.restore(wall);
  bench.take(wrongAnswer(HOST));
  const offences = bench.table.takeOffences().length;
  bench.after(MINUTE);
  memory.look();
  if (!isKilled) memory.close();
  list.close(wallClock());
  return offences;
}

Deno.test("slow memory: what slow guessers have failed outlives the daemon, even if it is killed", () => {
  const folder = Deno.makeTempDirSync();
  try {
    const begin = Date.UTC(2026, 10, 22);
    const blocked: number[] = [];
    for (let n = 1; n <= 12; n++) {
      const wall = begin + n * 25 * HOUR;
      if (process(`${folder}/ampere.db`, wall, n % 2 === 0) > 0) blocked.push(n);
    }
    assert.deepEqual(blocked, [9, 10, 11, 12]);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
