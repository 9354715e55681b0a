import assert from "node:assert/strict";
import { type Block, boundedNew } from "../../src/blocks/block.ts";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import {
  countsForNeighbours,
  isNeighboursBlock,
  neighbourhoodsOf,
  Neighbours,
  neighboursBlock,
} from "../../src/penalties/neighbours.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** The networks that each block in turn is one too many for. */
function crowds(targets: readonly string[], most = 3): string[][] {
  const neighbours = new Neighbours();
  return targets.map((target, i) =>
    neighbours.blocked(target, most, i * 1_000).map(({ network }) => network)
  );
}

Deno.test("neighbours: three hosts of one /24 are a crowd, and each one after that", () => {
  const hosts = ["203.0.113.4", "203.0.113.9", "203.0.112.9", "203.0.113.4", "203.0.113.77"];
  assert.deepEqual(crowds([...hosts, "203.0.113.78"]), [
    [],
    [],
    [],
    [],
    ["203.0.113.0/24"],
    ["203.0.113.0/24"],
  ]);
});

Deno.test("neighbours: of IPv6 three hosts of a /64, and three /64 of a /48", () => {
  assert.deepEqual(crowds(["2001:db8:1:2::4", "2001:db8:1:2::5", "2001:db8:1:2::6"]), [
    [],
    [],
    ["2001:db8:1:2::/64"],
  ]);
  assert.deepEqual(crowds(["2001:db8:1:2::4", "2001:db8:1:3::/64", "2001:db8:1:4::/64"]), [
    [],
    [],
    ["2001:db8:1::/48"],
  ]);
  assert.deepEqual(neighbourhoodsOf("2001:db8:1:200::/56"), [
    ["2001:db8:1::/48", "2001:db8:1:200::/56"],
  ]);
  assert.deepEqual(neighbourhoodsOf("2001:db8:1::/48"), []);
  assert.deepEqual(neighbourhoodsOf("203.0.113.0/25"), []);
});

Deno.test("neighbours: those count that were blocked within a day", () => {
  const neighbours = new Neighbours();
  neighbours.blocked("203.0.113.1", 3, 0);
  neighbours.blocked("203.0.113.2", 3, 20 * HOUR);
  assert.deepEqual(neighbours.blocked("203.0.113.3", 3, DAY + 1), []);
  assert.deepEqual(neighbours.blocked("203.0.113.4", 3, DAY + 2), [{
    network: "203.0.113.0/24",
    hosts: ["203.0.113.2", "203.0.113.3", "203.0.113.4"],
  }]);
  // Blocked anew, the first one is the last.
  assert.deepEqual(neighbours.blocked("203.0.113.2", 3, DAY + 3)[0]!.hosts.at(-1), "203.0.113.2");
});

Deno.test("neighbours: a host, or its network, that was released by hand does not count", () => {
  const neighbours = new Neighbours();
  for (const n of [1, 2]) neighbours.blocked(`203.0.113.${n}`, 3, 0);
  neighbours.forget("203.0.113.1");
  assert.deepEqual(neighbours.blocked("203.0.113.3", 3, 0), []);
  neighbours.forget("203.0.113.0/24");
  assert.equal(neighbours.size, 0);
  for (const n of [4, 5]) assert.deepEqual(neighbours.blocked(`203.0.113.${n}`, 3, 0), []);
  assert.equal(neighbours.blocked("203.0.113.6", 3, 0).length, 1);
});

Deno.test("neighbours: how many networks are watched is bounded", () => {
  const neighbours = new Neighbours();
  for (let n = 0; n < 66_000; n++) neighbours.blocked(`10.${n >> 8 & 255}.${n & 255}.1`, 3, 0);
  for (let n = 0; n < 66_000; n++) neighbours.blocked(`11.${n >> 8 & 255}.${n & 255}.1`, 3, 0);
  assert.equal(neighbours.size, 65_536);
});

Deno.test("neighbours: with 0 nobody is counted", () => {
  const neighbours = new Neighbours();
  for (let n = 1; n < 9; n++) assert.deepEqual(neighbours.blocked(`203.0.113.${n}`, 0, 0), []);
  assert.equal(neighbours.size, 0);
});

Deno.test("neighbours: what can be forged, or is in doubt, does not count", () => {
  assert.equal(countsForNeighbours({ proven: true }, { counts: true }), true);
  assert.equal(countsForNeighbours({ proven: true }, {}), true);
  assert.equal(countsForNeighbours({ proven: false }, { counts: true }), false);
  assert.equal(countsForNeighbours({ proven: true }, { counts: false }), false);
});

Deno.test("neighbours: a block lasts an hour, doubles up to a week, and names the hosts", () => {
  const crowd = { network: "203.0.113.0/24", hosts: ["203.0.113.2", "203.0.113.3"] };
  const hours = (times: number, config = {}) =>
    (neighboursBlock(crowd, { ...DEFAULT_CONFIG, ...config }, times, 0).until ?? 0) / HOUR;
  assert.deepEqual([0, 1, 2, 3, 7, 8, 50].map((times) => hours(times)), [
    1,
    2,
    4,
    8,
    128,
    168,
    168,
  ]);
  assert.equal(hours(5, { bantime: 600 }), 1 / 6, "nothing is longer than configured");
  assert.equal(hours(5, { bantime: 600, bantimeFactor: 4, bantimeMax: 7_200 }), 2);
  const block = neighboursBlock(crowd, DEFAULT_CONFIG, 0, 0);
  assert.equal(block.reason, "2 blocked hosts within a day: 203.0.113.2, 203.0.113.3");
});

Deno.test("neighbours: of many hosts as many are named as fit, and the block is known again", () => {
  const hosts = Array.from({ length: 64 }, (_, i) => `2001:db8:1111:2222:3333:4444:5555:${i + 10}`);
  const made = neighboursBlock(
    { network: "2001:db8:1111:2222::/64", hosts },
    DEFAULT_CONFIG,
    0,
    0,
  );
  const block: Block = { ...boundedNew(made), times: 1 };
  assert.equal(block.reason, made.reason);
  assert.match(block.reason, /^64 blocked hosts within a day: .*:73 and \d+ more$/);
  assert.equal(isNeighboursBlock(block), true);
  assert.equal(isNeighboursBlock({ ...block, service: "PJSIP" }), false);
  assert.equal(isNeighboursBlock({ ...block, target: "2001:db8::1" }), false);
  assert.equal(isNeighboursBlock({ ...block, reason: "by hand: 3 blocked hosts" }), false);
});
