/** IPv6 addresses that stand for an IPv4 host. */

import assert from "node:assert/strict";
import { parseAddress } from "../../src/address/address.ts";
import { HostNetworks } from "../../src/penalties/host_key.ts";
import { foldedIpv4 } from "../../src/places/folding.ts";

Deno.test("folding: mapped addresses, 6to4 and NAT64 are the IPv4 host behind them", () => {
  const networks = new HostNetworks(64, ["2001:db8:64::/96"]);
  const cases: [address: string, ipv4: string | undefined][] = [
    ["2002:c000:207::1", "192.0.2.7"],
    ["2002:c000:207:ffff:ffff:ffff:ffff:ffff", "192.0.2.7"],
    ["2002:ffff:ffff::", "255.255.255.255"],
    ["64:ff9b::cb00:7107", "203.0.113.7"],
    ["2001:db8:64::cb00:7107", "203.0.113.7"],
    ["2001:db8:65::cb00:7107", undefined],
    ["2001:2:c000:207::1", undefined],
    ["2003:c000:207::1", undefined],
    ["192.0.2.7", undefined],
  ];
  for (const [address, ipv4] of cases) {
    assert.equal(foldedIpv4(address, networks), ipv4, address);
  }
  // These are IPv4 addresses before anybody looks at them.
  assert.equal(parseAddress("::ffff:192.0.2.7"), "192.0.2.7");
  assert.equal(foldedIpv4("::ffff:192.0.2.7", networks), "192.0.2.7");
});
