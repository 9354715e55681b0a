/** Networks in little memory, against sets that are plainly right. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { expectNetwork, overlaps, readAddress, writeNetwork } from "../../src/address/address.ts";
import { TargetSetBuilder } from "../../src/address/target_set.ts";

const ipv4 = fc.tuple(
  fc.integer({ min: 0, max: 3 }),
  fc.integer({ min: 0, max: 255 }),
  fc.integer({ min: 8, max: 32 }),
)
  .map(([b, d, prefix]) => `203.${b}.113.${d}/${prefix}`);
const ipv6 = fc.tuple(
  fc.integer({ min: 0, max: 3 }),
  fc.integer({ min: 0, max: 9 }),
  fc.integer({ min: 19, max: 128 }),
)
  .map(([b, d, prefix]) => `2001:db8:${b}::${d}/${prefix}`);
const target = fc.oneof(ipv4, ipv6);

Deno.test("target set: it finds what overlaps, and nothing else; nothing in it holds another", () => {
  fc.assert(fc.property(fc.array(target, { maxLength: 40 }), target, (targets, wanted) => {
    const builder = new TargetSetBuilder();
    for (const one of targets) builder.add(expectNetwork(one));
    assert.equal(builder.size, targets.length);
    const set = builder.build();
    const all = [...set.targets()];
    assert.equal(all.length, set.size);
    for (const [i, one] of all.entries()) {
      assert(all.every((other, j) => i === j || !overlaps(one, other)), `${one} in ${all}`);
    }
    for (const one of targets) assert(all.some((other) => overlaps(one, other)), one);
    const network = expectNetwork(wanted);
    const found = set.find(network);
    const expected = targets.some((one) => overlaps(one, wanted));
    assert.equal(found !== undefined, expected, `${wanted} in ${all}: ${found}`);
    if (found !== undefined) assert(overlaps(found, wanted) && all.includes(found));
    if (network.family === 4) {
      const at = set.findIpv4(network.words[0]! | 0);
      const host = wanted.split("/")[0]!;
      const first = readAddress(host)!;
      assert.equal(set.find(first) !== undefined, targets.some((one) => overlaps(one, host)));
      assert.equal(
        at >= 0,
        all.some((one) => overlaps(one, first.words.length === 1 ? text(network.words[0]!) : "")),
      );
    }
  }));
});

function text(word: number): string {
  return [24, 16, 8, 0].map((bits) => (word >>> bits) & 255).join(".");
}

Deno.test("target set: many are sorted in steps, and are what they are in one", () => {
  let seed = 1;
  const random = () => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0) >>> 8;
  const builder = new TargetSetBuilder();
  const hosts = new Set<string>();
  for (let i = 0; i < 30_000; i++) {
    const [b, c, d] = [random() & 255, random() & 255, random() & 255];
    for (const host of [`203.${b}.${c}.${d}`, `2001:db8:${c}:${b}::${d}`]) {
      const address = readAddress(host)!;
      hosts.add(writeNetwork(address));
      builder.add(address);
    }
  }
  builder.add(expectNetwork("203.7.0.0/16"));
  builder.add(expectNetwork("2001:db8:7::/48"));
  const steps = builder.buildInSteps();
  let count = 0;
  let step = steps.next();
  for (; !step.done; step = steps.next()) count++;
  assert(count > 10, `${count} steps`);
  const wide = ["203.7.0.0/16", "2001:db8:7::/48"];
  const left = [...hosts].filter((host) => !wide.some((network) => overlaps(network, host)));
  assert.deepEqual([...step.value.targets()].sort(), [...left, ...wide].sort());
  assert.deepEqual([...builder.build().targets()], [...step.value.targets()]);
});
