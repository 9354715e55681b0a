/** Rules as the programs list them. */

import assert from "node:assert/strict";
import { readTarget } from "../../src/firewall/chain.ts";

Deno.test("chain: addresses are read as the C library writes them", () => {
  assert.equal(readTarget("192.0.2.1/32", 4), "192.0.2.1");
  assert.equal(readTarget("192.0.2.0/24", 4), "192.0.2.0/24");
  assert.equal(readTarget("2001:db8::1/128", 6), "2001:db8::1");
  assert.equal(readTarget("::1.2.3.4/128", 6), "::102:304");
  assert.equal(readTarget("::ffff:1.2.3.0/120", 6), undefined);
  assert.equal(readTarget("10.0.0.1/255.0.0.255", 4), undefined);
});
