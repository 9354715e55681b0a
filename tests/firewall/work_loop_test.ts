/** When a command is begun, and when one that failed is tried again. */

import assert from "node:assert/strict";
import { RETRY_MAX_MS } from "../../src/firewall/rejected.ts";
import { forEver, setUp } from "../support/simulated_firewall.ts";

Deno.test("work loop: an order given to an idle firewall is a command in the same turn", async () => {
  const { clock, kernel, firewall } = setUp();
  await clock.passUntil(firewall.start([]));
  kernel.calls.length = 0;
  firewall.block(forEver(["192.0.2.1"]));
  assert.deepEqual(kernel.calls, ["block 1"]);
  await clock.passUntil(firewall.idle());
  firewall.release(["192.0.2.1"]);
  assert.deepEqual(kernel.calls, ["block 1", "release 1"]);
  await clock.passUntil(firewall.stop());
});

Deno.test("work loop: a failed command is tried again with growing delays, for ever", async () => {
  const { clock, kernel, firewall, lines } = setUp({ verifyMs: 86_400_000 });
  await clock.passUntil(firewall.start([]));
  kernel.calls.length = 0;
  const moments: number[] = [];
  const start = clock.now();
  kernel.fault = (verb) => {
    if (verb === "list") return undefined;
    moments.push(clock.now() - start);
    return { kind: "busy", part: 0 };
  };
  firewall.block(forEver(["192.0.2.1"]));
  await clock.pass(600_000);
  const delays = moments.map((at, i) => at - (moments[i - 1] ?? 0));
  // Each delay begins after the command and the look that follows it, 2 ms each.
  assert.deepEqual(
    delays.slice(0, 12).map((ms) => ms - 4),
    [-4, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000],
  );
  assert.equal(lines.length, 1, lines.join("\n"));
  kernel.fault = () => undefined;
  firewall.block(forEver(["192.0.2.2"]));
  await clock.pass(RETRY_MAX_MS);
  assert.deepEqual(kernel.targets, ["192.0.2.1", "192.0.2.2"]);
  assert.match(lines[1]!, /^info IPv4: the firewall works again, after \d+\.\d s$/);
  assert.equal(lines.length, 2);
  await clock.passUntil(firewall.stop());
});
