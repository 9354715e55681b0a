/** Which addresses are one host, and which one network. */

import assert from "node:assert/strict";
import { AddressSet } from "../../src/address/address_set.ts";
import { wrongAnswer } from "../support/asterisk_events.ts";
import { POLICY, TableBench } from "../support/table_bench.ts";

Deno.test("host key: behind NAT64 and Teredo each address is a host, and trust of IPv4 holds", () => {
  const nat64 = ["2001:db8:64::/96"];
  const prefixes = ["64:ff9b::", "2001:db8:64::", "2001:0:102:304:5:6:7:", "::ffff:0:cb00:71"];
  for (const prefix of prefixes) {
    const bench = new TableBench({ ipv6Prefix: 64, nat64 });
    for (let i = 1; i <= 8; i++) bench.take(wrongAnswer(`${prefix}${i}`));
    assert.deepEqual(bench.blocked, [], prefix);
    for (let i = 0; i < 2; i++) bench.take(wrongAnswer(`${prefix}7`));
    assert.deepEqual(bench.blocked, [`${prefix}7`]);
  }
  for (const prefix of ["64:ff9b:", "::ffff:0"]) {
    const trusting = new TableBench({ ipv6Prefix: 64, exempt: new AddressSet(["203.0.113.7"]) });
    for (let i = 0; i < 9; i++) trusting.take(wrongAnswer(`${prefix}:cb00:7107`));
    assert.deepEqual(trusting.blocked, []);
    for (let i = 0; i < 3; i++) trusting.take(wrongAnswer(`${prefix}:cb00:7108`));
    assert.deepEqual(trusting.blocked, [`${prefix}:cb00:7108`]);
  }
});

Deno.test("host key: a new ipv6_prefix and new prefixes of NAT64 hold from then on", () => {
  const bench = new TableBench({ ipv6Prefix: 128 });
  const guess = (prefix: string) => {
    bench.offences.length = 0;
    for (let i = 1; i <= 4; i++) bench.take(wrongAnswer(`${prefix}${i}`));
    return bench.blocked;
  };
  const network = "2001:db8:0:1::";
  assert.deepEqual(guess(network), []);
  bench.table.setPolicy({ ...POLICY, ipv6Prefix: 64 });
  assert.deepEqual(guess(network).slice(0, 1), [`${network}/64`]);
  bench.table.setPolicy({ ...POLICY, ipv6Prefix: 64, nat64: ["2001:db8:0:2::/96"] });
  assert.deepEqual(guess("2001:db8:0:2::"), []);
  bench.table.setPolicy({ ...POLICY, ipv6Prefix: 64 });
  assert.deepEqual(guess("2001:db8:0:2::").slice(0, 1), ["2001:db8:0:2::/64"]);
});
