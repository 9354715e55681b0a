/** Sets of addresses and networks. */

import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { contains, overlaps } from "../../src/address/address.ts";
import { AddressSet } from "../../src/address/address_set.ts";
import { nearAddress, nearTarget } from "../support/spellings.ts";

Deno.test("address set: it answers as the list of its targets does", () => {
  fc.assert(
    fc.property(
      fc.array(nearTarget, { maxLength: 40 }),
      fc.array(nearAddress, { minLength: 1, maxLength: 20 }),
      fc.array(nearTarget, { minLength: 1, maxLength: 20 }),
      (targets, addresses, probes) => {
        const set = new AddressSet(targets);
        deepStrictEqual(set.targets, [...new Set(targets)]);
        for (const address of addresses) {
          strictEqual(set.has(address), targets.some((target) => contains(target, address)));
          if (!address.includes(":")) {
            const number = address.split(".").reduce((all, part) => all << 8 | Number(part), 0);
            strictEqual(set.hasIpv4(number), set.has(address), address);
            strictEqual(set.hasIpv4(number >>> 0), set.has(address), address);
          }
        }
        for (const target of targets) ok(set.has(target.split("/")[0]!));
        for (const probe of probes) {
          strictEqual(set.overlaps(probe), targets.some((target) => overlaps(target, probe)));
        }
      },
    ),
    { numRuns: 1_000 },
  );
});

Deno.test("address set: it takes other spellings, and has nothing that is not an address", () => {
  const set = new AddressSet(["10.1.2.3/8", "::ffff:192.0.2.7", "2001:DB8::/32", "10.0.0.0/8"]);
  deepStrictEqual(set.targets, ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]);
  ok(set.has("::ffff:10.9.9.9"));
  ok(set.has("192.0.2.7"));
  ok(set.has("2001:db8::1"));
  for (const text of ["", "10.1", "10.0.0.0/8", "11.0.0.1", "2001:db9::1", "::", "0.0.0.0"]) {
    strictEqual(set.has(text), false, text);
  }
  strictEqual(new AddressSet([]).has("10.0.0.1"), false);
  strictEqual(new AddressSet([]).overlaps("0.0.0.0/0"), false);
  throws(() => new AddressSet(["10.0.0.1", "nonsense"]), TypeError);
});

Deno.test("address set: 50,000 networks are searched, not scanned", () => {
  const targets: string[] = [];
  for (let i = 0; i < 50_000; i++) {
    targets.push(`${11 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24`);
  }
  const set = new AddressSet(targets);
  let found = 0;
  const start = performance.now();
  for (let i = 0; i < 100_000; i++) {
    if (set.has(`11.${(i >> 8) & 255}.${i & 255}.${i % 251}`)) found++;
  }
  const elapsed = performance.now() - start;
  // The networks searched for repeat after 65,536; the first 50,000 of a round are in the set.
  strictEqual(found, 50_000 + (100_000 - 65_536));
  // A scan would compare 100,000 x 25,000 ranges, which takes many seconds on any machine.
  ok(elapsed < 2_000, `100,000 searches took ${elapsed.toFixed()} ms`);
});
