/** From the configuration to the rules, and from an offence to a block. */

import assert from "node:assert/strict";
import { AddressSet } from "../../src/address/address_set.ts";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import type { Offence } from "../../src/penalties/offence.ts";
import { blockOf, policyOf } from "../../src/penalties/policy.ts";
import { NOW } from "../support/database_samples.ts";
import { OFFENCE } from "../support/offence_sample.ts";
import { HOST } from "../support/table_bench.ts";

const PROVEN: Offence = { ...OFFENCE, transport: "TLS", proven: true };

Deno.test("policy: the doubt lasts no longer than a block does, if blocks end", () => {
  const exempt = new AddressSet([]);
  const doubtOf = (bantime: number) =>
    policyOf({ ...DEFAULT_CONFIG, doubt: 60, bantime }, exempt).doubtMs;
  assert.deepEqual([0, 10, 60, 600].map(doubtOf), [60_000, 10_000, 60_000, 60_000]);
  const { patienceMs, creditMs, forgetMs } = policyOf(
    { ...DEFAULT_CONFIG, patience: 1, credit: 2, forget: 3 },
    exempt,
  );
  assert.deepEqual([patienceMs, creditMs, forgetMs], [1_000, 2_000, 3_000]);
});

Deno.test("policy: a proven attack is a block for ever by default, a forgeable one ends and says why", () => {
  const proven = blockOf(PROVEN, DEFAULT_CONFIG, () => 0, NOW);
  assert.deepEqual([proven.since, proven.until, proven.counts], [NOW, undefined, true]);
  assert.doesNotMatch(proven.reason, /forged/);
  const forgeable = blockOf({ ...PROVEN, proven: false }, DEFAULT_CONFIG, () => 0, NOW);
  assert.equal(forgeable.until, NOW + 3_600_000);
  assert.match(forgeable.reason, /its address can be forged/);
  // Where no block is for ever, this one is as long as any.
  const fixed = { ...DEFAULT_CONFIG, bantime: 600 };
  const short = blockOf({ ...PROVEN, proven: false }, fixed, () => 0, NOW);
  assert.equal(short.until, NOW + 600_000);
  assert.doesNotMatch(short.reason, /forged/);
});

Deno.test("policy: earlier blocks are asked for only where they count", () => {
  const asked: string[] = [];
  const timesOf = (target: string) => {
    asked.push(target);
    return 1;
  };
  blockOf(PROVEN, DEFAULT_CONFIG, timesOf, NOW);
  blockOf(PROVEN, { ...DEFAULT_CONFIG, bantime: 600 }, timesOf, NOW);
  assert.deepEqual(asked, []);
  const growing = { ...DEFAULT_CONFIG, bantime: 600, bantimeFactor: 2, bantimeMax: 86_400 };
  assert.equal(blockOf(PROVEN, growing, timesOf, NOW).until, NOW + 1_200_000);
  assert.deepEqual(asked, [HOST]);
});
