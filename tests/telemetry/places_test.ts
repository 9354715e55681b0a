/** Blocks by country and network, which are counted in a bounded number. */

import assert from "node:assert/strict";
import { COUNTED_MAX, PlaceCounts } from "../../src/telemetry/places.ts";

Deno.test("places: the first that appear are counted by themselves, all others together", () => {
  const counts = new PlaceCounts();
  for (let i = 0; i < 3 * COUNTED_MAX; i++) {
    const country = String.fromCharCode(65 + i % 26, 65 + Math.floor(i / 26));
    counts.add({ country, asn: 64_500 + i, organisation: undefined });
  }
  counts.add({ country: "AA", asn: undefined, organisation: undefined });
  counts.add({ country: undefined, asn: 64_500, organisation: undefined });
  for (const one of [counts.countries, counts.networks]) {
    assert.equal(one.size, COUNTED_MAX + 2);
    assert.equal(one.get("other"), 2 * COUNTED_MAX);
    assert.equal(one.get("unknown"), 1);
  }
  assert.equal(counts.countries.get("AA"), 2);
  assert.equal(counts.networks.get("64500"), 2);
});
