/** What stands in records of different makers, and in which words it is told. */

import assert from "node:assert/strict";
import { countryOf, describePlace, networkOwnerOf } from "../../src/places/place.ts";

Deno.test("place: the country stands flat or nested, and may be missing", () => {
  const cases: [record: unknown, country: string | undefined][] = [
    [{ country_code: "DE" }, "DE"],
    [{ country_code: "de" }, "DE"],
    [{ country: { iso_code: "AT", names: { en: "Austria" } }, continent: { code: "EU" } }, "AT"],
    // IPinfo.
    [{ country: "CH", country_name: "Switzerland" }, "CH"],
    [{ country: "Switzerland", country_code: "CH" }, "CH"],
    // Only where the network is registered is known.
    [{ registered_country: { iso_code: "FR" } }, "FR"],
    [{ country: { iso_code: "AT" }, registered_country: { iso_code: "FR" } }, "AT"],
    [{ country_code: "ZZ" }, undefined],
    [{ country_code: "EU" }, undefined],
    [{ country: { iso_code: "AP" } }, undefined],
    [{ country_code: "" }, undefined],
    [{ country_code: "DEU" }, undefined],
    [{ country_code: 49 }, undefined],
    [{ country: null }, undefined],
    [{}, undefined],
    [[], undefined],
    ["DE", undefined],
    [null, undefined],
    [undefined, undefined],
  ];
  for (const [record, country] of cases) {
    assert.equal(countryOf(record), country, JSON.stringify(record));
  }
});

Deno.test("place: the network stands as a number or a text, with its owner's name or without", () => {
  const none = { asn: undefined, organisation: undefined };
  const cases: [record: unknown, owner: unknown][] = [
    [
      { autonomous_system_number: 64_500, autonomous_system_organization: "Example Networks" },
      { asn: 64_500, organisation: "Example Networks" },
    ],
    [{ asn: "AS64500", as_name: "Example" }, { asn: 64_500, organisation: "Example" }],
    [{ asn: "64500", name: "Example" }, { asn: 64_500, organisation: "Example" }],
    [{ asn: 4_294_967_295 }, { asn: 4_294_967_295, organisation: undefined }],
    [{ asn: 4_294_967_296 }, none],
    [{ asn: 0 }, none],
    [{ asn: "AS0", as_name: "Example" }, none],
    [{ asn: "DE" }, none],
    [{ autonomous_system_organization: "Example" }, none],
    [{ country_code: "DE" }, none],
    [undefined, none],
  ];
  for (const [record, owner] of cases) {
    assert.deepEqual(networkOwnerOf(record), owner, JSON.stringify(record));
  }
});

Deno.test("place: words hold what is known, and no control characters of the file", () => {
  const place = { country: "DE", asn: 64_500, organisation: 'a "b"\n\x1b[2J' };
  assert.equal(describePlace(place), 'DE, AS64500 "a \\"b\\"\\x0a\\x1b[2J"');
  assert.equal(describePlace({ ...place, organisation: undefined }), "DE, AS64500");
  assert.equal(describePlace({ ...place, asn: undefined }), "DE");
  assert.equal(describePlace({ ...place, country: undefined, organisation: "B" }), 'AS64500 "B"');
});
