/** Ends of blocks, whoever ends them. */

import assert from "node:assert/strict";
import { Notices } from "../../src/daemon/notices.ts";
import { Releases } from "../../src/daemon/releases.ts";
import type { Notice } from "../../src/telemetry/notice.ts";
import { DaemonBench } from "../support/daemon_bench.ts";
import { block } from "../support/database_samples.ts";
import { logWithLines } from "../support/log_lines.ts";

Deno.test("releases: the firewall, the figures, the subscribers and the log hear of each end once", async () => {
  const bench = new DaemonBench();
  bench.list.add([block("192.0.2.1"), block("192.0.2.2")], bench.clock.now());
  await bench.start();
  bench.newCommands();
  const { firewall, counters, clock, announcements } = bench;
  const { log, lines } = logWithLines();
  const heard: Notice[] = [];
  const notices = new Notices((notice) => void heard.push(notice), () => clock.now());
  const releases = new Releases({ firewall, counters, notices, announcements, log });
  releases.release([], "nothing");
  assert.deepEqual(lines, []);
  releases.release(["192.0.2.1"], "the time is over");
  releases.releaseSilently(["192.0.2.2"], "deleted by hand");
  await firewall.idle();
  assert.deepEqual(lines, ["info: released 192.0.2.1: the time is over"]);
  const time = new Date(clock.now()).toISOString();
  assert.deepEqual(heard, [
    { event: "unblock", time, target: "192.0.2.1", reason: "the time is over" },
    { event: "unblock", time, target: "192.0.2.2", reason: "deleted by hand" },
  ]);
  assert.deepEqual([counters.removed, firewall.status().applied], [2, 0]);
  assert.equal(bench.newCommands().filter((command) => command.includes(" -D ampere ")).length, 2);
});
