/** Networks in little memory, against sets that are plainly right. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { expectNetwork, overlaps, readAddress } from "../../src/address/address.ts";
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
