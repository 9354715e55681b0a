/** Who is never charged. */

import assert from "node:assert/strict";
import { AddressSet } from "../../src/address/address_set.ts";
import { ExemptHosts } from "../../src/penalties/exempt_hosts.ts";
import { HostNetworks, keyOf } from "../../src/penalties/host_key.ts";
import { challengeSent, wrongAnswer } from "../support/asterisk_events.ts";
import { HOST, POLICY, TableBench } from "../support/table_bench.ts";

Deno.test("exempt hosts: the trust list, loopback and nobody are never charged", () => {
  const bench = new TableBench({
    exempt: new AddressSet(["198.51.100.0/24", "2001:db8:600d::/48"]),
  });
  for (
    const address of [
      "198.51.100.7",
      "2001:db8:600d::1",
      "127.0.0.1",
      "127.9.9.9",
      "::1",
      "0.0.0.0",
      "::",
    ]
  ) {
    bench.take(
      ...Array.from({ length: 9 }, () => wrongAnswer(address)),
      ...Array.from({ length: 9 }, () => challengeSent(address)),
    );
  }
  bench.after(10_000);
  assert.deepEqual(bench.blocked, []);
  assert.equal(bench.table.size, 0);
});

Deno.test("exempt hosts: a change of the trust list frees those who are trusted now", () => {
  const bench = new TableBench().take(
    wrongAnswer(HOST),
    wrongAnswer("203.0.113.6"),
    challengeSent(HOST),
  );
  bench.table.setPolicy({ ...POLICY, exempt: new AddressSet([HOST]) });
  bench.after(10_000);
  assert.equal(bench.points(), 0);
  assert.equal(bench.points("203.0.113.6"), 5);
});

Deno.test("exempt hosts: behind NAT64 those whose IPv4 address is exempt are so too, as long as the policy says so", () => {
  const nat64 = ["2001:db8:64::/96"];
  const exempt = new ExemptHosts(new AddressSet(["203.0.113.7"]), new HostNetworks(64, nat64));
  const has = (address: string) => exempt.has(keyOf(address));
  const behind = ["64:ff9b::cb00:7107", "2001:db8:64::cb00:7107"];
  assert.deepEqual(["203.0.113.7", ...behind].map(has), [true, true, true]);
  assert.deepEqual(["203.0.113.8", "64:ff9b::cb00:7108"].map(has), [false, false]);
  exempt.set(new AddressSet(["203.0.113.7"]), new HostNetworks(64, []));
  assert.deepEqual(behind.map(has), [true, false], "that network is no NAT64 any more");
  exempt.set(new AddressSet(["203.0.113.8"]), new HostNetworks(64, []));
  assert.deepEqual(["203.0.113.7", ...behind, "203.0.113.8", "64:ff9b::cb00:7108"].map(has), [
    false,
    false,
    false,
    true,
    true,
  ]);
});

Deno.test("exempt hosts: the answers stay right when there are more hosts than are remembered", () => {
  const exempt = new ExemptHosts(new AddressSet(["2001:db8::/113"]), new HostNetworks(64, []));
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 40_000; i += 1) {
      assert.equal(exempt.has(`2001:db8::${i.toString(16)}`), i < 32_768, `${i}`);
    }
  }
});
