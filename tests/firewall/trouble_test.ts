/** What is told of failures, and how often. */

import assert from "node:assert/strict";
import { RETRY_MAX_MS } from "../../src/firewall/rejected.ts";
import { addresses } from "../support/namespace.ts";
import { forEver, setUp } from "../support/simulated_firewall.ts";

Deno.test("trouble: a trouble is over when what was to be repaired is wanted no more", async () => {
  for (const timed of [false, true]) {
    const { clock, kernel, firewall } = setUp({ timed });
    await clock.passUntil(firewall.start([]));
    let faults = 1;
    kernel.fault = () => faults-- > 0 ? { kind: "busy", part: 0 } : undefined;
    firewall.block(forEver(["192.0.2.1"]));
    // The command has failed, the look has succeeded, and the second try is waited for.
    await clock.pass(20);
    assert.deepEqual([firewall.status().failing, kernel.calls.at(-1)], [true, "list"]);
    firewall.release(["192.0.2.1"]);
    await clock.pass(30_000);
    assert.equal(firewall.status().failing, false);
    await clock.passUntil(firewall.stop());
  }
});

Deno.test("trouble: a firewall that refuses everything is not stormed", async () => {
  const { clock, kernel, firewall, lines } = setUp({ verifyMs: 86_400_000 });
  await clock.passUntil(firewall.start([]));
  const all = addresses(10_000);
  for (const target of all) kernel.poison.add(target);
  kernel.calls.length = 0;
  firewall.block(forEver(all));
  await clock.pass(60_000);
  assert.ok(kernel.calls.length < 300, `${kernel.calls.length} commands in a minute`);
  assert.ok(lines.length < 8, lines.join("\n"));
  kernel.poison.clear();
  const start = clock.now();
  await clock.passUntil(firewall.idle());
  await clock.pass(RETRY_MAX_MS);
  assert.ok(clock.now() - start < 40_000);
  assert.deepEqual(kernel.targets, all.toSorted());
  await clock.passUntil(firewall.stop());
});
