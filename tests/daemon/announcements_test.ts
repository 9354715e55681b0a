/** What is told of blocks: when, and in which order. */

import assert from "node:assert/strict";
import { Announcements } from "../../src/daemon/announcements.ts";
import { Notices } from "../../src/daemon/notices.ts";
import { Releases } from "../../src/daemon/releases.ts";
import type { Offence } from "../../src/penalties/offence.ts";
import { DaemonBench } from "../support/daemon_bench.ts";
import { block } from "../support/database_samples.ts";
import { logWithLines } from "../support/log_lines.ts";

/** Announcements of a bench that has begun, and what they said, in order. */
async function announced() {
  const bench = await new DaemonBench().start();
  const { firewall, counters, clock, force } = bench;
  const { log, lines } = logWithLines();
  const heard: string[] = [];
  const notices = new Notices((notice) => void heard.push(notice.event), () => clock.now());
  const parts = { firewall, force, notices, log, clock, dryRun: false };
  const announcements = new Announcements({
    ...parts,
    onBlocked: (offences) => void heard.push(`evidence of ${offences.length}`),
  });
  const releases = new Releases({ firewall, counters, notices, announcements, log });
  return { clock, lines, heard, announcements, releases };
}

Deno.test("announcements: a block is told of when the firewall's program has had the processor", async () => {
  const { clock, lines, heard, announcements } = await announced();
  announcements.blocked([block("192.0.2.1"), block("192.0.2.2")], true, clock.now());
  announcements.blocked([block("192.0.2.3")], false, clock.now());
  announcements.offended([{} as Offence]);
  assert.deepEqual([lines, heard], [[], []]);
  await clock.advance(1);
  assert.deepEqual(heard, ["block", "block", "block", "evidence of 1"]);
  const told = () => [...lines.join("\n").matchAll(/blocked (\S+) /g)].map(([, target]) => target);
  assert.deepEqual(told(), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
  assert.match(lines.at(-1)!, /\(not yet in the database\)/);
  announcements.blocked([block("192.0.2.4")], true, clock.now());
  await clock.advance(1);
  assert.equal(told().length, 4);
});

Deno.test("announcements: nobody hears of the end of a block before the block", async () => {
  const { clock, lines, heard, announcements, releases } = await announced();
  announcements.blocked([block("192.0.2.1")], true, clock.now());
  releases.release(["192.0.2.1"], "deleted by hand");
  assert.deepEqual(heard, ["block", "unblock"]);
  assert.match(lines[0]!, /^info: blocked 192\.0\.2\.1 /);
  assert.match(lines[1]!, /^info: released 192\.0\.2\.1: /);
  await clock.advance(1);
  assert.equal(lines.length, 2);
});
