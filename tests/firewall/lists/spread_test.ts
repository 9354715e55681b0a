/** Networks as others of few lengths: the same addresses, and not many more. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { expectNetwork, overlaps, writeNetwork } from "../../../src/address/address.ts";
import { TargetSetBuilder } from "../../../src/address/target_set.ts";
import { lengthsFor, nearOf, spread } from "../../../src/firewall/lists/spread.ts";

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
  assert.equal(nearOf(scattered, 4, 1), undefined);
  const clustered = setOf(
    Array.from({ length: 4_000 }, (_, i) => `20.${i >> 6}.${4 * (i & 63)}.0/${22 + i % 3}`)
      .concat(Array.from({ length: 30_000 }, (_, i) => `20.200.${i >> 7}.${2 * (i & 127)}`)),
  );
  const lengths = lengthsFor(clustered, 4);
  assert(lengths.length >= 2, `${lengths}`);
  const near = nearOf(clustered, 4, lengths.length)!;
  assert(near.length < 70 && near.every(({ prefix }) => prefix === 16));
  assert.deepEqual(lengthsFor(setOf([]), 4), []);
  // A liar's list: each of these would be 8,192 networks to ask for first.
  const wide = Array.from({ length: 3_000 }, (_, i) => `${(0x20000 + 2 * i).toString(16)}000`);
  const lied = setOf(wide.map((hex) => `${hex.slice(0, 4)}:${hex.slice(4)}::/19`));
  assert.equal(lied.sizeOf(6), 3_000);
  assert.equal(nearOf(lied, 6, 20), undefined);
  assert.equal(nearOf(setOf(["2001::/19", "2001:4000:1::/48"]), 6, 2)?.length, 8_193);
});
