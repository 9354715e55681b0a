import assert from "node:assert/strict";
import type { Deletion } from "../../src/blocks/deletions.ts";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { Elsewhere } from "../../src/daemon/elsewhere.ts";
import { FleetService } from "../../src/daemon/fleet_service.ts";
import { Log } from "../../src/log.ts";
import type { Notice } from "../../src/telemetry/notice.ts";

/** A service whose engine is not there, and what it has kept. */
function serviceWithoutEngine() {
  const kept: Deletion[] = [];
  const list = {
    deletions: () => [...kept],
    saveDeletions: (deletions: readonly Deletion[]) => kept.push(...deletions) > 0,
    all: () => [],
    get: () => undefined,
  };
  const parts = { list, wallClock: Date.now } as unknown;
  const elsewhere = new Elsewhere(parts as ConstructorParameters<typeof Elsewhere>[0]);
  const fleet = { host: "127.0.0.1", port: 1, tls: false, user: undefined, database: 0 };
  const host = {
    config: { ...DEFAULT_CONFIG, fleet, fleetName: "pbx1" },
    dryRun: false,
    elsewhere,
  };
  const log = new Log({ level: "error" });
  return { host, kept, service: new FleetService(host, log) };
}

function deletedByHand(target: string): Notice {
  return { event: "unblock", target, reason: "deleted by hand" } as Notice;
}

const targets = (kept: readonly Deletion[]) => kept.map(([target]) => target);

Deno.test("fleet: a deletion right before the end is kept, though the engine is away", async () => {
  const { kept, service } = serviceWithoutEngine();
  await service.apply();
  service.hear(deletedByHand("192.0.2.1"));
  assert.deepEqual(targets(kept), []);
  service.save();
  assert.deepEqual(targets(kept), ["192.0.2.1"]);
  await service.stop();
});

Deno.test("fleet: a deletion while the fleet is made, or made anew, is known to it", async () => {
  const { host, kept, service } = serviceWithoutEngine();
  const applied = service.apply();
  service.hear(deletedByHand("192.0.2.1"));
  await applied;
  assert.deepEqual(targets(kept), ["192.0.2.1"]);
  host.config = { ...host.config, fleetMax: 7 };
  const again = service.apply();
  service.hear(deletedByHand("192.0.2.2"));
  await again;
  assert.deepEqual(targets(kept), ["192.0.2.1", "192.0.2.2"]);
  await service.stop();
});

Deno.test("fleet: after the end nothing waits for ever to be written", async () => {
  const { service } = serviceWithoutEngine();
  await service.apply();
  await service.stop();
  // A timer that goes on would be found by the test runner.
  service.hear(deletedByHand("192.0.2.1"));
});
