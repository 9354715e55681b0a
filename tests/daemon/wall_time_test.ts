/** Moments by two clocks. */

import assert from "node:assert/strict";
import { fromWallTime, toWallTime } from "../../src/daemon/wall_time.ts";

const clocks = {
  clock: { now: () => 5_000 },
  wallClock: () => 1_800_000_000_000,
  believedTime: { now: () => 1_800_000_000_000 },
};

Deno.test("wall time: a moment is the same by both clocks", () => {
  assert.equal(toWallTime(4_000, clocks), 1_799_999_999_000);
  assert.equal(fromWallTime(1_799_999_999_000, clocks), 4_000);
  // A login that another clock has written ahead of this one.
  assert.equal(fromWallTime(1_800_000_009_000, clocks), 5_000);
});
