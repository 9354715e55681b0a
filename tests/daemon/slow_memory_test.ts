import assert from "node:assert/strict";
import { WrittenBlockList } from "../../src/blocks/written_block_list.ts";
import { Keeping } from "../../src/daemon/keeping.ts";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { MINUTE, TableBench } from "../support/table_bench.ts";

const HOUR = 60 * MINUTE;
const HOST = "203.0.113.5";

/** One process: it begins, lives for a while, hears a guess, and ends or is killed. */
function process(path: string, wall: number, { isKilled = false, lives = 0 } = {}): number {
  const bench = new TableBench({ loyalty: 3 });
  const begun = bench.now;
  const wallClock = () => wall + bench.now - begun;
  const list = WrittenBlockList.open(path, { now: wall });
  const clock = { now: () => bench.now };
  const believedTime = { now: wallClock };
  const keeping = new Keeping({ table: bench.table, list, clock, wallClock, believedTime });
  keeping.restore();
  bench.after(lives);
  keeping.look(wallClock());
  bench.take(wrongAnswer(HOST));
  const offences = bench.table.takeOffences();
  keeping.blocked(offences);
  bench.after(MINUTE);
  keeping.look(wallClock());
  if (!isKilled) keeping.finish(wallClock());
  list.close(wallClock());
  return offences.length;
}

function withFile(run: (path: string) => void): void {
  const folder = Deno.makeTempDirSync();
  try {
    run(`${folder}/ampere.db`);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const BEGIN = Date.UTC(2026, 10, 22);

Deno.test("slow memory: what slow guessers have failed outlives the daemon, even if it is killed", () => {
  withFile((path) => {
    const blocked: number[] = [];
    for (let n = 1; n <= 12; n++) {
      const wall = BEGIN + n * 25 * HOUR;
      if (process(path, wall, { isKilled: n % 2 === 0 }) > 0) blocked.push(n);
    }
    assert.deepEqual(blocked, [9, 10, 11, 12]);
  });
});

Deno.test("slow memory: a daemon that ends an hour before points are forgotten, or is killed just after it", () => {
  withFile((path) => {
    const blocked: number[] = [];
    // Of its points one process is told, of what was forgotten with them the next.
    for (let n = 1; n <= 9; n++) {
      const lives = n % 3 === 0 ? 2 * HOUR : 0;
      const wall = BEGIN + n * 25 * HOUR - lives;
      if (process(path, wall, { isKilled: n % 2 === 0, lives }) > 0) blocked.push(n);
    }
    assert.deepEqual(blocked, [9]);
  });
});
