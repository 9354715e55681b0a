/** Files in MaxMind's format. */

import assert from "node:assert/strict";
import { Mmdb, MmdbError } from "../../src/places/mmdb.ts";
import { mmdbBytes, REAL, realFile } from "../support/mmdb.ts";

/** An address of each registry, and its country in the file of 2026-06. */
const KNOWN = [["193.99.144.80", "DE"], ["8.8.8.8", "US"], [
  "2a02:2e0:3fe:1001:302::",
  "DE",
]] as const;

async function real(name: keyof typeof REAL): Promise<Mmdb> {
  return new Mmdb(await Deno.readFile(await realFile(REAL[name])));
}

Deno.test("mmdb: a real file knows addresses of both families, and nothing of private ones", async () => {
  const file = await real("both");
  assert.deepEqual(file.facts, {
    type: "country ipvAll",
    builtAt: Date.UTC(2026, 5, 17, 19, 51, 40),
    hasIpv6: true,
    bytes: 7_841_291,
  });
  for (const [address, country_code] of KNOWN) {
    assert.deepEqual(file.get(address), { country_code }, address);
  }
  for (const address of ["10.0.0.1", "127.0.0.1", "192.0.2.7", "::1", "fe80::1"]) {
    assert.equal(file.get(address), undefined, address);
  }
  assert.equal(file.countNetworks(), 1_010_885);
});

Deno.test("mmdb: a real file of IPv4 alone answers no IPv6 address, as mmdb-lib would", async () => {
  const file = await real("ipv4");
  assert.equal(file.facts.hasIpv6, false);
  assert.deepEqual(file.get("193.99.144.80"), { country_code: "DE" });
  // 0x2a02 is the beginning of the IPv4 network 42.2.0.0/16, too.
  assert.deepEqual(file.get("42.2.2.2"), { country_code: "HK" });
  assert.equal(file.get("2a02:2e0:3fe:1001:302::"), undefined);
});

Deno.test("mmdb: a real file of IPv6 alone has nothing on IPv4 addresses", async () => {
  const file = await real("ipv6");
  assert.deepEqual(file.get("2a02:2e0:3fe:1001:302::"), { country_code: "DE" });
  for (const address of ["193.99.144.80", "8.8.8.8", "1.1.1.1"]) {
    assert.equal(file.get(address), undefined);
  }
});

Deno.test("mmdb: every size of node is read and counted", () => {
  for (const recordSize of [24, 28, 32] as const) {
    for (const ipVersion of [4, 6] as const) {
      const file = new Mmdb(mmdbBytes({
        networks: [
          ["192.0.2.0/24", { country_code: "DE" }],
          ["203.0.113.0/24", { country: { iso_code: "AT" } }],
          ["203.0.113.128/25", { country: { iso_code: "CH" } }],
        ],
        recordSize,
        ipVersion,
      }));
      const what = `${recordSize} ${ipVersion}`;
      assert.deepEqual(file.get("192.0.2.7"), { country_code: "DE" }, what);
      assert.deepEqual(file.get("203.0.113.9"), { country: { iso_code: "AT" } }, what);
      assert.deepEqual(file.get("203.0.113.200"), { country: { iso_code: "CH" } }, what);
      assert.equal(file.get("198.51.100.1"), undefined, what);
      assert.equal(file.get("2001:db8::1"), undefined, what);
      assert.equal(file.countNetworks(), 3, what);
    }
  }
});

Deno.test("mmdb: what is no such file is told as what it is", () => {
  const whole = mmdbBytes({ networks: [["192.0.2.0/24", { country_code: "DE" }]] });
  const cases: [bytes: number[] | Uint8Array, message: RegExp][] = [
    [[], /is empty/],
    [[0x1f, 0x8b, 8, 0], /gunzip/],
    [[0x50, 0x4b, 3, 4], /unzip/],
    [[...new TextEncoder().encode("<!DOCTYPE html><title>404</title>")], /web page/],
    [[...new TextEncoder().encode("name,country\n".repeat(99))], /\.mmdb/],
    [whole.subarray(0, whole.length / 2), /cut off/],
    // Its end is there, most of its tree is not.
    [whole.subarray(400), /cut off or damaged/],
  ];
  for (const [bytes, message] of cases) {
    assert.throws(
      () => new Mmdb(Uint8Array.from(bytes)),
      (error: Error) => error instanceof MmdbError && message.test(error.message),
      String(message),
    );
  }
});

Deno.test("mmdb: of a damaged file each address has a record or none, and nothing is thrown", () => {
  const whole = mmdbBytes({
    networks: Array.from(
      { length: 64 },
      (_, i) => [`203.0.113.${i * 4}/30`, { country: { iso_code: "DE" }, n: [i, true] }],
    ),
  });
  let state = 1;
  const random = (below: number) => (state = Math.imul(state, 48_271) >>> 0) % below;
  let opened = 0;
  for (let round = 0; round < 2_000; round++) {
    const bytes = Uint8Array.from(whole);
    for (let i = 0; i < 8; i++) bytes[random(bytes.length)] = random(256);
    let file: Mmdb;
    try {
      file = new Mmdb(bytes);
    } catch (error) {
      assert.ok(error instanceof MmdbError, String(error));
      continue;
    }
    opened++;
    for (let i = 0; i < 16; i++) file.get(`203.0.113.${i * 16}`);
    file.countNetworks();
  }
  assert.ok(opened > 100, String(opened));
});
