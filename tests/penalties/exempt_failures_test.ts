/** What failed behind addresses that are never blocked. */

import assert from "node:assert/strict";
import { AddressSet } from "../../src/address/address_set.ts";
import { EXEMPT_HOSTS_MAX, ExemptFailures } from "../../src/penalties/exempt_failures.ts";
import { challengeSent, failedAcl, wrongAnswer } from "../support/asterisk_events.ts";
import { TableBench } from "../support/table_bench.ts";

Deno.test("exempt failures: of whoever is never blocked they are counted", () => {
  const bench = new TableBench({ exempt: new AddressSet(["198.51.100.7"]) });
  bench.take(
    wrongAnswer("198.51.100.7"),
    wrongAnswer("127.0.0.1"),
    wrongAnswer("127.0.0.1"),
    challengeSent("127.0.0.1"),
    failedAcl("127.0.0.1", "not_match_endpoint_acl"),
  );
  assert.deepEqual(bench.table.takeExemptFailures(), [["198.51.100.7", 1], ["127.0.0.1", 3]]);
  assert.deepEqual(bench.table.takeExemptFailures(), []);
});

Deno.test("exempt failures: of more hosts than the bound the later ones are not counted", () => {
  const exempt = new ExemptFailures();
  for (let i = 0; i <= EXEMPT_HOSTS_MAX; i++) exempt.add(i);
  exempt.add(0);
  const taken = exempt.take();
  assert.deepEqual([taken.length, taken[0]], [EXEMPT_HOSTS_MAX, [0, 2]]);
});
