import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { LIMIT_WINDOW_MS, LIMITED_CAUSES_MAX } from "../src/log.ts";
import { MESSAGE_MAX } from "../src/text/line_form.ts";
import { memoryLog } from "./support/memory_log.ts";

/** Everything that could begin a line, steer a terminal or turn the direction of the text. */
// deno-lint-ignore no-control-regex
const DANGEROUS = /[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;

Deno.test("log: a line has its level, a message is one line whatever is in it", () => {
  const { log, stderr } = memoryLog({ level: "debug" });
  log.debug("one");
  log.info('two "quoted" C:\\path');
  log.warn("three\r\n2026-01-01 00:00:00 info: forged\x1b[2J\u2028");
  log.error("four");
  deepStrictEqual(stderr.lines, [
    "debug: one",
    'info: two "quoted" C:\\path',
    "warn: three\\x0d\\x0a2026-01-01 00:00:00 info: forged\\x1b[2J\\u2028",
    "error: four",
  ]);
});

Deno.test("log: for the journal of systemd a line begins with the number of its level, without the time", () => {
  const { log, stderr } = memoryLog({ level: "debug", journal: true, stamps: true });
  log.debug("one");
  log.info("two\n<0>forged");
  log.warn("three");
  log.error("four");
  deepStrictEqual(stderr.lines, ["<7>one", "<6>two\\x0a<0>forged", "<4>three", "<3>four"]);
});

Deno.test("log: any message makes exactly one line of bounded length", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), fc.nat(3), (message, repeat) => {
    const { log, stderr } = memoryLog();
    log.info(message.repeat(repeat));
    strictEqual(stderr.lines.length, 1);
    ok(!DANGEROUS.test(stderr.lines[0]!));
  }));
  const { log, stderr } = memoryLog();
  log.info("x".repeat(1_000_000));
  log.info("\0".repeat(1_000_000));
  for (const line of stderr.lines) {
    ok(line.length <= "info: ".length + MESSAGE_MAX);
    ok(line.endsWith("…"));
  }
});

Deno.test("log: lines below the level are not written", () => {
  for (const [level, expected] of [["info", 3], ["error", 1], ["debug", 4]] as const) {
    const { log, stderr } = memoryLog({ level });
    for (const each of ["debug", "info", "warn", "error"] as const) {
      log[each]("x");
      strictEqual(log.writes(each), stderr.lines.some((line) => line.startsWith(each)));
    }
    strictEqual(stderr.lines.length, expected);
  }
  const { log, stderr } = memoryLog();
  log.limited("cause", "debug", "x");
  log.close();
  strictEqual(stderr.text, "");
});

Deno.test("log: lines carry the local time unless it is turned off", () => {
  const { log, stderr, clock } = memoryLog({ stamps: true });
  log.info("x");
  const time = new Date(clock.now);
  const pad = (n: number) => `${n}`.padStart(2, "0");
  strictEqual(
    stderr.text,
    `${time.getFullYear()}-${pad(time.getMonth() + 1)}-${pad(time.getDate())} ` +
      `${pad(time.getHours())}:${pad(time.getMinutes())}:${pad(time.getSeconds())} info: x\n`,
  );
});

Deno.test("log: limited writes a cause once a minute, with the number of what was held back", () => {
  const { log, stderr, clock } = memoryLog();
  log.limited("tampered", "warn", "message 1");
  for (let i = 2; i <= 5; i++) log.limited("tampered", "warn", `message ${i}`);
  log.limited("busy", "info", "another cause");
  deepStrictEqual(stderr.lines, ["warn: message 1", "info: another cause"]);

  clock.now += LIMIT_WINDOW_MS - 1;
  log.sweep();
  log.limited("tampered", "warn", "message 6");
  strictEqual(stderr.lines.length, 2);

  clock.now += 1;
  log.sweep();
  deepStrictEqual(stderr.lines.slice(2), ["warn: message 6 (4 more in the last minute)"]);

  // The line of the sweep opened a window of its own; the silent cause is forgotten.
  log.limited("tampered", "error", "message 7");
  log.limited("busy", "info", "another cause again");
  deepStrictEqual(stderr.lines.slice(3), ["info: another cause again"]);
  clock.now += LIMIT_WINDOW_MS;
  log.sweep();
  deepStrictEqual(stderr.lines.slice(4), ["error: message 7"]);
  clock.now += 10 * LIMIT_WINDOW_MS;
  log.sweep();
  log.limited("tampered", "warn", "message 8");
  deepStrictEqual(stderr.lines.slice(5), ["warn: message 8"]);
});

Deno.test("log: limited needs no sweep to tell what it held back, and close tells the rest", () => {
  const { log, stderr, clock } = memoryLog();
  for (let i = 1; i <= 3; i++) log.limited("cause", "warn", `message ${i}`);
  clock.now += LIMIT_WINDOW_MS;
  log.limited("cause", "warn", "message 4");
  deepStrictEqual(stderr.lines, [
    "warn: message 1",
    "warn: message 3 (1 more in the last minute)",
  ]);
  log.close();
  deepStrictEqual(stderr.lines.slice(2), ["warn: message 4"]);
});

Deno.test("log: every limited message is written or counted, at most one line a minute for a cause", () => {
  const steps = fc.array(fc.tuple(fc.nat(3), fc.nat(40_000), fc.boolean()), { maxLength: 200 });
  fc.assert(fc.property(steps, (steps) => {
    const { log, stderr, clock } = memoryLog();
    const last = new Map<string, number>();
    let seen = 0;
    const check = () => {
      for (const line of stderr.lines.slice(seen)) {
        const cause = /cause \d/.exec(line)![0];
        ok(clock.now - (last.get(cause) ?? -Infinity) >= LIMIT_WINDOW_MS, line);
        last.set(cause, clock.now);
      }
      seen = stderr.lines.length;
    };
    for (const [cause, wait, sweep] of steps) {
      clock.now += wait;
      if (sweep) log.sweep();
      log.limited(`c${cause}`, "info", `cause ${cause}`);
      check();
    }
    log.close();
    let counted = 0;
    for (const line of stderr.lines) {
      counted += 1 + Number(/\((\d+) more in the last minute\)$/.exec(line)?.[1] ?? 0);
    }
    strictEqual(counted, steps.length);
  }));
});

Deno.test("log: a million causes write a bounded number of lines", () => {
  const { log, stderr } = memoryLog();
  for (let i = 0; i < 1_000_000; i++) log.limited(`cause ${i}`, "warn", `message ${i}`);
  strictEqual(stderr.lines.length, LIMITED_CAUSES_MAX + 1);
  log.close();
  strictEqual(
    stderr.lines.at(-1),
    `warn: message 999999 (${1_000_000 - LIMITED_CAUSES_MAX - 2} more in the last minute)`,
  );
});

Deno.test("log: limited keeps the count at the end of a long message", () => {
  const { log, stderr } = memoryLog();
  for (let i = 0; i < 3; i++) log.limited("cause", "warn", "\0".repeat(MESSAGE_MAX));
  log.close();
  match(stderr.lines[1]!, /… \(1 more in the last minute\)$/);
});

Deno.test("log: limited is not silenced by a clock that is set back", () => {
  const { log, stderr, clock } = memoryLog();
  log.limited("cause", "warn", "message 1");
  log.limited("cause", "warn", "message 2");
  clock.now -= 24 * 3_600_000;
  log.limited("cause", "warn", "message 3");
  log.limited("cause", "warn", "message 4");
  clock.now += LIMIT_WINDOW_MS;
  log.sweep();
  deepStrictEqual(stderr.lines, [
    "warn: message 1",
    "warn: message 3 (1 more in the last minute)",
    "warn: message 4",
  ]);
});
