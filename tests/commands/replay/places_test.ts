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
