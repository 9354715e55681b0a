/** Who is never charged. */

import assert from "node:assert/strict";
import { AddressSet } from "../../src/address/address_set.ts";
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
