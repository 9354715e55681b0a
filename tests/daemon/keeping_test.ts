/** What outlives the daemon: when it is written, what of it counts again, and what does not. */

import assert from "node:assert/strict";
import type { BlockList } from "../../src/blocks/block_list.ts";
import { WrittenBlockList } from "../../src/blocks/written_block_list.ts";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { Keeping, SAVE_POINTS_MS } from "../../src/daemon/keeping.ts";
import { remoteOf, wrongAnswer } from "../support/asterisk_events.ts";
import { withDatabase } from "../support/database_samples.ts";
import { DAY, HOST, MINUTE, TableBench } from "../support/table_bench.ts";

const WALL = 1_700_000_000_000;

/** One life of a daemon, as far as keeping goes. */
class Life {
  readonly bench = new TableBench();
  readonly keeping: Keeping;
  wall: number;
  constructor(list: BlockList, wall = WALL) {
    this.wall = wall;
    const { table } = this.bench;
    this.keeping = new Keeping({
      table,
      list,
      clock: { now: () => this.bench.now },
      wallClock: () => this.wall,
      believedTime: { now: () => this.wall },
    });
    this.keeping.restore();
  }
  /** Time passes, without its ticks. */
  pass(ms: number): this {
    this.wall += ms;
    this.bench.after(ms);
    return this;
  }
  look(): this {
    this.keeping.look(this.wall);
    return this;
  }
  fail(host = HOST): this {
    this.bench.take(wrongAnswer(host, { remote: remoteOf(host, "TCP") }));
    this.keeping.blocked(this.bench.table.takeOffences());
    return this;
  }
  pointsOf(host = HOST): number {
    return this.bench.table.inspection.kept.of(host)?.points ?? 0;
  }
}

Deno.test("keeping: once a minute; kill -9 loses no more than that", async () => {
  await withDatabase((path) => {
    {
      using list = WrittenBlockList.open(path, { now: WALL });
      const life = new Life(list).fail().look().pass(SAVE_POINTS_MS).look();
      life.fail().pass(MINUTE / 2).look();
      assert.equal(life.pointsOf(), 10);
      // It is killed: nothing of the last half minute was written.
    }
    using list = WrittenBlockList.open(path, { now: WALL });
    const life = new Life(list, WALL + 2 * MINUTE);
    assert.equal(life.pointsOf(), 5);
    life.fail();
    assert.deepEqual(life.bench.offences, []);
    assert.equal(life.pointsOf(), 10);
  });
});

Deno.test("keeping: forget counts while nothing runs; a clock that was set back forgets nobody", async () => {
  await withDatabase((path) => {
    const restored = (wall: number) => {
      using list = WrittenBlockList.open(path, { now: wall });
      return new Life(list, wall).pointsOf();
    };
    {
      using list = WrittenBlockList.open(path, { now: WALL });
      const life = new Life(list).fail();
      life.keeping.finish(life.wall);
    }
    assert.equal(restored(WALL + DAY - MINUTE), 5);
    assert.equal(restored(WALL - 30 * DAY), 5);
    assert.equal(restored(WALL + DAY + MINUTE), 0);
  });
});

Deno.test("keeping: a login since then, a block, and trust make points void", async () => {
  await withDatabase((path) => {
    {
      using list = WrittenBlockList.open(path, { now: WALL });
      const life = new Life(list).fail().fail("203.0.113.6").fail("203.0.113.7");
      life.pass(SAVE_POINTS_MS).look();
      list.saveStanding([["203.0.113.6", life.wall]], 0, life.wall);
      life.fail().fail().look();
      using read = BlockDatabase.open(path, { readOnly: true });
      assert.equal(read.evidence.of(HOST)?.attempts.length, 3);
      assert.equal(read.evidence.of(HOST)?.at, life.wall);
      assert(!read.points.all().some(({ host }) => host === HOST), "it was blocked for them");
    }
    using list = WrittenBlockList.open(path, { now: WALL });
    const life = new Life(list, WALL + 2 * MINUTE);
    assert.deepEqual([HOST, "203.0.113.6", "203.0.113.7"].map((host) => life.pointsOf(host)), [
      0,
      0,
      5,
    ]);
    // What is not known any more leaves the file.
    life.pass(SAVE_POINTS_MS).look();
    using read = BlockDatabase.open(path, { readOnly: true });
    assert.deepEqual(read.points.all().map(({ host }) => host), ["203.0.113.7"]);
  });
});

Deno.test("keeping: a database in trouble is left alone; what waited is written afterwards", async () => {
  await withDatabase((path) => {
    using list = WrittenBlockList.open(path, { now: WALL, busyTimeout: 0 });
    const life = new Life(list).fail().fail().fail("203.0.113.6").fail();
    {
      using other = BlockDatabase.open(path);
      other.save(() => {
        life.pass(SAVE_POINTS_MS).look();
        return { put: [], ended: [], gone: [], standing: [], forgetStandingBefore: 0 };
      });
      assert.equal(list.trouble, "busy");
      assert.equal(other.evidence.of(HOST), undefined);
    }
    list.retry(life.wall + MINUTE);
    life.pass(2 * SAVE_POINTS_MS).look();
    assert.equal(list.trouble, undefined);
    using read = BlockDatabase.open(path, { readOnly: true });
    assert.equal(read.evidence.of(HOST)?.attempts.length, 3);
    assert.deepEqual(read.points.all().map(({ host }) => host), ["203.0.113.6"]);
  });
});
