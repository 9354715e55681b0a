/** Times for people. */

import { deepStrictEqual, match, ok } from "node:assert/strict";
import fc from "fast-check";
import { formatLocalTime } from "../../src/text/time.ts";

Deno.test("time: local time can be read back by Date, to the second", () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 4102444800 }), (seconds) => {
    const text = formatLocalTime(seconds * 1000 + 999);
    match(text, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    // The hour that is repeated in autumn has one text for two times.
    const read = Date.parse(text.replace(" ", "T")) / 1000;
    ok(read === seconds || Math.abs(read - seconds) === 3600, text);
  }));
});

Deno.test("time: it is the local one, in summer and winter, and the same again when others were asked for", async () => {
  const source = `
    import { formatLocalTime } from ${
    JSON.stringify(import.meta.resolve("../../src/text/time.ts"))
  };
    const times = ["2026-01-15T23:30:00Z", "2026-07-15T23:30:00Z", "2026-07-15T23:30:00.999Z"];
    for (const time of [...times, times[0]]) console.log(formatLocalTime(Date.parse(time)));`;
  const said = async (zone: string) => {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "--no-config",
        "--ext=ts",
        `data:application/typescript,${encodeURIComponent(source)}`,
      ],
      env: { TZ: zone },
    }).output();
    return new TextDecoder().decode(stdout).trimEnd().split("\n");
  };
  deepStrictEqual(await said("Europe/Berlin"), [
    "2026-01-16 00:30:00",
    "2026-07-16 01:30:00",
    "2026-07-16 01:30:00",
    "2026-01-16 00:30:00",
  ]);
  deepStrictEqual(await said("UTC"), [
    "2026-01-15 23:30:00",
    "2026-07-15 23:30:00",
    "2026-07-15 23:30:00",
    "2026-01-15 23:30:00",
  ]);
});
