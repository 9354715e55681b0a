/** Times for people. */

import { match, ok } from "node:assert/strict";
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
