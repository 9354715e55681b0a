import assert from "node:assert/strict";
import type { FleetState } from "../../src/fleet/fleet.ts";
import { fleetRows, shownFleet } from "../../src/telemetry/fleet.ts";
import { formatMetrics } from "../../src/telemetry/metrics.ts";
import { styleFor } from "../../src/text/table.ts";
import { NOW, source } from "../support/status_source.ts";

const STATE: FleetState = {
  node: "pbx1",
  engine: "redis://192.0.2.9:6379/0",
  connectedSince: undefined,
  trouble: { message: "no answer\x1b[1m", advice: "see to it" },
  nodes: [
    { node: "pbx1", at: NOW, version: "1", own: 2, theirs: 3, outbox: 0 },
    { node: "pbx2", at: NOW - 120_000, version: "1", own: 3, theirs: 2, outbox: 4 },
  ],
  own: 2,
  theirs: new Map([["pbx2", 3]]),
  outbox: 7,
  dropped: 1,
  refusals: { trusted: 2 },
  notApplied: [
    { kind: "refusal", target: "192.0.2.1", node: "pbx2", origin: "pbx1", why: "trusted" },
  ],
  clockAhead: 0,
  lagMs: 1.24,
};

Deno.test("fleet: the status tells of nodes, outbox, refusals and trouble", () => {
  const style = styleFor({ isTerminal: () => false });
  const text = fleetRows(shownFleet(STATE), NOW, style).map((row) => row.join(" ")).join("\n");
  for (
    const part of [
      "Fleet not connected to redis://192.0.2.9:6379/0 as pbx1; 2 blocks of its own, 3 from pbx2",
      "Fix: see to it",
      "7 changes to be sent, 1 found no place",
      "pbx2: away, seen 2 min ago, 3 blocks of its own, 2 of others, 4 to be sent",
      "2 blocks of others not applied: trusted here",
      "192.0.2.1 is not blocked on pbx2: trusted there",
    ]
  ) {
    assert.ok(text.includes(part), `${part}\n${text}`);
  }
  assert.equal(text.includes("\x1b"), false);
  assert.deepEqual(fleetRows(null, NOW, style), []);
});

Deno.test("fleet: the metrics tell the same", () => {
  const text = formatMetrics({ ...source(), elsewhere: { state: () => STATE } }, undefined);
  for (
    const line of [
      "ampere_fleet_connected 0",
      "ampere_fleet_nodes 2",
      'ampere_fleet_blocks{node="pbx2"} 3',
      "ampere_fleet_outbox 7",
      'ampere_fleet_refused_total{why="trusted"} 2',
    ]
  ) {
    assert.ok(text.split("\n").includes(line), line);
  }
  assert.equal(formatMetrics(source(), undefined).includes("fleet"), false);
});
