/** When what the firewall of before holds may go. */

import assert from "node:assert/strict";
import { Predecessor } from "../../src/daemon/predecessor.ts";
import type { FamilyStatus } from "../../src/firewall/firewall.ts";
import type { InForce } from "../../src/firewall/judgement.ts";
import { FakeClock, settled } from "../support/fake_clock.ts";

function family(
  number: 4 | 6,
  inForce: InForce | undefined,
  desired = 1,
  applied = desired,
): FamilyStatus {
  const judgement = inForce === undefined
    ? undefined
    : { family: number, inForce, cause: "", message: "", brief: "", advice: "" };
  return { family: number, judgement, desired, applied } as FamilyStatus;
}

function site(...families: FamilyStatus[]) {
  const clock = new FakeClock();
  const state = { families, cleared: 0, isGone: true };
  const predecessor = new Predecessor({
    clock,
    firewall: { status: () => ({ families: state.families }) as never },
    leftovers: {
      clear: () => {
        state.cleared += 1;
        return Promise.resolve(state.isGone);
      },
    },
    againMs: 60_000,
  });
  const look = async (afterMs = 0) => {
    await clock.advance(afterMs);
    predecessor.look();
    await settled();
    return state.cleared;
  };
  return { state, look };
}

Deno.test("predecessor: it stays until the blocks are in force, for both families", async () => {
  const { state, look } = site(family(4, undefined), family(6, "yes"));
  assert.equal(await look(), 0);
  state.families = [family(4, "no"), family(6, "yes")];
  assert.equal(await look(1_000), 0);
  state.families = [family(4, "yes", 5, 4), family(6, "yes")];
  assert.equal(await look(1_000), 0);
  state.families = [family(4, "yes"), family(6, "partly")];
  assert.equal(await look(1_000), 0);
  // A machine without IPv6 has nothing to hold there.
  state.families = [family(4, "yes"), family(6, "no", 0)];
  assert.equal(await look(1_000), 1);
});

Deno.test("predecessor: it does not stay for ever because blocks are not in force", async () => {
  const { look } = site(family(4, "no"));
  assert.equal(await look(29_000), 0);
  assert.equal(await look(1_000), 1);
});

Deno.test("predecessor: it is looked for again, and sooner if it could not be taken away", async () => {
  const { state, look } = site(family(4, "yes"));
  state.isGone = false;
  assert.equal(await look(), 1);
  assert.equal(await look(9_000), 1);
  state.isGone = true;
  assert.equal(await look(1_000), 2);
  assert.equal(await look(59_000), 2);
  assert.equal(await look(1_000), 3);
});
