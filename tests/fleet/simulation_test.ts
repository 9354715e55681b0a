import { runFleet } from "./simulation/world.ts";

/** Worlds that each run of the tests looks at; `deno task nightly` runs five thousand. */
const SEEDS = 500;

Deno.test("fleets: whatever goes wrong, in the end all nodes have the same blocks", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) await runFleet(seed);
});

/**
 * Deletions that ended a block which began a little later by another clock; records that a restart
 * has made older, or younger, than they were; a block that was made right behind a deletion; a
 * deletion without a daemon.
 */
const ONCE_WRONG = [1512, 4304, 4570, 2018833, 3004543, 5000348];

Deno.test("fleets: worlds that once went wrong are in order", async () => {
  for (const seed of ONCE_WRONG) await runFleet(seed);
});
