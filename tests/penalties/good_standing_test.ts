/** Who is in good standing, and how many at most. */

import assert from "node:assert/strict";
import { GoodStanding, STANDING_MAX } from "../../src/penalties/good_standing.ts";
import { HostNetworks, keyOf } from "../../src/penalties/host_key.ts";
import { address } from "../support/database_samples.ts";

Deno.test("good standing: one host more than the bound, and the oldest login is forgotten", () => {
  const standing = new GoodStanding(new HostNetworks(128, []));
  for (let n = 0; n < STANDING_MAX; n++) standing.login(keyOf(address(n)), n);
  assert.equal(standing.size, STANDING_MAX);
  assert.ok(standing.knows(keyOf(address(0))));
  standing.login(keyOf(address(STANDING_MAX)), STANDING_MAX);
  assert.equal(standing.size, STANDING_MAX);
  assert.deepEqual([0, 1, STANDING_MAX].map((n) => standing.knows(keyOf(address(n)))), [
    false,
    true,
    true,
  ]);
  standing.restore(
    Array.from({ length: STANDING_MAX + 10 }, (_, n) => [address(n), n] as const),
  );
  assert.equal(standing.size, STANDING_MAX);
});
