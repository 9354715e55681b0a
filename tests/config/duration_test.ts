/** Lengths of time as people write them. */

import { strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { formatDuration, parseDuration } from "../../src/config/duration.ts";

Deno.test("duration: it is read and written", () => {
  const table: [text: string, seconds: number | undefined][] = [
    ["0", 0],
    ["90", 90],
    ["90s", 90],
    ["15m", 900],
    ["6h", 21_600],
    ["7d", 604_800],
    ["", undefined],
    ["s", undefined],
    ["07d", undefined],
    ["-1", undefined],
    ["+1", undefined],
    ["1.5h", undefined],
    ["7 d", undefined],
    ["7D", undefined],
    ["1w", undefined],
    ["1h30m", undefined],
    ["1e3", undefined],
    ["７d", undefined],
    ["7d\n", undefined],
  ];
  for (const [text, seconds] of table) strictEqual(parseDuration(text), seconds, text);
  for (const [seconds, text] of [[0, "0s"], [90, "90s"], [60, "1m"], [86_400, "1d"]] as const) {
    strictEqual(formatDuration(seconds), text);
  }
  fc.assert(fc.property(fc.nat(), (seconds) => {
    strictEqual(parseDuration(formatDuration(seconds)), seconds);
  }));
});

Deno.test("duration: the longest that is read is a number without loss, a digit more is none", () => {
  const longest = "9".repeat(15);
  strictEqual(parseDuration(longest), Number(longest));
  strictEqual(Number.isSafeInteger(parseDuration(longest)), true);
  strictEqual(parseDuration(`${longest}9`), undefined);
});

Deno.test("duration: it is written with the largest unit that divides it", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 10_000_000 }), (seconds) => {
    const text = formatDuration(seconds);
    const fits = [["d", 86_400], ["h", 3_600], ["m", 60], ["s", 1]] as const;
    const [unit, length] = fits.find(([, length]) => seconds % length === 0)!;
    strictEqual(text, `${seconds / length}${unit}`);
  }));
});
