import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { join } from "node:path";
import fc from "fast-check";
import { formatLocalTime } from "../src/text/time.ts";
import { LIMIT_WINDOW_MS, LIMITED_CAUSES_MAX, Log, type LogOptions } from "../src/log.ts";
import { type LogWriter, MESSAGE_MAX } from "../src/text/line_sink.ts";
import { LogError } from "../src/text/line_sink.ts";

const decoder = new TextDecoder();

/** Everything that could begin a line, steer a terminal or turn the direction of the text. */
// deno-lint-ignore no-control-regex
const DANGEROUS = /[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;

/** A place for lines that keeps them in memory. */
class Memory implements LogWriter {
  text = "";
  writeSync(bytes: Uint8Array): number {
    this.text += decoder.decode(bytes);
    return bytes.length;
  }
  get lines(): string[] {
    return this.text === "" ? [] : this.text.replace(/\n$/, "").split("\n");
  }
}

/** A log without time stamps that writes to memory, and its clock. */
function memoryLog(options: LogOptions = {}) {
  const stderr = new Memory();
  const clock = { now: Date.parse("2026-11-22T08:09:09Z") };
  const log = new Log({ stamps: false, now: () => clock.now, stderr, ...options });
  return { log, stderr, clock };
}

async function withDirectory(act: (directory: string) => void | Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "ampere-log-" });
  try {
    await act(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a line has its level, a message is one line whatever is in it", () => {
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

Deno.test("any message makes exactly one line of bounded length", () => {
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

Deno.test("lines below the level are not written", () => {
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

Deno.test("lines carry the local time unless it is turned off", () => {
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

Deno.test("formatLocalTime can be read back by Date, to the second", () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 4102444800 }), (seconds) => {
    const text = formatLocalTime(seconds * 1000 + 999);
    match(text, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    // The hour that is repeated in autumn has one text for two times.
    const read = Date.parse(text.replace(" ", "T")) / 1000;
    ok(read === seconds || Math.abs(read - seconds) === 3600, text);
  }));
});

Deno.test("limited writes a cause once a minute, with the number of what was held back", () => {
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

Deno.test("limited needs no sweep to tell what it held back, and close tells the rest", () => {
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

Deno.test("limited: every message is written or counted, at most one line a minute for a cause", () => {
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

Deno.test("limited with a million causes writes a bounded number of lines", () => {
  const { log, stderr } = memoryLog();
  for (let i = 0; i < 1_000_000; i++) log.limited(`cause ${i}`, "warn", `message ${i}`);
  strictEqual(stderr.lines.length, LIMITED_CAUSES_MAX + 1);
  log.close();
  strictEqual(
    stderr.lines.at(-1),
    `warn: message 999999 (${1_000_000 - LIMITED_CAUSES_MAX - 2} more in the last minute)`,
  );
});

Deno.test("limited keeps the count at the end of a long message", () => {
  const { log, stderr } = memoryLog();
  for (let i = 0; i < 3; i++) log.limited("cause", "warn", "\0".repeat(MESSAGE_MAX));
  log.close();
  match(stderr.lines[1]!, /… \(1 more in the last minute\)$/);
});

Deno.test("limited is not silenced by a clock that is set back", () => {
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

Deno.test("a file is appended to, is not for everybody, and standard error stays silent", async () => {
  await withDirectory((directory) => {
    const file = join(directory, "ampere.log");
    for (const message of ["first run", "second run"]) {
      const { log, stderr } = memoryLog({ file });
      log.info(message);
      log.close();
      strictEqual(stderr.text, "");
    }
    const lines = Deno.readTextFileSync(file).trimEnd().split("\n");
    strictEqual(lines.length, 2);
    match(lines[0]!, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d info: first run$/);
    match(lines[1]!, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d info: second run$/);
    strictEqual(Deno.statSync(file).mode! & 0o137, 0);
  });
});

Deno.test("a file that cannot be opened is an error that says what to do", async () => {
  await withDirectory((directory) => {
    throws(() => new Log({ file: join(directory, "no/such/ampere.log") }), (error: unknown) => {
      ok(error instanceof LogError);
      match(error.message, /no\/such\/ampere\.log cannot be opened: its directory does not exist/);
      return true;
    });
    throws(() => new Log({ file: directory }), /cannot be opened: Is a directory/);
  });
});

Deno.test("after close, lines go to standard error and closing again does nothing", async () => {
  await withDirectory((directory) => {
    const { log, stderr } = memoryLog({ file: join(directory, "ampere.log") });
    log.close();
    log.info("late");
    log.close();
    strictEqual(log.reopen(), true);
    deepStrictEqual(stderr.lines, ["info: late"]);
  });
});

Deno.test("reopen goes on in a new file after logrotate moved the old one", async () => {
  await withDirectory((directory) => {
    const file = join(directory, "ampere.log");
    const { log, stderr } = memoryLog({ file });
    log.info("before");
    Deno.renameSync(file, `${file}.1`);
    log.info("between");
    strictEqual(log.reopen(), true);
    log.info("after");
    log.close();
    strictEqual(stderr.text, "");
    const messages = (path: string) => Deno.readTextFileSync(path).match(/(?<=info: ).*/g);
    deepStrictEqual(messages(`${file}.1`), ["before", "between"]);
    deepStrictEqual(messages(file), ["after"]);
  });
});

Deno.test("reopen that fails keeps the old file and says so in both places", async () => {
  await withDirectory((directory) => {
    const folder = join(directory, "log");
    Deno.mkdirSync(folder);
    const { log, stderr } = memoryLog({ file: join(folder, "ampere.log") });
    Deno.renameSync(folder, join(directory, "moved"));
    strictEqual(log.reopen(), false);
    log.info("goes on");
    log.close();
    const text = Deno.readTextFileSync(join(directory, "moved", "ampere.log"));
    match(
      text,
      /error: the log file .* cannot be opened: .*; the file opened before stays in use\n/,
    );
    match(text, /info: goes on\n$/);
    strictEqual(stderr.lines.length, 1);
    match(stderr.text, /^error: the log file .*; the file opened before stays in use\n$/);
  });
});

Deno.test("reopen leaks no file descriptors", async () => {
  await withDirectory((directory) => {
    const { log } = memoryLog({ file: join(directory, "ampere.log") });
    const open = () => [...Deno.readDirSync("/proc/self/fd")].length;
    const before = open();
    for (let i = 0; i < 50; i++) log.reopen();
    strictEqual(open(), before);
    log.close();
  });
});

Deno.test("a full device is said once, lines are counted and the next file tells how many", async () => {
  await withDirectory((directory) => {
    const file = join(directory, "ampere.log");
    Deno.symlinkSync("/dev/full", file); // each write to it fails with ENOSPC
    const { log, stderr } = memoryLog({ file });
    for (let i = 0; i < 1000; i++) log.info(`line ${i}`);
    strictEqual(log.lost, 1000);
    strictEqual(stderr.lines.length, 1);
    match(stderr.text, /^error: the log file .* cannot be written \(No space left on device/);

    Deno.removeSync(file);
    strictEqual(log.reopen(), true);
    log.info("room again");
    log.info("and on");
    strictEqual(log.lost, 0);
    log.close();
    const messages = Deno.readTextFileSync(file).trimEnd().split("\n").map((line) =>
      line.slice(20)
    );
    deepStrictEqual(messages, [
      "warn: 1000 lines were lost here, because the log could not be written",
      "info: room again",
      "info: and on",
    ]);
    strictEqual(stderr.lines.length, 1);
  });
});

Deno.test("lines that are written at once are one write, and counted one by one when it fails", () => {
  const writes: string[] = [];
  let room = Infinity;
  const stderr: LogWriter = {
    writeSync(bytes) {
      const some = bytes.subarray(0, room);
      if (some.length === 0) throw new Error("no room");
      room -= some.length;
      writes.push(decoder.decode(some));
      return some.length;
    },
  };
  const { log } = memoryLog({ stderr });
  log.infoAll(["a", "b\nc", "d"]);
  deepStrictEqual(writes.splice(0), ["info: a\ninfo: b\\x0ac\ninfo: d\n"]);
  log.infoAll([]);
  deepStrictEqual(writes.splice(0), []);
  // Room for the first line and the beginning of the second.
  room = "info: a\ninf".length;
  log.infoAll(["a", "b", "c"]);
  strictEqual(log.lost, 2);
  // Now not even what says that lines are missing can be written.
  log.infoAll(["d", "e", "f"]);
  strictEqual(log.lost, 5);
  room = Infinity;
  log.info("g");
  strictEqual(
    writes.join(""),
    "info: a\ninf\nwarn: 5 lines were lost here, because the log could not be written\ninfo: g\n",
  );
});

Deno.test({
  name: "a file system that is full and gets room again: whole lines, all lost ones counted",
  // Mounting needs root, and a mount namespace of its own so that nothing is left behind.
  ignore: Deno.build.os !== "linux" || Deno.uid() !== 0,
  async fn() {
    await withDirectory(async (directory) => {
      const source = `
        import { Log } from ${JSON.stringify(import.meta.resolve("../src/log.ts"))};
        const [directory] = Deno.args;
        const log = new Log({ file: directory + "/ampere.log" });
        Deno.writeFileSync(directory + "/ballast", new Uint8Array(40_000));
        for (let i = 0; i < 2_000; i++) log.info("line " + i + " " + "x".repeat(40));
        const lost = log.lost;
        Deno.removeSync(directory + "/ballast");
        log.info("room again");
        log.close();
        const text = Deno.readTextFileSync(directory + "/ampere.log");
        console.log(JSON.stringify({ lost, text }));`;
      const script = join(directory, "full_disk.ts");
      const disk = join(directory, "disk");
      await Deno.mkdir(disk);
      await Deno.writeTextFile(script, source);
      const { stdout, stderr, success } = await new Deno.Command("unshare", {
        args: [
          "-m",
          "sh",
          "-c",
          'mount -t tmpfs -o size=64k tmpfs "$2" && exec "$0" run -A --no-config "$1" "$2"',
          Deno.execPath(),
          script,
          disk,
        ],
      }).output();
      const errors = decoder.decode(stderr);
      ok(success, errors);
      const { lost, text } = JSON.parse(decoder.decode(stdout)) as { lost: number; text: string };
      const lines = text.trimEnd().split("\n").map((line) => line.slice(20));
      ok(lost > 0 && lost < 2_000, `${lost} lost`);
      strictEqual(errors.match(/cannot be written/g)?.length, 1, errors);
      strictEqual(lines.pop(), "info: room again");
      strictEqual(
        lines.pop(),
        `warn: ${lost} lines were lost here, because the log could not be written`,
      );
      // The line at which the disk became full may be torn; it stands alone and counts as lost.
      const torn = lines.length === 2_000 - lost ? undefined : lines.pop();
      if (torn !== undefined) {
        ok(`info: line ${lines.length} ${"x".repeat(40)}`.startsWith(torn), torn);
      }
      strictEqual(lines.length, 2_000 - lost);
      lines.forEach((line, i) => strictEqual(line, `info: line ${i} ${"x".repeat(40)}`));
    });
  },
});

Deno.test("a writer that takes a few bytes at a time, fails at times and recovers: no line is mixed", () => {
  const script = fc.array(
    fc.oneof(fc.integer({ min: 1, max: 30 }), fc.constant(-1), fc.constant(0)),
    {
      minLength: 1,
      maxLength: 60,
    },
  );
  fc.assert(fc.property(script, fc.integer({ min: 1, max: 30 }), (script, lines) => {
    let text = "";
    let step = 0;
    const stderr: LogWriter = {
      writeSync(bytes) {
        const take = script[step++] ?? bytes.length;
        if (take < 0) throw new Error("EIO");
        text += decoder.decode(bytes.subarray(0, take));
        return Math.min(take, bytes.length);
      },
    };
    const { log } = memoryLog({ stderr });
    for (let i = 0; i < lines; i++) log.info(`line ${i} end`);
    step = Infinity; // from here on all is well
    log.info("the last line");
    strictEqual(log.lost, 0);
    const written = text.trimEnd().split("\n");
    strictEqual(written.at(-1), "info: the last line");
    let lost = 0;
    let whole = 0;
    for (const line of written.slice(0, -1)) {
      const said = /^warn: (\d+) lines? (?:was|were) lost here/.exec(line);
      if (said) lost += Number(said[1]);
      else if (/^info: line \d+ end$/.test(line)) whole++;
      else ok(isTorn(line), line);
    }
    // A line whose text was complete but for its end of line counts as lost, though it can be read.
    ok(whole + lost >= lines, `${whole} whole, ${lost} lost of ${lines}\n${text}`);
  }));
});

/** Whether a line is the beginning of one that the test above writes. */
function isTorn(line: string): boolean {
  const number = /\d+/.exec(line)?.[0] ?? "1";
  return [`info: line ${number} end`, `warn: ${number} lines were lost`, "warn: 1 line was lost"]
    .some((whole) => whole.startsWith(line) || line.startsWith(whole));
}
