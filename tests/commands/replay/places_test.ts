/** The rules for places, applied to a recording. */

import assert from "node:assert/strict";
import {
  BANNER,
  challengeSent,
  successfulAuth,
  wrongAnswer,
} from "../../support/asterisk_events.ts";
import { FOLDER, mmdbFile } from "../../support/mmdb.ts";
import { cli } from "../../support/replays.ts";

const [HERE, AWAY, PHONE] = ["192.0.2.7", "203.0.113.7", "203.0.113.8"];
const GEO = mmdbFile(["192.0.2.0/24", { country_code: "DE" }], [
  "203.0.113.0/24",
  { country_code: "BR" },
]);
const RECORDING = `${FOLDER}/recording.ami`;
Deno.writeTextFileSync(
  RECORDING,
  BANNER + successfulAuth(PHONE) + wrongAnswer(PHONE) + wrongAnswer(HERE) + challengeSent(AWAY) +
    wrongAnswer(AWAY),
);

Deno.test("replay: who is away would have had one attempt, and is told with the place", async () => {
  const rules = { geo: GEO, home: ["DE"] };
  const { out, err } = await cli([RECORDING], { config: rules });
  assert.equal(err, "");
  assert.match(out, /^when +host +for +from +why$/m);
  assert.match(out, /203\.0\.113\.7 +.* BR \(away\) +1 wrong password .*one attempt only/);
  assert.match(out, /^1 host would have been blocked/m);
  const json = (await cli([RECORDING], { config: rules, json: true })).out;
  const place = { country: "BR", asn: null, organisation: null, away: true };
  assert.deepEqual(JSON.parse(json.split("\n")[0]!).place, place);
  const block = { ...rules, away: "block", learn: 0 } as const;
  assert.match(
    (await cli([RECORDING], { config: block })).out,
    /7 +10 min +BR \(away\) .*no attempt/,
  );
});

Deno.test("replay: without files of places, or without home, nothing is otherwise than before", async () => {
  const none = await cli([RECORDING]);
  assert.match(none.out, /^0 hosts would have been blocked/m);
  assert.match((await cli([RECORDING], { config: { geo: GEO } })).out, /^0 hosts would have/m);
  const absent = await cli([RECORDING], { config: { geo: "/absent.mmdb", home: ["DE"] } });
  assert.match(absent.err, /^warning: geo: \/absent\.mmdb is not there\. Fix: /);
  assert.equal(absent.out, none.out);
});

Deno.test("replay: a login from a new place is found in a recording of some weeks", async () => {
  const path = `${FOLDER}/weeks.ami`;
  const login = (address: string, day: string, service: "PJSIP" | "SIP" = "PJSIP") =>
    successfulAuth(address, { service, account: "100", time: `2026-11-${day}T08:00:00.000+0000` });
  const weeks = BANNER + login(HERE, "01") + login(HERE, "10") + login(AWAY, "20") +
    login(AWAY, "21") + login(AWAY, "21", "SIP");
  Deno.writeTextFileSync(path, weeks);
  const { out, err } = await cli([path], { config: { geo: GEO, home: ["DE"] } });
  assert.equal(err, "");
  assert.match(out, /^Logins from new places$/m);
  const row = /^\S+ \S+ +"100" \(PJSIP\) +203\.0\.113\.7 +BR \(away\) +DE, since 2026-11-01$/gm;
  assert.equal(out.match(row)?.length, 1, out);
  const json = (await cli([path], { config: { geo: GEO }, json: true })).out.trim().split("\n");
  const { type, at, account, before, since } = JSON.parse(json.at(-1)!);
  assert.deepEqual([type, at, account, before, since], [
    "newPlace",
    "2026-11-20T08:00:00.000Z",
    "100",
    ["DE"],
    "2026-11-01T08:00:00.000Z",
  ]);
  // Within the time in which it is learned, and where it is turned off, nothing is told.
  Deno.writeTextFileSync(path, BANNER + login(HERE, "01") + login(AWAY, "10"));
  const soon = await cli([path], { config: { geo: GEO } });
  assert.match(soon.out, /^none, of 1 account that logged in from where places are known$/m);
  const off = await cli([path], { config: { geo: GEO, newPlace: false } });
  assert.doesNotMatch(off.out, /new places/);
});
