/** Where hosts are, and who is a stranger from away. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { DEFAULT_CONFIG } from "../../src/config/config.ts";
import { keyOf } from "../../src/penalties/host_key.ts";
import { type PlaceRules, Places } from "../../src/places/places.ts";
import { FOLDER, mmdbBytes, mmdbFile as file, REAL, realFile } from "../support/mmdb.ts";

async function open(rules: Partial<PlaceRules>): Promise<Places> {
  const places = new Places({ ...DEFAULT_CONFIG, ...rules });
  await places.open();
  return places;
}

const GEO = file(
  ["192.0.2.0/24", { country_code: "DE" }],
  ["198.51.100.0/24", { country: { iso_code: "AT" } }],
  ["203.0.113.0/24", { country: { iso_code: "BR" } }],
  ["2001:db8:1::/48", { country_code: "BR" }],
  ["10.0.0.0/8", { country_code: "BR" }],
);
const ASN = file(
  ["192.0.2.0/24", { autonomous_system_number: 64_500, autonomous_system_organization: "One" }],
  ["198.51.100.0/24", { asn: "AS64501", as_name: "Two" }],
);

Deno.test("places: country and network of an address, of a network, and of none", async () => {
  const places = await open({ geo: GEO, asn: ASN });
  assert.deepEqual(places.of("192.0.2.7"), { country: "DE", asn: 64_500, organisation: "One" });
  assert.deepEqual(places.of("198.51.100.0/24"), {
    country: "AT",
    asn: 64_501,
    organisation: "Two",
  });
  const nothing = { asn: undefined, organisation: undefined };
  assert.deepEqual(places.of("2001:db8:1:2::/64"), { country: "BR", ...nothing });
  assert.deepEqual(places.of("100.100.100.100"), { country: undefined, ...nothing });
});

Deno.test("places: 6to4 and NAT64 are looked up as the IPv4 host behind", async () => {
  const places = await open({ geo: GEO, nat64: ["2001:db8:64::/96"] });
  for (const address of ["2002:cb00:7107::1", "64:ff9b::cb00:7107", "2001:db8:64::cb00:7107"]) {
    assert.equal(places.of(address).country, "BR", address);
  }
});

Deno.test("places: away is who is known to be elsewhere; who is not known, or private, is at home", async () => {
  const places = await open({ geo: GEO, home: ["DE", "AT"] });
  const cases = [
    ["192.0.2.7", false],
    ["198.51.100.7", false],
    ["203.0.113.7", true],
    ["2001:db8:1::7", true],
    ["2002:cb00:7107::1", true],
    ["100.100.100.100", false],
    ["2001:db8:2::7", false],
    // The file says that it is in Brazil.
    ["10.1.2.3", false],
  ] as const;
  for (const [address, away] of cases) {
    assert.equal(places.isAway(address), away, address);
    const why = places.strict?.whyStrict(keyOf(address));
    assert.equal(why, away ? "it is in BR, which is not home" : undefined, address);
  }
  assert.equal(places.strict?.whyBarred, undefined);
  assert.equal((await open({ geo: GEO })).isAway("203.0.113.7"), false);
});

Deno.test("places: what becomes of who is away, and of networks", async () => {
  const [away, hosting] = [keyOf("203.0.113.7"), keyOf("192.0.2.7")];
  const home = ["DE", "AT"];
  assert.equal((await open({ geo: GEO, home, away: "watch" })).strict, undefined);
  const block = (await open({ geo: GEO, home, away: "block" })).strict;
  assert.equal(block?.whyBarred?.(away), "it is in BR, which is not home");
  assert.equal(block?.whyStrict(away), "it is in BR, which is not home");
  assert.equal(block?.whyBarred?.(hosting), undefined);
  const asnStrict = [64_500];
  const networks = (await open({ geo: GEO, asn: ASN, asnStrict, home, away: "watch" })).strict;
  assert.equal(networks?.whyStrict(hosting), "its network AS64500 is in asn_strict");
  assert.equal(networks?.whyStrict(away), undefined);
  assert.equal(networks?.whyBarred, undefined);
  // Rules without the files that they need judge nobody.
  assert.equal((await open({ home, asnStrict })).strict, undefined);
  assert.equal((await open({ asn: ASN, home })).strict, undefined);
});

Deno.test("places: the real file of IPv4 makes nobody of IPv6 a stranger from away", async () => {
  const places = await open({ geo: await realFile(REAL.ipv4), home: ["DE"] });
  assert.equal(places.of("193.99.144.80").country, "DE");
  assert.equal(places.isAway("8.8.8.8"), true);
  for (const address of ["2a02:2e0:3fe:1001:302::", "2001:4860:4860::8888"]) {
    assert.equal(places.of(address).country, undefined);
    assert.equal(places.isAway(address), false);
  }
  // But it knows who is behind these.
  assert.equal(places.isAway("2002:808:808::1"), true);
});

Deno.test("places: a file of the other kind is refused, and its fields are named", async () => {
  const places = await open({ geo: ASN, asn: await realFile(REAL.both) });
  // No sample of the first is in the small file: it is believed.
  assert.equal(places.files[0]!.trouble, undefined);
  assert.match(
    places.files[1]!.trouble!.message,
    /mmdb names no networks \(ASN\): its records have country_code$/,
  );
  assert.equal(places.of("193.99.144.80").asn, undefined);
});

Deno.test("places: a file that changes is read again when it rests; a broken one changes nothing", async () => {
  const path = join(FOLDER, "changing.mmdb");
  const write = (country_code: string) =>
    Deno.writeFileSync(path, mmdbBytes({ networks: [["192.0.2.0/24", { country_code }]] }));
  const places = await open({ geo: path });
  const country = () => places.of("192.0.2.7").country;
  assert.match(places.files[0]!.trouble!.message, /changing\.mmdb is not there/);
  assert.equal(country(), undefined);
  write("DE");
  assert.equal(await places.look(), false);
  assert.equal(await places.look(), true);
  assert.equal(country(), "DE");
  assert.equal(await places.look(), false);
  // As an updater does it.
  const other = `${path}.new`;
  Deno.writeFileSync(other, mmdbBytes({ networks: [["192.0.2.0/24", { country_code: "AT" }]] }));
  Deno.renameSync(other, path);
  await places.look();
  assert.equal(await places.look(), true);
  assert.equal(country(), "AT");
  // A download that ended too early, and then one that did not.
  Deno.writeFileSync(
    path,
    mmdbBytes({ networks: [["192.0.2.0/24", { country_code: "CH" }]] })
      .subarray(0, 300),
  );
  await places.look();
  assert.equal(await places.look(), true);
  assert.match(places.files[0]!.trouble!.message, /was cut off/);
  assert.equal(country(), "AT");
  write("CH");
  await places.look();
  assert.equal(await places.look(), true);
  assert.equal(places.files[0]!.trouble, undefined);
  assert.equal(country(), "CH");
  Deno.removeSync(path);
  await places.look();
  assert.equal(await places.look(), true);
  assert.match(places.files[0]!.trouble!.message, /is not there/);
  assert.equal(country(), "CH");
});

Deno.test("places: the cache of what was looked up is bounded, and answers the same", async () => {
  const places = await open({ geo: GEO });
  for (let i = 0; i < 10_000; i++) places.of(`203.0.${i >> 8}.${i & 255}`);
  assert.equal(places.of("203.0.113.7").country, "BR");
  assert.equal(places.of("203.0.114.7").country, undefined);
});

Deno.test("places: what cannot be read is told with what helps", async () => {
  const text = join(FOLDER, "text.mmdb");
  Deno.writeTextFileSync(text, "network,country\n");
  const large = join(FOLDER, "large.mmdb");
  Deno.writeFileSync(large, new Uint8Array(0));
  Deno.truncateSync(large, 300 * 1024 * 1024);
  for (
    const [geo, message] of [
      [text, /text\.mmdb is no file in MaxMind's format \(\.mmdb\), or was cut off$/],
      [large, /large\.mmdb is larger than 256 MB/],
      [FOLDER, /is not a file$/],
      [join(FOLDER, "absent.mmdb"), /absent\.mmdb is not there$/],
    ] as const
  ) {
    const { trouble } = (await open({ geo })).files[0]!;
    assert.match(trouble!.message, message);
    assert.notEqual(trouble!.advice, "");
  }
});
