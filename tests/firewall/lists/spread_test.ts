/** Networks as others of few lengths: the same addresses, and not many more. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { expectNetwork, overlaps, writeNetwork } from "../../../src/address/address.ts";
import { TargetSetBuilder } from "../../../src/address/target_set.ts";
import { lengthsFor, nearOf, planOf, spread } from "../../../src/firewall/lists/spread.ts";

function setOf(targets: readonly string[]) {
  const builder = new TargetSetBuilder();
  for (const target of targets) builder.add(expectNetwork(target));
  return builder.build();
}

const ipv4 = fc.tuple(fc.nat(255), fc.nat(255), fc.integer({ min: 8, max: 32 }))
  .map(([b, d, prefix]) => `203.${b}.${d}.7/${prefix}`);
const ipv6 = fc.tuple(fc.nat(65_535), fc.nat(65_535), fc.integer({ min: 19, max: 128 }))
  .map(([b, d, prefix]) => `2001:${b.toString(16)}::${d.toString(16)}/${prefix}`);

Deno.test("spread: the networks are the same addresses, of the chosen lengths alone", () => {
  const targets = fc.array(fc.oneof(ipv4, ipv6), { minLength: 1, maxLength: 25 });
  fc.assert(
    fc.property(targets, (targets) => {
      const set = setOf(targets);
      for (const family of [4, 6] as const) {
        const lengths = lengthsFor(set, family);
        const parts = [...spread(set, family, lengths)];
        assert(parts.every(({ prefix }) => lengths.includes(prefix)));
        assert(parts.length <= 2 * set.sizeOf(family) + 20_000, `${parts.length}`);
        // No part is there twice, each is in its network, and together they have as many addresses.
        assert.equal(new Set(parts.map(writeNetwork)).size, parts.length);
        const width = family === 4 ? 32 : 128;
        const count = (all: Iterable<{ readonly prefix: number }>) =>
          [...all].reduce((sum, { prefix }) => sum + 2n ** BigInt(width - prefix), 0n);
        assert.equal(count(parts), count(set.networks(family)));
        const some = parts.filter((_, i) => i % 997 === 0).map(writeNetwork);
        const wholes = [...set.networks(family)].map(writeNetwork);
        for (const part of some) assert(wholes.some((whole) => overlaps(whole, part)), part);
      }
    }),
    { numRuns: 40 },
  );
});

Deno.test("spread: few lengths for what lists have, and a look that spares most packets the others", () => {
  const hosts = Array.from({ length: 30_000 }, (_, i) => `${1 + i % 200}.${i >> 8}.${i & 255}.9`);
  const scattered = setOf([...hosts, "203.0.113.0/24", "198.51.0.0/18"]);
  assert(lengthsFor(scattered, 4).length <= 2);
  assert.equal(planOf(scattered, 4).near, undefined);
  const clustered = setOf(
    Array.from({ length: 4_000 }, (_, i) => `20.${i >> 6}.${4 * (i & 63)}.0/${22 + i % 3}`)
      .concat(Array.from({ length: 30_000 }, (_, i) => `20.200.${i >> 7}.${2 * (i & 127)}`)),
  );
  const { lengths, near } = planOf(clustered, 4);
  assert(lengths.length >= 2, `${lengths}`);
  assert.deepEqual(near, { prefix: 16, least: 0 });
  assert([...nearOf(clustered, 4, near)].length < 70);
  assert.deepEqual(lengthsFor(setOf([]), 4), []);
  // A liar's list: each of these would be 8,192 networks to ask for first.
  const wide = Array.from({ length: 3_000 }, (_, i) => `${(0x20000 + 2 * i).toString(16)}000`);
  const lied = setOf(wide.map((hex) => `${hex.slice(0, 4)}:${hex.slice(4)}::/19`));
  assert.equal(lied.sizeOf(6), 3_000);
  assert.equal(planOf(lied, 6).near, undefined);
  const two = setOf(["2001::/19", "2001:4000:1::/48"]);
  assert.equal([...nearOf(two, 6, { prefix: 32, least: 0 })].length, 8_193);
});

Deno.test("spread: what is in all the Internet, and of many lengths, costs most packets four looks", () => {
  const lengths = [16, 18, 19, 20, 21, 22, 23, 24, 24, 25, 26, 27, 28, 29, 30, 32, 32];
  let seed = 1;
  const random = () => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0) / 2 ** 32;
  const builder = new TargetSetBuilder();
  for (let i = 0; i < 60_000; i++) {
    const prefix = lengths[Math.floor(random() * lengths.length)]!;
    const first = 20 + Math.floor(random() * 200);
    const address = (first * 2 ** 24 + Math.floor(random() * 2 ** 24)) >>> 0;
    builder.addIpv4((address & -(2 ** (32 - prefix))) >>> 0, prefix);
  }
  const set = builder.build();
  const plan = planOf(set, 4);
  const { prefix, least } = plan.near!;
  assert(plan.lengths.filter((length) => length < least).length <= 3, `${plan.lengths}`);
  const parts = [...spread(set, 4, plan.lengths)];
  const near = [...nearOf(set, 4, plan.near!)];
  assert(parts.length + near.length <= 2.5 * set.size + 20_000, `${parts.length}`);
  const keys = new Set(near.map(({ words }) => words[0]!));
  assert.equal(keys.size, near.length);
  const mask = -(2 ** (32 - prefix));
  for (const { words, prefix: length } of parts) {
    if (length >= least) assert(keys.has((words[0]! & mask) >>> 0));
  }
});
