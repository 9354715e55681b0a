/** Targets as one line of the log names them. */

import assert from "node:assert/strict";
import { LOGGED_CHANGES_MAX, Targets } from "../../src/daemon/targets.ts";
import { address } from "../support/database_samples.ts";

Deno.test("targets: up to the bound all are named, of more the first ones and their number", () => {
  const all = Array.from({ length: LOGGED_CHANGES_MAX + 7 }, (_, n) => address(n));
  const most = all.slice(0, LOGGED_CHANGES_MAX);
  assert.equal(`${new Targets().add([])}`, "");
  assert.equal(`${new Targets().add(most)}`, most.join(", "));
  // In whatever parts they come.
  for (const size of [1, 6, LOGGED_CHANGES_MAX, all.length]) {
    const targets = new Targets();
    for (let at = 0; at < all.length; at += size) targets.add(all.slice(at, at + size));
    assert.equal(targets.count, all.length);
    assert.equal(`${targets}`, `${most.join(", ")} and 7 more`);
  }
});
