/** What `ampere --check` says of files of places, and of who belongs here. */

import assert from "node:assert/strict";
import { BlockDatabase } from "../../../src/blocks/database.ts";
import { checkPlaces } from "../../../src/commands/check/places.ts";
import { type Config, DEFAULT_CONFIG } from "../../../src/config/config.ts";
import { FOLDER, mmdbFile, REAL, realFile } from "../../support/mmdb.ts";

/** When the files of the tests are a week old. */
const NOW = 1.78e12 + 7 * 86_400_000;

async function found(config: Partial<Config>, now = NOW): Promise<string[]> {
  const findings = await checkPlaces({ ...DEFAULT_CONFIG, database: "/none.db", ...config }, now);
  return findings.map(({ level, message, advice }) =>
    `${level} ${message}${advice === "" ? "" : ` (${advice})`}`
  );
}

const GEO = mmdbFile(
  ["192.0.2.0/24", { country_code: "DE" }],
  ["203.0.113.0/24", { country: { iso_code: "BR" } }],
);

Deno.test("check places: kind, date and size of each file; nothing without any", async () => {
  assert.deepEqual(await found({}), []);
  const real = await realFile(REAL.both);
  assert.deepEqual(await found({ geo: real, asn: GEO }, Date.UTC(2026, 6, 1)), [
    `ok geo: ${real} is "country ipvAll" of 2026-06-17 with 1,010,885 networks`,
    `ok asn: ${GEO} is "Test" of 2026-05-28 with 2 networks`,
  ]);
  const [old] = await found({ geo: GEO }, NOW + 365 * 86_400_000);
  assert.match(old!, /^warning geo: .* more than half a year old \(get a newer one/);
});

Deno.test("check places: what cannot be used is told with what mends it", async () => {
  const [absent] = await found({ geo: `${FOLDER}/absent.mmdb` });
  assert.match(absent!, /^warning geo: .*absent\.mmdb is not there; .* nobody is away \(put it/);
  const [kind] = await found({ asn: await realFile(REAL.both) });
  assert.match(kind!, /^warning asn: .* names no networks \(ASN\): its records have country_code/);
});

Deno.test("check places: who logged in lately from elsewhere is named, with what lets them stay", async () => {
  const database = `${FOLDER}/ampere.db`;
  const list = BlockDatabase.open(database);
  const standing = [
    ["192.0.2.7", NOW - 1_000],
    ["203.0.113.7", NOW - 2_000],
    ["203.0.113.8", NOW - 30 * 86_400_000],
  ] as const;
  const none = { put: [], ended: [], gone: [] };
  list.save(() => ({ ...none, standing, forgetStandingBefore: 0 }), NOW);
  list.close();
  const rules = { geo: GEO, home: ["DE"], database };
  const [, away] = await found(rules);
  assert.match(
    away!,
    /^warning 1 of the 2 hosts that logged in lately would, as a stranger, have one attempt: 203\.0\.113\.7 \(BR\)\. .*\(if they belong there: home = DE, BR; or trust = 203\.0\.113\.7\)$/,
  );
  assert.match((await found({ ...rules, away: "block" }))[1]!, /have no attempt, or one: 203/);
  assert.equal(
    (await found({ ...rules, home: ["DE", "BR"] }))[1],
    "ok none of the 2 hosts that logged in lately is away",
  );
  assert.equal((await found({ ...rules, away: "watch" })).length, 1);
});
