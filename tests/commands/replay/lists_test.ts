/** `--replay`: what lists of attackers would have changed. */

import assert from "node:assert/strict";
import { parseConfig } from "../../../src/config/parse.ts";
import { bytesOf, successfulAuth, wrongAnswer } from "../../support/asterisk_events.ts";
import { cli, textOf, toLog } from "../../support/replays.ts";

const [BLOCKED, STRICT, PHONE, OTHER] = [
  "203.0.113.1",
  "203.0.113.2",
  "203.0.113.3",
  "203.0.113.4",
] as const;

Deno.test("replay: lists refuse strangers, and give others one attempt; who logs in is neither", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/block`, `${BLOCKED}\n${PHONE}\n`);
    await Deno.writeTextFile(`${folder}/strict`, `${STRICT}\n`);
    const ami = successfulAuth(PHONE) +
      [BLOCKED, BLOCKED, BLOCKED, STRICT, PHONE, OTHER].map((host) => wrongAnswer(host)).join("");
    await Deno.writeTextFile(`${folder}/log`, toLog(textOf(bytesOf(ami))));
    const { config } = parseConfig(
      `database = ${folder}/a.db\n[feed one]\nurl = file://${folder}/block\naction = block\n` +
        `[feed two]\nurl = file://${folder}/strict\n`,
      "ampere.cfg",
    );
    const without = await cli([`${folder}/log`], {
      json: true,
      config: { database: `${folder}/a.db` },
    });
    assert.match(without.out, new RegExp(`"target":"${BLOCKED}"`));
    const { out, err } = await cli([`${folder}/log`], { config: config! });
    assert.equal(err, "");
    const [blocks] = out.split("Lists of attackers");
    assert.match(blocks!, new RegExp(`${STRICT} .* one attempt only: listed by feed two`));
    assert.doesNotMatch(blocks!.split("\n\n")[0]!, new RegExp(`${BLOCKED}|${PHONE}|${OTHER}`));
    assert.doesNotMatch(out, /^Hint/m);
    // The login came through the gap.
    assert.match(out, /^one +block +2 +1 +3$/m);
    assert.match(out, /^two +strict +1 +1 +-$/m);
    const closed = await cli([`${folder}/log`], { config: { ...config!, softRate: 0 } });
    assert.match(closed.out, /^one +block +2 +2 +5$/m);
    const json = await cli([`${folder}/log`], { json: true, config: config! });
    const last = JSON.parse(json.out.trim().split("\n").at(-1)!);
    assert.deepEqual([last.type, last.lists[0].refused], ["lists", 3]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
