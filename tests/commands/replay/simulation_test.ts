/** Who would have been blocked, and when. */

import assert from "node:assert/strict";
import { DEFAULT_CONFIG } from "../../../src/config/config.ts";
import { bytesOf, challengeSent, wrongAnswer } from "../../support/asterisk_events.ts";
import { recording } from "../../support/recordings.ts";
import { blockedIn, run } from "../../support/replays.ts";

Deno.test("simulation of a replay: patience is counted by the time of the events, and runs out at the end too", () => {
  const at = (second: number) => `2026-11-22T08:00:${String(second).padStart(2, "0")}.000+0000`;
  const stream = bytesOf(
    [0, 1, 2].map((s) => challengeSent("203.0.113.9", { time: at(s) })).join(""),
  );
  const known = { ...DEFAULT_CONFIG, learn: 0 };
  assert.deepEqual(run(stream).blocks, [], "nobody is known at the beginning");
  const [block] = run(stream, known).blocks;
  assert.equal(new Date(block!.at).toISOString(), "2026-11-22T08:00:07.000Z");
  assert.match(block!.reason, /^3 unanswered challenges within 2 s/);
  assert.deepEqual(run(stream, { ...known, patience: 0 }).blocks.map(({ at }) => at), [
    Date.parse("2026-11-22T08:00:02Z"),
  ]);
});

Deno.test("simulation of a replay: events of a host that would be blocked do not count, until its time is over", () => {
  const at = (minute: number, i: number) =>
    `2026-11-22T08:${String(minute).padStart(2, "0")}:0${i}.000+0000`;
  const burst = (minute: number) =>
    [0, 1, 2, 3].map((i) => wrongAnswer("203.0.113.9", { time: at(minute, i) })).join("");
  const stream = bytesOf(burst(0) + burst(5) + burst(20));
  const { blocks } = run(stream, { ...DEFAULT_CONFIG, bantime: 600 });
  assert.deepEqual(blocks.map(({ times, eventsAfter }) => [times, eventsAfter]), [[1, 5], [2, 1]]);
  assert.equal(blocks[0]!.until! - blocks[0]!.at, 600_000);
  assert.deepEqual(run(stream).blocks.map(({ eventsAfter }) => eventsAfter), [9]);
});

Deno.test("simulation of a replay: trust, and what another loyalty would do", () => {
  const { bytes } = recording("pjsip-udp-wrong-password.ami");
  const all = blockedIn(bytes);
  const [first] = all;
  assert.ok(!blockedIn(bytes, { ...DEFAULT_CONFIG, trust: [first!] }).includes(first!));
  const { whatIf } = run(bytes);
  assert.deepEqual([...whatIf.keys()], [1, 2, 3, 5, 10]);
  assert.deepEqual([...whatIf.get(3)!].sort(), all);
  for (const [loyalty, targets] of whatIf) {
    assert.deepEqual(
      [...targets].sort(),
      blockedIn(bytes, { ...DEFAULT_CONFIG, loyalty }),
      `${loyalty}`,
    );
  }
  assert.deepEqual([...run(bytes, { ...DEFAULT_CONFIG, loyalty: 7 }).whatIf.keys()], [
    1,
    2,
    3,
    5,
    7,
    10,
  ]);
});
