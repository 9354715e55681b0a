/** Times of lines of a log. */

import assert from "node:assert/strict";
import { LogClock } from "../../src/ami/log_time.ts";

const NOW = Date.UTC(2026, 11, 1);

function read(clock: LogClock, date: string | undefined, written?: string | number): string {
  return new Date(clock.read({ date, written })).toISOString();
}

Deno.test("log time: a date with its offset needs nothing else, and goes before one without", () => {
  const clock = new LogClock(NOW);
  for (
    const [date, written, expected] of [
      ["2026-11-22T08:09:09.918+0100", undefined, "2026-11-22T07:09:09.918Z"],
      ["2026-11-22 08:09:09,5Z", undefined, "2026-11-22T08:09:09.500Z"],
      [undefined, "2026-11-22T08:09:09.918273645Z", "2026-11-22T08:09:09.918Z"],
      ["Nov 22 11:09:09", "2026-11-22T08:09:09+00:00", "2026-11-22T08:09:09.000Z"],
      ["Nov 22 11:09:09", "Sun 2026-11-22 08:09:09 UTC", "2026-11-22T08:09:09.000Z"],
      [undefined, "1795334949.918273", "2026-11-22T08:09:09.918Z"],
      ["1795334949", undefined, "2026-11-22T08:09:09.000Z"],
      ["22.11.2026 08:09:09 +0100", undefined, "2026-11-22T07:09:09.000Z"],
    ] as const
  ) assert.equal(read(clock, date, written), expected, `${date} ${written}`);
  assert.equal(read(clock, undefined, 1_795_334_949_918), "2026-11-22T08:09:09.918Z");
});

Deno.test("log time: the offset of a security event is that of the lines, and it knows the year", () => {
  const clock = new LogClock(NOW);
  clock.learn("2024-07-08T22:25:10.826-0600");
  assert.equal(read(clock, "Jul  8 22:25:11"), "2024-07-09T04:25:11.000Z");
  assert.equal(read(clock, "2024-07-08 22:25:12"), "2024-07-09T04:25:12.000Z");
  clock.learn("2024-12-31T23:59:59.000+0000");
  assert.equal(read(clock, "Jan 1 00:00:01"), "2025-01-01T00:00:01.000Z");
});

Deno.test("log time: a date without year is the last one that has been", () => {
  const clock = new LogClock(NOW);
  clock.learn("2026-11-30T00:00:00.000+0000");
  assert.equal(read(clock, "Nov 30 00:00:00"), "2026-11-30T00:00:00.000Z");
  const fresh = new LogClock(NOW);
  assert.equal(
    new Date(fresh.read({ date: "Dec 24 12:00:00", written: undefined }))
      .getUTCFullYear(),
    2025,
  );
  assert.equal(
    new Date(fresh.read({ date: "Jan 2 12:00:00", written: undefined }))
      .getUTCFullYear(),
    2026,
  );
});

Deno.test("log time: without offset it is this machine's time", () => {
  const clock = new LogClock(NOW);
  const expected = new Date(2026, 10, 22, 8, 9, 9).toISOString();
  assert.equal(read(clock, "2026-11-22 08:09:09"), expected);
});

Deno.test("log time: a line without a time is of the time of the line before, and is counted", () => {
  const clock = new LogClock(NOW);
  assert.equal(clock.read({ date: "yesterday", written: undefined }), NOW);
  clock.read({ date: "2026-11-22T08:09:09Z", written: undefined });
  assert.equal(read(clock, undefined), "2026-11-22T08:09:09.000Z");
  assert.equal(clock.undated, 2);
});
