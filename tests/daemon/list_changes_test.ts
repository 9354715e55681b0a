/** What other processes and time change in the list, and what the daemon makes of it. */

import assert from "node:assert/strict";
import { COMPARED_PER_TURN } from "../../src/blocks/comparison.ts";
import { BlockDatabase } from "../../src/blocks/database.ts";
import { WrittenBlockList } from "../../src/blocks/written_block_list.ts";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { DaemonBench } from "../support/daemon_bench.ts";
import { ADDRESS } from "../support/daemons.ts";
import { address, block, NOW, withDatabase } from "../support/database_samples.ts";
import { FakeClock } from "../support/fake_clock.ts";

/** A daemon's parts with a real list, and another process's connection to its database. */
async function withBench(
  test: (bench: DaemonBench, other: BlockDatabase) => Promise<void>,
  comparison = { atOnce: 50_000, perTurn: COMPARED_PER_TURN },
): Promise<void> {
  await withDatabase(async (path) => {
    using list = WrittenBlockList.open(path, { now: NOW, comparison });
    using other = BlockDatabase.open(path);
    await test(await new DaemonBench({ list, clock: new FakeClock(NOW) }).start(), other);
  });
}

Deno.test("list changes: what others add and delete reaches the firewall, the subscribers and the log", async () => {
  await withBench(async (bench, other) => {
    other.add([block("192.0.2.1"), block("192.0.2.2"), block(ADDRESS)], NOW);
    bench.changes.look(NOW);
    await bench.firewall.idle();
    assert.match(
      bench.newCommands().join("\n"),
      /^iptables .* -A ampere -s \S+,\S+,\S+ -j REJECT \S+ \S+$/,
    );
    assert.deepEqual(bench.lines.splice(0), [
      `info: blocked 192.0.2.1, 192.0.2.2, ${ADDRESS}: added by hand`,
    ]);
    assert.deepEqual(bench.notices.splice(0).map(({ event }) => event), [
      "block",
      "block",
      "block",
    ]);
    other.remove(["192.0.2.2"]);
    other.add(
      [block("192.0.2.1", { until: NOW + 9 }), block("192.0.2.3", { until: NOW + 5 })],
      NOW,
    );
    bench.changes.look(NOW);
    await bench.firewall.idle();
    assert.deepEqual(bench.lines.splice(0), [
      "info: blocked 192.0.2.3: added by hand",
      "info: released 192.0.2.2: deleted by hand",
    ]);
    assert.ok(bench.newCommands().some((command) => command.includes("-D ampere -s 192.0.2.2 ")));
    bench.notices.length = 0;
    other.add([block("192.0.2.3")], NOW);
    bench.changes.look(NOW);
    assert.deepEqual(
      bench.notices.map((notice) => notice.event === "block" && [notice.target, notice.until]),
      [["192.0.2.3", null]],
    );
    await bench.firewall.idle();
    assert.deepEqual(bench.lines.splice(0), ["info: changed the end of 192.0.2.3: by hand"]);
    assert.deepEqual(bench.newCommands(), [], "iptables keeps no ends");
    bench.changes.look(NOW);
    assert.deepEqual(bench.lines, []);
  });
});

Deno.test("list changes: who is released by hand has no points any more", async () => {
  await withBench(async (bench, other) => {
    other.add([block("203.0.113.0/24")], NOW);
    bench.changes.look(NOW);
    await bench.take(wrongAnswer(ADDRESS), wrongAnswer("198.51.100.1"));
    other.remove(["203.0.113.0/24"]);
    bench.changes.look(NOW);
    const hosts = bench.table.worst(9, bench.clock.now());
    assert.deepEqual(hosts.map(({ host, points }) => [host, points]), [["198.51.100.1", 5]]);
  });
});

Deno.test("list changes: many changes are taken over in turns, and told in one line", async () => {
  await withBench(async (bench, other) => {
    other.add(Array.from({ length: 100 }, (_, n) => block(address(n))), NOW);
    bench.changes.look(NOW);
    const first = bench.firewall.status().desired;
    assert.ok(first < 100, `${first} in the first turn`);
    assert.deepEqual(bench.lines, [], "told at the end");
    bench.changes.look(NOW);
    assert.equal(bench.firewall.status().desired, first, "one after the other");
    await bench.clock.advance(1_000);
    assert.equal(bench.firewall.status().desired, 100);
    assert.equal(bench.lines.length, 1, bench.lines.join("\n"));
    assert.match(bench.lines[0]!, /^info: blocked 20\.0\.0\.0, .* and 80 more: added by hand$/);
  }, { atOnce: 1, perTurn: 10 });
});

Deno.test("list changes: after the end nothing more is taken over", async () => {
  await withBench(async (bench, other) => {
    other.add(Array.from({ length: 100 }, (_, n) => block(address(n))), NOW);
    bench.changes.look(NOW);
    const first = bench.firewall.status().desired;
    bench.changes.close();
    await bench.clock.advance(1_000);
    assert.equal(bench.firewall.status().desired, first);
  }, { atOnce: 1, perTurn: 10 });
});

Deno.test("list changes: blocks whose time is over end everywhere", async () => {
  await withBench(async (bench) => {
    bench.pipeline.block([block("192.0.2.1", { until: NOW + 10 }), block("192.0.2.2")], NOW);
    await bench.clock.advance(9);
    bench.changes.expire();
    assert.equal(bench.list.size, 2);
    await bench.clock.advance(1);
    bench.changes.expire();
    await bench.firewall.idle();
    assert.deepEqual(Array.from(bench.list.entries(), ({ target }) => target), ["192.0.2.2"]);
    assert.match(bench.newCommands().at(-1)!, /-D ampere -s 192\.0\.2\.1 /);
    assert.equal(bench.lines.at(-1), "info: released 192.0.2.1: the time is over");
    assert.equal(bench.counters.removed, 1);
  });
});
