/** What the status takes from the daemon. */

import assert from "node:assert/strict";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { Counters } from "../../src/telemetry/counters.ts";
import { statusOf } from "../../src/telemetry/status.ts";
import { eventType, NOW, source } from "../support/status_source.ts";

Deno.test("status: a wrong counter would show: the status sums what the counters hold", () => {
  const counters = new Counters();
  counters.event(eventType("ChallengeSent", "SIP"));
  counters.event(eventType("ChallengeSent", "SIP"));
  const status = statusOf({ ...source(), counters, config: DEFAULT_CONFIG }, NOW);
  assert.deepEqual(status.events.byKind, { "ChallengeSent SIP": 2 });
  assert.equal(status.events.total, 2);
});
